//! The role sockets as their callers see them: what is recorded, what is refused, what can be read and proven.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use holdfast_contract::Problem;
use holdfast_contract::ledger::{
    Append, Appended, Entries, Event, IncidentReport, IndexedEntry, Outcome, Proof,
};
use holdfast_contract::limits::{MAX_ENTRIES_PER_ANSWER, MAX_ENTRY_BYTES};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::report::Severity;
use holdfast_contract::role;
use holdfast_contract::role::Service;
use holdfast_contract::status::ServiceStatus;
use holdfast_ledger::tile::{self, Kind, Tile};
use holdfast_ledger::tree::Frontier;
use holdfast_ledger::{Checkpoint, bundle, hash, proof};
use serde_json::{Value, json};
use support::{OWN_NAME, Place, entry, entry_with, signer};

async fn append(place: &Place, entry: &Append) -> Result<Appended, Problem> {
    place.appends().post("/v1/entries", entry).await
}

async fn refused(place: &Place, body: &Value) -> ProblemKind {
    place
        .appends()
        .post::<_, Appended>("/v1/entries", body)
        .await
        .unwrap_err()
        .kind
}

async fn checkpoint(place: &Place) -> Checkpoint {
    let note = place.reads().get_text("/v1/checkpoint").await.unwrap();
    Checkpoint::open(&note, signer().verifier()).unwrap()
}

fn bytes(hashes: &Proof) -> Vec<hash::Hash> {
    hashes.hashes.iter().map(|digest| *digest.as_bytes()).collect()
}

#[tokio::test]
async fn an_entry_is_recorded_under_the_name_the_kernel_gives_and_can_be_read_at_once() {
    let place = Place::new();
    let _daemon = place.start();
    let asked = entry_with(
        "sha256:00",
        &json!({"reason": "no statement", "bytes": 12, "list": [true, {"a": 1}]}),
    );
    let appended = append(&place, &asked).await.unwrap();
    let answer: Entries = place.reads().get("/v1/entries?limit=1").await.unwrap();
    let IndexedEntry { index, entry } = answer.entries.into_iter().next().unwrap();
    assert_eq!((answer.size, index), (appended.index + 1, appended.index));
    assert_eq!(entry.source, OWN_NAME);
    assert_eq!((entry.event, entry.outcome), (Event::ModelOpen, Outcome::Allowed));
    assert_eq!((entry.subject, entry.detail), (asked.subject, asked.detail));
}

#[tokio::test]
async fn the_recorder_records_its_own_start_first() {
    let place = Place::new();
    let daemon = place.start();
    append(&place, &entry("a")).await.unwrap();
    assert!(daemon.stop());
    let _daemon = place.start();
    append(&place, &entry("b")).await.unwrap();
    let entries = place.entries().await;
    let starts: Vec<&IndexedEntry> = entries
        .iter()
        .filter(|indexed| indexed.entry.event == Event::ServiceStarted)
        .collect();
    assert_eq!(starts.len(), 2);
    assert_eq!(starts[0].entry.source, Service::IncidentRecorder.name());
    assert_eq!(starts[1].entry.detail["entries"], 2);
    assert!(
        entries
            .iter()
            .all(|indexed| indexed.entry.event != Event::ServiceReconciled),
        "it was stopped orderly"
    );
    assert!(entries.is_sorted_by_key(|indexed| indexed.entry.time));
}

#[tokio::test]
async fn what_is_no_entry_is_refused_and_the_nearest_that_is_one_is_taken() {
    let place = Place::new();
    let _daemon = place.start();
    let with = |detail: Value| json!({"event": "model.open", "outcome": "allowed", "subject": "s", "detail": detail});
    for detail in [
        json!({"a": 1.5}),
        json!({"a": null}),
        json!({"a": 9_007_199_254_740_992_u64}),
        json!({"a": [[[[1]]]]}),
        json!([1]),
        json!("a"),
    ] {
        assert_eq!(
            refused(&place, &with(detail.clone())).await,
            ProblemKind::Invalid,
            "{detail}"
        );
    }
    for body in [
        json!({"event": "model.open", "outcome": "allowed"}),
        json!({"event": "model.opened", "outcome": "allowed", "subject": "s"}),
        json!({"event": "model.open", "outcome": "Allowed", "subject": "s"}),
        json!({"event": "model.open", "outcome": "allowed", "subject": "s", "source": "registry"}),
        json!({"event": "model.open", "outcome": "allowed", "subject": "s", "time": "2026-01-01T00:00:00Z"}),
        json!({"event": "model.open", "outcome": "allowed", "subject": 1}),
    ] {
        assert_eq!(refused(&place, &body).await, ProblemKind::Invalid, "{body}");
    }
    let long =
        |length: usize| json!({"event": "model.open", "outcome": "allowed", "subject": "s".repeat(length)});
    assert_eq!(
        refused(&place, &long(MAX_ENTRY_BYTES)).await,
        ProblemKind::TooLarge
    );
    assert_eq!(refused(&place, &long(200_000)).await, ProblemKind::TooLarge);
    for body in [
        with(json!({"a": [[[1]], 9_007_199_254_740_991_u64]})),
        long(MAX_ENTRY_BYTES - 200),
    ] {
        place
            .appends()
            .post::<_, Appended>("/v1/entries", &body)
            .await
            .unwrap();
    }
    assert_eq!(place.entries().await.len(), 3, "the start, and what was taken");
}

#[tokio::test]
async fn incidents_come_in_by_their_own_socket_only() {
    let place = Place::new();
    let _daemon = place.start();
    let report = IncidentReport {
        class: "worker.crashed".to_owned(),
        severity: Severity::High,
        subject: "sha256:00".to_owned(),
        summary: "the inspector was killed".to_owned(),
    };
    let reports = place.client(role::RECORDER_REPORT);
    let appended: Appended = reports.post("/v1/reports", &report).await.unwrap();
    let entry = place.entries().await[usize::try_from(appended.index).unwrap()]
        .entry
        .clone();
    assert_eq!(
        (entry.event, entry.outcome),
        (Event::IncidentReported, Outcome::Noted)
    );
    assert_eq!(
        (entry.source.as_str(), entry.subject.as_str()),
        (OWN_NAME, "sha256:00")
    );
    let detail =
        json!({"class": "worker.crashed", "severity": "high", "summary": "the inspector was killed"});
    assert_eq!(Value::Object(entry.detail), detail);

    let nameless = IncidentReport {
        class: "Worker crashed".to_owned(),
        ..report
    };
    let problem = reports
        .post::<_, Appended>("/v1/reports", &nameless)
        .await
        .unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Invalid);
    let forged = Append {
        event: Event::IncidentReported,
        ..support::entry("x")
    };
    assert_eq!(
        append(&place, &forged).await.unwrap_err().kind,
        ProblemKind::Denied
    );
    // Each socket grants its own role and nothing of the others.
    let misplaced = place
        .client(role::RECORDER_REPORT)
        .post::<_, Appended>("/v1/entries", &support::entry("x"))
        .await;
    assert_eq!(misplaced.unwrap_err().kind, ProblemKind::NotFound);
    let misplaced = place
        .reads()
        .post::<_, Appended>("/v1/entries", &support::entry("x"))
        .await;
    assert!(misplaced.is_err());
    let misplaced = place.appends().get::<Entries>("/v1/entries?limit=1").await;
    assert!(misplaced.is_err());
}

#[tokio::test]
async fn a_source_over_its_rate_is_told_to_wait() {
    let place = Place::new();
    let arguments = place.config("entries_per_second = 1\nreports_per_second = 1\n");
    let _daemon = place.start_with(&arguments);
    append(&place, &entry("first")).await.unwrap();
    let problem = append(&place, &entry("second")).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Busy);
    assert!(problem.next.is_some());
}

#[tokio::test]
async fn entries_are_given_in_pieces_that_callers_choose() {
    let place = Place::new();
    let _daemon = place.start();
    let client = place.appends();
    for number in 0..5 {
        client
            .post::<_, Appended>("/v1/entries", &entry(&number.to_string()))
            .await
            .unwrap();
    }
    let reads = place.reads();
    let ask = async |query: &str| reads.get::<Entries>(&format!("/v1/entries?{query}")).await;
    let indices = |answer: Entries| {
        answer
            .entries
            .into_iter()
            .map(|indexed| indexed.index)
            .collect::<Vec<_>>()
    };
    assert_eq!(indices(ask("limit=2").await.unwrap()), [4, 5]);
    assert_eq!(indices(ask("limit=100").await.unwrap()), [0, 1, 2, 3, 4, 5]);
    assert_eq!(indices(ask("from=2&limit=2").await.unwrap()), [2, 3]);
    assert_eq!(indices(ask("from=6&limit=2").await.unwrap()), [0; 0]);
    assert_eq!(
        indices(ask("from=18446744073709551615&limit=1000").await.unwrap()),
        [0; 0]
    );
    let sizes = ask("limit=0").await.unwrap();
    assert_eq!((sizes.size, sizes.entries.len()), (6, 0));
    for (query, kind) in [
        (
            format!("limit={}", MAX_ENTRIES_PER_ANSWER + 1),
            ProblemKind::TooLarge,
        ),
        ("from=1".to_owned(), ProblemKind::Invalid),
        ("limit=-1".to_owned(), ProblemKind::Invalid),
        ("limit=1&to=2".to_owned(), ProblemKind::Invalid),
    ] {
        assert_eq!(ask(&query).await.unwrap_err().kind, kind, "{query}");
    }
}

#[tokio::test]
async fn an_answer_stays_within_its_limit_however_large_the_entries() {
    let place = Place::new();
    let _daemon = place.start();
    let client = place.appends();
    let large = entry(&"x".repeat(MAX_ENTRY_BYTES - 200));
    for _ in 0..400 {
        client.post::<_, Appended>("/v1/entries", &large).await.unwrap();
    }
    let newest: Entries = place.reads().get("/v1/entries?limit=1000").await.unwrap();
    assert_eq!(
        newest.entries.last().unwrap().index,
        400,
        "the newest are given, not the oldest"
    );
    assert!((100..300).contains(&newest.entries.len()));
    assert_eq!(
        place.entries().await.len(),
        401,
        "piece by piece everything can be had"
    );
}

#[tokio::test]
async fn proofs_hold_against_the_signed_checkpoint() {
    let place = Place::new();
    let _daemon = place.start();
    let client = place.appends();
    let mut appended = Vec::new();
    let mut earlier = None;
    for number in 0..300 {
        appended.push(
            client
                .post::<_, Appended>("/v1/entries", &entry(&number.to_string()))
                .await
                .unwrap(),
        );
        if number == 99 {
            earlier = Some(checkpoint(&place).await);
        }
    }
    let (earlier, newest) = (earlier.unwrap(), checkpoint(&place).await);
    assert_eq!((earlier.size, newest.size), (101, 301));
    let reads = place.reads();
    for Appended { index, leaf } in appended {
        let path = format!("/v1/proofs/inclusion?index={index}&size={}", newest.size);
        let proof: Proof = reads.get(&path).await.unwrap();
        proof::verify_inclusion(leaf.as_bytes(), index, newest.size, &bytes(&proof), &newest.root).unwrap();
    }
    let path = format!("/v1/proofs/consistency?from={}&to={}", earlier.size, newest.size);
    let proof: Proof = reads.get(&path).await.unwrap();
    proof::verify_consistency(
        earlier.size,
        &earlier.root,
        newest.size,
        &newest.root,
        &bytes(&proof),
    )
    .unwrap();
    for path in [
        "/v1/proofs/inclusion?index=301&size=301",
        "/v1/proofs/inclusion?index=0&size=302",
        "/v1/proofs/consistency?from=2&to=1",
        "/v1/proofs/consistency?from=1&to=302",
    ] {
        assert_eq!(
            reads.get::<Proof>(path).await.unwrap_err().kind,
            ProblemKind::NotFound,
            "{path}"
        );
    }
    let incomplete = reads.get::<Proof>("/v1/proofs/inclusion?index=0").await;
    assert_eq!(incomplete.unwrap_err().kind, ProblemKind::Invalid);
}

/// As a monitor would: checkpoint, tiles and bundles, and nothing else of Holdfast's.
#[tokio::test]
async fn a_tlog_tiles_client_can_follow_the_log() {
    let place = Place::new();
    let daemon = place.start();
    let client = place.appends();
    for number in 0..600 {
        client
            .post::<_, Appended>("/v1/entries", &entry(&number.to_string()))
            .await
            .unwrap();
    }
    let checkpoint = checkpoint(&place).await;
    let read = place.socket(role::RECORDER_READ);
    let mut frontier = Frontier::default();
    for index in 0..=checkpoint.size / 256 {
        let tile = |kind| Tile::of(kind, index, checkpoint.size).unwrap();
        let (status, head, hashes) = get(&read, &format!("/v1/{}", tile(Kind::Hashes { level: 0 }).path()));
        assert_eq!(status, 200);
        assert!(
            head.to_lowercase()
                .contains("content-type: application/octet-stream"),
            "{head}"
        );
        let (_, _, entries) = get(&read, &format!("/v1/{}", tile(Kind::Entries).path()));
        for (hash, leaf) in hashes.chunks_exact(32).zip(bundle::entries(&entries)) {
            assert_eq!(hash, hash::leaf(leaf.unwrap()));
            frontier.push(hash.try_into().unwrap());
        }
    }
    assert_eq!(
        (frontier.size(), frontier.root()),
        (checkpoint.size, checkpoint.root)
    );
    // A partial tile of an earlier tree is served as long as anybody may want it.
    let (status, _, narrow) = get(&read, "/v1/tile/0/001.p/7");
    assert_eq!((status, narrow.len()), (200, 7 * 32));
    for path in [
        "/v1/tile/0/002.p/90",
        "/v1/tile/0/003",
        "/v1/tile/0/2",
        "/v1/tile/0/../checkpoint",
        "/v1/tile/0/..%2f..%2fcheckpoint",
        "/v1/tile/entries/%2e%2e/%2e%2e/checkpoints",
        "/v1/tile/63/000",
        "/v1/tile/",
    ] {
        assert_eq!(get(&read, path).0, 404, "{path}");
    }
    let (status, head, note) = get(&read, "/v1/checkpoint");
    assert_eq!(status, 200);
    assert!(
        head.to_lowercase()
            .contains("content-type: text/plain; charset=utf-8"),
        "{head}"
    );
    assert_eq!(note, std::fs::read(place.state().join("checkpoint")).unwrap());
    assert!(tile::partials(checkpoint.size).all(|tile| place.state().join(tile.path()).is_file()));
    drop(daemon);
}

/// `GET` as plainly as it can be said.
fn get(socket: &std::path::Path, path: &str) -> (u16, String, Vec<u8>) {
    let mut stream = UnixStream::connect(socket).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
    (head[9..12].parse().unwrap(), head, answer.split_off(end + 4))
}

#[tokio::test]
async fn the_status_says_what_there_is_and_how_the_recorder_is_confined() {
    let place = Place::new();
    let daemon = place.start();
    append(&place, &entry("a")).await.unwrap();
    place.entries().await;
    let status: ServiceStatus = place.reads().get("/v1/status").await.unwrap();
    assert_eq!(
        (status.service, status.pid),
        (Service::IncidentRecorder, daemon.pid())
    );
    let root = holdfast_contract::Digest::from_bytes(checkpoint(&place).await.root).hex();
    assert_eq!(status.summary, format!("2 entries, head {}", &root[..16]));
    assert!(status.confinement.syscalls > 0);
    assert_eq!(status.confinement.grants, ["read and write state"]);
}
