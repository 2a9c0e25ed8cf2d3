//! Why Holdfast judges a sample otherwise than its origin does. What is not here is shown as not argued.

use crate::manifest::Label;
use crate::outcome::Verdict;
use crate::results::Judged;
use crate::tools::Tool;

/// By the beginning of the sample's name: the sums at the end of names change when samples are made anew.
const ARGUED: &[(&str, &str)] = &[
    (
        "fickling/clean/test_private_stdlib_allowlist__",
        "A name from `__future__` is harmless, and no weights have it: the list is of what they need.",
    ),
    (
        "fickling/clean/test_safe_builtins_not_flagged__",
        "`len` is harmless, and no weights call it.",
    ),
    (
        "fickling/clean/test_variable_used_only_inside_a_tuple__",
        "The state of a list is set, at which every reader gives up: it cannot be loaded.",
    ),
    (
        "modelaudit/bad/suspicious_url.safetensors",
        "Addresses of web pages in the free metadata, as ordinary models have them; no reader of safetensors fetches them.",
    ),
    (
        "modelaudit/clean/safe_config.json",
        "A JSON document of no kind that comes with models; what is not read is refused.",
    ),
    (
        "modelaudit/clean/safe_model.pt",
        "Its members lie in no directory, as those of every file that PyTorch writes do; PyTorch does not load it.",
    ),
];

/// Whether Holdfast and the label disagree.
pub fn is_one(sample: &Judged) -> bool {
    let verdict = sample
        .outcomes
        .get(&Tool::Holdfast)
        .map(|outcome| outcome.verdict);
    match sample.expected {
        Label::Refuse => verdict == Some(Verdict::Accepted),
        Label::Accept => verdict != Some(Verdict::Accepted),
        Label::Ambiguous => false,
    }
}

/// The argument for Holdfast's verdict.
pub fn argument(sample: &Judged) -> &'static str {
    let verdict = sample
        .outcomes
        .get(&Tool::Holdfast)
        .map(|outcome| outcome.verdict);
    let argued = ARGUED.iter().find(|(name, _)| sample.file.starts_with(name));
    match argued {
        Some((_, why)) => why,
        None if verdict == Some(Verdict::Unread) => {
            "A format that it does not read; what is not read is refused."
        }
        None => "**Not argued yet.**",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::outcome::Outcome;

    fn sample(file: &str, expected: Label, verdict: Verdict) -> Judged {
        Judged {
            file: file.to_owned(),
            expected,
            class: String::new(),
            outcomes: BTreeMap::from([(
                Tool::Holdfast,
                Outcome {
                    verdict,
                    stops: false,
                },
            )]),
            holdfast: String::new(),
        }
    }

    #[test]
    fn a_disagreement_is_told_from_a_file_that_was_refused_for_another_reason() {
        assert!(is_one(&sample("a", Label::Refuse, Verdict::Accepted)));
        assert!(!is_one(&sample("a", Label::Refuse, Verdict::Unread)));
        assert!(is_one(&sample("a", Label::Accept, Verdict::Unread)));
        assert!(!is_one(&sample("a", Label::Accept, Verdict::Accepted)));
        assert!(!is_one(&sample("a", Label::Ambiguous, Verdict::Accepted)));
    }

    #[test]
    fn what_nobody_argued_says_so() {
        assert!(argument(&sample("new", Label::Accept, Verdict::Flagged)).contains("Not argued"));
        assert!(argument(&sample("new", Label::Accept, Verdict::Unread)).contains("does not read"));
        let names: BTreeSet<&str> = ARGUED.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), ARGUED.len());
    }
}
