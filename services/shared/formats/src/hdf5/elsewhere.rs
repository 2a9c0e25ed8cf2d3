//! HDF5 in a file of another kind: its readers look for the signature at 512 bytes and at every power of two from there on, and take
//! what is before it for a block of the user's.

use super::SIGNATURE;

/// Where the signature is looked for first after the start of the file, in bytes.
const FIRST: u64 = 512;

/// A search through bytes as they come, for the places where readers look.
#[derive(Debug)]
pub struct Elsewhere {
    /// The next place, and how many bytes of the signature are there already.
    next: u64,
    matched: usize,
    found: Option<u64>,
}

impl Default for Elsewhere {
    fn default() -> Self {
        Self {
            next: FIRST,
            matched: 0,
            found: None,
        }
    }
}

impl Elsewhere {
    /// Takes the bytes that begin `at` bytes into the file, each once and in order.
    pub fn feed(&mut self, at: u64, chunk: &[u8]) {
        while self.found.is_none() {
            let place = (self.next + self.matched as u64).checked_sub(at);
            let byte = place
                .and_then(|place| usize::try_from(place).ok())
                .and_then(|place| chunk.get(place));
            let (Some(byte), Some(wanted)) = (byte, SIGNATURE.get(self.matched)) else {
                return;
            };
            if byte == wanted {
                self.matched += 1;
                self.found = (self.matched == SIGNATURE.len()).then_some(self.next);
            } else {
                self.matched = 0;
                self.next = self.next.saturating_mul(2);
            }
        }
    }

    /// Where the first signature is.
    pub fn found(&self) -> Option<u64> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_signature_where_readers_do_however_the_bytes_come() {
        for (place, found) in [
            (512, true),
            (1024, true),
            (1 << 16, true),
            (513, false),
            (1536, false),
        ] {
            let mut bytes = vec![0x89; 1 << 17];
            bytes[place..place + 8].copy_from_slice(SIGNATURE);
            for size in [1, 7, 513, bytes.len()] {
                let mut search = Elsewhere::default();
                let mut at = 0;
                for chunk in bytes.chunks(size) {
                    search.feed(at, chunk);
                    at += chunk.len() as u64;
                }
                assert_eq!(search.found(), found.then_some(place as u64), "{place} {size}");
            }
        }
    }
}
