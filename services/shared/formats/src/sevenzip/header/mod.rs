//! The header of a 7z archive: which packed streams there are, how they are unpacked, and which files come out of them.
//!
//! Format: `7zFormat.txt` of 7-Zip. Stricter than its readers, so that all of them see the same: properties come once, every byte of the
//! header and of the packed streams is accounted for, numbers are as short as they can be, and a stream goes through one coder, at most with
//! the filter that py7zr always uses. Trust boundary: every byte; counts are held against the bytes that are left before anything is reserved.

mod files;
mod reader;
mod streams;

use reader::Reader;

/// The most files of an archive.
const MAX_FILES: usize = 1 << 15;

/// Why the header is none, or is one that is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It is not what the format has there.
    Broken(&'static str),
    /// It uses a part of the format that archives of models have no use for.
    Unsupported(&'static str),
    /// It says that something is encrypted.
    Encrypted,
    /// It has more of something than is followed.
    Limit(&'static str),
}

/// How a stream is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coder {
    /// It is not packed.
    Copy,
    /// LZMA with the properties byte and the size of its window.
    Lzma {
        /// `lc`, `lp` and `pb` in one number.
        properties: u8,
        /// How far back a match may reach, in bytes.
        window: u32,
    },
    /// LZMA2.
    Lzma2 {
        /// Stands for how far back a match may reach.
        window: u8,
    },
    /// Deflate, without a header.
    Deflate,
    /// bzip2.
    Bzip2,
}

/// A part of what comes out of a stream: the content of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// How many bytes it has.
    pub bytes: u64,
    /// Their CRC-32. Only a packed header may be without, as some writers leave it.
    pub sum: Option<u32>,
}

/// A packed stream, which follows the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// How many bytes of the archive it has.
    pub packed: u64,
    /// How many come out.
    pub unpacked: u64,
    /// How.
    pub coder: Coder,
    /// Whether what comes out went through the filter for machine code of x86 processors before it was packed.
    pub is_filtered: bool,
    /// The contents of files in it, one after the other.
    pub parts: Vec<Part>,
}

/// A file or directory of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: Box<str>,
    /// Whether it has content, which is then the next part of the streams.
    pub has_content: bool,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// What Windows, and in the upper half Unix, notes of it.
    pub attributes: u32,
}

/// What a header says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// The packed streams.
    pub streams: Vec<Stream>,
    /// The files.
    pub files: Vec<File>,
}

/// What a header begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// The header itself.
    Plain(Header),
    /// A header that is packed: where in the packed streams it begins, and the stream.
    Packed(u64, Stream),
}

// What parts of a header begin with.
const END: u8 = 0x00;
const HEADER: u8 = 0x01;
const STREAMS: u8 = 0x04;
const FILES: u8 = 0x05;
const PACKED: u8 = 0x06;
const UNPACKED: u8 = 0x07;
const PARTS: u8 = 0x08;
const SIZES: u8 = 0x09;
const SUMS: u8 = 0x0a;
const FOLDERS: u8 = 0x0b;
const UNPACKED_SIZES: u8 = 0x0c;
const COUNTS: u8 = 0x0d;
const EMPTY_STREAMS: u8 = 0x0e;
const EMPTY_FILES: u8 = 0x0f;
const NAMES: u8 = 0x11;
const TIMES: std::ops::RangeInclusive<u8> = 0x12..=0x14;
const ATTRIBUTES: u8 = 0x15;
const ENCODED: u8 = 0x17;
const PADDING: u8 = 0x19;

type Read<T> = Result<T, Flaw>;

const OUT_OF_PLACE: Flaw = Flaw::Broken("a part of the header is missing or out of place");

/// Reads a header, whose checksum is right.
///
/// # Errors
///
/// At the first thing that is not followed.
pub fn read(bytes: &[u8]) -> Read<Kind> {
    let mut reader = Reader::new(bytes);
    let kind = match reader.byte()? {
        ENCODED => {
            let (begins, mut streams) = reader.streams(false)?;
            let stream = streams.pop().filter(|_| streams.is_empty());
            let stream = stream.ok_or(Flaw::Broken("the packed header is not one stream"))?;
            Kind::Packed(begins, stream)
        }
        HEADER => {
            let mut header = Header::default();
            let mut next = reader.byte()?;
            if next == STREAMS {
                let (begins, streams) = reader.streams(true)?;
                if begins != 0 {
                    return Err(Flaw::Broken("something lies before the packed streams"));
                }
                header.streams = streams;
                next = reader.byte()?;
            }
            if next == FILES {
                header.files = reader.files()?;
                next = reader.byte()?;
            }
            if next != END {
                return Err(OUT_OF_PLACE);
            }
            Kind::Plain(header)
        }
        _ => return Err(Flaw::Broken("the header is of no known kind")),
    };
    if reader.is_empty() {
        Ok(kind)
    } else {
        Err(Flaw::Broken("something follows the header"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header as 7-Zip writes it for one file of LZMA2 and one directory.
    fn small() -> Vec<u8> {
        let mut bytes = vec![HEADER, STREAMS];
        bytes.extend([PACKED, 0, 1, SIZES, 9, END]);
        bytes.extend([
            UNPACKED,
            FOLDERS,
            1,
            0,
            1,
            0x21,
            0x21,
            1,
            24,
            UNPACKED_SIZES,
            5,
            END,
        ]);
        bytes.extend([PARTS, SUMS, 1, 1, 2, 3, 4, END, END]);
        bytes.extend([FILES, 2, EMPTY_STREAMS, 1, 0x40]);
        let names: Vec<u8> = "a\0b\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
        bytes.extend([NAMES, 9, 0]);
        bytes.extend(names);
        bytes.extend([ATTRIBUTES, 10, 1, 0, 0x20, 0, 0, 0, 0x10, 0, 0, 0]);
        bytes.extend([END, END]);
        bytes
    }

    #[test]
    fn a_header_says_what_is_packed_and_what_comes_out() {
        let Ok(Kind::Plain(header)) = read(&small()) else {
            panic!("{:?}", read(&small()));
        };
        let stream = Stream {
            packed: 9,
            unpacked: 5,
            coder: Coder::Lzma2 { window: 24 },
            is_filtered: false,
            parts: vec![Part {
                bytes: 5,
                sum: Some(0x0403_0201),
            }],
        };
        assert_eq!(header.streams, [stream]);
        let files: Vec<_> = header
            .files
            .iter()
            .map(|file| (&*file.name, file.has_content, file.is_directory, file.attributes))
            .collect();
        assert_eq!(files, [("a", true, false, 0x20), ("b", false, true, 0x10)]);
    }

    /// As py7zr writes it: the stream of the header lies behind the others and has no checksum.
    #[test]
    fn a_packed_header_is_one_stream() {
        let bytes = [
            ENCODED,
            PACKED,
            0x80,
            0x8c,
            1,
            SIZES,
            0x69,
            END,
            UNPACKED,
            FOLDERS,
            1,
            0,
            1,
            0x21,
            0x21,
            1,
            24,
            UNPACKED_SIZES,
            0x67,
            END,
            END,
        ];
        let Ok(Kind::Packed(0x8c, stream)) = read(&bytes) else {
            panic!("{:?}", read(&bytes));
        };
        assert_eq!((stream.packed, stream.unpacked), (0x69, 0x67));
        assert_eq!(
            stream.parts,
            [Part {
                bytes: 0x67,
                sum: None
            }]
        );
    }

    #[test]
    fn a_header_that_is_cut_or_longer_is_none() {
        let whole = small();
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_err(), "{end} bytes");
        }
        assert!(read(&[whole.as_slice(), &[0]].concat()).is_err());
    }
}
