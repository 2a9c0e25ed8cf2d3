//! Writers of small model files for tests: well-formed ones, and ones with any single field made wrong.
//!
//! Independent of the parsers: nothing here uses their code, so that a shared misunderstanding of a format shows.

pub mod apple;
pub mod checkpoint;
pub mod compressed;
mod gguf;
mod hdf5;
mod mutation;
mod pickle;
pub mod pictures;
mod protobuf;
mod reference;
mod safetensors;
pub mod sevenzip;
mod stowaway;
mod tar;
pub mod torch;
mod zip;

use std::collections::BTreeMap;
use std::ops::Range;

pub use gguf::{GgufBuilder, Tensor, Value};
pub use hdf5::{Dataset, Hdf5Builder, Storage, fixed_text, float32, put_apart, variable_text};
pub use mutation::{Random, mutate};
pub use pickle::{Assembler, call, legacy, tuple};
pub use protobuf::{Proto, onnx, sentencepiece, tensorflow};
pub use reference::{ask, hex, python_with, reader_cases};
pub use safetensors::{Entry, SafetensorsBuilder};
pub use stowaway::stowaways;
pub use tar::{tar_archive, tar_header, tar_member, tar_records};
pub use zip::{Member, archive, deflate};

/// The names that the fuzz target of documents chooses from by the first byte.
pub const DOCUMENT_NAMES: [&str; 10] = [
    "config.json",
    "README.md",
    "chat_template.jinja",
    "a.yaml",
    "tokenizer.json",
    "model_index.json",
    "requirements.txt",
    "vocab.txt",
    "model.safetensors.index.json",
    "tokenizer_config.json",
];

/// A file with the places of its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The file.
    pub bytes: Vec<u8>,
    /// Where each field lies, by name, for example `version` or `tensor/output.weight/offset`.
    pub marks: BTreeMap<String, Range<usize>>,
}

impl Built {
    /// The place of a field.
    ///
    /// # Panics
    ///
    /// When there is no field of that name: the test is wrong.
    pub fn mark(&self, name: &str) -> Range<usize> {
        #[expect(clippy::panic, reason = "only tests use this")]
        self.marks
            .get(name)
            .cloned()
            .unwrap_or_else(|| panic!("no field {name} in {:?}", self.marks.keys()))
    }

    /// Overwrites a field, which keeps its length.
    ///
    /// # Panics
    ///
    /// When there is no such field or the length differs: the test is wrong.
    #[must_use]
    pub fn with(mut self, name: &str, value: &[u8]) -> Self {
        let place = self.mark(name);
        self.bytes.splice(place, value.iter().copied());
        self
    }

    /// Cuts the file off after `length` bytes.
    #[must_use]
    pub fn cut(mut self, length: usize) -> Self {
        self.bytes.truncate(length);
        self
    }

    /// Appends bytes.
    #[must_use]
    pub fn and(mut self, more: &[u8]) -> Self {
        self.bytes.extend_from_slice(more);
        self
    }
}

/// `length` bytes that look like weights: the same every time, all values, no structure.
pub fn weights(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(length)
    .collect()
}

/// A zip archive with stored members and a comment.
pub fn zip(members: &[(&str, &[u8])], comment: &[u8]) -> Vec<u8> {
    let members: Vec<_> = members
        .iter()
        .map(|(name, content)| Member::stored(name, content))
        .collect();
    let mut bytes = archive(&members).bytes;
    let length = bytes.len() - 2;
    bytes.truncate(length);
    bytes.extend_from_slice(&length16(comment.len()).to_le_bytes());
    bytes.extend_from_slice(comment);
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
        crc
    })
}

fn length32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn length16(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}
