//! What the messages of a graph mean, as they come.

mod steps;
mod texts;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use holdfast_contract::report::ModelFacts;

use super::attribute::Attribute;
use super::flow::{Calls, Flow};
use super::parts::{Content, Node, Scope};
use super::schema::Part;
use super::tensor::Tensor;
use crate::finding::{Findings, Place};
use crate::inspector::Found;
use crate::protobuf::{Event, Meaning, ON, Spot, Text, Unknown};
use crate::rules::{self, Rule};
use crate::set::Ties;
use crate::tally::Tally;
use crate::text::Fingerprint;

/// The most functions of a file.
const MAX_FUNCTIONS: usize = 1 << 16;
/// The most different operators that are remembered until the functions are known.
const MAX_UNKNOWN: usize = 1 << 10;
/// The most inputs of a step and functions it names. Restoring a large model has some ten thousand outputs, joining it as many inputs.
const MAX_INPUTS: usize = 1 << 16;

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
    hidden: Unknown,
    /// How many constants there are.
    pub tensors: u64,
    /// How many elements they have.
    pub parameters: u64,
    by_type: Tally,
    /// The files beside it that it needs, where they are wanted.
    pub ties: Ties,
}

/// Where a `SavedModel` has its variables, and its word lists.
const VARIABLES: &str = "variables/variables.index";
const ASSETS: &str = "assets";
/// The collection in which TensorFlow 1 names the files beside a model.
const NAMED_FILES: &str = "saved_model_assets";

type Flowing = ControlFlow<()>;

impl Model {
    /// For a `SavedModel`, that fills `ties`.
    pub fn tied(ties: Ties) -> Self {
        Self {
            ties,
            ..Self::default()
        }
    }

    /// For a file that is a graph.
    pub fn of_graph() -> Self {
        Self {
            outermost: Some(Box::default()),
            graphs: 1,
            ..Self::default()
        }
    }
}

impl Meaning for Model {
    type Part = Part;
    const BROKEN: &'static Rule = &rules::TF_BROKEN;

    fn event(&mut self, spot: Spot<Part>, event: Event<'_, Part>, findings: &mut Findings) -> Flowing {
        match event {
            Event::Enter(field, part) => {
                self.graphs += u64::from(part == Part::Graph);
                self.scopes.push(Scope::new(spot.at, part, field));
                if matches!(part, Part::Variable | Part::Asset) {
                    let place = self.place(spot.at);
                    self.elsewhere(place, findings);
                }
                if part == Part::Variable {
                    self.ties.beside(VARIABLES);
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
                if self.hidden.add(bytes) {
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

    fn conclude(mut self, complete: bool, mut findings: Findings) -> Found {
        if complete {
            self.judge(&mut findings);
        }
        if !findings.refuse() {
            let message = "every step of the graph was read, and it only computes";
            findings.add(&rules::TF_ADMITTED, Place::whole(), message);
        }
        let facts = ModelFacts {
            name: None,
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

    /// The parameter of a step whose value the innermost message is, or is a list within.
    fn attribute(&mut self) -> Option<&mut Attribute> {
        self.scopes
            .iter_mut()
            .rev()
            .skip_while(|scope| scope.part == Part::List)
            .nth(1)
            .and_then(|scope| match &mut scope.content {
                Content::Attribute(attribute) => Some(&mut **attribute),
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
            (Part::Dimension, 1) => tensor.size(value),
            _ => {}
        }
    }

    /// A message has ended.
    fn leave(&mut self, scope: Scope, findings: &mut Findings) -> Flowing {
        if let (Part::Dimension, Some(tensor)) = (scope.part, self.tensor()) {
            tensor.dimension();
        }
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
                reader.judge(&place, findings);
                ON
            }
            Content::Attribute(attribute) => {
                if let (Some(reach), Some(node)) = (attribute.reach(), self.node()) {
                    node.reaches.insert(reach);
                }
                ON
            }
            Content::Plain => ON,
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
}

fn stop(place: Place, message: &str, findings: &mut Findings) -> Flowing {
    findings.add(&rules::TF_LIMIT, place, message);
    ControlFlow::Break(())
}
