//! The packed streams: where they are, how they are unpacked, and how what comes out is divided into files.

use super::reader::Reader;
use super::{
    COUNTS, Coder, END, FOLDERS, Flaw, MAX_FILES, OUT_OF_PLACE, PACKED, PARTS, Part, Read, SIZES, SUMS,
    Stream, UNPACKED, UNPACKED_SIZES,
};

/// The most packed streams. 7-Zip puts thousands of small files into one.
const MAX_STREAMS: usize = 1 << 14;

const SEVERAL: Flaw = Flaw::Unsupported("streams that go through several coders or filters");

/// The most coders of a stream that are read, to say what is the matter with them.
const MAX_CODERS: usize = 8;

/// One step of unpacking.
#[derive(Clone, Copy)]
enum Step {
    Coder(Coder),
    /// The filter for machine code.
    X86,
}

/// All steps of a stream.
struct Folder {
    coder: Coder,
    is_filtered: bool,
}

impl Folder {
    /// How many bytes come out of it. Each step says so, and a filter changes no length.
    fn unpacked(&self, reader: &mut Reader<'_>) -> Read<u64> {
        let unpacked = reader.number()?;
        if self.is_filtered && reader.number()? != unpacked {
            return Err(Flaw::Broken("a filter changes the length of a stream"));
        }
        Ok(unpacked)
    }
}

impl Reader<'_> {
    /// Where the streams begin behind the first header, and what they are. `summed` if all contents need a checksum.
    pub fn streams(&mut self, summed: bool) -> Read<(u64, Vec<Stream>)> {
        self.expect(PACKED)?;
        let begins = self.number()?;
        let count = self.count(MAX_STREAMS, "it has too many packed streams")?;
        self.expect(SIZES)?;
        let packed: Vec<u64> = (0..count).map(|_| self.number()).collect::<Read<_>>()?;
        let mut next = self.byte()?;
        let has_packed_sums = next == SUMS;
        if has_packed_sums {
            self.sums(count)?;
            next = self.byte()?;
        }
        if next != END {
            return Err(OUT_OF_PLACE);
        }
        self.expect(UNPACKED)?;
        self.expect(FOLDERS)?;
        if self.count(MAX_STREAMS, "it has too many packed streams")? != count {
            return Err(Flaw::Unsupported("streams that are unpacked together"));
        }
        self.expect(0)?;
        let folders: Vec<Folder> = (0..count).map(|_| self.folder()).collect::<Read<_>>()?;
        if packed.contains(&0) {
            return Err(Flaw::Broken("a packed stream has no bytes"));
        }
        // py7zr writes them when it encrypts, nobody otherwise.
        if has_packed_sums {
            return Err(Flaw::Unsupported("checksums of what is packed"));
        }
        self.expect(UNPACKED_SIZES)?;
        let sizes = folders.iter().map(|folder| folder.unpacked(self));
        let unpacked: Vec<u64> = sizes.collect::<Read<_>>()?;
        next = self.byte()?;
        let mut sums = None;
        if next == SUMS {
            sums = Some(self.sums(count)?);
            next = self.byte()?;
        }
        if next != END {
            return Err(OUT_OF_PLACE);
        }
        let mut streams: Vec<Stream> = packed
            .into_iter()
            .zip(folders)
            .zip(unpacked)
            .map(|((packed, folder), unpacked)| Stream {
                packed,
                unpacked,
                coder: folder.coder,
                is_filtered: folder.is_filtered,
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
            Err(OUT_OF_PLACE)
        }
    }

    /// How a stream is unpacked.
    fn folder(&mut self) -> Read<Folder> {
        let count = self.count(MAX_CODERS, "a stream goes through too many coders")?;
        let steps: Vec<Step> = (0..count).map(|_| self.step()).collect::<Read<_>>()?;
        let (coder, is_filtered) = match *steps {
            [Step::Coder(coder)] => (coder, false),
            // As 7-Zip and py7zr write them: the filter last, which takes what comes out of the first. py7zr cannot read them the other way round.
            [Step::Coder(coder), Step::X86] if (self.number()?, self.number()?) == (1, 0) => (coder, true),
            _ => return Err(SEVERAL),
        };
        Ok(Folder { coder, is_filtered })
    }

    fn step(&mut self) -> Read<Step> {
        let flags = self.byte()?;
        if flags & 0xc0 != 0 {
            return Err(Flaw::Broken("a coder is described in a way that does not exist"));
        }
        let id = self.take(usize::from(flags & 0x0f))?;
        if flags & 0x10 != 0 {
            return Err(SEVERAL);
        }
        let properties = if flags & 0x20 == 0 {
            &[]
        } else {
            let length = self.count(64, "a coder has too many properties")?;
            self.take(length)?
        };
        let coder = match (id, properties) {
            ([0x03, 0x03, 0x01, 0x03], []) => return Ok(Step::X86),
            ([0x00], []) => Coder::Copy,
            ([0x21], [window]) => Coder::Lzma2 { window: *window },
            ([0x03, 0x01, 0x01], [properties, window @ ..]) => {
                let window = window.first_chunk().filter(|_| window.len() == 4);
                let window = window.ok_or(Flaw::Broken("LZMA without its properties"))?;
                Coder::Lzma {
                    properties: *properties,
                    window: u32::from_le_bytes(*window),
                }
            }
            ([0x04, 0x01, 0x08], []) => Coder::Deflate,
            ([0x04, 0x02, 0x02], []) => Coder::Bzip2,
            ([0x06, 0xf1, ..], _) => return Err(Flaw::Encrypted),
            _ => return Err(Flaw::Unsupported(known(id))),
        };
        Ok(Step::Coder(coder))
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
        if next == END { Ok(()) } else { Err(OUT_OF_PLACE) }
    }
}

/// What a coder that is not followed is called.
fn known(id: &[u8]) -> &'static str {
    match id {
        [0x03] => "streams packed with the delta filter",
        [0x04..=0x0b] | [0x03, 0x03, ..] => {
            "streams packed with a filter for machine code that is not followed"
        }
        [0x03, 0x04, 0x01] => "streams packed by PPMd",
        [0x04, 0x01, 0x09] => "streams packed by Deflate64",
        [0x04, 0xf7, 0x11, 0x01] => "streams packed by Zstandard",
        [0x04, 0xf7, 0x11, 0x02] => "streams packed by Brotli",
        [0x04, 0xf7, 0x11, 0x04] => "streams packed by LZ4",
        _ => "streams packed by a method that is not known here",
    }
}
