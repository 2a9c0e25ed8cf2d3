//! The role socket `admit`: an artifact with its scan statement becomes a model, or not.
//!
//! The caller is believed in nothing: the statement is verified, the digest is re-derived from the bytes that are copied.
//! The ledger has the entry before the model exists, and the model exists before the caller is told.

use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
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
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::policy::{self, Decision};
use crate::service::{Registry, blocking, problem_of, stopped};
use crate::store::{Model, Received, Watch};

/// How often the caller hears how far copying is.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// The least that copying may be allowed, whatever the size.
const LEAST_TIME: Duration = Duration::from_mins(1);
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
        let caller = Caller {
            conversation,
            total_bytes: statement.report.size_bytes,
            stopping: self.stopping.clone(),
        };
        let result = match caller.waits_for(self.locks.hold(statement.digest)).await {
            Ok(_lock) => {
                self.admit_examined(request, &statement, artifact, &caller, peer)
                    .await
            }
            Err(problem) => Err(problem),
        };
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
        caller: &Caller<'_>,
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
        let _permit = caller.waits_for(self.copies.acquire()).await?;
        let received = self.copy(statement, artifact, caller).await?;
        match present {
            Some(model) => Ok((self.repair(model, received, peer).await?, true)),
            None => Ok((self.add(request, statement, received, peer).await?, false)),
        }
    }

    /// Copies the artifact. Stops when the caller is gone, time is up or the daemon stops.
    async fn copy(
        &self,
        statement: &ScanStatement,
        artifact: OwnedFd,
        caller: &Caller<'_>,
    ) -> Result<Received, Problem> {
        let watch = Arc::new(Watch::default());
        let work = {
            let (store, statement, watch) = (Arc::clone(&self.store), statement.clone(), Arc::clone(&watch));
            move || store.receive(artifact, &statement, &watch)
        };
        let mut copying = pin!(blocking(work));
        let limit = LEAST_TIME + Duration::from_secs(caller.total_bytes / SLOWEST_BYTES);
        match caller.attends(&watch, limit, copying.as_mut()).await {
            Ok(received) => received?.map_err(|error| problem_of(&error, "copy the artifact")),
            Err(problem) => {
                watch.cancel();
                // What was copied is removed before anybody is told.
                drop(copying.await);
                Err(problem)
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

/// Who waits for the answer.
struct Caller<'a> {
    conversation: &'a Conversation,
    total_bytes: u64,
    stopping: watch::Receiver<bool>,
}

impl Caller<'_> {
    /// Waits for something that other admissions hold, for as long as the largest of them may take.
    async fn waits_for<T>(&self, what: impl Future<Output = T>) -> Result<T, Problem> {
        let limit = LEAST_TIME + Duration::from_secs(MAX_ARTIFACT_BYTES / SLOWEST_BYTES);
        self.attends(&Watch::default(), limit, pin!(what)).await
    }

    /// Runs `work`, telling the caller how far it is. Leaves it where it is when the caller is gone, time is up or the daemon stops.
    async fn attends<T>(
        &self,
        watch: &Watch,
        limit: Duration,
        mut work: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, Problem> {
        let mut ticks = interval(PROGRESS_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut stopping = self.stopping.clone();
        let mut deadline = pin!(sleep(limit));
        loop {
            tokio::select! {
                done = work.as_mut() => return Ok(done),
                _ = ticks.tick() => {
                    let answer = AdmitAnswer::Progress { done_bytes: watch.done(), total_bytes: self.total_bytes };
                    let sent = timeout(REQUEST_DEADLINE, self.conversation.send(&answer, None)).await;
                    if !matches!(sent, Ok(Ok(()))) {
                        return Err(Problem::new(ProblemKind::Unavailable, "the caller went away"));
                    }
                }
                () = &mut deadline => {
                    let detail = format!("the artifact was not copied within {} s", limit.as_secs());
                    return Err(Problem::new(ProblemKind::Deadline, detail));
                }
                () = stopped(&mut stopping) => {
                    return Err(Problem::new(ProblemKind::Unavailable, "the registry is stopping"));
                }
            }
        }
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
