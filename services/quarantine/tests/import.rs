//! Importing files over the real sockets of the real daemon, with the real worker and the real registry.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use holdfast_contract::ledger::{Event, Outcome};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::quarantine::{Stage, Submission, SubmissionEvent};
use holdfast_contract::report::Verdict;
use holdfast_contract::status::ServiceStatus;
use support::{Place, checker, ended, eventually, gguf, large};

#[tokio::test]
async fn a_good_model_is_inspected_and_admitted() {
    let place = Place::new();
    let _daemon = place.start();
    let submission = place.import("tiny.gguf", gguf("tiny")).await.unwrap();
    assert_eq!(submission.stage, Stage::Admitted);
    let (report, model) = (
        submission.report.clone().unwrap(),
        submission.model.clone().unwrap(),
    );
    assert_eq!(report.verdict, Verdict::Admit);
    assert_eq!(Some(model.digest), report.sha256);
    assert_eq!(model.name, "tiny");
    assert_eq!(place.models().await.models, std::slice::from_ref(&model));

    let found: Submission = place
        .read()
        .get(&format!("/v1/submissions/{}", submission.id))
        .await
        .unwrap();
    assert_eq!(found, submission);
    assert_eq!(place.submissions().await, std::slice::from_ref(&submission));
    let digest = model.digest.to_string();
    assert_eq!(
        place.recorder.of(Event::IntakeReceived),
        [(Outcome::Noted, submission.id)]
    );
    assert_eq!(
        place.recorder.of(Event::IntakeInspected),
        [(Outcome::Allowed, digest.clone())]
    );
    assert_eq!(place.recorder.of(Event::ModelAdmit), [(Outcome::Allowed, digest)]);
    assert!(place.intake_is_empty());
    checker::check(&place.store());
}

#[tokio::test]
async fn what_is_not_a_model_is_refused_with_a_reason() {
    let place = Place::new();
    let _daemon = place.start();
    let mut truncated = gguf("x");
    truncated.truncate(truncated.len() / 2);
    for (name, bytes) in [
        ("empty.gguf", vec![]),
        ("script.gguf", b"#!/bin/sh\nrm -rf /\n".to_vec()),
        ("cut.gguf", truncated),
    ] {
        let submission = place.import(name, bytes).await.unwrap();
        assert_eq!(submission.stage, Stage::Refused, "{name}");
        let report = submission.report.unwrap();
        assert_eq!(report.verdict, Verdict::Refuse);
        assert!(!report.findings[0].message.is_empty() && !report.findings[0].advice.is_empty());
        assert_eq!((submission.model, submission.problem), (None, None));
    }
    let inspected = place.recorder.of(Event::IntakeInspected);
    assert_eq!(inspected.len(), 3);
    assert!(inspected.iter().all(|(outcome, _)| *outcome == Outcome::Denied));
    assert_eq!(place.recorder.of(Event::ModelAdmit), []);
    assert_eq!(place.models().await.models, []);
    assert_eq!(place.recorder.incidents(), []);
    assert!(place.intake_is_empty());
}

#[tokio::test]
async fn a_name_is_shown_and_never_a_path() {
    let place = Place::new();
    let _daemon = place.start();
    let submission = place
        .import("../../../submissions/\u{202e}evil\n.gguf", gguf("evil"))
        .await
        .unwrap();
    assert_eq!(submission.name, "evil .gguf");
    assert_eq!(submission.model.unwrap().name, "evil");
    let problem = place.import("\u{200b}/", gguf("y")).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Invalid);
    let records = std::fs::read_dir(place.state().join("submissions")).unwrap();
    let names: Vec<_> = records
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, [submission.id]);
}

#[tokio::test]
async fn a_request_without_a_name_or_with_other_parameters_is_not_understood() {
    let place = Place::new();
    let _daemon = place.start();
    for query in ["", "?nam=x", "?name=x&path=/etc/passwd"] {
        let path = format!("/v1/submissions{query}");
        let problem = place.submit().post::<_, Submission>(&path, &1).await.unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Invalid, "{query}");
    }
    assert_eq!(place.submissions().await, []);
    let problem = place
        .read()
        .get::<Submission>("/v1/submissions/..%2f..%2fx")
        .await
        .unwrap_err();
    assert_eq!(problem.kind, ProblemKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_imports_of_the_same_file_at_once_are_one_model_and_two_entries() {
    let place = Place::new();
    let _daemon = place.start();
    let bytes = large(20 << 20);
    let (one, other) = tokio::join!(
        place.import("a.safetensors", bytes.clone()),
        place.import("a.safetensors", bytes)
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!((one.stage, other.stage), (Stage::Admitted, Stage::Admitted));
    assert_eq!(one.model, other.model);
    assert_eq!(place.models().await.models.len(), 1);
    assert_eq!(place.recorder.of(Event::IntakeReceived).len(), 2);
    assert_eq!(place.recorder.of(Event::ModelAdmit).len(), 2);
    assert_eq!(checker::check(&place.store()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_imports_at_once_all_come_to_an_end() {
    let place = Place::new();
    let _daemon = place.start();
    let imports = (0..8).map(|i| place.import("m.gguf", gguf(&format!("model {i}"))));
    let all = futures_util::future::join_all(imports).await;
    let mut names: Vec<_> = all
        .into_iter()
        .map(|ended| ended.unwrap().model.unwrap().name)
        .collect();
    names.sort();
    assert_eq!(names, ["m", "m-2", "m-3", "m-4", "m-5", "m-6", "m-7", "m-8"]);
}

#[tokio::test]
async fn the_stages_are_told_in_order() {
    let place = Place::new();
    let _daemon = place.start();
    let bytes = large(200 << 20);
    let size = bytes.len() as u64;
    let mut events = place.send("a.safetensors", bytes, true).await.unwrap();
    let mut stages = Vec::new();
    while let Some(event) = events.next().await {
        match event.unwrap() {
            SubmissionEvent::Progress {
                stage,
                done_bytes,
                total_bytes,
                ..
            } => {
                assert!(done_bytes <= total_bytes && total_bytes == size);
                if stages.last() != Some(&stage) {
                    stages.push(stage);
                }
            }
            SubmissionEvent::Ended { submission } => stages.push(submission.stage),
        }
    }
    assert_eq!(stages.last(), Some(&Stage::Admitted));
    let order = [
        Stage::Receiving,
        Stage::Inspecting,
        Stage::Admitting,
        Stage::Admitted,
    ];
    let place_of = |stage| order.iter().position(|of| of == stage).unwrap();
    assert!(stages.is_sorted_by_key(place_of), "{stages:?}");
    assert!(
        stages.contains(&Stage::Inspecting) && stages.contains(&Stage::Admitting),
        "{stages:?}"
    );
}

#[tokio::test]
async fn a_caller_that_goes_away_after_the_upload_misses_nothing() {
    let place = Place::new();
    let _daemon = place.start();
    let mut events = place.send("a.safetensors", large(50 << 20), true).await.unwrap();
    loop {
        let event = events.next().await.unwrap().unwrap();
        if matches!(
            event,
            SubmissionEvent::Progress {
                stage: Stage::Inspecting | Stage::Admitting,
                ..
            }
        ) {
            break;
        }
    }
    drop(events);
    let submission = eventually("it comes to its end", async || {
        place
            .submissions()
            .await
            .into_iter()
            .find(|submission| submission.ended_at.is_some())
    })
    .await;
    assert_eq!(submission.stage, Stage::Admitted);
    assert_eq!(place.models().await.models.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_done() {
    let place = Place::new();
    let _daemon = place.start();
    eventually("the start is recorded", async || {
        (!place.recorder.of(Event::ServiceStarted).is_empty()).then_some(())
    })
    .await;
    place.recorder.refuse(true);
    let submission = place.import("a.gguf", gguf("a")).await.unwrap();
    assert_eq!(submission.stage, Stage::Failed);
    assert_eq!(
        submission.problem.unwrap().kind,
        ProblemKind::NoSpace,
        "the recorder's own reason"
    );
    assert_eq!(place.models().await.models, []);
    place.recorder.refuse(false);
    assert_eq!(
        place.import("a.gguf", gguf("a")).await.unwrap().stage,
        Stage::Admitted
    );
}

#[tokio::test]
async fn without_a_registry_an_import_fails_and_says_so() {
    let place = Place::without_registry();
    // The daemon's sandbox needs the socket's path; nobody listens behind it.
    drop(support::spawn::listener(
        holdfast_contract::role::REGISTRY_ADMIT,
        &place.run(),
    ));
    let _daemon = place.start();
    let submission = place.import("a.gguf", gguf("a")).await.unwrap();
    assert_eq!(submission.stage, Stage::Failed);
    assert_eq!(submission.problem.unwrap().kind, ProblemKind::Unavailable);
    assert_eq!(
        submission.report.unwrap().verdict,
        Verdict::Admit,
        "what was found stays known"
    );
    assert_eq!(
        place.recorder.of(Event::IntakeFailed),
        [(Outcome::Failed, submission.id)]
    );
    assert!(place.intake_is_empty());
}

#[tokio::test]
async fn submissions_are_remembered_after_a_restart() {
    let place = Place::new();
    let mut daemon = place.start();
    let admitted = place.import("a.gguf", gguf("a")).await.unwrap();
    let refused = place.import("b.gguf", b"no".to_vec()).await.unwrap();
    assert!(daemon.stop());
    let _daemon = place.start();
    assert_eq!(place.submissions().await, [refused, admitted]);
    let status: ServiceStatus = place.read().get("/v1/status").await.unwrap();
    assert_eq!(status.summary, "idle, 2 submissions remembered");
    assert_eq!(place.recorder.of(Event::IntakeFailed), []);
}

#[tokio::test]
async fn a_length_that_is_not_announced_is_no_hindrance() {
    let place = Place::new();
    let _daemon = place.start();
    let events = place.send("a.gguf", gguf("a"), false).await.unwrap();
    assert_eq!(ended(events).await.unwrap().stage, Stage::Admitted);
}
