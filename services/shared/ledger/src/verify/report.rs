//! What a verification found, for people and for scripts.

use std::fmt;

use holdfast_contract::Digest;
use serde::Serialize;

/// The most findings that are listed; more are counted.
const MAX_FINDINGS: usize = 64;

/// What is wrong. The serialized name is stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// There is no checkpoint, so nothing is vouched for.
    CheckpointMissing,
    /// The checkpoint is not validly signed by the key.
    CheckpointInvalid,
    /// The checkpoint is not the newest one that the history has.
    CheckpointOutdated,
    /// A record of the history is not a checkpoint validly signed by the key.
    HistoryInvalid,
    /// The history lacks the newest checkpoint, or its records are out of order.
    HistoryIncomplete,
    /// Two signed checkpoints contradict each other.
    Fork,
    /// The entries are not those that a signed checkpoint covers.
    Rewritten,
    /// An entry is not the one that its tile has the hash of.
    EntryChanged,
    /// An entry is not canonical JSON of a ledger entry, or is older than the one before it.
    EntryInvalid,
    /// A tile is not what its entries make it.
    TileChanged,
    /// A file that the tree must have is missing.
    Missing,
    /// A file is cut off or otherwise not built as it must be.
    Malformed,
    /// A file cannot be read.
    Unreadable,
    /// The ledger is older than a checkpoint that was kept elsewhere.
    Rollback,
    /// The checkpoint that was kept elsewhere is not validly signed by the key.
    WitnessInvalid,
    /// The checkpoint that was kept elsewhere is of another history than this ledger.
    WitnessContradicted,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind.
    pub kind: FindingKind,
    /// Where: a file or a range of entries.
    pub place: String,
    /// What was found, in one sentence.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Whether everything is as it was signed.
    pub ok: bool,
    /// Entries that the newest checkpoint covers.
    pub size: u64,
    /// The root that the newest checkpoint commits to.
    pub root: Option<Digest>,
    /// Signed checkpoints that were checked against the entries.
    pub checkpoints: u64,
    /// Entries in the write-ahead log that no checkpoint covers yet.
    pub uncovered_entries: u64,
    /// What is wrong, in the order of the ledger.
    pub findings: Vec<Finding>,
    /// How many more findings there were than are listed.
    pub findings_omitted: u64,
    /// What is worth knowing and not wrong.
    pub remarks: Vec<String>,
}

impl VerifyReport {
    pub(super) fn new() -> Self {
        Self {
            ok: true,
            size: 0,
            root: None,
            checkpoints: 0,
            uncovered_entries: 0,
            findings: Vec::new(),
            findings_omitted: 0,
            remarks: Vec::new(),
        }
    }

    pub(super) fn find(&mut self, kind: FindingKind, place: impl Into<String>, message: impl Into<String>) {
        self.add([Finding {
            kind,
            place: place.into(),
            message: message.into(),
        }]);
    }

    pub(super) fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            self.ok = false;
            if self.findings.len() < MAX_FINDINGS {
                self.findings.push(finding);
            } else {
                self.findings_omitted += 1;
            }
        }
    }

    /// Whether there is a finding of this kind.
    pub fn has(&self, kind: FindingKind) -> bool {
        self.findings.iter().any(|finding| finding.kind == kind)
    }
}
