//! A role socket as its callers see it, the hostile ones included.

#![expect(clippy::unwrap_used, reason = "a test that cannot prepare itself must stop")]

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use holdfast_contract::Problem;
use holdfast_contract::limits::MAX_JSON_BYTES;
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::role::Service;
use holdfast_ipc::{Answer, Client, Json, Limits, Peer, Server, events};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    text: String,
}

fn router(cancelled: Arc<AtomicUsize>) -> Router {
    Router::new()
        .route(
            "/v1/note",
            post(async |Json(note): Json<Note>| -> Answer<Note> { Ok(Json(note)) }),
        )
        .route(
            "/v1/peer",
            get(async |peer: Peer| -> Answer<u32> { Ok(Json(peer.pid)) }),
        )
        .route(
            "/v1/denied",
            get(async || -> Answer<()> { Err(Problem::new(ProblemKind::Denied, "not you").into()) }),
        )
        .route(
            "/v1/never",
            get(async || -> Answer<()> { std::future::pending().await }),
        )
        .route("/v1/large", get(async || "x".repeat(64 << 20)))
        .route(
            "/v1/count",
            post(async |Json(to): Json<u32>| events(futures_util::stream::iter(0..to))),
        )
        .route(
            "/v1/endless",
            post(async move |Json(()): Json<()>| {
                let guard = OnDrop(cancelled);
                events(futures_util::stream::unfold((0, guard), async |(n, guard)| {
                    tokio::task::yield_now().await;
                    Some((n, (n + 1, guard)))
                }))
            }),
        )
}

struct OnDrop(Arc<AtomicUsize>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Fixture {
    path: PathBuf,
    cancelled: Arc<AtomicUsize>,
    _directory: tempfile::TempDir,
}

/// Serves until the test's runtime ends.
fn serve(limits: Limits) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("role.sock");
    let cancelled = Arc::new(AtomicUsize::new(0));
    let listener = UnixListener::bind(&path).unwrap();
    let server = Server::new(Service::Registry)
        .http(listener, router(Arc::clone(&cancelled)), limits)
        .unwrap();
    tokio::spawn(server.run());
    Fixture {
        path,
        cancelled,
        _directory: directory,
    }
}

/// Sends bytes and returns everything that comes back until the server closes.
async fn raw(path: &Path, bytes: &[u8]) -> String {
    let mut stream = tokio::net::UnixStream::connect(path).await.unwrap();
    // The server may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn answers_json_and_names_the_peer_by_the_kernel() {
    let fixture = serve(Limits::PLAIN);
    let client = Client::new(&fixture.path);
    let note = Note {
        text: "hello".to_owned(),
    };
    assert_eq!(client.post::<_, Note>("/v1/note", &note).await.unwrap(), note);
    assert_eq!(client.get::<u32>("/v1/peer").await.unwrap(), std::process::id());
}

#[tokio::test]
async fn tells_problems_as_they_were_meant() {
    let fixture = serve(Limits::PLAIN);
    let client = Client::new(&fixture.path);
    assert_eq!(
        client.get::<()>("/v1/denied").await.unwrap_err().kind,
        ProblemKind::Denied
    );
    assert_eq!(
        client.get::<()>("/v1/nothing-here").await.unwrap_err().kind,
        ProblemKind::NotFound
    );
    let unknown_field = serde_json::json!({ "text": "", "more": 1 });
    let error = client
        .post::<_, Note>("/v1/note", &unknown_field)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ProblemKind::Invalid);
    assert!(error.detail.contains("more"), "{error}");
}

#[tokio::test]
async fn refuses_a_body_over_the_limit_and_takes_one_just_below() {
    let fixture = serve(Limits::PLAIN);
    let client = Client::new(&fixture.path);
    let overhead = serde_json::to_vec(&Note { text: String::new() }).unwrap().len();
    let just_below = Note {
        text: "x".repeat(MAX_JSON_BYTES - overhead),
    };
    assert!(client.post::<_, Note>("/v1/note", &just_below).await.is_ok());
    let over = Note {
        text: "x".repeat(MAX_JSON_BYTES - overhead + 1),
    };
    assert_eq!(
        client.post::<_, Note>("/v1/note", &over).await.unwrap_err().kind,
        ProblemKind::TooLarge
    );
}

#[tokio::test]
async fn garbage_is_answered_with_an_error_or_a_closed_connection_and_others_are_served_on() {
    let fixture = serve(Limits::PLAIN);
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(5_000));
    let long_head = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20));
    let both_lengths =
        "POST /v1/note HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n";
    for garbage in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
        b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        both_lengths.as_bytes(),
        many_headers.as_bytes(),
        long_head.as_bytes(),
        &[0; 4096],
    ] {
        let answer = raw(&fixture.path, garbage).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{answer:.200}"
        );
    }
    assert!(Client::new(&fixture.path).get::<u32>("/v1/peer").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_request_head_that_never_ends_is_closed() {
    let fixture = serve(Limits::PLAIN);
    let started = tokio::time::Instant::now();
    let answer = raw(&fixture.path, b"GET /v1/peer HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
        "{answer}"
    );
    assert!(started.elapsed() < Duration::from_secs(8));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_answers_is_a_deadline_and_a_slow_body_too() {
    let fixture = serve(Limits::PLAIN);
    let client = Client::new(&fixture.path);
    assert_eq!(
        client.get::<()>("/v1/never").await.unwrap_err().kind,
        ProblemKind::Deadline
    );
    let slow = raw(
        &fixture.path,
        b"POST /v1/note HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
    )
    .await;
    assert!(slow.starts_with("HTTP/1.1 504"), "{slow}");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_does_not_read_its_answer_loses_its_connection() {
    let fixture = serve(Limits {
        connections: 1,
        ..Limits::PLAIN
    });
    let mut lazy = UnixStream::connect(&fixture.path).unwrap();
    lazy.write_all(b"GET /v1/large HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    // The only place is taken by a caller that does not read: it must be freed for this one.
    let client = Client::new(&fixture.path).with_deadline(Duration::from_mins(2));
    assert!(client.get::<u32>("/v1/peer").await.is_ok());
    let mut answer = Vec::new();
    let _ = lazy.read_to_end(&mut answer);
    assert!(answer.len() < 64 << 20);
}

#[tokio::test]
async fn a_stream_of_events_arrives_whole() {
    let fixture = serve(Limits::PLAIN);
    let mut events = Client::new(&fixture.path)
        .post_events::<_, u32>("/v1/count", &1000)
        .await
        .unwrap();
    let mut received = Vec::new();
    while let Some(event) = events.next().await {
        received.push(event.unwrap());
    }
    assert_eq!(received, (0..1000).collect::<Vec<_>>());
}

#[tokio::test]
async fn dropping_the_events_cancels_the_request() {
    let fixture = serve(Limits::PLAIN);
    let mut events = Client::new(&fixture.path)
        .post_events::<_, u64>("/v1/endless", &())
        .await
        .unwrap();
    assert_eq!(events.next().await.unwrap().unwrap(), 0);
    drop(events);
    let cancelled = async {
        while fixture.cancelled.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), cancelled)
        .await
        .expect("the handler's stream was not dropped");
}

#[tokio::test]
async fn nobody_listening_is_unavailable() {
    let directory = tempfile::tempdir().unwrap();
    let client = Client::new(directory.path().join("registry/read.sock"));
    let problem = client.get::<()>("/v1/status").await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Unavailable);
    assert!(problem.detail.contains("registry"), "{problem}");
}

#[tokio::test]
async fn a_socket_address_may_be_longer_than_the_kernel_takes() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("d".repeat(200));
    std::fs::create_dir(&deep).unwrap();
    let short = directory.path().join("s.sock");
    let listener = UnixListener::bind(&short).unwrap();
    std::fs::rename(&short, deep.join("s.sock")).unwrap();
    let server = Server::new(Service::Registry)
        .http(listener, router(Arc::default()), Limits::PLAIN)
        .unwrap();
    tokio::spawn(server.run());
    assert!(
        Client::new(deep.join("s.sock"))
            .get::<u32>("/v1/peer")
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_is_replaced() {
    let fixture = serve(Limits::PLAIN);
    let client = Client::new(&fixture.path);
    assert!(client.get::<u32>("/v1/peer").await.is_ok());
    // The same path, another server: the kept connection is dead.
    std::fs::remove_file(&fixture.path).unwrap();
    let listener = UnixListener::bind(&fixture.path).unwrap();
    let server = Server::new(Service::Registry)
        .http(listener, router(Arc::default()), Limits::PLAIN)
        .unwrap();
    tokio::spawn(server.run());
    for _ in 0..3 {
        assert!(client.get::<u32>("/v1/peer").await.is_ok());
    }
}
