//! `.DS_Store`: blocks behind a table of their places, and among them a tree with what the Finder shows of a directory.

use super::word;

/// All places in the file count from here.
const BASE: usize = 4;
/// The least that a table of blocks takes: two numbers, 256 places, the number of names, 32 lists of free blocks.
const LEAST_BYTES: usize = 8 + 256 * 4 + 4 + 32 * 4;
/// The most blocks.
const MAX_BLOCKS: usize = 1 << 16;
/// The only name that the Finder gives a block: the one with the tree's description.
const TREE: &[u8] = b"\x04DSDB";
/// The highest tree. One of this height would have more nodes than fit into the file.
const MAX_HEIGHT: usize = 16;
/// Bytes of a node of the tree.
const NODE_BYTES: usize = 4096;

/// Follows the way to the tree: the table, the one name in it, the description of the tree, its topmost node.
pub fn check(bytes: &[u8]) -> Result<(), &'static str> {
    const CUT: &str = "it ends in its table of blocks";
    let [Some(table), Some(length), Some(again)] = [8, 12, 16].map(|place| word(bytes, place)) else {
        return Err("it ends in its header");
    };
    if table != again || length < LEAST_BYTES {
        return Err("its header contradicts itself");
    }
    let begin = table.checked_add(BASE).ok_or(CUT)?;
    let end = begin.checked_add(length).ok_or(CUT)?;
    let table = bytes.get(begin..end).ok_or(CUT)?;
    let blocks = word(table, 0).filter(|blocks| (1..=MAX_BLOCKS).contains(blocks));
    let blocks = blocks.ok_or("it has no blocks, or too many")?;
    for number in 0..blocks {
        let place = word(table, 8 + 4 * number).ok_or(CUT)?;
        if place != 0 && begins(place) >= bytes.len() {
            return Err("a block lies beyond its end");
        }
    }
    let names = 8 + 4 * blocks.next_multiple_of(256);
    if word(table, names) != Some(1) || !table.get(names + 4..).is_some_and(|name| name.starts_with(TREE)) {
        return Err("it has not the one tree that it should have");
    }
    let block = |number: Option<usize>| {
        let number = number.filter(|number| *number < blocks)?;
        word(table, 8 + 4 * number)
            .filter(|place| *place != 0)
            .map(begins)
    };
    let tree = block(word(table, names + 4 + TREE.len())).ok_or("its tree is nowhere")?;
    let [top, height, _records, nodes, size] = [0, 4, 8, 12, 16].map(|field| word(bytes, tree + field));
    let fits = height.is_some_and(|height| height <= MAX_HEIGHT)
        && nodes.is_some_and(|nodes| nodes <= blocks)
        && size == Some(NODE_BYTES);
    if !fits || block(top).is_none() {
        return Err("its tree is none");
    }
    Ok(())
}

/// Where a block begins: its place, whose five lowest bits say how long it is.
fn begins(place: usize) -> usize {
    (place & !31) + BASE
}
