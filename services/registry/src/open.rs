//! The role socket `open`: a verified read-only descriptor for an admitted model.
//!
//! Trusts nothing that the caller says but which model it wants. A descriptor leaves only after the ledger has the entry.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use holdfast_contract::ledger::{Event, Outcome};
use holdfast_contract::limits::REQUEST_DEADLINE;
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::registry::{ModelSummary, OpenAnswer, OpenRequest};
use holdfast_contract::{Digest, Problem};
use holdfast_ipc::Peer;
use holdfast_ipc::descriptor::Conversation;
use serde_json::json;
use tokio::time::timeout;

use crate::service::{Registry, stopped};
use crate::store::{Model, Shut};

/// How long a conversation may be silent.
const PATIENCE: Duration = Duration::from_mins(1);

/// Answers open requests until the caller is done.
pub async fn converse(registry: Arc<Registry>, conversation: Conversation, peer: Peer) {
    let mut stopping = registry.stopping.clone();
    loop {
        let received = tokio::select! {
            received = timeout(PATIENCE, conversation.receive::<OpenRequest>()) => received,
            () = stopped(&mut stopping) => return,
        };
        let (answer, file) = match received {
            Ok(Ok(Some((request, None)))) => registry.open(request.digest, &peer).await,
            Ok(Ok(Some((_, Some(_))))) => (
                refusal(Problem::new(
                    ProblemKind::Invalid,
                    "an open request carries no descriptor",
                )),
                None,
            ),
            // Done, or silent for too long.
            Ok(Ok(None)) | Err(_) => return,
            Ok(Err(error)) => {
                tracing::debug!(%error, peer = peer.name, "open conversation ended");
                return;
            }
        };
        let sent = conversation.send(&answer, file.as_ref().map(OwnedFd::as_fd));
        if !matches!(timeout(REQUEST_DEADLINE, sent).await, Ok(Ok(()))) {
            return;
        }
    }
}

fn refusal(problem: Problem) -> OpenAnswer {
    OpenAnswer::Problem { problem }
}

impl Registry {
    /// Opens a model for `peer`, and records it.
    pub async fn open(&self, digest: Digest, peer: &Peer) -> (OpenAnswer, Option<OwnedFd>) {
        match self.try_open(digest, peer).await {
            Ok((model, file)) => (
                OpenAnswer::Opened {
                    model: Box::new(model),
                },
                Some(file),
            ),
            Err(problem) => (refusal(problem), None),
        }
    }

    async fn try_open(&self, digest: Digest, peer: &Peer) -> Result<(ModelSummary, OwnedFd), Problem> {
        let Some(model) = self.store.model(digest) else {
            let problem = Problem::new(ProblemKind::NotFound, format!("there is no model {digest}"))
                .next("See `holdfast models` for those that there are.");
            self.refuse(digest, peer, &problem.detail).await;
            return Err(problem);
        };
        let file = match self.store.open_model(&model) {
            Ok(file) => file,
            Err(shut) => {
                let problem = self.shut(&model, shut);
                self.refuse(digest, peer, &problem.detail).await;
                return Err(problem);
            }
        };
        let detail = json!({ "name": model.name(), "by": peer.name });
        self.record(Event::ModelOpen, Outcome::Allowed, digest.to_string(), detail)
            .await?;
        Ok((model.summary(), file))
    }

    async fn refuse(&self, digest: Digest, peer: &Peer, reason: &str) {
        self.record_refusal(
            Event::ModelOpen,
            Outcome::Denied,
            digest.to_string(),
            peer,
            reason,
        )
        .await;
    }

    fn shut(&self, model: &Model, shut: Shut) -> Problem {
        let name = model.name();
        match shut {
            Shut::Unverified => {
                self.verifier.enqueue(model.digest());
                let detail = format!(
                    "the file of {name} is not the one that was last verified; it is being read anew"
                );
                Problem::new(ProblemKind::Busy, detail)
                    .next("Try again when it was read; that takes about a second for each gigabyte.")
            }
            Shut::Damaged(damage) => {
                let detail = format!("{name} is damaged: {damage}");
                Problem::new(ProblemKind::Conflict, detail)
                    .next("Import the model again to repair it, or remove it.")
            }
        }
    }
}
