//! The bytes of one member on their way out of the archive: unpacked, counted, summed, and handed to whoever looks at them.

use flate2::{Decompress, FlushDecompress, Status};

use super::budget::Budget;
use super::entry::Entry;
use super::judge::DEFLATED;

/// Bytes that are unpacked at a time.
const WINDOW_BYTES: usize = 64 << 10;

/// What is wrong with a member's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// They are not what the compression allows, or end too early or too late.
    Packed,
    /// There are more or fewer than the directory says.
    Size(u64),
    /// Their checksum is another.
    Checksum(u32),
    /// More came out than is allowed.
    Budget,
}

/// A member that is being read.
#[derive(Debug)]
pub struct Unpacker {
    packed: Option<Packed>,
    crc: crc32fast::Hasher,
    out: u64,
    size: u64,
    expected: u32,
}

struct Packed {
    inflate: Decompress,
    window: Box<[u8]>,
    ended: bool,
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packed")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Unpacker {
    /// For a member's data, from its first byte.
    pub fn new(entry: &Entry) -> Self {
        Self {
            packed: (entry.method == DEFLATED).then(|| Packed {
                inflate: Decompress::new(false),
                window: vec![0; WINDOW_BYTES].into_boxed_slice(),
                ended: false,
            }),
            crc: crc32fast::Hasher::new(),
            out: 0,
            size: entry.size,
            expected: entry.crc,
        }
    }

    /// Takes the next bytes of the archive that are the member's, and gives `receive` what they stand for.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        budget: &Budget,
        mut receive: impl FnMut(u64, &[u8]),
    ) -> Result<(), Damage> {
        let Some(packed) = &mut self.packed else {
            self.crc.update(bytes);
            receive(self.out, bytes);
            self.out += bytes.len() as u64;
            return Ok(());
        };
        let mut rest = bytes;
        loop {
            if packed.ended {
                return if rest.is_empty() {
                    Ok(())
                } else {
                    Err(Damage::Packed)
                };
            }
            let (taken, made) = (packed.inflate.total_in(), packed.inflate.total_out());
            let status = packed
                .inflate
                .decompress(rest, &mut packed.window, FlushDecompress::None)
                .map_err(|_| Damage::Packed)?;
            let taken = usize::try_from(packed.inflate.total_in() - taken).unwrap_or(usize::MAX);
            let made = usize::try_from(packed.inflate.total_out() - made).unwrap_or(usize::MAX);
            rest = rest.get(taken..).unwrap_or_default();
            let output = packed.window.get(..made).unwrap_or_default();
            packed.ended = status == Status::StreamEnd;
            if !output.is_empty() {
                if !budget.spend(output.len()) {
                    return Err(Damage::Budget);
                }
                let out = self.out + output.len() as u64;
                // Said now, so that nobody unpacks what the directory does not admit to.
                if out > self.size {
                    return Err(Damage::Size(out));
                }
                self.crc.update(output);
                receive(self.out, output);
                self.out = out;
            }
            // The window may have held back what these bytes stand for; then more comes out of no bytes.
            if rest.is_empty() && made < WINDOW_BYTES && !packed.ended {
                return Ok(());
            }
            if taken == 0 && made == 0 && !packed.ended {
                return Err(Damage::Packed);
            }
        }
    }

    /// The member's bytes have ended.
    pub fn finish(self) -> Result<u64, Damage> {
        if self.packed.is_some_and(|packed| !packed.ended) {
            return Err(Damage::Packed);
        }
        if self.out != self.size {
            return Err(Damage::Size(self.out));
        }
        let found = self.crc.finalize();
        if found != self.expected {
            return Err(Damage::Checksum(found));
        }
        Ok(self.out)
    }
}
