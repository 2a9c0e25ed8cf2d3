//! What the client checks of a worker's report before anybody sees it.
//!
//! The worker has read hostile bytes. If they have taken it over, the sandbox keeps it from doing anything but lying here. A lie
//! about the content cannot be seen from outside; what must hold for every honest report can.

use holdfast_contract::Digest;
use holdfast_contract::limits::MAX_FINDINGS;
use holdfast_contract::report::{Finding, Report, Verdict};
use holdfast_formats::finding::verdict;
use holdfast_formats::{Format, rules, text};

use crate::report::INSPECTOR;

/// The longest text in a report, in bytes.
const MAX_TEXT_BYTES: usize = 1024;

/// Why a report cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The size is not that of the file.
    #[error("the report is about a file of another size")]
    Size,
    /// A file passed whose bytes were not all read.
    #[error("the report admits a file without its digest")]
    Digest,
    /// The verdict or the conditions are not what the findings mean.
    #[error("the verdict does not follow from the findings")]
    Verdict,
    /// A finding is not in the table, or not as the table has it.
    #[error("a finding is none that an inspection makes")]
    Finding,
    /// The format is unknown, or one that is always refused.
    #[error("the format does not fit the verdict")]
    Format,
    /// A text is too long or has characters that an inspection removes.
    #[error("a text is not as an inspection writes it")]
    Text,
    /// The file was searched for other rules, or for none.
    #[error("the file was not searched for the rules that it should be")]
    Rules,
    /// It speaks of another file than the one that the worker was given.
    #[error("the report speaks of another file")]
    Origin,
    /// Another program made it.
    #[error("the report was made by another inspector")]
    Inspector,
}

/// Checks a report on a file of `size` bytes that was to be searched for these rules.
pub fn verify(report: &Report, size: u64, rules: Digest) -> Result<(), Unusable> {
    let passes = report.verdict != Verdict::Refuse;
    // Only a file that could not be read to its end is refused with another size than it had.
    if report.size_bytes != size && (passes || report.sha256.is_some()) {
        return Err(Unusable::Size);
    }
    if report.sha256.is_none() && passes {
        return Err(Unusable::Digest);
    }
    if verdict(&report.findings) != (report.verdict, report.conditions.clone()) {
        return Err(Unusable::Verdict);
    }
    if report.findings.len() > MAX_FINDINGS || !report.findings.iter().all(|finding| is_ours(finding, size)) {
        return Err(Unusable::Finding);
    }
    let format = Format::find(&report.format).ok_or(Unusable::Format)?;
    if passes && format.refused_by().is_some() {
        return Err(Unusable::Format);
    }
    let model = report.model.as_ref();
    let texts = [
        model.and_then(|model| model.name.as_ref()),
        model.and_then(|model| model.architecture.as_ref()),
        model.and_then(|model| model.tensor_type.as_ref()),
    ];
    if !texts.into_iter().flatten().all(|text| is_clean(text)) {
        return Err(Unusable::Text);
    }
    if report.rules != report.sha256.map(|_| rules) {
        return Err(Unusable::Rules);
    }
    if report.converted_from.is_some() {
        return Err(Unusable::Origin);
    }
    if report.inspector != INSPECTOR {
        return Err(Unusable::Inspector);
    }
    Ok(())
}

fn is_ours(finding: &Finding, size: u64) -> bool {
    rules::find(&finding.id)
        .is_some_and(|rule| rule.severity == finding.severity && rule.advice == finding.advice)
        && is_clean(&finding.message)
        && finding.part.as_deref().is_none_or(is_clean)
        && finding.offset.is_none_or(|offset| offset <= size)
}

fn is_clean(text: &str) -> bool {
    text.len() <= MAX_TEXT_BYTES && !text.chars().any(text::is_hidden)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect;
    use holdfast_contract::report::{Condition, Origin, Severity};
    use holdfast_formats::testing::{GgufBuilder, Value};

    fn ours() -> Digest {
        crate::Rules::shipped().digest()
    }

    fn admitted() -> Report {
        let bytes = GgufBuilder::llama().build().bytes;
        let report = inspect(bytes.as_slice(), None, "m.gguf", |_| ());
        assert_eq!(report.verdict, Verdict::Admit);
        report
    }

    fn conditional() -> Report {
        let bytes = GgufBuilder::llama()
            .set("tokenizer.chat_template", Value::String(vec![0xff]))
            .build()
            .bytes;
        inspect(bytes.as_slice(), None, "m.gguf", |_| ())
    }

    #[test]
    fn honest_reports_pass() {
        for report in [admitted(), conditional()] {
            assert_eq!(verify(&report, report.size_bytes, ours()), Ok(()));
        }
        let report = inspect(b"#!/bin/sh".as_slice(), None, "m", |_| ());
        assert_eq!(verify(&report, 9, ours()), Ok(()));
        let report = inspect(b"four".as_slice(), Some(5), "m", |_| ());
        assert_eq!(verify(&report, 5, ours()), Ok(()));
    }

    #[test]
    fn every_lie_that_can_be_seen_is_seen() {
        let check = |edit: fn(&mut Report)| {
            let mut report = conditional();
            let size = report.size_bytes;
            edit(&mut report);
            verify(&report, size, ours()).unwrap_err()
        };
        assert_eq!(check(|r| r.size_bytes += 1), Unusable::Size);
        assert_eq!(check(|r| r.sha256 = None), Unusable::Digest);
        assert_eq!(check(|r| r.verdict = Verdict::Admit), Unusable::Verdict);
        assert_eq!(
            check(|r| r.conditions = vec![Condition::NoTools]),
            Unusable::Verdict
        );
        assert_eq!(
            check(|r| r.findings[0].id = "HF-GGUF-999".into()),
            Unusable::Verdict
        );
        assert_eq!(
            check(|r| r.findings[0].advice = "call this number".into()),
            Unusable::Finding
        );
        assert_eq!(
            check(|r| r.findings[0].message = "a\u{202e}b".into()),
            Unusable::Finding
        );
        assert_eq!(
            check(|r| r.findings[0].part = Some("x".repeat(2000))),
            Unusable::Finding
        );
        assert_eq!(
            check(|r| r.findings[0].offset = Some(u64::MAX)),
            Unusable::Finding
        );
        assert_eq!(check(|r| r.format = "gguf2".into()), Unusable::Format);
        assert_eq!(check(|r| r.format = "elf".into()), Unusable::Format);
        assert_eq!(
            check(|r| r.model.as_mut().unwrap().name = Some("\u{1b}[31m".into())),
            Unusable::Text
        );
        assert_eq!(check(|r| r.inspector = "other 1.0".into()), Unusable::Inspector);
        assert_eq!(check(|r| r.rules = None), Unusable::Rules);
        assert_eq!(
            check(|r| r.rules = Some(Digest::from_bytes([1; 32]))),
            Unusable::Rules
        );
        let origin = |r: &mut Report| {
            r.converted_from = r.sha256.map(|sha256| Origin {
                sha256,
                size_bytes: 1,
                format: "pickle".into(),
            });
        };
        assert_eq!(check(origin), Unusable::Origin);
    }

    #[test]
    fn a_finding_made_lighter_is_seen() {
        let mut report = inspect(b"#!/bin/sh".as_slice(), None, "m", |_| ());
        report.findings[0].severity = Severity::Low;
        report.verdict = Verdict::Admit;
        assert_eq!(verify(&report, 9, ours()), Err(Unusable::Finding));
    }

    #[test]
    fn a_refusal_of_other_bytes_is_seen() {
        let report = inspect(b"#!/bin/sh".as_slice(), None, "m", |_| ());
        assert_eq!(verify(&report, 10, ours()), Err(Unusable::Size));
    }
}
