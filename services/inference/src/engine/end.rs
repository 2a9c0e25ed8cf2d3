//! How an engine came to its end: what those who waited are told, and what is written down.

use holdfast_contract::ledger::Outcome;
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::report::Severity;
use holdfast_contract::{Digest, Problem};
use serde_json::json;

use crate::evidence::Evidence;
use crate::worker::{Breach, Exit};

/// How an engine came to its end.
#[derive(Debug)]
pub enum End {
    /// There is nothing wrong: `idle`, `asked`, `make-room`, `withdrawn`, `stopping`.
    Sound(&'static str),
    /// It could not be had.
    Problem(Problem),
    /// llama.cpp refuses the model.
    Refused(String),
    /// The worker ended, or did what it must not.
    Broken(Breach),
    /// The worker was silent for too long.
    Silent(&'static str),
}

impl End {
    /// Writes down that the engine of `model` ended, and reports what ought not to happen.
    pub async fn record(
        &self,
        evidence: &Evidence,
        model: Digest,
        problem: &Problem,
        exit: Option<&Exit>,
        was_loaded: bool,
    ) {
        let (outcome, reason) = match self {
            Self::Sound(reason) => (Outcome::Noted, *reason),
            Self::Problem(_) => (Outcome::Failed, "not-available"),
            Self::Refused(_) => (Outcome::Failed, "model-refused"),
            Self::Broken(breach) if breach.is_hostile() => (Outcome::Failed, "misbehaved"),
            Self::Broken(_) => (Outcome::Failed, "crashed"),
            Self::Silent(_) => (Outcome::Failed, "silent"),
        };
        let action = if was_loaded { "stopped" } else { "not-started" };
        tracing::info!(%model, action, reason, "engine ended");
        let mut detail = json!({ "action": action, "reason": reason });
        if outcome == Outcome::Failed
            && let serde_json::Value::Object(detail) = &mut detail
        {
            detail.insert("problem".to_owned(), problem.detail.clone().into());
        }
        evidence.ended(outcome, model, detail).await;
        let summary = match (self, exit) {
            (Self::Broken(breach), _) if breach.is_hostile() => Some((
                "worker.misbehaved",
                Severity::High,
                format!("{breach}; it was ended"),
            )),
            (Self::Broken(_), Some(exit)) => {
                for line in &exit.log {
                    tracing::warn!(line, "last words of an engine");
                }
                Some((
                    "worker.crashed",
                    Severity::Medium,
                    format!("an engine crashed: {}", exit.how),
                ))
            }
            (Self::Broken(breach), None) => Some(("worker.crashed", Severity::Medium, breach.to_string())),
            (Self::Silent(what), _) => Some((
                "worker.silent",
                Severity::Medium,
                format!("an engine was ended: {what}"),
            )),
            _ => None,
        };
        if let Some((class, severity, summary)) = summary {
            evidence.incident(model, class, severity, summary).await;
        }
    }

    /// The problem that requests get; none where nothing is wrong.
    pub fn explain(&self, exit: Option<&Exit>, while_loading: bool) -> Option<Problem> {
        let problem = match self {
            Self::Sound(_) => return None,
            Self::Problem(problem) => problem.clone(),
            Self::Refused(reason) => Problem::new(
                ProblemKind::Conflict,
                format!("the engine cannot load this model: {}", clean(reason)),
            )
            .next("Choose another model, or import a file that this version of llama.cpp supports."),
            Self::Broken(breach) => {
                let how = exit.map_or_else(|| breach.to_string(), |exit| exit.how.clone());
                let when = if while_loading {
                    "while it loaded this model"
                } else {
                    "while it ran this model"
                };
                Problem::new(ProblemKind::Internal, format!("the engine crashed {when}: {how}"))
                    .next("The next request starts it again. If it crashes again, the model's file may be the cause.")
            }
            Self::Silent(what) => {
                Problem::new(ProblemKind::Deadline, format!("the engine was ended: {what}"))
                    .next("A smaller model, or a longer timeout in inference.toml, may help.")
            }
        };
        Some(problem)
    }
}

/// What is told to those who waited for an engine with which nothing is wrong.
pub fn unloaded() -> Problem {
    Problem::new(
        ProblemKind::Unavailable,
        "the model was unloaded before the answer was complete",
    )
    .next("Ask again; the model is then loaded again.")
}

/// Text from a worker that goes into a problem.
fn clean(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(300)
        .collect()
}
