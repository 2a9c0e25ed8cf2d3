//! Reading little-endian fields one after the other, from bytes that are there or not.

use crate::ahead::Wrong;
use crate::rules::{self, Rule};

/// Why a structure is of no use; the place is added by who knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    rule: &'static Rule,
    message: String,
}

/// What a step of reading comes to.
pub type Step<T> = Result<T, Fault>;

impl Fault {
    /// For something that no program can read as it is meant.
    pub fn broken(message: impl Into<String>) -> Self {
        Self::of(&rules::H5_BROKEN, message)
    }

    /// For something that is understood and not accepted.
    pub fn of(rule: &'static Rule, message: impl Into<String>) -> Self {
        Self {
            rule,
            message: message.into(),
        }
    }

    /// At this byte of the file.
    pub fn at(self, at: u64) -> Wrong {
        Wrong {
            rule: self.rule,
            at,
            message: self.message,
        }
    }
}

/// Bytes that are read from the front.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    rest: &'a [u8],
    taken: usize,
}

impl<'a> Cursor<'a> {
    /// Reads `bytes` from their first.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            taken: 0,
        }
    }

    /// What was not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many bytes were read.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// The next `length` bytes.
    pub fn take(&mut self, length: usize) -> Step<&'a [u8]> {
        let parts = self.rest.split_at_checked(length);
        let (taken, rest) = parts.ok_or_else(|| Fault::broken("a structure is cut off"))?;
        self.rest = rest;
        self.taken += length;
        Ok(taken)
    }

    /// The next bytes up to a zero, which is read as well.
    pub fn text(&mut self) -> Step<&'a [u8]> {
        let end = self.rest.iter().position(|byte| *byte == 0);
        let end = end.ok_or_else(|| Fault::broken("a name does not end"))?;
        let text = self.take(end)?;
        self.take(1)?;
        Ok(text)
    }

    /// A number of up to eight bytes.
    pub fn number(&mut self, bytes: usize) -> Step<u64> {
        let taken = self.take(bytes.min(8))?;
        Ok(taken
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// One byte.
    pub fn u8(&mut self) -> Step<u8> {
        self.number(1).map(|number| u8::try_from(number).unwrap_or(0))
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Step<u16> {
        self.number(2).map(|number| u16::try_from(number).unwrap_or(0))
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Step<u32> {
        self.number(4).map(|number| u32::try_from(number).unwrap_or(0))
    }

    /// Eight bytes: a length or an address.
    pub fn u64(&mut self) -> Step<u64> {
        self.number(8)
    }

    /// An address; none if it is the one that stands for nothing.
    pub fn address(&mut self) -> Step<Option<u64>> {
        self.u64().map(|address| (address != u64::MAX).then_some(address))
    }

    /// The bytes that a structure must begin with.
    pub fn expect(&mut self, signature: &[u8]) -> Step<()> {
        if self.take(signature.len())? == signature {
            Ok(())
        } else {
            let name = String::from_utf8_lossy(signature);
            let name = name.trim_end_matches(|c: char| c.is_control());
            Err(Fault::broken(format!(
                "no structure of the kind {name} begins here"
            )))
        }
    }
}

/// Bob Jenkins's checksum `lookup3` (`hashlittle`, beginning at 0), with which newer structures end.
pub fn checksum(bytes: &[u8]) -> u32 {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut state = [0xdead_beef_u32.wrapping_add(length); 3];
    let mut rest = bytes;
    while rest.len() > 12 {
        let (block, after) = rest.split_at(12);
        add(&mut state, block);
        mix(&mut state);
        rest = after;
    }
    if !rest.is_empty() {
        add(&mut state, rest);
        last(&mut state);
    }
    state[2]
}

fn add(state: &mut [u32; 3], block: &[u8]) {
    for (word, bytes) in state.iter_mut().zip(block.chunks(4)) {
        let value = bytes
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u32::from(*byte));
        *word = word.wrapping_add(value);
    }
}

fn mix(state: &mut [u32; 3]) {
    let [mut a, mut b, mut c] = *state;
    for round in [4, 6, 8, 16, 19, 4] {
        a = a.wrapping_sub(c) ^ c.rotate_left(round);
        c = c.wrapping_add(b);
        (a, b, c) = (b, c, a);
    }
    *state = [a, b, c];
}

fn last(state: &mut [u32; 3]) {
    let [mut a, mut b, mut c] = *state;
    for round in [14, 11, 25, 16, 4, 14, 24] {
        c = (c ^ b).wrapping_sub(b.rotate_left(round));
        (a, b, c) = (b, c, a);
    }
    // Seven turns leave the words one place on.
    *state = [c, a, b];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_published_examples() {
        assert_eq!(checksum(b""), 0xdead_beef);
        assert_eq!(checksum(b"Four score and seven years ago"), 0x1777_0551);
    }

    #[test]
    fn reading_beyond_the_end_is_an_error() {
        let mut cursor = Cursor::new(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(cursor.u16(), Ok(0x0201));
        assert_eq!(cursor.take(6), Ok(&[3, 4, 5, 6, 7, 8][..]));
        assert_eq!(cursor.number(1), Ok(9));
        assert!(cursor.u8().is_err());
        assert!(cursor.text().is_err());
    }
}
