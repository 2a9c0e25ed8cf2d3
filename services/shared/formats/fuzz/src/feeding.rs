//! Feeding: the same bytes in several cuts, and what must hold of what comes out.

use std::fmt::Debug;

use holdfast_contract::limits::MAX_FINDINGS;
use holdfast_contract::report::{Finding, ModelFacts, Verdict};
use holdfast_formats::bytes::in_memory;
use holdfast_formats::finding::verdict;
use holdfast_formats::text::is_hidden;
use holdfast_formats::{FileInspector, Findings, Inspector, Outcome, rules};

use crate::memory;

/// The longest message or name of a part in a finding, in bytes: a few texts from the file, each of them bounded.
const MAX_MESSAGE_BYTES: usize = 600;
/// Inputs up to this length are also fed byte by byte.
const BYTEWISE: usize = 2 << 10;

/// A number that depends on every byte (FNV-1a). It says where an input is cut, so that inputs are plain files.
pub fn digest(bytes: &[u8]) -> usize {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ hash >> 32) as usize
}

/// Runs over `bytes` whole, cut in two, and byte by byte if they are few. All outcomes have to be equal; returns the outcome.
pub fn cuts<T: PartialEq + Debug>(bytes: &[u8], run: impl Fn(&[&[u8]]) -> T) -> T {
    let whole = run(&[bytes]);
    let (head, tail) = bytes.split_at(digest(bytes) % (bytes.len() + 1));
    assert_eq!(run(&[head, tail]), whole, "cut at {}", head.len());
    if bytes.len() <= BYTEWISE {
        let single: Vec<_> = bytes.chunks(1).collect();
        assert_eq!(run(&single), whole, "byte by byte");
    }
    whole
}

/// Inspects an archive within `bound` bytes of memory: as it comes, after what can be read first was, and, if it begins with the whole of its
/// signature, in every cut. All outcomes have to be equal.
pub fn archive(bytes: &[u8], bound: usize, signature: &[u8]) {
    let ahead = || FileInspector::new("x").looking_ahead(bytes.len() as u64, &mut in_memory(bytes));
    memory::confined(4 * bound, || {
        let whole = memory::bounded(bound, || run(FileInspector::new("x"), &[bytes]));
        let ahead_whole = memory::bounded(bound, || run(ahead(), &[bytes]));
        assert_eq!(ahead_whole, whole);
        if bytes.starts_with(signature) {
            // The first bytes are not collected here, so that short archives come in pieces, too.
            cuts(bytes, |pieces| run(ahead().probing(signature.len()), pieces));
        }
    });
}

/// Feeds an inspector.
pub fn feed<I: Inspector + ?Sized>(inspector: &mut I, pieces: &[&[u8]]) -> u64 {
    let mut at = 0;
    for piece in pieces {
        inspector.feed(at, piece);
        at += piece.len() as u64;
    }
    at
}

/// What is found in `size` bytes is bounded, shows nothing that does not show, and points into the file. Returns it.
pub fn report(findings: Findings, size: u64) -> (Vec<Finding>, u64) {
    let (findings, omitted) = findings.into_parts();
    assert!(findings.len() <= MAX_FINDINGS);
    for finding in &findings {
        // What a worker reports otherwise is not believed, and the file refused for want of a result.
        let rule = rules::find(&finding.id);
        assert!(
            rule.is_some_and(|rule| (rule.severity, rule.advice) == (finding.severity, &*finding.advice)),
            "no such rule: {finding:?}"
        );
        assert!(
            finding.offset.is_none_or(|offset| offset <= size),
            "{size}: {finding:?}"
        );
        for text in [Some(&finding.message), finding.part.as_ref()]
            .into_iter()
            .flatten()
        {
            assert!(text.len() <= MAX_MESSAGE_BYTES, "{finding:?}");
            assert!(!text.chars().any(is_hidden), "{finding:?}");
        }
    }
    (findings, omitted)
}

/// What an admitted file says about itself must be possible: `density` is how many weights a byte can hold at most.
pub fn judge(findings: &[Finding], facts: Option<&ModelFacts>, size: u64, density: u64) {
    let Some(facts) = facts else { return };
    for text in [&facts.name, &facts.architecture, &facts.tensor_type]
        .into_iter()
        .flatten()
    {
        assert!(
            text.len() <= MAX_MESSAGE_BYTES && !text.chars().any(is_hidden),
            "{facts:?}"
        );
    }
    if verdict(findings).0 != Verdict::Refuse {
        assert!(
            facts.parameters <= size.saturating_mul(density),
            "{size}: {facts:?}"
        );
        assert!(facts.tensors <= size, "{size}: {facts:?}");
    }
}

/// One inspector over every cut within `bound` bytes of memory.
pub fn inspect<I: Inspector>(
    bytes: &[u8],
    bound: usize,
    density: u64,
    new: impl Fn() -> I,
) -> (Vec<Finding>, Option<ModelFacts>) {
    let ((findings, _), facts) = cuts(bytes, |pieces| {
        memory::bounded(bound, || {
            let mut inspector = Box::new(new());
            let size = feed(&mut *inspector, pieces);
            let found = inspector.finish(size);
            (report(found.findings, size), found.facts)
        })
    });
    judge(&findings, facts.as_ref(), bytes.len() as u64, density);
    (findings, facts)
}

/// [`report`] for a whole outcome.
#[must_use]
pub fn outcome(outcome: Outcome) -> (String, (Vec<Finding>, u64), Option<ModelFacts>) {
    let size = outcome.size_bytes;
    (
        outcome.format.name().to_owned(),
        report(outcome.findings, size),
        outcome.facts,
    )
}

/// [`outcome`] of an inspection that gets these pieces.
#[must_use]
pub fn run(
    mut inspector: FileInspector,
    pieces: &[&[u8]],
) -> (String, (Vec<Finding>, u64), Option<ModelFacts>) {
    for piece in pieces {
        inspector.feed(piece);
    }
    outcome(inspector.finish())
}
