//! What was learnt about a pickle: what it imports, and the tensors that it would make, by name.

use std::collections::{BTreeMap, BTreeSet};

use super::legacy::Legacy;
use super::machine::Machine;
use super::torch::{MAX_TENSORS, Storage, Tensor};
use super::value::{Kind, Node, Value};
use crate::text;

/// The most bytes of names that are listed.
const MAX_NAMES_BYTES: usize = 8 << 20;
/// The longest name.
const MAX_NAME_BYTES: usize = 1024;
/// The most imports that are listed.
const MAX_GLOBALS: usize = 256;

/// A tensor with the place where the object has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedTensor {
    /// The keys that lead to it, joined by dots: exactly as in the file, not made safe to show.
    pub name: String,
    /// The tensor; its storage is a place in [`Summary::storages`].
    pub tensor: Tensor,
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
    /// How many bytes the names take.
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
            room: MAX_TENSORS.saturating_sub(self.tensors.len()),
            todo: vec![(root, String::new())],
            exact: true,
        };
        while let Some((value, name)) = walk.todo.pop() {
            let Value::Tensor(index) = value else {
                walk.open(value, &name);
                continue;
            };
            let Some(tensor) = machine.tensors.tensor_at(index) else {
                continue;
            };
            self.spent += name.len();
            if self.spent > MAX_NAMES_BYTES || walk.room == 0 {
                walk.exact = false;
                break;
            }
            walk.room -= 1;
            self.listed.insert(index);
            self.tensors.push(NamedTensor {
                name,
                tensor: tensor.clone(),
            });
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
        self.complete = !self.inexact && self.listed.len() == machine.tensors.made().len();
        let places: BTreeMap<&[u8], u64> = legacy.places().collect();
        self.storages = std::mem::take(&mut machine.tensors).into_storages();
        let place = |storage: &Storage| places.get(storage.key.as_bytes()).copied();
        self.places = self.storages.iter().map(place).collect();
    }
}

struct Walk<'a> {
    machine: &'a Machine,
    seen: BTreeSet<u32>,
    /// How many more tensors are listed.
    room: usize,
    todo: Vec<(Value, String)>,
    exact: bool,
}

impl Walk<'_> {
    /// Goes on with what is in a container, in its order.
    fn open(&mut self, value: Value, name: &str) {
        let Value::Node(index) = value else { return };
        if !self.seen.insert(index) {
            return;
        }
        let before = self.todo.len();
        match self.machine.heap.node(value) {
            Some(Node::Tuple(tuple)) if tuple.precious => self.sequence(&tuple.items, name),
            Some(Node::Items(items)) if items.precious => match items.kind {
                Kind::Dict | Kind::Mapping | Kind::Namespace => {
                    for pair in items.kept.chunks_exact(2) {
                        let [key, value] = pair else { continue };
                        if self.leads_on(*value) && self.has_room() {
                            let name = self.key(name, *key);
                            self.todo.push((*value, name));
                        }
                    }
                }
                Kind::List | Kind::Set | Kind::Sequence => {
                    self.exact &= items.count == items.kept.len() as u64;
                    self.sequence(&items.kept, name);
                }
            },
            _ => {}
        }
        if let Some(added) = self.todo.get_mut(before..) {
            added.reverse();
        }
    }

    fn sequence(&mut self, items: &[Value], name: &str) {
        for (index, item) in items.iter().enumerate() {
            if self.leads_on(*item) && self.has_room() {
                let name = join(name, &index.to_string());
                self.exact &= name.len() <= MAX_NAME_BYTES;
                self.todo.push((*item, name));
            }
        }
    }

    fn has_room(&mut self) -> bool {
        let room = self.todo.len() <= self.room;
        self.exact &= room;
        room
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

    fn key(&mut self, name: &str, key: Value) -> String {
        let text = match key {
            Value::Int(number) => Some(number.to_string()),
            _ => self
                .machine
                .heap
                .str(key)
                .and_then(|text| std::str::from_utf8(text).ok())
                .map(ToOwned::to_owned),
        };
        let joined = text.map(|text| join(name, &text));
        if let Some(joined) = joined.filter(|joined| joined.len() <= MAX_NAME_BYTES) {
            return joined;
        }
        self.exact = false;
        text::bounded(name, MAX_NAME_BYTES)
    }
}

fn join(name: &str, key: &str) -> String {
    if name.is_empty() {
        key.to_owned()
    } else {
        format!("{name}.{key}")
    }
}
