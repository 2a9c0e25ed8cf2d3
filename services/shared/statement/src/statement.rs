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
mod tests;
