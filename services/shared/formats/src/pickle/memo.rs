//! The memo: what PUT and MEMOIZE store and GET fetches.
//!
//! Bounded: beyond a dense part only what matters later is kept, and what was dropped is known to be plain data.

use std::collections::BTreeMap;

use super::pages::Pages;
use super::value::Value;

/// Entries below this index are all kept.
const DENSE: u64 = 128 << 10;
/// How far the dense part grows at once, so that a high index costs no more than a low one.
const SLACK: usize = 1024;
/// The most entries that are kept beyond.
const MAX_FAR: usize = 256 << 10;
/// How far beyond what is stored an index may be. Writers count; readers make room up to the index.
const MAX_GAP: u64 = 64 << 10;

/// Whether a value is kept beyond the dense part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It is plain data.
    No,
    /// It is a name that may be used again, if there is room.
    Gladly,
    /// Forgetting it would change the judgement.
    Must,
}

/// What came of storing a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// As writers do it.
    Fine,
    /// The index was in use.
    Overwritten,
    /// The index is far beyond what was stored.
    Gap,
    /// There is no room for what would matter.
    Full,
}

/// The memo of one pickle.
#[derive(Debug, Clone, Default)]
pub struct Memo {
    dense: Vec<Option<Value>>,
    /// Those beyond, which mostly come in order.
    ordered: Pages<(u64, Value)>,
    /// Those that did not.
    far: BTreeMap<u64, Value>,
    /// How many indices are in use, which is the index that MEMOIZE takes next.
    count: u64,
    /// One more than the highest index in use.
    end: u64,
}

impl Memo {
    /// Stores at the next index, as MEMOIZE does: the number of entries, even if that index is in use.
    pub fn push(&mut self, value: Value, keep: Keep) -> Stored {
        self.put(self.count, value, keep)
    }

    /// Whether an index is beyond the part where everything is kept.
    pub fn is_crowded(&self) -> bool {
        self.end >= DENSE
    }

    /// Stores a value.
    pub fn put(&mut self, index: u64, value: Value, keep: Keep) -> Stored {
        let gap = index > self.end.saturating_add(MAX_GAP);
        let dense = usize::try_from(index)
            .ok()
            .filter(|index| *index <= self.dense.len() + SLACK && self.beyond(*index as u64).is_none());
        let stored = match dense {
            Some(place) if index < DENSE => self.put_dense(place, value),
            _ if gap || index < DENSE => self.put_far(index, value, Keep::Must),
            _ => self.put_far(index, value, keep),
        };
        self.end = self.end.max(index.saturating_add(1));
        if gap && stored != Stored::Full {
            return Stored::Gap;
        }
        stored
    }

    /// How many bytes the entries beyond take, roughly.
    pub fn spent(&self) -> usize {
        self.ordered.len() * size_of::<(u64, Value)>() + self.far.len() * 48
    }

    fn beyond(&self, index: u64) -> Option<Value> {
        let place = self.ordered.search(&index, |(index, _)| *index);
        match place.ok().and_then(|place| self.ordered.get(place)) {
            Some((_, value)) => Some(*value),
            None => self.far.get(&index).copied(),
        }
    }

    /// The value at an index; `None` if nothing was stored there.
    pub fn at(&self, index: u64) -> Option<Value> {
        let dense = usize::try_from(index)
            .ok()
            .and_then(|index| self.dense.get(index));
        match dense.copied().flatten().or_else(|| self.beyond(index)) {
            Some(value) => Some(value),
            // What was dropped did not matter.
            None => (index >= DENSE && index < self.end).then_some(Value::Plain),
        }
    }

    /// Every value, to be replaced where what it refers to is given up.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        let ordered = self.ordered.iter_mut().map(|(_, value)| value);
        let far = self.far.values_mut();
        self.dense.iter_mut().flatten().chain(ordered).chain(far)
    }

    fn put_dense(&mut self, index: usize, value: Value) -> Stored {
        if index >= self.dense.len() {
            self.dense.resize(index + 1, None);
        }
        match self.dense.get_mut(index).and_then(|place| place.replace(value)) {
            Some(_) => Stored::Overwritten,
            None => {
                self.count += 1;
                Stored::Fine
            }
        }
    }

    fn set(&mut self, index: u64, value: Value) {
        match self.ordered.search(&index, |(index, _)| *index) {
            Ok(place) => {
                if let Some(entry) = self.ordered.get_mut(place) {
                    entry.1 = value;
                }
            }
            Err(place) if place == self.ordered.len() && !self.far.contains_key(&index) => {
                self.ordered.push((index, value));
            }
            Err(_) => {
                self.far.insert(index, value);
            }
        }
    }

    fn put_far(&mut self, index: u64, value: Value, keep: Keep) -> Stored {
        let kept = self.beyond(index).is_some();
        // Below the dense part's end everything is known; beyond, indices in use may have been dropped.
        let used = kept || (index >= DENSE && index < self.end);
        let room = self.ordered.len() + self.far.len() < MAX_FAR;
        match keep {
            Keep::Must if !kept && !room => return Stored::Full,
            Keep::No | Keep::Gladly if !kept && (keep == Keep::No || !room) => {}
            _ => self.set(index, value),
        }
        if used {
            Stored::Overwritten
        } else {
            self.count += 1;
            Stored::Fine
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memoize_counts_entries_and_not_indices() {
        let mut memo = Memo::default();
        assert_eq!(memo.put(7, Value::None, Keep::No), Stored::Fine);
        assert_eq!(memo.push(Value::Int(1), Keep::No), Stored::Fine);
        assert_eq!(memo.at(1), Some(Value::Int(1)));
        assert_eq!(memo.at(0), None);
        assert_eq!(memo.put(7, Value::Int(2), Keep::No), Stored::Overwritten);
        assert_eq!(memo.at(7), Some(Value::Int(2)));
    }

    #[test]
    fn forgets_plain_data_beyond_its_limit_and_nothing_else() {
        let mut memo = Memo::default();
        for index in 0..DENSE + 10 {
            let keep = if index == DENSE + 2 { Keep::Must } else { Keep::No };
            assert_eq!(memo.push(Value::Int(3), keep), Stored::Fine);
        }
        assert_eq!(memo.at(DENSE - 1), Some(Value::Int(3)));
        assert_eq!(memo.at(DENSE + 1), Some(Value::Plain));
        assert_eq!(memo.at(DENSE + 2), Some(Value::Int(3)));
        assert_eq!(memo.at(DENSE + 10), None);
    }

    #[test]
    fn notices_an_index_that_makes_readers_allocate() {
        let mut memo = Memo::default();
        assert_eq!(memo.put(u64::from(u32::MAX), Value::None, Keep::No), Stored::Gap);
        assert_eq!(memo.at(u64::from(u32::MAX)), Some(Value::None));
        assert_eq!(memo.at(5), None);
    }
}
