//! What the registry's tests share: signed statements, a stand-in for the recorder, the real daemon, and a checker of the store
//! that shares no code with it.

#![allow(dead_code, reason = "each test program uses its own part of this")]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    missing_docs,
    reason = "helpers of tests: what cannot go on fails the test"
)]

pub mod checker;
pub mod daemon;
pub mod recorder;
pub mod spawn;

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use holdfast_contract::problem::ProblemKind;
use holdfast_contract::registry::{AdmitAnswer, AdmitRequest, ModelSummary, OpenAnswer, OpenRequest};
use holdfast_contract::report::{Report, Verdict};
use holdfast_contract::role;
use holdfast_contract::{Digest, Problem, Timestamp};
use holdfast_ipc::descriptor::Conversation;
use holdfast_statement::{KEY_NAME, StatementKey, sign};
use sha2::{Digest as _, Sha256};

pub fn key() -> StatementKey {
    StatementKey::from_seed(KEY_NAME, &[7; 32]).unwrap()
}

pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

pub fn report(bytes: &[u8]) -> Report {
    Report {
        sha256: Some(digest_of(bytes)),
        size_bytes: bytes.len() as u64,
        format: "gguf".into(),
        verdict: Verdict::Admit,
        conditions: vec![],
        findings: vec![],
        findings_omitted: 0,
        model: None,
        converted_from: None,
        inspector: "0.1.0".into(),
        rules: None,
    }
}

pub fn request(name: &str, report: &Report) -> AdmitRequest {
    let envelope = sign(report, name, &key(), Timestamp::now()).unwrap().to_text();
    AdmitRequest {
        name: name.into(),
        envelope,
    }
}

/// A file that reads `bytes`, as quarantine's intake has one.
pub fn artifact(bytes: &[u8]) -> OwnedFd {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    File::open(file.path()).unwrap().into()
}

/// Admits over the role socket and returns the last answer, with the progress packets before it.
pub async fn admit_packets(
    run: &Path,
    request: &AdmitRequest,
    artifact: Option<OwnedFd>,
) -> Vec<AdmitAnswer> {
    let conversation = Conversation::connect(&role::REGISTRY_ADMIT.path(run)).unwrap();
    let mut answers = Vec::new();
    // A daemon that was ended takes nothing and answers nothing more.
    let sent = conversation.send(request, artifact.as_ref().map(OwnedFd::as_fd));
    if sent.await.is_err() {
        return answers;
    }
    while let Ok(Some((answer, _))) = conversation.receive::<AdmitAnswer>().await {
        let is_last = !matches!(answer, AdmitAnswer::Progress { .. });
        answers.push(answer);
        if is_last {
            break;
        }
    }
    answers
}

pub async fn admit_request(
    run: &Path,
    request: &AdmitRequest,
    bytes: &[u8],
) -> Result<(ModelSummary, bool), Problem> {
    match admit_packets(run, request, Some(artifact(bytes))).await.pop() {
        Some(AdmitAnswer::Admitted {
            model,
            already_present,
        }) => Ok((*model, already_present)),
        Some(AdmitAnswer::Problem { problem }) => Err(problem),
        other => Err(Problem::new(
            ProblemKind::Unavailable,
            format!("the conversation ended with {other:?}"),
        )),
    }
}

pub async fn admit(run: &Path, name: &str, bytes: &[u8]) -> Result<(ModelSummary, bool), Problem> {
    admit_request(run, &request(name, &report(bytes)), bytes).await
}

pub async fn open(run: &Path, digest: Digest) -> Result<(ModelSummary, OwnedFd), Problem> {
    let conversation = Conversation::connect(&role::REGISTRY_OPEN.path(run)).unwrap();
    conversation.send(&OpenRequest { digest }, None).await.unwrap();
    match conversation.receive().await.unwrap() {
        Some((OpenAnswer::Opened { model }, Some(file))) => Ok((*model, file)),
        Some((OpenAnswer::Problem { problem }, None)) => Err(problem),
        other => panic!("{other:?}"),
    }
}

pub fn content(file: OwnedFd) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut File::from(file), &mut bytes).unwrap();
    bytes
}

/// Calls `check` until it returns something; the daemon works in the background.
pub async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "not within 20 s: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// Waits until a change of a file below `directory` has another time than one before now, also on kernels that keep time in ticks.
pub fn next_tick(directory: &Path) {
    use std::os::unix::fs::MetadataExt as _;
    let time = || {
        let probe = tempfile::NamedTempFile::new_in(directory).unwrap();
        let metadata = probe.as_file().metadata().unwrap();
        (metadata.ctime(), metadata.ctime_nsec())
    };
    let before = time();
    while time() <= before {}
}

pub fn blob(state: &Path, digest: Digest) -> PathBuf {
    state.join("blobs/sha256").join(digest.hex())
}
