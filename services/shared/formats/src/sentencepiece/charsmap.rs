//! The table that characters are replaced by (`precompiled_charsmap`): a length, an index of so many bytes, and the replacements.
//!
//! The index is a double array, a tree in numbers of 32 bits: the children of a number lie in a block of 256, which it says how to
//! reach, and a leaf holds the place of a replacement, which ends with a zero. Libraries follow both without a look at where they lead, so here
//! each is looked at, whether anything leads to it or not.

/// How many numbers a block has: one for each byte that can be next.
const BLOCK: u64 = 256;
/// The bit that says that a number is a leaf.
const LEAF: u32 = 1 << 31;

/// A table as it streams by.
#[derive(Debug)]
pub struct Charsmap {
    bytes: u64,
    at: u64,
    /// The number that is being read, as far as it is there, and how many of its bytes are.
    number: u32,
    /// How many bytes the index has, once that is read.
    index: Option<u64>,
    last: u8,
    flaw: Option<String>,
}

impl Charsmap {
    /// A table of so many bytes.
    pub fn new(bytes: u64) -> Self {
        Self {
            bytes,
            at: 0,
            number: 0,
            index: None,
            last: 0,
            flaw: None,
        }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, chunk: &[u8]) {
        for byte in chunk {
            // Beyond the index only how it ends matters.
            if self.flaw.is_some() || self.index.is_some_and(|index| self.at >= 4 + index) {
                break;
            }
            self.number = self.number >> 8 | u32::from(*byte) << 24;
            self.at += 1;
            if self.at.is_multiple_of(4) {
                self.flaw = self.take(self.number);
            }
        }
        self.last = chunk.last().copied().unwrap_or(self.last);
    }

    /// Takes a number of the index, or the length before it.
    fn take(&mut self, number: u32) -> Option<String> {
        let Some(index) = self.index else {
            let index = u64::from(number);
            self.index = Some(index);
            let fits = index + 4 < self.bytes && index.is_multiple_of(4 * BLOCK) && index > 0;
            return (!fits).then(|| {
                format!(
                    "the table has {} bytes and claims an index of {index}",
                    self.bytes
                )
            });
        };
        // The first comes after the length.
        let place = self.at / 4 - 2;
        let replacements = self.bytes - 4 - index;
        if number & LEAF != 0 {
            let leaf = u64::from(number & !LEAF);
            return (leaf >= replacements)
                .then(|| format!("a replacement lies at {leaf}, and all of them have {replacements} bytes"));
        }
        let children = place ^ offset(number);
        (children / BLOCK >= index / 4 / BLOCK)
            .then(|| format!("the index leads to {children}, beyond its end"))
    }

    /// What is wrong with it, now that it has ended.
    pub fn flaw(self) -> Option<String> {
        // There is none: the tokenizer takes characters as they are.
        if self.bytes == 0 {
            return None;
        }
        let open = self.index.is_none().then(|| "the table has no length".to_owned());
        let endless = (self.last != 0).then(|| "the last replacement has no end".to_owned());
        self.flaw.or(open).or(endless)
    }
}

/// How far apart, by exclusive or, a number and its children are: 21 bits, of which the lowest may be the ninth.
fn offset(number: u32) -> u64 {
    u64::from(number >> 10) << ((number & 1 << 9) >> 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table with one block, in which numbers are set.
    fn table(set: &[(usize, u32)], replacements: &[u8]) -> Vec<u8> {
        let mut index = [0_u32; 256];
        for (place, number) in set {
            index[*place] = *number;
        }
        let index: Vec<u8> = index.iter().flat_map(|number| number.to_le_bytes()).collect();
        [&1024_u32.to_le_bytes(), &index[..], replacements].concat()
    }

    fn flaw(bytes: &[u8]) -> Option<String> {
        let [whole, single] = [bytes.len().max(1), 1].map(|size| {
            let mut charsmap = Charsmap::new(bytes.len() as u64);
            bytes.chunks(size).for_each(|chunk| charsmap.feed(chunk));
            charsmap.flaw()
        });
        assert_eq!(whole, single);
        whole
    }

    #[test]
    fn a_table_that_stays_within_itself_passes() {
        assert_eq!(flaw(b""), None);
        let leaf = LEAF | 2;
        assert_eq!(flaw(&table(&[(0, 5 << 10), (7, leaf)], b"a\0b\0")), None);
    }

    #[test]
    fn a_table_that_leads_beyond_its_end_does_not() {
        for bytes in [
            b"\0\0\0".to_vec(),
            b"\0\0\0\0\0".to_vec(),
            [&1024_u32.to_le_bytes()[..], &[0; 1024]].concat(),
            [&1000_u32.to_le_bytes()[..], &[0; 2000]].concat(),
            [&u32::MAX.to_le_bytes()[..], &[0; 2000]].concat(),
            table(&[], b"a"),
            table(&[(9, 256 << 10)], b"a\0"),
            table(&[(9, 1 << 10 | 1 << 9)], b"a\0"),
            table(&[(9, LEAF | 2)], b"a\0"),
            table(&[(255, !LEAF)], b"a\0"),
        ] {
            assert!(flaw(&bytes).is_some(), "{:x?}", &bytes[..bytes.len().min(8)]);
        }
    }
}
