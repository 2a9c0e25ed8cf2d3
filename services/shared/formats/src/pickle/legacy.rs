//! PyTorch's format before 1.6: five pickles and then the storages, each with a count of its elements before it.

use std::collections::BTreeSet;

use super::machine::Machine;
use super::torch::Tensors;
use super::value::{Kind, Value};
use crate::finding::{Findings, Place};
use crate::rules;
use crate::text::Fingerprint;

/// The version of the format.
const PROTOCOL: i64 = 1001;

/// Which of the five pickles comes next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Expects {
    /// The number that marks the format.
    #[default]
    Magic,
    Protocol,
    System,
    Object,
    Keys,
    /// The storages follow, or it is another format.
    Nothing,
}

/// What a pickle that has ended means for the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is part of the frame around the object.
    Frame,
    /// Its result is what the file is about.
    Object,
    /// The storages follow it.
    Keys,
}

/// How far the format was followed.
#[derive(Debug, Clone, Default)]
pub struct Legacy {
    expects: Expects,
    keys: Vec<Box<[u8]>>,
    next: usize,
    count: Vec<u8>,
    left: u64,
    /// Where the numbers of each storage begin, in the order of the keys.
    places: Vec<u64>,
}

impl Legacy {
    /// Whether the next pickle is the list of keys, of which every item counts.
    pub fn expects_keys(&self) -> bool {
        self.expects == Expects::Keys
    }

    /// Takes the result of a pickle.
    pub fn pickle(&mut self, at: u64, result: Value, machine: &mut Machine) -> Role {
        let (role, next, fits) = match self.expects {
            Expects::Magic if result == Value::Magic => (Role::Frame, Expects::Protocol, true),
            Expects::Magic | Expects::Nothing => (Role::Object, Expects::Nothing, true),
            Expects::Protocol => (Role::Frame, Expects::System, result == Value::Int(PROTOCOL)),
            Expects::System => (
                Role::Frame,
                Expects::Object,
                machine.heap.container(result).is_some(),
            ),
            Expects::Object => (Role::Object, Expects::Keys, true),
            Expects::Keys => (Role::Keys, Expects::Nothing, self.take_keys(result, machine)),
        };
        self.expects = next;
        if !fits {
            let message = "a part of PyTorch's old format is not what it must be";
            machine.findings.add(&rules::PKL_LEGACY, Place::at(at), message);
        }
        role
    }

    /// Takes bytes of the storages. Returns how many, which is fewer than given only after the last.
    pub fn feed(&mut self, at: u64, bytes: &[u8], tensors: &Tensors, findings: &mut Findings) -> usize {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            if self.left > 0 {
                let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
                self.left -= skipped as u64;
                taken += skipped;
                continue;
            }
            let Some(key) = self.keys.get(self.next) else {
                break;
            };
            let missing = 8 - self.count.len();
            self.count.extend(rest.iter().take(missing));
            taken += missing.min(rest.len());
            let Some(count) = self.count.first_chunk().copied().map(u64::from_le_bytes) else {
                break;
            };
            self.count.clear();
            self.next += 1;
            let storage = tensors.storage_named(key);
            if storage.is_none_or(|storage| storage.elements != count) {
                let message =
                    format_args!("a storage of {count} elements is not as large as the pickle says");
                findings.add(&rules::PKL_LEGACY, Place::at(at + taken as u64 - 8), message);
            }
            self.places.push(at + taken as u64);
            self.left = storage.map_or(0, |storage| count.saturating_mul(storage.element.bytes));
        }
        taken
    }

    /// Where the numbers of the storages begin, by key.
    pub fn places(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.keys
            .iter()
            .map(|key| &**key)
            .zip(self.places.iter().copied())
    }

    /// Whether the storages are all there.
    pub fn is_complete(&self) -> bool {
        self.left == 0 && self.count.is_empty() && self.next == self.keys.len()
    }

    /// Whether the file ended between the pickles of the format.
    pub fn lacks_pickles(&self) -> bool {
        !matches!(self.expects, Expects::Magic | Expects::Nothing)
    }

    /// Takes the list of keys: each of them a storage, each storage among them.
    fn take_keys(&mut self, result: Value, machine: &Machine) -> bool {
        let Some(items) = machine
            .heap
            .container(result)
            .filter(|items| items.kind == Kind::List)
        else {
            return false;
        };
        let mut seen = BTreeSet::new();
        for key in &items.kept {
            let Some(key) = machine.heap.str(*key) else {
                return false;
            };
            if machine.tensors.storage_named(key).is_none() || !seen.insert(Fingerprint::of(key)) {
                return false;
            }
            self.keys.push(key.into());
        }
        items.count == items.kept.len() as u64 && seen.len() == machine.tensors.storages()
    }
}
