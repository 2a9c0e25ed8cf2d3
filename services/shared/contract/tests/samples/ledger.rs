//! Ledger entries and what is asked about them.

use holdfast_contract::ledger::{
    Append, Appended, ConsistencyQuery, Entries, EntriesQuery, Entry, Event, IncidentReport, InclusionQuery,
    IndexedEntry, Outcome, Proof,
};
use holdfast_contract::report::Severity;

use super::{Sample, any, digest, moment, strict};

fn entry() -> Entry {
    let mut detail = serde_json::Map::new();
    detail.insert("size_bytes".to_owned(), 7.into());
    Entry {
        time: moment(),
        source: "quarantine".to_owned(),
        event: Event::IntakeInspected,
        outcome: Outcome::Denied,
        subject: digest(1).to_string(),
        detail,
    }
}

pub fn samples() -> Vec<Sample> {
    let bare = Append {
        event: Event::ServiceStarted,
        outcome: Outcome::Noted,
        subject: "console".to_owned(),
        detail: serde_json::Map::new(),
    };
    let entry = entry();
    let full = Append {
        event: entry.event,
        outcome: entry.outcome,
        subject: entry.subject.clone(),
        detail: entry.detail.clone(),
    };
    let unadorned = Entry {
        detail: serde_json::Map::new(),
        ..entry.clone()
    };
    let indexed = IndexedEntry {
        index: 3,
        entry: entry.clone(),
    };
    vec![
        any(&[
            Event::ServiceStarted,
            Event::ServiceReconciled,
            Event::IntakeReceived,
            Event::IntakeInspected,
            Event::IntakeFailed,
            Event::ModelAdmit,
            Event::ModelOpen,
            Event::ModelRemove,
            Event::EngineLifecycle,
            Event::EngineGenerate,
            Event::ConsoleSignIn,
            Event::ConsoleToken,
            Event::ConsoleHistory,
            Event::VaultState,
            Event::VaultKey,
            Event::VaultPanic,
            Event::IncidentReported,
        ]),
        any(&[Outcome::Allowed, Outcome::Denied, Outcome::Failed, Outcome::Noted]),
        strict(&[bare, full]),
        strict(&[entry, unadorned]),
        strict(&[Appended {
            index: 3,
            leaf: digest(2),
        }]),
        strict(&[
            EntriesQuery {
                from: None,
                limit: 10,
            },
            EntriesQuery {
                from: Some(5),
                limit: 10,
            },
        ]),
        strict(std::slice::from_ref(&indexed)),
        strict(&[Entries {
            size: 4,
            entries: vec![indexed],
        }]),
        strict(&[InclusionQuery { index: 3, size: 4 }]),
        strict(&[ConsistencyQuery { from: 3, to: 4 }]),
        strict(&[Proof {
            hashes: vec![digest(3), digest(4)],
        }]),
        strict(&[IncidentReport {
            class: "worker.crashed".to_owned(),
            severity: Severity::Medium,
            subject: digest(1).to_string(),
            summary: "the engine crashed".to_owned(),
        }]),
    ]
}
