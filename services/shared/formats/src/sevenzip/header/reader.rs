//! What a header is written with: numbers, bits and checksums.

use super::{Flaw, OUT_OF_PLACE, Read};

/// It ends too early.
pub const CUT: Flaw = Flaw::Broken("the header ends in the middle");

/// What is left of a header.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next bytes.
    pub fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(CUT)?;
        self.0 = rest;
        Ok(taken)
    }

    /// The next byte.
    pub fn byte(&mut self) -> Read<u8> {
        self.take(1)?.first().copied().ok_or(CUT)
    }

    /// Goes past a byte that has to be there.
    pub fn expect(&mut self, wanted: u8) -> Read<()> {
        if self.byte()? == wanted {
            Ok(())
        } else {
            Err(OUT_OF_PLACE)
        }
    }

    /// A number of four bytes.
    pub fn word(&mut self) -> Read<u32> {
        let bytes = self.take(4)?.first_chunk().ok_or(CUT)?;
        Ok(u32::from_le_bytes(*bytes))
    }

    /// A number: as many bytes follow the first one as it has leading ones; its other bits are the highest.
    pub fn number(&mut self) -> Read<u64> {
        let first = self.byte()?;
        let more = first.leading_ones();
        let low = self.take(usize::try_from(more).map_err(|_| CUT)?)?;
        let low_value = low
            .iter()
            .rev()
            .fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        let high = if more >= 7 {
            0
        } else {
            u64::from(first & (0x7f >> more)) << (8 * more)
        };
        let value = high | low_value;
        // One byte less has room for seven bits less.
        if more > 0 && value >> (7 * more) == 0 {
            return Err(Flaw::Broken("a number is written longer than it needs to be"));
        }
        Ok(value)
    }

    /// A number of things, each of which takes a byte or a bit at least.
    pub fn count(&mut self, most: usize, what: &'static str) -> Read<usize> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if count > most {
            Err(Flaw::Limit(what))
        } else {
            Ok(count)
        }
    }

    /// A bit for each of `count` things, the first the highest of the first byte.
    pub fn bits(&mut self, count: usize) -> Read<Vec<bool>> {
        let bytes = self.take(count.div_ceil(8))?;
        let bit = |at: usize| {
            bytes
                .get(at / 8)
                .is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1)
        };
        if (count..bytes.len() * 8).any(bit) {
            return Err(Flaw::Broken("bits stand for nothing"));
        }
        Ok((0..count).map(bit).collect())
    }

    /// A checksum for each of `count` things, all of which have one.
    pub fn sums(&mut self, count: usize) -> Read<Vec<u32>> {
        if self.byte()? != 1 {
            return Err(Flaw::Unsupported("contents without a checksum"));
        }
        (0..count).map(|_| self.word()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        for (bytes, wanted) in [
            (&[0x7f][..], Some(0x7f)),
            (&[0x80, 0x80], Some(0x80)),
            (&[0x80, 0x7f], None),
            (&[0xbf, 0xff], Some(0x3fff)),
            (&[0xc0, 0, 0x40], Some(0x4000)),
            (&[0xff, 1, 0, 0, 0, 0, 0, 0, 0x80], Some(0x8000_0000_0000_0001)),
            (&[0xff, 1, 0, 0, 0, 0, 0, 0, 0], None),
            (&[0xc0, 0], None),
        ] {
            assert_eq!(Reader::new(bytes).number().ok(), wanted, "{bytes:x?}");
        }
    }
}
