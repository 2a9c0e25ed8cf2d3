//! What is remembered of the messages that are being read, from the outermost to the innermost.

use super::schema::Part;
use super::tensor::Tensor;
use crate::protobuf::Text;
use crate::text::Fingerprint;

/// A message that is being read.
#[derive(Debug)]
pub struct Scope {
    /// Where it begins.
    pub at: u64,
    /// The field of the enclosing message that it is.
    pub field: u32,
    /// What is known of it.
    pub content: Content,
}

/// What is known of a message.
#[derive(Debug)]
pub enum Content {
    /// The model, a list of types, a shape: nothing to remember.
    Plain,
    /// A graph; the number tells its names from those of other graphs.
    Graph(u64),
    /// Name and domain of a function.
    Function(Text, Text),
    /// A step of a graph.
    Node(Box<Node>),
    /// A parameter of a step.
    Attribute(Attribute),
    /// A tensor with its name.
    Tensor(Box<Tensor>, Text),
    /// An entry of a list of texts by name, or of the places of external data.
    Entry(Text, Text),
}

/// A step of a graph.
#[derive(Debug, Default)]
pub struct Node {
    /// `name`.
    pub name: Text,
    /// `op_type`.
    pub operator: Text,
    /// `domain`.
    pub domain: Text,
}

/// A parameter of a step: its declared type and which fields have a value.
#[derive(Debug, Default)]
pub struct Attribute {
    /// `name`.
    pub name: Text,
    /// `type`.
    pub declared: u64,
    /// The fields with values, a bit for each.
    pub present: u32,
}

/// The fields of an attribute that hold its value, and the type that each means.
const VALUES: [(u32, u64); 15] = [
    (2, 1),
    (3, 2),
    (4, 3),
    (5, 4),
    (6, 5),
    (7, 6),
    (8, 7),
    (9, 8),
    (10, 9),
    (11, 10),
    (14, 13),
    (15, 14),
    (21, 0),
    (22, 11),
    (23, 12),
];

impl Attribute {
    /// A field of it has been seen.
    pub fn saw(&mut self, field: u32) {
        if VALUES.iter().any(|(number, _)| *number == field) {
            self.present |= 1 << field;
        }
    }

    /// Why readers could take it in different ways.
    pub fn flaw(&self) -> Option<&'static str> {
        let mut values = VALUES.iter().filter(|(field, _)| self.present & 1 << field != 0);
        let value = values.next();
        if values.next().is_some() {
            return Some("it has values of more than one type");
        }
        match (value, self.declared) {
            // Early writers did not declare the type, and a reference to a parameter of a function has the type of that.
            (_, 0) | (Some((21, _)), _) => None,
            // An empty list leaves no trace.
            (None, declared) => (!matches!(declared, 6..=10 | 12 | 14))
                .then_some("it has no value, or one of another type than it says"),
            (Some((_, kind)), declared) => {
                (*kind != declared).then_some("its value is of another type than it says")
            }
        }
    }
}

impl Scope {
    /// A message that begins. `graphs` counts them.
    pub fn new(at: u64, field: u32, part: Part, graphs: &mut u64) -> Self {
        let content = match part {
            Part::Graph => {
                *graphs += 1;
                Content::Graph(*graphs)
            }
            Part::Function => Content::Function(Text::default(), Text::default()),
            Part::Node => Content::Node(Box::default()),
            Part::Attribute => Content::Attribute(Attribute::default()),
            Part::Tensor => Content::Tensor(Box::default(), Text::default()),
            Part::Entry | Part::External | Part::Opset => Content::Entry(Text::default(), Text::default()),
            Part::Model | Part::Other => Content::Plain,
        };
        Self { at, field, content }
    }

    /// Its name, where it has one.
    pub fn name(&self) -> Option<&Text> {
        match &self.content {
            Content::Node(node) => Some(&node.name),
            Content::Function(name, _) | Content::Tensor(_, name) | Content::Entry(name, _) => Some(name),
            Content::Attribute(attribute) => Some(&attribute.name),
            Content::Plain | Content::Graph(_) => None,
        }
        .filter(|name| !name.is_empty())
    }
}

/// What identifies an operator of a domain, or a name within a graph.
pub fn pair(space: &[u8], name: Fingerprint) -> Fingerprint {
    let mut fingerprint = name;
    // Domains have no zero byte, so that the two cannot run into each other unseen.
    fingerprint.feed(&[0]);
    fingerprint.feed(space);
    fingerprint
}
