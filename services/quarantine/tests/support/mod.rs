//! What quarantine's tests share: the real daemon with the real worker, the real registry in this process, and a stand-in for the
//! recorder.

#![allow(dead_code, reason = "each test program uses its own part of this")]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    missing_docs,
    reason = "helpers of tests: what cannot go on fails the test"
)]

#[path = "../../../registry/tests/support/checker.rs"]
pub mod checker;
#[path = "../../../registry/tests/support/recorder.rs"]
pub mod recorder;
#[path = "../../../registry/tests/support/spawn.rs"]
pub mod spawn;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use holdfast_contract::Problem;
use holdfast_contract::quarantine::{Submission, SubmissionEvent, Submissions};
use holdfast_contract::registry::Models;
use holdfast_contract::role::{self, Service};
use holdfast_contract::status::Confinement;
use holdfast_formats::testing::{Assembler, GgufBuilder, SafetensorsBuilder, Value};
use holdfast_ipc::descriptor::Conversation;
use holdfast_ipc::{Client, Events, Limits, Recorder, Server, Surroundings};
use holdfast_registry::Registry;
use holdfast_registry::store::Store;
use holdfast_statement::{KEY_NAME, StatementKey};

pub use spawn::{Place, Program};

const SEED: [u8; 32] = [7; 32];
/// Where the registry of a place keeps its models.
const STORE: &str = "store";

/// A model that the inspection admits, like no other.
pub fn gguf(name: &str) -> Vec<u8> {
    GgufBuilder::llama()
        .set("general.name", Value::text(name))
        .build()
        .bytes
}

/// A model that the inspection admits, of at least so many bytes.
pub fn large(bytes: usize) -> Vec<u8> {
    SafetensorsBuilder::new()
        .tensor("weights", "U8", &[bytes as u64], bytes)
        .build()
        .bytes
}

/// A PyTorch checkpoint with one tensor of so many 32-bit numbers.
pub fn checkpoint(elements: i32) -> Vec<u8> {
    let pickle = Assembler::protocol(2)
        .state_dict(&[("layer.weight", &[elements])])
        .stop();
    let numbers = vec![7; 4 * usize::try_from(elements).unwrap()];
    let members: [(&str, &[u8]); 3] = [
        ("m/data.pkl", &pickle),
        ("m/data/0", &numbers),
        ("m/version", b"3\n"),
    ];
    holdfast_formats::testing::zip(&members, b"")
}

impl Place {
    /// A place with a registry.
    pub fn new() -> Self {
        Self::without_registry().and_registry()
    }

    /// A place in which nobody answers for the registry, though its socket is there.
    pub fn without_registry() -> Self {
        Self::with_worker(Path::new(env!("CARGO_BIN_EXE_holdfast-inspect")))
    }

    pub fn with_worker(worker: &Path) -> Self {
        let place = Self::of(Program {
            executable: env!("CARGO_BIN_EXE_holdfast-quarantine").into(),
            arguments: vec!["--worker".into(), worker.to_str().unwrap().into()],
            roles: vec![role::QUARANTINE_SUBMIT, role::QUARANTINE_READ],
            credentials: vec![("statement-key", SEED.to_vec())],
        });
        for directory in ["run/registry", STORE] {
            std::fs::create_dir(place.path().join(directory)).unwrap();
        }
        place
    }

    /// Starts the real registry on a thread of this process.
    pub fn and_registry(self) -> Self {
        let key = StatementKey::from_seed(KEY_NAME, &SEED).unwrap();
        let trusted = vec![key.vkey()];
        let (store, _) = Store::open(&self.store(), trusted.clone()).unwrap();
        let recorder = Recorder::new(&Surroundings::client(self.run()));
        let admit = holdfast_ipc::DescriptorListener::bind(&role::REGISTRY_ADMIT.path(&self.run()));
        let read = std::os::unix::net::UnixListener::bind(role::REGISTRY_READ.path(&self.run()));
        std::thread::spawn(move || {
            holdfast_ipc::block_on(2, async {
                let server = Server::new(Service::Registry);
                let confinement = Confinement {
                    landlock_abi: 0,
                    syscalls: 0,
                    grants: vec![],
                    missing: vec![],
                };
                let stopping = server.stopping();
                let registry = Registry::new(Arc::new(store), trusted, recorder, confinement, 2, stopping);
                let for_admit = Arc::clone(&registry);
                let converse = move |conversation: Conversation, peer| {
                    holdfast_registry::admit::converse(Arc::clone(&for_admit), conversation, peer)
                };
                server
                    .descriptors(admit.unwrap(), converse, Limits::UPLOAD)?
                    .http(
                        read.unwrap(),
                        holdfast_registry::http::read(registry),
                        Limits::PLAIN,
                    )?
                    .run()
                    .await
            })
        });
        self
    }

    /// The registry's store.
    pub fn store(&self) -> PathBuf {
        self.path().join(STORE)
    }

    pub fn submit(&self) -> Client {
        Client::new(role::QUARANTINE_SUBMIT.path(&self.run()))
    }

    pub fn read(&self) -> Client {
        Client::new(role::QUARANTINE_READ.path(&self.run()))
    }

    pub async fn submissions(&self) -> Vec<Submission> {
        self.read()
            .get::<Submissions>("/v1/submissions")
            .await
            .unwrap()
            .submissions
    }

    pub async fn models(&self) -> Models {
        Client::new(role::REGISTRY_READ.path(&self.run()))
            .get("/v1/models")
            .await
            .unwrap()
    }

    /// Begins to send `bytes`, with their length announced or not.
    pub async fn send(
        &self,
        name: &str,
        bytes: Vec<u8>,
        announced: bool,
    ) -> Result<Events<SubmissionEvent>, Problem> {
        let length = announced.then_some(bytes.len() as u64);
        let pieces: Vec<_> = bytes
            .chunks(1 << 20)
            .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)))
            .collect();
        self.submit()
            .upload_events(&path(name), length, stream::iter(pieces))
            .await
    }

    /// Imports `bytes` and returns how that ended.
    pub async fn import(&self, name: &str, bytes: Vec<u8>) -> Result<Submission, Problem> {
        ended(self.send(name, bytes, true).await?).await
    }

    /// Begins to send a file that is to be converted.
    pub async fn send_to_disarm(
        &self,
        name: &str,
        bytes: Vec<u8>,
    ) -> Result<Events<SubmissionEvent>, Problem> {
        let length = Some(bytes.len() as u64);
        let pieces = stream::iter([Ok::<_, std::io::Error>(Bytes::from(bytes))]);
        let path = format!("{}&disarm=true", path(name));
        self.submit().upload_events(&path, length, pieces).await
    }

    /// Imports a file that is to be converted.
    pub async fn disarm(&self, name: &str, bytes: Vec<u8>) -> Result<Submission, Problem> {
        ended(self.send_to_disarm(name, bytes).await?).await
    }

    /// Whether nothing of any file is left in the intake.
    pub fn intake_is_empty(&self) -> bool {
        std::fs::read_dir(self.state().join("intake")).unwrap().count() == 0
    }
}

pub fn path(name: &str) -> String {
    let path = "/v1/submissions?name=".to_owned();
    name.bytes().fold(path, |path, byte| format!("{path}%{byte:02X}"))
}

/// Follows a submission to its end.
pub async fn ended(mut events: Events<SubmissionEvent>) -> Result<Submission, Problem> {
    while let Some(event) = events.next().await {
        if let SubmissionEvent::Ended { submission } = event? {
            assert!(events.next().await.is_none(), "nothing follows the end");
            return Ok(*submission);
        }
    }
    panic!("the events ended without an end")
}

/// Calls `check` until it returns something; the daemon works in the background.
pub async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "not within 30 s: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
