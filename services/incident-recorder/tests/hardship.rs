//! Kills, full disks, hostile callers, wrong keys: nothing acknowledged is lost, and the recorder comes back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use holdfast_contract::ledger::{Appended, Entries, Event};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::role;
use holdfast_contract::status::ServiceStatus;
use holdfast_tests::tools::private_file_system;
use support::{Daemon, Place, entry};

/// Appends on several connections until the daemon is gone, and returns what was acknowledged.
async fn append_until_gone(place: &Place, run: usize, connections: usize) -> Vec<(u64, String)> {
    let tasks: Vec<_> = (0..connections)
        .map(|connection| {
            let client = place.appends();
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for number in 0.. {
                    let subject = format!("run {run} connection {connection} number {number}");
                    match client.post::<_, Appended>("/v1/entries", &entry(&subject)).await {
                        Ok(appended) => acknowledged.push((appended.index, subject)),
                        Err(_) => break,
                    }
                }
                acknowledged
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_acknowledged_survives_kills() {
    let place = Arc::new(Place::new());
    let mut acknowledged = Vec::new();
    for run in 0..12usize {
        let daemon = place.start();
        // Wait until it serves; from then on it may die at any moment.
        place.reads().get::<Entries>("/v1/entries?limit=0").await.unwrap();
        let appending = {
            let place = Arc::clone(&place);
            tokio::spawn(async move { append_until_gone(&place, run, 8).await })
        };
        // Not a synchronisation: the moment of the kill is to be arbitrary.
        tokio::time::sleep(Duration::from_millis(20 + 17 * run as u64)).await;
        daemon.kill();
        acknowledged.extend(appending.await.unwrap());
        // What waited in the socket's backlog is answered by the next run: that is what the sockets outlive it for.
    }
    let _daemon = place.start();
    let subjects = place.subjects().await;
    for (index, subject) in &acknowledged {
        assert_eq!(subjects.get(usize::try_from(*index).unwrap()), Some(subject));
    }
    assert!(
        acknowledged.len() > 500,
        "only {} were acknowledged",
        acknowledged.len()
    );
    let report = place.verify();
    assert!(report.ok, "{report:?}");
    let entries = place.entries().await;
    let count = |event| {
        entries
            .iter()
            .filter(|indexed| indexed.entry.event == event)
            .count()
    };
    assert_eq!(count(Event::ServiceStarted), 13);
    assert!(
        count(Event::ServiceReconciled) > 0,
        "a kill in the middle of appends leaves something to reconcile"
    );
}

#[tokio::test]
async fn an_orderly_stop_leaves_everything_published() {
    let place = Place::new();
    let daemon = place.start();
    place
        .appends()
        .post::<_, Appended>("/v1/entries", &entry("last"))
        .await
        .unwrap();
    assert!(daemon.stop());
    let report = place.verify();
    assert!(report.ok, "{report:?}");
    assert_eq!((report.size, report.uncovered_entries), (2, 0));
}

/// Appends large entries until one is refused. Returns how many were acknowledged, and why not more.
async fn filled(place: &Place) -> (u64, ProblemKind) {
    let client = place.appends();
    let large = entry(&"x".repeat(16_000));
    let mut acknowledged = 0;
    loop {
        match client.post::<_, Appended>("/v1/entries", &large).await {
            Ok(_) => acknowledged += 1,
            Err(problem) => return (acknowledged, problem.kind),
        }
        assert!(acknowledged < 100_000);
    }
}

/// Appends once there is space again. The first to ask may still find the failed attempt that is about to be repeated.
async fn taken(place: &Place, subject: &str) -> u64 {
    let client = place.appends();
    let taken = async {
        loop {
            match client.post::<_, Appended>("/v1/entries", &entry(subject)).await {
                Ok(appended) => return appended.index,
                Err(problem) => assert_eq!(problem.kind, ProblemKind::NoSpace),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), taken)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_full_disk_refuses_entries_and_the_recorder_goes_on_when_there_is_space() {
    if !private_file_system() {
        return;
    }
    let place = Place::new();
    let arguments = place.config("min_free_bytes = 1048576\n");
    // Two segments of 8 MiB, and some room for tiles.
    let daemon = place.start_on_a_device_of(24 << 20, &arguments);
    place.reads().get::<Entries>("/v1/entries?limit=0").await.unwrap();
    let ballast = format!("/proc/{}/root{}/ballast", daemon.pid(), place.state().display());
    std::fs::write(&ballast, vec![1; 4 << 20]).unwrap();
    let (acknowledged, kind) = filled(&place).await;
    assert_eq!(kind, ProblemKind::NoSpace);
    let problem = place
        .appends()
        .post::<_, Appended>("/v1/entries", &entry("refused"))
        .await
        .unwrap_err();
    assert_eq!(problem.kind, ProblemKind::NoSpace);
    assert!(problem.next.is_some());
    // Reading goes on.
    let status: ServiceStatus = place.reads().get("/v1/status").await.unwrap();
    assert!(status.summary.contains("entries, head"), "{}", status.summary);
    std::fs::remove_file(&ballast).unwrap();
    assert_eq!(
        taken(&place, "taken").await,
        acknowledged + 1,
        "the start, what was acknowledged, and this"
    );
    let state = format!("/proc/{}/root{}", daemon.pid(), place.state().display());
    place.reads().get::<Entries>("/v1/entries?limit=0").await.unwrap();
    let options = holdfast_ledger::verify::VerifyOptions::default();
    let report =
        holdfast_ledger::verify::verify(state.as_ref(), support::signer().verifier(), &options).unwrap();
    assert!(report.ok && report.size == acknowledged + 2, "{report:?}");
}

#[tokio::test]
async fn a_disk_that_fills_to_the_last_byte_loses_nothing_acknowledged() {
    if !private_file_system() {
        return;
    }
    let place = Place::new();
    let arguments = place.config("min_free_bytes = 1048576\n");
    let daemon = place.start_on_a_device_of(24 << 20, &arguments);
    place.reads().get::<Entries>("/v1/entries?limit=0").await.unwrap();
    let state = format!("/proc/{}/root{}", daemon.pid(), place.state().display());
    let client = place.appends();
    let mut acknowledged = 0;
    for _ in 0..20 {
        client
            .post::<_, Appended>("/v1/entries", &entry("before"))
            .await
            .unwrap();
        acknowledged += 1;
    }
    // Somebody else takes all the space, the recorder's reserve too, while entries wait to be published.
    let ballast = format!("{state}/ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    let problem = client
        .post::<_, Appended>("/v1/entries", &entry("refused"))
        .await
        .unwrap_err();
    assert_eq!(problem.kind, ProblemKind::NoSpace);
    drop(file);
    std::fs::remove_file(&ballast).unwrap();
    let index = taken(&place, "after").await;
    assert_eq!(
        index,
        acknowledged + 1,
        "the start, what was acknowledged, and this"
    );
    assert_eq!(place.subjects().await.len() as u64, acknowledged + 2);
}

#[tokio::test]
async fn hostile_callers_cost_no_memory_and_keep_nobody_out() {
    let place = Place::new();
    let daemon = place.start();
    place
        .appends()
        .post::<_, Appended>("/v1/entries", &entry("first"))
        .await
        .unwrap();
    let socket = place.socket(role::RECORDER_APPEND);
    let attack = |round: usize| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let nested = "[".repeat(100_000);
        let garbage: Vec<u8> = match round % 6 {
            0 => vec![0; 1000],
            1 => b"GET / HTTP/9.9\r\n\r\n".to_vec(),
            2 => b"POST /v1/entries HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n{".to_vec(),
            3 => format!("POST /v1/entries HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{nested}").into_bytes(),
            4 => [b"POST /v1/entries HTTP/1.1\r\nX: ".to_vec(), vec![b'a'; 200_000]].concat(),
            _ => b"POST /v1/entries HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n".to_vec(),
        };
        // The daemon may close before it has read everything.
        let _ = stream.write_all(&garbage);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        if let Some(status) = answer.get(9..12) {
            assert!(status.starts_with(b"4"), "{:?}", String::from_utf8_lossy(&answer));
        }
    };
    (0..60).for_each(attack);
    let before = daemon.memory_bytes();
    (0..600).for_each(attack);
    let after = daemon.memory_bytes();
    assert!(after < before + (4 << 20), "from {before} to {after} bytes");
    // Idle connections take places, but not all of them.
    let _idle: Vec<UnixStream> = (0..200).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    place
        .appends()
        .post::<_, Appended>("/v1/entries", &entry("last"))
        .await
        .unwrap();
    assert_eq!(place.entries().await.len(), 3);
}

fn fails(daemon: Daemon) {
    assert!(!daemon.wait().success());
}

#[tokio::test]
async fn a_ledger_of_another_key_a_short_key_and_no_key_do_not_start() {
    let place = Place::new();
    let daemon = place.start();
    place
        .appends()
        .post::<_, Appended>("/v1/entries", &entry("a"))
        .await
        .unwrap();
    assert!(daemon.stop());
    let key = place.path().join("credentials/ledger-key");
    for wrong in [vec![8; 32], vec![7; 31], vec![7; 33], vec![]] {
        std::fs::write(&key, wrong).unwrap();
        fails(place.start());
    }
    std::fs::remove_file(&key).unwrap();
    fails(place.start());
    std::fs::write(&key, [7; 32]).unwrap();
    let _daemon = place.start();
    assert_eq!(
        place.entries().await.len(),
        3,
        "nothing was changed by those that failed"
    );
}

#[tokio::test]
async fn two_recorders_do_not_share_a_ledger() {
    let place = Place::new();
    let _daemon = place.start();
    place
        .appends()
        .post::<_, Appended>("/v1/entries", &entry("a"))
        .await
        .unwrap();
    let second = Place::new();
    std::fs::remove_dir(second.state()).unwrap();
    std::os::unix::fs::symlink(place.state(), second.state()).unwrap();
    fails(second.start());
    place
        .appends()
        .post::<_, Appended>("/v1/entries", &entry("b"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_configuration_with_an_unknown_key_does_not_start() {
    let place = Place::new();
    let arguments = place.config("checkpoint_intervall_ms = 1000\n");
    fails(place.start_with(&arguments));
}

#[test]
fn the_daemon_is_confined() {
    let place = Place::new();
    let beside = place.path().join("beside");
    std::fs::create_dir(&beside).unwrap();
    let mut command = place.command("");
    command
        .arg("--prove-confinement")
        .stdout(std::process::Stdio::piped());
    let child = place.spawn(&mut command, &[("HOLDFAST_FORBIDDEN", &beside)]);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.lines().count() >= 10, "{text}");
    assert!(
        text.lines().all(|line| line.contains("\"denied\":true")),
        "{text}"
    );
}
