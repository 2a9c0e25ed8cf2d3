//! What is remembered of the messages that are being read, from the outermost to the innermost.

use std::collections::BTreeSet;

use super::attribute::{Attribute, Reach};
use super::flow::Flow;
use super::keras;
use super::schema::Part;
use super::tensor::Tensor;
use crate::protobuf::Text;
use crate::text::Fingerprint;

/// A message that is being read.
#[derive(Debug)]
pub struct Scope {
    /// Where it begins.
    pub at: u64,
    /// Which message it is.
    pub part: Part,
    /// The field of the enclosing message that it is.
    pub field: u32,
    /// What is known of it.
    pub content: Content,
}

/// What is known of a message.
#[derive(Debug)]
pub enum Content {
    /// Nothing to remember.
    Plain,
    /// A graph.
    Graph(Box<Flow>),
    /// A function and its name.
    Function(Box<Flow>, Text),
    /// One step.
    Node(Box<Node>),
    /// A parameter of a step.
    Attribute(Box<Attribute>),
    /// A constant.
    Tensor(Box<Tensor>),
    /// What Keras knows of an object.
    User(Box<keras::Reader>),
}

/// One step of a graph.
#[derive(Debug, Default)]
pub struct Node {
    /// `name`.
    pub name: Text,
    /// `op`.
    pub operator: Text,
    /// The steps and arguments that it takes values from.
    pub inputs: Vec<Fingerprint>,
    /// The functions that it names.
    pub callees: Vec<Fingerprint>,
    /// Whether the texts of its constant, if it has one, stay where they are.
    pub constant: Option<bool>,
    /// What its parameters have it do besides computing.
    pub reaches: BTreeSet<Reach>,
}

impl Scope {
    /// A message that begins.
    pub fn new(at: u64, part: Part, field: u32) -> Self {
        let content = match part {
            Part::Graph => Content::Graph(Box::default()),
            Part::Function => Content::Function(Box::default(), Text::default()),
            Part::Node => Content::Node(Box::default()),
            Part::Attribute => Content::Attribute(Box::default()),
            Part::Tensor => Content::Tensor(Box::default()),
            Part::User => Content::User(Box::default()),
            _ => Content::Plain,
        };
        Self {
            at,
            part,
            field,
            content,
        }
    }

    /// Its name, where it has one.
    pub fn name(&self) -> Option<&Text> {
        match &self.content {
            Content::Node(node) => Some(&node.name),
            Content::Function(_, name) => Some(name),
            _ => None,
        }
        .filter(|name| !name.is_empty())
    }
}

/// The step or argument that an input names: `step`, `step:0` or, in a function, `step:output:0`. None if it only has to come before.
pub fn source(input: &Text) -> Option<Fingerprint> {
    let text = input.kept();
    if text.first() == Some(&b'^') {
        return None;
    }
    match text.iter().position(|byte| *byte == b':') {
        Some(end) => Some(Fingerprint::of(text.get(..end).unwrap_or_default())),
        None => Some(input.fingerprint()),
    }
}
