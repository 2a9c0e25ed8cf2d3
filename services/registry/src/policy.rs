//! Whether a model may come in. The one place where policy `model.admit` will be asked; until then the inspection's verdict decides.

use holdfast_contract::report::{COMPANION_FINDING, MODEL_FORMATS, Report, Verdict};
use holdfast_ipc::Peer;
use holdfast_statement::ScanStatement;

/// What was decided, with the reason in one sentence where it is a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It may come in, under the conditions of its report.
    Admit,
    /// It may not.
    Refuse {
        /// Why not.
        reason: String,
    },
}

/// Decides whether the artifact that `statement` is about may come in at the request of `_peer`.
///
/// Called after the statement was verified, and before a byte of the artifact is copied.
pub fn may_admit(statement: &ScanStatement, _peer: &Peer) -> Decision {
    match statement.report.verdict {
        Verdict::Admit | Verdict::Conditional if !is_model(&statement.report.format) => Decision::Refuse {
            reason: no_model(&statement.report),
        },
        Verdict::Admit | Verdict::Conditional => Decision::Admit,
        Verdict::Refuse => {
            let worst = statement.report.findings.first();
            let because = worst.map_or_else(String::new, |finding| {
                format!(": {} ({})", finding.message, finding.id)
            });
            Decision::Refuse {
                reason: format!("the inspection refused it{because}"),
            }
        }
    }
}

/// Why what passed the inspection is not kept, for the person who handed it in.
fn no_model(report: &Report) -> String {
    let told = report
        .findings
        .iter()
        .find(|finding| finding.id == COMPANION_FINDING);
    match told {
        Some(finding) => format!("{}: only models are kept here", finding.message),
        None => format!(
            "it passed the inspection but is no model (its format is {}): only models are kept here",
            report.format
        ),
    }
}

fn is_model(format: &str) -> bool {
    MODEL_FORMATS.contains(&format)
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_contract::report::{Finding, Report, Severity};
    use holdfast_contract::{Digest, Timestamp};

    fn decision(verdict: Verdict) -> Decision {
        decision_on(verdict, "gguf")
    }

    fn decision_on(verdict: Verdict, format: &str) -> Decision {
        decision_with(verdict, format, "HF-X-001", "It is a pickle")
    }

    fn decision_with(verdict: Verdict, format: &str, id: &str, message: &str) -> Decision {
        let finding = Finding {
            id: id.into(),
            severity: Severity::High,
            message: message.into(),
            offset: None,
            part: None,
            advice: String::new(),
        };
        let report = Report {
            sha256: None,
            size_bytes: 0,
            format: format.into(),
            verdict,
            conditions: vec![],
            findings: vec![finding],
            findings_omitted: 0,
            model: None,
            converted_from: None,
            inspector: "0".into(),
            rules: None,
        };
        let statement = ScanStatement {
            name: "a".into(),
            digest: Digest::from_bytes([0; 32]),
            inspected_at: Timestamp::UNIX_EPOCH,
            report,
        };
        may_admit(
            &statement,
            &Peer {
                pid: 1,
                uid: 1,
                gid: 1,
                name: "quarantine".into(),
            },
        )
    }

    #[test]
    fn what_is_no_model_stays_out_whatever_the_verdict() {
        for format in [
            "json",
            "text",
            "sentencepiece",
            "zip",
            "tar",
            "gzip",
            "unknown",
            "",
            "GGUF",
        ] {
            for verdict in [Verdict::Admit, Verdict::Conditional] {
                assert_ne!(decision_on(verdict, format), Decision::Admit, "{format}");
            }
        }
        for format in MODEL_FORMATS {
            assert_eq!(decision_on(Verdict::Admit, format), Decision::Admit);
        }
    }

    #[test]
    fn what_goes_with_a_model_is_told_what_it_is() {
        let told = "this is a tokenizer's configuration and goes with a model; it is no model itself";
        let reason = format!("{told}: only models are kept here");
        assert_eq!(
            decision_with(Verdict::Admit, "json", COMPANION_FINDING, told),
            Decision::Refuse { reason }
        );
    }

    #[test]
    fn follows_the_verdict() {
        assert_eq!(decision(Verdict::Admit), Decision::Admit);
        assert_eq!(decision(Verdict::Conditional), Decision::Admit);
        let reason = "the inspection refused it: It is a pickle (HF-X-001)".to_owned();
        assert_eq!(decision(Verdict::Refuse), Decision::Refuse { reason });
    }
}
