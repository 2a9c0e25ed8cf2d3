//! Workers that crash, hang, babble and lie: each is a refusal, never a pass. The scripts in `tests/workers` play them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a step that fails is a test that fails"
)]

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use holdfast_contract::limits::MAX_ARTIFACT_BYTES;
use holdfast_contract::report::{Report, Verdict};
use holdfast_formats::testing::SafetensorsBuilder;
use holdfast_inspection::protocol::Line;
use holdfast_inspection::{Worker, WorkerError, inspect};

fn worker(name: &str) -> Worker {
    let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/workers");
    Worker::new(scripts.join(name).with_extension("sh")).with_deadline(|_| Duration::from_secs(30))
}

fn model() -> Vec<u8> {
    SafetensorsBuilder::new().tensor("t", "U8", &[8], 8).build().bytes
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// The line with a true report on [`model`], as an honest worker would print it. Short enough to be a name.
fn honest() -> String {
    let bytes = model();
    let report = inspect(bytes.as_slice(), None, "x", |_| ());
    assert_eq!(report.verdict, Verdict::Admit);
    serde_json::to_string(&Line::Report {
        report: Box::new(report),
    })
    .unwrap()
}

async fn run(script: &str, name: &str) -> Report {
    worker(script)
        .inspect(file(&model()), name, |_| ())
        .await
        .unwrap()
}

fn refused(report: &Report, id: &str, says: &str) {
    assert_eq!(report.verdict, Verdict::Refuse, "{report:?}");
    assert_eq!(report.sha256, None);
    assert_eq!(report.size_bytes, model().len() as u64);
    let [finding] = report.findings.as_slice() else {
        panic!("{report:?}")
    };
    assert_eq!(finding.id, id, "{report:?}");
    assert!(finding.message.contains(says), "{says}: {report:?}");
}

#[tokio::test]
async fn an_honest_worker_is_believed() {
    let report = run("echo", &honest()).await;
    assert_eq!(report.verdict, Verdict::Admit);
    assert!(report.sha256.is_some());
}

#[tokio::test]
async fn complaints_do_not_block_a_worker() {
    assert_eq!(run("echo-noisy", &honest()).await.verdict, Verdict::Admit);
}

#[tokio::test]
async fn a_worker_that_crashes_is_a_refusal() {
    refused(&run("abort", "m").await, "HF-IO-007", "signal 6");
}

#[tokio::test]
async fn a_worker_that_fails_after_its_report_is_a_refusal() {
    refused(&run("echo-fail", &honest()).await, "HF-IO-007", "exit code 3");
}

#[tokio::test]
async fn a_worker_that_runs_out_of_memory_is_a_refusal() {
    refused(&run("hog", "m").await, "HF-IO-007", "ended early");
}

#[tokio::test]
async fn a_worker_that_hangs_is_a_refusal_at_its_deadline() {
    let begin = Instant::now();
    let report = worker("hang")
        .with_deadline(|_| Duration::from_millis(200))
        .inspect(file(&model()), "m", |_| ())
        .await
        .unwrap();
    refused(&report, "HF-IO-008", "longer than");
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_worker_that_babbles_is_a_refusal() {
    for (script, says) in [
        ("garbage", "no report"),
        ("flood", "too much"),
        ("long-line", "too long"),
        ("silent", "without a report"),
    ] {
        refused(&run(script, "m").await, "HF-IO-009", says);
    }
    refused(
        &run("echo-twice", &honest()).await,
        "HF-IO-009",
        "after its report",
    );
    refused(&run("echo-cut", &honest()).await, "HF-IO-009", "cut off");
    refused(&run("echo", "{}").await, "HF-IO-009", "no report");
}

#[tokio::test]
async fn a_worker_that_lies_is_a_refusal() {
    let size = model().len();
    let other_size = honest().replace(
        &format!("\"size_bytes\":{size}"),
        &format!("\"size_bytes\":{}", size + 1),
    );
    refused(&run("echo", &other_size).await, "HF-IO-009", "another size");
    let no_digest = {
        let mut report = inspect(model().as_slice(), None, "x", |_| ());
        report.sha256 = None;
        serde_json::to_string(&Line::Report {
            report: Box::new(report),
        })
        .unwrap()
    };
    refused(&run("echo", &no_digest).await, "HF-IO-009", "without its digest");
    let program = honest().replace("\"format\":\"safetensors\"", "\"format\":\"elf\"");
    refused(&run("echo", &program).await, "HF-IO-009", "format");
}

/// Whether a process exists and is not merely waiting to be buried.
fn lives(pid: u64) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn a_worker_dies_with_the_future_that_waits_for_it() {
    let pid = AtomicU64::new(0);
    let worker = worker("hang");
    let inspection = worker.inspect(file(&model()), "m", |done| pid.store(done, Ordering::SeqCst));
    let started = async {
        while pid.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        _ = inspection => panic!("it ended"),
        () = started => {}
    }
    let pid = pid.into_inner();
    let limit = Instant::now() + Duration::from_secs(20);
    while lives(pid) {
        assert!(Instant::now() < limit, "the worker {pid} lives on");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_missing_program_is_an_error_and_no_verdict() {
    let error = Worker::new("/nonexistent/holdfast-inspect")
        .inspect(file(b"x"), "m", |_| ())
        .await;
    assert!(matches!(error, Err(WorkerError::Start { .. })));
}

#[tokio::test]
async fn what_is_no_file_of_a_sane_size_gets_no_worker() {
    let none = Worker::new("/nonexistent/holdfast-inspect");
    let directory = tempfile::tempdir().unwrap();
    let report = none.inspect_path(directory.path(), |_| ()).await.unwrap();
    assert_eq!(report.findings[0].id, "HF-IO-005");
    let report = none
        .inspect_path(&directory.path().join("missing"), |_| ())
        .await
        .unwrap();
    assert_eq!(report.findings[0].id, "HF-IO-006");

    let sparse = directory.path().join("sparse.gguf");
    File::create(&sparse).unwrap().set_len(100 << 30).unwrap();
    let report = none.inspect_path(&sparse, |_| ()).await.unwrap();
    assert_eq!(
        (report.findings[0].id.as_str(), report.size_bytes),
        ("HF-IO-001", 100 << 30)
    );
    assert!(report.size_bytes > MAX_ARTIFACT_BYTES);
}
