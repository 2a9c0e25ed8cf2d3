//! What a durable entry costs over the role socket, beside a request that the same daemon answers from memory.
//!
//! The daemon is the real one. `HOLDFAST_BENCH_SECONDS` (5) changes how long each number of connections is kept busy.

#![allow(missing_docs, reason = "a program")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a measurement that cannot go on fails"
)]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use holdfast_contract::ledger::{Append, Appended, Entries};
use holdfast_contract::role;
use holdfast_contract::status::ServiceStatus;
use holdfast_ipc::Client;
use serde_json::json;
use support::{Place, entry_with};

fn main() {
    let seconds = std::env::var("HOLDFAST_BENCH_SECONDS").map_or(5, |text| text.parse().unwrap());
    let time = Duration::from_secs(seconds);
    // On the disk that the build is on: temporary files may be in memory.
    let place = Place::new_in(env!("CARGO_TARGET_TMPDIR").as_ref());
    let arguments = place.config("entries_per_second = 1000000\n");
    let daemon = place.start_with(&arguments);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let before = daemon.memory_bytes();
    for connections in [1, 16] {
        let status = |client: Client| async move {
            client.get::<ServiceStatus>("/v1/status").await.unwrap();
        };
        let (plain_rate, plain, _) =
            runtime.block_on(load(&place, role::RECORDER_READ, connections, time, status));
        let append = |client: Client| async move {
            client
                .post::<Append, Appended>("/v1/entries", &decision())
                .await
                .unwrap();
        };
        let (rate, p50, p99) =
            runtime.block_on(load(&place, role::RECORDER_APPEND, connections, time, append));
        println!(
            "[measured] recorder appends durably over {connections} connection(s): {rate:.0}/s, p50 {p50:.0} µs, p99 {p99:.0} µs; \
             a request without the ledger: {plain_rate:.0}/s, p50 {plain:.0} µs ({:.2} of that rate{})",
            rate / plain_rate,
            if connections == 16 {
                format!("; {:.1} of the 10000/s asked for", rate / 1e4)
            } else {
                String::new()
            },
        );
    }
    let size = runtime
        .block_on(place.reads().get::<Entries>("/v1/entries?limit=0"))
        .unwrap()
        .size;
    println!(
        "[measured] recorder memory: {:.1} MiB at start, {:.1} MiB after {size} entries",
        before as f64 / f64::from(1 << 20),
        daemon.memory_bytes() as f64 / f64::from(1 << 20)
    );
    assert!(daemon.stop());
    assert!(place.verify().ok);
}

fn decision() -> Append {
    entry_with(
        &format!("sha256:{:064x}", 1),
        &json!({"connection": 7, "model": "guide", "tokens": 812}),
    )
}

/// Keeps `connections` connections busy. Returns requests a second, and the median and the 99th percentile in microseconds.
async fn load<F: Future<Output = ()> + Send>(
    place: &Place,
    role: role::Role,
    connections: usize,
    time: Duration,
    request: impl Fn(Client) -> F + Copy + Send + 'static,
) -> (f64, f64, f64) {
    let start = Instant::now();
    let tasks: Vec<_> = (0..connections)
        .map(|_| {
            let client = place.client(role);
            tokio::spawn(async move {
                let mut times = Vec::new();
                while start.elapsed() < time {
                    let start = Instant::now();
                    request(client.clone()).await;
                    times.push(start.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    let rate = times.len() as f64 / start.elapsed().as_secs_f64();
    times.sort();
    let micros = |place: usize| times[place].as_secs_f64() * 1e6;
    (rate, micros(times.len() / 2), micros(times.len() * 99 / 100))
}
