//! Appending to the ledger. What cannot be recorded is not done: callers treat a failure as a refusal.

use holdfast_contract::Problem;
use holdfast_contract::ledger::{Append, Appended, Event, IncidentReport, Outcome};
use holdfast_contract::role;
use serde_json::{Map, Value};

use crate::{Client, Surroundings};

/// A daemon's way to the incident recorder.
#[derive(Debug, Clone)]
pub struct Recorder {
    append: Client,
    report: Client,
}

impl Recorder {
    /// The recorder of these surroundings. Nothing is connected yet.
    pub fn new(surroundings: &Surroundings) -> Self {
        Self {
            append: Client::new(surroundings.role(role::RECORDER_APPEND)),
            report: Client::new(surroundings.role(role::RECORDER_REPORT)),
        }
    }

    /// Appends an entry; returns once it is durable.
    ///
    /// # Errors
    ///
    /// When the recorder does not answer or cannot write.
    pub async fn append(&self, entry: &Append) -> Result<Appended, Problem> {
        self.append.post("/v1/entries", entry).await
    }

    /// Appends an entry made from its parts. `detail` must be a JSON object; anything else is left out.
    ///
    /// # Errors
    ///
    /// Like [`Recorder::append`].
    pub async fn record(
        &self,
        event: Event,
        outcome: Outcome,
        subject: impl Into<String>,
        detail: Value,
    ) -> Result<Appended, Problem> {
        let detail = if let Value::Object(detail) = detail {
            detail
        } else {
            Map::new()
        };
        self.append(&Append {
            event,
            outcome,
            subject: subject.into(),
            detail,
        })
        .await
    }

    /// Reports a suspected incident.
    ///
    /// # Errors
    ///
    /// Like [`Recorder::append`].
    pub async fn report(&self, incident: &IncidentReport) -> Result<Appended, Problem> {
        self.report.post("/v1/reports", incident).await
    }
}
