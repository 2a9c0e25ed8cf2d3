//! How fast a file comes in, from the first byte sent to the model in the store, against `openssl dgst` on the same bytes; and what
//! memory the daemon has of its own meanwhile.
//!
//! Real daemon, worker and registry. The recorder is a stand-in that keeps entries in memory.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a measurement that cannot go on fails"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use holdfast_contract::quarantine::{Stage, SubmissionEvent};
use support::{Place, large};

const BYTES: usize = 1 << 30;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let place = Place::new();
    let daemon = place.start();
    let bytes = large(BYTES);
    let file = place.path().join("file");
    std::fs::write(&file, &bytes).unwrap();
    let openssl = (0..3)
        .map(|_| {
            let started = Instant::now();
            let output = Command::new("openssl")
                .args(["dgst", "-sha256"])
                .arg(&file)
                .output()
                .unwrap();
            assert!(output.status.success());
            started.elapsed()
        })
        .min()
        .unwrap();
    std::fs::remove_file(&file).unwrap();

    let started = Instant::now();
    let mut stages = Vec::new();
    runtime.block_on(async {
        let mut events = place.send("a.safetensors", bytes, true).await.unwrap();
        while let Some(event) = events.next().await {
            let stage = match event.unwrap() {
                SubmissionEvent::Progress { stage, .. } => stage,
                SubmissionEvent::Ended { submission } => submission.stage,
            };
            if stages.last().is_none_or(|(last, _)| *last != stage) {
                stages.push((stage, started.elapsed()));
            }
        }
    });
    let at = |stage| {
        stages
            .iter()
            .find(|(of, _)| *of == stage)
            .map_or(Duration::ZERO, |(_, at)| *at)
    };
    let (received, inspected, admitted) = (at(Stage::Inspecting), at(Stage::Admitting), at(Stage::Admitted));
    println!(
        "[measured] quarantine imports 1 GiB in {:.2} s: {:.2} received, {:.2} inspected ({:.2} of openssl dgst -sha256, {:.0} MB/s), {:.2} admitted",
        admitted.as_secs_f64(),
        received.as_secs_f64(),
        inspected.saturating_sub(received).as_secs_f64(),
        openssl.as_secs_f64() / inspected.saturating_sub(received).as_secs_f64(),
        1073.7 / openssl.as_secs_f64(),
        admitted.saturating_sub(inspected).as_secs_f64(),
    );
    println!(
        "[measured] quarantine has {:.1} MB of its own after it (the worker: see inspection)",
        mega(daemon.memory_bytes())
    );
}

fn mega(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) * 1.024e-3
}
