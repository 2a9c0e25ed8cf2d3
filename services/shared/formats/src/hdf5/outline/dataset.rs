//! Datasets: the bytes that shape and type ask for must be in the file, neither more nor less.

use super::{Waiting, Walk};
use crate::ahead::Wrong;
use crate::finding::Place;
use crate::hdf5::chunks::Pieces;
use crate::hdf5::cursor::{Cursor, Fault};
use crate::hdf5::datatype::{Class, Datatype};
use crate::hdf5::filters::{self, Filter};
use crate::hdf5::message::{Dataspace, Layout};
use crate::hdf5::object::{Kind as Says, Message};
use crate::hdf5::source::Kind;
use crate::rules;
use crate::text;

/// Kinds of elements that are told apart.
const MAX_KINDS: usize = 32;

impl Walk<'_> {
    /// Reads what the messages say of a dataset, and claims its numbers.
    pub(super) fn dataset(&mut self, next: &Waiting, messages: &[Message]) -> Result<(), Wrong> {
        let body = |kind| {
            let message = messages.iter().find(|message| message.kind == kind);
            message.map(|message| (message.at, message.body.as_slice()))
        };
        let missing = || Fault::broken("a dataset has no shape, no type or no place").at(next.at);
        let (at, bytes) = body(Says::Dataspace).ok_or_else(missing)?;
        let shape = Dataspace::read(&mut Cursor::new(bytes)).map_err(|fault| fault.at(at))?;
        let (at, bytes) = body(Says::Datatype).ok_or_else(missing)?;
        let datatype = Datatype::read(&mut Cursor::new(bytes)).map_err(|fault| fault.at(at))?;
        let filters = match body(Says::Filters) {
            Some((at, bytes)) => filters::read(&mut Cursor::new(bytes)).map_err(|fault| fault.at(at))?,
            None => Vec::new(),
        };
        if body(Says::SymbolTable).or(body(Says::Link)).is_some() {
            return Err(Fault::broken("an object is a group and a dataset").at(next.at));
        }
        let (at, bytes) = body(Says::Layout).ok_or_else(missing)?;
        let layout = Layout::read(&mut Cursor::new(bytes)).map_err(|fault| fault.at(at))?;
        let elements = shape.elements();
        let size = elements.and_then(|elements| elements.checked_mul(datatype.bytes));
        let (Some(elements), Some(size)) = (elements, size) else {
            let message = "the product of the dimensions is too large";
            self.findings
                .add(&rules::H5_SHAPE, Place::at(next.at).of(&next.path), message);
            return Ok(());
        };
        self.count(&datatype, elements);
        self.numbers(at, &shape, &datatype, size, &layout, &filters)
            .map_err(|wrong| Wrong {
                message: format!("{}: {}", text::shown(&next.path), wrong.message),
                ..wrong
            })
    }

    fn count(&mut self, datatype: &Datatype, elements: u64) {
        if datatype.class != Class::Numbers {
            self.texts += 1;
            return;
        }
        self.tensors += 1;
        self.parameters = self.parameters.saturating_add(elements);
        if let Some(count) = self.kinds.get_mut(&datatype.name) {
            *count = count.saturating_add(elements);
        } else if self.kinds.len() < MAX_KINDS {
            self.kinds.insert(datatype.name.clone(), elements);
        }
    }

    /// The bytes of a dataset of `size` bytes must be there, neither more nor less.
    fn numbers(
        &mut self,
        at: u64,
        shape: &Dataspace,
        datatype: &Datatype,
        size: u64,
        layout: &Layout,
        filters: &[Filter],
    ) -> Result<(), Wrong> {
        let wrong = |message: String| Fault::of(&rules::H5_SIZE, message).at(at);
        if datatype.class == Class::VariableTexts {
            return self.references(at, size, layout, filters);
        }
        match layout {
            Layout::Compact(bytes) if *bytes == size => Ok(()),
            Layout::Contiguous { at: None, .. } if size == 0 => Ok(()),
            Layout::Contiguous { at: None, .. } => Err(wrong(format!("{size} bytes are not in the file"))),
            Layout::Contiguous {
                at: Some(place),
                bytes,
            } if *bytes == size && filters.is_empty() => self.source.claim(*place, size, Kind::Numbers),
            Layout::Compact(bytes) | Layout::Contiguous { bytes, .. } => Err(wrong(format!(
                "{bytes} bytes are in the file, shape and type need {size}"
            ))),
            Layout::Chunked {
                at: index_at,
                chunk,
                element,
                index,
                border,
            } => {
                let fits = chunk.len() == shape.dimensions.len() && *element == datatype.bytes;
                if !fits {
                    let message = "the pieces of a dataset are of another shape or type";
                    return Err(wrong(message.to_owned()));
                }
                // Which pieces are packed would depend on their place.
                if *border && !filters.is_empty() {
                    let message = "pieces at the border of a dataset are stored in another way";
                    return Err(Fault::of(&rules::H5_VERSION, message).at(at));
                }
                let pieces = Pieces {
                    dimensions: &shape.dimensions,
                    limits: &shape.limits,
                    chunk,
                    element: *element,
                    filters,
                    at: *index_at,
                    tree: self.sizes.chunk_tree,
                };
                pieces.claim(&mut self.source, at, index)
            }
        }
    }

    /// A dataset of texts of any length, each of which must be there.
    fn references(&mut self, at: u64, size: u64, layout: &Layout, filters: &[Filter]) -> Result<(), Wrong> {
        match layout {
            Layout::Contiguous { at: None, .. } if size == 0 => Ok(()),
            Layout::Contiguous { at: place, bytes } if place.is_none() || *bytes != size => {
                let message = format!("{size} bytes of texts are not in the file");
                Err(Fault::of(&rules::H5_SIZE, message).at(at))
            }
            Layout::Contiguous { at: Some(place), .. } if filters.is_empty() => {
                let value = self.source.take(*place, size)?;
                let heaps = &mut self.attributes.heaps;
                heaps.texts(&mut self.source, *place, &value, |_, _| Ok(()))
            }
            _ => {
                let message = "texts of any length are stored in pieces";
                Err(Fault::of(&rules::H5_REFERENCE, message).at(at))
            }
        }
    }
}
