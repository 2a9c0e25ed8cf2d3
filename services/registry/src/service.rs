//! What the role sockets share: the store, the way to the ledger, and the work that goes on in the background.

use std::sync::Arc;

use holdfast_contract::ledger::{Event, IncidentReport, Outcome, short};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::report::Severity;
use holdfast_contract::role::Service;
use holdfast_contract::status::{Confinement, ServiceStatus};
use holdfast_contract::{Digest, Problem, Timestamp};
use holdfast_ipc::{Peer, Recorder};
use holdfast_statement::Vkey;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

use crate::locks::DigestLocks;
use crate::store::{Reconciled, Store, StoreError};
use crate::verifier::Verifier;

/// The daemon's state.
pub struct Registry {
    /// The models.
    pub store: Arc<Store>,
    /// Who reads a model's file anew.
    pub verifier: Verifier,
    pub(crate) trusted: Vec<Vkey>,
    pub(crate) locks: DigestLocks,
    pub(crate) copies: Semaphore,
    pub(crate) stopping: watch::Receiver<bool>,
    recorder: Recorder,
    confinement: Confinement,
    started_at: Timestamp,
}

impl Registry {
    /// A registry over `store`, whose background work ends when `stopping` becomes true. Must be called inside the runtime.
    pub fn new(
        store: Arc<Store>,
        trusted: Vec<Vkey>,
        recorder: Recorder,
        confinement: Confinement,
        copies_at_once: usize,
        stopping: watch::Receiver<bool>,
    ) -> Arc<Self> {
        let verifier = Verifier::start(Arc::clone(&store), recorder.clone(), stopping.clone());
        for model in store.unverified() {
            verifier.enqueue(model.digest());
        }
        Arc::new(Self {
            store,
            verifier,
            trusted,
            locks: DigestLocks::default(),
            copies: Semaphore::new(copies_at_once),
            stopping,
            recorder,
            confinement,
            started_at: Timestamp::now(),
        })
    }

    /// What the daemon says about itself.
    pub fn status(&self) -> ServiceStatus {
        let (models, bytes, withheld) = self.store.totals();
        let plural = if models == 1 { "" } else { "s" };
        let mut summary = format!("{models} model{plural}, {}", in_words(bytes));
        if withheld > 0 {
            summary = format!("{summary}; {withheld} withheld, see the ledger");
        }
        ServiceStatus {
            service: Service::Registry,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_at: self.started_at,
            confinement: self.confinement.clone(),
            summary,
        }
    }

    /// Records what was decided or done. `detail` is a JSON object.
    ///
    /// # Errors
    ///
    /// When the ledger does not take it: what was asked for must not be done then.
    pub async fn record(
        &self,
        event: Event,
        outcome: Outcome,
        subject: impl Into<String>,
        detail: Value,
    ) -> Result<(), Problem> {
        self.recorder
            .record(event, outcome, subject, detail)
            .await
            .map(|_| ())
    }

    /// Records a refusal or a failure. That it cannot be recorded changes nothing: it stays a refusal.
    pub(crate) async fn record_refusal(
        &self,
        event: Event,
        outcome: Outcome,
        subject: impl Into<String>,
        peer: &Peer,
        reason: &str,
    ) {
        let detail = json!({ "by": peer.name, "reason": short(reason) });
        if let Err(problem) = self.record(event, outcome, subject, detail).await {
            tracing::error!(%problem, reason, "a refusal was not recorded");
        }
    }

    /// Records that the daemon came up and what it found half-done. Tries until it is recorded.
    pub async fn record_start(&self, reconciled: &Reconciled) {
        let (models, ..) = self.store.totals();
        let started = json!({ "version": env!("CARGO_PKG_VERSION"), "models": models });
        self.record_surely(Event::ServiceStarted, started).await;
        if !reconciled.is_empty() {
            self.record_surely(Event::ServiceReconciled, reconciliation(reconciled))
                .await;
        }
        for (manifest, why) in reconciled.withheld.iter().take(16) {
            let incident = IncidentReport {
                class: "registry.entry-withheld".to_owned(),
                severity: Severity::High,
                subject: manifest.to_string(),
                summary: format!("an entry of the model store is not served: {why}"),
            };
            if let Err(problem) = self.recorder.report(&incident).await {
                tracing::error!(%problem, "an incident was not reported");
            }
        }
    }

    async fn record_surely(&self, event: Event, detail: Value) {
        let mut stopping = self.stopping.clone();
        while let Err(problem) = self
            .record(event, Outcome::Noted, "registry", detail.clone())
            .await
        {
            tracing::warn!(%problem, "the start is not recorded yet");
            tokio::select! {
                () = stopped(&mut stopping) => return,
                () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {}
            }
        }
    }
}

fn reconciliation(reconciled: &Reconciled) -> Value {
    let texts = |digests: &[Digest]| digests.iter().map(Digest::to_string).collect::<Vec<_>>();
    let withheld: Vec<_> = reconciled
        .withheld
        .iter()
        .take(32)
        .map(|(manifest, _)| *manifest)
        .collect();
    let undone = reconciled.undone.as_ref();
    json!({
        "undone": undone.map(|undone| json!({
            "change": undone.change,
            "name": undone.name,
            "manifest": undone.manifest.to_string(),
        })),
        "drafts_removed": reconciled.drafts,
        "blobs_removed": reconciled.blobs_removed,
        "blobs": texts(&reconciled.blobs),
        "entries_withheld": texts(&withheld),
    })
}

/// A number of bytes for people.
fn in_words(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let mut unit = None;
    let mut rest = bytes;
    let mut below = 0;
    for next in UNITS {
        if rest < 1000 {
            break;
        }
        below = rest % 1000 / 100;
        rest /= 1000;
        unit = Some(next);
    }
    match unit {
        None => format!("{rest} bytes"),
        Some(unit) if rest < 10 && below > 0 => format!("{rest}.{below} {unit}"),
        Some(unit) => format!("{rest} {unit}"),
    }
}

/// An error of the store as a caller sees it. Causes that are nobody's business go to the log.
pub fn problem_of(error: &StoreError, doing: &str) -> Problem {
    if error.is_full() {
        return Problem::new(ProblemKind::NoSpace, format!("there is no room left to {doing}"))
            .next("Free some space on the device of the state directory, or remove a model, and try again.");
    }
    match error {
        StoreError::OtherBytes { .. } | StoreError::NotAFile => {
            Problem::new(ProblemKind::Invalid, error.to_string())
        }
        StoreError::Bytes(
            bytes @ (crate::store::BytesError::Shorter { .. } | crate::store::BytesError::Longer { .. }),
        ) => Problem::new(ProblemKind::Invalid, bytes.to_string()),
        StoreError::Bytes(crate::store::BytesError::Cancelled) => {
            Problem::new(ProblemKind::Deadline, format!("it took too long to {doing}"))
        }
        StoreError::TooMany(_) => Problem::new(ProblemKind::TooLarge, error.to_string())
            .next("Remove a model that is not used any more."),
        error => {
            tracing::error!(error = error as &dyn std::error::Error, doing, "the store failed");
            Problem::new(
                ProblemKind::Internal,
                format!("the registry could not {doing}; its log has the cause"),
            )
        }
    }
}

/// Ends when the daemon is asked to stop.
pub async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the server is gone, which is as good.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Runs work on the file system beside the event loop.
///
/// # Errors
///
/// When the work ended without a result.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "work in the background ended without a result");
        Problem::new(
            ProblemKind::Internal,
            "the registry failed; its log has the cause",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_000, "1 kB"),
            (3_960_000, "3.9 MB"),
            (12_000_000, "12 MB"),
            (4_200_000_000, "4.2 GB"),
            (64_000_000_000_000_000, "64000 TB"),
        ] {
            assert_eq!(in_words(bytes), text);
        }
    }

    #[test]
    fn a_full_device_is_said_to_be_full() {
        let full = |kind| StoreError::Io {
            action: "write",
            source: std::io::Error::from(kind),
        };
        for kind in [std::io::ErrorKind::StorageFull, std::io::ErrorKind::QuotaExceeded] {
            let problem = problem_of(&full(kind), "admit it");
            assert_eq!(problem.kind, ProblemKind::NoSpace);
            assert!(problem.next.is_some());
        }
        let other = problem_of(&full(std::io::ErrorKind::PermissionDenied), "admit it");
        assert_eq!(other.kind, ProblemKind::Internal);
    }
}
