//! Findings as SARIF 2.1.0 (OASIS), which code-scanning sites show beside the files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use holdfast_contract::report::{Finding, Report, Severity, Verdict};
use holdfast_formats::rules;
use serde_json::{Value, json};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// What was inspected.
#[derive(Debug)]
pub struct Inspected {
    /// The file; of a set the one that speaks for it, or the directory.
    pub path: PathBuf,
    /// The report on it.
    pub report: Report,
    /// Whether the report is on a set.
    pub is_set: bool,
}

/// One run over these files.
pub fn document(inspected: &[Inspected]) -> Value {
    let used: BTreeSet<&str> = inspected
        .iter()
        .flat_map(|Inspected { report, .. }| report.findings.iter().map(|finding| finding.id.as_str()))
        .collect();
    let rules: Vec<&rules::Rule> = rules::ALL
        .iter()
        .copied()
        .filter(|rule| used.contains(rule.id))
        .collect();
    let results: Vec<Value> = inspected
        .iter()
        .enumerate()
        .flat_map(|(index, Inspected { path, report, .. })| {
            let rules = &rules;
            report
                .findings
                .iter()
                .map(move |finding| result(finding, index, path, rules))
        })
        .collect();
    let complete = inspected
        .iter()
        .all(|inspected| inspected.is_set || inspected.report.sha256.is_some());
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "holdfast",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|rule| described(rule)).collect::<Vec<_>>(),
            } },
            "invocations": [{ "executionSuccessful": complete }],
            "artifacts": inspected.iter().map(artifact).collect::<Vec<_>>(),
            "results": results,
        }],
    })
}

fn described(rule: &rules::Rule) -> Value {
    json!({
        "id": rule.id,
        "shortDescription": { "text": rule.title },
        "fullDescription": { "text": rule.why },
        "help": { "text": rule.advice },
        "defaultConfiguration": { "level": level(rule.severity) },
        "properties": { "security-severity": weight(rule.severity) },
    })
}

fn artifact(inspected: &Inspected) -> Value {
    let Inspected { path, report, is_set } = inspected;
    let mut artifact = json!({
        "location": { "uri": uri(path) },
        "length": report.size_bytes,
        "properties": { "format": report.format, "verdict": verdict(report.verdict) },
    });
    // The digest of a set is that of a list, not of the file that speaks for it.
    let digest = report.sha256.filter(|_| !is_set);
    if let (Some(digest), Some(artifact)) = (digest, artifact.as_object_mut()) {
        artifact.insert("hashes".to_owned(), json!({ "sha-256": digest.hex() }));
    }
    artifact
}

fn result(finding: &Finding, index: usize, path: &Path, rules: &[&rules::Rule]) -> Value {
    let mut place = json!({ "artifactLocation": { "uri": uri(path), "index": index } });
    if let (Some(offset), Some(place)) = (finding.offset, place.as_object_mut()) {
        place.insert("region".to_owned(), json!({ "byteOffset": offset }));
    }
    let mut location = json!({ "physicalLocation": place });
    if let (Some(part), Some(location)) = (&finding.part, location.as_object_mut()) {
        location.insert("logicalLocations".to_owned(), json!([{ "name": part }]));
    }
    let mut result = json!({
        "ruleId": finding.id,
        "level": level(finding.severity),
        "message": { "text": format!("{} {}", sentence(&finding.message), finding.advice) },
        "locations": [location],
    });
    let rule = rules.iter().position(|rule| rule.id == finding.id);
    if let (Some(rule), Some(result)) = (rule, result.as_object_mut()) {
        result.insert("ruleIndex".to_owned(), rule.into());
    }
    result
}

fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", letters.as_str())
}

const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Admit => "admit",
        Verdict::Conditional => "conditional",
        Verdict::Refuse => "refuse",
    }
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    }
}

/// How much a finding weighs on the scale of CVSS, as code-scanning sites sort by it.
const fn weight(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
        Severity::Info => "0.0",
    }
}

/// A relative path as a URI reference, an absolute one as a file URI (RFC 3986, RFC 8089).
fn uri(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let bytes = path.as_os_str().as_bytes();
    let mut uri = String::from(if path.is_absolute() { "file://" } else { "" });
    // A colon in the first segment would make it a scheme.
    if !path.is_absolute()
        && bytes
            .split(|byte| *byte == b'/')
            .next()
            .is_some_and(|first| first.contains(&b':'))
    {
        uri.push_str("./");
    }
    for byte in bytes {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                uri.push(char::from(*byte));
            }
            _ => uri.extend(["%".to_owned(), format!("{byte:02X}")]),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_contract::Digest;

    fn report() -> Report {
        Report {
            sha256: Some(Digest::from_bytes([1; 32])),
            size_bytes: 9,
            format: "gguf".to_owned(),
            verdict: Verdict::Refuse,
            conditions: Vec::new(),
            findings: vec![Finding {
                id: rules::GGUF_TRUNCATED.id.to_owned(),
                severity: Severity::High,
                message: "the file ends early".to_owned(),
                offset: Some(4),
                part: Some("a tensor".to_owned()),
                advice: "Download it again.".to_owned(),
            }],
            findings_omitted: 0,
            model: None,
            converted_from: None,
            inspector: "0".to_owned(),
            rules: None,
        }
    }

    #[test]
    fn a_finding_points_at_its_rule_file_and_byte() {
        let inspected = Inspected {
            path: "models/a b.gguf".into(),
            report: report(),
            is_set: false,
        };
        let document = document(&[inspected]);
        assert_eq!(document["version"], "2.1.0");
        let run = &document["runs"][0];
        let result = &run["results"][0];
        let rule = &run["tool"]["driver"]["rules"][0];
        assert_eq!(result["ruleIndex"], 0);
        assert_eq!(rule["id"], result["ruleId"]);
        assert_eq!(result["level"], "error");
        assert_eq!(
            result["message"]["text"],
            "The file ends early. Download it again."
        );
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "models/a%20b.gguf");
        assert_eq!(place["region"]["byteOffset"], 4);
        assert_eq!(result["locations"][0]["logicalLocations"][0]["name"], "a tensor");
        assert_eq!(run["artifacts"][0]["hashes"]["sha-256"], "01".repeat(32));
        assert_eq!(run["invocations"][0]["executionSuccessful"], true);
    }

    #[test]
    fn what_could_not_be_read_is_no_successful_run() {
        let unread = Report {
            sha256: None,
            ..report()
        };
        for is_set in [false, true] {
            let inspected = Inspected {
                path: "x".into(),
                report: unread.clone(),
                is_set,
            };
            let document = document(&[inspected]);
            assert_eq!(
                document["runs"][0]["invocations"][0]["executionSuccessful"],
                is_set
            );
        }
    }

    #[test]
    fn paths_become_uris() {
        assert_eq!(uri(Path::new("/a/ü%.gguf")), "file:///a/%C3%BC%25.gguf");
        assert_eq!(uri(Path::new("c:d/e")), "./c%3Ad/e");
        assert_eq!(uri(Path::new("../x")), "../x");
    }
}
