//! What the tests of this crate share.

use holdfast_contract::report::{Condition, Finding, Verdict};
use holdfast_formats::finding::verdict;
use holdfast_formats::{FileInspector, Outcome};

/// Inspects `bytes` in pieces of `size`.
pub fn inspect_in(bytes: &[u8], size: usize) -> Outcome {
    let mut inspector = FileInspector::new("model");
    for piece in bytes.chunks(size.max(1)) {
        inspector.feed(piece);
    }
    inspector.finish()
}

/// Inspects `bytes` at once.
#[allow(dead_code, reason = "not every test binary needs it")]
pub fn inspect(bytes: &[u8]) -> Outcome {
    inspect_in(bytes, bytes.len())
}

/// The ids of the findings, most severe first.
#[allow(dead_code, reason = "not every test binary needs it")]
pub fn ids(bytes: &[u8]) -> Vec<String> {
    findings(bytes).into_iter().map(|finding| finding.id).collect()
}

/// The findings, most severe first.
#[allow(dead_code, reason = "not every test binary needs it")]
pub fn findings(bytes: &[u8]) -> Vec<Finding> {
    inspect(bytes).findings.into_parts().0
}

/// What follows.
#[allow(dead_code, reason = "not every test binary needs it")]
pub fn judged(bytes: &[u8]) -> (Verdict, Vec<Condition>) {
    verdict(&findings(bytes))
}
