//! What the ledger learns of engines and answers: what happened and how much, never a word of what was said.

use holdfast_contract::engine::ChatFormat;
use holdfast_contract::ledger::{Event, IncidentReport, Outcome};
use holdfast_contract::report::Severity;
use holdfast_contract::{Digest, Problem};
use holdfast_ipc::Recorder;
use serde_json::{Value, json};

/// Writes to the ledger and reports incidents.
#[derive(Debug, Clone)]
pub struct Evidence(Recorder);

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// `generate` or `embed`.
    pub kind: &'static str,
    /// Whom the kernel named as the caller.
    pub caller: String,
    /// `stop`, `length`, `done`, `cancelled` or `failed`.
    pub end: &'static str,
    /// Tokens in the prompt.
    pub prompt_tokens: u32,
    /// Tokens generated.
    pub completion_tokens: u32,
    /// How the conversation was formatted, where there was one.
    pub format: Option<ChatFormat>,
}

impl Evidence {
    /// Evidence that goes to `recorder`.
    pub const fn new(recorder: Recorder) -> Self {
        Self(recorder)
    }

    /// The daemon began to serve.
    pub async fn service_started(&self) {
        let subject = holdfast_contract::role::Service::Inference.name();
        if let Err(problem) = self
            .0
            .record(Event::ServiceStarted, Outcome::Noted, subject, json!({}))
            .await
        {
            tracing::error!(%problem, "the start is not in the ledger");
        }
    }

    /// An engine has loaded its model. It may not be used before this is recorded.
    ///
    /// # Errors
    ///
    /// When it cannot be recorded.
    pub async fn started(&self, model: Digest, detail: Value) -> Result<(), Problem> {
        self.lifecycle(Outcome::Allowed, model, detail).await
    }

    /// An engine was stopped, or did not come to be.
    pub async fn ended(&self, outcome: Outcome, model: Digest, detail: Value) {
        if let Err(problem) = self.lifecycle(outcome, model, detail).await {
            tracing::error!(%problem, %model, "an engine's end is not in the ledger");
        }
    }

    async fn lifecycle(&self, outcome: Outcome, model: Digest, detail: Value) -> Result<(), Problem> {
        self.0
            .record(Event::EngineLifecycle, outcome, model.to_string(), detail)
            .await
            .map(drop)
    }

    /// A request ended.
    ///
    /// # Errors
    ///
    /// When it cannot be recorded; the caller must not be told then that all is well.
    pub async fn answered(&self, model: Digest, answered: Answered) -> Result<(), Problem> {
        let outcome = match answered.end {
            "failed" => Outcome::Failed,
            "cancelled" => Outcome::Noted,
            _ => Outcome::Allowed,
        };
        let mut detail = json!({
            "kind": answered.kind,
            "caller": answered.caller,
            "end": answered.end,
            "prompt_tokens": answered.prompt_tokens,
            "completion_tokens": answered.completion_tokens,
        });
        if let (Some(format), Value::Object(detail)) = (answered.format, &mut detail) {
            detail.insert("format".to_owned(), format.name().into());
        }
        self.0
            .record(Event::EngineGenerate, outcome, model.to_string(), detail)
            .await
            .map(drop)
    }

    /// A worker crashed, or did what a sound one does not do.
    pub async fn incident(&self, model: Digest, class: &'static str, severity: Severity, summary: String) {
        let report = IncidentReport {
            class: class.to_owned(),
            severity,
            subject: model.to_string(),
            summary,
        };
        if let Err(problem) = self.0.report(&report).await {
            tracing::error!(%problem, class, "incident not reported");
        }
    }
}
