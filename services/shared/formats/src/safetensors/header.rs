//! The meaning of the JSON in a safetensors header: `__metadata__` and one entry for each tensor.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::dtype;
use crate::document;
use crate::finding::{Findings, Place};
use crate::json::{Event, Text};
use crate::names::Names;
use crate::rules::{self, Rule};
use crate::scripts;
use crate::set::Ties;
use crate::tally::Tally;
use crate::text::{self, Fingerprint};

/// The most tensors of a file. The largest published ones have some tens of thousands.
pub const MAX_TENSORS: usize = 1 << 18;
/// The most entries of `__metadata__` that are searched for repeated keys.
const MAX_METADATA: usize = 1 << 16;
/// The longest key of `__metadata__`. They are names.
const MAX_KEY_BYTES: usize = 4 << 10;

/// Where a tensor's data lies, relative to the end of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where its entry in the header begins in the file.
    pub at: u64,
    /// Its first byte.
    pub begin: u64,
    /// The byte after its last.
    pub end: u64,
    /// Its position in the header's list.
    pub index: u32,
    /// Bytes of an element, 1 for smaller ones.
    pub element: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Top,
    Metadata,
    MetadataEntry,
    Entry,
    Dtype,
    Shape,
    ShapeItem,
    Offsets,
    OffsetItem,
    TopValue { metadata: bool },
}

/// The tensor whose entry is being read.
#[derive(Debug, Default)]
struct Current {
    dtype: Option<(&'static str, u64)>,
    elements: Option<u64>,
    overflow: bool,
    offsets: Vec<u64>,
    shape_seen: bool,
    offsets_seen: bool,
}

/// What the header says.
#[derive(Debug)]
pub struct Header {
    state: State,
    /// Where the entry that is being read begins in the file.
    at: u64,
    part: String,
    current: Current,
    names: Names,
    metadata_seen: bool,
    metadata_keys: BTreeSet<Fingerprint>,
    metadata_key: Option<String>,
    /// `modelspec.title` of the metadata.
    pub title: Option<String>,
    /// `modelspec.architecture` of the metadata.
    pub architecture: Option<String>,
    /// Where the tensors lie.
    pub extents: Vec<Extent>,
    /// Number of weights in all tensors.
    pub parameters: u64,
    by_type: Tally,
    /// The name of the tensor whose entry is being read, where it is wanted.
    name: Vec<u8>,
    /// The tensors, where they are wanted.
    pub ties: Ties,
}

impl Default for Header {
    fn default() -> Self {
        Self {
            state: State::Start,
            at: 0,
            part: String::new(),
            current: Current::default(),
            names: Names::default(),
            metadata_seen: false,
            metadata_keys: BTreeSet::new(),
            metadata_key: None,
            title: None,
            architecture: None,
            extents: Vec::new(),
            parameters: 0,
            by_type: Tally::default(),
            name: Vec::new(),
            ties: Ties::default(),
        }
    }
}

impl Header {
    /// The names, for messages.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The type that most weights have.
    pub fn predominant(&self) -> Option<String> {
        self.by_type.predominant()
    }

    /// Takes what was read at `at` in the file. Breaks where reading on makes no sense.
    pub fn event(&mut self, at: u64, event: &Event<'_>, findings: &mut Findings) -> ControlFlow<()> {
        match (self.state, event) {
            (State::Start, Event::BeginObject) | (State::Metadata, Event::EndObject) => self.go(State::Top),
            (State::Top, Event::Key(key)) => self.top_key(at, key, findings),
            (State::Top, Event::EndObject) => self.go(State::Start),
            (State::TopValue { metadata: true }, Event::BeginObject) => self.go(State::Metadata),
            (State::TopValue { metadata: false }, Event::BeginObject) => {
                self.current = Current::default();
                self.go(State::Entry)
            }
            (State::Metadata, Event::Key(key)) => self.metadata_key(at, key, findings),
            (State::MetadataEntry, Event::String(value)) => self.metadata_value(at, value, findings),
            (State::Entry, Event::Key(key)) => self.field(at, key, findings),
            (State::Entry, Event::EndObject) => self.end_entry(findings),
            (State::Dtype, Event::String(value)) => self.dtype(at, value, findings),
            (State::Shape, Event::BeginArray) => self.go(State::ShapeItem),
            (State::ShapeItem, Event::Number(number)) => self.dimension(at, number, findings),
            (State::Offsets, Event::BeginArray) => self.go(State::OffsetItem),
            (State::OffsetItem, Event::Number(number)) => self.offset(at, number, findings),
            (State::ShapeItem | State::OffsetItem, Event::EndArray) => self.go(State::Entry),
            (State::Start, _) => self.stop(&rules::ST_JSON, at, "the header is not a JSON object", findings),
            (State::Metadata | State::MetadataEntry | State::TopValue { metadata: true }, _) => {
                let message = "the metadata holds something other than text";
                self.stop(&rules::ST_METADATA, at, message, findings)
            }
            (State::TopValue { metadata: false }, _) => self.stop(
                &rules::ST_ENTRY,
                at,
                "the tensor's entry is not an object",
                findings,
            ),
            (State::Dtype, _) => self.stop(&rules::ST_ENTRY, at, "the element type is not a text", findings),
            (State::Shape | State::ShapeItem, _) => self.stop(
                &rules::ST_ENTRY,
                at,
                "the shape is not a list of whole numbers",
                findings,
            ),
            (State::Offsets | State::OffsetItem, _) => {
                let message = "the data offsets are not a list of whole numbers";
                self.stop(&rules::ST_ENTRY, at, message, findings)
            }
            // The JSON reader gives an object nothing but keys and its end.
            (State::Top | State::Entry, _) => {
                self.stop(&rules::ST_JSON, at, "the header is malformed", findings)
            }
        }
    }

    fn go(&mut self, state: State) -> ControlFlow<()> {
        self.state = state;
        ControlFlow::Continue(())
    }

    fn stop(&self, rule: &'static Rule, at: u64, message: &str, findings: &mut Findings) -> ControlFlow<()> {
        findings.add(rule, Place::at(at).of_any(self.part()), message);
        ControlFlow::Break(())
    }

    fn part(&self) -> Option<&str> {
        (!self.part.is_empty()).then_some(self.part.as_str())
    }

    fn top_key(&mut self, at: u64, key: &Text, findings: &mut Findings) -> ControlFlow<()> {
        self.at = at;
        self.part = text::shown_bytes(key.kept());
        let place = Place::at(at).of(&self.part);
        if key.whole() == Some("__metadata__") {
            if std::mem::replace(&mut self.metadata_seen, true) {
                findings.add(&rules::ST_DUPLICATE, place, "the header has `__metadata__` twice");
            }
            return self.go(State::TopValue { metadata: true });
        }
        if self.ties.is_wanted() {
            self.name = key.kept().to_vec();
        }
        if self.extents.len() == MAX_TENSORS {
            let message = format!("the header lists more than {MAX_TENSORS} tensors");
            return self.stop(&rules::ST_COUNT, at, &message, findings);
        }
        if !self.names.insert(key.fingerprint(), key.kept()) {
            findings.add(
                &rules::ST_DUPLICATE,
                place.clone(),
                "a tensor of this name was listed before",
            );
        }
        if String::from_utf8_lossy(key.kept()).chars().any(text::is_hidden) {
            findings.add(
                &rules::ST_NAME,
                place,
                "the tensor's name has characters that do not show",
            );
        }
        self.go(State::TopValue { metadata: false })
    }

    fn metadata_key(&mut self, at: u64, key: &Text, findings: &mut Findings) -> ControlFlow<()> {
        if self.metadata_keys.len() == MAX_METADATA {
            let message = format!("the metadata has more than {MAX_METADATA} entries");
            return self.stop(&rules::ST_COUNT, at, &message, findings);
        }
        if !self.metadata_keys.insert(key.fingerprint()) {
            findings.add(
                &rules::ST_DUPLICATE,
                Place::at(at).of(&text::shown_bytes(key.kept())),
                "the metadata has this key more than once",
            );
        }
        let shown = text::shown_bytes(key.kept());
        if key.whole().is_none_or(|key| key.len() > MAX_KEY_BYTES) {
            let message = format_args!("a key of the metadata has more than {MAX_KEY_BYTES} bytes");
            findings.add(&rules::ST_LONG, Place::at(at).of(&shown), message);
        }
        look(at, &shown, key, findings);
        self.metadata_key = key.whole().map(ToOwned::to_owned);
        self.go(State::MetadataEntry)
    }

    fn metadata_value(&mut self, at: u64, value: &Text, findings: &mut Findings) -> ControlFlow<()> {
        let part = self.metadata_key.as_deref().unwrap_or("__metadata__");
        look(at, part, value, findings);
        if value.whole().is_none() {
            let message = "a text in the metadata is longer than what is looked at";
            findings.add(&rules::ST_LONG, Place::at(at).of(part), message);
        }
        let shown = || Some(text::shown_bytes(value.kept())).filter(|text| !text.is_empty());
        match self.metadata_key.take().as_deref() {
            Some("modelspec.title") => self.title = shown(),
            Some("modelspec.architecture") => self.architecture = shown(),
            _ => {}
        }
        self.go(State::Metadata)
    }

    fn field(&mut self, at: u64, key: &Text, findings: &mut Findings) -> ControlFlow<()> {
        let (state, seen) = match key.whole() {
            Some("dtype") => (State::Dtype, self.current.dtype.is_some()),
            Some("shape") => (
                State::Shape,
                std::mem::replace(&mut self.current.shape_seen, true),
            ),
            Some("data_offsets") => (
                State::Offsets,
                std::mem::replace(&mut self.current.offsets_seen, true),
            ),
            _ => {
                let message = format!(
                    "the tensor's entry has a field `{}`",
                    text::shown_bytes(key.kept())
                );
                return self.stop(&rules::ST_FIELD, at, &message, findings);
            }
        };
        if seen {
            return self.stop(
                &rules::ST_DUPLICATE,
                at,
                "the tensor's entry has the same field twice",
                findings,
            );
        }
        self.go(state)
    }

    fn dtype(&mut self, at: u64, value: &Text, findings: &mut Findings) -> ControlFlow<()> {
        let Some(dtype) = value.whole().and_then(dtype::find) else {
            let message = format!("the element type is `{}`", text::shown_bytes(value.kept()));
            return self.stop(&rules::ST_DTYPE, at, &message, findings);
        };
        self.current.dtype = Some(dtype);
        self.go(State::Entry)
    }

    fn dimension(&mut self, at: u64, number: &str, findings: &mut Findings) -> ControlFlow<()> {
        let Some(dimension) = whole(number) else {
            return self.stop(&rules::ST_ENTRY, at, &not_whole("shape", number), findings);
        };
        // As the library multiplies: an overflow on the way counts, even if a zero follows.
        match self.current.elements.unwrap_or(1).checked_mul(dimension) {
            Some(elements) => self.current.elements = Some(elements),
            None => self.current.overflow = true,
        }
        ControlFlow::Continue(())
    }

    fn offset(&mut self, at: u64, number: &str, findings: &mut Findings) -> ControlFlow<()> {
        match whole(number) {
            Some(offset) if self.current.offsets.len() < 2 => {
                self.current.offsets.push(offset);
                ControlFlow::Continue(())
            }
            Some(_) => self.stop(
                &rules::ST_ENTRY,
                at,
                "there are more than two data offsets",
                findings,
            ),
            None => self.stop(&rules::ST_ENTRY, at, &not_whole("data offsets", number), findings),
        }
    }

    fn end_entry(&mut self, findings: &mut Findings) -> ControlFlow<()> {
        let current = std::mem::take(&mut self.current);
        let at = self.at;
        let (Some((dtype, bits)), true, &[begin, end]) =
            (current.dtype, current.shape_seen, current.offsets.as_slice())
        else {
            let message = "the tensor's entry lacks its element type, its shape or one of its data offsets";
            return self.stop(&rules::ST_ENTRY, at, message, findings);
        };
        let elements = current.elements.unwrap_or(1);
        let Some(total) = elements.checked_mul(bits).filter(|_| !current.overflow) else {
            let message = "the tensor has more elements than a 64-bit number can count";
            return self.stop(&rules::ST_SHAPE, at, message, findings);
        };
        let place = || Place::at(at).of_any(self.part());
        if end < begin {
            let message = format!("the tensor's data begins at {begin} and ends at {end}");
            return self.stop(&rules::ST_OFFSETS, at, &message, findings);
        }
        if !total.is_multiple_of(8) {
            let message = format_args!("{elements} elements of {bits} bits do not fill whole bytes");
            findings.add(&rules::ST_SUBBYTE, place(), message);
        } else if total / 8 != end - begin {
            let message = format_args!(
                "{elements} elements of type {dtype} take {} bytes, the data offsets span {}",
                total / 8,
                end - begin
            );
            findings.add(&rules::ST_SIZE, place(), message);
        }
        self.extents.push(Extent {
            at,
            begin,
            end,
            index: u32::try_from(self.extents.len()).unwrap_or(u32::MAX),
            element: u8::try_from(bits / 8).unwrap_or(1).max(1),
        });
        self.ties.tensor(&self.name, end - begin);
        self.parameters = self.parameters.saturating_add(elements);
        self.by_type.add(dtype, elements);
        self.part.clear();
        self.go(State::Top)
    }
}

/// Looks at a text of the metadata.
fn look(at: u64, part: &str, text: &Text, findings: &mut Findings) {
    let text = String::from_utf8_lossy(text.kept());
    if let Some(word) = scripts::found_in(&text) {
        let message = format_args!("the metadata holds a command or a program: \"{word}\"");
        findings.add(&rules::ST_SCRIPT, Place::at(at).of(part), message);
    }
    document::look(&text, at, part, findings);
}

fn whole(number: &str) -> Option<u64> {
    number
        .parse()
        .ok()
        .filter(|_| number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn not_whole(what: &str, number: &str) -> String {
    format!("the {what} contain {number}, which is not a whole number of 64 bits")
}
