//! Which characters a place in a pattern stands for.

use std::collections::BTreeMap;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, HirKind};

/// Characters: ranges in order that do not touch.
pub type Ranges = Vec<(u32, u32)>;

/// The most different lists of characters in a pattern.
const MAX_CLASSES: usize = 128;
/// All characters.
const ALL: (u32, u32) = (0, 0x0010_ffff);

/// The lists of a pattern, each once.
#[derive(Debug, Default)]
pub struct Classes {
    known: BTreeMap<(String, bool), usize>,
    lists: Vec<Ranges>,
}

impl Classes {
    /// The number of the list that is written so; `None` if there are too many. What cannot be read stands for everything.
    pub fn number(&mut self, text: &str, ignores_case: bool) -> Option<usize> {
        if let Some(number) = self.known.get(&(text.to_owned(), ignores_case)) {
            return Some(*number);
        }
        let number = self.add(ranges(text, ignores_case))?;
        self.known.insert((text.to_owned(), ignores_case), number);
        Some(number)
    }

    /// Adds a list.
    pub fn add(&mut self, ranges: Ranges) -> Option<usize> {
        (self.lists.len() < MAX_CLASSES).then(|| {
            self.lists.push(ranges);
            self.lists.len() - 1
        })
    }

    /// A list of everything in these.
    pub fn union(&self, numbers: &[usize]) -> Ranges {
        let mut all: Ranges = numbers
            .iter()
            .flat_map(|number| self.list(*number))
            .copied()
            .collect();
        all.sort_unstable();
        let mut merged: Ranges = Vec::new();
        for (first, last) in all {
            match merged.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        merged
    }

    /// For each pair of lists, whether a character is in both.
    pub fn overlaps(&self) -> Vec<Vec<bool>> {
        let row = |a: &Ranges| self.lists.iter().map(|b| overlap(a, b)).collect();
        self.lists.iter().map(row).collect()
    }

    fn list(&self, number: usize) -> &[(u32, u32)] {
        self.lists.get(number).map_or(&[], Vec::as_slice)
    }
}

fn overlap(a: &[(u32, u32)], b: &[(u32, u32)]) -> bool {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    while let (Some((begin, end)), Some((other_begin, other_end))) = (a.peek(), b.peek()) {
        if end < other_begin {
            a.next();
        } else if other_end < begin {
            b.next();
        } else {
            return true;
        }
    }
    false
}

/// The characters that a piece of a pattern stands for: a character, an escape, a list in brackets.
fn ranges(text: &str, ignores_case: bool) -> Ranges {
    let mut parser = ParserBuilder::new()
        .case_insensitive(ignores_case)
        .dot_matches_new_line(true)
        .nest_limit(32)
        .build();
    let Ok(parsed) = parser.parse(text) else {
        return vec![ALL];
    };
    match parsed.kind() {
        HirKind::Class(Class::Unicode(class)) => class
            .ranges()
            .iter()
            .map(|range| (u32::from(range.start()), u32::from(range.end())))
            .collect(),
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0).map(|text| text.chars().next()) {
            Ok(Some(character)) => vec![(u32::from(character), u32::from(character))],
            _ => vec![ALL],
        },
        _ => vec![ALL],
    }
}
