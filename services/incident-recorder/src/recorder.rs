//! What the role sockets share: the ledger, the limits, and what is said about them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use holdfast_contract::ledger::{Append, Appended, Event, IncidentReport, Outcome};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::role::Service;
use holdfast_contract::status::{Confinement, ServiceStatus};
use holdfast_contract::{Digest, Problem, Timestamp};
use holdfast_ipc::Peer;
use holdfast_ledger::{AppendError, Draft, Ledger, Reader, Recovery};
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, Semaphore, oneshot};

use crate::config::Config;
use crate::rate::Rate;
use crate::words;

/// Readings at once. Each takes a thread.
const READS_AT_ONCE: usize = 4;
/// How long before an entry about the start that was refused is tried again.
const ANNOUNCE_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The longest class of an incident, in bytes.
const MAX_CLASS_BYTES: usize = 64;

/// The recorder's state.
pub struct Recorder {
    ledger: Ledger,
    reader: Reader,
    entries: Rate,
    reports: Rate,
    reads: Semaphore,
    confinement: Confinement,
    started_at: Timestamp,
    /// Whether the last append could not be written: only the change is logged.
    in_trouble: AtomicBool,
    ended: Notify,
}

impl Recorder {
    /// A recorder over an open ledger.
    pub fn new(ledger: Ledger, config: &Config, confinement: Confinement) -> Self {
        Self {
            reader: ledger.reader(),
            ledger,
            entries: Rate::new(config.entries_per_second),
            reports: Rate::new(config.reports_per_second),
            reads: Semaphore::new(READS_AT_ONCE),
            confinement,
            started_at: Timestamp::now(),
            in_trouble: AtomicBool::new(false),
            ended: Notify::new(),
        }
    }

    /// Records what `peer` decided.
    ///
    /// # Errors
    ///
    /// When it is not recorded.
    pub async fn append(&self, peer: &Peer, append: &Append) -> Result<Appended, Problem> {
        if append.event == Event::IncidentReported {
            let detail = "incidents are reported on the socket for reports, not appended";
            return Err(Problem::new(ProblemKind::Denied, detail));
        }
        if !self.entries.admits(peer.uid, Instant::now()) {
            return Err(words::busy());
        }
        self.record(&peer.name, append).await
    }

    /// Records an incident that `peer` reports.
    ///
    /// # Errors
    ///
    /// When it is not recorded.
    pub async fn report(&self, peer: &Peer, report: IncidentReport) -> Result<Appended, Problem> {
        if !is_class(&report.class) {
            let detail =
                "a class is a dotted name of lower-case letters, digits and dashes, such as worker.crashed";
            return Err(Problem::new(ProblemKind::Invalid, detail));
        }
        if !self.reports.admits(peer.uid, Instant::now()) {
            return Err(words::busy());
        }
        tracing::warn!(
            source = peer.name, class = report.class, severity = ?report.severity, subject = report.subject,
            summary = report.summary, "incident"
        );
        let detail = object(json!({
            "class": report.class, "severity": report.severity, "summary": report.summary,
        }));
        let append = Append {
            event: Event::IncidentReported,
            outcome: Outcome::Noted,
            subject: report.subject,
            detail,
        };
        self.record(&peer.name, &append).await
    }

    async fn record(&self, source: &str, append: &Append) -> Result<Appended, Problem> {
        let draft = Draft::new(source, append).map_err(|error| words::entry(&error))?;
        let (sender, receiver) = oneshot::channel();
        self.ledger
            .append(draft, Box::new(move |result| _ = sender.send(result)));
        let result = receiver.await.unwrap_or(Err(AppendError::Closed));
        self.note_trouble(result.as_ref().err());
        result.map_err(words::append)
    }

    fn note_trouble(&self, error: Option<&AppendError>) {
        let is_trouble = matches!(error, Some(AppendError::Trouble(_) | AppendError::Closed));
        if is_trouble != self.in_trouble.swap(is_trouble, Ordering::Relaxed) {
            match error {
                Some(error) => tracing::error!(%error, "entries are refused"),
                None => tracing::info!("entries are taken again"),
            }
        }
        if error == Some(&AppendError::Closed) {
            self.ended.notify_one();
        }
    }

    /// Resolves when the ledger has ended although nobody closed it.
    pub(crate) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// Runs `read` on the published ledger. `is_fresh` brings everything durable under a checkpoint first; where that is not
    /// possible at present, what was published before is read.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        is_fresh: bool,
        read: impl FnOnce(&Reader) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        if is_fresh {
            let (sender, receiver) = oneshot::channel();
            self.ledger
                .publish(Box::new(move |result| _ = sender.send(result)));
            if !matches!(receiver.await, Ok(Ok(()))) {
                tracing::debug!("read without a newer checkpoint");
            }
        }
        let failed = || Problem::new(ProblemKind::Internal, "the ledger could not be read");
        let _place = self.reads.acquire().await.map_err(|_| failed())?;
        let reader = self.reader.clone();
        tokio::task::spawn_blocking(move || read(&reader))
            .await
            .unwrap_or_else(|_| Err(failed()))
    }

    /// What the daemon says about itself.
    pub fn status(&self) -> ServiceStatus {
        let checkpoint = self.reader.head().checkpoint;
        let root = Digest::from_bytes(checkpoint.root).hex();
        let plural = if checkpoint.size == 1 { "entry" } else { "entries" };
        let mut summary = format!(
            "{} {plural}, head {}",
            checkpoint.size,
            root.get(..16).unwrap_or(&root)
        );
        if let Some(trouble) = self.ledger.trouble() {
            summary = format!("{summary}; nothing can be recorded: {trouble}");
        }
        ServiceStatus {
            service: Service::IncidentRecorder,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_at: self.started_at,
            confinement: self.confinement.clone(),
            summary,
        }
    }

    /// Publishes what was appended and ends the ledger.
    pub(crate) fn close(&self) {
        self.ledger.close();
    }
}

fn is_class(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    text.len() <= MAX_CLASS_BYTES && text.split('.').all(part)
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value {
        map
    } else {
        Map::new()
    }
}

/// Records that the recorder started and what it found. Returns what could not be recorded yet.
pub(crate) async fn announce(recorder: &Recorder, found: &Recovery) -> VecDeque<Append> {
    let name = Service::IncidentRecorder.name();
    let entry = |event, detail| Append {
        event,
        outcome: Outcome::Noted,
        subject: name.to_owned(),
        detail: object(detail),
    };
    let started = json!({ "version": env!("CARGO_PKG_VERSION"), "entries": found.size });
    let mut entries = VecDeque::from([entry(Event::ServiceStarted, started)]);
    if !found.is_clean() {
        entries.push_back(entry(Event::ServiceReconciled, reconciled(found)));
    }
    record_all(recorder, &mut entries).await;
    entries
}

/// Goes on with what [`announce`] could not record until it is recorded.
pub(crate) async fn announce_later(recorder: Arc<Recorder>, mut entries: VecDeque<Append>) {
    while !entries.is_empty() {
        tokio::time::sleep(ANNOUNCE_AGAIN_AFTER).await;
        record_all(&recorder, &mut entries).await;
    }
}

async fn record_all(recorder: &Recorder, entries: &mut VecDeque<Append>) {
    while let Some(entry) = entries.front() {
        if let Err(problem) = recorder.record(Service::IncidentRecorder.name(), entry).await {
            tracing::warn!(%problem, "the start is not recorded yet");
            return;
        }
        entries.pop_front();
    }
}

/// The facts that are not what they are after an orderly stop.
fn reconciled(found: &Recovery) -> Value {
    let numbers = [
        ("published_entries", found.published_entries),
        ("torn_bytes", found.torn_bytes),
        ("torn_history_bytes", found.torn_history_bytes),
        ("rebuilt_files", found.rebuilt_files),
        ("entries_from_bundles", found.entries_from_bundles),
    ];
    let facts = [
        ("history_repaired", found.history_repaired),
        ("checkpoint_repaired", found.checkpoint_repaired),
    ];
    let numbers = numbers
        .into_iter()
        .filter(|(_, number)| *number > 0)
        .map(|(name, number)| (name, Value::from(number)));
    let facts = facts
        .into_iter()
        .filter(|(_, is_so)| *is_so)
        .map(|(name, is_so)| (name, Value::from(is_so)));
    Value::Object(
        numbers
            .chain(facts)
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_dotted_names() {
        for class in ["worker.crashed", "a", "registry.entry-withheld", "x.1.y"] {
            assert!(is_class(class), "{class}");
        }
        let long = "a".repeat(MAX_CLASS_BYTES + 1);
        for class in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "Worker",
            "a b",
            "a\n",
            "ä",
            long.as_str(),
        ] {
            assert!(!is_class(class), "{class}");
        }
    }

    #[test]
    fn only_what_was_reconciled_is_recorded() {
        let found = Recovery {
            size: 9,
            torn_bytes: 4096,
            history_repaired: true,
            ..Recovery::default()
        };
        assert_eq!(
            reconciled(&found),
            json!({ "torn_bytes": 4096, "history_repaired": true })
        );
    }
}
