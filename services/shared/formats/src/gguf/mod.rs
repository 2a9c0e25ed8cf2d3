//! GGUF, versions 2 and 3: reads the header as it streams by and judges every count, length, type and position in it.
//!
//! The rules are those of the GGUF specification where `ggml/src/gguf.cpp` agrees, else the stricter of both; what merely would
//! not load is noted, not refused. Memory: bounded by [`MAX_TENSORS`], [`MAX_KEYS`] and the longest key.

mod header;
mod known;
mod layout;
mod metadata;
mod tensors;
mod types;

use holdfast_chat_template::MAX_TEMPLATE_BYTES;
use holdfast_contract::report::ModelFacts;

use crate::finding::{Findings, Place};
use crate::inspector::{Found, Inspector};
use crate::rules;
use crate::set::Ties;
use crate::text::{Fingerprint, Utf8};
use known::Known;
use layout::Layout;
pub use metadata::MAX_KEYS;
use metadata::Metadata;
pub use tensors::MAX_TENSORS;
use tensors::Tensors;
use types::ValueType;

/// How much of a string value is kept, chat templates besides.
const KEPT_BYTES: usize = 512;

/// What the next bytes of fixed length are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Version,
    Counts,
    KeyLength,
    Key,
    ValueType,
    Scalar(ValueType),
    StringLength,
    ArrayHead,
    CharsmapHead { length: u64 },
    NameLength,
    Name,
    Dimensions,
    Shape,
    TypeAndOffset,
}

/// What is wanted next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Want {
    Field(Field, usize),
    Text { left: u64 },
    Skip { left: u64 },
    Booleans { left: u64 },
    HeaderPadding { left: u64 },
    Data,
    Nothing,
}

/// An array that is being read element by element.
#[derive(Debug, Clone, Copy)]
struct Frame {
    element: ValueType,
    left: u64,
}

/// The string that is being read.
#[derive(Debug, Default)]
struct Text {
    at: u64,
    bytes: u64,
    kept: Vec<u8>,
    utf8: Utf8,
    fingerprint: Fingerprint,
}

/// The inspector for GGUF.
#[derive(Debug)]
pub struct Gguf {
    at: u64,
    want: Want,
    scratch: Vec<u8>,
    keys_left: u64,
    tensors_declared: u64,
    key: String,
    known: Known,
    value_at: u64,
    frames: Vec<Frame>,
    nested_reported: bool,
    text_reported: bool,
    padding_reported: bool,
    text: Text,
    metadata: Metadata,
    tensors: Tensors,
    layout: Option<Layout>,
    findings: Findings,
}

impl Default for Gguf {
    fn default() -> Self {
        Self {
            at: 0,
            want: Want::Field(Field::Version, 8),
            scratch: Vec::new(),
            keys_left: 0,
            tensors_declared: 0,
            key: String::new(),
            known: Known::Other,
            value_at: 0,
            frames: Vec::new(),
            nested_reported: false,
            text_reported: false,
            padding_reported: false,
            text: Text::default(),
            metadata: Metadata::default(),
            tensors: Tensors::default(),
            layout: None,
            findings: Findings::default(),
        }
    }
}

impl Inspector for Gguf {
    fn feed(&mut self, _at: u64, chunk: &[u8]) {
        let mut rest = chunk;
        while let Some(after) = self.advance(rest) {
            rest = after;
        }
    }

    fn finish(mut self: Box<Self>, size: u64) -> Found {
        match (&self.layout, self.want) {
            (Some(layout), _) => layout.finish(size, self.tensors.names(), &mut self.findings),
            (None, Want::Nothing) => {}
            (None, _) => {
                let message = self.cut_off();
                let part = (!self.key.is_empty()).then_some(self.key.as_str());
                self.findings
                    .add(&rules::GGUF_TRUNCATED, Place::at(size).of_any(part), message);
            }
        }
        let facts = self.facts();
        let mut ties = self.tensors.ties;
        ties.split = self.metadata.split().filter(|_| ties.is_wanted());
        Found {
            findings: self.findings,
            facts: Some(facts),
            ties,
            ..Found::default()
        }
    }
}

impl Gguf {
    /// An inspector that fills `ties` with the tensors and the part that this is.
    pub(crate) fn tied(ties: Ties) -> Self {
        let mut inspector = Self::default();
        inspector.tensors.ties = ties;
        inspector
    }

    /// Takes some bytes off the front. `None` when more are needed or nothing is wanted any more.
    fn advance<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        match self.want {
            Want::Nothing => None,
            Want::Field(field, length) => self.take_field(field, length, bytes),
            Want::Text { left: 0 } => {
                self.end_text();
                Some(bytes)
            }
            Want::Skip { left: 0 } | Want::Booleans { left: 0 } => {
                self.end_element();
                Some(bytes)
            }
            Want::HeaderPadding { left: 0 } => {
                self.want = Want::Data;
                Some(bytes)
            }
            _ if bytes.is_empty() => None,
            Want::Text { left } => {
                let (head, rest, left) = split(bytes, left);
                let most = match self.known {
                    Known::ChatTemplate => MAX_TEMPLATE_BYTES,
                    _ => KEPT_BYTES,
                };
                let room = most.saturating_sub(self.text.kept.len());
                self.text.kept.extend(head.iter().take(room));
                self.text.utf8.feed(head);
                if self.known == Known::Tokens {
                    self.text.fingerprint.feed(head);
                }
                self.go_on(head, Want::Text { left });
                Some(rest)
            }
            Want::Skip { left } => {
                let (head, rest, left) = split(bytes, left);
                self.go_on(head, Want::Skip { left });
                Some(rest)
            }
            Want::Booleans { left } => {
                let (head, rest, left) = split(bytes, left);
                if let Some(wrong) = head.iter().position(|byte| *byte > 1) {
                    self.boolean(self.at + wrong as u64);
                    return None;
                }
                self.go_on(head, Want::Booleans { left });
                Some(rest)
            }
            Want::HeaderPadding { left } => {
                let (head, rest, left) = split(bytes, left);
                let wrong = head.iter().position(|byte| *byte != 0);
                if let Some(wrong) = wrong.filter(|_| !self.padding_reported) {
                    let place = Place::at(self.at + wrong as u64);
                    let message = "the padding between header and tensors is not zero";
                    self.findings.add(&rules::GGUF_PADDING, place, message);
                    self.padding_reported = true;
                }
                self.go_on(head, Want::HeaderPadding { left });
                Some(rest)
            }
            Want::Data => {
                if let Some(layout) = &mut self.layout {
                    layout.feed(self.at, bytes, self.tensors.names(), &mut self.findings);
                }
                self.at += bytes.len() as u64;
                None
            }
        }
    }

    fn take_field<'a>(&mut self, field: Field, length: usize, bytes: &'a [u8]) -> Option<&'a [u8]> {
        if self.scratch.is_empty()
            && let Some((whole, rest)) = bytes.split_at_checked(length)
        {
            self.at += length as u64;
            self.field(field, whole);
            return Some(rest);
        }
        let missing = length.saturating_sub(self.scratch.len());
        let (head, rest) = bytes.split_at(missing.min(bytes.len()));
        self.scratch.extend_from_slice(head);
        self.at += head.len() as u64;
        if self.scratch.len() < length {
            return None;
        }
        let whole = std::mem::take(&mut self.scratch);
        self.field(field, &whole);
        self.scratch = whole;
        self.scratch.clear();
        Some(rest)
    }

    fn go_on(&mut self, taken: &[u8], want: Want) {
        self.at += taken.len() as u64;
        self.want = want;
    }

    fn cut_off(&self) -> String {
        match self.want {
            Want::Field(Field::Version | Field::Counts, _) => {
                "the file ends within its first 24 bytes".to_owned()
            }
            Want::Text { left } => format!(
                "the file ends inside a text of {} bytes; {left} of them are missing",
                self.text.bytes
            ),
            Want::Skip { left } | Want::Booleans { left } => {
                format!("the file ends inside an array; {left} bytes of it are missing")
            }
            Want::Field(
                Field::NameLength | Field::Name | Field::Dimensions | Field::Shape | Field::TypeAndOffset,
                _,
            ) => {
                format!(
                    "the file ends in the list of tensors, after {} of {}",
                    self.tensors.listed(),
                    self.tensors_declared
                )
            }
            _ => format!(
                "the file ends in its metadata; {} more keys should follow",
                self.keys_left
            ),
        }
    }

    fn facts(&self) -> ModelFacts {
        ModelFacts {
            name: self.metadata.name.clone(),
            architecture: self.metadata.architecture.clone(),
            tensors: self.tensors.listed(),
            parameters: self.tensors.parameters(),
            context_tokens: self.metadata.context_tokens(),
            tensor_type: self.tensors.predominant(),
            chat_template: self.metadata.has_template(),
        }
    }
}

/// Splits off at most `left` bytes; returns them, the rest, and what is left after them.
fn split(bytes: &[u8], left: u64) -> (&[u8], &[u8], u64) {
    let take = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    let (head, rest) = bytes.split_at(take);
    (head, rest, left - take as u64)
}
