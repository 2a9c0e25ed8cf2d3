//! Quarantine: handing in files and following what becomes of them.
//!
//! `submit`: `POST /v1/submissions?name=<file name>[&disarm=true]` with the bytes as the body; the answer is a stream of
//! [`SubmissionEvent`], one JSON object a line. `read`: `GET /v1/submissions`, `GET /v1/submissions/{id}`,
//! `GET /v1/status`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Problem;
use crate::registry::ModelSummary;
use crate::report::Report;

/// Query of a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmitQuery {
    /// File name as the person knows it. Used for display and for naming the model, never as a path.
    pub name: String,
    /// Whether a checkpoint is to be converted to safetensors, and only the result admitted. Other models come in as they are.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disarm: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Where a submission is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The bytes are coming in.
    Receiving,
    /// A worker reads them.
    Inspecting,
    /// A worker that has read it writes its tensors to a new file, which is inspected next.
    Converting,
    /// The registry copies and verifies them.
    Admitting,
    /// It is in the registry.
    Admitted,
    /// It was refused; the report says why. The bytes are gone.
    Refused,
    /// It could not be brought to an end; `problem` says why. The bytes are gone.
    Failed,
}

/// A submission as `read` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// Id, unique in this quarantine.
    pub id: String,
    /// Name as handed in, bounded, control characters removed.
    pub name: String,
    /// Whether it is to be converted, if it is a checkpoint.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disarm: bool,
    /// Where it is.
    pub stage: Stage,
    /// Bytes done in this stage.
    pub done_bytes: u64,
    /// Bytes to do, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    /// When it came in.
    pub received_at: Timestamp,
    /// When it reached `Admitted`, `Refused` or `Failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The report, once inspected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// The model, once admitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelSummary>,
    /// What went wrong, when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// What the answer to a submission streams. The last event is `Ended`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum SubmissionEvent {
    /// Work goes on.
    Progress {
        /// The submission's id.
        id: String,
        /// Where it is.
        stage: Stage,
        /// Bytes done in this stage.
        done_bytes: u64,
        /// Bytes to do in this stage.
        total_bytes: u64,
    },
    /// It came to an end; `submission.stage` says which.
    Ended {
        /// The submission in its final state.
        submission: Box<Submission>,
    },
}

/// Answer of `GET /v1/submissions`: the most recent first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submissions {
    /// The submissions.
    pub submissions: Vec<Submission>,
}
