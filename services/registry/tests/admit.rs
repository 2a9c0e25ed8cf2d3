//! Admitting models over the real sockets of the real daemon.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::fs::File;
use std::os::fd::OwnedFd;

use holdfast_contract::Timestamp;
use holdfast_contract::ledger::{Event, Outcome};
use holdfast_contract::limits::MAX_ARTIFACT_BYTES;
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::registry::{AdmitAnswer, AdmitRequest, ModelDetail, Models, Removed};
use holdfast_contract::report::{Condition, Finding, Report, Severity, Verdict};
use holdfast_contract::status::ServiceStatus;
use holdfast_statement::{KEY_NAME, StatementKey, sign};
use support::daemon::Place;
use support::{
    admit, admit_packets, admit_request, artifact, blob, checker, content, digest_of, key, open, report,
    request,
};

#[tokio::test]
async fn an_inspected_file_becomes_a_model() {
    let place = Place::new();
    let _daemon = place.start();
    let bound = Report {
        verdict: Verdict::Conditional,
        conditions: vec![Condition::NoTools],
        ..report(b"weights")
    };
    let (model, already_present) = admit_request(&place.run(), &request("tiny.gguf", &bound), b"weights")
        .await
        .unwrap();
    assert!(!already_present);
    assert_eq!(model.name, "tiny");
    assert_eq!(model.digest, digest_of(b"weights"));
    assert_eq!(model.conditions, [Condition::NoTools]);

    let listed: Models = place.read().get("/v1/models").await.unwrap();
    assert_eq!(listed.models, std::slice::from_ref(&model));
    let detail: ModelDetail = place
        .read()
        .get(&format!("/v1/models/{}", model.digest))
        .await
        .unwrap();
    assert_eq!(detail.report, bound);
    assert_eq!(detail.summary, model);
    let (opened, file) = open(&place.run(), model.digest).await.unwrap();
    assert_eq!(opened, model);
    assert_eq!(content(file), b"weights");

    let subject = model.digest.to_string();
    assert_eq!(
        place.recorder.of(Event::ModelAdmit),
        [(Outcome::Allowed, subject.clone())]
    );
    assert_eq!(place.recorder.of(Event::ModelOpen), [(Outcome::Allowed, subject)]);
    assert_eq!(checker::check(&place.state())["tiny"], model.digest.to_string());
}

#[tokio::test]
async fn the_same_bytes_again_are_the_same_model() {
    let place = Place::new();
    let _daemon = place.start();
    let (first, _) = admit(&place.run(), "tiny.gguf", b"weights").await.unwrap();
    let (second, already_present) = admit(&place.run(), "other.gguf", b"weights").await.unwrap();
    assert!(already_present);
    assert_eq!(second, first);
    assert_eq!(
        place.recorder.of(Event::ModelAdmit).len(),
        2,
        "two admissions, two entries"
    );
    assert_eq!(checker::check(&place.state()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_at_the_same_time_are_one_model() {
    let place = Place::new();
    let _daemon = place.start();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 253) as u8).collect();
    let run = place.run();
    let all = (0..6).map(|i| {
        let (run, bytes) = (run.clone(), bytes.clone());
        tokio::spawn(async move { admit(&run, &format!("copy-{i}.gguf"), &bytes).await.unwrap() })
    });
    let mut news = 0;
    let mut models = Vec::new();
    for task in all.collect::<Vec<_>>() {
        let (model, already_present) = task.await.unwrap();
        news += u32::from(!already_present);
        models.push(model);
    }
    assert_eq!(news, 1);
    assert!(models.iter().all(|model| *model == models[0]));
    assert_eq!(place.recorder.of(Event::ModelAdmit).len(), 6);
    assert_eq!(checker::check(&place.state()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn different_files_at_the_same_time_get_different_names() {
    let place = Place::new();
    let _daemon = place.start();
    let run = place.run();
    let all = (0..8_u8).map(|i| {
        let run = run.clone();
        tokio::spawn(async move { admit(&run, "Model.gguf", &[i; 1000]).await.unwrap().0.name })
    });
    let mut names = Vec::new();
    for task in all.collect::<Vec<_>>() {
        names.push(task.await.unwrap());
    }
    names.sort();
    let expected = [
        "Model", "Model-2", "Model-3", "Model-4", "Model-5", "Model-6", "Model-7", "Model-8",
    ];
    assert_eq!(names, expected);
    assert_eq!(checker::check(&place.state()).len(), 8);
}

/// What is refused leaves nothing but an entry.
async fn assert_refused(
    place: &Place,
    request: &AdmitRequest,
    artifact: Option<OwnedFd>,
    kind: ProblemKind,
    reason: &str,
) {
    let entries = place.recorder.of(Event::ModelAdmit).len();
    let answers = admit_packets(&place.run(), request, artifact).await;
    let Some(AdmitAnswer::Problem { problem }) = answers.last() else {
        panic!("{answers:?}")
    };
    assert_eq!(problem.kind, kind, "{problem:?}");
    assert!(
        problem.detail.contains(reason),
        "{:?} does not say {reason:?}",
        problem.detail
    );
    assert_eq!(checker::check(&place.state()).len(), 0);
    let recorded = place.recorder.of(Event::ModelAdmit);
    assert_eq!(recorded.len(), entries + 1);
    assert_eq!(recorded.last().unwrap().0, Outcome::Denied);
}

#[tokio::test]
async fn a_statement_that_does_not_hold_is_refused() {
    let place = Place::new();
    let _daemon = place.start();
    let good = request("a.gguf", &report(b"weights"));
    let stranger = StatementKey::from_seed(KEY_NAME, &[8; 32]).unwrap();
    let envelope = sign(&report(b"weights"), "a.gguf", &stranger, Timestamp::now())
        .unwrap()
        .to_text();
    let refuse = async |request: AdmitRequest, reason| {
        assert_refused(
            &place,
            &request,
            Some(artifact(b"weights")),
            ProblemKind::Denied,
            reason,
        )
        .await;
    };
    refuse(
        AdmitRequest {
            envelope,
            ..good.clone()
        },
        "not trusted",
    )
    .await;
    refuse(
        AdmitRequest {
            envelope: "{}".into(),
            ..good.clone()
        },
        "not a DSSE envelope",
    )
    .await;
    let trailing = format!("{}{}", good.envelope, "{}");
    refuse(
        AdmitRequest {
            envelope: trailing,
            ..good.clone()
        },
        "after the end",
    )
    .await;
    let tampered = good.envelope.replacen("\"payload\":\"e", "\"payload\":\"f", 1);
    assert_ne!(tampered, good.envelope);
    refuse(
        AdmitRequest {
            envelope: tampered,
            ..good.clone()
        },
        "does not belong",
    )
    .await;
    refuse(
        AdmitRequest {
            name: "b.gguf".into(),
            ..good.clone()
        },
        "another name",
    )
    .await;
    admit_request(&place.run(), &good, b"weights").await.unwrap();
}

#[tokio::test]
async fn what_the_inspection_refused_is_refused() {
    let place = Place::new();
    let _daemon = place.start();
    let finding = Finding {
        id: "HF-GGUF-003".into(),
        severity: Severity::High,
        message: "A tensor lies outside of the file".into(),
        offset: Some(24),
        part: None,
        advice: "Get the file again.".into(),
    };
    let refused = Report {
        verdict: Verdict::Refuse,
        findings: vec![finding],
        ..report(b"weights")
    };
    let request = request("a.gguf", &refused);
    assert_refused(
        &place,
        &request,
        Some(artifact(b"weights")),
        ProblemKind::Refused,
        "HF-GGUF-003",
    )
    .await;
}

#[tokio::test]
async fn bytes_that_are_not_those_of_the_statement_are_refused() {
    let place = Place::new();
    let _daemon = place.start();
    let request = request("a.gguf", &report(b"weights"));
    for (bytes, reason) in [
        (&b"Weights"[..], "the statement is about"),
        (b"weight", "ends after 6 of 7"),
        (b"weights!", "goes on after"),
        (b"", "ends after 0 of 7"),
    ] {
        assert_refused(
            &place,
            &request,
            Some(artifact(bytes)),
            ProblemKind::Invalid,
            reason,
        )
        .await;
    }
}

#[tokio::test]
async fn a_descriptor_that_is_no_readable_file_is_refused() {
    let place = Place::new();
    let _daemon = place.start();
    let request = request("a.gguf", &report(b"weights"));
    let (pipe, _writer) = std::io::pipe().unwrap();
    let directory: OwnedFd = File::open("/").unwrap().into();
    let null: OwnedFd = File::open("/dev/null").unwrap().into();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"weights").unwrap();
    let write_only: OwnedFd = File::options().write(true).open(file.path()).unwrap().into();
    for descriptor in [pipe.into(), directory, null, write_only] {
        assert_refused(
            &place,
            &request,
            Some(descriptor),
            ProblemKind::Invalid,
            "not a regular file",
        )
        .await;
    }
    let missing = admit_packets(&place.run(), &request, None).await;
    assert!(
        matches!(&missing[..], [AdmitAnswer::Problem { problem }] if problem.kind == ProblemKind::Invalid)
    );
    let readable: OwnedFd = File::open(file.path()).unwrap().into();
    let admitted = admit_packets(&place.run(), &request, Some(readable)).await;
    assert!(matches!(admitted.last(), Some(AdmitAnswer::Admitted { .. })));
}

#[tokio::test]
async fn a_size_beyond_the_limit_is_refused_before_anything_is_read() {
    let place = Place::new();
    let _daemon = place.start();
    let huge = Report {
        size_bytes: MAX_ARTIFACT_BYTES + 1,
        ..report(b"weights")
    };
    let request = request("a.gguf", &huge);
    assert_refused(
        &place,
        &request,
        Some(artifact(b"weights")),
        ProblemKind::TooLarge,
        "at most",
    )
    .await;
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_done() {
    let place = Place::new();
    let _daemon = place.start();
    place.recorder.refuse(true);
    let problem = admit(&place.run(), "a.gguf", b"weights").await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::NoSpace, "the recorder's own reason");
    assert_eq!(checker::check(&place.state()).len(), 0);
    place.recorder.refuse(false);
    let (model, _) = admit(&place.run(), "a.gguf", b"weights").await.unwrap();

    place.recorder.refuse(true);
    let path = format!("/v1/models/{}", model.digest);
    assert!(place.admin().delete::<Removed>(&path).await.is_err());
    assert!(open(&place.run(), model.digest).await.is_err());
    assert!(admit(&place.run(), "a.gguf", b"weights").await.is_err());
    assert_eq!(checker::check(&place.state()).len(), 1);
    place.recorder.refuse(false);
    assert!(open(&place.run(), model.digest).await.is_ok());
}

#[tokio::test]
async fn a_removed_model_is_gone_and_can_come_back() {
    let place = Place::new();
    let _daemon = place.start();
    let (model, _) = admit(&place.run(), "a.gguf", b"weights").await.unwrap();
    let (other, _) = admit(&place.run(), "b.gguf", b"others").await.unwrap();
    let (_, still_open) = open(&place.run(), model.digest).await.unwrap();
    let path = format!("/v1/models/{}", model.digest);
    let removed: Removed = place.admin().delete(&path).await.unwrap();
    assert_eq!(
        removed,
        Removed {
            digest: model.digest,
            name: "a".into()
        }
    );
    assert_eq!(
        checker::check(&place.state()).into_keys().collect::<Vec<_>>(),
        ["b"]
    );
    assert_eq!(content(still_open), b"weights", "who has it open keeps it");
    assert_eq!(
        open(&place.run(), model.digest).await.unwrap_err().kind,
        ProblemKind::NotFound
    );
    assert!(open(&place.run(), other.digest).await.is_ok());
    assert_eq!(
        place.admin().delete::<Removed>(&path).await.unwrap_err().kind,
        ProblemKind::NotFound
    );
    assert_eq!(
        place.recorder.of(Event::ModelRemove),
        [(Outcome::Allowed, model.digest.to_string())]
    );
    assert!(!admit(&place.run(), "a.gguf", b"weights").await.unwrap().1);
}

#[tokio::test]
async fn the_store_takes_as_many_models_as_its_configuration_says() {
    let place = Place::new();
    std::fs::write(place.path().join("registry.toml"), "max_models = 2").unwrap();
    let _daemon = place.start_with(&["--config", "registry.toml"]);
    for bytes in [b"1", b"2"] {
        admit(&place.run(), "a.gguf", bytes).await.unwrap();
    }
    let problem = admit(&place.run(), "a.gguf", b"3").await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::TooLarge);
    assert_eq!(checker::check(&place.state()).len(), 2);
    assert!(
        admit(&place.run(), "a.gguf", b"1").await.unwrap().1,
        "what is there stays"
    );
}

#[tokio::test]
async fn progress_is_told() {
    let place = Place::new();
    let _daemon = place.start();
    let bytes = vec![1; 64 << 20];
    let answers = admit_packets(
        &place.run(),
        &request("a.gguf", &report(&bytes)),
        Some(artifact(&bytes)),
    )
    .await;
    let (last, progress) = answers.split_last().unwrap();
    assert!(matches!(last, AdmitAnswer::Admitted { .. }), "{last:?}");
    let mut before = 0;
    for answer in progress {
        let AdmitAnswer::Progress {
            done_bytes,
            total_bytes,
        } = answer
        else {
            panic!("{answer:?}")
        };
        assert!(*done_bytes >= before && *total_bytes == bytes.len() as u64);
        before = *done_bytes;
    }
    assert!(!progress.is_empty());
}

#[tokio::test]
async fn an_empty_file_and_one_of_several_buffers_are_kept_byte_for_byte() {
    let place = Place::new();
    let _daemon = place.start();
    let large: Vec<u8> = (0..5_000_001_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for bytes in [&[][..], &large] {
        let (model, _) = admit(&place.run(), "a.gguf", bytes).await.unwrap();
        assert_eq!(content(open(&place.run(), model.digest).await.unwrap().1), bytes);
    }
    checker::check(&place.state());
}

#[tokio::test]
async fn a_model_survives_a_restart() {
    let place = Place::new();
    let mut daemon = place.start();
    let (model, _) = admit(&place.run(), "a.gguf", b"weights").await.unwrap();
    assert!(daemon.stop(), "SIGTERM ends it well");
    let _daemon = place.start();
    let (opened, file) = open(&place.run(), model.digest).await.unwrap();
    assert_eq!(opened, model);
    assert_eq!(content(file), b"weights");
    let status: ServiceStatus = place.read().get("/v1/status").await.unwrap();
    assert_eq!(status.summary, "1 model, 7 bytes");
    support::eventually("both starts are recorded", async || {
        (place.recorder.of(Event::ServiceStarted).len() == 2).then_some(())
    })
    .await;
    assert_eq!(place.recorder.of(Event::ServiceReconciled), []);
}

#[tokio::test]
async fn an_old_key_is_trusted_as_long_as_its_line_is_there() {
    let place = Place::new();
    let mut daemon = place.start();
    let (model, _) = admit(&place.run(), "a.gguf", b"weights").await.unwrap();
    daemon.stop();
    let new = StatementKey::from_seed(KEY_NAME, &[8; 32]).unwrap();
    let credential = place.path().join("credentials/statement.pub");
    std::fs::write(&credential, format!("{}\n", new.vkey())).unwrap();
    let mut daemon = place.start();
    assert_eq!(
        open(&place.run(), model.digest).await.unwrap_err().kind,
        ProblemKind::NotFound
    );
    let status: ServiceStatus = place.read().get("/v1/status").await.unwrap();
    assert_eq!(status.summary, "0 models, 0 bytes; 1 withheld, see the ledger");
    support::eventually("the incident is reported", async || {
        place
            .recorder
            .incidents()
            .into_iter()
            .find(|incident| incident.class == "registry.entry-withheld")
    })
    .await;
    daemon.stop();
    std::fs::write(&credential, format!("{}\n{}\n", new.vkey(), key().vkey())).unwrap();
    let _daemon = place.start();
    assert!(
        open(&place.run(), model.digest).await.is_ok(),
        "nothing was deleted meanwhile"
    );
    checker::check(&place.state());
}

#[tokio::test]
async fn a_withheld_entry_can_be_removed_by_its_manifest() {
    let place = Place::new();
    let mut daemon = place.start();
    let (model, _) = admit(&place.run(), "a.gguf", b"weights").await.unwrap();
    let detail: ModelDetail = place
        .read()
        .get(&format!("/v1/models/{}", model.digest))
        .await
        .unwrap();
    daemon.stop();
    let statement = blob(&place.state(), detail.statement);
    std::fs::remove_file(&statement).unwrap();
    let mut daemon = place.start();
    assert!(open(&place.run(), model.digest).await.is_err());
    let removed: Removed = place
        .admin()
        .delete(&format!("/v1/models/{}", detail.manifest))
        .await
        .unwrap();
    assert_eq!(removed.name, "a");
    daemon.stop();
    let _daemon = place.start();
    let listed: Models = place.read().get("/v1/models").await.unwrap();
    assert_eq!(
        listed.models,
        [],
        "what nothing refers to was collected before it served"
    );
    assert_eq!(checker::check(&place.state()).len(), 0);
}
