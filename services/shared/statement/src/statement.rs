//! The statement in the envelope: in-toto Statement v1 about one subject, with the scan predicate.

use holdfast_contract::limits::MAX_FINDINGS;
use holdfast_contract::report::{Report, Severity, Verdict};
use holdfast_contract::{Digest, Timestamp};
use serde::{Deserialize, Serialize};

use crate::envelope::{Envelope, EnvelopeError, MAX_ENVELOPE_BYTES};
use crate::json::{self, JsonError};
use crate::key::StatementKey;
use holdfast_signed_note::Vkey;

/// `_type` of in-toto Statement v1.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// Type of the scan predicate. A name, not an address: in-toto allows type URIs that resolve to nothing.
pub const PREDICATE_TYPE: &str = "urn:holdfast:predicate:scan:v1";
/// Who inspects, as the predicate names it.
const INSPECTOR: &str = "urn:holdfast:quarantine";

/// The longest file name, in bytes.
const MAX_SUBJECT_BYTES: usize = 255;
/// The longest short text of a report (format, inspector, what the model says of itself), in bytes.
const MAX_TEXT_BYTES: usize = 1024;
/// The most conditions.
const MAX_CONDITIONS: usize = 16;

/// What a verified scan statement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanStatement {
    /// The file's name as it was handed in.
    pub name: String,
    /// SHA-256 of the file; equal to the report's.
    pub digest: Digest,
    /// When the inspection ended.
    pub inspected_at: Timestamp,
    /// What it found.
    pub report: Report,
}

/// Why a report cannot be what a statement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The report has no digest: the artifact was not read to its end.
    #[error("the report has no digest of the artifact")]
    NoDigest,
    /// A text or a list is longer than any inspector makes it, or holds control characters.
    #[error("the statement's {0} is longer than allowed or holds control characters")]
    Bounds(&'static str),
    /// The verdict does not follow from the findings and conditions.
    #[error("the report's verdict contradicts its {0}")]
    Contradiction(&'static str),
}

/// Why a report could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// Its verifiers would refuse what it says.
    #[error("the report cannot be signed")]
    Statement(#[from] StatementError),
    /// The envelope would be longer than verifiers read. [`fit`] shortens a report.
    #[error("the envelope would have {bytes} bytes, at most {MAX_ENVELOPE_BYTES} are read")]
    TooLarge {
        /// How long.
        bytes: usize,
    },
    /// The statement could not be written as JSON.
    #[error("write the statement as JSON")]
    Write(#[from] serde_json::Error),
}

/// Why a scan statement was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The envelope is not one that a trusted key signed.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The signed payload is not an in-toto statement.
    #[error("the signed payload is not an in-toto statement")]
    Json(#[source] JsonError),
    /// It is an in-toto statement of another version.
    #[error("the statement's type is not {STATEMENT_TYPE}")]
    StatementType,
    /// It says something else than the result of a scan.
    #[error("the statement's predicate type is not {PREDICATE_TYPE}")]
    PredicateType,
    /// It is about no artifact, or about several.
    #[error("the statement has {count} subjects, exactly one is accepted")]
    Subjects {
        /// How many.
        count: usize,
    },
    /// The predicate is not that of a scan.
    #[error("the statement's predicate is not a scan predicate")]
    Predicate(#[source] serde_json::Error),
    /// The subject's digest is not 64 lower-case hex digits.
    #[error("the statement's subject has no valid SHA-256 digest")]
    SubjectDigest,
    /// The subject is not the artifact that the report is about.
    #[error("the statement is about {subject}, its report about {report}")]
    OtherReport {
        /// The subject's digest.
        subject: Digest,
        /// The report's digest.
        report: Digest,
    },
    /// The predicate names another inspector than the report.
    #[error("the statement's inspector is not the report's")]
    Inspector,
    /// It says what no inspector says.
    #[error(transparent)]
    Statement(#[from] StatementError),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Statement<P> {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: P,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    name: String,
    digest: DigestSet,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DigestSet {
    sha256: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Predicate<R> {
    inspector: Inspector,
    time: Timestamp,
    report: R,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inspector {
    id: String,
    version: String,
}

/// Signs `report` about the file that was handed in as `name`, with the time at which the inspection ended.
///
/// # Errors
///
/// When the report has no digest, contradicts itself, or does not fit into an envelope.
pub fn sign(report: &Report, name: &str, key: &StatementKey, now: Timestamp) -> Result<Envelope, SignError> {
    let digest = check(report, name)?;
    let envelope = seal(report, name, digest, key, now)?;
    let bytes = envelope.to_text().len();
    if bytes > MAX_ENVELOPE_BYTES {
        Err(SignError::TooLarge { bytes })
    } else {
        Ok(envelope)
    }
}

/// Shortens a report so that it can be signed: the least severe findings go, and are counted as omitted.
pub fn fit(report: &mut Report) {
    // Base64 takes four bytes for three; what is left over covers the rest of statement and envelope.
    const MAX_REPORT_BYTES: usize = MAX_ENVELOPE_BYTES / 4 * 3 - (4 << 10);
    let surplus = report.findings.len().saturating_sub(MAX_FINDINGS);
    for _ in 0..surplus {
        omit(report);
    }
    while !report.findings.is_empty()
        && serde_json::to_vec(report).map_or(usize::MAX, |json| json.len()) > MAX_REPORT_BYTES
    {
        omit(report);
    }
}

fn omit(report: &mut Report) {
    // Findings are listed with the most severe first.
    if report.findings.pop().is_some() {
        report.findings_omitted = report.findings_omitted.saturating_add(1);
    }
}

/// Verifies an envelope with the keys that are trusted, and returns what it states.
///
/// # Errors
///
/// Each deviation has its own variant. Nothing of the payload is read before its signature holds.
pub fn verify(envelope: &[u8], trusted: &[Vkey]) -> Result<ScanStatement, VerifyError> {
    let payload = Envelope::parse(envelope)?.open(trusted)?;
    let statement: Statement<serde_json::Value> = json::decode(&payload).map_err(VerifyError::Json)?;
    if statement.kind != STATEMENT_TYPE {
        return Err(VerifyError::StatementType);
    }
    if statement.predicate_type != PREDICATE_TYPE {
        return Err(VerifyError::PredicateType);
    }
    let [subject] = statement.subject.as_slice() else {
        return Err(VerifyError::Subjects {
            count: statement.subject.len(),
        });
    };
    let subject_digest: Digest = format!("sha256:{}", subject.digest.sha256)
        .parse()
        .map_err(|_| VerifyError::SubjectDigest)?;
    let predicate: Predicate<Report> =
        serde_json::from_value(statement.predicate).map_err(VerifyError::Predicate)?;
    let report_digest = check(&predicate.report, &subject.name)?;
    if subject_digest != report_digest {
        return Err(VerifyError::OtherReport {
            subject: subject_digest,
            report: report_digest,
        });
    }
    if predicate.inspector.id != INSPECTOR || predicate.inspector.version != predicate.report.inspector {
        return Err(VerifyError::Inspector);
    }
    Ok(ScanStatement {
        name: subject.name.clone(),
        digest: subject_digest,
        inspected_at: predicate.time,
        report: predicate.report,
    })
}

fn seal(
    report: &Report,
    name: &str,
    digest: Digest,
    key: &StatementKey,
    now: Timestamp,
) -> Result<Envelope, serde_json::Error> {
    let statement = Statement {
        kind: STATEMENT_TYPE.to_owned(),
        subject: vec![Subject {
            name: name.to_owned(),
            digest: DigestSet { sha256: digest.hex() },
        }],
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate: Predicate {
            inspector: Inspector {
                id: INSPECTOR.to_owned(),
                version: report.inspector.clone(),
            },
            time: now,
            report,
        },
    };
    Ok(Envelope::seal(&serde_json::to_vec(&statement)?, key))
}

/// What signer and verifier both hold a report to.
fn check(report: &Report, name: &str) -> Result<Digest, StatementError> {
    let within = |text: &str, max: usize| text.len() <= max && !text.chars().any(char::is_control);
    let short = |text: &str| within(text, MAX_TEXT_BYTES);
    let bounded = |ok: bool, what| {
        if ok {
            Ok(())
        } else {
            Err(StatementError::Bounds(what))
        }
    };
    let consistent = |ok: bool, what| {
        if ok {
            Ok(())
        } else {
            Err(StatementError::Contradiction(what))
        }
    };

    bounded(
        !name.is_empty() && within(name, MAX_SUBJECT_BYTES),
        "subject name",
    )?;
    bounded(!report.format.is_empty() && short(&report.format), "format")?;
    bounded(
        !report.inspector.is_empty() && short(&report.inspector),
        "inspector",
    )?;
    bounded(report.findings.len() <= MAX_FINDINGS, "list of findings")?;
    bounded(report.conditions.len() <= MAX_CONDITIONS, "list of conditions")?;
    if let Some(model) = &report.model {
        let texts = [&model.name, &model.architecture, &model.tensor_type];
        bounded(
            texts.into_iter().flatten().all(|text| short(text)),
            "description of the model",
        )?;
    }
    if let Some(origin) = &report.converted_from {
        bounded(!origin.format.is_empty() && short(&origin.format), "origin")?;
        consistent(Some(origin.sha256) != report.sha256, "origin")?;
    }
    let grave = report
        .findings
        .iter()
        .any(|finding| finding.severity >= Severity::High);
    consistent(!grave || report.verdict == Verdict::Refuse, "findings")?;
    consistent(
        report.conditions.is_empty() != (report.verdict == Verdict::Conditional),
        "conditions",
    )?;
    report.sha256.ok_or(StatementError::NoDigest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_contract::report::{Condition, Finding, ModelFacts};

    fn key() -> StatementKey {
        StatementKey::from_seed(crate::KEY_NAME, &[7; 32]).unwrap()
    }

    fn trusted() -> [Vkey; 1] {
        [key().vkey()]
    }

    fn now() -> Timestamp {
        "2026-11-20T10:00:00Z".parse().unwrap()
    }

    fn report() -> Report {
        Report {
            sha256: Some(Digest::from_bytes([0xab; 32])),
            size_bytes: 5,
            format: "gguf".into(),
            verdict: Verdict::Admit,
            conditions: vec![],
            findings: vec![finding(Severity::Info)],
            findings_omitted: 0,
            model: Some(ModelFacts {
                name: Some("tiny".into()),
                tensors: 2,
                ..ModelFacts::default()
            }),
            converted_from: None,
            inspector: "0.1.0".into(),
            rules: None,
        }
    }

    fn finding(severity: Severity) -> Finding {
        Finding {
            id: "HF-GGUF-001".into(),
            severity,
            message: "m".repeat(200),
            offset: Some(24),
            part: None,
            advice: "a".repeat(200),
        }
    }

    fn text(report: &Report) -> String {
        sign(report, "tiny.gguf", &key(), now()).unwrap().to_text()
    }

    /// Signs whatever `change` makes of the statement's JSON.
    fn forged(change: impl FnOnce(&mut serde_json::Value)) -> String {
        let payload = Envelope::parse(text(&report()).as_bytes())
            .unwrap()
            .open(&trusted())
            .unwrap();
        let mut json = serde_json::from_slice(&payload).unwrap();
        change(&mut json);
        Envelope::seal(json.to_string().as_bytes(), &key()).to_text()
    }

    fn verified(text: &str) -> Result<ScanStatement, VerifyError> {
        verify(text.as_bytes(), &trusted())
    }

    #[test]
    fn states_what_was_signed() {
        let stated = verified(&text(&report())).unwrap();
        assert_eq!(stated.report, report());
        assert_eq!(stated.name, "tiny.gguf");
        assert_eq!(stated.digest, Digest::from_bytes([0xab; 32]));
        assert_eq!(stated.inspected_at, now());
        assert!(verified(&forged(|_| ())).is_ok());
    }

    #[test]
    fn is_the_in_toto_statement_that_others_read() {
        let payload = Envelope::parse(text(&report()).as_bytes())
            .unwrap()
            .open(&trusted())
            .unwrap();
        let json: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(json["_type"], "https://in-toto.io/Statement/v1");
        assert_eq!(json["predicateType"], "urn:holdfast:predicate:scan:v1");
        assert_eq!(json["subject"][0]["digest"]["sha256"], "ab".repeat(32));
        assert_eq!(json["predicate"]["report"]["verdict"], "admit");
    }

    #[test]
    fn is_deterministic() {
        assert_eq!(text(&report()), text(&report()));
    }

    #[test]
    fn refuses_another_statement_or_predicate_type() {
        let other = forged(|json| json["_type"] = "https://in-toto.io/Statement/v0.1".into());
        assert!(matches!(verified(&other), Err(VerifyError::StatementType)));
        let other = forged(|json| json["predicateType"] = "https://slsa.dev/provenance/v1".into());
        assert!(matches!(verified(&other), Err(VerifyError::PredicateType)));
    }

    #[test]
    fn refuses_no_subject_and_two() {
        let none = forged(|json| json["subject"] = serde_json::json!([]));
        assert!(matches!(verified(&none), Err(VerifyError::Subjects { count: 0 })));
        let two = forged(|json| {
            let subject = json["subject"][0].clone();
            json["subject"].as_array_mut().unwrap().push(subject);
        });
        assert!(matches!(verified(&two), Err(VerifyError::Subjects { count: 2 })));
    }

    #[test]
    fn refuses_a_subject_that_is_not_the_reported_artifact() {
        let other = forged(|json| json["subject"][0]["digest"]["sha256"] = "cd".repeat(32).into());
        assert!(matches!(verified(&other), Err(VerifyError::OtherReport { .. })));
        let upper = forged(|json| json["subject"][0]["digest"]["sha256"] = "AB".repeat(32).into());
        assert!(matches!(verified(&upper), Err(VerifyError::SubjectDigest)));
        let second = forged(|json| json["subject"][0]["digest"]["sha512"] = "ab".repeat(64).into());
        assert!(matches!(
            verified(&second),
            Err(VerifyError::Json(JsonError::Shape(_)))
        ));
    }

    #[test]
    fn refuses_unknown_fields_and_duplicate_keys_inside_the_payload() {
        let unknown = forged(|json| json["predicate"]["report"]["approved"] = true.into());
        assert!(matches!(verified(&unknown), Err(VerifyError::Predicate(_))));
        let payload = Envelope::parse(text(&report()).as_bytes())
            .unwrap()
            .open(&trusted())
            .unwrap();
        let twice = String::from_utf8(payload).unwrap().replacen(
            r#""verdict":"admit""#,
            r#""verdict":"refuse","verdict":"admit""#,
            1,
        );
        let envelope = Envelope::seal(twice.as_bytes(), &key()).to_text();
        assert!(matches!(
            verified(&envelope),
            Err(VerifyError::Json(JsonError::DuplicateKey { .. }))
        ));
        let trailing = Envelope::seal(b"{}{}", &key()).to_text();
        assert!(matches!(
            verified(&trailing),
            Err(VerifyError::Json(JsonError::Trailing))
        ));
    }

    #[test]
    fn refuses_a_report_of_another_inspector() {
        let other = forged(|json| json["predicate"]["inspector"]["version"] = "9".into());
        assert!(matches!(verified(&other), Err(VerifyError::Inspector)));
        let other = forged(|json| json["predicate"]["inspector"]["id"] = "urn:somebody".into());
        assert!(matches!(verified(&other), Err(VerifyError::Inspector)));
    }

    #[test]
    fn neither_signs_nor_accepts_a_report_without_a_digest() {
        let unread = Report {
            sha256: None,
            ..report()
        };
        let error = sign(&unread, "a", &key(), now()).unwrap_err();
        assert!(matches!(error, SignError::Statement(StatementError::NoDigest)));
        let forged = forged(|json| json["predicate"]["report"]["sha256"] = serde_json::Value::Null);
        assert!(matches!(
            verified(&forged),
            Err(VerifyError::Statement(StatementError::NoDigest))
        ));
    }

    #[test]
    fn a_grave_finding_and_an_open_verdict_contradict_each_other() {
        for severity in [Severity::High, Severity::Critical] {
            let report = Report {
                findings: vec![finding(severity)],
                ..report()
            };
            assert_eq!(
                check(&report, "a"),
                Err(StatementError::Contradiction("findings"))
            );
            assert!(
                check(
                    &Report {
                        verdict: Verdict::Refuse,
                        ..report
                    },
                    "a"
                )
                .is_ok()
            );
        }
        let report = Report {
            findings: vec![finding(Severity::Medium)],
            ..report()
        };
        assert!(check(&report, "a").is_ok());
    }

    #[test]
    fn conditions_and_the_conditional_verdict_need_each_other() {
        let bound = Report {
            conditions: vec![Condition::NoTools],
            ..report()
        };
        assert_eq!(
            check(&bound, "a"),
            Err(StatementError::Contradiction("conditions"))
        );
        assert!(
            check(
                &Report {
                    verdict: Verdict::Conditional,
                    ..bound
                },
                "a"
            )
            .is_ok()
        );
        let unbound = Report {
            verdict: Verdict::Conditional,
            ..report()
        };
        assert_eq!(
            check(&unbound, "a"),
            Err(StatementError::Contradiction("conditions"))
        );
    }

    #[test]
    fn texts_and_lists_are_bounded() {
        assert!(check(&report(), &"n".repeat(255)).is_ok());
        for name in ["", "a\nb", &"n".repeat(256)] {
            assert_eq!(
                check(&report(), name),
                Err(StatementError::Bounds("subject name"))
            );
        }
        let mut long = report();
        long.format = "f".repeat(1025);
        assert_eq!(check(&long, "a"), Err(StatementError::Bounds("format")));
        let mut long = report();
        long.model = Some(ModelFacts {
            architecture: Some("\u{7}".into()),
            ..ModelFacts::default()
        });
        assert_eq!(
            check(&long, "a"),
            Err(StatementError::Bounds("description of the model"))
        );
        let mut many = report();
        many.findings = vec![finding(Severity::Info); MAX_FINDINGS + 1];
        assert_eq!(check(&many, "a"), Err(StatementError::Bounds("list of findings")));
    }

    #[test]
    fn a_report_that_is_too_long_is_shortened_and_says_so() {
        let mut long = report();
        long.findings = vec![finding(Severity::Medium); MAX_FINDINGS + 10];
        long.findings[0].severity = Severity::Critical;
        long.verdict = Verdict::Refuse;
        let before = long.findings.len() as u64;
        assert!(
            sign(
                &Report {
                    findings: long.findings[..MAX_FINDINGS].to_vec(),
                    ..long.clone()
                },
                "a",
                &key(),
                now()
            )
            .is_err()
        );
        fit(&mut long);
        assert_eq!(long.findings[0].severity, Severity::Critical);
        assert_eq!(long.findings.len() as u64 + long.findings_omitted, before);
        assert!(long.findings.len() > 100);
        let text = sign(&long, &"n".repeat(255), &key(), now()).unwrap().to_text();
        assert_eq!(verified(&text).unwrap().report, long);
    }

    #[test]
    fn a_report_that_fits_is_left_alone() {
        let mut short = report();
        fit(&mut short);
        assert_eq!(short, report());
    }
}
