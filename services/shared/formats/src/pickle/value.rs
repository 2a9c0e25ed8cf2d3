//! The values of the symbolic machine, and the bounded heap they live on.
//!
//! Only what a judgement can depend on is kept: small texts, tuples, the first items of containers, and whatever holds
//! tensors. Everything else becomes [`Value::Plain`], which is known to be data but not which. Nothing that can be
//! called, or that changes when a state is set, ever becomes plain.

use std::sync::Arc;

use super::allow;
use super::lexer::{Payload, UNKNOWN};
use super::memo::Memo;
use super::numpy::{Array, Dtype, Wrapper};
use super::pages::Pages;
use super::settings;

/// The most bytes that the heap and the tensors take together, roughly. A checkpoint of a hundred thousand tensors with names of
/// sixty letters takes two thirds of it.
pub const MAX_BYTES: usize = 36 << 20;
/// From how many bytes on what nobody refers to is looked for.
const COLLECT_BYTES: usize = 4 << 20;
/// How many items of any kind a container keeps.
const KEPT_ITEMS: usize = 64;

/// A value on the stack of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A number that fits.
    Int(i64),
    /// Any other number.
    Number,
    /// The number that begins PyTorch's old format.
    Magic,
    /// A text that is one of the names of the allow-list.
    Atom(u16),
    /// An imported thing, by its place among the imports.
    Global(u32),
    /// A PyTorch storage, by its place among the storages.
    Storage(u32),
    /// A PyTorch tensor, by its place among the tensors.
    Tensor(u32),
    /// Something on the heap.
    Node(u32),
    /// Data that was not kept: nothing in it can be called.
    Plain,
    /// Data that was not kept and may hold imported things.
    Mixed,
    /// The result of something that was refused, or of something that cannot be known. A finding exists.
    Foreign,
}

/// What kind of container it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A list.
    List,
    /// A dictionary.
    Dict,
    /// A set.
    Set,
    /// A dictionary with attributes, such as `OrderedDict`.
    Mapping,
    /// A sequence with attributes, such as `deque`.
    Sequence,
    /// An object that only has attributes.
    Namespace,
}

/// A container. Dictionaries keep keys and values in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Items {
    /// Its kind.
    pub kind: Kind,
    /// The items that are kept.
    pub kept: Vec<Value>,
    /// How many values there are in all.
    pub count: u64,
    /// Whether a tensor is in it.
    pub precious: bool,
    /// Whether something in it was imported, or is not known.
    pub mixed: bool,
}

/// A text or byte string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Its beginning, shared with the names of tensors.
    pub kept: Arc<[u8]>,
    /// How many bytes it has.
    pub length: u64,
    /// How many characters it has, or [`super::lexer::UNKNOWN`].
    pub chars: u64,
    /// Whether it is bytes rather than text.
    pub bytes: bool,
}

/// A tuple.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuple {
    /// Its items.
    pub items: Box<[Value]>,
    /// How many tuples and items are visited by whoever hashes it, with those in it each time that they occur.
    pub weight: u64,
    /// Whether a tensor is in it.
    pub precious: bool,
    /// Whether something in it was imported, or is not known.
    pub mixed: bool,
}

/// Something on the heap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Given up.
    Free,
    /// A text or byte string.
    Text(Text),
    /// A tuple.
    Tuple(Tuple),
    /// A container.
    Items(Items),
    /// A `numpy.dtype`.
    Dtype(Dtype),
    /// A `numpy.ndarray`.
    Array(Array),
    /// joblib's stand-in for an array whose bytes follow.
    Wrapper(Wrapper),
    /// An object whose state is set with BUILD and does not matter here.
    Object,
}

/// The heap of one pickle.
#[derive(Debug, Clone, Default)]
pub struct Heap {
    nodes: Pages<Node>,
    free: Vec<u32>,
    spent: usize,
    /// How much was left after the last [`Heap::collect`].
    live: usize,
    /// Whether containers keep every item.
    pub keep_all: bool,
}

impl Heap {
    /// How many bytes it takes, roughly.
    pub fn spent(&self) -> usize {
        self.spent
    }

    /// Whether it is time for [`Heap::collect`], where so many bytes are taken by other things.
    pub fn is_full(&self, beside: usize) -> bool {
        let due = COLLECT_BYTES.max(self.live + self.live / 4);
        self.spent > due.min(MAX_BYTES.saturating_sub(beside))
    }

    /// Puts something on the heap.
    pub fn add(&mut self, node: Node) -> Value {
        self.spent += cost(&node);
        match self.free.pop() {
            Some(index) => {
                if let Some(place) = usize::try_from(index).ok().and_then(|at| self.nodes.get_mut(at)) {
                    *place = node;
                }
                Value::Node(index)
            }
            None => {
                let index = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
                self.nodes.push(node);
                Value::Node(index)
            }
        }
    }

    /// A text or byte string from the stream.
    pub fn text(&mut self, payload: &Payload, bytes: bool) -> Value {
        self.add(Node::Text(Text {
            kept: payload.kept.as_slice().into(),
            length: payload.length,
            chars: payload.chars,
            bytes,
        }))
    }

    /// A tuple.
    pub fn tuple(&mut self, items: &[Value]) -> Value {
        let tuple = Tuple {
            items: items.into(),
            weight: items
                .iter()
                .fold(1, |sum: u64, item| sum.saturating_add(self.weight(*item))),
            precious: items.iter().any(|item| self.is_precious(*item)),
            mixed: items.iter().any(|item| self.is_mixed(*item)),
        };
        self.add(Node::Tuple(tuple))
    }

    /// How many steps it takes to hash a value.
    pub fn weight(&self, value: Value) -> u64 {
        match self.node(value) {
            Some(Node::Tuple(tuple)) => tuple.weight,
            _ => 1,
        }
    }

    /// How much is copied by whoever makes another value of this one.
    pub fn extent(&self, value: Value) -> u64 {
        match self.node(value) {
            Some(Node::Text(text)) => match (text.length, text.chars) {
                (UNKNOWN, other) | (other, UNKNOWN) => other,
                (length, chars) => length.max(chars),
            },
            Some(Node::Tuple(tuple)) => tuple.items.len() as u64,
            Some(Node::Items(items)) => items.count,
            _ => 1,
        }
    }

    /// An empty container.
    pub fn items(&mut self, kind: Kind) -> Value {
        self.add(Node::Items(Items {
            kind,
            kept: Vec::new(),
            count: 0,
            precious: false,
            mixed: false,
        }))
    }

    /// What a value refers to.
    pub fn node(&self, value: Value) -> Option<&Node> {
        match value {
            Value::Node(index) => self.nodes.get(usize::try_from(index).ok()?),
            _ => None,
        }
    }

    /// [`Heap::node`], to be changed.
    pub fn node_mut(&mut self, value: Value) -> Option<&mut Node> {
        match value {
            Value::Node(index) => self.nodes.get_mut(usize::try_from(index).ok()?),
            _ => None,
        }
    }

    /// The whole of a text (not of bytes), if it is one and was kept.
    pub fn str(&self, value: Value) -> Option<&[u8]> {
        match value {
            Value::Atom(atom) => Some(allow::atom_text(atom).as_bytes()),
            _ => match self.node(value) {
                Some(Node::Text(text)) if !text.bytes && text.kept.len() as u64 == text.length => {
                    Some(&text.kept)
                }
                _ => None,
            },
        }
    }

    /// Whether it is a text, kept or not.
    pub fn is_text(&self, value: Value) -> bool {
        matches!(self.node(value), Some(Node::Text(text)) if !text.bytes)
    }

    /// The whole of a byte string, if it is one and was kept.
    pub fn bytes(&self, value: Value) -> Option<&[u8]> {
        match self.node(value) {
            Some(Node::Text(text)) if text.bytes && text.kept.len() as u64 == text.length => Some(&text.kept),
            _ => None,
        }
    }

    /// The items of a tuple.
    pub fn tuple_items(&self, value: Value) -> Option<&[Value]> {
        match self.node(value) {
            Some(Node::Tuple(tuple)) => Some(&tuple.items),
            _ => None,
        }
    }

    /// A container.
    pub fn container(&self, value: Value) -> Option<&Items> {
        match self.node(value) {
            Some(Node::Items(items)) => Some(items),
            _ => None,
        }
    }

    /// Adds one item to a container, or a key and a value to a dictionary. Returns false if it is no container.
    pub fn append(&mut self, container: Value, item: &[Value]) -> bool {
        let precious = item.iter().any(|item| self.is_precious(*item));
        let mixed = item.iter().any(|item| self.is_mixed(*item));
        let all = self.keep_all;
        let Some(Node::Items(items)) = self.node_mut(container) else {
            return false;
        };
        items.count += item.len() as u64;
        items.precious |= precious;
        items.mixed |= mixed;
        if precious || mixed || all || items.kept.len() < KEPT_ITEMS {
            items.kept.extend_from_slice(item);
            self.spent += size_of_val(item);
        }
        true
    }

    /// Whether a tensor is in it.
    fn is_precious(&self, value: Value) -> bool {
        match value {
            Value::Storage(_) | Value::Tensor(_) => true,
            Value::Node(_) => match self.node(value) {
                Some(Node::Items(items)) => items.precious,
                Some(Node::Tuple(tuple)) => tuple.precious,
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether it is, or may hold, something else than plain data and tensors.
    pub fn is_mixed(&self, value: Value) -> bool {
        match value {
            Value::Global(_) | Value::Mixed | Value::Foreign => true,
            Value::Node(_) => match self.node(value) {
                Some(Node::Items(items)) => items.mixed,
                Some(Node::Tuple(tuple)) => tuple.mixed,
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether forgetting the value would change a judgement.
    pub fn matters(&self, value: Value) -> bool {
        match value {
            Value::Global(_) | Value::Storage(_) | Value::Tensor(_) | Value::Foreign | Value::Mixed => true,
            Value::Node(_) => match self.node(value) {
                Some(Node::Dtype(_) | Node::Array(_) | Node::Wrapper(_) | Node::Object) => true,
                Some(Node::Items(items)) => {
                    // An empty one is what PyTorch gives each tensor for its hooks. Forgotten it is plain, of which nothing
                    // can be made that an empty one could not be, and whose state cannot be set.
                    let empty = items.count == 0 && items.kind == Kind::Mapping;
                    !empty && matches!(items.kind, Kind::Mapping | Kind::Sequence | Kind::Namespace)
                }
                Some(Node::Text(text)) => {
                    !text.bytes && text.kept.len() as u64 == text.length && settings::is_word(&text.kept)
                }
                // Forgotten it is mixed: a call or a state that is given it is refused.
                Some(Node::Tuple(_)) => false,
                _ => self.is_mixed(value),
            },
            _ => false,
        }
    }

    /// Gives up what neither the stack nor anything that matters in the memo refers to. Returns false if that does not
    /// make room beside so many bytes of other things.
    pub fn collect(&mut self, stack: &[Value], memo: &mut Memo, beside: usize) -> bool {
        let mut seen = vec![false; self.nodes.len()];
        let mut todo: Vec<Value> = stack.to_vec();
        for value in memo.values_mut() {
            if self.matters(*value) {
                todo.push(*value);
            }
        }
        while let Some(value) = todo.pop() {
            let Value::Node(index) = value else { continue };
            let place = usize::try_from(index).ok().and_then(|at| seen.get_mut(at));
            if place.is_none_or(|place| std::mem::replace(place, true)) {
                continue;
            }
            match self.node(value) {
                Some(Node::Tuple(tuple)) => todo.extend_from_slice(&tuple.items),
                Some(Node::Items(items)) => todo.extend_from_slice(&items.kept),
                _ => {}
            }
        }
        for value in memo.values_mut() {
            let Value::Node(index) = *value else { continue };
            let kept = usize::try_from(index)
                .ok()
                .and_then(|at| seen.get(at).copied())
                .unwrap_or(false);
            if !kept {
                *value = self.remainder(*value);
            }
        }
        self.free.clear();
        self.spent = 0;
        for (index, (node, seen)) in self.nodes.iter_mut().zip(seen).enumerate() {
            if seen {
                self.spent += cost(node);
            } else {
                *node = Node::Free;
                self.free.extend(u32::try_from(index));
            }
        }
        self.live = self.spent;
        self.spent <= MAX_BYTES.saturating_sub(beside) / 8 * 7
    }

    /// What is left of a value that is given up.
    fn remainder(&self, value: Value) -> Value {
        if self.is_mixed(value) {
            return Value::Mixed;
        }
        self.atom(value).unwrap_or(Value::Plain)
    }

    /// A text as one of the names that are never forgotten, if it is one.
    pub fn atom(&self, value: Value) -> Option<Value> {
        let text = std::str::from_utf8(self.str(value)?).ok()?;
        allow::atom(text).map(Value::Atom)
    }
}

fn cost(node: &Node) -> usize {
    size_of::<Node>()
        + match node {
            Node::Text(text) => 32 + text.kept.len(),
            Node::Tuple(tuple) => 16 + size_of_val::<[Value]>(&tuple.items),
            Node::Items(items) => 16 + items.kept.capacity() * size_of::<Value>(),
            Node::Array(array) => array
                .shape
                .as_deref()
                .map_or(0, |shape| 16 + size_of_val::<[u64]>(shape)),
            _ => 0,
        }
}
