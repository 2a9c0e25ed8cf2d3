//! The index of a TensorFlow checkpoint (`variables.index`): a sorted table that says where in other files each variable is.
//!
//! Format: `tensor_bundle.proto` and `tensor_bundle.h`. Alone it is refused like every file whose numbers are elsewhere; with the files that
//! it names it is judged as a set. The table is read when the file has ended, because its own end says where its parts are. Memory: the
//! file, up to [`MAX_BYTES`].

mod table;

use std::ops::ControlFlow;

use holdfast_contract::report::ModelFacts;

use super::schema::{self, Part};
use super::tensor::Tensor;
use crate::finding::{Findings, Place};
use crate::inspector::{Found, Inspector};
use crate::protobuf::{End, Event, Message, ON, Reader, Spot};
use crate::rules;
use crate::set::Ties;
use crate::tally::Tally;
use crate::text;
use table::Entry;

/// The longest index. A hundred thousand variables take about ten million bytes.
const MAX_BYTES: usize = 16 << 20;
/// The most files that variables are spread over.
const MAX_SHARDS: u64 = 4096;

/// The inspector for the index of a checkpoint.
#[derive(Debug, Default)]
pub struct CheckpointIndex {
    bytes: Vec<u8>,
    too_long: bool,
    ties: Ties,
}

impl CheckpointIndex {
    /// An inspector that fills `ties` with the places of the variables. The files are named by what takes the place of `.index`.
    pub(crate) fn tied(ties: Ties) -> Self {
        Self {
            ties,
            ..Self::default()
        }
    }
}

impl Inspector for CheckpointIndex {
    fn feed(&mut self, _at: u64, chunk: &[u8]) {
        self.too_long |= self.bytes.len() + chunk.len() > MAX_BYTES;
        if self.too_long {
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(chunk);
        }
    }

    fn finish(self: Box<Self>, _size: u64) -> Found {
        let mut variables = Variables {
            ties: self.ties,
            ..Variables::default()
        };
        if self.too_long {
            let message = format_args!("the index is longer than {} MiB", MAX_BYTES >> 20);
            variables.findings.add(&rules::TF_LIMIT, Place::whole(), message);
        } else if let Err((at, what)) = table::read(&self.bytes, |entry| variables.entry(entry)) {
            let message = format_args!("the index of variables cannot be read: {what}");
            variables.findings.add(&rules::TF_BROKEN, Place::at(at), message);
        }
        variables.conclude()
    }
}

/// What the index says.
#[derive(Debug, Default)]
struct Variables {
    findings: Findings,
    ties: Ties,
    /// How many files there are, once that is known.
    shards: Option<u64>,
    /// How many bytes all entries have, and how many those in parts need of them.
    bytes: u64,
    in_parts: u64,
    facts: ModelFacts,
    by_type: Tally,
}

/// Where one variable is, as it is written.
#[derive(Debug, Default)]
struct Position {
    tensor: Tensor,
    shard: u64,
    begin: u64,
    bytes: u64,
    /// It is in parts, each of which has an entry of its own.
    sliced: bool,
}

impl Variables {
    fn entry(&mut self, entry: Entry<'_>) -> ControlFlow<()> {
        let place = || Place::at(entry.at).of(&text::shown_bytes(entry.name));
        let Some(shards) = self.shards else {
            return self.header(entry);
        };
        let Some(position) = position(entry.value) else {
            let message = "what it says of a variable cannot be read";
            self.findings.add(&rules::TF_BROKEN, place(), message);
            return ControlFlow::Break(());
        };
        let needed = match position.judge(shards) {
            Ok(needed) => needed,
            Err(flaw) => {
                self.findings.add(&rules::TF_SIZE, place(), flaw);
                return ON;
            }
        };
        self.bytes = self.bytes.saturating_add(position.bytes);
        if position.sliced {
            let needed = needed.unwrap_or(position.tensor.elements());
            self.in_parts = self.in_parts.saturating_add(needed);
            return ON;
        }
        let file = format!(".data-{:05}-of-{shards:05}", position.shard);
        self.ties
            .external(&file, position.begin, Some(position.bytes), position.bytes);
        self.count(&position.tensor);
        ON
    }

    /// The first entry, which has no name.
    fn header(&mut self, entry: Entry<'_>) -> ControlFlow<()> {
        let (mut shards, mut order) = (0, 0);
        let read = message(&schema::BUNDLE_HEADER, entry.value, |spot, event| {
            match (spot.inside, event) {
                (Part::Header, Event::Number(1, value)) => shards = value,
                (Part::Header, Event::Number(2, value)) => order = value,
                _ => {}
            }
        });
        let flaw = if read.is_none() || !entry.name.is_empty() {
            "the index does not begin with its header"
        } else if order != 0 {
            "its numbers are in the byte order of other machines"
        } else if !(1..=MAX_SHARDS).contains(&shards) {
            "it has an impossible number of files"
        } else {
            self.shards = Some(shards);
            return ON;
        };
        self.findings.add(&rules::TF_BROKEN, Place::at(entry.at), flaw);
        ControlFlow::Break(())
    }

    fn count(&mut self, tensor: &Tensor) {
        self.facts.tensors += 1;
        self.facts.parameters = self.facts.parameters.saturating_add(tensor.elements());
        if let Some(name) = tensor.name() {
            self.by_type.add(name, tensor.elements());
        }
    }

    fn conclude(mut self) -> Found {
        if self.in_parts > self.bytes {
            let message = format_args!(
                "variables in parts need {} bytes, and all entries together have {}",
                self.in_parts, self.bytes
            );
            self.findings.add(&rules::TF_SIZE, Place::whole(), message);
        }
        if !self.findings.refuse() {
            let message = "the file says where variables are, and they are in other files";
            self.findings.add(&rules::TF_INDEX, Place::whole(), message);
        }
        self.facts.tensor_type = self.by_type.predominant();
        Found {
            findings: self.findings,
            facts: Some(self.facts),
            ties: self.ties,
            ..Found::default()
        }
    }
}

impl Position {
    /// How many bytes it needs, where that is fixed; else what is the matter with it.
    fn judge(&self, shards: u64) -> Result<Option<u64>, String> {
        let needed = self.tensor.stored_bytes()?;
        if self.sliced {
            let nothing = self.shard == 0 && self.begin == 0 && self.bytes == 0;
            return if nothing {
                Ok(needed)
            } else {
                Err("a variable in parts has a place of its own".to_owned())
            };
        }
        if self.shard >= shards {
            return Err(format!("it is in file {} of {shards}", self.shard));
        }
        let (elements, bytes) = (self.tensor.elements(), self.bytes);
        match needed {
            Some(needed) if needed != bytes => Err(format!("it needs {needed} bytes, and has {bytes}")),
            // Each text has a length of one byte at least.
            None if elements > bytes => Err(format!("{elements} texts are in {bytes} bytes")),
            _ => Ok(needed),
        }
    }
}

/// What an entry says, if it is one.
fn position(value: &[u8]) -> Option<Position> {
    let mut position = Position::default();
    message(&schema::BUNDLE_ENTRY, value, |spot, event| {
        let position = &mut position;
        match (spot.inside, event) {
            (Part::Entry, Event::Number(1, kind)) => position.tensor.kind = kind,
            (Part::Entry, Event::Number(3, shard)) => position.shard = shard,
            (Part::Entry, Event::Number(4, begin)) => position.begin = begin,
            (Part::Entry, Event::Number(5, bytes)) => position.bytes = bytes,
            (Part::Shape, Event::Number(3, unknown)) if unknown != 0 => position.tensor.unknown(),
            (Part::Dimension, Event::Number(1, value)) => position.tensor.size(value),
            (_, Event::Leave(Part::Dimension)) => position.tensor.dimension(),
            (_, Event::Enter(_, Part::Slice)) => position.sliced = true,
            _ => {}
        }
    })?;
    Some(position)
}

/// Reads a message that is in one piece. `None` if it is none, or has more than its table, or something twice.
fn message(
    table: &'static Message<Part>,
    bytes: &[u8],
    mut each: impl FnMut(Spot<Part>, Event<'_, Part>),
) -> Option<()> {
    let mut reader = Reader::new(table);
    let mut odd = false;
    let mut take = |spot: Spot<Part>, event: Event<'_, Part>| {
        odd |= matches!(event, Event::Unknown(..) | Event::Again(_));
        each(spot, event);
        ON
    };
    reader.feed(bytes, &mut take).ok()?;
    let end = reader.finish(&mut take);
    (end == End::Complete && !odd).then_some(())
}
