//! What lies where in an archive: read before the archive itself, so that each stream is known when its bytes go by.

use super::header::{self, Flaw, Header, Kind, Stream};
use super::unpacker;
use crate::ahead::{Peek, Wrong};
use crate::budget::Budget;
use crate::bytes::{long, word};
use crate::rules::{self, Rule};
use crate::unpack::Failure;

/// What archives begin with.
pub const SIGNATURE: &[u8; 6] = b"7z\xbc\xaf\x27\x1c";
/// The first header: signature, version, and where the other is, with checksums.
pub const START_BYTES: usize = 32;
/// The largest header that is read, packed or not; some ten thousand files.
const MAX_HEADER_BYTES: u64 = 8 << 20;

/// What an archive says about itself, and the bytes that say it.
#[derive(Debug, Clone)]
pub struct Layout {
    /// What the header says. There are as many contents in the streams as files that have one.
    pub header: Header,
    /// The first header.
    pub start: [u8; START_BYTES],
    /// Where the packed streams end.
    pub streams_end: u64,
    /// Everything from there to the end of the file.
    pub end: Box<[u8]>,
}

impl Layout {
    /// Reads the headers of an archive of `size` bytes.
    ///
    /// # Errors
    ///
    /// The finding to report when there are none that all readers understand alike.
    pub fn read(size: u64, peek: Peek<'_>, budget: &Budget) -> Result<Self, Wrong> {
        let mut start = [0; START_BYTES];
        if size < start.len() as u64 || !peek(0, &mut start) {
            return Err(broken(0, "it is too short for a 7z archive"));
        }
        let checked = start.get(12..).unwrap_or_default();
        if word(&start, 8) != Some(crc32fast::hash(checked)) {
            return Err(broken(0, "the checksum of its first header is wrong"));
        }
        // The major version. The minor one tells nothing: 7-Zip writes 4, others 2 or 3.
        if start.get(6) != Some(&0) {
            return Err(broken(0, "it is of a version that does not exist"));
        }
        let number = |at| long(&start, at).unwrap_or(u64::MAX);
        let (offset, length) = (number(12), number(20));
        let at = offset.saturating_add(START_BYTES as u64);
        if at.checked_add(length) != Some(size) {
            let message = "its header does not end where the file does: it is cut off, or something follows";
            return Err(broken(0, message));
        }
        let bytes = take(at, length, peek)?;
        if word(&start, 28) != Some(crc32fast::hash(&bytes)) {
            return Err(broken(at, "the checksum of its header is wrong"));
        }
        let (header, streams_end) = if bytes.is_empty() {
            // An archive without a file has no header, and nothing else.
            (Header::default(), at)
        } else {
            match header::read(&bytes).map_err(|flaw| flawed(at, flaw))? {
                Kind::Plain(header) => (header, at),
                Kind::Packed(begins, stream) => {
                    let begins = begins.saturating_add(START_BYTES as u64);
                    if begins.checked_add(stream.packed) != Some(at) {
                        return Err(broken(at, "something lies before or behind its packed header"));
                    }
                    (unpack(begins, &stream, peek, budget)?, begins)
                }
            }
        };
        let packed = header
            .streams
            .iter()
            .try_fold(START_BYTES as u64, |at, stream| at.checked_add(stream.packed));
        if packed != Some(streams_end) {
            return Err(broken(
                at,
                "its packed streams do not end where its header begins",
            ));
        }
        let parts: usize = header.streams.iter().map(|stream| stream.parts.len()).sum();
        if parts != header.files.iter().filter(|file| file.has_content).count() {
            return Err(broken(at, "it has not as many contents as files that have one"));
        }
        Ok(Self {
            header,
            start,
            streams_end,
            end: take(streams_end, size.saturating_sub(streams_end), peek)?,
        })
    }
}

/// Reads a packed header.
fn unpack(at: u64, stream: &Stream, peek: Peek<'_>, budget: &Budget) -> Result<Header, Wrong> {
    let packed = take(at, stream.packed, peek)?;
    if stream.unpacked > MAX_HEADER_BYTES {
        return Err(too_large(at, stream.unpacked));
    }
    let limit = usize::try_from(stream.unpacked).unwrap_or_default();
    let mut bytes = Vec::new();
    let mut receive = |out: &[u8]| {
        bytes.extend_from_slice(out);
        bytes.len() <= limit
    };
    let result = unpacker(stream, budget).and_then(|mut unpack| {
        unpack.feed(&packed, &mut receive)?;
        unpack.finish(&mut receive)
    });
    match result {
        Ok(()) => {}
        Err(Failure::Damaged) => return Err(broken(at, "its packed header is damaged")),
        Err(Failure::Unsupported(what)) => return Err(flawed(at, Flaw::Unsupported(what))),
        Err(Failure::Memory) => {
            return Err(Wrong {
                rule: &rules::CMP_MEMORY,
                at,
                message: "unpacking its header takes more memory than an inspection has".to_owned(),
            });
        }
    }
    let sum = crc32fast::hash(&bytes);
    let is_whole = bytes.len() == limit
        && stream
            .parts
            .iter()
            .all(|part| part.sum.is_none_or(|own| own == sum));
    if !is_whole {
        return Err(broken(at, "its packed header is damaged"));
    }
    match header::read(&bytes).map_err(|flaw| flawed(at, flaw))? {
        Kind::Plain(header) => Ok(header),
        Kind::Packed(..) => Err(broken(at, "its header is packed twice")),
    }
}

fn take(at: u64, length: u64, peek: Peek<'_>) -> Result<Box<[u8]>, Wrong> {
    if length > 2 * MAX_HEADER_BYTES {
        return Err(too_large(at, length));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()].into_boxed_slice();
    if peek(at, &mut bytes) {
        Ok(bytes)
    } else {
        Err(broken(at, "its end could not be read before the rest"))
    }
}

fn flawed(at: u64, flaw: Flaw) -> Wrong {
    let (rule, message): (&'static Rule, _) = match flaw {
        Flaw::Broken(message) => (&rules::SEVENZIP_HEADER, message.to_owned()),
        Flaw::Limit(message) => (&rules::SEVENZIP_LIMIT, message.to_owned()),
        Flaw::Unsupported(what) => (&rules::SEVENZIP_METHOD, format!("it has {what}")),
        Flaw::Encrypted => (&rules::SEVENZIP_ENCRYPTED, "it is encrypted".to_owned()),
    };
    Wrong { rule, at, message }
}

fn broken(at: u64, message: &'static str) -> Wrong {
    flawed(at, Flaw::Broken(message))
}

fn too_large(at: u64, bytes: u64) -> Wrong {
    Wrong {
        rule: &rules::SEVENZIP_LIMIT,
        at,
        message: format!("its header takes {bytes} bytes, the limit is {MAX_HEADER_BYTES}"),
    }
}
