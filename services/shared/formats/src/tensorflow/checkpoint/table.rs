//! Sorted tables as LevelDB and TensorFlow write them: blocks of names and values, an index of the blocks, a footer.
//!
//! Format: `doc/table_format.md` of LevelDB, `tsl/lib/io` of TensorFlow. Stricter than both, so that all readers see the same: every byte
//! belongs to a block, names ascend, what is between two restarts is what one sees that goes from one name to the next, and no block is
//! compressed, as none of TensorFlow's is.

use std::ops::ControlFlow;

use crate::bytes::{long, word};

/// The bytes at the end: two handles, zeros, the signature.
const FOOTER_BYTES: usize = 48;
/// The signature, and where it stands in the footer.
const MAGIC: u64 = 0xdb47_7524_8b80_fb57;
const MAGIC_AT: usize = FOOTER_BYTES - 8;
/// What follows a block: its compression and a sum.
const TRAILER_BYTES: usize = 5;
/// CRC-32C, which each block has, masked so that the sum of what holds sums stays a good one.
static SUM: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
const MASK: u32 = 0xa282_ead8;

/// The longest name. A name can be that of the entry before and a byte more, so without a bound a short file has gigabytes of names.
const MAX_NAME_BYTES: usize = 4 << 10;

/// Why the bytes are no table, and where.
pub type Flaw = (u64, &'static str);

/// An entry of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Where it begins in the file.
    pub at: u64,
    /// Its name, of any bytes.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
}

/// Where a block is, without what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Handle {
    begin: usize,
    end: usize,
}

/// Tells `each` of the entries of a table, in ascending order of their names, until it breaks.
///
/// # Errors
///
/// At the first thing that is not as the format has it.
pub fn read(bytes: &[u8], mut each: impl FnMut(Entry<'_>) -> ControlFlow<()>) -> Result<(), Flaw> {
    let (metadata, index) = footer(bytes)?;
    // Filters and statistics would be named here. TensorFlow writes none.
    entries(bytes, metadata, |entry| {
        Err((entry.at, "it has a block of metadata"))
    })?;
    let (mut next, mut bound, mut going) = (0, None, ControlFlow::Continue(()));
    entries(bytes, index, |entry| {
        let handle = handle(entry.value).filter(|(_, rest)| rest.is_empty());
        let Some((block, _)) = handle.filter(|(block, _)| block.begin == next) else {
            return Err((entry.at, "its blocks do not follow each other"));
        };
        let last = entries(bytes, block, |inner| {
            // Only the first of a block can come before the block.
            if bound
                .take()
                .is_some_and(|bound: Vec<u8>| inner.name <= bound.as_slice())
            {
                return Err((inner.at, "its names are not in order"));
            }
            if going.is_continue() {
                going = each(inner);
            }
            Ok(())
        })?;
        // What stands for the block may be any name up to the first of the next one.
        if last.is_none_or(|last| last.as_slice() > entry.name) {
            return Err((entry.at, "its index is not about its blocks"));
        }
        bound = Some(entry.name.to_vec());
        next = block.end + TRAILER_BYTES;
        Ok(())
    })?;
    if next == metadata.begin {
        Ok(())
    } else {
        Err((next as u64, "there are bytes that belong to no block"))
    }
}

/// The blocks that the footer names: of metadata, and the index.
fn footer(bytes: &[u8]) -> Result<(Handle, Handle), Flaw> {
    let at = bytes
        .len()
        .checked_sub(FOOTER_BYTES)
        .ok_or((0, "it is too short"))?;
    let footer = bytes.get(at..).unwrap_or_default();
    let flaw = |what| (at as u64, what);
    if long(footer, MAGIC_AT) != Some(MAGIC) {
        return Err(flaw("its end is not that of a table"));
    }
    let handles = footer.get(..MAGIC_AT).unwrap_or_default();
    let (metadata, rest) = handle(handles).ok_or(flaw("its end names no blocks"))?;
    let (index, rest) = handle(rest).ok_or(flaw("its end names no blocks"))?;
    if rest.iter().any(|byte| *byte != 0) {
        return Err(flaw("there is something between the parts of its end"));
    }
    if metadata.end + TRAILER_BYTES != index.begin || index.end + TRAILER_BYTES != at {
        return Err(flaw("its blocks do not follow each other"));
    }
    Ok((metadata, index))
}

/// Tells `each` of the entries of a block. Returns the name of the last one.
fn entries(
    bytes: &[u8],
    block: Handle,
    mut each: impl FnMut(Entry<'_>) -> Result<(), Flaw>,
) -> Result<Option<Vec<u8>>, Flaw> {
    let flaw = |at: usize, what| ((block.begin + at) as u64, what);
    let (content, trailer) = bytes
        .get(block.begin..)
        .and_then(|rest| rest.get(..block.end + TRAILER_BYTES - block.begin))
        .and_then(|block| block.split_at_checked(block.len() - TRAILER_BYTES))
        .ok_or(flaw(0, "a block reaches beyond the end of the file"))?;
    if trailer.first() != Some(&0) {
        return Err(flaw(content.len(), "a block is compressed"));
    }
    let mut sum = SUM.digest();
    sum.update(content);
    sum.update(&[0]);
    if word(trailer, 1) != Some(sum.finalize().rotate_right(15).wrapping_add(MASK)) {
        return Err(flaw(content.len(), "the sum of a block is another"));
    }
    let (records, restarts) = split(content).ok_or(flaw(0, "a block has no list of restarts"))?;
    let mut restarts = restarts
        .chunks_exact(4)
        .filter_map(|bytes| word(bytes, 0))
        .peekable();
    if restarts.peek() != Some(&0) {
        return Err(flaw(0, "a block does not begin where it says"));
    }
    let (mut at, mut name) = (0, Vec::new());
    while at < records.len() {
        let restarts_here = restarts
            .next_if(|restart| usize::try_from(*restart) == Ok(at))
            .is_some();
        let record = Record::of(records.get(at..).unwrap_or_default())
            .ok_or(flaw(at, "a block ends within an entry"))?;
        if record.shared + record.rest.len() > MAX_NAME_BYTES {
            return Err(flaw(at, "a name is longer than any"));
        }
        if record.shared > name.len() || (restarts_here && record.shared > 0) {
            return Err(flaw(at, "a name begins with more than the one before it has"));
        }
        let ascends = name.get(record.shared..).is_some_and(|rest| record.rest > rest);
        if at > 0 && !ascends {
            return Err(flaw(at, "its names are not in order"));
        }
        name.truncate(record.shared);
        name.extend_from_slice(record.rest);
        each(Entry {
            at: (block.begin + at) as u64,
            name: &name,
            value: record.value,
        })?;
        at += record.bytes;
    }
    // The list of a block without entries has one place all the same.
    let left = usize::from(records.is_empty());
    if restarts.count() == left {
        Ok((at > 0).then_some(name))
    } else {
        Err(flaw(records.len(), "a block is to be entered within an entry"))
    }
}

/// The entries of a block, and its list of places where a name is written in full.
fn split(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let (rest, count) = content.split_last_chunk()?;
    let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
    rest.split_at_checked(rest.len().checked_sub(count.checked_mul(4)?)?)
}

/// An entry as it is written.
struct Record<'a> {
    /// How much of the name is that of the one before.
    shared: usize,
    /// What follows that.
    rest: &'a [u8],
    value: &'a [u8],
    /// How long it is in all.
    bytes: usize,
}

impl<'a> Record<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let (shared, rest) = small(bytes)?;
        let (unshared, rest) = small(rest)?;
        let (value, rest) = small(rest)?;
        let (name, rest) = rest.split_at_checked(unshared)?;
        let (value, rest) = rest.split_at_checked(value)?;
        Some(Self {
            shared,
            rest: name,
            value,
            bytes: bytes.len() - rest.len(),
        })
    }
}

/// Where a block begins and how long it is, and what follows that.
fn handle(bytes: &[u8]) -> Option<(Handle, &[u8])> {
    let (begin, rest) = small(bytes)?;
    let (size, rest) = small(rest)?;
    let handle = Handle {
        begin,
        end: begin + size,
    };
    Some((handle, rest))
}

/// A number of at most 32 bits, written as short as it can be, and what follows it. No file here is longer.
fn small(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let length = bytes.iter().take(5).position(|byte| byte & 0x80 == 0)? + 1;
    let (number, rest) = bytes.split_at_checked(length)?;
    let padded = length > 1 && number.last() == Some(&0);
    let value = number
        .iter()
        .rev()
        .fold(0_u64, |value, byte| value << 7 | u64::from(byte & 0x7f));
    let value = u32::try_from(value).ok().filter(|_| !padded)?;
    Some((usize::try_from(value).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::checkpoint::table;

    fn names(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Flaw> {
        let mut names = Vec::new();
        read(bytes, |entry| {
            names.push(entry.name.to_vec());
            ControlFlow::Continue(())
        })?;
        Ok(names)
    }

    #[test]
    fn a_table_is_read_whatever_its_blocks() {
        let wanted: Vec<Vec<u8>> = ["", "a", "ab", "abc", "b", "ba", "c\u{ff}"]
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let all: Vec<(&[u8], &[u8])> = wanted
            .iter()
            .map(|name| (name.as_slice(), &b"value"[..]))
            .collect();
        for per_block in 1..=all.len() {
            for interval in 1..=4 {
                let bytes = table(&all, per_block, interval);
                assert_eq!(
                    names(&bytes).unwrap(),
                    wanted,
                    "{per_block} in a block, {interval}"
                );
            }
        }
    }

    #[test]
    fn every_change_of_a_byte_is_noticed() {
        let all: [(&[u8], &[u8]); 3] = [(b"", b"x"), (b"a", b"y"), (b"ab", b"z")];
        let bytes = table(&all, 2, 2);
        assert!(names(&bytes).is_ok());
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert!(names(&changed).is_err(), "byte {at}");
        }
        for end in 0..bytes.len() {
            assert!(names(&bytes[..end]).is_err(), "{end} bytes");
        }
        assert!(names(&[b"x", bytes.as_slice()].concat()).is_err());
    }

    #[test]
    fn names_are_bounded_and_ascend_over_blocks() {
        let long = [vec![b'a'; MAX_NAME_BYTES], vec![b'b'; MAX_NAME_BYTES + 1]];
        let fits = table(&[(b"", b"x"), (&long[0], b"y")], 8, 8);
        assert_eq!(names(&fits).unwrap().len(), 2);
        let too_long = table(&[(b"", b"x"), (&long[1], b"y")], 8, 8);
        assert_eq!(names(&too_long).unwrap_err().1, "a name is longer than any");
        let twice: [(&[u8], &[u8]); 3] = [(b"", b"x"), (b"a", b"y"), (b"a", b"z")];
        for per_block in 1..=3 {
            assert!(names(&table(&twice, per_block, 1)).is_err(), "{per_block}");
        }
    }

    #[test]
    fn the_reader_stops_where_it_is_told() {
        let all: [(&[u8], &[u8]); 3] = [(b"", b"x"), (b"a", b"y"), (b"ab", b"z")];
        let mut count = 0;
        let read = read(&table(&all, 2, 2), |_| {
            count += 1;
            ControlFlow::Break(())
        });
        assert_eq!((read, count), (Ok(()), 1));
    }
}
