//! Small random changes to files, the same every time: a bounded stand-in for a fuzzer where there is none.

/// Numbers that look random and are the same for every run with the same seed.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Numbers that follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % limit.max(1)
    }

    /// One of `choices`.
    pub fn of<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        let index = self.below(choices.len());
        choices.get(index).copied()
    }
}

/// A file made of parts of others with up to eight changes; `words` are inserted now and then.
pub fn mutate(files: &[Vec<u8>], words: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let pick = |random: &mut Random| {
        let index = random.below(files.len());
        files.get(index).cloned().unwrap_or_default()
    };
    let mut bytes = pick(random);
    for _ in 0..random.below(8) {
        let at = random.below(bytes.len() + 1);
        match random.below(7) {
            0 | 1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = u8::try_from(random.below(256)).unwrap_or(0);
                }
            }
            2 => {
                if let Some(word) = random.of(words) {
                    bytes.splice(at..at, word.iter().copied());
                }
            }
            3 => {
                let end = (at + random.below(16)).min(bytes.len());
                bytes.drain(at..end);
            }
            4 => {
                let end = (at + random.below(64)).min(bytes.len());
                let copy = bytes.get(at..end).unwrap_or_default().to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            5 => bytes.truncate(at),
            _ => {
                let other = pick(random);
                let from = random.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(other.get(from..).unwrap_or_default());
            }
        }
    }
    bytes
}
