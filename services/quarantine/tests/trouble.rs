//! Broken uploads, full devices, workers that die, a daemon that is killed: a clear end, and nothing left.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use holdfast_contract::ledger::{Event, Outcome};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::quarantine::{Stage, Submission, SubmissionEvent};
use holdfast_contract::report::{Severity, Verdict};
use holdfast_contract::role;
use holdfast_ipc::Events;
use holdfast_tests::tools::{private_file_system, say};
use rustix::process::{Pid, Signal, kill_process};
use support::spawn::{Daemon, listener};
use support::{Place, checker, checkpoint, ended, eventually, gguf, large, path};

/// Follows a submission until it is in `stage`.
async fn reached(events: &mut Events<SubmissionEvent>, wanted: Stage) {
    loop {
        match events.next().await.unwrap().unwrap() {
            SubmissionEvent::Progress { stage, .. } if stage == wanted => return,
            SubmissionEvent::Progress { .. } => {}
            SubmissionEvent::Ended { submission } => {
                panic!("it ended before it was {wanted:?}: {submission:?}")
            }
        }
    }
}

/// Sends `bytes` and then nothing more, and does not end.
async fn send_and_hold(place: &Place, bytes: &'static [u8]) -> Events<SubmissionEvent> {
    let body = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(bytes))]).chain(stream::pending());
    place
        .submit()
        .upload_events(&path("a.gguf"), Some(1 << 20), body)
        .await
        .unwrap()
}

/// The worker that is inspecting, stopped after it has set its limits and before it can end.
fn stop_worker(daemon: &Daemon) -> Pid {
    let tasks = PathBuf::from(format!("/proc/{}/task", daemon.pid()));
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        for task in std::fs::read_dir(&tasks).unwrap() {
            let children = task.unwrap().path().join("children");
            let children = std::fs::read_to_string(children).unwrap_or_default();
            if let Some(child) = children.split_whitespace().next() {
                let limits = std::fs::read_to_string(format!("/proc/{child}/limits")).unwrap_or_default();
                let open_files = limits
                    .lines()
                    .find_map(|line| line.strip_prefix("Max open files"));
                if open_files.and_then(|line| line.split_whitespace().next()) != Some("0") {
                    continue;
                }
                let pid = Pid::from_raw(child.parse().unwrap()).unwrap();
                kill_process(pid, Signal::STOP).unwrap();
                return pid;
            }
        }
        assert!(Instant::now() < deadline, "there is no worker");
    }
}

async fn only(place: &Place) -> Submission {
    let mut submissions = place.submissions().await;
    assert_eq!(submissions.len(), 1);
    submissions.pop().unwrap()
}

#[tokio::test]
async fn an_upload_that_breaks_off_fails_and_leaves_nothing() {
    let place = Place::new();
    let _daemon = place.start();
    let mut events = send_and_hold(&place, b"GGUF").await;
    reached(&mut events, Stage::Receiving).await;
    drop(events);
    let submission = eventually("it fails", async || {
        place
            .submissions()
            .await
            .pop()
            .filter(|submission| submission.ended_at.is_some())
    })
    .await;
    assert_eq!(submission.stage, Stage::Failed);
    let problem = submission.problem.unwrap();
    assert!(problem.detail.contains("broke off"), "{problem:?}");
    assert_eq!(
        place.recorder.of(Event::IntakeFailed),
        [(Outcome::Failed, submission.id)]
    );
    assert!(place.intake_is_empty());
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused_at_once_or_when_it_is_seen_to_be() {
    let place = Place::new();
    std::fs::write(
        place.path().join("quarantine.toml"),
        "max_artifact_bytes = 3000000",
    )
    .unwrap();
    let _daemon = place.start_with(&["--config", "quarantine.toml"]);
    let problem = place.import("a.gguf", vec![0; 3_000_001]).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::TooLarge);
    assert_eq!(place.recorder.of(Event::IntakeFailed).len(), 1);
    // The reason arrives although the sender is not done.
    let events = place.send("a.gguf", vec![0; 30_000_000], false).await.unwrap();
    let submission = ended(events).await.unwrap();
    assert_eq!(submission.stage, Stage::Failed);
    assert_eq!(submission.problem.unwrap().kind, ProblemKind::TooLarge);
    assert!(place.intake_is_empty());
    assert_eq!(
        place.import("a.gguf", gguf("a")).await.unwrap().stage,
        Stage::Admitted
    );
}

#[tokio::test]
async fn a_full_device_is_said_to_be_full_and_nothing_is_left() {
    if !private_file_system() {
        return;
    }
    let place = Place::new();
    let daemon = place.start_on_a_device_of(8 << 20);
    place
        .read()
        .get::<serde_json::Value>("/v1/submissions")
        .await
        .unwrap();
    let announced = place.import("a.safetensors", large(20 << 20)).await.unwrap_err();
    assert_eq!(announced.kind, ProblemKind::NoSpace);
    assert!(announced.next.is_some());
    let events = place.send("a.safetensors", large(20 << 20), false).await.unwrap();
    let submission = ended(events).await.unwrap();
    assert_eq!(submission.problem.unwrap().kind, ProblemKind::NoSpace);
    let intake = daemon.state(&place).join("intake");
    assert_eq!(std::fs::read_dir(intake).unwrap().count(), 0);
    assert_eq!(place.recorder.of(Event::IntakeFailed).len(), 2);
    assert_eq!(
        place.import("a.safetensors", large(4 << 20)).await.unwrap().stage,
        Stage::Admitted
    );
}

#[tokio::test]
async fn more_files_than_there_are_places_are_told_to_come_again() {
    let place = Place::new();
    std::fs::write(place.path().join("quarantine.toml"), "submissions_at_once = 1").unwrap();
    let _daemon = place.start_with(&["--config", "quarantine.toml"]);
    let mut events = send_and_hold(&place, b"GGUF").await;
    reached(&mut events, Stage::Receiving).await;
    let problem = place.import("b.gguf", gguf("b")).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Busy);
    drop(events);
    let admitted = eventually("the place is free again", async || {
        place.import("b.gguf", gguf("b")).await.ok()
    })
    .await;
    assert_eq!(admitted.stage, Stage::Admitted);
}

#[tokio::test]
async fn a_worker_that_is_killed_is_a_refusal_and_an_incident() {
    let place = Place::new();
    let daemon = place.start();
    let mut events = place.send("a.safetensors", large(300 << 20), true).await.unwrap();
    reached(&mut events, Stage::Inspecting).await;
    kill_process(stop_worker(&daemon), Signal::KILL).unwrap();
    let submission = ended(events).await.unwrap();
    assert_eq!(submission.stage, Stage::Refused);
    let report = submission.report.unwrap();
    assert_eq!((report.verdict, report.sha256), (Verdict::Refuse, None));
    assert_eq!(
        place.recorder.of(Event::IntakeInspected),
        [(Outcome::Denied, submission.id.clone())]
    );
    let [incident] = &place.recorder.incidents()[..] else {
        panic!("there is one incident")
    };
    assert_eq!(
        (incident.class.as_str(), incident.severity),
        ("quarantine.worker-died", Severity::High)
    );
    assert_eq!(incident.subject, submission.id);
    assert_eq!(place.models().await.models, []);
}

#[tokio::test]
async fn a_worker_that_is_no_worker_admits_nothing() {
    for (program, class) in [
        ("/usr/bin/false", "quarantine.worker-died"),
        ("/usr/bin/true", "quarantine.worker-answer"),
    ] {
        let place = Place::with_worker(Path::new(program)).and_registry();
        let _daemon = place.start();
        let submission = place.import("a.gguf", gguf("a")).await.unwrap();
        assert_eq!(submission.stage, Stage::Refused, "{program}");
        assert_eq!(place.recorder.incidents()[0].class, class);
        assert_eq!(place.models().await.models, []);
    }
}

/// Kills the daemon, starts it again, and returns the one submission as it is then.
async fn killed(place: &Place, daemon: &mut Daemon) -> Submission {
    daemon.kill();
    *daemon = place.start();
    let submission = only(place).await;
    assert_eq!(submission.stage, Stage::Failed);
    assert!(submission.ended_at.is_some() && place.intake_is_empty());
    let failed = (Outcome::Failed, submission.id.clone());
    eventually("it is recorded", async || {
        place
            .recorder
            .of(Event::IntakeFailed)
            .contains(&failed)
            .then_some(())
    })
    .await;
    assert_eq!(place.recorder.of(Event::ServiceReconciled).len(), 1);
    submission
}

#[tokio::test]
async fn a_daemon_that_is_killed_while_it_receives_says_so_afterwards() {
    let place = Place::new();
    let mut daemon = place.start();
    let mut events = send_and_hold(&place, b"GGUF").await;
    reached(&mut events, Stage::Receiving).await;
    let problem = killed(&place, &mut daemon).await.problem.unwrap();
    assert!(
        problem.detail.contains("while the file was being received"),
        "{problem:?}"
    );
    assert_eq!(problem.next.as_deref(), Some("Import the file again."));
    assert_eq!(
        place.import("a.gguf", gguf("a")).await.unwrap().stage,
        Stage::Admitted
    );
}

#[tokio::test]
async fn a_daemon_that_is_killed_while_it_inspects_takes_its_worker_along() {
    let place = Place::new();
    let mut daemon = place.start();
    let mut events = place.send("a.safetensors", large(300 << 20), true).await.unwrap();
    reached(&mut events, Stage::Inspecting).await;
    let worker = stop_worker(&daemon);
    let problem = killed(&place, &mut daemon).await.problem.unwrap();
    assert!(
        problem.detail.contains("while the file was being inspected"),
        "{problem:?}"
    );
    let worker = PathBuf::from(format!("/proc/{}", worker.as_raw_nonzero()));
    eventually("the worker is gone", async || is_gone(&worker).then_some(())).await;
}

/// Whether the process does not run any more; one that nobody waited for is no more than a number.
fn is_gone(process: &Path) -> bool {
    let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
    status.is_empty() || status.contains("State:\tZ")
}

#[tokio::test]
async fn a_daemon_that_is_killed_while_the_registry_works_says_where_to_look() {
    let place = Place::without_registry();
    // Somebody listens and never answers.
    let _silent = listener(role::REGISTRY_ADMIT, &place.run());
    let mut daemon = place.start();
    let mut events = place.send("a.gguf", gguf("a"), true).await.unwrap();
    reached(&mut events, Stage::Admitting).await;
    let submission = killed(&place, &mut daemon).await;
    let problem = submission.problem.unwrap();
    assert!(
        problem.detail.contains("while the file was being admitted"),
        "{problem:?}"
    );
    assert!(
        problem
            .next
            .unwrap()
            .contains("See whether the model is in the list")
    );
    assert_eq!(submission.report.unwrap().verdict, Verdict::Admit);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_at_random_leaves_no_half_done_work() {
    let place = Place::new();
    let mut daemon = place.start();
    let mut state = u64::from(std::process::id());
    for round in 0..25_u32 {
        let imports = async {
            let each = (0..3).map(|i| {
                let name = format!("{round}-{i}");
                let bytes = if i == 0 { large(8 << 20) } else { gguf(&name) };
                let place = &place;
                async move {
                    if i == 2 {
                        let elements = (1 << 20) + i32::try_from(round).unwrap();
                        return place.disarm(&format!("{name}.pt"), checkpoint(elements)).await;
                    }
                    place.import(&format!("{name}.gguf"), bytes).await
                }
            });
            futures_util::future::join_all(each).await
        };
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let pause = Duration::from_micros((state >> 33) % 80_000);
        let killing = async {
            // Not to wait for something: this is the moment at which the power goes.
            tokio::time::sleep(pause).await;
            tokio::task::block_in_place(|| daemon.kill());
            daemon = place.start();
        };
        let (told, ()) = tokio::join!(imports, killing);
        eventually("what the new daemon took in is done", async || {
            place
                .submissions()
                .await
                .iter()
                .all(|submission| submission.ended_at.is_some())
                .then_some(())
        })
        .await;
        assert!(place.intake_is_empty());
        let models = place.models().await.models;
        for submission in told.into_iter().flatten() {
            let digest = submission.model.unwrap().digest;
            assert!(
                models.iter().any(|model| model.digest == digest),
                "what was told is there"
            );
        }
        for submission in place.submissions().await {
            let problem = submission.problem;
            assert_eq!(
                submission.stage == Stage::Failed,
                problem.is_some(),
                "round {round}: {problem:?}"
            );
        }
    }
    // The registry may be at work for a quarantine that is gone.
    let store = place.store();
    eventually("the store is sound", async || {
        std::panic::catch_unwind(|| checker::check(&store)).ok()
    })
    .await;
}

#[tokio::test]
async fn garbage_on_any_socket_changes_nothing_and_costs_no_memory() {
    use std::io::{Read as _, Write as _};
    let place = Place::new();
    let daemon = place.start();
    let throw = |rounds: usize| {
        for _ in 0..rounds {
            for role in [role::QUARANTINE_SUBMIT, role::QUARANTINE_READ] {
                for request in [
                    &b"\0\0\0\0\r\n\r\n"[..],
                    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                    b"POST /v1/submissions?name= HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                    b"POST /v1/submissions?name=x HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999\r\n\
                      Connection: close\r\n\r\n",
                    b"POST /v1/submissions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                ] {
                    let mut stream = UnixStream::connect(role.path(&place.run())).unwrap();
                    let _ = stream.write_all(request);
                    let _ = stream.shutdown(std::net::Shutdown::Write);
                    let mut answer = Vec::new();
                    let _ = stream.read_to_end(&mut answer);
                    let head = String::from_utf8_lossy(&answer);
                    assert!(head.is_empty() || head.starts_with("HTTP/1.1 4"), "{head}");
                }
            }
        }
    };
    throw(40);
    let before = daemon.memory_bytes();
    throw(80);
    let after = daemon.memory_bytes();
    let what =
        format!("quarantine: {before} bytes of its own after garbage, {after} after three times as much");
    say(&format!("[measured] {what}"));
    assert!(after < before + (8 << 20), "{what}");
    assert_eq!(place.submissions().await, []);
    assert_eq!(
        place.import("a.gguf", gguf("a")).await.unwrap().stage,
        Stage::Admitted
    );
}

#[test]
fn the_daemon_is_confined() {
    let place = Place::new();
    let beside = place.path().join("beside");
    std::fs::create_dir(&beside).unwrap();
    let mut command = place.command();
    command
        .arg("--prove-confinement")
        .stdout(std::process::Stdio::piped());
    let output = place
        .spawn_with(command, &[("HOLDFAST_FORBIDDEN", &beside)])
        .wait_with_output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.lines().count() >= 10, "{text}");
    assert!(
        text.lines().all(|line| line.contains("\"denied\":true")),
        "{text}"
    );
}
