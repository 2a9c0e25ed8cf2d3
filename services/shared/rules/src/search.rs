//! The search for the patterns of all rules in one file.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_formats::scan::{Atom, Hit, Search, Searching, Whole};
use holdfast_formats::{Findings, Place, text};

use crate::condition::MAX_PLACES;
use crate::evaluate::Facts;
use crate::set::RuleSet;

/// How far back two matches that are found again can lie, in bytes: as far as one may begin before its atom.
const MEMORY_BYTES: u64 = 4096;

/// What a pattern matched.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// How often.
    pub count: u64,
    /// Where first.
    pub first: u64,
    /// Where last.
    pub last: u64,
    /// Where, for the first [`MAX_PLACES`].
    pub places: Vec<u64>,
    /// How often in each of the ranges that are asked for.
    pub within: Vec<u64>,
    /// Where lately, in order.
    recent: Vec<u64>,
}

impl State {
    fn add(&mut self, at: u64, ranges: &[(u64, u64)]) {
        let keep = at.saturating_sub(MEMORY_BYTES);
        if self.recent.len() > 64 {
            self.recent.retain(|place| *place >= keep);
        }
        let Err(index) = self.recent.binary_search(&at) else {
            return;
        };
        self.recent.insert(index, at);
        self.first = if self.count == 0 { at } else { self.first.min(at) };
        self.last = self.last.max(at);
        self.count += 1;
        self.within.resize(ranges.len(), 0);
        for (count, (low, high)) in self.within.iter_mut().zip(ranges) {
            *count += u64::from((*low..=*high).contains(&at));
        }
        // Matches of one pattern come almost in order.
        let index = self.places.partition_point(|place| *place < at);
        if index < MAX_PLACES {
            self.places.insert(index, at);
            self.places.truncate(MAX_PLACES);
        }
    }
}

/// What was found in one file.
struct Matches {
    rules: Arc<RuleSet>,
    states: BTreeMap<usize, State>,
}

impl Search for RuleSet {
    fn atoms(&self) -> Vec<Atom> {
        self.uses.iter().map(|(_, with)| with.atom).collect()
    }

    fn begin(self: Arc<Self>) -> Box<dyn Searching> {
        Box::new(Matches {
            rules: self,
            states: BTreeMap::new(),
        })
    }
}

impl Searching for Matches {
    fn hit(&mut self, hit: &Hit<'_>) {
        let Some((index, with)) = self.rules.uses.get(hit.atom) else {
            return;
        };
        let Some(pattern) = self.rules.patterns.get(*index) else {
            return;
        };
        // Where only the first match counts, the others are not looked for.
        if !pattern.counts && self.states.contains_key(index) {
            return;
        }
        let states = &mut self.states;
        pattern.verify(with, hit, |at| {
            states.entry(*index).or_default().add(at, &pattern.ranges);
        });
    }

    fn finish(self: Box<Self>, whole: &Whole<'_>) -> Findings {
        let mut findings = Findings::default();
        let states = &self.states;
        let mut held = Vec::with_capacity(self.rules.rules.len());
        for rule in &self.rules.rules {
            let facts = Facts {
                patterns: states,
                rules: &held,
                size: whole.size,
                head: whole.head,
                tail: whole.tail,
            };
            let holds = facts.value(&rule.condition).holds();
            held.push(holds);
        }
        let allowed = self
            .rules
            .rules
            .iter()
            .zip(&held)
            .all(|(rule, holds)| !rule.global || *holds);
        if !allowed {
            return findings;
        }
        for (rule, _) in self
            .rules
            .rules
            .iter()
            .zip(&held)
            .filter(|(rule, holds)| **holds && !rule.private)
        {
            let first = rule
                .patterns
                .clone()
                .filter_map(|pattern| states.get(&pattern))
                .map(|state| state.first)
                .min();
            let place = first.map_or_else(Place::whole, Place::at);
            let name = text::shown(&rule.name);
            if rule.description.is_empty() {
                findings.add(rule.finding, place, format_args!("the rule {name} matches"));
            } else {
                findings.add(
                    rule.finding,
                    place,
                    format_args!("the rule {name} matches: {}", rule.description),
                );
            }
        }
        findings
    }
}
