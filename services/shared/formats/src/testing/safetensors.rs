//! A writer for safetensors.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Built, weights};

/// A tensor's entry in the header, field by field as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, as JSON writes it between quotes.
    pub name: String,
    /// Its element type.
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Where its data begins and ends.
    pub offsets: (u64, u64),
}

/// Writes a safetensors file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SafetensorsBuilder {
    metadata: Vec<(String, String)>,
    entries: Vec<Entry>,
    data: usize,
}

impl SafetensorsBuilder {
    /// A file without tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// A small file with three tensors and metadata.
    pub fn small() -> Self {
        Self::new()
            .metadata("format", "pt")
            .tensor("embed.weight", "F32", &[4, 8], 128)
            .tensor("layer.0.weight", "BF16", &[8, 3], 48)
            .tensor("layer.0.bias", "I8", &[], 1)
    }

    /// Adds an entry to `__metadata__`.
    #[must_use]
    pub fn metadata(mut self, key: &str, value: &str) -> Self {
        self.metadata.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Adds a tensor whose data takes `bytes` after that of the ones before.
    #[must_use]
    pub fn tensor(mut self, name: &str, dtype: &str, shape: &[u64], bytes: usize) -> Self {
        let begin = self.data as u64;
        self.data += bytes;
        self.entries.push(Entry {
            name: name.to_owned(),
            dtype: dtype.to_owned(),
            shape: shape.to_vec(),
            offsets: (begin, self.data as u64),
        });
        self
    }

    /// Lets a test change the entries.
    #[must_use]
    pub fn edit(mut self, edit: impl FnOnce(&mut Vec<Entry>)) -> Self {
        edit(&mut self.entries);
        self
    }

    /// The header as JSON, without padding.
    pub fn header(&self) -> String {
        let mut members = Vec::new();
        if !self.metadata.is_empty() {
            let texts: Vec<_> = self
                .metadata
                .iter()
                .map(|(key, value)| format!("\"{key}\":\"{value}\""))
                .collect();
            members.push(format!("\"__metadata__\":{{{}}}", texts.join(",")));
        }
        for Entry {
            name,
            dtype,
            shape,
            offsets: (begin, end),
        } in &self.entries
        {
            let mut member = format!("\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":");
            let _ = write!(member, "{shape:?},\"data_offsets\":[{begin},{end}]}}");
            members.push(member);
        }
        format!("{{{}}}", members.join(","))
    }

    /// The file. Fields: `length`, `header` (with its padding of spaces), `data`.
    pub fn build(&self) -> Built {
        let mut header = self.header();
        let padding = header.len().next_multiple_of(8) - header.len();
        header.push_str(&" ".repeat(padding));
        Self::raw(&header, &weights(self.data))
    }

    /// A file with any header, and data after it.
    pub fn raw(header: impl AsRef<[u8]>, data: &[u8]) -> Built {
        let header = header.as_ref();
        let bytes = [&(header.len() as u64).to_le_bytes(), header, data].concat();
        let marks = BTreeMap::from([
            ("length".to_owned(), 0..8),
            ("header".to_owned(), 8..8 + header.len()),
            ("data".to_owned(), 8 + header.len()..bytes.len()),
        ]);
        Built { bytes, marks }
    }
}
