//! Workers that convert, and lie about it: nothing but what was announced is written, and every lie is a refusal.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use holdfast_contract::limits::MAX_ARTIFACT_BYTES;
use holdfast_contract::report::Verdict;
use holdfast_formats::testing::SafetensorsBuilder;
use holdfast_inspection::protocol::Line;
use holdfast_inspection::{Conversion, Worker, inspect};

fn model() -> Vec<u8> {
    SafetensorsBuilder::new().tensor("t", "U8", &[8], 8).build().bytes
}

fn report(bytes: &[u8]) -> String {
    let report = inspect(bytes, None, "x", |_| ());
    let line = Line::Report {
        report: Box::new(report),
    };
    serde_json::to_string(&line).unwrap()
}

fn converted(bytes: u64) -> String {
    serde_json::to_string(&Line::Converted { bytes, tensors: 1 }).unwrap()
}

/// Has the worker print this for [`model`]; returns what it came to, and what was written.
async fn run(worker: &str, says: &str) -> (Conversion, Vec<u8>) {
    let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/workers");
    let limit = |_| Duration::from_secs(2);
    let worker = Worker::new(scripts.join(worker).with_extension("sh")).with_deadline(limit);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&model()).unwrap();
    let mut out: File = tempfile::tempfile().unwrap();
    let conversion = worker
        .convert(file, says, &mut out, MAX_ARTIFACT_BYTES, |_| ())
        .await
        .unwrap();
    let mut written = Vec::new();
    out.rewind().unwrap();
    out.read_to_end(&mut written).unwrap();
    (conversion, written)
}

#[tokio::test]
async fn what_an_honest_worker_announces_is_written() {
    let says = format!("{}@{}@12345678", report(&model()), converted(8));
    let (conversion, written) = run("convert", &says).await;
    assert!(
        matches!(conversion, Conversion::Converted { tensors: 1, .. }),
        "{conversion:?}"
    );
    assert_eq!(written, b"12345678");
}

#[tokio::test]
async fn more_than_is_wanted_is_not_written() {
    for bytes in [MAX_ARTIFACT_BYTES + 1, u64::MAX] {
        let says = format!("{}@{}@12345678", report(&model()), converted(bytes));
        let (conversion, written) = run("convert", &says).await;
        let Conversion::NotConverted { why, .. } = conversion else {
            unreachable!("{conversion:?}")
        };
        assert!(why.contains("the limit is") && written.is_empty(), "{why}");
    }
}

#[tokio::test]
async fn a_reason_not_to_convert_is_passed_on() {
    let line = Line::NotConverted {
        why: "it is empty".to_owned(),
    };
    let says = format!("{}@{}@", report(&model()), serde_json::to_string(&line).unwrap());
    let (conversion, written) = run("convert", &says).await;
    match conversion {
        Conversion::NotConverted { report, why } => {
            assert_eq!((report.verdict, why.as_str()), (Verdict::Admit, "it is empty"));
        }
        other => panic!("{other:?}"),
    }
    assert!(written.is_empty());
}

#[tokio::test]
async fn every_lie_is_a_refusal() {
    let (good, bad) = (report(&model()), report(&model()[..40]));
    let report_of_another = bad.replace(&format!(":{}", 40), &format!(":{}", model().len()));
    for (says, why) in [
        (String::new(), "without a report"),
        (format!("{good}@"), "did not say whether"),
        (format!("{}@12345678", converted(8)), "without a report"),
        (format!("{good}@{}@1234567", converted(8)), "ends early"),
        (format!("{good}@{}@123456789", converted(8)), "after its end"),
        (format!("{good}@{good}@"), "did not say whether"),
        (format!("{good}@nonsense@"), "no report"),
        (good.clone(), "too long or cut off"),
        (format!("{bad}@"), ""),
        // A refused file is not converted, whatever the worker says.
        (format!("{report_of_another}@{}@12345678", converted(8)), ""),
    ] {
        let (conversion, _) = run("convert", &says).await;
        let Conversion::Refused(report) = conversion else {
            panic!("{says}: {conversion:?}")
        };
        assert_eq!(report.verdict, Verdict::Refuse, "{says}");
        let told = report
            .findings
            .iter()
            .any(|finding| finding.message.contains(why));
        assert!(told, "{why}: {report:?}");
    }
}

#[tokio::test]
async fn a_worker_that_crashes_hangs_or_floods_is_a_refusal() {
    for worker in ["abort", "garbage", "flood", "long-line", "silent", "hang", "mute"] {
        let begun = Instant::now();
        let (conversion, written) = run(worker, "m").await;
        assert!(
            matches!(conversion, Conversion::Refused(_)),
            "{worker}: {conversion:?}"
        );
        assert!(written.is_empty(), "{worker}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{worker}");
    }
}
