//! The role socket `admit`: an artifact with its scan statement becomes a model, or not.
//!
//! The caller is believed in nothing: the statement is verified, the digest is re-derived from the bytes that are copied.
//! The ledger has the entry before the model exists, and the model exists before the caller is told.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use holdfast_contract::ledger::{Event, Outcome};
use holdfast_contract::limits::{MAX_ARTIFACT_BYTES, REQUEST_DEADLINE};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::registry::{AdmitAnswer, AdmitRequest, ModelSummary};
use holdfast_contract::{Problem, Timestamp};
use holdfast_ipc::Peer;
use holdfast_ipc::descriptor::Conversation;
use holdfast_statement::ScanStatement;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::policy::{self, Decision};
use crate::service::{Registry, blocking, problem_of, stopped};
use crate::store::{Model, Received, Watch};

/// How often the caller hears how far copying is.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// The least that copying may be allowed, whatever the size.
const LEAST_TIME: Duration = Duration::from_secs(60);
/// The slowest device that is waited for, in bytes for each second.
const SLOWEST_BYTES: u64 = 4 << 20;

/// What the caller is told in the end.
type Outcomes = Result<(ModelSummary, bool), Problem>;

/// Answers one admit request.
pub async fn converse(registry: Arc<Registry>, conversation: Conversation, peer: Peer) {
    let answer = match timeout(REQUEST_DEADLINE, conversation.receive::<AdmitRequest>()).await {
        Ok(Ok(Some((request, Some(artifact))))) => {
            registry.admit(&request, artifact, &conversation, &peer).await
        }
        Ok(Ok(Some((_, None)))) => Err(Problem::new(
            ProblemKind::Invalid,
            "an admit request carries a descriptor of the artifact",
        )),
        Ok(Ok(None)) => return,
        Ok(Err(error)) => {
            tracing::debug!(%error, peer = peer.name, "admit conversation ended");
            Err(Problem::new(
                ProblemKind::Invalid,
                "the admit request was not understood",
            ))
        }
        Err(_) => Err(Problem::new(
            ProblemKind::Deadline,
            "the admit request did not arrive in time",
        )),
    };
    let answer = match answer {
        Ok((model, already_present)) => AdmitAnswer::Admitted {
            model: Box::new(model),
            already_present,
        },
        Err(problem) => AdmitAnswer::Problem { problem },
    };
    // A caller that is gone finds the model when it asks again.
    let _ = timeout(REQUEST_DEADLINE, conversation.send(&answer, None)).await;
}

impl Registry {
    async fn admit(
        &self,
        request: &AdmitRequest,
        artifact: OwnedFd,
        conversation: &Conversation,
        peer: &Peer,
    ) -> Outcomes {
        let statement = match self.examine(request, peer) {
            Ok(statement) => statement,
            Err(problem) => {
                let name: String = request
                    .name
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(255)
                    .collect();
                self.record_refusal(Event::ModelAdmit, Outcome::Denied, name, peer, &problem.detail)
                    .await;
                return Err(problem);
            }
        };
        // Two admissions of the same bytes: the second finds what the first left.
        let _lock = self.locks.hold(statement.digest).await;
        let result = self
            .admit_examined(request, &statement, artifact, conversation, peer)
            .await;
        if let Err(problem) = &result {
            let subject = statement.digest.to_string();
            // Bytes that are not those of the statement are a refusal; everything else here is a failure.
            let outcome = if problem.kind == ProblemKind::Invalid {
                Outcome::Denied
            } else {
                Outcome::Failed
            };
            self.record_refusal(Event::ModelAdmit, outcome, subject, peer, &problem.detail)
                .await;
        }
        result
    }

    /// Everything that can be decided before a byte of the artifact is read.
    fn examine(&self, request: &AdmitRequest, peer: &Peer) -> Result<ScanStatement, Problem> {
        let statement =
            holdfast_statement::verify(request.envelope.as_bytes(), &self.trusted).map_err(|error| {
                Problem::new(
                    ProblemKind::Denied,
                    format!("the scan statement is not accepted: {}", chain(&error)),
                )
            })?;
        if statement.name != request.name {
            let detail = "the scan statement is about a file of another name";
            return Err(Problem::new(ProblemKind::Denied, detail));
        }
        if statement.report.size_bytes > MAX_ARTIFACT_BYTES {
            let detail = format!("a model has at most {MAX_ARTIFACT_BYTES} bytes");
            return Err(Problem::new(ProblemKind::TooLarge, detail));
        }
        match policy::may_admit(&statement, peer) {
            Decision::Admit => Ok(statement),
            Decision::Refuse { reason } => Err(Problem::new(ProblemKind::Refused, reason)),
        }
    }

    async fn admit_examined(
        &self,
        request: &AdmitRequest,
        statement: &ScanStatement,
        artifact: OwnedFd,
        conversation: &Conversation,
        peer: &Peer,
    ) -> Outcomes {
        let present = self.store.model(statement.digest);
        if let Some(model) = present
            .as_ref()
            .filter(|model| self.store.open_model(model).is_ok())
        {
            self.record_admission(&model.summary(), peer, "already present")
                .await?;
            return Ok((model.summary(), true));
        }
        let Ok(_permit) = self.copies.acquire().await else {
            return Err(Problem::new(ProblemKind::Unavailable, "the registry is stopping"));
        };
        let received = self.copy(statement, artifact, conversation).await?;
        match present {
            Some(model) => Ok((self.repair(model, received, peer).await?, true)),
            None => Ok((self.add(request, statement, received, peer).await?, false)),
        }
    }

    /// Copies the artifact, telling the caller how far it is. Ends when the caller is gone, time is up or the daemon stops.
    async fn copy(
        &self,
        statement: &ScanStatement,
        artifact: OwnedFd,
        conversation: &Conversation,
    ) -> Result<Received, Problem> {
        let total_bytes = statement.report.size_bytes;
        let watch = Arc::new(Watch::default());
        let work = {
            let (store, statement, watch) = (Arc::clone(&self.store), statement.clone(), Arc::clone(&watch));
            move || store.receive(artifact, &statement, &watch)
        };
        let mut copying = tokio::task::spawn_blocking(work);
        let mut progress = interval(PROGRESS_EVERY);
        progress.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut stopping = self.stopping.clone();
        let deadline = sleep(LEAST_TIME + Duration::from_secs(total_bytes / SLOWEST_BYTES));
        tokio::pin!(deadline);
        let result = loop {
            tokio::select! {
                result = &mut copying => break result,
                _ = progress.tick() => {
                    let answer = AdmitAnswer::Progress { done_bytes: watch.done(), total_bytes };
                    let sent = timeout(REQUEST_DEADLINE, conversation.send(&answer, None)).await;
                    if !matches!(sent, Ok(Ok(()))) {
                        watch.cancel();
                        break copying.await;
                    }
                }
                () = &mut deadline => {
                    watch.cancel();
                    break copying.await;
                }
                () = stopped(&mut stopping) => {
                    watch.cancel();
                    break copying.await;
                }
            }
        };
        match result {
            Ok(received) => received.map_err(|error| problem_of(&error, "copy the artifact")),
            Err(error) => {
                tracing::error!(%error, "copying ended without a result");
                Err(Problem::new(
                    ProblemKind::Internal,
                    "the registry failed; its log has the cause",
                ))
            }
        }
    }

    async fn add(
        &self,
        request: &AdmitRequest,
        statement: &ScanStatement,
        received: Received,
        peer: &Peer,
    ) -> Result<ModelSummary, Problem> {
        let turn = self.store.turn().await;
        let prepared = {
            let (store, statement, envelope) = (
                Arc::clone(&self.store),
                statement.clone(),
                request.envelope.clone(),
            );
            let now = Timestamp::now();
            blocking(move || store.prepare_addition(turn, received, &statement, &envelope, now)).await?
        };
        let addition = prepared.map_err(|error| problem_of(&error, "store the model"))?;
        if let Err(problem) = self.record_admission(&addition.summary(), peer, "new").await {
            blocking(move || drop(addition)).await?;
            return Err(problem);
        }
        let carried_out = blocking(move || addition.carry_out()).await?;
        let model = carried_out.map_err(|error| problem_of(&error, "store the model"))?;
        tracing::info!(model = %model.digest(), name = model.name(), "model admitted");
        Ok(model.summary())
    }

    async fn repair(
        &self,
        model: Arc<Model>,
        received: Received,
        peer: &Peer,
    ) -> Result<ModelSummary, Problem> {
        self.record_admission(&model.summary(), peer, "repaired").await?;
        let store = Arc::clone(&self.store);
        let repaired = blocking(move || store.repair(&model, received)).await?;
        repaired.map_err(|error| problem_of(&error, "repair the model"))
    }

    async fn record_admission(&self, model: &ModelSummary, peer: &Peer, how: &str) -> Result<(), Problem> {
        let detail = json!({
            "name": model.name,
            "size_bytes": model.size_bytes,
            "format": model.format,
            "verdict": model.verdict,
            "conditions": model.conditions,
            "by": peer.name,
            "how": how,
        });
        self.record(
            Event::ModelAdmit,
            Outcome::Allowed,
            model.digest.to_string(),
            detail,
        )
        .await
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
