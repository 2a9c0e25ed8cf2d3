//! Trees of version 2, in which HDF5 1.8 and later keep the names of many links or attributes,
//! and HDF5 1.10 and later the pieces of datasets that grow in several directions.
//!
//! Source: HDF5 File Format Specification 3.0, section III.A.2.

use super::cursor::{Cursor, Fault, Step, checksum};
use super::group::MAX_LEVELS;
use super::source::Source;
use crate::ahead::Wrong;
use crate::rules;

/// Bytes of a node around its records: signature, version, type, checksum.
const OVERHEAD: u64 = 10;
/// The largest node and the largest record that any file has reason for.
const MAX_NODE_BYTES: u64 = 64 << 10;
const MAX_RECORD_BYTES: u64 = 512;
/// The most records.
const MAX_RECORDS: u64 = 64 << 10;

/// How nodes of a level are laid out.
#[derive(Debug, Clone, Copy)]
struct Level {
    /// The most records of a node.
    most: u64,
    /// Bytes of the number of all records below a node.
    total_width: usize,
}

/// Records of a node, and where its children are and how many records they have.
type Node = (Vec<u8>, Vec<(u64, u64)>);

/// A tree that is being read.
struct Tree<'a, 'b> {
    source: &'a mut Source<'b>,
    kind: u8,
    node: u64,
    record: u64,
    /// Bytes of the number of records of a node.
    width: usize,
    levels: Vec<Level>,
    /// How many records there must be.
    total: u64,
    records: Vec<u8>,
}

/// Bytes that a number up to `limit` takes.
pub fn width(limit: u64) -> usize {
    let log = 63_u32.saturating_sub(limit.leading_zeros());
    usize::try_from(log / 8 + 1).unwrap_or(8)
}

/// The records of the tree there, in their order, which must be of this kind and size.
///
/// # Errors
///
/// What is wrong with it.
pub fn records(source: &mut Source<'_>, at: u64, kind: u8, record: u16) -> Result<Vec<u8>, Wrong> {
    let head = source.take(at, 38)?;
    let fields = || -> Step<(u64, u16, Option<u64>, u64, u64)> {
        let mut cursor = Cursor::new(super::object::summed(&head, b"BTHD")?);
        cursor.expect(&[0, kind])?;
        let node = u64::from(cursor.u32()?);
        let found = cursor.u16()?;
        let depth = cursor.u16()?;
        cursor.u16()?;
        let (root, count, total) = (cursor.address()?, cursor.u16()?, cursor.u64()?);
        let fits = found == record && u64::from(record) <= MAX_RECORD_BYTES;
        if !fits || !(64..=MAX_NODE_BYTES).contains(&node) || depth > MAX_LEVELS.into() {
            return Err(Fault::broken("a tree has nodes of an impossible shape"));
        }
        if total > MAX_RECORDS {
            return Err(Fault::of(&rules::H5_LIMIT, "a tree has too many records"));
        }
        Ok((node, depth, root, count.into(), total))
    };
    let (node, depth, root, count, total) = fields().map_err(|fault| fault.at(at))?;
    let record = u64::from(record);
    let most = (node - OVERHEAD) / record.max(1);
    let mut tree = Tree {
        source,
        kind,
        node,
        record,
        width: width(most),
        levels: vec![Level { most, total_width: 0 }],
        total,
        records: Vec::new(),
    };
    let mut below = most;
    for level in 1..=depth {
        let pointer = tree.pointer(level.into());
        let most = node.saturating_sub(OVERHEAD + pointer) / (record + pointer);
        below = most.saturating_add(1).saturating_mul(below).saturating_add(most);
        tree.levels.push(Level {
            most,
            total_width: width(below),
        });
    }
    if let Some(root) = root {
        tree.read(root, depth.into(), count)?;
    }
    let found = tree.records.len() as u64;
    if found != total.saturating_mul(record) {
        return Err(Fault::broken("a tree has not as many records as it says").at(at));
    }
    Ok(tree.records)
}

impl Tree<'_, '_> {
    /// Bytes of a pointer in a node of this level.
    fn pointer(&self, level: usize) -> u64 {
        let below = level.checked_sub(1).and_then(|below| self.levels.get(below));
        let total = below.filter(|_| level > 1).map_or(0, |below| below.total_width);
        8 + (self.width + total) as u64
    }

    fn read(&mut self, at: u64, level: usize, count: u64) -> Result<(), Wrong> {
        let bytes = self.source.take(at, self.node)?;
        let too_full = self.levels.get(level).is_none_or(|level| count > level.most);
        let pointer = self.pointer(level);
        let fields = || -> Step<Node> {
            let mut cursor = Cursor::new(&bytes);
            cursor.expect(if level == 0 { b"BTLF" } else { b"BTIN" })?;
            cursor.expect(&[0, self.kind])?;
            if too_full {
                return Err(Fault::broken("a node of a tree is too full"));
            }
            let length = usize::try_from(count * self.record).unwrap_or(usize::MAX);
            let records = cursor.take(length)?.to_vec();
            let mut children = Vec::new();
            for _ in 0..=count {
                if level == 0 {
                    break;
                }
                let child = cursor.u64()?;
                let records = cursor.number(self.width)?;
                cursor.take(usize::try_from(pointer).unwrap_or(0) - 8 - self.width)?;
                children.push((child, records));
            }
            let before = bytes.get(..cursor.taken()).unwrap_or_default();
            if cursor.u32()? != checksum(before) {
                return Err(Fault::broken("the checksum of a structure is wrong"));
            }
            Ok((records, children))
        };
        let (records, children) = fields().map_err(|fault| fault.at(at))?;
        if (self.records.len() + records.len()) as u64 > self.total.saturating_mul(self.record) {
            return Err(Fault::broken("a tree has not as many records as it says").at(at));
        }
        // In their order: before each record comes what is in the child before it.
        let record = usize::try_from(self.record).unwrap_or(usize::MAX).max(1);
        let mut between = records.chunks(record);
        for (child, count) in children {
            self.read(child, level.saturating_sub(1), count)?;
            self.records.extend_from_slice(between.next().unwrap_or_default());
        }
        between.for_each(|record| self.records.extend_from_slice(record));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::width;

    #[test]
    fn numbers_take_the_bytes_of_their_limit() {
        for (limit, bytes) in [
            (0, 1),
            (1, 1),
            (255, 1),
            (256, 2),
            (4096, 2),
            (65_535, 2),
            (65_536, 3),
            (u64::MAX, 8),
        ] {
            assert_eq!(width(limit), bytes, "{limit}");
        }
    }
}
