//! Where in a JSON document the reader is, as far as it matters.

use std::collections::BTreeSet;

use crate::text::Fingerprint;

/// The most names of members that are compared with each other, over the whole document.
const MAX_COMPARED: usize = 256 << 10;
/// The longest name that is kept as part of a path.
const MAX_NAME_BYTES: usize = 64;

/// An object or an array that is open.
#[derive(Debug, Default)]
struct Level {
    /// The name of the current member, or none in an array.
    name: Option<String>,
    names: BTreeSet<Fingerprint>,
    items: u64,
}

/// The way from the top of the document to what is being read.
#[derive(Debug, Default)]
pub struct Path {
    levels: Vec<Level>,
    compared: usize,
}

impl Path {
    /// An object or an array begins.
    pub fn enter(&mut self) {
        self.count();
        self.levels.push(Level::default());
    }

    /// It ends.
    pub fn leave(&mut self) {
        if let Some(level) = self.levels.pop() {
            self.compared = self.compared.saturating_sub(level.names.len());
        }
    }

    /// A member begins; false if the object has one of that name already.
    pub fn member(&mut self, name: &str, fingerprint: Fingerprint) -> bool {
        let Some(level) = self.levels.last_mut() else {
            return true;
        };
        let kept = name.char_indices().take_while(|(at, _)| *at < MAX_NAME_BYTES);
        level.name = Some(kept.map(|(_, character)| character).collect());
        if self.compared >= MAX_COMPARED {
            return true;
        }
        self.compared += 1;
        level.names.insert(fingerprint)
    }

    /// A value that is no container.
    pub fn value(&mut self) {
        self.count();
    }

    fn count(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.items += 1;
        }
    }

    /// How many containers are open.
    pub fn depth(&self) -> usize {
        self.levels.len()
    }

    /// The name of the member that is being read; in an array, that of the member that the array is.
    pub fn name(&self) -> Option<&str> {
        self.levels.iter().rev().find_map(|level| level.name.as_deref())
    }

    /// The names of the members that are open, from the top.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.levels.iter().filter_map(|level| level.name.as_deref())
    }

    /// The names of the member at the top and of the one in it.
    pub fn top_two(&self) -> (Option<&str>, Option<&str>) {
        let name = |level: usize| self.levels.get(level)?.name.as_deref();
        (name(0), name(1))
    }

    /// How many items the innermost container has had so far.
    pub fn items(&self) -> u64 {
        self.levels.last().map_or(0, |level| level.items)
    }

    /// The names from the top, joined by dots.
    pub fn shown(&self) -> String {
        self.names().collect::<Vec<_>>().join(".")
    }
}
