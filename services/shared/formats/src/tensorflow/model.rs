//! What the messages of a graph mean, as they come.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::flow::{self, Calls, Flow, Use};
use super::keras::Note;
use super::operators::{self, Standing};
use super::parts::{Content, Node, Scope, source};
use super::schema::Part;
use super::tensor::Tensor;
use crate::finding::{Findings, Place};
use crate::protobuf::{Event, Spot, Text};
use crate::rules;
use crate::text::{self, Fingerprint};

/// The most functions of a file.
const MAX_FUNCTIONS: usize = 1 << 16;
/// The most different operators that are remembered until the functions are known.
const MAX_UNKNOWN: usize = 1 << 10;
/// The most inputs of a step and functions it names. Restoring a large model has some ten thousand outputs, joining it as many inputs.
const MAX_INPUTS: usize = 1 << 16;
/// From how many bytes on what no field is for counts as hidden.
const MAX_UNKNOWN_BYTES: u64 = 1 << 10;

/// What the file says.
#[derive(Debug, Default)]
pub struct Model {
    scopes: Vec<Scope>,
    /// Of the outermost message, where that is a graph.
    outermost: Option<Box<Flow>>,
    text: Text,
    calls: Calls,
    functions: BTreeSet<Fingerprint>,
    /// Operators that TensorFlow does not have, and where the first of each stands.
    unknown: BTreeMap<Fingerprint, (u64, String)>,
    graphs: u64,
    elsewhere: bool,
    unknown_bytes: u64,
    /// How many constants there are.
    pub tensors: u64,
    /// How many elements they have.
    pub parameters: u64,
    by_type: Vec<(&'static str, u64)>,
}

type Flowing = ControlFlow<()>;
const ON: Flowing = ControlFlow::Continue(());

impl Model {
    /// For a file that is a graph.
    pub fn of_graph() -> Self {
        Self {
            outermost: Some(Box::default()),
            graphs: 1,
            ..Self::default()
        }
    }

    /// The type that most elements have.
    pub fn predominant(&self) -> Option<&'static str> {
        Some(self.by_type.iter().max_by_key(|(_, elements)| *elements)?.0)
    }

    /// Takes what was read.
    pub fn event(&mut self, spot: Spot<Part>, event: Event<'_, Part>, findings: &mut Findings) -> Flowing {
        match event {
            Event::Enter(field, part) => {
                self.graphs += u64::from(part == Part::Graph);
                self.scopes.push(Scope::new(spot.at, part, field));
                if matches!(part, Part::Variable | Part::Asset) {
                    let place = self.place(spot.at);
                    self.elsewhere(place, findings);
                }
                ON
            }
            Event::Leave(_) => match self.scopes.pop() {
                Some(scope) => self.leave(scope, findings),
                None => ON,
            },
            Event::Number(field, value) => {
                self.number(spot.inside, field, value);
                ON
            }
            Event::Fixed(field, bytes) => {
                if let (Part::Tensor, Some(tensor)) = (spot.inside, self.tensor()) {
                    tensor.values(field, bytes / if matches!(field, 6 | 12) { 8 } else { 4 });
                }
                ON
            }
            Event::Bytes { field, chunk, left } => self.bytes(spot, field, chunk, left, findings),
            Event::Unknown(field, bytes) => {
                let message = format_args!("{bytes} bytes in a field {field} that TensorFlow does not have");
                findings.add(&rules::TF_FIELD, self.place(spot.at), message);
                let before = self.unknown_bytes;
                self.unknown_bytes = before.saturating_add(bytes);
                if before <= MAX_UNKNOWN_BYTES && self.unknown_bytes > MAX_UNKNOWN_BYTES {
                    let message = "more than a kilobyte lies in fields that TensorFlow does not have";
                    findings.add(&rules::TF_HIDDEN, self.place(spot.at), message);
                }
                ON
            }
            Event::Again(field) => {
                let message = format_args!("the field {field} occurs a second time");
                findings.add(&rules::TF_REPEATED, self.place(spot.at), message);
                ON
            }
        }
    }

    fn innermost(&mut self) -> Option<&mut Content> {
        self.scopes.last_mut().map(|scope| &mut scope.content)
    }

    /// The tensor that the innermost messages, which may be its shape, belong to.
    fn tensor(&mut self) -> Option<&mut Tensor> {
        self.scopes
            .iter_mut()
            .rev()
            .take(3)
            .take_while(|scope| matches!(scope.part, Part::Tensor | Part::Shape | Part::Dimension))
            .find_map(|scope| match &mut scope.content {
                Content::Tensor(tensor) => Some(&mut **tensor),
                _ => None,
            })
    }

    /// The step that the innermost messages belong to.
    fn node(&mut self) -> Option<&mut Node> {
        self.scopes
            .iter_mut()
            .rev()
            .find_map(|scope| match &mut scope.content {
                Content::Node(node) => Some(&mut **node),
                _ => None,
            })
    }

    /// The graph or function that the innermost messages belong to.
    fn flow(&mut self) -> Option<&mut Flow> {
        self.scopes
            .iter_mut()
            .rev()
            .find_map(|scope| match &mut scope.content {
                Content::Graph(flow) | Content::Function(flow, _) => Some(&mut **flow),
                _ => None,
            })
            .or(self.outermost.as_deref_mut())
    }

    fn place(&self, at: u64) -> Place {
        let name = self.scopes.iter().rev().find_map(Scope::name).map(Text::shown);
        Place::at(at).of_any(name.as_deref())
    }

    fn elsewhere(&mut self, place: Place, findings: &mut Findings) {
        if !std::mem::replace(&mut self.elsewhere, true) {
            let message = "the model has variables or word lists, whose content is not in the file";
            findings.add(&rules::TF_ELSEWHERE, place, message);
        }
    }

    fn number(&mut self, inside: Part, field: u32, value: u64) {
        let Some(tensor) = self.tensor() else { return };
        match (inside, field) {
            (Part::Tensor, 1) => tensor.kind = value,
            (Part::Tensor, 7 | 10 | 11 | 13 | 16 | 17) => tensor.values(field, 1),
            (Part::Shape, 3) if value != 0 => tensor.unknown(),
            (Part::Dimension, 1) => tensor.dimension(value),
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
    ) -> Flowing {
        match (spot.inside, field) {
            // The numbers themselves.
            (Part::Tensor, 4) => {
                if let Some(tensor) = self.tensor() {
                    tensor.content = tensor.content.saturating_add(chunk.len() as u64);
                }
                return ON;
            }
            (Part::Tensor, 18) => {
                if let Some(tensor) = self.tensor() {
                    tensor.values(18, chunk.len() as u64);
                }
                return ON;
            }
            (Part::User, 3) => {
                if let Some(Content::User(reader)) = self.innermost() {
                    reader.feed(chunk);
                }
                return ON;
            }
            _ => self.text.feed(chunk),
        }
        if left > 0 {
            return ON;
        }
        let text = std::mem::take(&mut self.text);
        self.string(spot, field, text, findings)
    }

    /// A text has been read to its end.
    fn string(&mut self, spot: Spot<Part>, field: u32, text: Text, findings: &mut Findings) -> Flowing {
        let names = match spot.inside {
            Part::Node => field <= 4,
            Part::Signature | Part::Argument | Part::Callee => field == 1,
            Part::Asset => field == 2,
            _ => false,
        };
        if names && (text.is_hidden() || text.is_invalid()) {
            let message = format_args!("a name cannot be read as it is: \"{}\"", text.shown());
            findings.add(&rules::TF_TEXT, self.place(spot.at), message);
        }
        match (spot.inside, field) {
            (Part::Node, _) => {
                let Some(Content::Node(node)) = self.innermost() else {
                    return ON;
                };
                match field {
                    1 => node.name = text,
                    2 => node.operator = text,
                    3 => {
                        // A name that is longer than what is kept cannot be taken apart; such names are none of TensorFlow's.
                        let source = source(&text);
                        node.inputs.extend(source);
                        if node.inputs.len() > MAX_INPUTS {
                            return stop(
                                self.place(spot.at),
                                "a step has more inputs than an inspection follows",
                                findings,
                            );
                        }
                    }
                    _ => {}
                }
            }
            (Part::Attribute, 1) => {
                if let Some(Content::Attribute(name)) = self.innermost() {
                    *name = text;
                }
            }
            (Part::Value, 2) => {
                let stream = match self.scopes.as_slice() {
                    [
                        ..,
                        Scope {
                            content: Content::Attribute(name),
                            ..
                        },
                        _,
                    ] => name.whole() == Some("output_stream"),
                    _ => false,
                };
                let shows = matches!(text.whole(), Some("" | "stdout" | "stderr"));
                // Loggers of the running program have names of this kind.
                let logs = text.whole().is_some_and(|name| name.starts_with("log("));
                if let (true, false, false, Some(node)) = (stream, shows, logs, self.node()) {
                    node.prints = true;
                }
            }
            (Part::Callee, 1) => {
                let callee = text.fingerprint();
                if let Some(node) = self.node() {
                    node.callees.push(callee);
                    if node.callees.len() > MAX_INPUTS {
                        return stop(
                            self.place(spot.at),
                            "a step names more functions than an inspection follows",
                            findings,
                        );
                    }
                }
            }
            _ => self.declaration(spot, field, &text, findings),
        }
        ON
    }

    /// A text that names something, or is a constant.
    fn declaration(&mut self, spot: Spot<Part>, field: u32, text: &Text, findings: &mut Findings) {
        match (spot.inside, field) {
            (Part::Tensor, 8) => {
                let stays = text.whole().is_some_and(|text| flow::stays(text.as_bytes()));
                if let Some(tensor) = self.tensor() {
                    tensor.values(8, 1);
                    tensor.leads |= !stays;
                }
            }
            (Part::Signature, 1) => {
                if let [
                    ..,
                    Scope {
                        content: Content::Function(_, name),
                        ..
                    },
                    _,
                ] = self.scopes.as_mut_slice()
                {
                    *name = text.clone();
                }
            }
            (Part::Argument, 1) => {
                if let [
                    ..,
                    Scope {
                        content: Content::Function(flow, _),
                        ..
                    },
                    _,
                    Scope { field: 2, .. },
                ] = self.scopes.as_mut_slice()
                {
                    flow.argument(text.fingerprint());
                }
            }
            (Part::Asset, 2) => {
                let stays = text
                    .whole()
                    .is_some_and(|name| !name.is_empty() && flow::stays(name.as_bytes()));
                if !stays {
                    let message = format_args!("a file of the model is named \"{}\"", text.shown());
                    findings.add(&rules::TF_ASSET, self.place(spot.at), message);
                }
            }
            _ => {}
        }
    }

    /// A message has ended.
    fn leave(&mut self, scope: Scope, findings: &mut Findings) -> Flowing {
        let place = match scope.name().map(Text::shown) {
            Some(name) => Place::at(scope.at).of(&name),
            None => self.place(scope.at),
        };
        match scope.content {
            Content::Graph(flow) => {
                self.calls.add(None, &flow);
                self.room(place, findings)
            }
            Content::Function(flow, name) => {
                if !self.functions.insert(name.fingerprint()) && self.graphs < 2 {
                    findings.add(
                        &rules::TF_DUPLICATE,
                        place.clone(),
                        "there is another function of this name",
                    );
                }
                self.calls.add(Some(name.fingerprint()), &flow);
                self.room(place, findings)
            }
            Content::Node(node) => self.step(*node, scope.at, place, findings),
            Content::Tensor(tensor) => {
                self.constant(&tensor, place, findings);
                ON
            }
            Content::User(reader) => {
                match reader.finish() {
                    Note::Plain => {}
                    Note::Lambda => {
                        let message = "a layer of the model is a Python function that is kept in it";
                        findings.add(&rules::TF_LAMBDA, place, message);
                    }
                    Note::Unreadable => {
                        findings.add(
                            &rules::TF_METADATA,
                            place,
                            "the description of an object is not JSON",
                        );
                    }
                }
                ON
            }
            Content::Plain | Content::Attribute(_) => ON,
        }
    }

    fn room(&self, place: Place, findings: &mut Findings) -> Flowing {
        if self.calls.too_many || self.functions.len() > MAX_FUNCTIONS {
            return stop(
                place,
                "it has more functions or calls than an inspection follows",
                findings,
            );
        }
        ON
    }

    /// A step has been read to its end.
    fn step(&mut self, node: Node, at: u64, place: Place, findings: &mut Findings) -> Flowing {
        let operator = node.operator.whole().unwrap_or_default();
        let shown = || format!("`{}`", node.operator.shown());
        let mut followed = None;
        match operators::standing(operator) {
            Standing::Known => {}
            Standing::Effect(how) => findings.add(
                &rules::TF_EFFECT,
                place.clone(),
                format_args!("the operator {} {how}", shown()),
            ),
            Standing::Files(how) => findings.add(
                &rules::TF_FILES,
                place.clone(),
                format_args!("the operator {} {how}", shown()),
            ),
            Standing::Variable => self.elsewhere(place.clone(), findings),
            Standing::Saver(inputs) => followed = Some(inputs),
            Standing::Unknown => {
                let key = node.operator.fingerprint();
                if self.unknown.len() >= MAX_UNKNOWN && !self.unknown.contains_key(&key) {
                    return stop(
                        place,
                        "it has more operators of its own than an inspection follows",
                        findings,
                    );
                }
                self.unknown.entry(key).or_insert_with(|| (at, shown()));
            }
        }
        if node.prints {
            findings.add(
                &rules::TF_EFFECT,
                place.clone(),
                format_args!("the operator {} prints to a file", shown()),
            );
        }
        let named = operators::standing(operator) == Standing::Unknown;
        let direct = matches!(operator, "PartitionedCall" | "StatefulPartitionedCall");
        let origin = flow::origin(operator, &node.inputs, node.constant);
        let Some(flow) = self.flow() else { return ON };
        if !flow.has_room() {
            return stop(place, "it has more steps than an inspection follows", findings);
        }
        if !flow.step(node.name.fingerprint(), origin) {
            findings.add(
                &rules::TF_DUPLICATE,
                place.clone(),
                "there is another step of this name",
            );
        }
        let mut room = true;
        if let Some(count) = followed {
            let mut inputs = node.inputs.clone();
            inputs.truncate(count);
            // Without inputs nobody gives it a name.
            inputs.resize(count, Fingerprint::default());
            room &= flow.uses(Use {
                callee: None,
                inputs,
                at,
            });
        }
        if named {
            let callee = Some(node.operator.fingerprint());
            room &= flow.uses(Use {
                callee,
                inputs: node.inputs.clone(),
                at,
            });
        }
        for callee in node.callees {
            // Other operators give a function what they like.
            let inputs = if direct { node.inputs.clone() } else { Vec::new() };
            room &= flow.uses(Use {
                callee: Some(callee),
                inputs,
                at,
            });
        }
        if room {
            ON
        } else {
            stop(place, "it has more calls than an inspection follows", findings)
        }
    }

    fn constant(&mut self, tensor: &Tensor, place: Place, findings: &mut Findings) {
        if let Some(flaw) = tensor.flaw() {
            findings.add(
                &rules::TF_SIZE,
                place,
                format_args!("the data of a constant does not fit: {flaw}"),
            );
        }
        if let (true, Some(node)) = (tensor.kind == 7, self.node()) {
            node.constant = Some(node.constant.unwrap_or(true) && !tensor.leads);
        }
        self.tensors += 1;
        self.parameters = self.parameters.saturating_add(tensor.elements());
        if let Some(name) = tensor.name() {
            match self.by_type.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count = count.saturating_add(tensor.elements()),
                None => self.by_type.push((name, tensor.elements())),
            }
        }
    }

    /// Judges what can only be told at the end.
    pub fn judge(&mut self, findings: &mut Findings) {
        if let Some(flow) = self.outermost.take() {
            self.calls.add(None, &flow);
        }
        if self.graphs == 0 {
            findings.add(&rules::TF_BROKEN, Place::whole(), "the file has no graph");
        }
        self.calls.resolve();
        for at in &self.calls.wrong {
            let message = "the name of the file is not left to whoever runs the graph";
            findings.add(&rules::TF_SAVER, Place::at(*at), message);
        }
        if self.calls.too_many {
            findings.add(
                &rules::TF_LIMIT,
                Place::whole(),
                "it has more calls than an inspection follows",
            );
        }
        let unknown = std::mem::take(&mut self.unknown);
        let mut missing: Vec<_> = unknown
            .into_iter()
            .filter(|(operator, _)| !self.functions.contains(operator))
            .map(|(_, place)| place)
            .collect();
        missing.sort_unstable();
        for (at, shown) in missing {
            let message = format_args!(
                "the operator {} is neither TensorFlow's nor a function of the model",
                text::shown(&shown)
            );
            findings.add(&rules::TF_UNKNOWN, Place::at(at), message);
        }
    }
}

fn stop(place: Place, message: &str, findings: &mut Findings) -> Flowing {
    findings.add(&rules::TF_LIMIT, place, message);
    ControlFlow::Break(())
}
