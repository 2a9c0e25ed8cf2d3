//! The other services, as the console asks them: one client for each role socket it may use, and the posture file.
//!
//! A service that is away is a [`Problem`] for whoever asked; nothing here retries, caches or hides it.

use std::path::PathBuf;

use holdfast_contract::inference::Engines;
use holdfast_contract::ledger::{Entries, Event, Outcome};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::quarantine::{Submission, Submissions};
use holdfast_contract::registry::{Availability, ModelDetail, ModelSummary, Models};
use holdfast_contract::report::Verdict;
use holdfast_contract::role::{self, Role};
use holdfast_contract::status::{Posture, ServiceStatus};
use holdfast_contract::{Digest, Problem};
use holdfast_ipc::{Client, Recorder, Surroundings};
use serde_json::Value;

use crate::store;

/// The largest posture file, in bytes.
const MAX_POSTURE_BYTES: usize = 64 << 10;

/// What each service's status is asked on.
const STATUS: [Role; 5] = [
    role::RECORDER_READ,
    role::VAULT_OPERATE,
    role::REGISTRY_READ,
    role::QUARANTINE_READ,
    role::INFERENCE_ADMIN,
];

/// Clients of the other services.
#[derive(Debug)]
pub struct Neighbours {
    surroundings: Surroundings,
    registry: Client,
    registry_admin: Client,
    quarantine: Client,
    /// Takes files in.
    pub submit: Client,
    /// Generates.
    pub generate: Client,
    engines: Client,
    ledger: Client,
    /// Locks, unlocks, changes keys, panics.
    pub vault: Client,
    recorder: Recorder,
}

impl Neighbours {
    /// The services of these surroundings. Nothing is connected yet.
    pub fn new(surroundings: &Surroundings) -> Self {
        let client = |role| Client::new(surroundings.role(role));
        Self {
            surroundings: surroundings.clone(),
            registry: client(role::REGISTRY_READ),
            registry_admin: client(role::REGISTRY_ADMIN),
            quarantine: client(role::QUARANTINE_READ),
            submit: client(role::QUARANTINE_SUBMIT),
            generate: client(role::INFERENCE_GENERATE),
            engines: client(role::INFERENCE_ADMIN),
            ledger: client(role::RECORDER_READ),
            vault: client(role::VAULT_OPERATE),
            recorder: Recorder::new(surroundings),
        }
    }

    /// The role sockets that the console connects to.
    pub fn roles() -> [Role; 9] {
        [
            role::REGISTRY_READ,
            role::REGISTRY_ADMIN,
            role::QUARANTINE_READ,
            role::QUARANTINE_SUBMIT,
            role::INFERENCE_GENERATE,
            role::INFERENCE_ADMIN,
            role::RECORDER_READ,
            role::RECORDER_APPEND,
            role::VAULT_OPERATE,
        ]
    }

    /// Every admitted model, by name.
    ///
    /// # Errors
    ///
    /// When the registry is away.
    pub async fn models(&self) -> Result<Vec<ModelSummary>, Problem> {
        Ok(self.registry.get::<Models>("/v1/models").await?.models)
    }

    /// One model with its report.
    ///
    /// # Errors
    ///
    /// When there is no such model, or the registry is away.
    pub async fn model(&self, digest: &Digest) -> Result<ModelDetail, Problem> {
        self.registry.get(&format!("/v1/models/{digest}")).await
    }

    /// The model with this name or digest, if text can be generated with it.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such model, `Conflict` when it cannot be used at present, and when the registry is away.
    pub async fn usable_model(&self, name: &str) -> Result<ModelSummary, Problem> {
        let models = self.models().await?;
        let found = models
            .into_iter()
            .find(|model| model.name == name || model.digest.to_string() == name);
        let Some(model) = found else {
            return Err(Problem::new(
                ProblemKind::NotFound,
                format!("there is no model \"{name}\""),
            ));
        };
        match unusable(&model) {
            None => Ok(model),
            Some(why) => Err(Problem::new(
                ProblemKind::Conflict,
                format!("\"{name}\" cannot be used: {why}"),
            )),
        }
    }

    /// Removes a model.
    ///
    /// # Errors
    ///
    /// When there is no such model, or the registry is away or refuses.
    pub async fn remove_model(&self, digest: &Digest) -> Result<(), Problem> {
        self.registry_admin
            .delete::<Value>(&format!("/v1/models/{digest}"))
            .await
            .map(|_| ())
    }

    /// What was handed in, most recent first.
    ///
    /// # Errors
    ///
    /// When quarantine is away.
    pub async fn submissions(&self) -> Result<Vec<Submission>, Problem> {
        Ok(self
            .quarantine
            .get::<Submissions>("/v1/submissions")
            .await?
            .submissions)
    }

    /// One submission.
    ///
    /// # Errors
    ///
    /// When there is no such submission, or quarantine is away.
    pub async fn submission(&self, id: &str) -> Result<Submission, Problem> {
        // The id goes into a request path: only what cannot change that path may pass.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if id.is_empty() || id.len() > 64 || !id.bytes().all(plain) {
            return Err(Problem::new(ProblemKind::NotFound, "there is no such submission"));
        }
        self.quarantine.get(&format!("/v1/submissions/{id}")).await
    }

    /// The status of every other service, in the order in which a person would name them.
    pub async fn statuses(&self) -> Vec<(Role, Result<ServiceStatus, Problem>)> {
        let asked = STATUS.map(|role| async move {
            let client = match role {
                role::RECORDER_READ => &self.ledger,
                role::REGISTRY_READ => &self.registry,
                role::QUARANTINE_READ => &self.quarantine,
                role::VAULT_OPERATE => &self.vault,
                _ => &self.engines,
            };
            (role, client.get("/v1/status").await)
        });
        futures_util::future::join_all(asked).await
    }

    /// The loaded engines.
    ///
    /// # Errors
    ///
    /// When inference is away.
    pub async fn engines(&self) -> Result<Engines, Problem> {
        self.engines.get("/v1/engines").await
    }

    /// Stops a model's engine.
    ///
    /// # Errors
    ///
    /// When it is not loaded, or inference is away.
    pub async fn unload(&self, model: Digest) -> Result<(), Problem> {
        let request = holdfast_contract::inference::Unload { model };
        self.engines
            .post::<_, Value>("/v1/unload", &request)
            .await
            .map(|_| ())
    }

    /// The ledger's newest checkpoint, a signed note.
    ///
    /// # Errors
    ///
    /// When the recorder is away.
    pub async fn checkpoint(&self) -> Result<String, Problem> {
        self.ledger.get_text("/v1/checkpoint").await
    }

    /// The ledger's newest entries, oldest first.
    ///
    /// # Errors
    ///
    /// When the recorder is away.
    pub async fn entries(&self, limit: u64) -> Result<Entries, Problem> {
        self.ledger.get(&format!("/v1/entries?limit={limit}")).await
    }

    /// Appends to the ledger; returns once the entry is durable.
    ///
    /// # Errors
    ///
    /// When it could not be recorded. What needs the record must then not be done.
    pub async fn record(
        &self,
        event: Event,
        outcome: Outcome,
        subject: &str,
        detail: Value,
    ) -> Result<(), Problem> {
        self.recorder
            .record(event, outcome, subject, detail)
            .await
            .map(|_| ())
    }

    /// The posture that the supervisor wrote, none where it cannot be read.
    pub fn posture(&self) -> Option<Posture> {
        let path: PathBuf = self.surroundings.run.join("posture.json");
        let bytes = store::read(&path, MAX_POSTURE_BYTES).ok()??;
        serde_json::from_slice(&bytes).ok()
    }
}

/// Why no text can be generated with a model, in words; none if it can.
pub fn unusable(model: &ModelSummary) -> Option<&'static str> {
    if model.verdict == Verdict::Refuse {
        return Some("it was refused");
    }
    if model.format != "gguf" {
        return Some("only GGUF models can be run");
    }
    match model.availability {
        Availability::Ready => None,
        Availability::Verifying => Some("its file is being verified again; try again in a moment"),
        Availability::Damaged => Some("its file is not the one that was admitted; import it again"),
    }
}
