//! PNG: a signature, then chunks with a length, a name and a checksum (W3C Portable Network Graphics, third edition, section 5).

use crc32fast::Hasher;

use super::{Flaw, Structure};

const SIGNATURE: &[u8; 8] = b"\x89PNG\r\n\x1a\n";
/// Bytes of a chunk's length and name.
const HEAD: usize = 8;
/// The chunks that every reader has to know.
const CRITICAL: [&[u8; 4]; 4] = [b"IHDR", b"PLTE", b"IDAT", b"IEND"];
/// The longest chunk.
const MAX_CHUNK: u32 = (1 << 31) - 1;

enum Stage {
    Signature,
    Head,
    /// The data has gone by; its checksum is being read.
    Checksum,
    Ended,
}

pub struct Png {
    stage: Stage,
    /// What was read of the signature, of a chunk's head or of its checksum.
    read: Vec<u8>,
    hasher: Hasher,
    chunks: u64,
    is_last: bool,
}

impl Default for Png {
    fn default() -> Self {
        Self {
            stage: Stage::Signature,
            read: Vec::with_capacity(HEAD),
            hasher: Hasher::new(),
            chunks: 0,
            is_last: false,
        }
    }
}

impl Png {
    /// A chunk's head was read, whose last byte is at `at`. Returns the length of its data.
    fn head(&mut self, at: u64) -> Result<u64, Flaw> {
        let begin = at + 1 - HEAD as u64;
        let (length, name) = self.read.split_at(4);
        let length = u32::from_be_bytes(length.try_into().unwrap_or_default());
        if !name.iter().all(u8::is_ascii_alphabetic) {
            return Err((begin + 4, "a part without a name"));
        }
        if length > MAX_CHUNK {
            return Err((begin, "a part that is too long"));
        }
        let is_header = name == b"IHDR";
        if is_header != (self.chunks == 0) || (is_header && length != 13) {
            return Err((begin, "a header in the wrong place, or none"));
        }
        let must_be_known = name.first().is_some_and(u8::is_ascii_uppercase);
        if must_be_known && !CRITICAL.iter().any(|known| name == *known) {
            return Err((begin, "a part that pictures do not have"));
        }
        self.is_last = name == b"IEND";
        if self.is_last && length > 0 {
            return Err((begin, "an end with something in it"));
        }
        self.chunks += 1;
        self.hasher = Hasher::new();
        self.hasher.update(name);
        self.read.clear();
        self.stage = Stage::Checksum;
        Ok(length.into())
    }
}

impl Structure for Png {
    fn byte(&mut self, at: u64, byte: u8) -> Result<u64, Flaw> {
        self.read.push(byte);
        match self.stage {
            Stage::Signature if self.read.len() == SIGNATURE.len() => {
                if self.read != SIGNATURE {
                    return Err((0, "another signature"));
                }
                self.read.clear();
                self.stage = Stage::Head;
            }
            Stage::Head if self.read.len() == HEAD => return self.head(at),
            Stage::Checksum if self.read.len() == 4 => {
                let sum = u32::from_be_bytes(self.read[..].try_into().unwrap_or_default());
                if sum != self.hasher.clone().finalize() {
                    return Err((at, "a part with another checksum"));
                }
                self.read.clear();
                self.stage = if self.is_last { Stage::Ended } else { Stage::Head };
            }
            _ => {}
        }
        Ok(0)
    }

    fn passed(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }
}
