//! Datasets in pieces: where each piece is, and that together they are the dataset.
//!
//! Source: HDF5 File Format Specification 3.0, sections III.A.1, III.A.2 and VII.

use super::cursor::{Cursor, Fault, Step};
use super::filters::{self, Filter};
use super::group::{MAX_LEVELS, Neighbours};
use super::message::Index;
use super::source::{Kind, Source};
use super::tree;
use crate::ahead::Wrong;
use crate::rules;

/// Kinds of trees of version 2: those of pieces as they are, and of packed ones.
const PIECES: u8 = 10;
const PACKED_PIECES: u8 = 11;
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

/// Where a piece is; if it is packed, how long it is and which filters were left out; and which one it is, counted in each dimension.
type Placed = (u64, Option<(u64, u32)>, Vec<u64>);

fn out_of_place(at: u64) -> Wrong {
    let message = "pieces of a dataset lie outside of it, out of order or over each other";
    Fault::of(&rules::H5_SIZE, message).at(at)
}

/// Bytes of the length of a packed piece, which may become longer than the piece of so many bytes.
fn length_width(piece: u64) -> usize {
    let log = 63_u32.saturating_sub(piece.leading_zeros());
    usize::try_from(1 + (log + 8) / 8).unwrap_or(8).min(8)
}

/// A dataset in pieces.
#[derive(Debug)]
pub struct Pieces<'a> {
    /// The dataset's dimensions.
    pub dimensions: &'a [u64],
    /// How large each of them may become; the largest number where there is no limit.
    pub limits: &'a [u64],
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
            Index::Single(Some((length, mask))) => {
                self.piece(source, begins, *length, *mask, bytes)?;
                1
            }
            Index::Single(None) | Index::Implicit if !self.filters.is_empty() => {
                let message = "pieces are packed, and nobody knows how long they are";
                return Err(Fault::broken(message).at(at));
            }
            Index::Single(None) => {
                source.claim(begins, bytes, Kind::Numbers)?;
                1
            }
            Index::Implicit => {
                let all = bytes
                    .checked_mul(count)
                    .ok_or_else(|| impossible("pieces of a dataset are too large"))?;
                source.claim(begins, all, Kind::Numbers)?;
                count
            }
            Index::FixedArray(pages) => self.fixed_array(source, begins, *pages, bytes, count)?,
            Index::GrowingArray => self.growing_array(source, begins, bytes)?,
            Index::NewerTree(wide) => self.by_tree(source, begins, bytes, *wide)?,
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
                return Err(out_of_place(at));
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

    /// Claims the pieces of a tree of version 2, which must be in order. How many there are.
    fn by_tree(&self, source: &mut Source<'_>, at: u64, piece: u64, wide: bool) -> Result<u64, Wrong> {
        let packed = !self.filters.is_empty();
        let width = if wide { 8 } else { length_width(piece) };
        let record = 8 + if packed { width + 4 } else { 0 } + 8 * self.dimensions.len();
        let kind = if packed { PACKED_PIECES } else { PIECES };
        let records = tree::records(source, at, kind, u16::try_from(record).unwrap_or(u16::MAX))?;
        let (mut found, mut last) = (0, None);
        for record in records.chunks_exact(record) {
            let mut cursor = Cursor::new(record);
            let mut fields = || -> Step<Placed> {
                let place = cursor.u64()?;
                let packed = if packed {
                    Some((cursor.number(width)?, cursor.u32()?))
                } else {
                    None
                };
                let turn = self
                    .dimensions
                    .iter()
                    .map(|_| cursor.u64())
                    .collect::<Step<_>>()?;
                Ok((place, packed, turn))
            };
            let (place, packed, turn) = fields().map_err(|fault| fault.at(at))?;
            let within = turn
                .iter()
                .zip(self.dimensions.iter().zip(self.chunk))
                .all(|(turn, (dimension, chunk))| *turn < dimension.div_ceil(*chunk));
            if !within || last.as_ref().is_some_and(|last| *last >= turn) {
                return Err(out_of_place(at));
            }
            last = Some(turn);
            match packed {
                Some((length, mask)) => self.piece(source, place, length, mask, piece)?,
                None => source.claim(place, piece, Kind::Numbers)?,
            }
            found += 1;
        }
        Ok(found)
    }

    /// Claims a piece of `length` bytes in the file. `mask` says which filters were left out.
    pub(super) fn piece(
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
        let kind = if self.filters.is_empty() {
            Kind::Numbers
        } else {
            Kind::Packed(packing)
        };
        source.claim(at, length, kind)
    }
}
