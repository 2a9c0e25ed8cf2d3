//! The list of tensors: names, shapes, types and positions, each judged as it is read.

use super::layout::{Layout, align};
use super::types::{TYPE_COUNT, TensorType, TensorTypeNumber, tensor_type};
use crate::finding::{Findings, Place};
use crate::names::Names;
use crate::rules::{self, Rule};
use crate::set::Ties;
use crate::tally::Tally;
use crate::text::{self, Fingerprint};

/// The most tensors of a file. The largest published models have some thousands.
pub const MAX_TENSORS: u64 = 1 << 18;
/// `GGML_MAX_NAME`, which counts the terminating zero that files do not have.
pub const MAX_NAME_BYTES: u64 = 63;
/// `GGML_MAX_DIMS`.
pub const MAX_DIMENSIONS: u32 = 4;

/// Where a tensor's data lies, relative to the data section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where its entry in the list begins in the file.
    pub at: u64,
    /// Its first byte.
    pub begin: u64,
    /// The byte after its last.
    pub end: u64,
    /// Its position in the list.
    pub index: u32,
}

/// A tensor that is being read.
#[derive(Debug, Clone, Copy, Default)]
struct Current {
    /// Where its entry begins in the file.
    at: u64,
    elements: u64,
    row: u64,
}

/// The tensors read so far.
#[derive(Debug, Default)]
pub struct Tensors {
    names: Names,
    extents: Vec<Extent>,
    current: Current,
    parameters: u64,
    by_type: Tally,
    listed: u32,
    /// The name of the tensor that is being read, where it is wanted.
    name: Vec<u8>,
    /// The tensors, where they are wanted.
    pub ties: Ties,
}

/// Why reading cannot go on.
pub type Refusal = (&'static Rule, Place, String);

impl Tensors {
    /// Takes the length of a name. `at` is where the entry begins.
    pub fn name_length(&mut self, at: u64, length: u64) -> Result<usize, Refusal> {
        self.current = Current {
            at,
            elements: 1,
            row: 1,
        };
        usize::try_from(length)
            .ok()
            .filter(|_| (1..=MAX_NAME_BYTES).contains(&length))
            .ok_or_else(|| {
                (
                    &rules::GGUF_TENSOR_NAME,
                    Place::at(at),
                    format!("a tensor's name is {length} bytes long"),
                )
            })
    }

    /// Takes a name.
    pub fn name(&mut self, name: &[u8], findings: &mut Findings) {
        if self.ties.is_wanted() {
            self.name = name.to_vec();
        }
        let index = self.listed;
        let new = self.names.insert(Fingerprint::of(name), name);
        let place = Place::at(self.current.at).of(&text::shown_bytes(name));
        let printable = std::str::from_utf8(name)
            .is_ok_and(|text| !text.chars().any(|c| c.is_control() || text::is_hidden(c)));
        if !printable {
            findings.add(
                &rules::GGUF_TENSOR_NAME,
                place.clone(),
                format_args!("the name of tensor {index} is not UTF-8 or has characters that do not show"),
            );
        }
        if !new {
            findings.add(
                &rules::GGUF_DUPLICATE_TENSOR,
                place,
                "a tensor of this name was listed before",
            );
        }
    }

    /// Takes the number of dimensions.
    pub fn dimensions(&mut self, count: u32) -> Result<usize, Refusal> {
        usize::try_from(count)
            .ok()
            .filter(|_| count <= MAX_DIMENSIONS)
            .ok_or_else(|| {
                (
                    &rules::GGUF_DIMENSIONS,
                    self.place(),
                    format!("the tensor has {count} dimensions"),
                )
            })
    }

    /// Takes the dimensions, eight bytes each.
    pub fn shape(&mut self, bytes: &[u8], findings: &mut Findings) -> Result<(), Refusal> {
        // As ggml does: the product of all dimensions, empty ones left out, must fit a signed 64-bit number.
        let mut magnitude: i64 = 1;
        for (position, chunk) in bytes.chunks_exact(8).enumerate() {
            let dimension = i64::from_le_bytes(chunk.try_into().unwrap_or_default());
            let elements = u64::try_from(dimension).map_err(|_| {
                let message = format!("dimension {position} of the tensor is {dimension}");
                (&rules::GGUF_SHAPE, self.place(), message)
            })?;
            magnitude = magnitude.checked_mul(dimension.max(1)).ok_or_else(|| {
                (
                    &rules::GGUF_SHAPE,
                    self.place(),
                    "the tensor has more elements than a 64-bit number can count".to_owned(),
                )
            })?;
            if position == 0 {
                self.current.row = elements;
            }
            self.current.elements = self.current.elements.saturating_mul(elements);
        }
        if self.current.elements == 0 {
            findings.add(
                &rules::GGUF_EMPTY_TENSOR,
                self.place(),
                "one of the tensor's dimensions is zero",
            );
        }
        Ok(())
    }

    /// Takes the type and the position of the data, which end an entry.
    pub fn type_and_offset(
        &mut self,
        number: u32,
        offset: u64,
        alignment: u64,
        findings: &mut Findings,
    ) -> Result<(), Refusal> {
        let kind = self.known(number)?;
        if !self.current.row.is_multiple_of(kind.block) {
            let message = format!(
                "the tensor's rows have {} elements, which is not a multiple of the {} that a block of {} has",
                self.current.row, kind.block, kind.name
            );
            return Err((&rules::GGUF_BLOCK, self.place(), message));
        }
        let end = (self.current.elements / kind.block)
            .checked_mul(kind.bytes)
            .and_then(|bytes| offset.checked_add(bytes))
            .filter(|end| align(*end, alignment).is_some());
        let Some(end) = end else {
            let message = "the tensor's data would end beyond what a 64-bit number can address".to_owned();
            return Err((&rules::GGUF_SHAPE, self.place(), message));
        };
        if !offset.is_multiple_of(alignment) {
            findings.add(
                &rules::GGUF_OFFSET,
                self.place(),
                format_args!(
                    "the tensor's data is at {offset}, which is not a multiple of the alignment {alignment}"
                ),
            );
        }
        self.ties.tensor(&self.name, end - offset);
        self.extents.push(Extent {
            at: self.current.at,
            begin: offset,
            end,
            index: self.listed,
        });
        self.count(kind);
        self.listed += 1;
        Ok(())
    }

    fn known(&self, number: u32) -> Result<TensorType, Refusal> {
        match tensor_type(number) {
            TensorTypeNumber::Known(kind) => Ok(kind),
            TensorTypeNumber::Removed(name) => Err((
                &rules::GGUF_REMOVED_TYPE,
                self.place(),
                format!("the tensor is stored as {name} (type {number}), which llama.cpp has removed"),
            )),
            TensorTypeNumber::Unknown => Err((
                &rules::GGUF_TENSOR_TYPE,
                self.place(),
                format!("the tensor has type {number}; types below {TYPE_COUNT} are known"),
            )),
        }
    }

    fn count(&mut self, kind: TensorType) {
        self.parameters = self.parameters.saturating_add(self.current.elements);
        self.by_type.add(kind.name, self.current.elements);
    }

    fn place(&self) -> Place {
        Place::at(self.current.at).of_any(self.names.shown(self.listed))
    }

    /// The names, for messages.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Number of tensors listed.
    pub fn listed(&self) -> u64 {
        self.listed.into()
    }

    /// Number of weights in all of them.
    pub fn parameters(&self) -> u64 {
        self.parameters
    }

    /// The type that most weights have.
    pub fn predominant(&self) -> Option<String> {
        self.by_type.predominant()
    }

    /// Judges the layout once all are listed.
    pub fn layout(&mut self, header_end: u64, alignment: u64, findings: &mut Findings) -> Layout {
        Layout::new(
            header_end,
            alignment,
            std::mem::take(&mut self.extents),
            &self.names,
            findings,
        )
    }
}
