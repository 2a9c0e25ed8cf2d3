//! What the messages of a model mean, as they come.

mod judge;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use holdfast_contract::report::ModelFacts;

use super::external::Concern;
use super::parts::{Content, Scope, pair};
use super::schema::Part;
use crate::finding::{Findings, Place};
use crate::inspector::Found;
use crate::protobuf::{Event, Meaning, ON, Spot, Text, Unknown};
use crate::rules::{self, Rule};
use crate::set::Ties;
use crate::tally::Tally;
use crate::text::{self, Fingerprint};

/// The most names of initializers, and of functions, that are compared. The largest published models have some ten thousand.
pub const MAX_NAMES: usize = 1 << 18;
/// The most different custom operators that are remembered until the functions are known.
const MAX_CUSTOM: usize = 1 << 10;
/// The latest version of the format.
const LATEST: u64 = 14;

/// What the model says.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Model {
    scopes: Vec<Scope>,
    /// The text that is being read.
    text: Text,
    graphs: u64,
    has_graph: bool,
    has_opset: bool,
    version: Option<u64>,
    producer: String,
    producer_version: String,
    initializers: BTreeSet<Fingerprint>,
    functions: BTreeSet<Fingerprint>,
    /// Operators of other domains, and where the first of each stands.
    custom: BTreeMap<Fingerprint, (u64, String)>,
    runtime_noted: bool,
    external_noted: bool,
    unknown: Unknown,
    /// How many tensors there are.
    pub tensors: u64,
    /// How many elements they have.
    pub parameters: u64,
    by_type: Tally,
    /// Numbers that are in other files, where they are wanted.
    pub ties: Ties,
}

impl Model {
    /// That fills `ties`.
    pub fn tied(ties: Ties) -> Self {
        Self {
            ties,
            ..Self::default()
        }
    }

    /// The program that wrote the model, with its version.
    pub fn producer(&self) -> Option<String> {
        let both = text::shown(&format!("{} {}", self.producer, self.producer_version));
        Some(both).filter(|text| !text.is_empty())
    }
}

impl Meaning for Model {
    type Part = Part;
    const BROKEN: &'static Rule = &rules::ONNX_BROKEN;

    fn event(
        &mut self,
        spot: Spot<Part>,
        event: Event<'_, Part>,
        findings: &mut Findings,
    ) -> ControlFlow<()> {
        match event {
            Event::Enter(field, part) => {
                if let Some(Content::Attribute(attribute)) = self.innermost() {
                    attribute.saw(field);
                }
                match (spot.inside, part, field) {
                    (Part::Model, Part::Graph, _) => self.has_graph = true,
                    (Part::Model, Part::Opset, _) => self.has_opset = true,
                    (Part::Tensor, _, 3) => {
                        if let Some(Content::Tensor(tensor, _)) = self.innermost() {
                            tensor.segment = true;
                        }
                    }
                    _ => {}
                }
                self.scopes
                    .push(Scope::new(spot.at, field, part, &mut self.graphs));
                ON
            }
            // The outermost message is no scope.
            Event::Leave(_) => match self.scopes.pop() {
                Some(scope) => self.leave(scope, findings),
                None => ON,
            },
            Event::Number(field, value) => {
                self.number(spot.inside, field, value);
                ON
            }
            Event::Fixed(field, bytes) => {
                match self.innermost() {
                    Some(Content::Attribute(attribute)) => attribute.saw(field),
                    Some(Content::Tensor(tensor, _)) => {
                        tensor.values(field, bytes / if field == 10 { 8 } else { 4 });
                    }
                    _ => {}
                }
                ON
            }
            Event::Bytes { field, chunk, left } => self.bytes(spot, field, chunk, left, findings),
            Event::Unknown(field, bytes) => {
                let message = format_args!("{bytes} bytes in a field {field} that ONNX does not have");
                findings.add(&rules::ONNX_FIELD, self.place(spot.at), message);
                if self.unknown.add(bytes) {
                    let message = "more than a kilobyte lies in fields that ONNX does not have";
                    findings.add(&rules::ONNX_HIDDEN, self.place(spot.at), message);
                }
                ON
            }
            Event::Again(field) => {
                let message = format_args!("the field {field} occurs a second time");
                findings.add(&rules::ONNX_REPEATED, self.place(spot.at), message);
                ON
            }
        }
    }

    fn conclude(mut self, complete: bool, mut findings: Findings) -> Found {
        if complete {
            self.judge(&mut findings);
        }
        if !findings.refuse() {
            let message = "every part of the model was read, and it needs nothing but itself";
            findings.add(&rules::ONNX_ADMITTED, Place::whole(), message);
        }
        let facts = ModelFacts {
            name: self.producer(),
            architecture: None,
            tensors: self.tensors,
            parameters: self.parameters,
            context_tokens: None,
            tensor_type: self.by_type.predominant(),
            chat_template: false,
        };
        Found {
            findings,
            facts: Some(facts),
            ties: self.ties,
            ..Found::default()
        }
    }
}

impl Model {
    fn innermost(&mut self) -> Option<&mut Content> {
        self.scopes.last_mut().map(|scope| &mut scope.content)
    }

    /// A place, by the innermost name around it.
    fn place(&self, at: u64) -> Place {
        let name = self.scopes.iter().rev().find_map(Scope::name).map(Text::shown);
        Place::at(at).of_any(name.as_deref())
    }

    fn number(&mut self, inside: Part, field: u32, value: u64) {
        match (inside, field, self.innermost()) {
            (Part::Model, 1, _) => self.version = Some(value),
            (_, 20, Some(Content::Attribute(attribute))) => attribute.declared = value,
            (_, _, Some(Content::Attribute(attribute))) => attribute.saw(field),
            (_, 1, Some(Content::Tensor(tensor, _))) => tensor.dimension(value),
            (_, 2, Some(Content::Tensor(tensor, _))) => tensor.data_type = Some(value),
            (_, 14, Some(Content::Tensor(tensor, _))) => tensor.elsewhere = value != 0,
            (_, _, Some(Content::Tensor(tensor, _))) => tensor.values(field, 1),
            _ => {}
        }
    }

    fn bytes(
        &mut self,
        spot: Spot<Part>,
        field: u32,
        chunk: &[u8],
        left: u64,
        findings: &mut Findings,
    ) -> ControlFlow<()> {
        match self.innermost() {
            // The bytes of the tensor, and of its texts, which are data as well.
            Some(Content::Tensor(tensor, _)) if matches!(field, 6 | 9) => {
                if field == 9 {
                    tensor.raw = Some(tensor.raw.unwrap_or(0).saturating_add(chunk.len() as u64));
                } else if left == 0 {
                    tensor.values(6, 1);
                }
                return ON;
            }
            Some(Content::Attribute(attribute)) if matches!(field, 4 | 9) => {
                attribute.saw(field);
                return ON;
            }
            _ => self.text.feed(chunk),
        }
        if left > 0 {
            return ON;
        }
        let text = std::mem::take(&mut self.text);
        if text.is_invalid() || text.is_hidden() {
            let what = if text.is_hidden() {
                "characters that do not show"
            } else {
                "bytes that are no text"
            };
            let message = format_args!("a text has {what}: \"{}\"", text.shown());
            findings.add(&rules::ONNX_TEXT, self.place(spot.at), message);
        }
        match (spot.inside, field, self.innermost()) {
            (Part::Model, 2, _) => self.producer = text.shown(),
            (Part::Model, 3, _) => self.producer_version = text.shown(),
            (_, 1, Some(Content::Function(name, _) | Content::Entry(name, _)))
            | (_, 8, Some(Content::Tensor(_, name))) => *name = text,
            (_, 10, Some(Content::Function(_, domain))) => *domain = text,
            (_, 2, Some(Content::Entry(_, value))) => *value = text,
            (_, 1, Some(Content::Attribute(attribute))) => attribute.name = text,
            (_, 21, Some(Content::Attribute(attribute))) => attribute.saw(21),
            (_, 3, Some(Content::Node(node))) => node.name = text,
            (_, 4, Some(Content::Node(node))) => node.operator = text,
            (_, 7, Some(Content::Node(node))) => node.domain = text,
            _ => {}
        }
        ON
    }

    /// A message has ended.
    fn leave(&mut self, scope: Scope, findings: &mut Findings) -> ControlFlow<()> {
        let name = scope.name().map(Text::shown);
        let place = match name {
            Some(name) => Place::at(scope.at).of(&name),
            None => self.place(scope.at),
        };
        match scope.content {
            Content::Node(node) => self.node(&node, scope.at, place, findings),
            Content::Tensor(tensor, name) => self.tensor(&tensor, &name, scope.field, place, findings),
            Content::Attribute(attribute) => {
                if let Some(flaw) = attribute.flaw() {
                    findings.add(
                        &rules::ONNX_ATTRIBUTE,
                        place,
                        format_args!("a parameter cannot be relied on: {flaw}"),
                    );
                }
                ON
            }
            Content::Function(name, domain) => {
                let function = pair(domain.kept(), name.fingerprint());
                if self.functions.len() >= MAX_NAMES {
                    return stop(
                        place,
                        "it defines more functions than an inspection follows",
                        findings,
                    );
                }
                // Functions of one name may differ in `overload`, so this is no repetition that misleads.
                self.functions.insert(function);
                ON
            }
            Content::Entry(key, value) => {
                let concern = match self.innermost() {
                    Some(Content::Tensor(tensor, _)) if scope.field == 13 => {
                        tensor.external.entry(&key, &value)
                    }
                    _ => None,
                };
                let place = self.place(scope.at);
                match concern {
                    Some(Concern::Path(how)) => {
                        let message = format_args!(
                            "a tensor's data is to be read from \"{}\", which {how}",
                            value.shown()
                        );
                        findings.add(&rules::ONNX_PATH, place, message);
                    }
                    Some(Concern::Entry(how)) => {
                        findings.add(&rules::ONNX_EXTERNAL_ENTRY, place, describe(how));
                    }
                    None => {}
                }
                ON
            }
            Content::Plain | Content::Graph(_) => ON,
        }
    }
}

fn describe(how: &str) -> String {
    format!("the place of a tensor's data cannot be relied on: {how}")
}

fn stop(place: Place, message: &str, findings: &mut Findings) -> ControlFlow<()> {
    findings.add(&rules::ONNX_LIMIT, place, message);
    ControlFlow::Break(())
}
