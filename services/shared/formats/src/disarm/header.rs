//! The header of the safetensors file. Source: the format's description in the safetensors repository.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::Cannot;
use crate::pickle::Tensor;
use crate::text::{self, Fingerprint};

/// A name that the format keeps for itself.
const METADATA: &str = "__metadata__";

/// The length before the header.
const LENGTH_BYTES: usize = 8;

/// The header as far as it is written.
#[derive(Debug)]
pub struct Header {
    /// Room for the length, and the JSON.
    json: String,
    names: BTreeSet<Fingerprint>,
    bytes: u64,
}

impl Default for Header {
    fn default() -> Self {
        Self {
            json: format!(r#"{:LENGTH_BYTES$}{{"{METADATA}":{{"format":"pt"}}"#, ""),
            names: BTreeSet::new(),
            bytes: 0,
        }
    }
}

impl Header {
    /// Adds a tensor of so many bytes.
    pub fn add(&mut self, name: &str, tensor: &Tensor, bytes: u64) -> Result<(), Cannot> {
        if name == METADATA || !self.names.insert(Fingerprint::of(name.as_bytes())) {
            return Err(Cannot::Name(text::shown(name)));
        }
        let Some(dtype) = tensor.element.safetensors else {
            return Err(Cannot::Type(text::shown(name), tensor.element.name));
        };
        let end = self
            .bytes
            .checked_add(bytes)
            .ok_or_else(|| Cannot::Bounds(text::shown(name)))?;
        if self.json.capacity() - self.json.len() < 2 * name.len() + 1024 {
            self.json
                .reserve_exact(self.json.len() / 8 + 2 * name.len() + 4096);
        }
        self.json.push(',');
        quote(name, &mut self.json);
        let shape: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
        let _ = write!(
            self.json,
            r#":{{"dtype":"{dtype}","shape":[{}],"data_offsets":[{},{end}]}}"#,
            shape.join(","),
            self.bytes
        );
        self.bytes = end;
        Ok(())
    }

    /// How many bytes of numbers follow.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The header with its length before it, filled up with spaces so that the numbers begin at a multiple of 8.
    pub fn finish(mut self) -> Vec<u8> {
        self.json.push('}');
        while !self.json.len().is_multiple_of(8) {
            self.json.push(' ');
        }
        let length = self.json.len().saturating_sub(LENGTH_BYTES) as u64;
        // In place: the header of a hundred thousand tensors is large.
        let mut bytes = self.json.into_bytes();
        for (place, byte) in bytes.iter_mut().zip(length.to_le_bytes()) {
            *place = byte;
        }
        bytes
    }
}

/// A text as JSON writes it.
fn quote(text: &str, json: &mut String) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            control if control < ' ' => {
                let _ = write!(json, "\\u{:04x}", u32::from(control));
            }
            other => json.push(other),
        }
    }
    json.push('"');
}
