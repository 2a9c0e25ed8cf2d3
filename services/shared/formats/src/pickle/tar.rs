//! The parts of PyTorch's format of 2016, a tar archive: `storages` and `tensors` are pickles with numbers between them.
//!
//! Both begin with a pickled count. Then `storages` has for each a pickle, the number of elements and these, and at the end a pickle
//! of views; `tensors` has for each a pickle, the number of dimensions, sizes, strides and an offset. Source: `legacy_load` in
//! PyTorch's `torch/serialization.py`.

use super::allow::Spec;
use super::machine::Machine;
use super::torch::{MAX_DIMENSIONS, MAX_TENSORS};
use super::value::{Kind, Value};

/// Which member it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `storages`.
    Storages,
    /// `tensors`.
    Tensors,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expects {
    /// The count.
    Count,
    /// The pickle before the numbers of one of so many.
    Entry(u64),
    /// How many elements or dimensions follow; then so many more entries.
    Numbers { element: u64, entries: u64 },
    /// The list of views after the last storage.
    Views,
    /// Nothing.
    End,
}

/// How far a member was followed.
#[derive(Debug, Clone)]
pub struct Member {
    part: Part,
    expects: Expects,
    /// The length before the numbers.
    held: Vec<u8>,
    /// How many bytes of numbers follow.
    left: u64,
    entries: u64,
}

impl Member {
    /// A member of this kind.
    pub fn new(part: Part) -> Self {
        Self {
            part,
            expects: Expects::Count,
            held: Vec::new(),
            left: 0,
            entries: 0,
        }
    }

    /// How many storages or tensors it says it has.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Takes the result of a pickle; `None` if it is not what must be there, and otherwise whether numbers follow.
    pub fn pickle(&mut self, result: Value, machine: &Machine) -> Option<bool> {
        match self.expects {
            Expects::Count => {
                let Value::Int(count) = result else { return None };
                self.entries = u64::try_from(count)
                    .ok()
                    .filter(|count| *count <= MAX_TENSORS as u64)?;
                self.ahead(self.entries);
                Some(false)
            }
            Expects::Entry(entries) => {
                let [_, second, Value::Global(class)] = machine.heap.tuple_items(result)? else {
                    return None;
                };
                let element = match (self.part, machine.globals.spec(*class)?) {
                    (Part::Storages, Spec::StorageClass(element)) => {
                        machine.heap.str(*second)?;
                        element.bytes
                    }
                    (Part::Tensors, Spec::Constant) => 0,
                    _ => return None,
                };
                self.expects = Expects::Numbers {
                    element,
                    entries: entries.saturating_sub(1),
                };
                Some(true)
            }
            Expects::Views => {
                let list = machine.heap.container(result)?;
                self.expects = Expects::End;
                (list.kind == Kind::List).then_some(false)
            }
            Expects::Numbers { .. } | Expects::End => None,
        }
    }

    fn ahead(&mut self, entries: u64) {
        self.expects = match (entries, self.part) {
            (0, Part::Storages) => Expects::Views,
            (0, Part::Tensors) => Expects::End,
            _ => Expects::Entry(entries),
        };
    }

    /// Takes bytes of numbers. Returns how many, and whether a pickle or the end follows; `None` if they cannot be.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<(usize, bool)> {
        let Expects::Numbers { element, entries } = self.expects else {
            return Some((0, true));
        };
        let mut taken = 0;
        if self.held.len() < 8 {
            taken = (8 - self.held.len()).min(bytes.len());
            self.held.extend(bytes.iter().take(taken));
            let Some(count) = self.held.first_chunk().copied() else {
                return Some((taken, false));
            };
            self.left = match self.part {
                Part::Storages => u64::from_le_bytes(count).checked_mul(element)?,
                // The upper half of the number is not looked at by the reader.
                Part::Tensors => {
                    let [a, b, c, d, ..] = count;
                    let dimensions = u64::from(u32::from_le_bytes([a, b, c, d]));
                    (dimensions <= MAX_DIMENSIONS as u64).then_some(16 * dimensions + 8)?
                }
            };
        }
        let rest = bytes.len() - taken;
        let numbers = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest);
        self.left -= numbers as u64;
        let done = self.left == 0;
        if done {
            self.held.clear();
            self.ahead(entries);
        }
        Some((taken + numbers, done))
    }

    /// Whether everything that must be there was.
    pub fn is_complete(&self) -> bool {
        self.expects == Expects::End
    }
}
