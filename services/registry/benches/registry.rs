//! How long it takes to open a model, at two sizes, and how fast an artifact comes in, against `openssl dgst` on the same file.
//!
//! The daemon is the real one, over its real sockets. The recorder is a stand-in that keeps entries in memory: what a durable
//! entry costs is measured where the recorder is.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a measurement that cannot go on fails"
)]
#![allow(missing_docs, reason = "a program")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use holdfast_contract::Digest;
use holdfast_contract::registry::{AdmitAnswer, OpenAnswer, OpenRequest};
use holdfast_contract::report::Report;
use holdfast_contract::role;
use holdfast_ipc::descriptor::Conversation;
use support::daemon::Place;
use support::{report, request};

const OPENS: usize = 5000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let gib = std::env::var("HOLDFAST_BENCH_GIB")
        .ok()
        .and_then(|gib| gib.parse().ok())
        .unwrap_or(2_u64);
    let place = Place::new();
    let _daemon = place.start();
    let large = place.path().join("large");
    fill(&large, gib << 30);
    let openssl = (0..3)
        .map(|_| openssl(&large))
        .min_by(|a, b| a.0.cmp(&b.0))
        .unwrap();
    let report_of = |size_bytes, sha256| Report {
        size_bytes,
        sha256: Some(sha256),
        ..report(b"")
    };
    let started = Instant::now();
    runtime.block_on(admit(
        &place,
        "large.gguf",
        &large,
        &report_of(gib << 30, openssl.1),
    ));
    let admission = started.elapsed();
    println!(
        "[measured] registry admits {gib} GiB in {:.2} s ({:.0} MB/s, durable): {:.2} of openssl dgst -sha256 ({:.0} MB/s)",
        admission.as_secs_f64(),
        speed(gib, admission),
        openssl.0.as_secs_f64() / admission.as_secs_f64(),
        speed(gib, openssl.0),
    );
    let small = place.path().join("small");
    fill(&small, 1 << 20);
    let small_digest = self::openssl(&small).1;
    runtime.block_on(admit(
        &place,
        "small.gguf",
        &small,
        &report_of(1 << 20, small_digest),
    ));
    for (name, digest) in [
        ("1 MiB".to_owned(), small_digest),
        (format!("{gib} GiB"), openssl.1),
    ] {
        let (p50, p99, worst) = runtime.block_on(open_many(&place, digest));
        println!(
            "[measured] registry opens {name}: p50 {:.0} µs, p99 {:.0} µs, worst {:.0} µs (limit 1000 µs)",
            micros(p50),
            micros(p99),
            micros(worst)
        );
    }
}

fn fill(path: &Path, bytes: u64) {
    let mut file = File::create(path).unwrap();
    let mut state = 1_u64;
    let mut block = vec![0; 1 << 20];
    for _ in 0..bytes >> 20 {
        for word in block.chunks_exact_mut(8) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            word.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&block).unwrap();
    }
    file.sync_all().unwrap();
}

fn openssl(path: &Path) -> (Duration, Digest) {
    let started = Instant::now();
    let output = Command::new("openssl")
        .args(["dgst", "-sha256", "-r"])
        .arg(path)
        .output()
        .unwrap();
    let took = started.elapsed();
    let text = String::from_utf8(output.stdout).unwrap();
    (
        took,
        format!("sha256:{}", text.split(' ').next().unwrap())
            .parse()
            .unwrap(),
    )
}

async fn admit(place: &Place, name: &str, path: &Path, report: &Report) {
    let conversation = Conversation::connect(&role::REGISTRY_ADMIT.path(&place.run())).unwrap();
    let artifact = File::open(path).unwrap();
    conversation
        .send(&request(name, report), Some(artifact.as_fd()))
        .await
        .unwrap();
    loop {
        match conversation.receive().await.unwrap().unwrap().0 {
            AdmitAnswer::Progress { .. } => {}
            AdmitAnswer::Admitted { .. } => return,
            AdmitAnswer::Problem { problem } => panic!("{problem}"),
        }
    }
}

async fn open_many(place: &Place, digest: Digest) -> (Duration, Duration, Duration) {
    let conversation = Conversation::connect(&role::REGISTRY_OPEN.path(&place.run())).unwrap();
    let mut times = Vec::with_capacity(OPENS);
    for _ in 0..OPENS {
        let started = Instant::now();
        conversation.send(&OpenRequest { digest }, None).await.unwrap();
        let (answer, file) = conversation.receive::<OpenAnswer>().await.unwrap().unwrap();
        times.push(started.elapsed());
        assert!(matches!(answer, OpenAnswer::Opened { .. }) && file.is_some());
    }
    times.sort();
    (times[OPENS / 2], times[OPENS * 99 / 100], times[OPENS - 1])
}

fn speed(gib: u64, time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a handful of gibibytes")]
    let bytes = (gib << 30) as f64;
    bytes / 1e6 / time.as_secs_f64()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
