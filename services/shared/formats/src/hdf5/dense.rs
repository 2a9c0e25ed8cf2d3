//! Many links or attributes of one object, as HDF5 1.8 and later keep them: in a heap of blocks, with trees that say where.
//!
//! Source: HDF5 File Format Specification 3.0, section III.G.

use std::collections::BTreeMap;

use super::cursor::{Cursor, Fault, Step, checksum};
use super::object::summed;
use super::source::Source;
use super::tree::{records, width};
use crate::ahead::Wrong;
use crate::rules;

/// The most bytes of blocks of a heap, and of what is taken out of it.
const MAX_HEAP_BYTES: u64 = 8 << 20;
/// How deep blocks may contain others.
const MAX_DEPTH: usize = 8;
/// The most blocks that a block can name.
const MAX_WIDTH: u16 = 64;

/// What is kept: which kind of records name it, how long they are, and where in them is what leads to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Links.
    Links,
    /// Attributes.
    Attributes,
}

impl Kept {
    /// Kind and length of the records by name; where the id begins, and its length.
    fn by_name(self) -> (u8, u16, usize, usize) {
        match self {
            Self::Links => (5, 11, 4, 7),
            Self::Attributes => (8, 17, 0, 8),
        }
    }

    /// Kind and length of the records by order.
    fn by_order(self) -> (u8, u16) {
        match self {
            Self::Links => (6, 15),
            Self::Attributes => (9, 13),
        }
    }

    /// Reads where the heap and the trees are, if there are any.
    pub fn places(self, cursor: &mut Cursor<'_>) -> Step<Option<Places>> {
        cursor.expect(&[0])?;
        let flags = cursor.u8()?;
        if flags & 1 != 0 {
            cursor.take(match self {
                Self::Links => 8,
                Self::Attributes => 2,
            })?;
        }
        let (heap, names) = (cursor.address()?, cursor.address()?);
        let order = if flags & 2 != 0 { cursor.address()? } else { None };
        match (heap, names) {
            (Some(heap), Some(names)) => Ok(Some(Places { heap, names, order })),
            (None, None) if order.is_none() => Ok(None),
            _ => Err(Fault::broken("links or attributes are kept in half a place")),
        }
    }
}

/// Where links or attributes are kept.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    heap: u64,
    names: u64,
    order: Option<u64>,
}

/// What a heap's header says.
#[derive(Debug)]
struct Heap {
    at: u64,
    id: usize,
    summed: bool,
    largest: u32,
    huge: Option<u64>,
    free: Option<u64>,
    objects: u64,
    width: u16,
    start: u64,
    largest_block: u64,
    bits: u16,
    root: Option<u64>,
    rows: u16,
}

/// The blocks of a heap by their place in it.
struct Blocks<'a, 'b> {
    source: &'a mut Source<'b>,
    heap: Heap,
    read: BTreeMap<u64, (u64, Vec<u8>)>,
    bytes: u64,
}

/// The messages that are kept there, with their places in the file.
///
/// # Errors
///
/// What is wrong with the heap or the trees.
pub fn messages(source: &mut Source<'_>, kept: Kept, places: Places) -> Result<Vec<(u64, Vec<u8>)>, Wrong> {
    let (kind, length, id_at, id_length) = kept.by_name();
    let names = records(source, places.names, kind, length)?;
    if let Some(order) = places.order {
        let (kind, length) = kept.by_order();
        records(source, order, kind, length)?;
    }
    let heap = Heap::read(source, places.heap)?;
    if heap.id != id_length {
        return Err(Fault::broken("a heap has ids of another length").at(heap.at));
    }
    if let Some(at) = heap.free {
        free(source, at)?;
    }
    let huge = match heap.huge {
        Some(at) => records(source, at, 1, 24)?,
        None => Vec::new(),
    };
    let count = names.len() / usize::from(length);
    if heap.objects != count as u64 {
        return Err(Fault::broken("a heap holds something that no name leads to").at(heap.at));
    }
    let mut blocks = Blocks {
        source,
        heap,
        read: BTreeMap::new(),
        bytes: 0,
    };
    blocks.read_all()?;
    let mut found = Vec::new();
    let mut total = 0;
    for record in names.chunks_exact(length.into()) {
        let id = record
            .get(id_at..)
            .and_then(|rest| rest.get(..id_length))
            .unwrap_or_default();
        // What is shared lies in another heap.
        if kept == Kept::Attributes && record.get(8).is_some_and(|flags| flags & 2 != 0) {
            return Err(super::message::shared().at(places.names));
        }
        let (at, message) = blocks.object(id, &huge)?;
        total += message.len() as u64;
        if total > MAX_HEAP_BYTES {
            return Err(Fault::of(&rules::H5_LIMIT, "an object has too many attributes or links").at(at));
        }
        found.push((at, message));
    }
    Ok(found)
}

/// Notes about free room in a heap.
fn free(source: &mut Source<'_>, at: u64) -> Result<(), Wrong> {
    let head = source.take(at, 82)?;
    let fields = || -> Step<(Option<u64>, u64)> {
        let mut cursor = Cursor::new(summed(&head, b"FSHD")?);
        cursor.expect(&[0, 0])?;
        cursor.take(32 + 8 + 8)?;
        let place = cursor.address()?;
        cursor.u64()?;
        Ok((place, cursor.u64()?))
    };
    let (place, length) = fields().map_err(|fault| fault.at(at))?;
    if let Some(place) = place {
        let list = source.take(place, length)?;
        Cursor::new(&list)
            .expect(b"FSSE\0")
            .map_err(|fault| fault.at(place))?;
    }
    Ok(())
}

impl Heap {
    fn read(source: &mut Source<'_>, at: u64) -> Result<Self, Wrong> {
        let head = source.take(at, 146)?;
        let fields = || -> Step<Self> {
            let mut cursor = Cursor::new(summed(&head, b"FRHP")?);
            cursor.expect(&[0])?;
            let id = usize::from(cursor.u16()?);
            if cursor.u16()? != 0 {
                return Err(Fault::of(&rules::H5_VERSION, "links or attributes are packed"));
            }
            let flags = cursor.u8()?;
            let largest = cursor.u32()?;
            cursor.u64()?;
            let huge = cursor.address()?;
            cursor.u64()?;
            let free = cursor.address()?;
            cursor.take(24)?;
            let managed = cursor.u64()?;
            cursor.u64()?;
            let large = cursor.u64()?;
            cursor.u64()?;
            let tiny = cursor.u64()?;
            let found = Self {
                at,
                id,
                summed: flags & 2 != 0,
                largest,
                huge,
                free,
                objects: managed.saturating_add(large).saturating_add(tiny),
                width: cursor.u16()?,
                start: cursor.u64()?,
                largest_block: cursor.u64()?,
                bits: cursor.u16()?,
                rows: {
                    cursor.u16()?;
                    0
                },
                root: cursor.address()?,
            };
            let rows = cursor.u16()?;
            let powers = [found.width.into(), found.start, found.largest_block]
                .iter()
                .all(|number: &u64| number.is_power_of_two());
            let fits = (1..=MAX_WIDTH).contains(&found.width)
                && found.start >= 64
                && found.start <= found.largest_block
                && found.largest_block <= MAX_HEAP_BYTES
                && found.bits <= 64
                && rows <= 64;
            if !powers || !fits || flags > 3 {
                return Err(Fault::broken("a heap has blocks of an impossible shape"));
            }
            Ok(Self { rows, ..found })
        };
        fields().map_err(|fault| fault.at(at))
    }

    /// Bytes of a place in the heap.
    fn place_width(&self) -> usize {
        usize::from(self.bits.div_ceil(8))
    }

    /// How much of the heap a block of this row takes.
    fn size(&self, row: u16) -> Option<u64> {
        match row {
            0 => Some(self.start),
            _ => self.start.checked_mul(1_u64.checked_shl(u32::from(row) - 1)?),
        }
    }
}

impl Blocks<'_, '_> {
    fn read_all(&mut self) -> Result<(), Wrong> {
        let Some(root) = self.heap.root else {
            return Ok(());
        };
        match self.heap.rows {
            0 => self.direct(root, 0, self.heap.start),
            rows => self.indirect(root, 0, rows, MAX_DEPTH),
        }
    }

    /// The beginning of a block; what follows it.
    fn head<'c>(&self, bytes: &'c [u8], signature: &[u8], offset: u64) -> Step<Cursor<'c>> {
        let mut cursor = Cursor::new(bytes);
        cursor.expect(signature)?;
        cursor.expect(&[0])?;
        if cursor.u64()? != self.heap.at || cursor.number(self.heap.place_width())? != offset {
            return Err(Fault::broken("a block of a heap is in the wrong place"));
        }
        Ok(cursor)
    }

    /// A block with what is kept.
    fn direct(&mut self, at: u64, offset: u64, length: u64) -> Result<(), Wrong> {
        self.bytes = self.bytes.saturating_add(length);
        if self.bytes > MAX_HEAP_BYTES {
            return Err(Fault::of(&rules::H5_LIMIT, "an object has too many attributes or links").at(at));
        }
        let bytes = self.source.take(at, length)?;
        let cursor = self.head(&bytes, b"FHDB", offset).map_err(|fault| fault.at(at))?;
        if self.heap.summed {
            let sum_at = cursor.taken();
            let mut blank = bytes.clone();
            let found = Cursor::new(cursor.rest()).u32();
            if let Some(place) = blank.get_mut(sum_at..sum_at + 4) {
                place.fill(0);
            }
            if found != Ok(checksum(&blank)) {
                return Err(Fault::broken("the checksum of a structure is wrong").at(at));
            }
        }
        self.read.insert(offset, (at, bytes));
        Ok(())
    }

    /// A block that names others, in so many rows.
    fn indirect(&mut self, at: u64, mut offset: u64, rows: u16, depth: usize) -> Result<(), Wrong> {
        let wrong = |message: &str| Fault::broken(message).at(at);
        if depth == 0 {
            return Err(wrong("blocks of a heap within others, too deep"));
        }
        let count = u64::from(rows) * u64::from(self.heap.width);
        let length = 13 + self.heap.place_width() as u64 + count * 8 + 4;
        let bytes = self.source.take(at, length)?;
        summed(&bytes, b"FHIB").map_err(|fault| fault.at(at))?;
        let mut cursor = self.head(&bytes, b"FHIB", offset).map_err(|fault| fault.at(at))?;
        for row in 0..rows {
            let size = self.heap.size(row).ok_or_else(|| wrong("a heap is too large"))?;
            for _ in 0..self.heap.width {
                let child = cursor.address().map_err(|fault| fault.at(at))?;
                if let Some(child) = child {
                    if size <= self.heap.largest_block {
                        self.direct(child, offset, size)?;
                    } else {
                        let first = self.heap.start.saturating_mul(self.heap.width.into());
                        let rows = (size / first.max(1)).max(1).ilog2() + 1;
                        self.indirect(child, offset, u16::try_from(rows).unwrap_or(0), depth - 1)?;
                    }
                }
                offset = offset
                    .checked_add(size)
                    .ok_or_else(|| wrong("a heap is too large"))?;
            }
        }
        Ok(())
    }

    /// What an id leads to, and where in the file it is.
    fn object(&mut self, id: &[u8], huge: &[u8]) -> Result<(u64, Vec<u8>), Wrong> {
        let at = self.heap.at;
        let missing = || Fault::broken("a name leads to nothing in a heap").at(at);
        let mut cursor = Cursor::new(id);
        let kind = cursor.u8().map_err(|fault| fault.at(at))?;
        match kind {
            0 => {
                let place_width = self.heap.place_width();
                let limit = width(self.heap.largest_block).min(width(self.heap.largest.into()));
                let mut fields = || Ok((cursor.number(place_width)?, cursor.number(limit)?));
                let (place, length) = fields().map_err(|fault: Fault| fault.at(at))?;
                let (begins, (block_at, bytes)) =
                    self.read.range(..=place).next_back().ok_or_else(missing)?;
                let from = place - begins;
                let part = usize::try_from(from).ok().and_then(|from| {
                    let length = usize::try_from(length).ok()?;
                    bytes.get(from..)?.get(..length)
                });
                Ok((block_at + from, part.ok_or_else(missing)?.to_vec()))
            }
            0x10 => {
                let wanted = cursor
                    .number(id.len().saturating_sub(1))
                    .map_err(|fault| fault.at(at))?;
                for record in huge.chunks_exact(24) {
                    let mut cursor = Cursor::new(record);
                    let mut fields = || Ok((cursor.u64()?, cursor.u64()?, cursor.u64()?));
                    let (place, length, number) = fields().map_err(|fault: Fault| fault.at(at))?;
                    if number == wanted {
                        return Ok((place, self.source.take(place, length)?));
                    }
                }
                Err(missing())
            }
            _ => Err(Fault::of(&rules::H5_VERSION, "a link or an attribute is kept within its id").at(at)),
        }
    }
}
