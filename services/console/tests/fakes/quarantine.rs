//! Takes files in, counts and hashes their bytes, and decides by name: `evil` is refused, `full` meets a full disk.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use futures_util::StreamExt as _;
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::quarantine::{Stage, Submission, SubmissionEvent, Submissions, SubmitQuery};
use holdfast_contract::registry::{Availability, ModelSummary};
use holdfast_contract::report::Verdict;
use holdfast_contract::{Digest, Problem, Timestamp};
use holdfast_ipc::{Answer, Failure, Json, Query, events};
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use super::{Registry, models};

pub struct Quarantine {
    registry: Arc<Registry>,
    pub submissions: Mutex<Vec<Submission>>,
    pub received_bytes: AtomicU64,
    pub broken: AtomicUsize,
    pub broke: Notify,
    pub pace: Mutex<Duration>,
}

impl Quarantine {
    pub fn new(registry: Arc<Registry>) -> Self {
        Self {
            registry,
            submissions: Mutex::default(),
            received_bytes: AtomicU64::new(0),
            broken: AtomicUsize::new(0),
            broke: Notify::new(),
            pace: Mutex::default(),
        }
    }
}

pub fn read(quarantine: Arc<Quarantine>) -> Router {
    Router::new()
        .route("/v1/submissions", get(list))
        .route("/v1/submissions/{id}", get(one))
        .with_state(quarantine)
}

pub fn submit(quarantine: Arc<Quarantine>) -> Router {
    Router::new()
        .route("/v1/submissions", post(take))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(quarantine)
}

async fn list(State(quarantine): State<Arc<Quarantine>>) -> Answer<Submissions> {
    let mut submissions = quarantine.submissions.lock().unwrap().clone();
    submissions.reverse();
    Ok(Json(Submissions { submissions }))
}

async fn one(State(quarantine): State<Arc<Quarantine>>, Path(id): Path<String>) -> Answer<Submission> {
    let submissions = quarantine.submissions.lock().unwrap();
    let found = submissions.iter().find(|submission| submission.id == id).cloned();
    Ok(Json(found.ok_or_else(|| {
        Problem::new(ProblemKind::NotFound, "there is no such submission")
    })?))
}

async fn take(
    State(quarantine): State<Arc<Quarantine>>,
    Query(query): Query<SubmitQuery>,
    body: Body,
) -> Result<Response, Failure> {
    let id = format!("s{}", quarantine.submissions.lock().unwrap().len());
    let mut submission = Submission {
        id: id.clone(),
        name: query.name.clone(),
        disarm: query.disarm,
        stage: Stage::Receiving,
        done_bytes: 0,
        total_bytes: None,
        received_at: Timestamp::now(),
        ended_at: None,
        report: None,
        model: None,
        problem: None,
    };
    let mut hash = Sha256::new();
    let mut size = 0_u64;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let Ok(chunk) = chunk else {
            quarantine.broken.fetch_add(1, Ordering::SeqCst);
            quarantine.broke.notify_one();
            submission.stage = Stage::Failed;
            submission.problem = Some(Problem::new(
                ProblemKind::Invalid,
                "the file did not arrive whole",
            ));
            quarantine.submissions.lock().unwrap().push(submission);
            return Err(Problem::new(ProblemKind::Invalid, "the file did not arrive whole").into());
        };
        size += chunk.len() as u64;
        hash.update(&chunk);
        quarantine
            .received_bytes
            .fetch_add(chunk.len() as u64, Ordering::SeqCst);
        if query.name.contains("full") && size > 1_000_000 {
            return Err(Problem::new(
                ProblemKind::NoSpace,
                "the disk that files are taken in on is full",
            )
            .next("Free some space, then import the file again.")
            .into());
        }
    }
    let digest = Digest::from_bytes(hash.finalize().into());
    submission.ended_at = Some(Timestamp::now());
    if query.name.contains("evil") {
        submission.stage = Stage::Refused;
        submission.report = Some(models::refusal(digest, size));
    } else {
        let guide = models::some().remove(0);
        let name = query.name.trim_end_matches(".gguf").to_owned();
        let model = ModelSummary {
            digest,
            name,
            size_bytes: size,
            verdict: Verdict::Admit,
            availability: Availability::Ready,
            ..guide
        };
        submission.stage = Stage::Admitted;
        submission.report = Some(models::report_of(&model));
        submission.model = Some(model.clone());
        quarantine.registry.models.lock().unwrap().push(model);
    }
    quarantine.submissions.lock().unwrap().push(submission.clone());
    let pace = *quarantine.pace.lock().unwrap();
    let told: Vec<SubmissionEvent> = [Stage::Inspecting, Stage::Admitting]
        .into_iter()
        .flat_map(|stage| (1..=10).map(move |step| (stage, step)))
        .map(|(stage, step)| SubmissionEvent::Progress {
            id: id.clone(),
            stage,
            done_bytes: size * step / 10,
            total_bytes: size,
        })
        .chain([SubmissionEvent::Ended {
            submission: Box::new(submission),
        }])
        .collect();
    Ok(events(futures_util::stream::iter(told).then(
        move |event| async move {
            if !pace.is_zero() {
                tokio::time::sleep(pace).await;
            }
            event
        },
    )))
}
