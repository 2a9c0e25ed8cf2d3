//! Programs, archives, pickles and scripts in the middle of something else, told by their first bytes and by what these promise.
//!
//! Four bytes occur by chance four times in a tensor of 16 GiB. So each signature is followed up: what must stand behind it
//! for its loader to take it is compared, field by field, and only what a loader would take is a finding. `docs/rules.md` has the
//! odds of each check on random bytes; their sum is below one in a million for each GiB.

mod archives;
mod pickles;
mod programs;
mod scripts;
mod view;

use std::sync::Arc;

use crate::finding::{Findings, Place};
use crate::format::Format;
use crate::rules::{self, Rule};
use crate::scan::{Atom, Hit, Search, Searching, Whole};
use view::View;

/// The most places of a class that are remembered: an archive may have so many members, each with a signature of its own.
const MAX_SEEN: usize = 40_000;

/// What a signature stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Program,
    Archive,
    Pickle,
    Script,
}

impl Class {
    fn rule(self) -> &'static Rule {
        match self {
            Self::Program => &rules::SIG_PROGRAM,
            Self::Archive => &rules::SIG_ARCHIVE,
            Self::Pickle => &rules::SIG_PICKLE,
            Self::Script => &rules::SIG_SCRIPT,
        }
    }
}

/// Something that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    class: Class,
    /// What it is, in words that follow "within the file lies ".
    what: &'static str,
    /// How many bytes before the atom it begins.
    before: usize,
}

/// Tells whether there is what an atom promises.
type Check = fn(View<'_>) -> Option<Seen>;

/// One kind of thing: the atoms that give it away, and what tells whether it is one.
struct Signature {
    atoms: fn() -> Vec<Atom>,
    check: Check,
}

/// All signatures.
const ALL: &[&[Signature]] = &[programs::ALL, archives::ALL, scripts::ALL, pickles::ALL];

fn signatures() -> impl Iterator<Item = (Atom, Check)> {
    ALL.iter().copied().flatten().flat_map(|signature| {
        let check = signature.check;
        (signature.atoms)().into_iter().map(move |atom| (atom, check))
    })
}

/// The search for signatures.
#[derive(Debug)]
pub struct Signatures;

impl Search for Signatures {
    fn atoms(&self) -> Vec<Atom> {
        signatures().map(|(atom, _)| atom).collect()
    }

    fn begin(self: Arc<Self>) -> Box<dyn Searching> {
        Box::new(Found::default())
    }
}

/// What was found in one file.
#[derive(Debug, Default)]
struct Found {
    seen: Vec<(u64, Seen)>,
    /// How many of each class, so that a flood of one does not hide another.
    counts: [usize; 4],
}

impl Searching for Found {
    fn hit(&mut self, hit: &Hit<'_>) {
        let Some(check) = check(hit.atom) else { return };
        if let Some(seen) = check(View::of(hit))
            && let Some(count) = self.counts.get_mut(seen.class as usize)
            && *count < MAX_SEEN
        {
            let at = hit.at.saturating_sub(seen.before as u64);
            // Several atoms can give the same thing away.
            let seen = (at, Seen { before: 0, ..seen });
            if !self.seen.iter().rev().take(8).any(|other| *other == seen) {
                *count += 1;
                self.seen.push(seen);
            }
        }
    }

    fn finish(self: Box<Self>, whole: &Whole<'_>) -> Findings {
        let mut findings = Findings::default();
        // What is refused whatever it holds needs no further reason, and programs are full of programs.
        if whole.format.refused_by().is_some() {
            return findings;
        }
        // Texts quote scripts and pickles; what runs in a text is for those who inspect texts.
        let quotes = matches!(whole.format, Format::Json | Format::Text);
        for (at, seen) in self.seen {
            if whole.own.covers(at) || (quotes && matches!(seen.class, Class::Script | Class::Pickle)) {
                continue;
            }
            let message = format_args!("within the file lies {}", seen.what);
            findings.add(seen.class.rule(), Place::at(at), message);
        }
        findings
    }
}

/// The check that belongs to an atom, by its place in the list.
fn check(atom: usize) -> Option<Check> {
    static CHECKS: std::sync::LazyLock<Vec<Check>> =
        std::sync::LazyLock::new(|| signatures().map(|(_, check)| check).collect());
    CHECKS.get(atom).copied()
}
