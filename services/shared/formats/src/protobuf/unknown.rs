//! Fields that a format does not have: readers pass over them, so they are a place to hide things.

/// From how many bytes on what no field is for counts as hidden.
const MAX_UNKNOWN_BYTES: u64 = 1 << 10;

/// How many bytes are in fields that a format does not have.
#[derive(Debug, Default)]
pub struct Unknown {
    bytes: u64,
}

impl Unknown {
    /// Counts so many more; true once, when they become more than a kilobyte.
    pub fn add(&mut self, bytes: u64) -> bool {
        let before = self.bytes;
        self.bytes = before.saturating_add(bytes);
        before <= MAX_UNKNOWN_BYTES && self.bytes > MAX_UNKNOWN_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::Unknown;

    #[test]
    fn says_once_that_there_are_too_many() {
        let mut unknown = Unknown::default();
        let said = [1024, 0, 1, 1, u64::MAX].map(|bytes| unknown.add(bytes));
        assert_eq!(said, [false, false, true, false, false]);
    }
}
