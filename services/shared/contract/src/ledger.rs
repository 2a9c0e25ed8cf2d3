//! The incident recorder's ledger: appending decisions and reading them with proofs.
//!
//! `append`: `POST /v1/entries` with [`Append`], answered by [`Appended`] once the entry is durable.
//! `report`: `POST /v1/reports` with [`IncidentReport`], answered likewise. `read`: `GET /v1/checkpoint` (text, a C2SP signed
//! note), `GET /v1/entries?from=&limit=` ([`Entries`]), `GET /v1/proofs/inclusion?index=&size=` and
//! `GET /v1/proofs/consistency?from=&to=` ([`Proof`]), `GET /v1/status`, and `GET /v1/tile/…` as C2SP tlog-tiles has it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::report::Severity;

/// What happened, as a stable dotted name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Event {
    /// A daemon started serving, or came back after a failure.
    #[serde(rename = "service.started")]
    ServiceStarted,
    /// Start-up found half-done work of an earlier run and dealt with it.
    #[serde(rename = "service.reconciled")]
    ServiceReconciled,
    /// A file was handed in.
    #[serde(rename = "intake.received")]
    IntakeReceived,
    /// A file was inspected; `outcome` is the verdict.
    #[serde(rename = "intake.inspected")]
    IntakeInspected,
    /// A file could not be brought to a verdict.
    #[serde(rename = "intake.failed")]
    IntakeFailed,
    /// The registry admitted a model, or refused to.
    #[serde(rename = "model.admit")]
    ModelAdmit,
    /// The registry handed out a descriptor, or refused to.
    #[serde(rename = "model.open")]
    ModelOpen,
    /// A model was removed.
    #[serde(rename = "model.remove")]
    ModelRemove,
    /// An engine was started or stopped.
    #[serde(rename = "engine.lifecycle")]
    EngineLifecycle,
    /// Text or embeddings were generated. Never holds the text.
    #[serde(rename = "engine.generate")]
    EngineGenerate,
    /// A passphrase was chosen, a person signed in or out, or failed to.
    #[serde(rename = "console.sign-in")]
    ConsoleSignIn,
    /// An API token was made or revoked.
    #[serde(rename = "console.token")]
    ConsoleToken,
    /// A conversation was deleted.
    #[serde(rename = "console.history")]
    ConsoleHistory,
    /// The vault was made, opened, locked, or could not be.
    #[serde(rename = "vault.state")]
    VaultState,
    /// A key of the vault was added, confirmed or removed.
    #[serde(rename = "vault.key")]
    VaultKey,
    /// A panic level was asked for, called off, carried out.
    #[serde(rename = "vault.panic")]
    VaultPanic,
    /// A detector reported a suspected incident.
    #[serde(rename = "incident.reported")]
    IncidentReported,
}

/// How a decision went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Allowed, or done.
    Allowed,
    /// Refused by decision.
    Denied,
    /// Could not be done.
    Failed,
    /// Nothing was decided; it is noted.
    Noted,
}

/// Body of `POST /v1/entries`. Holds no secrets and no prompts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Append {
    /// What happened.
    pub event: Event,
    /// How it went.
    pub outcome: Outcome,
    /// To what: a digest, a submission id, a service.
    pub subject: String,
    /// Further facts, small: strings, integers, booleans.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub detail: serde_json::Map<String, serde_json::Value>,
}

/// An entry as the ledger keeps it. Its leaf is the canonical JSON (RFC 8785) of this object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// When the recorder took it in, UTC, with microseconds; never before the entry before it.
    pub time: Timestamp,
    /// Who appended it, named by the kernel (`SO_PEERCRED`), not by itself.
    pub source: String,
    /// What happened.
    pub event: Event,
    /// How it went.
    pub outcome: Outcome,
    /// To what.
    pub subject: String,
    /// Further facts.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub detail: serde_json::Map<String, serde_json::Value>,
}

/// Answer to an append: the entry is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Appended {
    /// The entry's place in the ledger, from 0.
    pub index: u64,
    /// RFC 6962 hash of its leaf.
    pub leaf: Digest,
}

/// Query of `GET /v1/entries`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntriesQuery {
    /// First index; none gives the most recent `limit` entries.
    #[serde(default)]
    pub from: Option<u64>,
    /// How many, at most [`crate::limits::MAX_ENTRIES_PER_ANSWER`].
    pub limit: u64,
}

/// An entry with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexedEntry {
    /// Its place, from 0.
    pub index: u64,
    /// The entry.
    pub entry: Entry,
}

/// Answer of `GET /v1/entries`, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entries {
    /// Entries in the ledger.
    pub size: u64,
    /// The entries asked for.
    pub entries: Vec<IndexedEntry>,
}

/// Query of `GET /v1/proofs/inclusion`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InclusionQuery {
    /// The entry whose place is to be proven.
    pub index: u64,
    /// The size of the tree, from a checkpoint.
    pub size: u64,
}

/// Query of `GET /v1/proofs/consistency`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyQuery {
    /// The size of the older tree.
    pub from: u64,
    /// The size of the newer tree.
    pub to: u64,
}

/// An RFC 6962 inclusion or consistency proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The node hashes, in the order of the RFC.
    pub hashes: Vec<Digest>,
}

/// Characters of a reason in an entry's detail.
const MAX_REASON_CHARS: usize = 500;

/// A reason as an entry holds it: its begin, where it is long.
pub fn short(reason: &str) -> String {
    reason.chars().take(MAX_REASON_CHARS).collect()
}

/// A detector's report of a suspected incident, body of `POST /v1/reports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncidentReport {
    /// The incident's class, a stable dotted name such as `worker.crashed`.
    pub class: String,
    /// How grave.
    pub severity: Severity,
    /// What it concerns.
    pub subject: String,
    /// What was seen, in one sentence, without secrets or prompts.
    pub summary: String,
}
