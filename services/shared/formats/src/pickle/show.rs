//! Values as findings show them: short, and with nothing in them that a file made to deceive.

use super::machine::Machine;
use super::value::{Kind, Node, Value};
use crate::text;

/// How deep containers are shown.
const MAX_DEPTH: usize = 3;
/// How many items of each are shown.
const MAX_ITEMS: usize = 4;
/// How many findings describe values. More are not listed, and would only take time.
const MAX_DESCRIBED: u32 = 1000;
/// How many bytes of a text in it are shown.
const MAX_TEXT_BYTES: usize = 60;

impl Machine {
    /// A value, in at most [`text::MAX_SHOWN_BYTES`].
    pub(super) fn shown(&self, value: Value) -> String {
        if self.described > MAX_DESCRIBED {
            return "…".to_owned();
        }
        text::shown(&self.describe(value, MAX_DEPTH))
    }

    /// The arguments of a call.
    pub(super) fn shown_all(&self, arguments: &[Value]) -> String {
        if self.described > MAX_DESCRIBED {
            return "…".to_owned();
        }
        text::shown(&format!("({})", self.list(arguments, MAX_DEPTH)))
    }

    fn describe(&self, value: Value, depth: usize) -> String {
        match value {
            Value::None => "None".to_owned(),
            Value::Bool(true) => "True".to_owned(),
            Value::Bool(false) => "False".to_owned(),
            Value::Int(number) => number.to_string(),
            Value::Number | Value::Magic => "a number".to_owned(),
            Value::Atom(_) => format!("'{}'", self.plain(value)),
            Value::Global(global) => match self.globals.at(global) {
                Some(global) => format!("`{}`", global.shown),
                None => "an import".to_owned(),
            },
            Value::Storage(_) => "a storage".to_owned(),
            Value::Tensor(_) => "a tensor".to_owned(),
            Value::Plain | Value::Mixed => "…".to_owned(),
            Value::Foreign => "the result of something refused".to_owned(),
            Value::Node(_) => self.describe_node(value, depth),
        }
    }

    fn describe_node(&self, value: Value, depth: usize) -> String {
        let Some(node) = self.heap.node(value) else {
            return "…".to_owned();
        };
        match node {
            Node::Text(node) => {
                let head = String::from_utf8_lossy(&node.kept);
                let quoted = text::bounded(&head, MAX_TEXT_BYTES);
                if node.bytes {
                    format!("b'{quoted}'")
                } else {
                    format!("'{quoted}'")
                }
            }
            Node::Tuple(_) | Node::Items(_) if depth == 0 => "…".to_owned(),
            Node::Tuple(tuple) => format!("({})", self.list(&tuple.items, depth - 1)),
            Node::Items(items) => {
                let inner = self.list(&items.kept, depth - 1);
                match items.kind {
                    Kind::List => format!("[{inner}]"),
                    Kind::Dict | Kind::Set => format!("{{{inner}}}"),
                    Kind::Mapping => format!("a mapping {{{inner}}}"),
                    Kind::Sequence => "a sequence".to_owned(),
                    Kind::Namespace => "a namespace".to_owned(),
                }
            }
            Node::Dtype(_) => "a dtype".to_owned(),
            Node::Array(_) => "an array".to_owned(),
            Node::Wrapper(_) => "an array wrapper".to_owned(),
            Node::Object => "an object".to_owned(),
            Node::Free => "…".to_owned(),
        }
    }

    fn list(&self, items: &[Value], depth: usize) -> String {
        let mut out = String::new();
        for (index, item) in items.iter().take(MAX_ITEMS).enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            out.push_str(&self.describe(*item, depth));
        }
        if items.len() > MAX_ITEMS {
            out.push_str(", …");
        }
        out
    }

    fn plain(&self, value: Value) -> String {
        text::shown_bytes(self.heap.str(value).unwrap_or_default())
    }
}
