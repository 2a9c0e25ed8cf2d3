//! The role sockets `generate` and `admin`.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{FromRequest as _, Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use futures_util::Stream;
use holdfast_contract::Problem;
use holdfast_contract::inference::{
    EmbedRequest, Embeddings, Engines, GenerateEvent, GenerateRequest, Unload,
};
use holdfast_contract::limits::REQUEST_DEADLINE;
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::role::Service;
use holdfast_contract::status::{Confinement, ServiceStatus};
use holdfast_ipc::{Answer as HttpAnswer, Failure, Json, Peer, events};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use crate::answer::{Answer, Vectors, WAITING_EVENTS};
use crate::engine::{Waiting, Work};
use crate::pool::{Pool, Ticket};
use crate::request::{check_embed, check_generate};

/// How long the first event is waited for, so that what fails at once fails with its proper status.
const FIRST_EVENT_WITHIN: Duration = Duration::from_millis(100);
/// How long embeddings may take, loading the model included.
pub const EMBED_WITHIN: Duration = Duration::from_mins(10);

/// What the handlers know.
#[derive(Debug)]
pub struct Inference {
    /// The engines.
    pub pool: Pool,
    /// How the daemon is confined.
    pub confinement: Confinement,
    /// When it started.
    pub started_at: Timestamp,
    /// What llama.cpp was built for.
    pub backend: String,
    next_id: AtomicU64,
}

impl Inference {
    /// With no requests yet.
    pub fn new(pool: Pool, confinement: Confinement, backend: String) -> Arc<Self> {
        let started_at = Timestamp::now();
        Arc::new(Self {
            pool,
            confinement,
            started_at,
            backend,
            next_id: AtomicU64::new(1),
        })
    }

    fn waiting(&self, peer: Peer, work: Work) -> Waiting {
        Waiting {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            caller: peer.name,
            work,
        }
    }
}

/// The routes of `generate`.
pub fn generate_routes(inference: Arc<Inference>) -> Router {
    Router::new()
        .route("/v1/generate", post(generate))
        .route("/v1/embed", post(embed))
        .with_state(inference)
}

/// The routes of `admin`.
pub fn admin_routes(inference: Arc<Inference>) -> Router {
    Router::new()
        .route("/v1/engines", get(engines))
        .route("/v1/unload", post(unload))
        .route("/v1/status", get(status))
        .with_state(inference)
}

async fn generate(
    State(inference): State<Arc<Inference>>,
    peer: Peer,
    request: Request,
) -> Result<Response, Failure> {
    let asked = Instant::now();
    let request: GenerateRequest = body(request).await?;
    check_generate(&request)?;
    let model = request.model;
    let (sender, mut receiver) = mpsc::channel(WAITING_EVENTS);
    let work = Work::Generate(request, Answer::new(sender, asked));
    let ticket = inference.pool.submit(model, inference.waiting(peer, work))?;
    let first = match tokio::time::timeout(FIRST_EVENT_WITHIN, receiver.recv()).await {
        Ok(Some(GenerateEvent::Failed { problem })) => return Err(problem.into()),
        Ok(None) => return Err(Problem::new(ProblemKind::Internal, "the engine gave no answer").into()),
        Ok(first) => first,
        Err(_) => None,
    };
    Ok(events(Generated {
        first,
        receiver,
        _ticket: ticket,
    }))
}

/// The events of one request. Dropping it, as happens when the caller goes away, cancels the request.
struct Generated {
    first: Option<GenerateEvent>,
    receiver: mpsc::Receiver<GenerateEvent>,
    _ticket: Ticket,
}

impl Stream for Generated {
    type Item = GenerateEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<GenerateEvent>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(first)),
            None => self.receiver.poll_recv(context),
        }
    }
}

async fn embed(
    State(inference): State<Arc<Inference>>,
    peer: Peer,
    request: Request,
) -> HttpAnswer<Embeddings> {
    let request: EmbedRequest = body(request).await?;
    check_embed(&request)?;
    let model = request.model;
    let (reply, result) = oneshot::channel();
    let vectors = Vectors::new(reply, request.input.len());
    let _ticket = inference
        .pool
        .submit(model, inference.waiting(peer, Work::Embed(request, vectors)))?;
    let found = result
        .await
        .map_err(|_| Problem::new(ProblemKind::Internal, "the engine gave no answer"))?;
    Ok(Json(found?))
}

async fn engines(State(inference): State<Arc<Inference>>) -> Json<Engines> {
    Json(Engines {
        engines: inference.pool.engines(),
        backend: inference.backend.clone(),
    })
}

async fn unload(State(inference): State<Arc<Inference>>, Json(request): Json<Unload>) -> HttpAnswer<Engines> {
    inference.pool.unload(request.model).await?;
    Ok(engines(State(inference)).await)
}

async fn status(State(inference): State<Arc<Inference>>) -> Result<Json<ServiceStatus>, Infallible> {
    let engines = inference.pool.engines();
    let active: u32 = engines.iter().map(|engine| engine.active).sum();
    let waiting: u32 = engines.iter().map(|engine| engine.queued).sum();
    let summary = match engines.len() {
        0 => format!("no model loaded ({})", inference.backend),
        1 => format!(
            "1 model loaded ({}), {active} answering, {waiting} waiting",
            inference.backend
        ),
        n => format!(
            "{n} models loaded ({}), {active} answering, {waiting} waiting",
            inference.backend
        ),
    };
    Ok(Json(ServiceStatus {
        service: Service::Inference,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started_at: inference.started_at,
        confinement: inference.confinement.clone(),
        summary,
    }))
}

/// A JSON body that arrives in time. The answer may take longer than that.
async fn body<T: DeserializeOwned>(request: Request) -> Result<T, Failure> {
    match tokio::time::timeout(REQUEST_DEADLINE, Json::from_request(request, &())).await {
        Ok(body) => body.map(|Json(body)| body),
        Err(_) => Err(Problem::new(ProblemKind::Deadline, "the request body did not arrive in time").into()),
    }
}
