//! The automaton of a pattern: a state for each character that it names, and which can follow which.

use std::collections::BTreeSet;

use super::Flaw;
use super::class::Classes;
use super::parse::Node;

/// The most states, and the most ways between two.
const MAX_STATES: usize = 16 << 10;
const MAX_WAYS: usize = 256 << 10;
/// The most pairs of states that are looked at.
const MAX_PAIRS: usize = 256 << 10;
/// Up to so many times a part is written out. One that may be there more often counts as a loop.
const WRITTEN_OUT: u32 = 4;
/// From so many times on a part that can be read in more than one way counts as a loop: each time is another place to go back to.
const MANY: u32 = 10;

const TOO_COMPLEX: Flaw = Flaw::Unclear("it is too complex to be followed");

/// Judges a pattern, and what stands in it for itself.
pub fn judge(node: &Node) -> Result<(), Flaw> {
    let mut pending = vec![node];
    while let Some(node) = pending.pop() {
        let mut automaton = Automaton::default();
        automaton.build(node, 0)?;
        if automaton.is_ambiguous || automaton.has_two_ways()? {
            return Err(Flaw::Ambiguous);
        }
        pending.extend(automaton.apart);
    }
    Ok(())
}

/// How a part of the pattern begins and ends.
#[derive(Debug, Default)]
struct Part {
    may_be_empty: bool,
    first: Vec<usize>,
    last: Vec<usize>,
}

#[derive(Debug, Default)]
struct Automaton<'a> {
    classes: Classes,
    /// For each state the characters that lead into it, and the outermost loop that it lies in.
    states: Vec<(usize, usize)>,
    ways: Vec<Vec<usize>>,
    known: BTreeSet<(usize, usize)>,
    loops: usize,
    /// Whether two loops lead from a state to the same next one.
    is_ambiguous: bool,
    /// What is judged by itself.
    apart: Vec<&'a Node>,
}

impl<'a> Automaton<'a> {
    /// Adds a part that lies in the outermost loop `within`, 0 for none.
    fn build(&mut self, node: &'a Node, within: usize) -> Result<Part, Flaw> {
        match node {
            Node::One(text, ignores_case) => {
                let class = self.classes.number(text, *ignores_case).ok_or(TOO_COMPLEX)?;
                self.state(class, within)
            }
            Node::All(nodes) => {
                let mut whole = Part {
                    may_be_empty: true,
                    ..Part::default()
                };
                for node in nodes {
                    let next = self.build(node, within)?;
                    whole = self.follow(whole, next)?;
                }
                Ok(whole)
            }
            Node::Any(nodes) => {
                let mut whole = Part::default();
                for node in nodes {
                    let way = self.build(node, within)?;
                    whole.may_be_empty |= way.may_be_empty;
                    whole.first.extend(way.first);
                    whole.last.extend(way.last);
                }
                Ok(whole)
            }
            Node::Times(node, least, most) => self.times(node, *least, *most, within),
            Node::Atomic(node) => {
                self.apart.push(node);
                // From outside it is read in one way only.
                let mut inner = Self::default();
                let part = inner.build(node, 0)?;
                if inner.states.is_empty() {
                    return Ok(part);
                }
                let numbers: Vec<usize> = inner.states.iter().map(|(class, _)| *class).collect();
                let class = self
                    .classes
                    .add(inner.classes.union(&numbers))
                    .ok_or(TOO_COMPLEX)?;
                let mut state = self.state(class, within)?;
                state.may_be_empty = part.may_be_empty;
                Ok(state)
            }
            Node::Look(node) => {
                self.apart.push(node);
                Ok(Part {
                    may_be_empty: true,
                    ..Part::default()
                })
            }
        }
    }

    fn state(&mut self, class: usize, within: usize) -> Result<Part, Flaw> {
        let number = self.states.len();
        if number >= MAX_STATES {
            return Err(TOO_COMPLEX);
        }
        self.states.push((class, within));
        self.ways.push(Vec::new());
        Ok(Part {
            may_be_empty: false,
            first: vec![number],
            last: vec![number],
        })
    }

    /// One part and then the next.
    fn follow(&mut self, mut part: Part, mut next: Part) -> Result<Part, Flaw> {
        self.connect(&part.last, &next.first, false)?;
        if part.may_be_empty {
            part.first.append(&mut next.first);
        }
        if next.may_be_empty {
            next.last.append(&mut part.last);
        }
        Ok(Part {
            may_be_empty: part.may_be_empty && next.may_be_empty,
            first: part.first,
            last: next.last,
        })
    }

    fn connect(&mut self, from: &[usize], to: &[usize], is_loop: bool) -> Result<(), Flaw> {
        for begin in from {
            for end in to {
                if self.known.insert((*begin, *end)) {
                    if let Some(ways) = self.ways.get_mut(*begin) {
                        ways.push(*end);
                    }
                } else if is_loop {
                    self.is_ambiguous = true;
                }
            }
            if self.known.len() > MAX_WAYS {
                return Err(TOO_COMPLEX);
            }
        }
        Ok(())
    }

    fn times(&mut self, node: &'a Node, least: u32, most: Option<u32>, within: usize) -> Result<Part, Flaw> {
        let most = most.unwrap_or(u32::MAX);
        let is_loop = if least == most {
            most >= MANY && has_choice(node)
        } else {
            most > WRITTEN_OUT
        };
        if is_loop {
            let within = if within == 0 {
                self.loops += 1;
                self.loops
            } else {
                within
            };
            let mut part = self.build(node, within)?;
            // Which of so many times read nothing is a choice of its own. Without a limit, a time that reads nothing is the last.
            self.is_ambiguous |= (MANY..u32::MAX).contains(&most) && part.may_be_empty;
            let (begins, ends) = (part.first.clone(), part.last.clone());
            self.connect(&ends, &begins, true)?;
            part.may_be_empty |= least == 0;
            return Ok(part);
        }
        // Exactly so many are no choice: one stands for all.
        let copies = if most > WRITTEN_OUT { 1 } else { most };
        let mut whole = Part {
            may_be_empty: true,
            ..Part::default()
        };
        // It may end after each that need not be followed by another.
        let mut ends = Vec::new();
        for copy in 1..=copies {
            let next = self.build(node, within)?;
            whole = self.follow(whole, next)?;
            if copy >= least {
                ends.extend(&whole.last);
            }
        }
        ends.sort_unstable();
        ends.dedup();
        if copies == most {
            whole.last = ends;
        }
        whole.may_be_empty |= least == 0;
        Ok(whole)
    }

    /// Whether a state leads back to itself on two ways that read the same text.
    fn has_two_ways(&self) -> Result<bool, Flaw> {
        let overlaps = self.classes.overlaps();
        let place = |state: usize| self.states.get(state).copied().unwrap_or_default();
        let both = |a: usize, b: usize| {
            let row = overlaps.get(place(a).0);
            row.and_then(|row| row.get(place(b).0)).copied().unwrap_or(true)
        };
        let ways = |state: usize| self.ways.get(state).map_or(&[][..], Vec::as_slice);
        let mut left = MAX_PAIRS;
        for start in 0..self.states.len() {
            let within = place(start).1;
            if within == 0 {
                continue;
            }
            let mut seen = BTreeSet::new();
            let mut pending = vec![(start, start)];
            let mut is_first = true;
            while let Some((a, b)) = pending.pop() {
                for one in ways(a) {
                    for other in ways(b) {
                        left = left.checked_sub(1).ok_or(TOO_COMPLEX)?;
                        let pair = (*one.min(other), *one.max(other));
                        // At the start the two ways part. Later they may meet, and go on together.
                        let goes_on =
                            place(*one).1 == within && place(*other).1 == within && both(*one, *other);
                        if goes_on && !(is_first && one == other) && seen.insert(pair) {
                            if pair == (start, start) {
                                return Ok(true);
                            }
                            pending.push(pair);
                        }
                    }
                }
                is_first = false;
            }
        }
        Ok(false)
    }
}

/// Whether there is more than one way to read a part.
fn has_choice(node: &Node) -> bool {
    match node {
        Node::Any(_) => true,
        Node::All(nodes) => nodes.iter().any(has_choice),
        Node::Times(node, least, most) => *most != Some(*least) || has_choice(node),
        Node::One(..) | Node::Atomic(_) | Node::Look(_) => false,
    }
}
