//! The header of a 7z archive: which packed streams there are, how they are unpacked, and which files come out of them.
//!
//! Format: `7zFormat.txt` of 7-Zip. Stricter than its readers, so that all of them see the same: properties come once and in the order in which
//! 7-Zip writes them, every byte of the header and of the packed streams is accounted for, numbers are as short as they can be, and a stream
//! goes through one coder. Trust boundary: every byte; counts are held against the bytes that are left before anything is reserved.

/// The most files of an archive.
const MAX_FILES: usize = 1 << 16;
/// The most packed streams. 7-Zip puts thousands of small files into one.
const MAX_STREAMS: usize = 1 << 14;
/// The longest name, in units of UTF-16.
const MAX_NAME_UNITS: usize = 1 << 10;

/// Why the header is none, or is one that is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It is not what the format has there.
    Broken(&'static str),
    /// It uses a part of the format that archives of models have no use for.
    Unsupported(&'static str),
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
    /// LZMA2 with the size of its window.
    Lzma2 {
        /// How far back a match may reach, in bytes.
        window: u32,
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
    /// The contents of files in it, one after the other.
    pub parts: Vec<Part>,
}

/// A file or directory of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: String,
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

/// Reads a header, whose checksum is right.
///
/// # Errors
///
/// At the first thing that is not followed.
pub fn read(bytes: &[u8]) -> Read<Kind> {
    let mut reader = Reader(bytes);
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
                return Err(Flaw::Broken("a part of the header is out of place"));
            }
            Kind::Plain(header)
        }
        _ => return Err(Flaw::Broken("the header is of no known kind")),
    };
    if reader.0.is_empty() {
        Ok(kind)
    } else {
        Err(Flaw::Broken("something follows the header"))
    }
}

const CUT: Flaw = Flaw::Broken("the header ends in the middle");

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(CUT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Read<u8> {
        self.take(1)?.first().copied().ok_or(CUT)
    }

    fn expect(&mut self, wanted: u8) -> Read<()> {
        if self.byte()? == wanted {
            Ok(())
        } else {
            Err(Flaw::Broken("a part of the header is missing or out of place"))
        }
    }

    fn word(&mut self) -> Read<u32> {
        let bytes = self.take(4)?.first_chunk().ok_or(CUT)?;
        Ok(u32::from_le_bytes(*bytes))
    }

    /// A number: as many bytes follow the first one as it has leading ones; its other bits are the highest.
    fn number(&mut self) -> Read<u64> {
        let first = self.byte()?;
        let more = first.leading_ones();
        let low = self.take(usize::try_from(more).map_err(|_| CUT)?)?;
        let low_value = low
            .iter()
            .rev()
            .fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        let high = if more >= 7 {
            0
        } else {
            u64::from(first & (0x7f >> more)) << (8 * more)
        };
        let value = high | low_value;
        // One byte less has room for seven bits less.
        if more > 0 && value >> (7 * more) == 0 {
            return Err(Flaw::Broken("a number is written longer than it needs to be"));
        }
        Ok(value)
    }

    /// A number of things, each of which takes a byte or a bit at least.
    fn count(&mut self, most: usize, what: &'static str) -> Read<usize> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if count > most {
            Err(Flaw::Limit(what))
        } else {
            Ok(count)
        }
    }

    /// A bit for each of `count` things, the first the highest of the first byte.
    fn bits(&mut self, count: usize) -> Read<Vec<bool>> {
        let bytes = self.take(count.div_ceil(8))?;
        let bit = |at: usize| {
            bytes
                .get(at / 8)
                .is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1)
        };
        if (count..bytes.len() * 8).any(bit) {
            return Err(Flaw::Broken("bits stand for nothing"));
        }
        Ok((0..count).map(bit).collect())
    }

    /// A checksum for each of `count` things, all of which have one.
    fn sums(&mut self, count: usize) -> Read<Vec<u32>> {
        if self.byte()? != 1 {
            return Err(Flaw::Unsupported("contents without a checksum"));
        }
        (0..count).map(|_| self.word()).collect()
    }

    /// Where the streams begin behind the first header, and what they are. `summed` if all contents need a checksum.
    fn streams(&mut self, summed: bool) -> Read<(u64, Vec<Stream>)> {
        self.expect(PACKED)?;
        let begins = self.number()?;
        let count = self.count(MAX_STREAMS, "it has too many packed streams")?;
        self.expect(SIZES)?;
        let packed: Vec<u64> = (0..count).map(|_| self.number()).collect::<Read<_>>()?;
        self.expect(END)?;
        self.expect(UNPACKED)?;
        self.expect(FOLDERS)?;
        if self.count(MAX_STREAMS, "it has too many packed streams")? != count {
            return Err(Flaw::Unsupported("streams that are unpacked together"));
        }
        self.expect(0)?;
        let coders: Vec<Coder> = (0..count).map(|_| self.coder()).collect::<Read<_>>()?;
        self.expect(UNPACKED_SIZES)?;
        let unpacked: Vec<u64> = (0..count).map(|_| self.number()).collect::<Read<_>>()?;
        let mut next = self.byte()?;
        let mut sums = None;
        if next == SUMS {
            sums = Some(self.sums(count)?);
            next = self.byte()?;
        }
        if next != END {
            return Err(Flaw::Broken("a part of the header is out of place"));
        }
        let mut streams: Vec<Stream> = packed
            .into_iter()
            .zip(coders)
            .zip(unpacked)
            .map(|((packed, coder), unpacked)| Stream {
                packed,
                unpacked,
                coder,
                parts: Vec::new(),
            })
            .collect();
        next = self.byte()?;
        if next == PARTS {
            self.parts(&mut streams, sums.as_deref())?;
            next = self.byte()?;
        } else {
            if summed && sums.is_none() {
                return Err(Flaw::Unsupported("contents without a checksum"));
            }
            for (at, stream) in streams.iter_mut().enumerate() {
                stream.parts.push(Part {
                    bytes: stream.unpacked,
                    sum: sums.as_ref().and_then(|sums| sums.get(at).copied()),
                });
            }
        }
        if next == END {
            Ok((begins, streams))
        } else {
            Err(Flaw::Broken("a part of the header is out of place"))
        }
    }

    /// A folder of one coder.
    fn coder(&mut self) -> Read<Coder> {
        if self.number()? != 1 {
            return Err(Flaw::Unsupported(
                "streams that go through several coders or filters",
            ));
        }
        let flags = self.byte()?;
        if flags & 0xd0 != 0 {
            return Err(Flaw::Unsupported(
                "streams that go through several coders or filters",
            ));
        }
        let id = self.take(usize::from(flags & 0x0f))?;
        let properties = if flags & 0x20 == 0 {
            &[]
        } else {
            let length = self.count(64, "a coder has too many properties")?;
            self.take(length)?
        };
        match (id, properties) {
            ([0x00], []) => Ok(Coder::Copy),
            ([0x21], [size]) => Ok(Coder::Lzma2 {
                window: lzma2_window(*size)?,
            }),
            ([0x03, 0x01, 0x01], [properties, window @ ..]) => {
                let window = window.first_chunk().filter(|_| window.len() == 4);
                let window = window.ok_or(Flaw::Broken("LZMA without its properties"))?;
                Ok(Coder::Lzma {
                    properties: *properties,
                    window: u32::from_le_bytes(*window),
                })
            }
            ([0x04, 0x01, 0x08], []) => Ok(Coder::Deflate),
            ([0x04, 0x02, 0x02], []) => Ok(Coder::Bzip2),
            ([0x06, 0xf1, ..], _) => Err(Flaw::Unsupported("encryption")),
            _ => Err(Flaw::Unsupported("a coder that is not known here")),
        }
    }

    /// How the streams are divided into the contents of files.
    fn parts(&mut self, streams: &mut [Stream], sums: Option<&[u32]>) -> Read<()> {
        let mut next = self.byte()?;
        let mut counts = vec![1; streams.len()];
        if next == COUNTS {
            for count in &mut counts {
                *count = self.count(MAX_FILES, "it has too many files")?;
            }
            next = self.byte()?;
        }
        if counts.contains(&0) {
            return Err(Flaw::Broken("a stream has no content"));
        }
        let has_sizes = next == SIZES;
        let total: usize = counts.iter().sum();
        if total > MAX_FILES {
            return Err(Flaw::Limit("it has too many files"));
        }
        for (stream, count) in streams.iter_mut().zip(&counts) {
            let mut left = stream.unpacked;
            for _ in 1..*count {
                if !has_sizes {
                    return Err(Flaw::Broken("the sizes of files are missing"));
                }
                let bytes = self.number()?;
                left = left
                    .checked_sub(bytes)
                    .ok_or(Flaw::Broken("files have more bytes than their stream"))?;
                stream.parts.push(Part { bytes, sum: None });
            }
            stream.parts.push(Part {
                bytes: left,
                sum: None,
            });
        }
        if has_sizes {
            next = self.byte()?;
        }
        // A stream that is one file may have its sum already.
        let known = |stream: &Stream| stream.parts.len() == 1 && sums.is_some();
        let missing: usize = streams
            .iter()
            .filter(|stream| !known(stream))
            .map(|stream| stream.parts.len())
            .sum();
        let mut more = Vec::new();
        if next == SUMS {
            more = self.sums(missing)?;
            next = self.byte()?;
        }
        if more.len() != missing {
            return Err(Flaw::Unsupported("contents without a checksum"));
        }
        let mut more = more.into_iter();
        for (at, stream) in streams.iter_mut().enumerate() {
            let own = sums
                .and_then(|sums| sums.get(at))
                .filter(|_| stream.parts.len() == 1);
            for part in &mut stream.parts {
                part.sum = own.copied().or_else(|| more.next());
            }
        }
        if next == END {
            Ok(())
        } else {
            Err(Flaw::Broken("a part of the header is out of place"))
        }
    }

    fn files(&mut self) -> Read<Vec<File>> {
        let count = self.count(MAX_FILES, "it has too many files")?;
        let (mut empty, mut plain, mut names, mut attributes) = (None, None, None, None);
        let mut seen = 0_u32;
        loop {
            let kind = self.byte()?;
            if kind == END {
                break;
            }
            let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
            let mut content = Reader(self.take(length)?);
            let bit = 1_u32.checked_shl(kind.into()).unwrap_or(0);
            if kind != PADDING && (bit == 0 || seen & bit != 0) {
                return Err(Flaw::Broken("a property of files is there twice, or unknown"));
            }
            seen |= bit;
            match kind {
                EMPTY_STREAMS => empty = Some(content.bits(count)?),
                EMPTY_FILES => {
                    let empty = empty.as_deref().unwrap_or_default();
                    plain = Some(content.bits(empty.iter().filter(|empty| **empty).count())?);
                }
                NAMES => names = Some(content.names(count)?),
                ATTRIBUTES => attributes = Some(content.attributes(count)?),
                // When files were made and changed.
                kind if TIMES.contains(&kind) => content.0 = &[],
                PADDING if content.0.iter().all(|byte| *byte == 0) => content.0 = &[],
                _ => return Err(Flaw::Unsupported("a property of files that is not known here")),
            }
            if !content.0.is_empty() {
                return Err(Flaw::Broken("a property of files is longer than it should be"));
            }
        }
        let names = names.ok_or(Flaw::Broken("the files have no names"))?;
        let (empty, plain) = (empty.unwrap_or_default(), plain.unwrap_or_default());
        let attributes = attributes.unwrap_or_default();
        let mut plain = plain.into_iter();
        let file = |(at, name): (usize, String)| {
            let is_empty = empty.get(at).copied().unwrap_or(false);
            File {
                name,
                has_content: !is_empty,
                is_directory: is_empty && !plain.next().unwrap_or(false),
                attributes: attributes.get(at).copied().unwrap_or(0),
            }
        };
        Ok(names.into_iter().enumerate().map(file).collect())
    }

    fn names(&mut self, count: usize) -> Read<Vec<String>> {
        self.expect(0)?;
        let mut names = Vec::new();
        for _ in 0..count {
            let mut units = Vec::new();
            loop {
                let unit = self.take(2)?.first_chunk().ok_or(CUT)?;
                match u16::from_le_bytes(*unit) {
                    0 => break,
                    unit => units.push(unit),
                }
                if units.len() > MAX_NAME_UNITS {
                    return Err(Flaw::Limit("a name is too long"));
                }
            }
            let name = String::from_utf16(&units).map_err(|_| Flaw::Broken("a name is no text"))?;
            names.push(name);
        }
        Ok(names)
    }

    fn attributes(&mut self, count: usize) -> Read<Vec<u32>> {
        let defined = if self.byte()? == 1 {
            vec![true; count]
        } else {
            self.bits(count)?
        };
        self.expect(0)?;
        defined
            .into_iter()
            .map(|defined| if defined { self.word() } else { Ok(0) })
            .collect()
    }
}

/// The window of LZMA2, of which one byte says the size: powers of two and one and a half times these.
fn lzma2_window(size: u8) -> Read<u32> {
    match size {
        0..40 => Ok((2 | u32::from(size & 1)) << (u32::from(size) / 2 + 11)),
        40 => Ok(u32::MAX),
        _ => Err(Flaw::Broken("LZMA2 with a window that does not exist")),
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
            coder: Coder::Lzma2 { window: 16 << 20 },
            parts: vec![Part {
                bytes: 5,
                sum: Some(0x0403_0201),
            }],
        };
        assert_eq!(header.streams, [stream]);
        let files: Vec<_> = header
            .files
            .iter()
            .map(|file| {
                (
                    file.name.as_str(),
                    file.has_content,
                    file.is_directory,
                    file.attributes,
                )
            })
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

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        for (bytes, wanted) in [
            (&[0x7f][..], Some(0x7f)),
            (&[0x80, 0x80], Some(0x80)),
            (&[0x80, 0x7f], None),
            (&[0xbf, 0xff], Some(0x3fff)),
            (&[0xc0, 0, 0x40], Some(0x4000)),
            (&[0xff, 1, 0, 0, 0, 0, 0, 0, 0x80], Some(0x8000_0000_0000_0001)),
            (&[0xff, 1, 0, 0, 0, 0, 0, 0, 0], None),
            (&[0xc0, 0], None),
        ] {
            assert_eq!(Reader(bytes).number().ok(), wanted, "{bytes:x?}");
        }
    }
}
