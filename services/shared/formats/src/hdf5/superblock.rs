//! The superblock, with which a file begins: its version, its end, and where its root is.
//!
//! Source: HDF5 File Format Specification 3.0, section II.A.

use super::cursor::{Cursor, Fault, Step};
use super::group::{self, Entry};
use super::object::summed;
use super::source::Source;
use crate::ahead::Wrong;
use crate::rules;

/// The signature.
pub const SIGNATURE: &[u8; 8] = b"\x89HDF\r\n\x1a\n";
/// The most entries of a node that any file has reason for, halved.
const MAX_RANK: u16 = 4096;

/// How many entries nodes have, halved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Of a symbol table.
    pub group_leaf: u64,
    /// Of a node of the tree of a group.
    pub group_tree: u64,
    /// Of a node of the tree of a dataset.
    pub chunk_tree: u64,
}

/// What the superblock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Superblock {
    /// Where the root's header is.
    pub root: u64,
    /// Tree and heap of the root, where it has them noted here.
    pub group: Option<(u64, u64)>,
    /// Where the header with further notes about the file is.
    pub extension: Option<u64>,
    /// How many entries nodes have.
    pub sizes: Sizes,
}

/// Reads the superblock.
///
/// # Errors
///
/// What is wrong with it.
pub fn read(source: &mut Source<'_>) -> Result<Superblock, Wrong> {
    let size = source.size;
    let head = source.look(0, size.min(128))?;
    if !head.starts_with(SIGNATURE) {
        let message = "something is before the beginning of the file (a user block)";
        return Err(Fault::of(&rules::H5_USER_BLOCK, message).at(0));
    }
    let version = head.get(8).copied().unwrap_or(u8::MAX);
    let fields = match version {
        0 | 1 => old(&head, version),
        2 | 3 => new(&head),
        _ => {
            let message = format!("version {version} of the format is not known");
            Err(Fault::of(&rules::H5_VERSION, message))
        }
    };
    let (superblock, length, end) = fields.map_err(|fault| fault.at(0))?;
    if end > size {
        let message = format!("the file has {size} bytes, it says {end}");
        return Err(Fault::of(&rules::H5_TRUNCATED, message).at(size));
    }
    if end < size {
        let message = format!("{} bytes follow the end of the file", size - end);
        return Err(Fault::of(&rules::H5_TRAILING, message).at(end));
    }
    source.take(0, length)?;
    Ok(superblock)
}

/// Everything counts from the file's first byte, and nothing else does the reading.
fn addresses(base: u64, driver: Option<u64>) -> Step<()> {
    if base != 0 || driver.is_some() {
        let message = "the file is a part of another, or is read by a program of its own";
        return Err(Fault::of(&rules::H5_VERSION, message));
    }
    Ok(())
}

fn widths(offsets: u8, lengths: u8) -> Step<()> {
    if (offsets, lengths) == (8, 8) {
        return Ok(());
    }
    let message = format!("addresses of {offsets} and lengths of {lengths} bytes");
    Err(Fault::of(&rules::H5_VERSION, message))
}

fn closed(flags: u32) -> Step<()> {
    if flags == 0 {
        return Ok(());
    }
    Err(Fault::broken(
        "the file was not closed by the program that wrote it",
    ))
}

fn old(head: &[u8], version: u8) -> Step<(Superblock, u64, u64)> {
    let mut cursor = Cursor::new(head);
    cursor.take(9)?;
    let versions = [cursor.u8()?, cursor.u8()?, cursor.u8()?, cursor.u8()?];
    if versions != [0; 4] {
        return Err(Fault::of(
            &rules::H5_VERSION,
            "a part of the format has an unknown version",
        ));
    }
    widths(cursor.u8()?, cursor.u8()?)?;
    cursor.u8()?;
    let (leaf, tree) = (cursor.u16()?, cursor.u16()?);
    closed(cursor.u32()?)?;
    let chunk = if version == 1 {
        let chunk = cursor.u16()?;
        cursor.u16()?;
        chunk
    } else {
        32
    };
    if [leaf, tree, chunk]
        .iter()
        .any(|rank| !(1..=MAX_RANK).contains(rank))
    {
        return Err(Fault::broken("nodes have an impossible number of entries"));
    }
    let base = cursor.u64()?;
    if cursor.address()?.is_some() {
        return Err(Fault::of(
            &rules::H5_VERSION,
            "unused parts of the file are noted in a way that nothing writes",
        ));
    }
    let end = cursor.u64()?;
    addresses(base, cursor.address()?)?;
    let Entry { object, group, .. } = group::entry(&mut cursor)?;
    let superblock = Superblock {
        root: object.ok_or_else(|| Fault::broken("the file has no root"))?,
        group,
        extension: None,
        sizes: Sizes {
            group_leaf: leaf.into(),
            group_tree: tree.into(),
            chunk_tree: chunk.into(),
        },
    };
    Ok((superblock, cursor.taken() as u64, end))
}

fn new(head: &[u8]) -> Step<(Superblock, u64, u64)> {
    let mut cursor = Cursor::new(head.get(..48).unwrap_or(head));
    cursor.take(9)?;
    widths(cursor.u8()?, cursor.u8()?)?;
    closed(cursor.u8()?.into())?;
    let base = cursor.u64()?;
    let extension = cursor.address()?;
    let end = cursor.u64()?;
    let root = cursor.u64()?;
    cursor.u32()?;
    summed(head.get(..48).unwrap_or_default(), SIGNATURE)?;
    addresses(base, None)?;
    let superblock = Superblock {
        root,
        group: None,
        extension,
        sizes: Sizes {
            group_leaf: 4,
            group_tree: 16,
            chunk_tree: 32,
        },
    };
    Ok((superblock, cursor.taken() as u64, end))
}
