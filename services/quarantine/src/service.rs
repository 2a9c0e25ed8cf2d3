//! What becomes of a file: received, inspected in a jailed worker, signed for, handed to the registry – or refused.
//!
//! The bytes are never looked at in this process. A file goes on only with the ledger's entry of the step before.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use holdfast_contract::ledger::{Event, IncidentReport, Outcome};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::quarantine::{Stage, Submission};
use holdfast_contract::registry::{AdmitRequest, ModelSummary};
use holdfast_contract::report::{Report, Severity, Verdict};
use holdfast_contract::role::Service;
use holdfast_contract::status::{Confinement, ServiceStatus};
use holdfast_contract::{Problem, Timestamp};
use holdfast_formats::rules;
use holdfast_inspection::Worker;
use holdfast_ipc::{Peer, Recorder};
use holdfast_statement::StatementKey;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::Config;
use crate::directory::{Directory, Nameless};
use crate::disarm::Disarmed;
use crate::receive::{Limits, receive};
use crate::register::{Entry, Register};
use crate::registry;

/// The daemon's state.
pub struct Quarantine {
    pub(crate) config: Config,
    pub(crate) intake: Directory,
    pub(crate) register: Register,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) workers: Semaphore,
    pub(crate) worker: Worker,
    key: StatementKey,
    registry: PathBuf,
    recorder: Recorder,
    confinement: Confinement,
    started_at: Timestamp,
}

/// How a submission ended, where it was not a failure.
enum End {
    Admitted(ModelSummary),
    Refused(Option<Problem>),
}

/// What the daemon needs besides its state directory.
pub struct Surrounded {
    /// The program that inspects.
    pub worker: Worker,
    /// The key that statements are signed with.
    pub key: StatementKey,
    /// The registry's socket `admit`.
    pub registry: PathBuf,
    /// The way to the ledger.
    pub recorder: Recorder,
    /// How this process is confined.
    pub confinement: Confinement,
}

impl Quarantine {
    /// A quarantine over its directories.
    pub fn new(config: Config, intake: Directory, register: Register, surrounded: Surrounded) -> Arc<Self> {
        let Surrounded {
            worker,
            key,
            registry,
            recorder,
            confinement,
        } = surrounded;
        Arc::new(Self {
            intake,
            register,
            places: Arc::new(Semaphore::new(config.submissions_at_once)),
            workers: Semaphore::new(config.workers_at_once),
            config,
            worker,
            key,
            registry,
            recorder,
            confinement,
            started_at: Timestamp::now(),
        })
    }

    /// What the daemon says about itself.
    pub fn status(&self) -> ServiceStatus {
        let free = self.places.available_permits();
        let busy = self.config.submissions_at_once.saturating_sub(free);
        let kept = self.register.list().len();
        ServiceStatus {
            service: Service::Quarantine,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_at: self.started_at,
            confinement: self.confinement.clone(),
            summary: match (busy, kept) {
                (0, 0) => "nothing was handed in yet".to_owned(),
                (0, _) => format!("idle, {kept} submissions remembered"),
                _ => format!("{busy} on their way, {kept} submissions remembered"),
            },
        }
    }

    /// Brings a submission to its end, whether or not anybody follows.
    pub async fn take_in(
        self: Arc<Self>,
        entry: Arc<Entry>,
        file: Nameless,
        body: Body,
        peer: Peer,
        place: OwnedSemaphorePermit,
    ) {
        let ended = self.bring_in(&entry, file, body, &peer).await;
        let (stage, model, problem) = match ended {
            Ok(End::Admitted(model)) => (Stage::Admitted, Some(model), None),
            Ok(End::Refused(problem)) => (Stage::Refused, None, problem),
            Err(problem) => {
                let submission = entry.submission();
                self.record_failure(entry.id(), &submission.name, &peer.name, &problem)
                    .await;
                (Stage::Failed, None, Some(problem))
            }
        };
        drop(place);
        tracing::info!(submission = entry.id(), ?stage, "submission ended");
        self.register.end(&entry, stage, model, problem, Timestamp::now());
    }

    async fn bring_in(&self, entry: &Entry, file: Nameless, body: Body, peer: &Peer) -> Result<End, Problem> {
        let Submission { name, disarm, .. } = entry.submission();
        let limits = Limits::of(self.config.max_artifact_bytes);
        let (file, size_bytes) = receive(file, body, limits, |done| entry.progress(done)).await?;
        let mut received = json!({ "name": name, "size_bytes": size_bytes, "by": peer.name });
        if let Some(received) = received.as_object_mut().filter(|_| disarm) {
            received.insert("disarm".to_owned(), true.into());
        }
        self.record(
            Event::IntakeReceived,
            Outcome::Noted,
            entry.id().to_owned(),
            received,
        )
        .await?;

        self.register.advance(entry, Stage::Inspecting, size_bytes, None);
        let (file, name, report) = if disarm {
            match self.disarm(entry, file, name, size_bytes).await? {
                Disarmed::Judged { file, name, report } => (file, name, *report),
                Disarmed::NotConverted(problem) => return Ok(End::Refused(Some(problem))),
            }
        } else {
            let report = self.inspect(entry, &file, &name).await?;
            (file, name, report)
        };
        let size_bytes = report.size_bytes;
        self.record_inspection(entry, &name, &report).await?;
        self.report_incident(entry, &name, &report).await;
        if report.verdict == Verdict::Refuse {
            self.register
                .advance(entry, Stage::Inspecting, size_bytes, Some(&report));
            return Ok(End::Refused(None));
        }

        self.register
            .advance(entry, Stage::Admitting, size_bytes, Some(&report));
        let envelope =
            holdfast_statement::sign(&report, &name, &self.key, Timestamp::now()).map_err(|error| {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a report was not signed"
                );
                Problem::new(
                    ProblemKind::Internal,
                    "the report could not be signed; the log has the cause",
                )
            })?;
        let request = AdmitRequest {
            name,
            envelope: envelope.to_text(),
        };
        match registry::admit(&self.registry, &request, &file, |done| entry.progress(done)).await {
            Ok(model) => Ok(End::Admitted(model)),
            // The registry's own decision, not a failure of it.
            Err(problem) if problem.kind == ProblemKind::Refused => Ok(End::Refused(Some(problem))),
            Err(problem) => Err(problem),
        }
    }

    /// Has the file read by a worker, when there is room for one.
    pub(crate) async fn inspect(&self, entry: &Entry, file: &File, name: &str) -> Result<Report, Problem> {
        let _worker = self.workers.acquire().await.map_err(|_| stopping())?;
        let file = file.try_clone().map_err(|error| not_started(&error))?;
        let inspected = self.worker.inspect(file, name, |done| entry.progress(done)).await;
        let mut report = inspected.map_err(|error| not_started(&error))?;
        holdfast_statement::fit(&mut report);
        Ok(report)
    }

    pub(crate) async fn record_inspection(
        &self,
        entry: &Entry,
        name: &str,
        report: &Report,
    ) -> Result<(), Problem> {
        let outcome = if report.verdict == Verdict::Refuse {
            Outcome::Denied
        } else {
            Outcome::Allowed
        };
        let subject = report
            .sha256
            .map_or_else(|| entry.id().to_owned(), |digest| digest.to_string());
        let findings: Vec<_> = report
            .findings
            .iter()
            .take(16)
            .map(|finding| &finding.id)
            .collect();
        let mut detail = json!({
            "submission": entry.id(),
            "name": name,
            "size_bytes": report.size_bytes,
            "format": report.format,
            "verdict": report.verdict,
            "conditions": report.conditions,
            "findings": findings,
            "inspector": report.inspector,
        });
        if let (Some(origin), Some(detail)) = (&report.converted_from, detail.as_object_mut()) {
            detail.insert("converted_from".to_owned(), json!(origin.sha256));
        }
        self.record(Event::IntakeInspected, outcome, subject, detail)
            .await
    }

    /// A worker that does not come back with a report was brought to that by what it read.
    pub(crate) async fn report_incident(&self, entry: &Entry, name: &str, report: &Report) {
        let worker = [
            (&rules::IO_WORKER_DIED, "quarantine.worker-died", Severity::High),
            (
                &rules::IO_WORKER_ANSWER,
                "quarantine.worker-answer",
                Severity::Critical,
            ),
            (&rules::IO_WORKER_SLOW, "quarantine.worker-slow", Severity::Medium),
        ];
        for (rule, class, severity) in worker {
            if let Some(finding) = report.findings.iter().find(|finding| finding.id == rule.id) {
                let incident = IncidentReport {
                    class: class.to_owned(),
                    severity,
                    subject: entry.id().to_owned(),
                    summary: format!("while {name:?} was inspected, {}", finding.message),
                };
                if let Err(problem) = self.recorder.report(&incident).await {
                    tracing::error!(%problem, "an incident was not reported");
                }
            }
        }
    }

    /// Records that a file could not be brought to a verdict. That this cannot be recorded changes nothing.
    pub(crate) async fn record_failure(&self, subject: &str, name: &str, by: &str, problem: &Problem) {
        let detail = json!({ "name": name, "by": by, "reason": problem.detail });
        if let Err(unrecorded) = self
            .record(Event::IntakeFailed, Outcome::Failed, subject.to_owned(), detail)
            .await
        {
            tracing::error!(%unrecorded, reason = problem.detail, "a failure was not recorded");
        }
    }

    async fn record(
        &self,
        event: Event,
        outcome: Outcome,
        subject: String,
        detail: Value,
    ) -> Result<(), Problem> {
        self.recorder
            .record(event, outcome, subject, detail)
            .await
            .map(|_| ())
    }

    /// Records that the daemon came up and what it found interrupted. Tries until it is recorded.
    pub async fn record_start(&self, interrupted: Vec<Submission>, mut stopping: watch::Receiver<bool>) {
        let started = json!({ "version": env!("CARGO_PKG_VERSION") });
        let mut entries = vec![(
            Event::ServiceStarted,
            Outcome::Noted,
            "quarantine".to_owned(),
            started,
        )];
        if !interrupted.is_empty() {
            let detail = json!({ "interrupted": interrupted.len() });
            entries.push((
                Event::ServiceReconciled,
                Outcome::Noted,
                "quarantine".to_owned(),
                detail,
            ));
        }
        entries.extend(interrupted.into_iter().map(|submission| {
            let reason = submission.problem.map(|problem| problem.detail);
            let detail = json!({ "name": submission.name, "reason": reason });
            (Event::IntakeFailed, Outcome::Failed, submission.id, detail)
        }));
        for (event, outcome, subject, detail) in entries {
            while let Err(problem) = self.record(event, outcome, subject.clone(), detail.clone()).await {
                tracing::warn!(%problem, "the start is not recorded yet");
                tokio::select! {
                    _ = stopping.changed() => return,
                    () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {}
                }
            }
        }
    }
}

/// No worker is given out any more.
pub(crate) fn stopping() -> Problem {
    Problem::new(ProblemKind::Unavailable, "quarantine is stopping")
}

/// The problem of a file that no worker could be started for.
pub(crate) fn not_started(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(error, "a file was not inspected");
    Problem::new(
        ProblemKind::Internal,
        "the inspection could not be started; the log has the cause",
    )
    .next("See `holdfast status`, then import the file again.")
}
