//! The role sockets `read` and `admin`: what there is, and taking a model away.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{delete, get};
use holdfast_contract::ledger::{Event, Outcome};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::registry::{ModelDetail, Models, Removed};
use holdfast_contract::status::ServiceStatus;
use holdfast_contract::{Digest, Problem};
use holdfast_ipc::{Answer, Json, Peer, carry_out};
use serde_json::json;

use crate::service::{Registry, blocking, problem_of};

type Shared = State<Arc<Registry>>;

/// What `read` answers.
pub fn read(registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/v1/models", get(models))
        .route("/v1/models/{digest}", get(model))
        .route("/v1/status", get(status))
        .with_state(registry)
}

/// What `admin` answers.
pub fn admin(registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/v1/models/{digest}", delete(remove))
        .with_state(registry)
}

async fn models(State(registry): Shared) -> Answer<Models> {
    Ok(Json(Models {
        models: registry.store.models(),
    }))
}

async fn model(State(registry): Shared, Path(digest): Path<String>) -> Answer<ModelDetail> {
    let digest = parse(&digest)?;
    let model = registry.store.model(digest).ok_or_else(|| missing(digest))?;
    let store = Arc::clone(&registry.store);
    let detail = blocking(move || store.detail(&model)).await?;
    Ok(Json(detail.map_err(|error| {
        problem_of(&error, "read the model's statement")
    })?))
}

async fn status(State(registry): Shared) -> Answer<ServiceStatus> {
    Ok(Json(registry.status()))
}

async fn remove(State(registry): Shared, peer: Peer, Path(digest): Path<String>) -> Answer<Removed> {
    let digest = parse(&digest)?;
    carry_out(async move { registry.remove(digest, &peer).await }).await
}

impl Registry {
    /// Removes a model, or an entry that is withheld (by its manifest's digest).
    async fn remove(&self, digest: Digest, peer: &Peer) -> Result<Removed, Problem> {
        let _lock = self.locks.hold(digest).await;
        let turn = self.store.turn().await;
        let store = Arc::clone(&self.store);
        let prepared = blocking(move || store.prepare_removal(turn, digest)).await?;
        let removal = prepared
            .map_err(|error| problem_of(&error, "remove the model"))?
            .ok_or_else(|| missing(digest))?;
        let removed = Removed {
            digest,
            name: removal.name().to_owned(),
        };
        let detail = json!({ "name": removed.name, "by": peer.name });
        if let Err(problem) = self
            .record(Event::ModelRemove, Outcome::Allowed, digest.to_string(), detail)
            .await
        {
            blocking(move || drop(removal)).await?;
            return Err(problem);
        }
        if let Err(error) = blocking(move || removal.carry_out()).await? {
            let problem = problem_of(&error, "remove the model");
            let subject = digest.to_string();
            self.record_refusal(
                Event::ModelRemove,
                Outcome::Failed,
                subject,
                peer,
                &problem.detail,
            )
            .await;
            return Err(problem);
        }
        tracing::info!(model = %digest, name = removed.name, "model removed");
        Ok(removed)
    }
}

fn parse(digest: &str) -> Result<Digest, Problem> {
    digest
        .parse()
        .map_err(|error| Problem::new(ProblemKind::Invalid, format!("the path names no model: {error}")))
}

fn missing(digest: Digest) -> Problem {
    Problem::new(ProblemKind::NotFound, format!("there is no model {digest}"))
        .next("See `holdfast models` for those that there are.")
}
