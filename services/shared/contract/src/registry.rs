//! Registry: admitting, listing and opening models.
//!
//! `read`: `GET /v1/models`, `GET /v1/models/{digest}`, `GET /v1/status`. `admin`: `DELETE /v1/models/{digest}`.
//! `open` and `admit` speak packets with descriptors (`holdfast_ipc::descriptor`).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::report::{Condition, ModelFacts, Report, Verdict};
use crate::{Digest, Problem};

/// Whether an admitted model can be opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Availability {
    /// It can be opened.
    #[default]
    Ready,
    /// Its file is not the one that was last verified; it is being read anew and can be opened once its digest holds.
    Verifying,
    /// Its file is not what was admitted. It stays closed until the same bytes are admitted again.
    Damaged,
}

impl Availability {
    /// Whether the model can be opened.
    pub fn is_ready(&self) -> bool {
        *self == Self::Ready
    }
}

/// An admitted model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSummary {
    /// SHA-256 of the model file; the model's identity everywhere.
    pub digest: Digest,
    /// Name for people: unique in this registry, made from the file name.
    pub name: String,
    /// Size of the file, in bytes.
    pub size_bytes: u64,
    /// Format, `gguf` or `safetensors`.
    pub format: String,
    /// `admit` or `conditional`.
    pub verdict: Verdict,
    /// What binds whoever uses it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// What the inspection learnt about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelFacts>,
    /// When it was admitted.
    pub admitted_at: Timestamp,
    /// Whether it can be opened. Absent on the wire while it can.
    #[serde(default, skip_serializing_if = "Availability::is_ready")]
    pub availability: Availability,
}

/// Answer of `GET /v1/models`, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Models {
    /// The models.
    pub models: Vec<ModelSummary>,
}

/// Answer of `GET /v1/models/{digest}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelDetail {
    /// The model.
    pub summary: ModelSummary,
    /// The report that was signed into its scan statement.
    pub report: Report,
    /// Digest of its OCI manifest.
    pub manifest: Digest,
    /// Digest of the DSSE envelope with the scan statement.
    pub statement: Digest,
}

/// Answer of `DELETE /v1/models/{digest}`. The digest is a model's, or the manifest's of an entry that is withheld.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Removed {
    /// What was removed.
    pub digest: Digest,
    /// The name that it had.
    pub name: String,
}

/// Packet on `open`, from inference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenRequest {
    /// Which model.
    pub digest: Digest,
}

/// Packet on `open`, from the registry. `Opened` carries one read-only descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum OpenAnswer {
    /// The descriptor in this packet reads the verified model.
    Opened {
        /// What it is, with the conditions that bind the caller.
        model: Box<ModelSummary>,
    },
    /// No descriptor, for this reason.
    Problem {
        /// The reason.
        problem: Problem,
    },
}

/// Packet on `admit`, from quarantine, with one descriptor that reads the artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdmitRequest {
    /// File name as handed in; the registry makes the model's name from it.
    pub name: String,
    /// DSSE envelope (JSON text) with the signed scan statement.
    pub envelope: String,
}

/// Packets on `admit`, from the registry: any number of `Progress`, then one of the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum AdmitAnswer {
    /// Bytes copied and hashed so far.
    Progress {
        /// Done.
        done_bytes: u64,
        /// To do.
        total_bytes: u64,
    },
    /// It is in the store.
    Admitted {
        /// The model.
        model: Box<ModelSummary>,
        /// Whether the same bytes had been admitted before.
        already_present: bool,
    },
    /// It is not in the store, for this reason.
    Problem {
        /// The reason.
        problem: Problem,
    },
}
