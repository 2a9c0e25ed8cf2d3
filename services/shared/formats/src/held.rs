//! Small files that are held until they are there whole, because their structure has to be read before their bytes.

/// The largest file that is held.
pub const MAX_HELD_BYTES: usize = 8 << 20;

/// The bytes of a file, as long as there are not too many.
#[derive(Debug, Default)]
pub struct Held {
    bytes: Vec<u8>,
    too_large: bool,
}

impl Held {
    /// Takes the next bytes.
    pub fn feed(&mut self, chunk: &[u8]) {
        if self.bytes.len() + chunk.len() > MAX_HELD_BYTES {
            self.too_large = true;
            self.bytes = Vec::new();
        }
        if !self.too_large {
            self.bytes.extend_from_slice(chunk);
        }
    }

    /// All bytes; `None` if they were more than [`MAX_HELD_BYTES`].
    pub fn whole(self) -> Option<Vec<u8>> {
        (!self.too_large).then_some(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_up_to_the_limit_and_nothing_after_it() {
        let half = vec![1; MAX_HELD_BYTES / 2];
        let mut held = Held::default();
        held.feed(&half);
        held.feed(&half);
        assert_eq!(held.whole().unwrap().len(), MAX_HELD_BYTES);
        let mut held = Held::default();
        held.feed(&half);
        held.feed(&half);
        held.feed(&[1]);
        held.feed(&[2]);
        assert!(held.bytes.is_empty());
        assert!(held.whole().is_none());
    }
}
