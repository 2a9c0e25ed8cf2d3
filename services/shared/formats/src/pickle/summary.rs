//! What was learnt about a pickle: what it imports, and the tensors that it would make, by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::legacy::Legacy;
use super::machine::Machine;
use super::torch::{MAX_TENSORS, Storage, Tensor};
use super::value::{self, Kind, Node, Value};
use crate::text;

/// The most bytes that the list takes beside what the machine takes at the time, both together, roughly.
const MAX_LIST_BYTES: usize = value::MAX_BYTES + (6 << 20);
/// The deepest container that is walked into.
const MAX_DEPTH: usize = 1024;
/// The longest name.
const MAX_NAME_BYTES: usize = 1024;
/// The most imports that are listed.
const MAX_GLOBALS: usize = 256;

/// A tensor with the place where the object has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedTensor {
    /// The keys that lead to it: exactly as in the file, not made safe to show.
    pub name: Name,
    /// The tensor; its storage is a place in [`Summary::storages`].
    pub tensor: Tensor,
}

/// The keys that lead to a tensor, joined by dots. Most of it is shared with other names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    within: Arc<str>,
    key: Arc<[u8]>,
}

impl Name {
    fn bytes(&self) -> usize {
        let dot = usize::from(!self.within.is_empty());
        self.within.len() + dot + self.key.len()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.within.is_empty() {
            write!(f, "{}.", self.within)?;
        }
        // It was checked when it was taken.
        f.write_str(std::str::from_utf8(&self.key).unwrap_or_default())
    }
}

/// What was learnt about the pickles of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The highest protocol that one of them announces.
    pub protocol: u8,
    /// How many came to their end.
    pub pickles: u64,
    /// What they import, safe to show; the first of them.
    pub globals: Vec<String>,
    /// The storages that they refer to.
    pub storages: Vec<Storage>,
    /// Where in the same file the numbers of each storage begin, if they are there.
    pub places: Vec<Option<u64>>,
    /// The tensors in the order of their appearance. Several may view one storage.
    pub tensors: Vec<NamedTensor>,
    /// Whether every tensor that is made is listed, under the name it really has.
    pub complete: bool,
    /// Which of the tensors that are made are listed.
    listed: BTreeSet<u32>,
    /// How many bytes the list takes.
    spent: usize,
    /// Whether a name or a tensor had to be left out.
    inexact: bool,
}

impl Summary {
    /// Lists the tensors in the result of a pickle.
    pub(super) fn list(&mut self, root: Value, machine: &Machine) {
        let mut walk = Walk {
            machine,
            seen: BTreeSet::new(),
            open: Vec::new(),
            exact: true,
        };
        let nameless = Name {
            within: Arc::from(""),
            key: Arc::default(),
        };
        let allowed = MAX_LIST_BYTES.saturating_sub(machine.spent());
        let mut next = Some((root, nameless));
        while let Some((value, name)) = next.take().or_else(|| walk.step()) {
            let Value::Tensor(index) = value else {
                walk.enter(value, &name);
                continue;
            };
            let Some(tensor) = machine.tensors.tensor_at(index) else {
                continue;
            };
            // Names are mostly texts of the heap.
            self.spent += size_of::<NamedTensor>();
            if self.spent > allowed || self.tensors.len() >= MAX_TENSORS {
                walk.exact = false;
                break;
            }
            self.listed.insert(index);
            let tensor = tensor.clone();
            if self.tensors.len() == self.tensors.capacity() {
                // All at once: growing leaves holes.
                self.tensors.reserve_exact(machine.tensors.made().max(64));
            }
            self.tensors.push(NamedTensor { name, tensor });
        }
        self.inexact |= !walk.exact;
    }

    /// Takes what the machine knows in the end.
    pub(super) fn complete(&mut self, machine: &mut Machine, legacy: &Legacy) {
        self.protocol = machine.protocol;
        self.globals = machine
            .globals
            .all()
            .iter()
            .take(MAX_GLOBALS)
            .map(|global| global.shown.to_string())
            .collect();
        self.complete = !self.inexact && self.listed.len() == machine.tensors.made();
        let places: BTreeMap<&[u8], u64> = legacy.places().collect();
        self.storages = std::mem::take(&mut machine.tensors).into_storages();
        let place = |storage: &Storage| places.get(storage.key.to_string().as_bytes()).copied();
        self.places = self.storages.iter().map(place).collect();
    }
}

/// A walk over a result, one container within another at a time.
struct Walk<'a> {
    machine: &'a Machine,
    seen: BTreeSet<u32>,
    /// The containers that it is in, each with its name and the place of the next item.
    open: Vec<(Value, Arc<str>, usize)>,
    exact: bool,
}

impl Walk<'_> {
    /// The next value that is or holds a tensor, in the order of the file.
    fn step(&mut self) -> Option<(Value, Name)> {
        loop {
            let (container, within, at) = self.open.last_mut()?;
            let (container, here) = (*container, Arc::clone(within));
            let (items, pairs): (&[Value], bool) = match self.machine.heap.node(container) {
                Some(Node::Tuple(tuple)) => (&tuple.items, false),
                Some(Node::Items(items)) => (
                    &items.kept,
                    matches!(items.kind, Kind::Dict | Kind::Mapping | Kind::Namespace),
                ),
                _ => (&[], false),
            };
            let place = *at;
            *at += 1;
            let found = if pairs {
                let pair = items.get(2 * place..).and_then(|rest| rest.first_chunk::<2>());
                pair.map(|[key, value]| (Some(*key), *value))
            } else {
                items.get(place).map(|value| (None, *value))
            };
            let Some((key, value)) = found else {
                self.open.pop();
                continue;
            };
            if self.leads_on(value) {
                let key = match key {
                    Some(key) => self.key(key),
                    None => Some(place.to_string().into_bytes().into()),
                };
                let name = Name {
                    within: here,
                    key: key.unwrap_or_default(),
                };
                return Some((value, self.fitting(name)));
            }
        }
    }

    /// Goes into a container.
    fn enter(&mut self, value: Value, name: &Name) {
        let Value::Node(index) = value else { return };
        if !self.leads_on(value) || !self.seen.insert(index) {
            return;
        }
        if self.open.len() >= MAX_DEPTH {
            self.exact = false;
            return;
        }
        if let Some(Node::Items(items)) = self.machine.heap.node(value)
            && matches!(items.kind, Kind::List | Kind::Set | Kind::Sequence)
        {
            self.exact &= items.count == items.kept.len() as u64;
        }
        self.open.push((value, name.to_string().into(), 0));
    }

    fn leads_on(&self, value: Value) -> bool {
        match value {
            Value::Tensor(_) => true,
            Value::Node(index) if self.seen.contains(&index) => false,
            _ => match self.machine.heap.node(value) {
                Some(Node::Tuple(tuple)) => tuple.precious,
                Some(Node::Items(items)) => items.precious,
                _ => false,
            },
        }
    }

    /// The name, if it is not too long, and otherwise its beginning.
    fn fitting(&mut self, name: Name) -> Name {
        if name.bytes() <= MAX_NAME_BYTES {
            return name;
        }
        self.exact = false;
        Name {
            within: Arc::from(""),
            key: text::bounded(&name.to_string(), MAX_NAME_BYTES)
                .into_bytes()
                .into(),
        }
    }

    /// A key of a dictionary as text.
    fn key(&mut self, key: Value) -> Option<Arc<[u8]>> {
        let heap = &self.machine.heap;
        let key = match (key, heap.node(key)) {
            (Value::Int(number), _) => Some(number.to_string().into_bytes().into()),
            (_, Some(Node::Text(text))) => heap.str(key).map(|_| Arc::clone(&text.kept)),
            _ => heap.str(key).map(Into::into),
        };
        let key = key.filter(|key: &Arc<[u8]>| std::str::from_utf8(key).is_ok());
        self.exact &= key.is_some();
        key
    }
}
