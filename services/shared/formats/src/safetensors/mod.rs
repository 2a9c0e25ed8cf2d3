//! safetensors: reads the JSON header as it streams by and judges every field in it against the bytes that follow.
//!
//! At least as strict as the `safetensors` library 0.8; stricter where the specification is (unknown fields, repeated
//! names, padding). Memory: bounded by [`MAX_TENSORS`], never by the header's length.

mod dtype;
mod header;

use holdfast_contract::report::ModelFacts;

use crate::finding::{Findings, Place};
use crate::inspector::{Found, Inspector};
use crate::json::{Json, Progress};
use crate::names::Names;
use crate::rules;
use crate::set::Ties;
pub use header::MAX_TENSORS;
use header::{Extent, Header};

/// The longest header (`MAX_HEADER_SIZE` of the library).
pub const MAX_HEADER_BYTES: u64 = 100_000_000;
/// The longest text in the metadata. Tools for training write lists of all captions there, which take some hundred thousand bytes.
const MAX_METADATA_BYTES: usize = 4 << 20;
/// Bytes of the number in front of the header.
const LENGTH_BYTES: u64 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Length,
    Json,
    Padding,
    Data,
    /// Something was found after which the rest means nothing.
    Stopped,
}

/// The inspector for safetensors.
#[derive(Debug)]
pub struct Safetensors {
    at: u64,
    stage: Stage,
    length: Vec<u8>,
    /// Where the header ends in the file.
    header_end: u64,
    first_seen: bool,
    json: Json,
    header: Header,
    findings: Findings,
}

impl Default for Safetensors {
    fn default() -> Self {
        Self {
            at: 0,
            stage: Stage::Length,
            length: Vec::new(),
            header_end: 0,
            first_seen: false,
            json: Json::keeping(MAX_METADATA_BYTES),
            header: Header::default(),
            findings: Findings::default(),
        }
    }
}

impl Safetensors {
    /// An inspector that fills `ties` with the tensors.
    pub(crate) fn tied(ties: Ties) -> Self {
        let mut inspector = Self::default();
        inspector.header.ties = ties;
        inspector
    }
}

impl Inspector for Safetensors {
    fn feed(&mut self, _at: u64, chunk: &[u8]) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let taken = match self.stage {
                Stage::Length => self.length(rest),
                Stage::Json => self.json(rest),
                Stage::Padding => self.padding(rest),
                Stage::Data | Stage::Stopped => rest.len(),
            };
            self.at += taken as u64;
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    fn finish(mut self: Box<Self>, size: u64) -> Found {
        match self.stage {
            Stage::Length => {
                self.findings.add(
                    &rules::ST_TRUNCATED,
                    Place::at(size),
                    "the file ends within its first 8 bytes",
                );
            }
            Stage::Json if size >= self.header_end => self.findings.add(
                &rules::ST_JSON,
                Place::at(self.header_end),
                "the JSON of the header does not end where the header does",
            ),
            Stage::Json | Stage::Padding if size < self.header_end => self.findings.add(
                &rules::ST_TRUNCATED,
                Place::at(size),
                format_args!("the header ends at {}, the file at {size}", self.header_end),
            ),
            Stage::Stopped => {}
            Stage::Json | Stage::Padding | Stage::Data => self.judge_layout(size),
        }
        let facts = ModelFacts {
            name: self.header.title.clone(),
            architecture: self.header.architecture.clone(),
            tensors: self.header.extents.len() as u64,
            parameters: self.header.parameters,
            context_tokens: None,
            tensor_type: self.header.predominant(),
            chat_template: false,
        };
        Found {
            findings: self.findings,
            facts: Some(facts),
            ties: self.header.ties,
            ..Found::default()
        }
    }
}

impl Safetensors {
    fn length(&mut self, bytes: &[u8]) -> usize {
        let missing = 8 - self.length.len();
        let taken = missing.min(bytes.len());
        self.length.extend(bytes.iter().take(taken));
        if let Some(length) = self.length.first_chunk().copied().map(u64::from_le_bytes) {
            if length > MAX_HEADER_BYTES {
                let message = format_args!("the header claims {length} bytes");
                self.findings.add(&rules::ST_HEADER_SIZE, Place::at(0), message);
                self.stage = Stage::Stopped;
            } else {
                self.header_end = LENGTH_BYTES + length;
                self.stage = if length == 0 { Stage::Data } else { Stage::Json };
                if length == 0 {
                    self.findings
                        .add(&rules::ST_JSON, Place::at(0), "the header is empty");
                }
                if !length.is_multiple_of(8) {
                    let message = format_args!("the header has {length} bytes");
                    self.findings.add(&rules::ST_ALIGNMENT, Place::at(0), message);
                }
            }
        }
        taken
    }

    /// The part of `bytes` that belongs to the header.
    fn within<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let left = usize::try_from(self.header_end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        bytes.get(..left).unwrap_or(bytes)
    }

    fn json(&mut self, bytes: &[u8]) -> usize {
        let bytes = self.within(bytes);
        let base = self.at;
        if bytes.is_empty() {
            self.findings.add(
                &rules::ST_JSON,
                Place::at(base),
                "the JSON of the header does not end where the header does",
            );
            self.stage = Stage::Stopped;
            return 0;
        }
        if !std::mem::replace(&mut self.first_seen, true) && bytes.first() != Some(&b'{') {
            self.findings.add(
                &rules::ST_HEADER_START,
                Place::at(base),
                "the first byte of the header is not `{`",
            );
        }
        let (header, findings) = (&mut self.header, &mut self.findings);
        let progress = self.json.feed(bytes, |at, event| {
            header.event(LENGTH_BYTES + at, &event, findings)
        });
        match progress {
            Progress::More => bytes.len(),
            Progress::Done(taken) => {
                self.stage = if base + taken as u64 == self.header_end {
                    Stage::Data
                } else {
                    Stage::Padding
                };
                taken
            }
            Progress::Stopped => {
                self.stage = Stage::Stopped;
                bytes.len()
            }
            Progress::Wrong(place, error) => {
                self.findings.add(
                    &rules::ST_JSON,
                    Place::at(LENGTH_BYTES + place),
                    format_args!("the header is not JSON: {error}"),
                );
                self.stage = Stage::Stopped;
                bytes.len()
            }
        }
    }

    fn padding(&mut self, bytes: &[u8]) -> usize {
        let bytes = self.within(bytes);
        if let Some(wrong) = bytes.iter().position(|byte| *byte != b' ') {
            self.findings.add(
                &rules::ST_PADDING,
                Place::at(self.at + wrong as u64),
                "something other than spaces follows the JSON in the header",
            );
            self.stage = Stage::Stopped;
        } else if self.at + bytes.len() as u64 == self.header_end {
            self.stage = Stage::Data;
        }
        bytes.len()
    }

    fn judge_layout(&mut self, size: u64) {
        let data = size - self.header_end.min(size);
        let mut extents = std::mem::take(&mut self.header.extents);
        if extents.is_empty() {
            self.findings.add(
                &rules::ST_NO_TENSORS,
                Place::whole(),
                "the header lists no tensors",
            );
        }
        extents.sort_by_key(|extent| (extent.begin, extent.end, extent.index));
        let names = self.header.names();
        let mut end = 0;
        for extent in &extents {
            let place = Place::at(extent.at).of_any(names.shown(extent.index));
            if extent.begin < end {
                let message = format_args!(
                    "the tensor begins {} bytes before another one ends",
                    end - extent.begin
                );
                self.findings.add(&rules::ST_OVERLAP, place, message);
            } else if extent.begin > end {
                let message = format_args!(
                    "{} bytes from {} on, before this tensor's data, belong to nothing",
                    extent.begin - end,
                    self.header_end.saturating_add(end)
                );
                self.findings.add(&rules::ST_HOLE, place, message);
            }
            end = end.max(extent.end);
        }
        judge_end(self.header_end, end, data, &extents, names, &mut self.findings);
        let misaligned = extents
            .iter()
            .find(|extent| extent.begin < extent.end && !extent.begin.is_multiple_of(extent.element.into()));
        if let Some(extent) = misaligned {
            self.findings.add(
                &rules::ST_ELEMENT_ALIGNMENT,
                Place::at(extent.at).of_any(names.shown(extent.index)),
                format_args!("the tensor's elements have {} bytes", extent.element),
            );
        }
        self.header.extents = extents;
    }
}

/// Compares where the tensors end with where the file does; both relative to the header's end.
fn judge_end(
    header_end: u64,
    end: u64,
    data: u64,
    extents: &[Extent],
    names: &Names,
    findings: &mut Findings,
) {
    if end > data {
        let mut cut = extents.iter().filter(|extent| extent.end > data);
        let count = cut.clone().count();
        findings.add(
            &rules::ST_DATA_TRUNCATED,
            Place::at(header_end.saturating_add(data)).of_any(cut.next().and_then(|extent| names.shown(extent.index))),
            format_args!("{data} bytes follow the header but the tensors need {end}; {count} of them are missing or cut off"),
        );
    } else if end < data {
        findings.add(
            &rules::ST_TRAILING,
            Place::at(header_end.saturating_add(end)),
            format_args!("{} bytes follow the last tensor", data - end),
        );
    }
}
