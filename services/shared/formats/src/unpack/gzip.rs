//! gzip (RFC 1952).

use super::inflate::Inflate;
use super::{Failure, Receive, Unpack};

/// The longest header of a gzip stream, with names and comments.
const MAX_HEADER_BYTES: usize = 4 << 10;
/// Checksum and length after a gzip stream.
const TRAILER_BYTES: usize = 8;
/// Flags of a gzip header: a checksum of it, extra fields, a name, a comment.
const FLAGS: [u8; 4] = [1 << 1, 1 << 2, 1 << 3, 1 << 4];

#[derive(Debug)]
enum Stage {
    /// The header of a stream, which may be the second in the file.
    Header,
    /// Deflate.
    Data(Box<Inflate>),
    /// What follows a stream.
    Trailer,
}

/// A gzip file: one stream or more.
#[derive(Debug)]
pub struct Gzip {
    stage: Stage,
    held: Vec<u8>,
    crc: crc32fast::Hasher,
    /// Bytes that came out of the current stream, modulo 2³², as its trailer counts them.
    length: u32,
    streams: u64,
}

impl Default for Gzip {
    fn default() -> Self {
        Self {
            stage: Stage::Header,
            held: Vec::new(),
            crc: crc32fast::Hasher::new(),
            length: 0,
            streams: 0,
        }
    }
}

impl Gzip {
    /// Takes bytes of a header one by one: its length shows only on the way.
    fn header(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        for (index, byte) in bytes.iter().enumerate() {
            self.held.push(*byte);
            if header_end(&self.held)? {
                self.held.clear();
                self.stage = Stage::Data(Box::new(Inflate::new(false)));
                return Ok(index + 1);
            }
            if self.held.len() >= MAX_HEADER_BYTES {
                return Err(Failure::Damaged);
            }
        }
        Ok(bytes.len())
    }

    fn trailer(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        let taken = TRAILER_BYTES.saturating_sub(self.held.len()).min(bytes.len());
        self.held.extend(bytes.iter().take(taken));
        if self.held.len() == TRAILER_BYTES {
            let crc = std::mem::take(&mut self.crc).finalize();
            if self.held != [crc.to_le_bytes(), self.length.to_le_bytes()].concat() {
                return Err(Failure::Damaged);
            }
            self.held.clear();
            self.length = 0;
            self.stage = Stage::Header;
        }
        Ok(taken)
    }
}

impl Unpack for Gzip {
    fn feed(&mut self, bytes: &[u8], receive: Receive<'_>) -> Result<(), Failure> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = match &mut self.stage {
                Stage::Header => self.header(rest)?,
                Stage::Trailer => self.trailer(rest)?,
                Stage::Data(inflate) => {
                    let (crc, length) = (&mut self.crc, &mut self.length);
                    let mut enough = false;
                    let taken = inflate
                        .feed(rest, |out| {
                            crc.update(out);
                            *length = length.wrapping_add(u32::try_from(out.len()).unwrap_or(0));
                            enough = !receive(out);
                            !enough
                        })
                        .map_err(|_| Failure::Damaged)?;
                    if enough {
                        return Ok(());
                    }
                    if inflate.has_ended() {
                        self.streams += 1;
                        self.stage = Stage::Trailer;
                    }
                    taken
                }
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    fn finish(&mut self, _receive: Receive<'_>) -> Result<(), Failure> {
        match self.stage {
            Stage::Header if self.streams > 0 && self.held.is_empty() => Ok(()),
            _ => Err(Failure::Damaged),
        }
    }
}

/// Whether these bytes are a whole header; an error if they never will be.
fn header_end(held: &[u8]) -> Result<bool, Failure> {
    let fixed = [0x1f, 0x8b, 8];
    if !held.iter().zip(fixed).all(|(found, expected)| *found == expected) {
        return Err(Failure::Damaged);
    }
    let Some(flags) = held.get(3).filter(|_| held.len() >= 10) else {
        return Ok(false);
    };
    let [checksum, extra, name, comment] = FLAGS.map(|flag| flags & flag != 0);
    // The lowest bit guesses that the content is text.
    if flags & !(FLAGS.iter().sum::<u8>() | 1) != 0 {
        return Err(Failure::Damaged);
    }
    let mut at = 10;
    if extra {
        let Some(length) = crate::bytes::half(held, at) else {
            return Ok(false);
        };
        at += 2 + usize::from(length);
    }
    for present in [name, comment] {
        if present {
            let Some(length) = held
                .get(at..)
                .and_then(|rest| rest.iter().position(|byte| *byte == 0))
            else {
                return Ok(false);
            };
            at += length + 1;
        }
    }
    if checksum {
        at += 2;
    }
    Ok(held.len() >= at)
}
