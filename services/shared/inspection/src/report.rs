//! Reports: made from what an inspection came to, or saying why there was none.

use holdfast_contract::Digest;
use holdfast_contract::report::Report;
use holdfast_formats::finding::verdict;
use holdfast_formats::{Findings, Format, Outcome, Place, Rule};
use serde::Serialize;

/// Name and version of the inspector, as every report carries it.
pub const INSPECTOR: &str = concat!("holdfast-inspect ", env!("CARGO_PKG_VERSION"));

/// The report on a file that was read to its end.
pub fn complete(outcome: Outcome, sha256: Digest) -> Report {
    make(
        outcome.format,
        outcome.size_bytes,
        Some(sha256),
        outcome.findings,
        outcome.facts,
        outcome.rules,
    )
}

/// The report on a file that could not be inspected: a refusal by `rule`, with the reason in one plain sentence.
pub fn refusal(rule: &'static Rule, format: Format, size_bytes: u64, message: &str) -> Report {
    let mut findings = Findings::default();
    findings.add(rule, Place::whole(), message);
    make(format, size_bytes, None, findings, None, None)
}

fn make(
    format: Format,
    size_bytes: u64,
    sha256: Option<Digest>,
    findings: Findings,
    model: Option<holdfast_contract::report::ModelFacts>,
    rules: Option<Digest>,
) -> Report {
    let (findings, findings_omitted) = findings.into_parts();
    let (verdict, conditions) = verdict(&findings);
    Report {
        sha256,
        size_bytes,
        format: format.name().to_owned(),
        verdict,
        conditions,
        findings,
        findings_omitted,
        model,
        converted_from: None,
        inspector: INSPECTOR.to_owned(),
        rules,
    }
}

/// A report with the path that the person named: what `holdfast inspect --json` prints for each file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspected<'a> {
    /// The path, as given.
    pub path: &'a str,
    /// The report; its fields stand beside `path`.
    #[serde(flatten)]
    pub report: &'a Report,
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_contract::report::Verdict;
    use holdfast_formats::rules;

    #[test]
    fn a_refusal_is_a_whole_report_in_flat_json() {
        let report = refusal(&rules::IO_READ, Format::Unknown, 7, "the disk is broken");
        assert_eq!(report.verdict, Verdict::Refuse);
        let json = serde_json::to_value(Inspected {
            path: "a/b.gguf",
            report: &report,
        })
        .unwrap();
        for field in ["path", "sha256", "format", "verdict", "findings"] {
            assert!(json.get(field).is_some(), "{field}");
        }
        assert_eq!(json["findings"][0]["id"], "HF-IO-002");
        assert_eq!(json["sha256"], serde_json::Value::Null);
    }
}
