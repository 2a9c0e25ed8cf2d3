//! Bad callers, a full device, a stop in the middle: the daemon says what is wrong, stays up, and leaves nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use holdfast_contract::ledger::{Event, Outcome};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::registry::{AdmitAnswer, Models, OpenAnswer, OpenRequest, Removed};
use holdfast_contract::report::Report;
use holdfast_contract::role;
use holdfast_ipc::descriptor::Conversation;
use holdfast_tests::tools::{private_file_system, say};
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with,
};
use support::daemon::Place;
use support::{admit, artifact, checker, content, digest_of, eventually, open, report, request};

/// An artifact of `size_bytes` without a byte of it on the device, and a report that is said to be about it.
fn sparse(size_bytes: u64) -> (OwnedFd, Report) {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(size_bytes).unwrap();
    (
        File::open(file.path()).unwrap().into(),
        Report {
            size_bytes,
            ..report(b"something else")
        },
    )
}

async fn drafts_gone(place: &Place) {
    eventually("the half-made copy is gone", async || {
        let names = std::fs::read_dir(place.state().join("blobs/sha256")).unwrap();
        (names.count() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_full_device_is_said_to_be_full_and_nothing_is_left() {
    if !private_file_system() {
        return;
    }
    let place = Place::new();
    let daemon = place.start_on_a_device_of(8 << 20);
    place.read().get::<Models>("/v1/models").await.unwrap();
    let (model, _) = admit(&place.run(), "a.gguf", &vec![1; 3 << 20]).await.unwrap();
    let state = daemon.state(&place);
    let problem = admit(&place.run(), "b.gguf", &vec![2; 20 << 20])
        .await
        .unwrap_err();
    assert_eq!(problem.kind, ProblemKind::NoSpace, "{problem:?}");
    assert!(problem.next.is_some());
    assert_eq!(checker::check(&state).len(), 1);
    // Almost full: the artifact still fits, what comes after it may not. Either way the store is sound.
    let mut ends = [0, 0];
    for pages in 0..24 {
        let size = (5 << 20) - pages * 4096;
        let admitted = admit(&place.run(), "c.gguf", &vec![3; size]).await;
        let models = checker::check(&state);
        ends[usize::from(admitted.is_ok())] += 1;
        match admitted {
            Ok((other, _)) => {
                assert_eq!(models.len(), 2);
                let path = format!("/v1/models/{}", other.digest);
                place.admin().delete::<Removed>(&path).await.unwrap();
            }
            Err(problem) => {
                assert_eq!(problem.kind, ProblemKind::NoSpace, "{problem:?}");
                assert_eq!(models.len(), 1);
            }
        }
    }
    assert!(ends[0] > 2 && ends[1] > 2, "{ends:?}");
    assert!(open(&place.run(), model.digest).await.is_ok());
    assert_eq!(place.recorder.of(Event::ModelAdmit)[1].0, Outcome::Failed);
}

#[tokio::test]
async fn a_caller_that_goes_away_while_its_artifact_is_copied_leaves_nothing() {
    let place = Place::new();
    let _daemon = place.start();
    let (artifact, report) = sparse(4 << 30);
    let conversation = Conversation::connect(&role::REGISTRY_ADMIT.path(&place.run())).unwrap();
    conversation
        .send(&request("a.gguf", &report), Some(artifact.as_fd()))
        .await
        .unwrap();
    let first = conversation.receive::<AdmitAnswer>().await.unwrap().unwrap();
    assert!(matches!(first, (AdmitAnswer::Progress { .. }, None)));
    drop(conversation);
    drafts_gone(&place).await;
    eventually("the failure is recorded", async || {
        place
            .recorder
            .of(Event::ModelAdmit)
            .first()
            .filter(|entry| entry.0 == Outcome::Failed)
            .cloned()
    })
    .await;
    assert!(admit(&place.run(), "b.gguf", b"weights").await.is_ok());
}

#[tokio::test]
async fn a_stop_while_an_artifact_is_copied_is_quick_and_leaves_nothing() {
    let place = Place::new();
    let mut daemon = place.start();
    let (artifact, report) = sparse(4 << 30);
    let conversation = Conversation::connect(&role::REGISTRY_ADMIT.path(&place.run())).unwrap();
    conversation
        .send(&request("a.gguf", &report), Some(artifact.as_fd()))
        .await
        .unwrap();
    conversation.receive::<AdmitAnswer>().await.unwrap().unwrap();
    let asked = Instant::now();
    assert!(daemon.stop());
    assert!(asked.elapsed() < Duration::from_secs(8));
    drafts_gone(&place).await;
}

/// Connects a packet socket without the crate that would not send garbage.
fn raw(place: &Place, role: role::Role) -> OwnedFd {
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    connect(&socket, &SocketAddrUnix::new(role.path(&place.run())).unwrap()).unwrap();
    socket
}

#[tokio::test]
async fn garbage_on_any_socket_changes_nothing_and_costs_no_memory() {
    let place = Place::new();
    let daemon = place.start();
    let (model, _) = admit(&place.run(), "a.gguf", b"weights").await.unwrap();
    let throw = |rounds: usize| {
        for round in 0..rounds {
            for role in [role::REGISTRY_OPEN, role::REGISTRY_ADMIT] {
                for packet in [
                    &b"\0\xff"[..],
                    b"{}",
                    b"[1,2",
                    &vec![b'['; 100_000],
                    &vec![b'x'; 150_000],
                ] {
                    let _ = send(raw(&place, role), packet, SendFlags::NOSIGNAL);
                }
            }
            for role in [role::REGISTRY_READ, role::REGISTRY_ADMIN] {
                for request in [
                    &b"\0\0\0\0\r\n\r\n"[..],
                    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"DELETE /v1/models/sha256:zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                    b"GET /v1/models/..%2f..%2fetc%2fpasswd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                    b"POST /v1/models HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
                ] {
                    let mut stream = UnixStream::connect(role.path(&place.run())).unwrap();
                    let _ = stream.write_all(request);
                    if round == 0 {
                        stream.shutdown(std::net::Shutdown::Write).unwrap();
                        let mut answer = Vec::new();
                        let _ = stream.read_to_end(&mut answer);
                        let head = String::from_utf8_lossy(&answer);
                        assert!(head.is_empty() || head.starts_with("HTTP/1.1 4"), "{head}");
                    }
                }
            }
        }
    };
    // As much as the daemon ever holds at once, then twice that again.
    throw(40);
    let before = daemon.memory_bytes();
    throw(80);
    let after = daemon.memory_bytes();
    let what =
        format!("registry: {before} bytes of its own after garbage, {after} after three times as much");
    say(&format!("[measured] {what}"));
    assert!(after < before + (8 << 20), "{what}");
    // A backlog that is full of garbage takes nobody for a moment.
    eventually("callers are served again", async || {
        Conversation::connect(&role::REGISTRY_OPEN.path(&place.run()))
            .ok()
            .map(drop)
    })
    .await;
    assert_eq!(
        content(open(&place.run(), model.digest).await.unwrap().1),
        b"weights"
    );
    assert_eq!(checker::check(&place.state()).len(), 1);
}

#[tokio::test]
async fn a_silent_caller_holds_up_nobody() {
    let place = Place::new();
    let _daemon = place.start();
    let silent: Vec<_> = (0..20)
        .flat_map(|_| {
            [
                raw(&place, role::REGISTRY_OPEN),
                raw(&place, role::REGISTRY_ADMIT),
            ]
        })
        .collect();
    let (model, _) = admit(&place.run(), "a.gguf", b"weights").await.unwrap();
    assert!(open(&place.run(), model.digest).await.is_ok());
    drop(silent);
}

#[tokio::test]
async fn an_open_request_with_a_descriptor_is_refused() {
    let place = Place::new();
    let _daemon = place.start();
    let conversation = Conversation::connect(&role::REGISTRY_OPEN.path(&place.run())).unwrap();
    let digest = digest_of(b"weights");
    conversation
        .send(&OpenRequest { digest }, Some(artifact(b"x").as_fd()))
        .await
        .unwrap();
    let (answer, _) = conversation.receive::<OpenAnswer>().await.unwrap().unwrap();
    assert!(matches!(answer, OpenAnswer::Problem { problem } if problem.kind == ProblemKind::Invalid));
}

#[tokio::test]
async fn a_store_without_its_index_is_not_taken_for_an_empty_one() {
    let place = Place::new();
    let mut daemon = place.start();
    admit(&place.run(), "a.gguf", b"weights").await.unwrap();
    daemon.stop();
    let index = place.state().join("index.json");
    let bytes = std::fs::read(&index).unwrap();
    std::fs::remove_file(&index).unwrap();
    assert!(!place.start().wait().success());
    std::fs::write(&index, b"{").unwrap();
    assert!(!place.start().wait().success());
    std::fs::write(&index, bytes).unwrap();
    let _daemon = place.start();
    assert_eq!(
        place
            .read()
            .get::<Models>("/v1/models")
            .await
            .unwrap()
            .models
            .len(),
        1
    );
    checker::check(&place.state());
}

#[tokio::test]
async fn a_second_daemon_does_not_touch_the_store() {
    let place = Place::new();
    let _daemon = place.start();
    admit(&place.run(), "a.gguf", b"weights").await.unwrap();
    let second = Place::new();
    std::fs::remove_dir(second.state()).unwrap();
    std::os::unix::fs::symlink(place.state(), second.state()).unwrap();
    assert!(!second.start().wait().success());
    assert_eq!(checker::check(&place.state()).len(), 1);
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
