//! Lists of the pieces of a dataset: of a fixed length, or of one that grows with the dataset.
//!
//! Source: HDF5 File Format Specification 3.0, sections VII.C and VII.D, and `H5EAint.c`, `H5EAhdr.c` and `H5Dearray.c` of HDF5 1.14.

use super::chunks::Pieces;
use super::cursor::{Cursor, Fault, Step};
use super::object::summed;
use super::source::{Kind, Source};
use crate::ahead::Wrong;
use crate::rules;

/// How HDF5 lays out every list that grows: bits of a place in it, entries in the index block, entries of the smallest data block, data
/// blocks of the smallest super block, bits of a place in a page (`H5D_EARRAY_…`).
const GROWTH: [u8; 5] = [32, 4, 16, 4, 10];
/// The same in the order of the message that names the list.
pub const GROWTH_NAMED: [u8; 5] = [32, 4, 4, 16, 10];
/// Entries in the index block.
const FIRST: u64 = 4;
/// Entries of the smallest data block.
const LEAST: u64 = 16;
/// Super blocks of a list, and those whose data blocks the index block names itself.
const SUPER_BLOCKS: u32 = 29;
const NAMED_BLOCKS: u32 = 4;
/// Entries of a page.
const OF_PAGE: u64 = 1 << 10;
/// Bytes of signature, version, kind and the address of the header, and of a checksum.
const PREFIX: u64 = 14;
const SUM: u64 = 4;

/// A list that grows, while it is read.
struct Growing {
    /// Where its header is.
    at: u64,
    /// Bytes of an entry.
    width: usize,
    /// How many entries readers look at.
    set: u64,
    /// Bytes of a piece that is not packed.
    piece: u64,
    /// How many pieces it has.
    found: u64,
}

/// A data block of a list that grows.
struct Block<'a> {
    at: u64,
    /// Which entry it begins with, after those in the index block.
    begins: u64,
    /// Which one it may say instead: HDF5 counts otherwise for blocks that the index block names, and does not look at it.
    noted: u64,
    entries: u64,
    /// Which of its pages are there: the bits, and which is the first; none if it has no pages.
    pages: Option<(&'a [u8], u64)>,
}

/// Where a piece is and, if it is packed, how long it is and which filters were left out.
type Listed = (Option<u64>, Option<(u64, u32)>);

/// An entry of a list.
fn listed(entry: &[u8]) -> Step<Listed> {
    let mut cursor = Cursor::new(entry);
    let place = cursor.address()?;
    if entry.len() == 8 {
        return Ok((place, None));
    }
    Ok((place, Some((cursor.number(entry.len() - 12)?, cursor.u32()?))))
}

/// What all blocks of a list that grows begin with.
fn prefix(cursor: &mut Cursor<'_>, packed: bool, header: u64) -> Step<()> {
    cursor.expect(&[0, u8::from(packed)])?;
    if cursor.u64()? != header {
        return Err(Fault::broken("a part of a list belongs to another list"));
    }
    Ok(())
}

impl Pieces<'_> {
    /// Whether entries can have so many bytes: an address or, where pieces are packed, also a length and the filters left out.
    fn fits(&self, width: usize) -> bool {
        if self.filters.is_empty() {
            width == 8
        } else {
            (13..=20).contains(&width)
        }
    }

    /// Claims pieces in a list of a fixed length, in pages where it is long. How many there are.
    pub(super) fn fixed_array(
        &self,
        source: &mut Source<'_>,
        at: u64,
        pages: u8,
        piece: u64,
        count: u64,
    ) -> Result<u64, Wrong> {
        let head = source.take(at, 28)?;
        let packed = !self.filters.is_empty();
        let fields = || -> Step<(usize, u64)> {
            let mut cursor = Cursor::new(summed(&head, b"FAHD")?);
            cursor.expect(&[0, u8::from(packed)])?;
            let width = usize::from(cursor.u8()?);
            if !self.fits(width) || cursor.u8()? != pages || pages > 16 {
                return Err(Fault::broken("the list of a dataset's pieces contradicts itself"));
            }
            let entries = cursor.u64()?;
            if entries != count {
                let message = format!("a list of {entries} pieces of a dataset of {count}");
                return Err(Fault::of(&rules::H5_SIZE, message));
            }
            Ok((width, cursor.u64()?))
        };
        let (width, block) = fields().map_err(|fault| fault.at(at))?;
        let of_page = 1_u64 << pages.min(16);
        let entries = |count: u64| count.saturating_mul(width as u64);
        let mut left = count;
        if count <= of_page {
            let bytes = source.take(block, PREFIX + entries(count) + SUM)?;
            let within = summed(&bytes, b"FADB").map_err(|fault| fault.at(block))?;
            let list = within.get(10..).unwrap_or_default();
            self.all(source, block, list, width, piece)?;
            return Ok(count);
        }
        let bitmap = count.div_ceil(of_page).div_ceil(8);
        let bytes = source.take(block, PREFIX + bitmap + SUM)?;
        summed(&bytes, b"FADB").map_err(|fault| fault.at(block))?;
        let mut page_at = block + PREFIX + bitmap + SUM;
        while left > 0 {
            let now = left.min(of_page);
            let bytes = source.take(page_at, entries(now) + SUM)?;
            let list = summed(&bytes, b"").map_err(|fault| fault.at(page_at))?;
            self.all(source, page_at, list, width, piece)?;
            page_at += entries(now) + SUM;
            left -= now;
        }
        Ok(count)
    }

    /// Claims the pieces of a list in which none may be missing.
    fn all(
        &self,
        source: &mut Source<'_>,
        at: u64,
        list: &[u8],
        width: usize,
        piece: u64,
    ) -> Result<(), Wrong> {
        for entry in list.chunks_exact(width.max(8)) {
            let (place, packed) = listed(entry).map_err(|fault| fault.at(at))?;
            let Some(place) = place else {
                let message = "a piece of a dataset is not in the file";
                return Err(Fault::of(&rules::H5_SIZE, message).at(at));
            };
            self.one(source, place, packed, piece)?;
        }
        Ok(())
    }

    /// Claims a piece of which a list says where it is.
    fn one(
        &self,
        source: &mut Source<'_>,
        place: u64,
        packed: Option<(u64, u32)>,
        piece: u64,
    ) -> Result<(), Wrong> {
        match packed {
            Some((length, mask)) => self.piece(source, place, length, mask, piece),
            None => source.claim(place, piece, Kind::Numbers),
        }
    }

    /// Claims pieces in a list that grows. How many there are.
    pub(super) fn growing_array(&self, source: &mut Source<'_>, at: u64, piece: u64) -> Result<u64, Wrong> {
        let packed = !self.filters.is_empty();
        let head = source.take(at, 72)?;
        let fields = || -> Step<(usize, u64, Option<u64>)> {
            let mut cursor = Cursor::new(summed(&head, b"EAHD")?);
            cursor.expect(&[0, u8::from(packed)])?;
            let width = usize::from(cursor.u8()?);
            if !self.fits(width) || cursor.take(GROWTH.len())? != GROWTH {
                return Err(Fault::broken("the list of a dataset's pieces contradicts itself"));
            }
            // How many blocks there are and what they take: readers do not need it.
            cursor.take(32)?;
            let set = cursor.u64()?;
            cursor.u64()?;
            Ok((width, set, cursor.address()?))
        };
        let (width, set, block) = fields().map_err(|fault| fault.at(at))?;
        let mut list = Growing {
            at,
            width,
            set,
            piece,
            found: 0,
        };
        if let Some(block) = block {
            self.index_block(source, block, &mut list)?;
        }
        Ok(list.found)
    }

    /// The first entries, and where the blocks with the others are.
    fn index_block(&self, source: &mut Source<'_>, at: u64, list: &mut Growing) -> Result<(), Wrong> {
        let own = FIRST * list.width as u64;
        // The super blocks that are named here have one, one, two and two data blocks.
        let named = (0..NAMED_BLOCKS).map(|block| 1_u64 << (block / 2)).sum::<u64>();
        let addresses = named + u64::from(SUPER_BLOCKS - NAMED_BLOCKS);
        let bytes = source.take(at, PREFIX + own + 8 * addresses + SUM)?;
        let within = summed(&bytes, b"EAIB").map_err(|fault| fault.at(at))?;
        let mut cursor = Cursor::new(within);
        prefix(&mut cursor, !self.filters.is_empty(), list.at).map_err(|fault| fault.at(at))?;
        let entries = cursor
            .take(usize::try_from(own).unwrap_or(usize::MAX))
            .map_err(|fault| fault.at(at))?;
        self.entries(source, at, entries, 0, list)?;
        let (mut begins, mut first) = (0, 0);
        for order in 0..SUPER_BLOCKS {
            let (blocks, entries) = (1_u64 << (order / 2), LEAST << order.div_ceil(2));
            if order < NAMED_BLOCKS {
                for block in first..first + blocks {
                    let place = cursor.address().map_err(|fault| fault.at(at))?;
                    if let Some(place) = place {
                        let noted = begins + block * entries;
                        let block = Block {
                            at: place,
                            begins: begins + (block - first) * entries,
                            noted,
                            entries,
                            pages: None,
                        };
                        self.data_block(source, &block, list)?;
                    }
                }
            } else if let Some(place) = cursor.address().map_err(|fault| fault.at(at))? {
                self.super_block(source, place, (begins, blocks, entries), list)?;
            }
            begins += blocks * entries;
            first += blocks;
        }
        Ok(())
    }

    /// A block that says where so many data blocks with so many entries each are.
    fn super_block(
        &self,
        source: &mut Source<'_>,
        at: u64,
        (begins, blocks, entries): (u64, u64, u64),
        list: &mut Growing,
    ) -> Result<(), Wrong> {
        let pages = if entries > OF_PAGE { entries / OF_PAGE } else { 0 };
        let bits = blocks * pages.div_ceil(8);
        let bytes = source.take(at, PREFIX + 4 + bits + 8 * blocks + SUM)?;
        let fields = || -> Step<(&[u8], Vec<Option<u64>>)> {
            let mut cursor = Cursor::new(summed(&bytes, b"EASB")?);
            prefix(&mut cursor, !self.filters.is_empty(), list.at)?;
            if u64::from(cursor.u32()?) != begins {
                return Err(Fault::broken("a part of a list is at another place of it"));
            }
            let bits = cursor.take(usize::try_from(bits).unwrap_or(usize::MAX))?;
            let places = (0..blocks).map(|_| cursor.address()).collect::<Step<_>>()?;
            Ok((bits, places))
        };
        let (bits, places) = fields().map_err(|fault| fault.at(at))?;
        for (block, place) in (0..blocks).zip(places) {
            if let Some(at) = place {
                let block = Block {
                    at,
                    begins: begins + block * entries,
                    noted: begins + block * entries,
                    entries,
                    pages: (pages > 0).then_some((bits, block * pages)),
                };
                self.data_block(source, &block, list)?;
            }
        }
        Ok(())
    }

    /// A block of entries, in pages where there are many.
    fn data_block(
        &self,
        source: &mut Source<'_>,
        block: &Block<'_>,
        list: &mut Growing,
    ) -> Result<(), Wrong> {
        let width = list.width as u64;
        let own = if block.pages.is_some() {
            0
        } else {
            block.entries * width
        };
        let bytes = source.take(block.at, PREFIX + 4 + own + SUM)?;
        let fields = || -> Step<&[u8]> {
            let mut cursor = Cursor::new(summed(&bytes, b"EADB")?);
            prefix(&mut cursor, !self.filters.is_empty(), list.at)?;
            let noted = u64::from(cursor.u32()?);
            if noted != block.begins && noted != block.noted {
                return Err(Fault::broken("a part of a list is at another place of it"));
            }
            Ok(cursor.rest())
        };
        let entries = fields().map_err(|fault| fault.at(block.at))?;
        let first = FIRST + block.begins;
        let Some((bits, from)) = block.pages else {
            return self.entries(source, block.at, entries, first, list);
        };
        let page_bytes = OF_PAGE * width + SUM;
        for page in 0..block.entries / OF_PAGE {
            let bit = usize::try_from(from + page).unwrap_or(usize::MAX);
            // Nothing was written to the others.
            if bits
                .get(bit / 8)
                .is_none_or(|byte| byte & (0x80 >> (bit % 8)) == 0)
            {
                continue;
            }
            let at = block.at + PREFIX + 4 + SUM + page * page_bytes;
            let bytes = source.take(at, page_bytes)?;
            let entries = summed(&bytes, b"").map_err(|fault| fault.at(at))?;
            self.entries(source, at, entries, first + page * OF_PAGE, list)?;
        }
        Ok(())
    }

    /// Claims the pieces that entries from this one on name.
    fn entries(
        &self,
        source: &mut Source<'_>,
        at: u64,
        entries: &[u8],
        first: u64,
        list: &mut Growing,
    ) -> Result<(), Wrong> {
        for (index, entry) in (first..).zip(entries.chunks_exact(list.width.max(8))) {
            let (place, packed) = listed(entry).map_err(|fault| fault.at(at))?;
            let Some(place) = place else { continue };
            if index >= list.set || !self.is_within(index) {
                let message = "pieces of a dataset lie outside of it, or where no program looks";
                return Err(Fault::of(&rules::H5_SIZE, message).at(at));
            }
            self.one(source, place, packed, list.piece)?;
            list.found += 1;
        }
        Ok(())
    }

    /// Whether the piece with this number in a list that grows is one of the dataset. They are counted with the dimension that has no limit
    /// first, and as if all others had grown to theirs.
    fn is_within(&self, index: u64) -> bool {
        let sides = || self.dimensions.iter().zip(self.limits).zip(self.chunk);
        let mut left = index;
        for ((dimension, limit), chunk) in sides().rev().filter(|((_, limit), _)| **limit != u64::MAX) {
            let most = limit.div_ceil(*chunk).max(1);
            if left % most >= dimension.div_ceil(*chunk) {
                return false;
            }
            left /= most;
        }
        let mut without = sides().filter(|((_, limit), _)| **limit == u64::MAX);
        match (without.next(), without.next()) {
            (Some(((dimension, _), chunk)), None) => left < dimension.div_ceil(*chunk),
            _ => false,
        }
    }
}
