//! The bytes of one member on their way out of the archive: unpacked, counted, summed, and handed to whoever looks at them.

use super::entry::Entry;
use super::judge::DEFLATED;
use crate::budget::Budget;
use crate::unpack::Inflate;

/// What is wrong with a member's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// They are not what the compression allows, end too early or too late, or stand for more than the directory says.
    Packed,
    /// There are fewer than the directory says, or more that are not compressed.
    Size(u64),
    /// Their checksum is another.
    Checksum(u32),
    /// More came out than is allowed.
    Budget,
}

/// A member that is being read.
#[derive(Debug)]
pub struct Unpacker {
    packed: Option<Inflate>,
    crc: crc32fast::Hasher,
    out: u64,
    size: u64,
    expected: u32,
}

impl Unpacker {
    /// For a member's data, from its first byte.
    pub fn new(entry: &Entry) -> Self {
        Self {
            packed: (entry.method == DEFLATED).then(|| Inflate::new(false)),
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
        let (crc, out, size) = (&mut self.crc, &mut self.out, self.size);
        let mut wrong = None;
        let taken = packed
            .feed(bytes, |unpacked| {
                let sum = *out + unpacked.len() as u64;
                if !budget.spend(unpacked.len()) {
                    wrong = Some(Damage::Budget);
                } else if sum > size {
                    // Said now, so that nobody unpacks what the directory does not admit to. How much more there is shows only in
                    // part, and in which part depends on how the bytes are cut.
                    wrong = Some(Damage::Packed);
                } else {
                    crc.update(unpacked);
                    receive(*out, unpacked);
                    *out = sum;
                }
                wrong.is_none()
            })
            .map_err(|_| Damage::Packed)?;
        match wrong {
            Some(damage) => Err(damage),
            None if taken < bytes.len() => Err(Damage::Packed),
            None => Ok(()),
        }
    }

    /// The member's bytes have ended.
    pub fn finish(self) -> Result<u64, Damage> {
        if self.packed.is_some_and(|packed| !packed.has_ended()) {
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
