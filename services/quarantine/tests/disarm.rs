//! Checkpoints that come in as safetensors: over the real sockets of the real daemon, with the real worker and the real registry.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use holdfast_contract::Digest;
use holdfast_contract::ledger::{Event, Outcome};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::quarantine::{Stage, SubmissionEvent};
use holdfast_contract::registry::ModelDetail;
use holdfast_contract::report::Verdict;
use holdfast_contract::role;
use holdfast_formats::testing::Assembler;
use holdfast_ipc::Client;
use sha2::Digest as _;
use support::{Place, checker, checkpoint, eventually, gguf};

fn digest(bytes: &[u8]) -> Digest {
    Digest::from_bytes(sha2::Sha256::digest(bytes).into())
}

#[tokio::test]
async fn a_checkpoint_comes_in_as_safetensors_and_names_what_it_was() {
    let place = Place::new();
    let _daemon = place.start();
    let bytes = checkpoint(6);
    let source = digest(&bytes);
    let submission = place.disarm("model.pt", bytes.clone()).await.unwrap();
    assert_eq!(submission.stage, Stage::Admitted, "{submission:?}");
    assert!(submission.disarm);
    let (report, model) = (submission.report.unwrap(), submission.model.unwrap());
    assert_eq!(
        (model.name.as_str(), model.format.as_str()),
        ("model", "safetensors")
    );
    assert_eq!(Some(model.digest), report.sha256);
    let origin = report.converted_from.clone().unwrap();
    assert_eq!(
        (origin.sha256, origin.size_bytes, origin.format.as_str()),
        (source, bytes.len() as u64, "pytorch-zip")
    );
    // The statement that the registry keeps says the same.
    let kept: ModelDetail = Client::new(role::REGISTRY_READ.path(&place.run()))
        .get(&format!("/v1/models/{}", model.digest))
        .await
        .unwrap();
    assert_eq!(kept.report, report);
    assert_eq!(
        place.recorder.of(Event::IntakeInspected),
        [
            (Outcome::Allowed, source.to_string()),
            (Outcome::Allowed, model.digest.to_string())
        ]
    );
    assert_eq!(place.models().await.models, [model]);
    assert!(place.intake_is_empty());
    checker::check(&place.store());
}

#[tokio::test]
async fn a_refused_checkpoint_stays_refused() {
    let place = Place::new();
    let _daemon = place.start();
    let harmful = Assembler::protocol(2)
        .global("os", "system")
        .text("true")
        .raw(b"\x85R")
        .stop();
    let mut broken = checkpoint(6);
    broken.truncate(broken.len() - 30);
    for (name, bytes) in [
        ("harmful.pt", harmful),
        ("broken.pt", broken),
        ("empty.pt", vec![]),
    ] {
        let submission = place.disarm(name, bytes).await.unwrap();
        assert_eq!(submission.stage, Stage::Refused, "{name}");
        let report = submission.report.unwrap();
        assert_eq!((report.verdict, report.converted_from), (Verdict::Refuse, None));
    }
    let inspected = place.recorder.of(Event::IntakeInspected);
    assert!(inspected.iter().all(|(outcome, _)| *outcome == Outcome::Denied));
    assert_eq!(place.models().await.models, []);
    assert!(place.intake_is_empty());
}

#[tokio::test]
async fn a_checkpoint_that_cannot_be_converted_does_not_come_in() {
    let place = Place::new();
    let _daemon = place.start();
    // Options without a tensor: harmless, and nothing to convert.
    let options = Assembler::protocol(2)
        .raw(b"}")
        .text("lr")
        .int(1)
        .raw(b"s")
        .stop();
    let submission = place.disarm("options.pkl", options).await.unwrap();
    assert_eq!(submission.stage, Stage::Refused, "{submission:?}");
    let problem = submission.problem.unwrap();
    assert_eq!(problem.kind, ProblemKind::Refused);
    assert!(problem.detail.contains("cannot be converted"), "{problem:?}");
    assert_ne!(submission.report.unwrap().verdict, Verdict::Refuse);
    assert_eq!(place.models().await.models, []);
    assert!(place.intake_is_empty());
}

#[tokio::test]
async fn what_is_no_checkpoint_comes_in_as_it_is() {
    let place = Place::new();
    let _daemon = place.start();
    let bytes = gguf("tiny");
    let submission = place.disarm("tiny.gguf", bytes.clone()).await.unwrap();
    assert_eq!(submission.stage, Stage::Admitted, "{submission:?}");
    let report = submission.report.unwrap();
    assert_eq!(
        (report.sha256, report.converted_from),
        (Some(digest(&bytes)), None)
    );
}

#[tokio::test]
async fn the_conversion_is_told_as_it_goes_on() {
    let place = Place::new();
    let _daemon = place.start();
    let mut events = place.send_to_disarm("a.pt", checkpoint(50 << 20)).await.unwrap();
    let mut stages = Vec::new();
    while let Some(event) = events.next().await {
        match event.unwrap() {
            SubmissionEvent::Progress {
                stage,
                done_bytes,
                total_bytes,
                ..
            } => {
                assert!(
                    done_bytes <= total_bytes,
                    "{stage:?} {done_bytes} of {total_bytes}"
                );
                if stages.last() != Some(&stage) {
                    stages.push(stage);
                }
            }
            SubmissionEvent::Ended { submission } => stages.push(submission.stage),
        }
    }
    let wanted = [
        Stage::Inspecting,
        Stage::Converting,
        Stage::Inspecting,
        Stage::Admitting,
        Stage::Admitted,
    ];
    assert!(stages.ends_with(&wanted), "{stages:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_while_it_converts_leaves_nothing_of_either_file() {
    let place = Place::new();
    let mut daemon = place.start();
    let bytes = checkpoint(50 << 20);
    let mut events = place.send_to_disarm("a.pt", bytes.clone()).await.unwrap();
    loop {
        match events.next().await.unwrap().unwrap() {
            SubmissionEvent::Progress {
                stage: Stage::Converting,
                ..
            } => break,
            SubmissionEvent::Progress { .. } => {}
            SubmissionEvent::Ended { submission } => panic!("it ended before: {submission:?}"),
        }
    }
    tokio::task::block_in_place(|| daemon.kill());
    let daemon = place.start();
    let submission = eventually("the submission has ended", async || {
        let found = place.submissions().await.into_iter().next();
        found.filter(|submission| submission.ended_at.is_some())
    })
    .await;
    assert_eq!(submission.stage, Stage::Failed);
    let problem = submission.problem.unwrap();
    assert!(
        problem.detail.contains("while the file was being converted"),
        "{problem:?}"
    );
    assert!(place.intake_is_empty());
    assert_eq!(place.models().await.models, []);
    let again = place.disarm("a.pt", bytes).await.unwrap();
    assert_eq!(again.stage, Stage::Admitted);
    checker::check(&place.store());
    drop(daemon);
}
