//! Workers that are given many files: what they say of each is checked, and where they fail the answer ends.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use holdfast_contract::report::{Report, Verdict};
use holdfast_formats::set::Ties;
use holdfast_formats::testing::{Member, SafetensorsBuilder, archive};
use holdfast_inspection::batch::{MAX_FILE_BYTES, Small, serve};
use holdfast_inspection::protocol::Line;
use holdfast_inspection::{Worker, inspect};

/// The size of every file below.
const BYTES: usize = 4000;

async fn run(worker: &str, files: &[Small]) -> Vec<Report> {
    let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/workers");
    let worker =
        Worker::new(scripts.join(worker).with_extension("sh")).with_deadline(|_| Duration::from_secs(1));
    worker.inspect_batch(files).await.unwrap()
}

fn honest() -> String {
    let file = SafetensorsBuilder::new().tensor("t", "U8", &[8], 8).build().bytes;
    let mut report = inspect(file.as_slice(), None, "x", |_| ());
    report.size_bytes = BYTES as u64;
    serde_json::to_string(&Line::Report {
        report: Box::new(report),
    })
    .unwrap()
}

/// A file that has the worker print these lines.
fn saying(lines: &[&str]) -> Small {
    let mut content = format!("@{}@", lines.join("@")).into_bytes();
    content.resize(BYTES, b' ');
    Small {
        name: "m".to_owned(),
        content,
    }
}

#[tokio::test]
async fn honest_answers_are_taken_in_their_order() {
    let line = honest();
    let reports = run("lines", &[saying(&[&line]), saying(&[&line]), saying(&[&line])]).await;
    assert_eq!(reports.len(), 3);
    assert!(reports.iter().all(|report| report.verdict == Verdict::Admit));
}

#[tokio::test]
async fn ties_are_taken_where_they_are_asked_for_and_make_sense() {
    let mut ties = Ties::collecting();
    ties.mapped(b"a", b"f");
    let line = |ties: &Ties| {
        let ties = Box::new(ties.clone());
        serde_json::to_string(&Line::Ties { ties }).unwrap()
    };
    let good = honest();
    let files = [saying(&[&line(&ties), &line(&ties), &good]), saying(&[&good])];
    let reports = tied(&files).await;
    assert_eq!(reports.len(), 2);
    let (_, told) = &reports[0];
    assert_eq!((told.mapped.len(), told.files.len()), (2, 2));
    assert!(reports[1].1.is_empty());
    assert!(run("lines", &files).await.is_empty(), "nobody asked");
    ties.files.clear();
    let wrong = line(&ties);
    assert_eq!(tied(&[saying(&[&good]), saying(&[&wrong, &good])]).await.len(), 1);
}

async fn tied(files: &[Small]) -> Vec<(Report, Ties)> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/workers/lines.sh");
    let worker = Worker::new(script).with_deadline(|_| Duration::from_secs(1));
    worker.inspect_batch_tied(files).await.unwrap()
}

#[tokio::test]
async fn the_answer_ends_at_the_first_lie() {
    let good = honest();
    let progress = serde_json::to_string(&Line::Progress { done_bytes: 1 }).unwrap();
    let long = format!("{{{}}}", "a".repeat(3000));
    for lie in [
        "{nonsense",
        "{}",
        &good.replace("4000", "3999"),
        &good.replace("\"admit\"", "\"conditional\""),
        &good.replace("safetensors", "elf"),
        &progress,
        &long,
    ] {
        let reports = run("lines", &[saying(&[&good]), saying(&[lie]), saying(&[&good])]).await;
        assert_eq!(reports.len(), 1, "{lie}");
    }
    // No answer at all for the last.
    assert_eq!(run("lines", &[saying(&[&good]), saying(&[])]).await.len(), 1);
}

#[tokio::test]
async fn a_worker_that_crashes_hangs_or_floods_answers_for_nothing() {
    for worker in ["abort", "garbage", "flood", "long-line", "silent", "hang", "mute"] {
        let begun = Instant::now();
        assert!(
            run(worker, &[saying(&[]), saying(&[])]).await.is_empty(),
            "{worker}"
        );
        assert!(begun.elapsed() < Duration::from_secs(20), "{worker}");
    }
}

fn frame(name: &[u8], size: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(name.len()).unwrap();
    [&length.to_le_bytes()[..], &size.to_le_bytes(), name, content].concat()
}

#[test]
fn the_worker_inspects_what_is_framed_and_nothing_else() {
    let zip = archive(&[Member::stored("a.pkl", b"\x80\x02}.")]).bytes;
    let size = u32::try_from(zip.len()).unwrap();
    let good = frame(b"a.zip", size, &zip);
    let answers = |input: &[u8]| {
        let mut reports = Vec::new();
        let scanner = holdfast_inspection::rules::shipped();
        let result: Result<(), std::io::Error> = serve(input, &scanner, false, |whole| {
            assert!(whole.ties.is_empty());
            reports.push(whole.report);
            Ok(())
        });
        (reports, result.is_ok())
    };
    let (reports, whole) = answers(&[good.clone(), frame(b"", 0, b""), good.clone()].concat());
    assert!(whole);
    assert_eq!(reports.len(), 3);
    assert_eq!(reports[0], inspect(zip.as_slice(), None, "a.zip", |_| ()));
    assert_eq!(reports[1].format, "empty");
    assert_eq!(reports[2], reports[0]);
    assert_eq!(answers(b""), (vec![], true));
    // Cut off, or larger than a batch may have.
    for cut in [1, 7] {
        assert!(!answers(&good[..cut]).1);
    }
    assert_eq!(answers(&good[..good.len() - 1]).0[0].verdict, Verdict::Refuse);
    let large = u32::try_from(MAX_FILE_BYTES + 1).unwrap();
    assert!(!answers(&frame(b"", large, b"")).1);
    assert!(!answers(&frame(&[b'a'; 2000], 0, b"")).1);
}
