//! What a question over a role socket costs, beside a bare hyper echo of the same JSON on the same kind of socket in the same
//! run. Each server is a process of its own; the client is the same for both.

#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark that cannot run must stop"
)]

use std::convert::Infallible;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use holdfast_contract::role::Service;
use holdfast_ipc::{Answer, Json, Limits, Server};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

const WARM_UP: usize = 2_000;
const QUESTIONS: usize = 20_000;
const CONNECTIONS: usize = 16;
const LOAD: Duration = Duration::from_secs(3);

/// About the size of a decision.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    principal: String,
    action: String,
    resource: String,
    labels: Vec<String>,
    bytes: u64,
}

fn question() -> Bytes {
    let question = Question {
        principal: "session:3f2a".to_owned(),
        action: "file.read".to_owned(),
        resource: "workspace/notes/today.md".to_owned(),
        labels: vec!["internal".to_owned(), "user".to_owned()],
        bytes: 4096,
    };
    serde_json::to_vec(&question).unwrap().into()
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    if let (Some(flag), Some(kind), Some(path)) = (arguments.next(), arguments.next(), arguments.next())
        && flag == "--serve"
    {
        return serve(&kind, Path::new(&path));
    }
    let directory = std::env::temp_dir().join(format!("holdfast-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut results = Vec::new();
    // Twice in turn, so that a machine that slows down meanwhile slows both.
    for round in 0..2 {
        for kind in ["bare", "role"] {
            let path = directory.join(format!("{kind}-{round}.sock"));
            let mut server = start(kind, &path);
            results.push((kind, runtime.block_on(measure(&path))));
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }
    std::fs::remove_dir_all(&directory).unwrap();
    let best = |kind: &str| {
        let of_kind = || {
            results
                .iter()
                .filter(|(known, _)| *known == kind)
                .map(|(_, result)| result)
        };
        Figures {
            p50: of_kind().map(|result| result.p50).min().unwrap(),
            p99: of_kind().map(|result| result.p99).min().unwrap(),
            per_second: of_kind().map(|result| result.per_second).fold(0.0, f64::max),
        }
    };
    let (bare, role) = (best("bare"), best("role"));
    println!(
        "[measured] a question over a role socket: p50 {} µs ({} µs for a bare hyper echo, {:+} µs), p99 {} µs ({}), {:.0}/s at \
         {CONNECTIONS} connections ({:.0}, ratio {:.2})",
        role.p50.as_micros(),
        bare.p50.as_micros(),
        i128::try_from(role.p50.as_micros()).unwrap() - i128::try_from(bare.p50.as_micros()).unwrap(),
        role.p99.as_micros(),
        bare.p99.as_micros(),
        role.per_second,
        bare.per_second,
        role.per_second / bare.per_second,
    );
}

struct Figures {
    p50: Duration,
    p99: Duration,
    per_second: f64,
}

fn start(kind: &str, path: &PathBuf) -> Child {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--serve", kind])
        .arg(path)
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::os::unix::net::UnixStream::connect(path).is_err() {
        assert!(Instant::now() < deadline, "the server does not start");
        std::thread::yield_now();
    }
    child
}

fn serve(kind: &str, path: &Path) {
    let listener = UnixListener::bind(path).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async move {
        if kind == "role" {
            let echo =
                post(async |Json(question): Json<Question>| -> Answer<Question> { Ok(Json(question)) });
            let router = Router::new().route("/v1/decide", echo);
            Server::new(Service::Registry)
                .http(listener, router, Limits::PLAIN)
                .unwrap()
                .run()
                .await
                .unwrap();
            return;
        }
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::UnixListener::from_std(listener).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(
                TokioIo::new(stream),
                service_fn(async |request: Request<Incoming>| {
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let question: Question = serde_json::from_slice(&body).unwrap();
                    let answer = serde_json::to_vec(&question).unwrap();
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(answer))))
                }),
            ));
        }
    });
}

async fn measure(path: &Path) -> Figures {
    let mut sender = connect(path).await;
    let question = question();
    let mut times = Vec::with_capacity(QUESTIONS);
    for at in 0..WARM_UP + QUESTIONS {
        let begun = Instant::now();
        ask(&mut sender, &question).await;
        if at >= WARM_UP {
            times.push(begun.elapsed());
        }
    }
    times.sort_unstable();
    let until = Instant::now() + LOAD;
    let begun = Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (mut sender, question) = (connect(path).await, question.clone());
        callers.spawn(async move {
            let mut count = 0_u64;
            while Instant::now() < until {
                ask(&mut sender, &question).await;
                count += 1;
            }
            count
        });
    }
    let mut total = 0;
    while let Some(count) = callers.join_next().await {
        total += count.unwrap();
    }
    Figures {
        p50: times[QUESTIONS / 2],
        p99: times[QUESTIONS * 99 / 100],
        per_second: total as f64 / begun.elapsed().as_secs_f64(),
    }
}

async fn connect(path: &Path) -> SendRequest<Full<Bytes>> {
    let (sender, connection) = handshake(TokioIo::new(UnixStream::connect(path).await.unwrap()))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask(sender: &mut SendRequest<Full<Bytes>>, question: &Bytes) {
    let request = Request::post("/v1/decide")
        .header("host", "holdfast")
        .header("content-type", "application/json")
        .body(Full::new(question.clone()))
        .unwrap();
    // The connection takes a moment to notice that the last answer was read to its end.
    sender.ready().await.unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert!(response.status().is_success());
    response.into_body().collect().await.unwrap();
}
