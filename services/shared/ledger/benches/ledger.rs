//! The ledger on this disk: durable appends beside bare syncs of the same file system, proofs, verification and start-up beside
//! their limits.
//!
//! `HOLDFAST_BENCH_ENTRIES` (1 000 000) and `HOLDFAST_BENCH_SECONDS` (5) change how much is done.

#![allow(missing_docs, reason = "a program")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on fails")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use holdfast_contract::Timestamp;
use holdfast_contract::ledger::{Append, Event, Outcome};
use holdfast_ledger::verify::{VerifyOptions, verify};
use holdfast_ledger::{Clock, Draft, Ledger, Options, Signer, hash, proof};

/// Callers that each wait for their entry before they submit the next.
const CALLERS: usize = 16;

fn main() {
    let entries = setting("HOLDFAST_BENCH_ENTRIES", 1_000_000);
    let time = Duration::from_secs(setting("HOLDFAST_BENCH_SECONDS", 5));
    // Not where temporary files go: that may be memory.
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let sync = fsync(directory.path());
    for callers in [1, CALLERS] {
        appends(&directory.path().join(callers.to_string()), callers, time, sync);
    }
    large(&directory.path().join("large"), entries);
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// The median and the 99th percentile, in microseconds.
fn percentiles(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort();
    (
        micros(times[times.len() / 2]),
        micros(times[times.len() * 99 / 100]),
    )
}

/// What the disk does by itself: 4 KiB into allocated and written blocks, then fdatasync.
fn fsync(directory: &Path) -> f64 {
    let file = File::create(directory.join("fsync")).unwrap();
    file.write_all_at(&vec![0; 8 << 20], 0).unwrap();
    file.sync_all().unwrap();
    let one = |place: u64| {
        let start = Instant::now();
        file.write_all_at(&[1; 4096], place * 4096).unwrap();
        file.sync_data().unwrap();
        start.elapsed()
    };
    let (p50, p99) = percentiles((0..1000).map(one).collect());
    println!("[measured] disk writes 4 KiB and syncs: p50 {p50:.0} µs, p99 {p99:.0} µs");
    p50
}

fn open(directory: &Path) -> Ledger {
    let signer = Signer::from_seed(holdfast_ledger::KEY_NAME, &[7; 32]).unwrap();
    let clock: Clock = Arc::new(Timestamp::now);
    Ledger::open(directory, signer, clock, Options::default())
        .unwrap()
        .0
}

fn draft(number: u64) -> Draft {
    let mut detail = serde_json::Map::new();
    detail.insert("connection".to_owned(), (number % 97).into());
    detail.insert("model".to_owned(), "guide".into());
    detail.insert("tokens".to_owned(), (number % 4096).into());
    let subject = format!("sha256:{number:064x}");
    let append = Append {
        event: Event::EngineGenerate,
        outcome: Outcome::Allowed,
        subject,
        detail,
    };
    Draft::new("inference", &append).unwrap()
}

fn appends(directory: &Path, callers: usize, time: Duration, sync: f64) {
    let ledger = open(directory);
    let stop = AtomicBool::new(false);
    let call = || {
        let mut times = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let start = Instant::now();
            ledger.append_and_wait(draft(times.len() as u64)).unwrap();
            times.push(start.elapsed());
        }
        times
    };
    let start = Instant::now();
    let times: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..callers).map(|_| scope.spawn(call)).collect();
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let rate = times.len() as f64 / start.elapsed().as_secs_f64();
    let (p50, p99) = percentiles(times);
    println!(
        "[measured] ledger appends durably, {callers} at once: {rate:.0}/s, p50 {p50:.0} µs, p99 {p99:.0} µs \
         ({:.2} of a bare write and sync{})",
        p50 / sync,
        if callers == CALLERS {
            format!("; {:.1} of the 10000/s asked for", rate / 1e4)
        } else {
            String::new()
        },
    );
}

fn large(directory: &Path, entries: u64) {
    let ledger = open(directory);
    let start = Instant::now();
    let (sender, receiver) = mpsc::channel();
    let mut next = 0;
    while next < entries {
        let end = entries.min(next + 2000);
        for number in next..end {
            let sender = sender.clone();
            ledger.append(draft(number), Box::new(move |result| _ = sender.send(result)));
        }
        for _ in next..end {
            receiver.recv().unwrap().unwrap();
        }
        next = end;
    }
    let rate = entries as f64 / start.elapsed().as_secs_f64();
    println!("[measured] ledger appends durably, 2000 at once: {rate:.0}/s over {entries} entries");
    ledger.publish_and_wait().unwrap();
    proofs(&ledger, entries);
    ledger.close();

    let start = Instant::now();
    drop(open(directory));
    println!(
        "[measured] ledger of {entries} entries opens in {:.0} ms",
        start.elapsed().as_secs_f64() * 1e3
    );

    let signer = Signer::from_seed(holdfast_ledger::KEY_NAME, &[7; 32]).unwrap();
    for (how, skip_entry_form) in [("every entry parsed", false), ("hashes only", true)] {
        let options = VerifyOptions {
            skip_entry_form,
            ..VerifyOptions::default()
        };
        let start = Instant::now();
        let report = verify(directory, signer.verifier(), &options).unwrap();
        let took = start.elapsed().as_secs_f64();
        assert!(report.ok && report.size == entries, "{report:?}");
        println!(
            "[measured] ledger verifies {entries} entries ({how}) in {took:.2} s: {:.2} of the 2 s allowed for a million",
            took / 2.0 * 1e6 / entries as f64
        );
    }
}

fn proofs(ledger: &Ledger, entries: u64) {
    let reader = ledger.reader();
    let root = reader.head().checkpoint.root;
    let (mut inclusion, mut consistency, mut check) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..1000u64 {
        // Spread over the whole ledger.
        let index = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) % entries;
        let start = Instant::now();
        let path = reader.inclusion(index, entries).unwrap().unwrap();
        inclusion.push(start.elapsed());
        let entry = &reader.entries(index, 1, usize::MAX).unwrap()[0].entry;
        let leaf = hash::leaf(&holdfast_ledger::entry::encode(entry).unwrap());
        let start = Instant::now();
        proof::verify_inclusion(&leaf, index, entries, &path, &root).unwrap();
        check.push(start.elapsed());
        let start = Instant::now();
        reader.consistency(index.max(1), entries).unwrap().unwrap();
        consistency.push(start.elapsed());
    }
    for (what, times) in [
        ("makes an inclusion proof", inclusion),
        ("makes a consistency proof", consistency),
    ] {
        let (p50, p99) = percentiles(times);
        println!(
            "[measured] ledger of {entries} entries {what}: p50 {p50:.0} µs, p99 {p99:.0} µs (limit 1000 µs)"
        );
    }
    println!(
        "[measured] ledger proof is checked: p50 {:.1} µs",
        percentiles(check).0
    );
}
