//! Reading a tensor's numbers in the order of its dimensions, wherever its strides say that they lie.

use std::io::{Error, ErrorKind, Write};

use crate::ahead::Peek;
use crate::pickle::Tensor;

/// Bytes that are copied at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// Bytes of a block that is kept for neighbours which are asked for later.
const BLOCK_BYTES: u64 = 4 << 10;
/// How many blocks are kept: a row of a transposed matrix crosses as many as the matrix has rows.
const BLOCKS: usize = 4096;
/// Runs from this length on are read by themselves.
const LONG_BYTES: u64 = BLOCK_BYTES;

/// Where the numbers of one tensor are.
#[derive(Debug)]
pub struct Gather {
    /// Where the first is.
    at: u64,
    /// Bytes that lie together.
    run: u64,
    /// How many such runs there are along each dimension, and how many bytes apart, outermost first.
    outer: Vec<(u64, u64)>,
    bytes: u64,
}

impl Gather {
    /// For a tensor whose storage begins at `at`; `None` if its numbers cannot be counted.
    pub fn new(at: u64, tensor: &Tensor) -> Option<Self> {
        let size = tensor.element.bytes;
        let bytes = tensor.elements()?.checked_mul(size)?;
        let mut run = size;
        let mut outer = Vec::new();
        for (count, stride) in tensor.shape.iter().zip(tensor.stride.iter()).rev() {
            let apart = stride.checked_mul(size)?;
            if *count == 1 {
                continue;
            }
            if outer.is_empty() && apart == run {
                run = run.checked_mul(*count)?;
            } else {
                outer.push((*count, apart));
            }
        }
        outer.reverse();
        Some(Self {
            at: at.checked_add(tensor.offset.checked_mul(size)?)?,
            run,
            outer,
            bytes,
        })
    }

    /// How many bytes the numbers take.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes them in order.
    pub fn write(&self, peek: Peek<'_>, out: &mut impl Write) -> std::io::Result<()> {
        if self.bytes == 0 {
            return Ok(());
        }
        let mut blocks = Blocks::default();
        let mut index = vec![0; self.outer.len()];
        loop {
            let steps = index.iter().zip(&self.outer);
            let at = steps.fold(self.at, |at, (index, (_, apart))| {
                at.saturating_add(index * apart)
            });
            if self.run >= LONG_BYTES {
                copy(at, self.run, peek, out)?;
            } else {
                blocks.copy(at, self.run, peek, out)?;
            }
            // The innermost dimension goes on first.
            let mut dimension = self.outer.len();
            loop {
                let Some(next) = dimension.checked_sub(1) else {
                    return Ok(());
                };
                dimension = next;
                let (Some(place), Some((count, _))) = (index.get_mut(dimension), self.outer.get(dimension))
                else {
                    return Ok(());
                };
                *place += 1;
                if *place < *count {
                    break;
                }
                *place = 0;
            }
        }
    }
}

fn copy(mut at: u64, mut left: u64, peek: Peek<'_>, out: &mut impl Write) -> std::io::Result<()> {
    let mut buffer = vec![0; usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES)];
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(buffer.len());
        let part = buffer.get_mut(..length).unwrap_or_default();
        if !peek(at, part) {
            return Err(unreadable());
        }
        out.write_all(part)?;
        at += length as u64;
        left -= length as u64;
    }
    Ok(())
}

fn unreadable() -> Error {
    Error::new(ErrorKind::UnexpectedEof, "the checkpoint cannot be read any more")
}

/// Blocks that were read, each in the place that its number leads to.
#[derive(Debug, Default)]
struct Blocks {
    kept: Vec<Option<(u64, Box<[u8]>)>>,
}

impl Blocks {
    fn copy(&mut self, at: u64, length: u64, peek: Peek<'_>, out: &mut impl Write) -> std::io::Result<()> {
        let (mut at, mut left) = (at, length);
        while left > 0 {
            let (number, from) = (at / BLOCK_BYTES, at % BLOCK_BYTES);
            let part = left.min(BLOCK_BYTES - from);
            let block = self.block(number, peek)?;
            let from = usize::try_from(from).unwrap_or(usize::MAX);
            let bytes = block
                .get(from..)
                .and_then(|rest| rest.get(..usize::try_from(part).ok()?))
                .ok_or_else(unreadable)?;
            out.write_all(bytes)?;
            at += part;
            left -= part;
        }
        Ok(())
    }

    fn block(&mut self, number: u64, peek: Peek<'_>) -> std::io::Result<&[u8]> {
        if self.kept.is_empty() {
            self.kept.resize_with(BLOCKS, || None);
        }
        // Fibonacci hashing: strides are powers of two, which must not lead to few places.
        let place = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52;
        let slot = usize::try_from(place)
            .ok()
            .and_then(|place| self.kept.get_mut(place))
            .ok_or_else(unreadable)?;
        if slot.as_ref().is_none_or(|(kept, _)| *kept != number) {
            *slot = Some((number, read_block(number, peek)?));
        }
        slot.as_ref().map(|(_, bytes)| &**bytes).ok_or_else(unreadable)
    }
}

/// A block, which is shorter at the end of the file.
fn read_block(number: u64, peek: Peek<'_>) -> std::io::Result<Box<[u8]>> {
    let at = number.checked_mul(BLOCK_BYTES).ok_or_else(unreadable)?;
    let mut length = usize::try_from(BLOCK_BYTES).unwrap_or(0);
    let mut buffer = vec![0; length].into_boxed_slice();
    if peek(at, &mut buffer) {
        return Ok(buffer);
    }
    // Halves find the end in a few steps.
    let mut good = 0;
    while length > 1 {
        length /= 2;
        let part = buffer.get_mut(good..good + length).unwrap_or_default();
        if peek(at + good as u64, part) {
            good += length;
        }
    }
    if let Some(last) = buffer.get_mut(good..=good)
        && peek(at + good as u64, last)
    {
        good += 1;
    }
    Ok(buffer.get(..good).unwrap_or_default().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::in_memory;
    use crate::pickle::Element;

    fn tensor(shape: &[u64], stride: &[u64], offset: u64) -> Tensor {
        Tensor {
            element: Element::of_storage("Short").unwrap(),
            shape: shape.into(),
            stride: stride.into(),
            storage: Some(0),
            offset,
        }
    }

    /// The numbers of the tensor, element by element, from a storage of two-byte numbers at byte 3 of the file.
    fn expected(file: &[u8], tensor: &Tensor) -> Vec<u8> {
        let mut out = Vec::new();
        let mut index = vec![0; tensor.shape.len()];
        for _ in 0..tensor.elements().unwrap() {
            let steps = index
                .iter()
                .zip(tensor.stride.iter())
                .map(|(i, stride)| i * stride);
            let at = usize::try_from(3 + 2 * (tensor.offset + steps.sum::<u64>())).unwrap();
            out.extend_from_slice(&file[at..at + 2]);
            for (place, count) in index.iter_mut().zip(tensor.shape.iter()).rev() {
                *place += 1;
                if *place < *count {
                    break;
                }
                *place = 0;
            }
        }
        out
    }

    fn gathered(file: &[u8], tensor: &Tensor) -> std::io::Result<Vec<u8>> {
        let gather = Gather::new(3, tensor).unwrap();
        let mut out = Vec::new();
        let mut peek = in_memory(file);
        gather.write(&mut peek, &mut out)?;
        assert_eq!(out.len() as u64, gather.bytes());
        Ok(out)
    }

    #[test]
    fn numbers_come_in_the_order_of_the_dimensions() {
        let file = crate::testing::weights(3 + 2 * 40_000);
        for (shape, stride, offset) in [
            (&[][..], &[][..], 7),
            (&[0, 3], &[3, 1], 0),
            (&[6], &[1], 5),
            (&[6], &[2], 5),
            (&[200, 200], &[200, 1], 0),
            (&[200, 200], &[1, 200], 0),
            (&[3, 200, 5], &[1000, 5, 1], 11),
            (&[5, 200, 3], &[1, 5, 1000], 11),
            (&[1, 7, 1], &[999_999, 3, 12_345], 0),
            (&[4, 3], &[0, 1], 2),
            (&[4, 3], &[1, 0], 2),
            (&[2, 3000], &[3000, 1], 0),
            (&[2, 3000], &[20_000, 1], 0),
            (&[2048], &[19], 0),
            (&[39_999], &[1], 1),
        ] {
            let tensor = tensor(shape, stride, offset);
            assert_eq!(
                gathered(&file, &tensor).unwrap(),
                expected(&file, &tensor),
                "{shape:?} {stride:?}"
            );
        }
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error() {
        let file = crate::testing::weights(1000);
        for stride in [1, 2] {
            assert!(gathered(&file, &tensor(&[600], &[stride], 0)).is_err());
        }
    }
}
