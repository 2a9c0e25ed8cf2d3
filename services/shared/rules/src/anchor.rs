//! Which four bytes of a pattern are searched for: those without which it cannot match, and that are rare elsewhere.

use holdfast_formats::scan::Atom;
use regex_syntax::hir::{Class, Hir, HirKind};

/// The most atoms that one pattern may need.
const MAX_ATOMS: usize = 2048;
/// The most bytes that one place of an atom may be.
const MAX_CHOICES: usize = 16;
/// The most spellings of one atom.
const MAX_SPELLINGS: usize = 256;
/// The most repetitions that are written out.
const MAX_COPIES: u32 = 8;

/// An atom, and how far it can be from where a match begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The four bytes.
    pub atom: Atom,
    /// The least bytes of a match before it.
    pub min: usize,
    /// The most, if there is a most.
    pub max: Option<usize>,
}

/// A part of a pattern.
#[derive(Debug, Clone)]
enum Step {
    /// One byte out of a few.
    Byte(Vec<u8>),
    /// Anything between these lengths.
    Gap(usize, Option<usize>),
    /// One of several sequences.
    Choice(Vec<Vec<Step>>),
}

/// A set of anchors of which every match has one, and how rare they are.
struct Candidate {
    score: i32,
    anchors: Vec<Anchor>,
}

/// The best anchors of an expression; `None` if it has none.
pub fn of(hir: &Hir) -> Option<Vec<Anchor>> {
    best(&steps(hir)).map(|candidate| candidate.anchors)
}

/// The best place for an atom in a literal, and the spellings of the atom there.
pub fn of_literal(bytes: &[u8], any_case: bool) -> Option<(usize, Vec<Atom>)> {
    let steps: Vec<Step> = bytes
        .iter()
        .map(|byte| Step::Byte(spellings(*byte, any_case)))
        .collect();
    let candidate = best(&steps)?;
    let place = candidate.anchors.first()?.min;
    Some((
        place,
        candidate.anchors.into_iter().map(|anchor| anchor.atom).collect(),
    ))
}

fn spellings(byte: u8, any_case: bool) -> Vec<u8> {
    let mut all = vec![byte];
    if any_case && byte.is_ascii_alphabetic() {
        all = vec![byte.to_ascii_lowercase(), byte.to_ascii_uppercase()];
    }
    all
}

fn steps(hir: &Hir) -> Vec<Step> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Vec::new(),
        HirKind::Literal(literal) => literal.0.iter().map(|byte| Step::Byte(vec![*byte])).collect(),
        HirKind::Class(class) => vec![class_step(class)],
        HirKind::Capture(capture) => steps(&capture.sub),
        HirKind::Concat(parts) => parts.iter().flat_map(steps).collect(),
        HirKind::Alternation(branches) => vec![Step::Choice(branches.iter().map(steps).collect())],
        HirKind::Repetition(repetition) => {
            let inner = steps(&repetition.sub);
            let (least, most) = length(&inner);
            let copies = repetition.min.min(MAX_COPIES);
            let mut all: Vec<Step> = (0..copies).flat_map(|_| inner.clone()).collect();
            let times = |count: u32, length: usize| {
                length.saturating_mul(usize::try_from(count).unwrap_or(usize::MAX))
            };
            let rest = repetition
                .max
                .and_then(|max| most.map(|most| times(max.saturating_sub(copies), most)));
            if rest != Some(0) {
                all.push(Step::Gap(times(repetition.min - copies, least), rest));
            }
            all
        }
    }
}

fn class_step(class: &Class) -> Step {
    let Some(bytes) = (match class {
        Class::Bytes(bytes) => Some(bytes.clone()),
        Class::Unicode(unicode) => unicode.to_byte_class(),
    }) else {
        return Step::Gap(1, Some(4));
    };
    let all: Vec<u8> = bytes
        .iter()
        .flat_map(|range| range.start()..=range.end())
        .take(MAX_CHOICES + 1)
        .collect();
    if all.is_empty() || all.len() > MAX_CHOICES {
        Step::Gap(1, Some(1))
    } else {
        Step::Byte(all)
    }
}

/// The least and the most bytes that steps stand for.
fn length(steps: &[Step]) -> (usize, Option<usize>) {
    steps
        .iter()
        .fold((0, Some(0)), |sum, step| add(sum, step_length(step)))
}

fn step_length(step: &Step) -> (usize, Option<usize>) {
    match step {
        Step::Byte(_) => (1, Some(1)),
        Step::Gap(min, max) => (*min, *max),
        Step::Choice(branches) => {
            let lengths: Vec<_> = branches.iter().map(|branch| length(branch)).collect();
            let min = lengths.iter().map(|length| length.0).min().unwrap_or(0);
            let max = lengths
                .iter()
                .map(|length| length.1)
                .try_fold(0, |most: usize, max| max.map(|max| most.max(max)));
            (min, max)
        }
    }
}

fn add(a: (usize, Option<usize>), b: (usize, Option<usize>)) -> (usize, Option<usize>) {
    let max = a.1.zip(b.1).map(|(a, b)| a.saturating_add(b));
    (a.0.saturating_add(b.0), max)
}

fn best(steps: &[Step]) -> Option<Candidate> {
    let mut found: Option<Candidate> = None;
    let mut before = (0, Some(0));
    for (index, step) in steps.iter().enumerate() {
        let candidate = match step {
            Step::Byte(_) => steps
                .get(index..)
                .and_then(<[Step]>::first_chunk)
                .and_then(|window| here(window, before)),
            Step::Choice(branches) => choice(branches, before),
            Step::Gap(..) => None,
        };
        if let Some(candidate) = candidate
            && found.as_ref().is_none_or(|found| candidate.score > found.score)
        {
            found = Some(candidate);
        }
        before = add(before, step_length(step));
    }
    found
}

/// The atoms that four steps in a row spell.
fn here(window: &[Step; 4], before: (usize, Option<usize>)) -> Option<Candidate> {
    let mut spelled: Vec<Vec<u8>> = vec![Vec::new()];
    let mut score = 0;
    for step in window {
        let Step::Byte(choices) = step else { return None };
        score += choices.iter().map(|byte| rarity(*byte)).min()?;
        spelled = spelled
            .iter()
            .flat_map(|start| choices.iter().map(|byte| [start.as_slice(), &[*byte]].concat()))
            .collect();
        if spelled.len() > MAX_SPELLINGS {
            return None;
        }
    }
    let anchors: Vec<Anchor> = spelled
        .iter()
        .filter_map(|bytes| {
            Some(Anchor {
                atom: *bytes.first_chunk()?,
                min: before.0,
                max: before.1,
            })
        })
        .collect();
    // Bytes that repeat come in runs elsewhere; zeros in a row are not searched for.
    let unfit = |atom: &Atom| {
        atom.iter().all(|byte| Some(byte) == atom.first()) || atom.windows(2).any(|pair| pair == [0, 0])
    };
    if anchors.iter().any(|anchor| unfit(&anchor.atom)) {
        return None;
    }
    // A place that is known is worth more than one that has to be searched for.
    let places = before.1.map_or(1 << 12, |max| max - before.0 + 1);
    let spread = i32::try_from(places.ilog2()).unwrap_or(0);
    let spellings = i32::try_from(anchors.len().ilog2()).unwrap_or(0);
    Some(Candidate {
        score: score - spread - spellings,
        anchors,
    })
}

/// The atoms of every branch together.
fn choice(branches: &[Vec<Step>], before: (usize, Option<usize>)) -> Option<Candidate> {
    let mut anchors = Vec::new();
    let mut score = i32::MAX;
    for branch in branches {
        let candidate = best(branch)?;
        score = score.min(candidate.score);
        anchors.extend(candidate.anchors.into_iter().map(|anchor| {
            let (min, max) = add(before, (anchor.min, anchor.max));
            Anchor { min, max, ..anchor }
        }));
    }
    (!anchors.is_empty() && anchors.len() <= MAX_ATOMS).then_some(Candidate {
        score: score - i32::try_from(anchors.len().ilog2()).unwrap_or(0),
        anchors,
    })
}

/// How rare a byte is in weights and in text.
fn rarity(byte: u8) -> i32 {
    match byte {
        0 => 0,
        0xff => 2,
        b' ' | b'\n' | b'\r' | b'\t' => 3,
        b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' | b'l' | b'.' | b',' | b'"' | b'0'
        // Weights between -1 and 1 have these in every number.
        | 0x3c..=0x3e | 0xbb..=0xbe => 4,
        b'a'..=b'z' | b'1'..=b'9' => 6,
        _ => 7,
    }
}
