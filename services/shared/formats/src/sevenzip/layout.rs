//! What lies where in an archive: read before the archive itself, so that each stream is known when its bytes go by.

use super::header::{self, Flaw, Header, Kind, Part, Stream};
use super::unpacker;
use crate::ahead::{Peek, Wrong};
use crate::budget::{Budget, Memory};
use crate::bytes::{long, word};
use crate::finding::Findings;
use crate::format::Format;
use crate::rules::{self, Rule};
use crate::scan::{Own, Scan};
use crate::unpack::Failure;

/// What archives begin with.
pub const SIGNATURE: &[u8; 6] = b"7z\xbc\xaf\x27\x1c";
/// The first header: signature, version, and where the other is, with checksums.
pub const START_BYTES: usize = 32;
/// The largest header that is read, packed or not; some ten thousand files.
const MAX_HEADER_BYTES: u64 = 4 << 20;
/// How much memory what is read takes for each byte of it: the bytes, names in UTF-8, and what is known of each file.
const MEMORY_PER_BYTE: u64 = 4;

/// What an archive says about itself, and the bytes that say it.
#[derive(Debug)]
pub struct Layout {
    /// What the header says. There are as many contents in the streams as files that have one.
    pub header: Header,
    /// The first header.
    pub start: [u8; START_BYTES],
    /// Where the packed streams end.
    pub streams_end: u64,
    /// Everything from there to the end of the file.
    pub end: Box<[u8]>,
    /// What else was found in the header: it has room for bytes that stand for nothing else, and no other inspection sees them.
    pub found: Findings,
    _memory: Vec<Memory>,
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
        let mut memory = vec![reserve(at, length, budget)?];
        let bytes = take(at, length, peek)?;
        if word(&start, 28) != Some(crc32fast::hash(&bytes)) {
            return Err(broken(at, "the checksum of its header is wrong"));
        }
        let mut found = scanned(&bytes, budget, |offset| at.saturating_add(offset));
        let (header, streams_end, end) = if bytes.is_empty() {
            // An archive without a file has no header, and nothing else.
            (Header::default(), at, bytes)
        } else {
            match header::read(&bytes).map_err(|flaw| flawed(at, flaw))? {
                Kind::Plain(header) => (header, at, bytes),
                Kind::Packed(begins, stream) => {
                    let begins = begins.saturating_add(START_BYTES as u64);
                    if begins.checked_add(stream.packed) != Some(at) {
                        return Err(broken(at, "something lies before or behind its packed header"));
                    }
                    memory.push(reserve(begins, stream.packed, budget)?);
                    memory.push(reserve(begins, stream.unpacked, budget)?);
                    let packed = take(begins, stream.packed, peek)?;
                    let unpacked = unpack(begins, &stream, &packed, budget)?;
                    found.append(scanned(&unpacked, budget, |_| begins));
                    let header = match header::read(&unpacked).map_err(|flaw| flawed(begins, flaw))? {
                        Kind::Plain(header) => header,
                        Kind::Packed(..) => return Err(broken(begins, "its header is packed twice")),
                    };
                    let end = [packed, bytes].concat();
                    (header, begins, end.into_boxed_slice())
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
            end,
            found,
            _memory: memory,
        })
    }
}

/// Sets memory aside for so many bytes of a header and what is made of them.
fn reserve(at: u64, bytes: u64, budget: &Budget) -> Result<Memory, Wrong> {
    if bytes > MAX_HEADER_BYTES {
        return Err(Wrong {
            rule: &rules::SEVENZIP_LIMIT,
            at,
            message: format!("its header takes {bytes} bytes, the limit is {MAX_HEADER_BYTES}"),
        });
    }
    budget
        .memory(bytes.saturating_mul(MEMORY_PER_BYTE))
        .ok_or_else(|| no_memory(at))
}

/// Searches a header.
fn scanned(header: &[u8], budget: &Budget, place: impl Fn(u64) -> u64) -> Findings {
    let mut scan = Scan::new(budget.scanner());
    scan.feed(header);
    scan.finish(Format::SevenZip, &Own::Nothing)
        .within("the archive's header", place)
}

/// Unpacks a packed header.
fn unpack(at: u64, stream: &Stream, packed: &[u8], budget: &Budget) -> Result<Vec<u8>, Wrong> {
    let limit = usize::try_from(stream.unpacked).unwrap_or_default();
    if !budget.spend(limit) {
        return Err(Wrong {
            rule: &rules::ZIP_BOMB,
            at,
            message: "far more comes out of the archive than its size can explain".to_owned(),
        });
    }
    let mut bytes = Vec::with_capacity(limit);
    let mut is_larger = false;
    let mut receive = |out: &[u8]| {
        is_larger = bytes.len() + out.len() > limit;
        if !is_larger {
            bytes.extend_from_slice(out);
        }
        !is_larger
    };
    let mut run = || {
        let mut unpack = unpacker(stream, budget)?;
        unpack.feed(packed, &mut receive)?;
        unpack.finish(&mut receive)
    };
    match run() {
        Ok(()) => {}
        Err(Failure::Damaged) => return Err(broken(at, "its packed header is damaged")),
        Err(Failure::Unsupported(what)) => return Err(flawed(at, Flaw::Unsupported(what))),
        Err(Failure::Memory) => return Err(no_memory(at)),
    }
    let sum = crc32fast::hash(&bytes);
    let is_said = |part: &Part| part.sum.is_none_or(|said| said == sum);
    if !is_larger && bytes.len() == limit && stream.parts.iter().all(is_said) {
        Ok(bytes)
    } else {
        Err(broken(at, "its packed header is damaged"))
    }
}

/// Reads so many bytes, no more than was reserved.
fn take(at: u64, length: u64, peek: Peek<'_>) -> Result<Box<[u8]>, Wrong> {
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

fn no_memory(at: u64) -> Wrong {
    Wrong {
        rule: &rules::CMP_MEMORY,
        at,
        message: "reading its header takes more memory than an inspection has".to_owned(),
    }
}
