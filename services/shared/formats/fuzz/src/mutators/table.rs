//! Sorted tables: their entries are taken out, changed, and written again, so that the sums of blocks and the places of all parts are right.

use holdfast_formats::testing::checkpoint::table as written;

use super::{change, protobuf};
use crate::Random;

/// Changes names and values of a table's first block and writes it anew; with nothing to be read, or now and then, changes bytes.
pub fn table(bytes: &mut Vec<u8>, random: &mut Random) {
    let mut entries = entries(bytes);
    if entries.is_empty() || random.once_in(6) {
        change(bytes);
        return;
    }
    let at = random.below(entries.len());
    match random.below(8) {
        0 => change(&mut entries[at].0),
        1 => entries.push(entries[at].clone()),
        2 => drop(entries.remove(at)),
        3 => change(&mut entries[at].1),
        _ => protobuf(&mut entries[at].1, random),
    }
    if !random.once_in(8) {
        entries.sort();
        entries.dedup_by(|left, right| left.0 == right.0);
    }
    let entries: Vec<(&[u8], &[u8])> = entries
        .iter()
        .map(|(name, value)| (name.as_slice(), value.as_slice()))
        .collect();
    let blocks = 1 + random.below(entries.len().max(1));
    *bytes = written(&entries, blocks, 1 + random.below(16));
    if random.once_in(8) {
        change(bytes);
    }
}

type Entry = (Vec<u8>, Vec<u8>);

/// The entries up to where the names do not ascend any more, which is where a block ends.
fn entries(bytes: &[u8]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut rest = bytes;
    while let Some((shared, unshared, value, after)) = lengths(rest) {
        let before = entries.last().map(|(name, _)| name.as_slice());
        let (Some(start), Some(end), Some(content)) = (
            before.unwrap_or_default().get(..shared),
            after.get(..unshared),
            after.get(unshared..).and_then(|after| after.get(..value)),
        ) else {
            break;
        };
        let name = [start, end].concat();
        if before.is_some_and(|before| name.as_slice() <= before) {
            break;
        }
        entries.push((name, content.to_vec()));
        rest = &after[unshared + value..];
    }
    entries
}

fn lengths(bytes: &[u8]) -> Option<(usize, usize, usize, &[u8])> {
    let (shared, rest) = varint(bytes)?;
    let (unshared, rest) = varint(rest)?;
    let (value, rest) = varint(rest)?;
    Some((shared, unshared, value, rest))
}

fn varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let length = bytes.iter().take(4).position(|byte| byte & 0x80 == 0)? + 1;
    let (number, rest) = bytes.split_at(length);
    let value = number
        .iter()
        .rev()
        .fold(0, |value, byte| value << 7 | usize::from(byte & 0x7f));
    Some((value, rest))
}
