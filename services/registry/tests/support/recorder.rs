//! A stand-in for the incident recorder. Other daemons' tests use this file too.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::post;
use holdfast_contract::ledger::{Append, Appended, Event, IncidentReport, Outcome};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::role::{self, Service};
use holdfast_contract::{Digest, Problem};
use holdfast_ipc::{Answer, Json, Limits, Server};

/// Remembers what it was told, or refuses to.
#[derive(Clone, Default)]
pub struct Recorder {
    pub entries: Arc<Mutex<Vec<Append>>>,
    pub incidents: Arc<Mutex<Vec<IncidentReport>>>,
    pub refuses: Arc<AtomicBool>,
}

impl Recorder {
    /// Listens below `run`, on a thread of its own.
    pub fn start(run: &Path) -> Self {
        let recorder = Self::default();
        std::fs::create_dir_all(run.join("incident-recorder")).unwrap();
        let append = std::os::unix::net::UnixListener::bind(role::RECORDER_APPEND.path(run)).unwrap();
        let report = std::os::unix::net::UnixListener::bind(role::RECORDER_REPORT.path(run)).unwrap();
        let state = recorder.clone();
        std::thread::spawn(move || {
            let appends = axum::Router::new()
                .route("/v1/entries", post(append_entry))
                .with_state(state.clone());
            let reports = axum::Router::new()
                .route("/v1/reports", post(append_report))
                .with_state(state);
            holdfast_ipc::block_on(1, async {
                Server::new(Service::IncidentRecorder)
                    .http(append, appends, Limits::PLAIN)?
                    .http(report, reports, Limits::PLAIN)?
                    .run()
                    .await
            })
        });
        recorder
    }

    pub fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::SeqCst);
    }

    /// The entries about one kind of event, as outcome and subject.
    pub fn of(&self, event: Event) -> Vec<(Outcome, String)> {
        let entries = self.entries.lock().unwrap();
        entries
            .iter()
            .filter(|entry| entry.event == event)
            .map(|entry| (entry.outcome, entry.subject.clone()))
            .collect()
    }

    pub fn incidents(&self) -> Vec<IncidentReport> {
        self.incidents.lock().unwrap().clone()
    }

    fn answer(&self) -> Answer<Appended> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(Problem::new(ProblemKind::NoSpace, "the ledger is full").into());
        }
        Ok(Json(Appended {
            index: 0,
            leaf: Digest::from_bytes([0; 32]),
        }))
    }
}

async fn append_entry(State(recorder): State<Recorder>, Json(entry): Json<Append>) -> Answer<Appended> {
    let answer = recorder.answer()?;
    recorder.entries.lock().unwrap().push(entry);
    Ok(answer)
}

async fn append_report(
    State(recorder): State<Recorder>,
    Json(report): Json<IncidentReport>,
) -> Answer<Appended> {
    let answer = recorder.answer()?;
    recorder.incidents.lock().unwrap().push(report);
    Ok(answer)
}
