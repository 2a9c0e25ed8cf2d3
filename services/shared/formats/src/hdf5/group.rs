//! Groups as HDF5 wrote them at first, and still does by default: a tree of symbol tables, with the names in a heap.
//!
//! Source: HDF5 File Format Specification 3.0, sections III.A.1, III.B, III.C and III.D.

use super::cursor::{Cursor, Fault, Step};
use super::message::{Link, Target};
use super::source::Source;
use super::superblock::Sizes;
use crate::ahead::Wrong;
use crate::rules;

/// How deep trees may be.
pub const MAX_LEVELS: u8 = 16;
/// Bytes of an entry of a symbol table.
pub const ENTRY_BYTES: u64 = 40;
/// The longest name.
pub const MAX_NAME_BYTES: usize = 1024;
/// The most bytes of names in one group. Several entries can use one name in the heap, so that its size is no bound.
const MAX_NAMES_BYTES: usize = 4 << 20;
/// What each member of a group adds to that.
const MEMBER_BYTES: usize = 64;

/// Names of a group.
struct Heap {
    at: u64,
    bytes: Vec<u8>,
}

impl Heap {
    fn read(source: &mut Source<'_>, at: u64) -> Result<Self, Wrong> {
        let header = source.take(at, 32)?;
        let fields = || -> Step<(u64, u64, u64)> {
            let mut cursor = Cursor::new(&header);
            cursor.expect(b"HEAP\0\0\0\0")?;
            let (length, free) = (cursor.u64()?, cursor.u64()?);
            Ok((cursor.u64()?, length, free))
        };
        let (data, length, free) = fields().map_err(|fault| fault.at(at))?;
        let heap = Self {
            at: data,
            bytes: source.take(data, length)?,
        };
        heap.free(free).map_err(|fault| fault.at(data))?;
        Ok(heap)
    }

    /// The list of free blocks must come to an end within the heap.
    fn free(&self, mut next: u64) -> Step<()> {
        let most = self.bytes.len() / 16;
        for _ in 0..=most {
            // The number that stands for the end of the list.
            if next == 1 {
                return Ok(());
            }
            let rest = usize::try_from(next)
                .ok()
                .and_then(|next| self.bytes.get(next..))
                .unwrap_or_default();
            let mut cursor = Cursor::new(rest);
            next = cursor.u64()?;
            let length = cursor.u64()?;
            if length < 16 || length > rest.len() as u64 {
                break;
            }
        }
        Err(Fault::broken("the list of free room in a heap leads nowhere"))
    }

    /// The text that begins there.
    fn text(&self, offset: u64) -> Result<&[u8], Wrong> {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.bytes.get(offset..))
            .unwrap_or_default();
        Cursor::new(rest)
            .text()
            .map_err(|fault| fault.at(self.at.saturating_add(offset)))
    }
}

/// The nodes of a tree, level by level: each knows its neighbours.
#[derive(Debug, Default)]
pub struct Neighbours(std::collections::BTreeMap<u8, (u64, Option<u64>)>);

impl Neighbours {
    /// Takes the next node of a level, with what it says is left and right of it.
    pub fn next(&mut self, level: u8, at: u64, left: Option<u64>, right: Option<u64>) -> Step<()> {
        let fits = match self.0.insert(level, (at, right)) {
            Some((last, expected)) => left == Some(last) && expected == Some(at),
            None => left.is_none(),
        };
        if fits { Ok(()) } else { Err(wrong_neighbours()) }
    }

    /// All nodes were read.
    pub fn end(&self) -> Step<()> {
        let open = self.0.values().any(|(_, right)| right.is_some());
        if open { Err(wrong_neighbours()) } else { Ok(()) }
    }
}

fn wrong_neighbours() -> Fault {
    Fault::broken("the nodes of a tree do not know their neighbours")
}

/// A group that is being read.
struct Group<'a, 'b> {
    source: &'a mut Source<'b>,
    sizes: Sizes,
    heap: Heap,
    neighbours: Neighbours,
    links: Vec<Link>,
    /// Bytes of their names.
    names: usize,
}

/// The links of the group whose tree and heap are there, in the order of their names.
///
/// # Errors
///
/// What is wrong with them.
pub fn links(source: &mut Source<'_>, sizes: Sizes, tree: u64, heap: u64) -> Result<Vec<Link>, Wrong> {
    let heap = Heap::read(source, heap)?;
    let mut group = Group {
        source,
        sizes,
        heap,
        neighbours: Neighbours::default(),
        links: Vec::new(),
        names: 0,
    };
    group.node(tree, None)?;
    group.neighbours.end().map_err(|fault| fault.at(tree))?;
    let names = group.links.iter().map(|(name, _)| name);
    let sorted = names.clone().zip(names.skip(1)).all(|(one, other)| one < other);
    if sorted {
        Ok(group.links)
    } else {
        let message = "the names in a group are not in order, or there twice";
        Err(Fault::of(&rules::H5_DUPLICATE, message).at(tree))
    }
}

impl Group<'_, '_> {
    /// A node of the tree, which must be of this level.
    fn node(&mut self, at: u64, level: Option<u8>) -> Result<(), Wrong> {
        let whole = 24 + self.sizes.group_tree * 4 * 8 + 8;
        let bytes = self.source.take(at, whole)?;
        let neighbours = &mut self.neighbours;
        let mut fields = || -> Step<(u8, Vec<u64>, Vec<u64>)> {
            let mut cursor = Cursor::new(&bytes);
            cursor.expect(b"TREE\0")?;
            let found = cursor.u8()?;
            let used = cursor.u16()?;
            if level.is_some_and(|level| level != found) || found > MAX_LEVELS {
                return Err(Fault::broken("the levels of a tree do not fit each other"));
            }
            if u64::from(used) > 2 * self.sizes.group_tree {
                return Err(Fault::broken("a node of a tree is too full"));
            }
            neighbours.next(found, at, cursor.address()?, cursor.address()?)?;
            let (mut keys, mut children) = (Vec::new(), Vec::new());
            for _ in 0..used {
                keys.push(cursor.u64()?);
                children.push(cursor.u64()?);
            }
            // What is left over where everything was deleted means nothing.
            if used > 0 {
                keys.push(cursor.u64()?);
            }
            Ok((found, keys, children))
        };
        let (level, keys, children) = fields().map_err(|fault| fault.at(at))?;
        for key in keys {
            self.heap.text(key)?;
        }
        for child in children {
            match level.checked_sub(1) {
                Some(below) => self.node(child, Some(below))?,
                None => self.symbols(child)?,
            }
        }
        Ok(())
    }

    fn symbols(&mut self, at: u64) -> Result<(), Wrong> {
        let whole = 8 + 2 * self.sizes.group_leaf * ENTRY_BYTES;
        let bytes = self.source.take(at, whole)?;
        let mut cursor = Cursor::new(&bytes);
        let used = |cursor: &mut Cursor<'_>| -> Step<u16> {
            cursor.expect(b"SNOD\x01\0")?;
            cursor.u16()
        };
        let used = used(&mut cursor).map_err(|fault| fault.at(at))?;
        if u64::from(used) > 2 * self.sizes.group_leaf {
            return Err(Fault::broken("a symbol table is too full").at(at));
        }
        for _ in 0..used {
            let begins = at + cursor.taken() as u64;
            let entry = entry(&mut cursor).map_err(|fault| fault.at(begins))?;
            let name = self.heap.text(entry.name)?;
            if name.len() > MAX_NAME_BYTES {
                return Err(Fault::of(&rules::H5_LIMIT, "a name is too long").at(begins));
            }
            let target = match (entry.object, entry.path) {
                (_, Some(path)) => Target::Path(self.heap.text(path.into())?.to_vec()),
                (Some(object), None) => Target::Object(object, entry.group),
                (None, None) => return Err(Fault::broken("a link leads nowhere").at(begins)),
            };
            let path = match &target {
                Target::Path(path) => path.len(),
                Target::Object(..) => 0,
            };
            self.names += name.len() + path + MEMBER_BYTES;
            if path > MAX_NAME_BYTES || self.names > MAX_NAMES_BYTES {
                let message = "the names in a group are too long or too many";
                return Err(Fault::of(&rules::H5_LIMIT, message).at(begins));
            }
            let link = (name.to_vec(), target);
            self.links.push(link);
        }
        Ok(())
    }
}

/// An entry of a symbol table.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Where its name is in the heap.
    pub name: u64,
    /// Where the object is.
    pub object: Option<u64>,
    /// Where the path is in the heap, of a soft link.
    pub path: Option<u32>,
    /// Tree and heap, of a group that has them noted here.
    pub group: Option<(u64, u64)>,
}

/// Reads an entry.
pub fn entry(cursor: &mut Cursor<'_>) -> Step<Entry> {
    let (name, object) = (cursor.u64()?, cursor.address()?);
    let kind = cursor.u32()?;
    cursor.u32()?;
    let mut scratch = Cursor::new(cursor.take(16)?);
    Ok(Entry {
        name,
        object,
        path: match kind {
            2 => Some(scratch.u32()?),
            0 | 1 => None,
            _ => return Err(Fault::broken("an entry of a symbol table is of an unknown kind")),
        },
        group: match kind {
            1 => Some((scratch.u64()?, scratch.u64()?)),
            _ => None,
        },
    })
}
