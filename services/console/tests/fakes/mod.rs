//! The other services, as far as the console can see them: real sockets, the real wire, made-up contents.

#![allow(
    dead_code,
    missing_docs,
    clippy::missing_panics_doc,
    reason = "each test uses its part of this"
)]

pub mod inference;
pub mod models;
pub mod quarantine;
pub mod vault;

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path as UrlPath, Request, State};
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::routing::{delete, get, post};
use holdfast_contract::ledger::{Append, Appended, Entries, Entry, IndexedEntry};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::registry::{ModelDetail, ModelSummary, Models};
use holdfast_contract::role::{self, Role, Service};
use holdfast_contract::status::{Confinement, Mode, Posture, ServiceStatus};
use holdfast_contract::{Digest, Problem, Timestamp};
use holdfast_ipc::{Answer, Failure, Json, Limits, Server};
use serde_json::{Value, json};

/// A runtime directory with every service that the console asks.
pub struct House {
    pub run: PathBuf,
    pub recorder: Arc<Recorder>,
    pub registry: Arc<Registry>,
    pub quarantine: Arc<quarantine::Quarantine>,
    pub inference: Arc<inference::Inference>,
    pub vault: Arc<vault::Vault>,
    away: Arc<Mutex<Vec<Role>>>,
}

#[derive(Default)]
pub struct Recorder {
    pub entries: Mutex<Vec<Entry>>,
}

#[derive(Default)]
pub struct Registry {
    pub models: Mutex<Vec<ModelSummary>>,
}

impl House {
    /// Serves them below `run`. Must be called inside a runtime.
    pub fn new(run: &Path) -> Self {
        let recorder = Arc::new(Recorder::default());
        let registry = Arc::new(Registry {
            models: Mutex::new(models::some()),
        });
        let quarantine = Arc::new(quarantine::Quarantine::new(Arc::clone(&registry)));
        let inference = Arc::new(inference::Inference::default());
        let vault = Arc::new(vault::Vault::default());
        let house = Self {
            run: run.to_owned(),
            recorder: Arc::clone(&recorder),
            registry: Arc::clone(&registry),
            quarantine: Arc::clone(&quarantine),
            inference: Arc::clone(&inference),
            vault: Arc::clone(&vault),
            away: Arc::default(),
        };
        let append = Router::new()
            .route("/v1/entries", post(record))
            .with_state(Arc::clone(&recorder));
        let read = Router::new()
            .route(
                "/v1/status",
                status_route(Service::IncidentRecorder, "ledger of this session"),
            )
            .route("/v1/checkpoint", get(checkpoint))
            .route("/v1/entries", get(entries))
            .with_state(recorder);
        house.serve(role::RECORDER_APPEND, append, Limits::PLAIN);
        house.serve(role::RECORDER_READ, read, Limits::PLAIN);

        let read = Router::new()
            .route("/v1/status", status_route(Service::Registry, "3 models, 4.7 GB"))
            .route("/v1/models", get(list))
            .route("/v1/models/{digest}", get(detail))
            .with_state(Arc::clone(&registry));
        let admin = Router::new()
            .route("/v1/models/{digest}", delete(remove))
            .with_state(registry);
        house.serve(role::REGISTRY_READ, read, Limits::PLAIN);
        house.serve(role::REGISTRY_ADMIN, admin, Limits::PLAIN);

        let read = quarantine::read(Arc::clone(&quarantine)).route(
            "/v1/status",
            status_route(Service::Quarantine, "no inspection is running"),
        );
        house.serve(role::QUARANTINE_READ, read, Limits::PLAIN);
        house.serve(
            role::QUARANTINE_SUBMIT,
            quarantine::submit(quarantine),
            Limits::UPLOAD,
        );

        let admin = inference::admin(Arc::clone(&inference))
            .route("/v1/status", status_route(Service::Inference, "1 engine, idle"));
        house.serve(role::INFERENCE_ADMIN, admin, Limits::PLAIN);
        house.serve(
            role::INFERENCE_GENERATE,
            inference::generate(inference),
            Limits::PLAIN,
        );
        let operate = vault::operate(vault).route("/v1/status", status_route(Service::Vault, "open"));
        house.serve(role::VAULT_OPERATE, operate, Limits::PLAIN);
        house.posture(&Posture {
            mode: Mode::Evaluation,
            weaknesses: vec![
                "there is no TPM: boot and keys are not bound to this machine".to_owned(),
                "the vault is a directory and not encrypted".to_owned(),
            ],
        });
        house
    }

    pub fn posture(&self, posture: &Posture) {
        std::fs::write(
            self.run.join("posture.json"),
            serde_json::to_vec(posture).unwrap(),
        )
        .unwrap();
    }

    fn serve(&self, role: Role, router: Router, limits: Limits) {
        let path = role.path(&self.run);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(path).unwrap();
        let away = Arc::clone(&self.away);
        let gate = axum::middleware::from_fn(move |request: Request, next: Next| {
            let is_away = away.lock().unwrap().contains(&role);
            async move {
                if is_away {
                    let detail = format!("{}/{} does not answer", role.service, role.name);
                    return Failure(Problem::new(ProblemKind::Unavailable, detail)).into_response();
                }
                next.run(request).await
            }
        });
        let server = Server::new(role.service)
            .http(listener, router.layer(gate), limits)
            .unwrap();
        tokio::spawn(server.run());
    }

    /// Makes a service unreachable on one of its sockets. A connection that is open already leads nowhere either.
    pub fn take_away(&self, role: Role) {
        self.away.lock().unwrap().push(role);
        std::fs::remove_file(role.path(&self.run)).unwrap();
    }

    /// What was recorded, as `event outcome subject`.
    pub fn recorded(&self) -> Vec<String> {
        let entries = self.recorder.entries.lock().unwrap();
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        entries
            .iter()
            .map(|entry| {
                let (event, outcome) = (json!(entry.event), json!(entry.outcome));
                format!("{} {} {}", word(&event), word(&outcome), entry.subject)
            })
            .collect()
    }
}

fn status_route<S: Clone + Send + Sync + 'static>(
    service: Service,
    summary: &'static str,
) -> axum::routing::MethodRouter<S> {
    get(move || async move { Json(status(service, summary)) })
}

fn status(service: Service, summary: &str) -> ServiceStatus {
    ServiceStatus {
        service,
        version: "0.1.0".to_owned(),
        pid: 4_242,
        started_at: Timestamp::now(),
        confinement: Confinement {
            landlock_abi: 7,
            syscalls: 93,
            grants: vec![format!("read and write lib/{service}"), "connect to run/incident-recorder/append.sock".to_owned()],
            missing: vec!["connecting to Unix sockets is guarded by their permissions only (Landlock ABI 9 is needed, the kernel has 7)".to_owned()],
        },
        summary: summary.to_owned(),
    }
}

async fn record(State(recorder): State<Arc<Recorder>>, Json(append): Json<Append>) -> Answer<Appended> {
    let mut entries = recorder.entries.lock().unwrap();
    entries.push(Entry {
        time: Timestamp::now(),
        source: "console".to_owned(),
        event: append.event,
        outcome: append.outcome,
        subject: append.subject,
        detail: append.detail,
    });
    Ok(Json(Appended {
        index: entries.len() as u64 - 1,
        leaf: Digest::from_bytes([7; 32]),
    }))
}

async fn entries(State(recorder): State<Arc<Recorder>>) -> Answer<Entries> {
    let entries = recorder.entries.lock().unwrap();
    let listed = entries
        .iter()
        .enumerate()
        .map(|(index, entry)| IndexedEntry {
            index: index as u64,
            entry: entry.clone(),
        })
        .collect();
    Ok(Json(Entries {
        size: entries.len() as u64,
        entries: listed,
    }))
}

async fn checkpoint(State(recorder): State<Arc<Recorder>>) -> impl IntoResponse {
    let size = recorder.entries.lock().unwrap().len();
    format!(
        "holdfast/ledger\n{size}\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— holdfast/ledger zzRO8kLqcSM0lDv4zN3k1J0o7x0bFZt2jQ4kGqvJ3bq1c9wQm4m5zJ8m3o8gq1fV5t1m2n3b4v5c6x7z8a9s0dQF\n"
    )
}

async fn list(State(registry): State<Arc<Registry>>) -> Answer<Models> {
    Ok(Json(Models {
        models: registry.models.lock().unwrap().clone(),
    }))
}

async fn detail(
    State(registry): State<Arc<Registry>>,
    UrlPath(digest): UrlPath<String>,
) -> Answer<ModelDetail> {
    let models = registry.models.lock().unwrap();
    let summary = models
        .iter()
        .find(|model| model.digest.to_string() == digest)
        .cloned();
    let summary = summary.ok_or_else(|| Problem::new(ProblemKind::NotFound, "there is no such model"))?;
    Ok(Json(ModelDetail {
        report: models::report_of(&summary),
        manifest: Digest::from_bytes([0x3a; 32]),
        statement: Digest::from_bytes([0x5c; 32]),
        summary,
    }))
}

async fn remove(State(registry): State<Arc<Registry>>, UrlPath(digest): UrlPath<String>) -> Answer<Value> {
    let mut models = registry.models.lock().unwrap();
    let before = models.len();
    models.retain(|model| model.digest.to_string() != digest);
    if models.len() == before {
        return Err(Problem::new(ProblemKind::NotFound, "there is no such model").into());
    }
    Ok(Json(json!({})))
}
