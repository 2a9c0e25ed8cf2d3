//! Converting a checkpoint to safetensors: the numbers stay, everything that a pickle can do goes.
//!
//! Nothing is executed. The symbolic run of the pickle has said which tensors there are and where their numbers lie; they are
//! copied from there. Entries that are no tensors (counters, options, the state of an optimiser) are left out.

mod gather;
mod header;

use std::io::Write;

use crate::ahead::Peek;
use crate::pickle::{NamedTensor, Storage, Summary};
use crate::set::Ties;
use gather::Gather;

/// How many times larger than the numbers in the checkpoint the result may be: views that repeat numbers are written out.
const MAX_GROWTH: u64 = 8;
/// What the result may have in any case.
const FREE_BYTES: u64 = 1 << 20;

/// The tensors of a checkpoint, and where their numbers are.
#[derive(Debug, Clone, Default)]
pub struct Weights {
    tensors: Vec<NamedTensor>,
    storages: Vec<Storage>,
    places: Vec<Option<u64>>,
    complete: bool,
}

/// Why a checkpoint is not converted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cannot {
    /// There is nothing to convert.
    #[error("it holds no tensors")]
    Empty,
    /// What would be written is not all that there is.
    #[error("not every tensor in it has a name, or there are too many")]
    Incomplete,
    /// A tensor that is more than a view of numbers.
    #[error("the tensor \"{0}\" is quantised, sparse or otherwise more than an array of numbers")]
    Kind(String),
    /// Numbers of a kind that safetensors has not.
    #[error("safetensors has no type for the numbers of \"{0}\" ({1})")]
    Type(String, &'static str),
    /// Numbers that lie in compressed members.
    #[error("the numbers of \"{0}\" are compressed in the file, or not in it")]
    Place(String),
    /// A tensor reaches beyond its numbers.
    #[error("the tensor \"{0}\" reaches beyond its storage")]
    Bounds(String),
    /// Two tensors of one name, or a name that safetensors keeps for itself.
    #[error("the name \"{0}\" cannot stand in a safetensors file, or stands there twice")]
    Name(String),
    /// The result would be far larger.
    #[error("the result would have {0} bytes: the tensors repeat their numbers")]
    Growth(u64),
}

/// Where the bytes of the result come from.
#[derive(Debug)]
pub struct Plan {
    header: Vec<u8>,
    pieces: Vec<Gather>,
    bytes: u64,
}

impl Weights {
    /// What a pickle said; `None` if it named no storages.
    pub(crate) fn of(summary: Summary) -> Option<Self> {
        (!summary.storages.is_empty() || !summary.tensors.is_empty()).then_some(Self {
            tensors: summary.tensors,
            storages: summary.storages,
            places: summary.places,
            complete: summary.complete,
        })
    }

    /// Which tensors there are.
    pub fn ties(&self) -> Ties {
        let mut ties = Ties::collecting();
        for NamedTensor { name, tensor } in &self.tensors {
            let bytes = tensor
                .elements()
                .and_then(|count| count.checked_mul(tensor.element.bytes));
            ties.tensor(name.to_string().as_bytes(), bytes.unwrap_or(u64::MAX));
        }
        ties.incomplete |= !self.complete;
        ties
    }

    /// Plans the conversion.
    ///
    /// # Errors
    ///
    /// When safetensors cannot hold what is there, or not all of it was understood.
    pub fn plan(&self) -> Result<Plan, Cannot> {
        if !self.complete {
            return Err(Cannot::Incomplete);
        }
        if self.tensors.is_empty() {
            return Err(Cannot::Empty);
        }
        let mut tensors: Vec<&NamedTensor> = self.tensors.iter().collect();
        // Largest numbers first, so that each tensor begins at a multiple of its numbers' size.
        tensors.sort_by_key(|named| std::cmp::Reverse(named.tensor.element.bytes));
        let mut header = header::Header::default();
        let mut pieces = Vec::with_capacity(tensors.len());
        for named in tensors {
            let piece = self.piece(named)?;
            // A checkpoint that is a tensor itself gives it no name.
            let name = match named.name.to_string() {
                name if name.is_empty() => "tensor".to_owned(),
                name => name,
            };
            header.add(&name, &named.tensor, piece.bytes())?;
            pieces.push(piece);
        }
        let held = self.storages.iter().fold(0, |sum: u64, storage| {
            sum.saturating_add(storage.elements.saturating_mul(storage.element.bytes))
        });
        let numbers = header.bytes();
        if numbers > held.saturating_mul(MAX_GROWTH).saturating_add(FREE_BYTES) {
            return Err(Cannot::Growth(numbers));
        }
        let header = header.finish();
        let bytes = header.len() as u64 + numbers;
        Ok(Plan {
            header,
            pieces,
            bytes,
        })
    }

    fn piece(&self, named: &NamedTensor) -> Result<Gather, Cannot> {
        let NamedTensor { name, tensor } = named;
        let shown = || crate::text::shown(&name.to_string());
        let index = tensor.storage.and_then(|index| usize::try_from(index).ok());
        let index = index.ok_or_else(|| Cannot::Kind(shown()))?;
        let storage = self.storages.get(index).ok_or_else(|| Cannot::Kind(shown()))?;
        let at = self
            .places
            .get(index)
            .copied()
            .flatten()
            .ok_or_else(|| Cannot::Place(shown()))?;
        let held = storage.elements.checked_mul(storage.element.bytes);
        let needed = tensor.end().and_then(|end| end.checked_mul(tensor.element.bytes));
        let bounds = || Cannot::Bounds(shown());
        if needed.zip(held).is_none_or(|(needed, held)| needed > held) {
            return Err(bounds());
        }
        Gather::new(at, tensor).ok_or_else(bounds)
    }
}

impl Plan {
    /// How many bytes the result has.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many tensors it has.
    pub fn tensors(&self) -> u64 {
        self.pieces.len() as u64
    }

    /// Writes the safetensors file. `peek` reads the checkpoint.
    ///
    /// # Errors
    ///
    /// When the checkpoint cannot be read any more or the result not be written.
    pub fn write(&self, peek: Peek<'_>, out: &mut impl Write) -> std::io::Result<()> {
        out.write_all(&self.header)?;
        for piece in &self.pieces {
            piece.write(peek, out)?;
        }
        out.flush()
    }
}
