//! Datasets in pieces: where each piece is, and that together they are the dataset.
//!
//! Source: HDF5 File Format Specification 3.0, sections III.A.1 and VII.

use super::cursor::{Cursor, Fault, Step};
use super::filters::{self, Filter};
use super::group::{MAX_LEVELS, Neighbours};
use super::message::Index;
use super::object::summed;
use super::source::{Kind, Source};
use crate::rules;
use crate::zip::Wrong;

/// The largest piece that HDF5 allows.
const MAX_PIECE_BYTES: u64 = u32::MAX as u64;

/// How far a tree has been read.
#[derive(Debug, Default)]
struct Order {
    /// Where in the dataset the last piece is.
    last: Option<Vec<u64>>,
    neighbours: Neighbours,
}

/// All pieces must be there.
fn complete(at: u64, found: u64, count: u64) -> Result<(), Wrong> {
    if found == count {
        return Ok(());
    }
    let message = format!("a dataset of {count} pieces has {found} in the file");
    Err(Fault::of(&rules::H5_SIZE, message).at(at))
}

/// Where a piece is and, if it is packed, how long it is and which filters were left out.
type Listed = (Option<u64>, Option<(u64, u32)>);

/// A dataset in pieces.
#[derive(Debug)]
pub struct Pieces<'a> {
    /// The dataset's dimensions.
    pub dimensions: &'a [u64],
    /// Those of a piece.
    pub chunk: &'a [u64],
    /// Bytes of an element.
    pub element: u64,
    /// How pieces are packed.
    pub filters: &'a [Filter],
    /// Where the index is.
    pub at: Option<u64>,
    /// Half of the entries of a node of a tree.
    pub tree: u64,
}

impl Pieces<'_> {
    /// How many there must be.
    fn count(&self) -> Option<u64> {
        let sides = self.dimensions.iter().zip(self.chunk);
        sides
            .map(|(dimension, chunk)| dimension.div_ceil(*chunk))
            .try_fold(1_u64, u64::checked_mul)
    }

    /// Bytes of a piece that is not packed.
    fn bytes(&self) -> Option<u64> {
        self.chunk
            .iter()
            .try_fold(self.element, |bytes, side| bytes.checked_mul(*side))
            .filter(|bytes| *bytes <= MAX_PIECE_BYTES)
    }

    /// Claims all pieces.
    ///
    /// # Errors
    ///
    /// When they are not what makes up the dataset.
    pub fn claim(&self, source: &mut Source<'_>, at: u64, index: &Index) -> Result<(), Wrong> {
        let impossible = |message| Fault::of(&rules::H5_SHAPE, message).at(at);
        let count = self
            .count()
            .ok_or_else(|| impossible("more pieces than can be counted"))?;
        let bytes = self
            .bytes()
            .ok_or_else(|| impossible("pieces of a dataset are too large"))?;
        let Some(begins) = self.at.filter(|_| count > 0) else {
            return complete(at, 0, count);
        };
        let found = match index {
            Index::Tree => {
                let mut order = Order::default();
                let found = self.node(source, begins, None, bytes, &mut order)?;
                order.neighbours.end().map_err(|fault| fault.at(begins))?;
                found
            }
            Index::Single(packed) => {
                match packed {
                    Some((length, mask)) => self.piece(source, begins, *length, *mask, bytes)?,
                    None => source.claim(begins, bytes, Kind::Numbers)?,
                }
                1
            }
            Index::Implicit => {
                let all = bytes
                    .checked_mul(count)
                    .ok_or_else(|| impossible("pieces of a dataset are too large"))?;
                source.claim(begins, all, Kind::Numbers)?;
                count
            }
            Index::FixedArray(pages) => self.array(source, begins, *pages, bytes, count)?,
        };
        complete(at, found, count)
    }

    /// A node of the tree, which must be of this level; how many pieces are below it.
    fn node(
        &self,
        source: &mut Source<'_>,
        at: u64,
        level: Option<u8>,
        piece: u64,
        order: &mut Order,
    ) -> Result<u64, Wrong> {
        let rank = self.dimensions.len() as u64;
        let key = 8 + 8 * (rank + 1);
        let bytes = source.take(at, 24 + self.tree * 2 * (key + 8) + key)?;
        let neighbours = &mut order.neighbours;
        let mut fields = || -> Step<(u8, u16)> {
            let mut cursor = Cursor::new(&bytes);
            cursor.expect(b"TREE\x01")?;
            let (found, used) = (cursor.u8()?, cursor.u16()?);
            let fits = level.is_none_or(|level| level == found) && found <= MAX_LEVELS;
            if !fits || u64::from(used) > 2 * self.tree {
                return Err(Fault::broken(
                    "the levels of a tree do not fit each other, or a node is too full",
                ));
            }
            neighbours.next(found, at, cursor.address()?, cursor.address()?)?;
            Ok((found, used))
        };
        let (level, used) = fields().map_err(|fault| fault.at(at))?;
        let mut cursor = Cursor::new(bytes.get(24..).unwrap_or_default());
        let mut found = 0;
        for _ in 0..used {
            let (length, mask, offset, child) = self.key(&mut cursor).map_err(|fault| fault.at(at))?;
            if let Some(below) = level.checked_sub(1) {
                found += self.node(source, child, Some(below), piece, order)?;
                continue;
            }
            let within = offset
                .iter()
                .zip(self.dimensions.iter().zip(self.chunk))
                .all(|(offset, (dimension, chunk))| offset < dimension && offset.is_multiple_of(*chunk));
            if !within || order.last.as_ref().is_some_and(|last| *last >= offset) {
                let message = "pieces of a dataset lie outside of it, out of order or over each other";
                return Err(Fault::of(&rules::H5_SIZE, message).at(at));
            }
            order.last = Some(offset);
            self.piece(source, child, length.into(), mask, piece)?;
            found += 1;
        }
        Ok(found)
    }

    /// A key of a node and the child after it.
    fn key(&self, cursor: &mut Cursor<'_>) -> Step<(u32, u32, Vec<u64>, u64)> {
        let (length, mask) = (cursor.u32()?, cursor.u32()?);
        let mut offset = Vec::new();
        for _ in self.dimensions {
            offset.push(cursor.u64()?);
        }
        cursor.u64()?;
        Ok((length, mask, offset, cursor.u64()?))
    }

    /// Pieces in a list, in pages where it is long.
    fn array(
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
            let fits = if packed {
                (13..=20).contains(&width)
            } else {
                width == 8
            };
            if !fits || cursor.u8()? != pages || pages > 16 {
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
            let bytes = source.take(block, 14 + entries(count) + 4)?;
            let within = summed(&bytes, b"FADB").map_err(|fault| fault.at(block))?;
            let list = within.get(10..).unwrap_or_default();
            self.listed(source, block, list, width, piece)?;
            return Ok(count);
        }
        let bitmap = count.div_ceil(of_page).div_ceil(8);
        let bytes = source.take(block, 14 + bitmap + 4)?;
        summed(&bytes, b"FADB").map_err(|fault| fault.at(block))?;
        let mut page_at = block + 14 + bitmap + 4;
        while left > 0 {
            let now = left.min(of_page);
            let bytes = source.take(page_at, entries(now) + 4)?;
            let list = summed(&bytes, b"").map_err(|fault| fault.at(page_at))?;
            self.listed(source, page_at, list, width, piece)?;
            page_at += entries(now) + 4;
            left -= now;
        }
        Ok(count)
    }

    /// Pieces as a list has them: where they are and, if they are packed, how long.
    fn listed(
        &self,
        source: &mut Source<'_>,
        at: u64,
        list: &[u8],
        width: usize,
        piece: u64,
    ) -> Result<(), Wrong> {
        for entry in list.chunks_exact(width.max(8)) {
            let mut cursor = Cursor::new(entry);
            let mut fields = || -> Step<Listed> {
                let place = cursor.address()?;
                if width == 8 {
                    return Ok((place, None));
                }
                Ok((place, Some((cursor.number(width - 12)?, cursor.u32()?))))
            };
            let (place, packed) = fields().map_err(|fault| fault.at(at))?;
            let Some(place) = place else {
                let message = "a piece of a dataset is not in the file";
                return Err(Fault::of(&rules::H5_SIZE, message).at(at));
            };
            match packed {
                Some((length, mask)) => self.piece(source, place, length, mask, piece)?,
                None => source.claim(place, piece, Kind::Numbers)?,
            }
        }
        Ok(())
    }

    /// Claims a piece of `length` bytes in the file. `mask` says which filters were left out.
    fn piece(
        &self,
        source: &mut Source<'_>,
        at: u64,
        length: u64,
        mask: u32,
        bytes: u64,
    ) -> Result<(), Wrong> {
        let packing = filters::packing(self.filters, mask, bytes).map_err(|fault| fault.at(at))?;
        if !packing.deflated && length != packing.out {
            let message = format!(
                "a piece of {length} bytes, not of {} as its shape says",
                packing.out
            );
            return Err(Fault::of(&rules::H5_SIZE, message).at(at));
        }
        source.claim(at, length, Kind::Packed(packing))
    }
}
