//! Texts of any length, which lie in collections (the global heap).
//!
//! Source: HDF5 File Format Specification 3.0, section III.E.

use std::collections::BTreeMap;
use std::ops::Range;

use super::cursor::{Cursor, Fault, Step};
use super::datatype::REFERENCE_BYTES;
use super::source::Source;
use crate::ahead::Wrong;
use crate::rules;

/// The most collections.
const MAX_COLLECTIONS: usize = 16 << 10;

/// A collection of texts.
#[derive(Debug, Default)]
struct Collection {
    bytes: Vec<u8>,
    texts: BTreeMap<u64, Range<usize>>,
}

/// The collections of a file; the last one that was needed is kept.
#[derive(Debug, Default)]
pub struct Heaps {
    last: Option<(u64, Collection)>,
    /// Those that were claimed, and how long they are.
    known: BTreeMap<u64, u64>,
}

impl Heaps {
    /// Gives each text that `value` refers to, with its place, to `receive`.
    ///
    /// # Errors
    ///
    /// When a text is not there.
    pub fn texts(
        &mut self,
        source: &mut Source<'_>,
        at: u64,
        value: &[u8],
        mut receive: impl FnMut(u64, &[u8]) -> Result<(), Wrong>,
    ) -> Result<(), Wrong> {
        let size = usize::try_from(REFERENCE_BYTES).unwrap_or(16);
        for reference in value.chunks_exact(size) {
            let mut cursor = Cursor::new(reference);
            let mut fields = || Ok((cursor.u32()?, cursor.u64()?, cursor.u32()?));
            let (length, collection, index) = fields().map_err(|fault: Fault| fault.at(at))?;
            if length == 0 && matches!(collection, 0 | u64::MAX) {
                receive(at, b"")?;
                continue;
            }
            let missing = || Fault::broken("a text is not where it should be").at(at);
            let found = self.collection(source, collection)?;
            let range = found.texts.get(&index.into()).cloned().ok_or_else(missing)?;
            let begins = collection + range.start as u64;
            let text = found
                .bytes
                .get(range)
                .filter(|text| text.len() as u64 == u64::from(length))
                .ok_or_else(missing)?;
            receive(begins, text)?;
        }
        Ok(())
    }

    fn collection(&mut self, source: &mut Source<'_>, at: u64) -> Result<&Collection, Wrong> {
        if self.last.as_ref().is_none_or(|(last, _)| *last != at) {
            let collection = if let Some(length) = self.known.get(&at) {
                Collection::of(source.look(at, *length)?)
            } else {
                let head = source.look(at, 16)?;
                let length = || -> Step<u64> {
                    let mut cursor = Cursor::new(&head);
                    cursor.expect(b"GCOL\x01\0\0\0")?;
                    cursor.u64()
                };
                let length = length().map_err(|fault| fault.at(at))?;
                if self.known.len() == MAX_COLLECTIONS {
                    return Err(Fault::of(&rules::H5_LIMIT, "too many collections of texts").at(at));
                }
                self.known.insert(at, length);
                Collection::of(source.take(at, length)?)
            };
            self.last = Some((at, collection.map_err(|fault| fault.at(at))?));
        }
        match &self.last {
            Some((_, collection)) => Ok(collection),
            None => Err(Fault::broken("a collection of texts is not there").at(at)),
        }
    }
}

impl Collection {
    fn of(bytes: Vec<u8>) -> Step<Self> {
        let mut texts = BTreeMap::new();
        let mut cursor = Cursor::new(&bytes);
        cursor.take(16)?;
        // What is shorter than a head is left over.
        while cursor.rest().len() >= 16 {
            let index = u64::from(cursor.u16()?);
            cursor.take(6)?;
            let length = cursor.u64()?;
            if index == 0 {
                // The free rest, whose length counts its own head.
                if length != cursor.rest().len() as u64 + 16 {
                    let message = "the free room of a collection of texts is not what is left of it";
                    return Err(Fault::broken(message));
                }
                break;
            }
            let begins = cursor.taken();
            let length =
                usize::try_from(length).map_err(|_| Fault::broken("a text is longer than any file"))?;
            cursor.take(length)?;
            let padding = length.next_multiple_of(8) - length;
            cursor.take(padding.min(cursor.rest().len()))?;
            if texts.insert(index, begins..begins + length).is_some() {
                let message = "two texts of a collection have the same number";
                return Err(Fault::of(&rules::H5_DUPLICATE, message));
            }
        }
        Ok(Self { bytes, texts })
    }
}
