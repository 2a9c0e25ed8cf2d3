//! Measures the ledger on the disk of the directory it is given: durable appends, proofs, verification, start-up.
//!
//! `cargo run --release -p holdfast-ledger --example ledger-bench -- [--json] [--entries N] [--seconds N] [DIRECTORY]`
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

type Error = Box<dyn std::error::Error>;

/// Callers that each wait for their entry before they submit the next.
const CALLERS: usize = 16;

fn main() -> Result<(), Error> {
    let (mut json, mut entries, mut seconds, mut directory) = (false, 1_000_000, 5, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            arguments
                .next()
                .ok_or("a number is missing")?
                .parse::<u64>()
                .map_err(Error::from)
        };
        match argument.as_str() {
            "--json" => json = true,
            "--entries" => entries = number()?,
            "--seconds" => seconds = number()?,
            _ => directory = Some(argument),
        }
    }
    let made = tempfile::tempdir_in(directory.as_deref().unwrap_or("."))?;
    let mut results = Vec::new();
    fsync(made.path(), &mut results)?;
    appends(
        &made.path().join("appends"),
        Duration::from_secs(seconds),
        &mut results,
    )?;
    large(&made.path().join("large"), entries, &mut results)?;
    for (name, value, unit) in &results {
        if json {
            println!(
                "{}",
                serde_json::json!({"name": name, "value": value, "unit": unit})
            );
        } else {
            println!("{name:<56} {value:>12.1} {unit}");
        }
    }
    Ok(())
}

type Results = Vec<(String, f64, &'static str)>;

fn add(results: &mut Results, name: impl Into<String>, value: f64, unit: &'static str) {
    results.push((name.into(), value, unit));
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn percentiles(results: &mut Results, name: &str, mut times: Vec<Duration>) {
    times.sort();
    for (label, share) in [("p50", 50), ("p99", 99)] {
        let place = (times.len() * share / 100).min(times.len().saturating_sub(1));
        add(
            results,
            format!("{name}, {label}"),
            times.get(place).copied().map_or(0.0, micros),
            "µs",
        );
    }
}

/// What the disk does by itself: 4 KiB into allocated and written blocks, then fdatasync.
fn fsync(directory: &Path, results: &mut Results) -> Result<(), Error> {
    let file = File::create(directory.join("fsync"))?;
    file.write_all_at(&vec![0; 8 << 20], 0)?;
    file.sync_all()?;
    let mut times = Vec::new();
    for place in 0..1000u64 {
        let start = Instant::now();
        file.write_all_at(&[1; 4096], place * 4096)?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    percentiles(results, "disk: write 4 KiB and fdatasync", times);
    Ok(())
}

fn open(directory: &Path, min_free_bytes: u64) -> Result<Ledger, Error> {
    let signer = Signer::from_seed(holdfast_ledger::KEY_NAME, &[7; 32])?;
    let clock: Clock = Arc::new(Timestamp::now);
    let options = Options {
        min_free_bytes,
        ..Options::default()
    };
    Ok(Ledger::open(directory, signer, clock, options)?.0)
}

fn draft(number: u64) -> Result<Draft, Error> {
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
    Ok(Draft::new("holdfast-inference", &append)?)
}

fn appends(directory: &Path, time: Duration, results: &mut Results) -> Result<(), Error> {
    for callers in [1, CALLERS] {
        let ledger = open(&directory.join(callers.to_string()), 0)?;
        let stop = AtomicBool::new(false);
        let start = Instant::now();
        let times: Vec<Vec<Duration>> = std::thread::scope(|scope| {
            let call = || {
                let mut times = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    let draft = draft(times.len() as u64).map_err(|error| error.to_string())?;
                    ledger.append_and_wait(draft).map_err(|error| error.to_string())?;
                    times.push(start.elapsed());
                }
                Ok::<_, String>(times)
            };
            let threads: Vec<_> = (0..callers).map(|_| scope.spawn(call)).collect();
            std::thread::sleep(time);
            stop.store(true, Ordering::Relaxed);
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or(Err("a caller panicked".to_owned())))
                .collect::<Result<_, _>>()
        })?;
        let elapsed = start.elapsed();
        let times: Vec<Duration> = times.into_iter().flatten().collect();
        let rate = times.len() as f64 / elapsed.as_secs_f64();
        add(
            results,
            format!("durable appends, {callers} callers"),
            rate,
            "1/s",
        );
        percentiles(results, &format!("durable append, {callers} callers"), times);
    }
    Ok(())
}

fn large(directory: &Path, entries: u64, results: &mut Results) -> Result<(), Error> {
    let ledger = open(directory, 0)?;
    let start = Instant::now();
    let (sender, receiver) = mpsc::channel();
    let mut next = 0;
    while next < entries {
        let end = entries.min(next + 2000);
        for number in next..end {
            let sender = sender.clone();
            ledger.append(draft(number)?, Box::new(move |result| _ = sender.send(result)));
        }
        for _ in next..end {
            receiver.recv()??;
        }
        next = end;
    }
    add(
        results,
        format!("durable appends, many waiting, {entries} in all"),
        entries as f64 / start.elapsed().as_secs_f64(),
        "1/s",
    );
    ledger.publish_and_wait()?;
    proofs(&ledger, entries, results)?;
    ledger.close();

    let start = Instant::now();
    drop(open(directory, 0)?);
    add(
        results,
        "start-up, log full of integrated entries",
        start.elapsed().as_secs_f64() * 1e3,
        "ms",
    );

    let signer = Signer::from_seed(holdfast_ledger::KEY_NAME, &[7; 32])?;
    for (name, skip_entry_form) in [
        ("verify, every entry parsed", false),
        ("verify, hashes only", true),
    ] {
        let options = VerifyOptions {
            skip_entry_form,
            ..VerifyOptions::default()
        };
        let start = Instant::now();
        let report = verify(directory, signer.verifier(), &options)?;
        assert!(report.ok && report.size == entries, "{report:?}");
        add(
            results,
            format!("{name}, {entries} entries"),
            start.elapsed().as_secs_f64() * 1e3,
            "ms",
        );
    }
    Ok(())
}

fn proofs(ledger: &Ledger, entries: u64, results: &mut Results) -> Result<(), Error> {
    let reader = ledger.reader();
    let root = reader.head().checkpoint.root;
    let (mut inclusion, mut consistency, mut check) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..1000u64 {
        // Spread over the whole ledger, without any place being asked for twice.
        let index = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) % entries;
        let start = Instant::now();
        let path = reader.inclusion(index, entries)?.ok_or("no proof")?;
        inclusion.push(start.elapsed());
        let entry = &reader.entries(index, 1, usize::MAX)?[0].entry;
        let leaf = hash::leaf(&holdfast_ledger::entry::encode(entry)?);
        let start = Instant::now();
        proof::verify_inclusion(&leaf, index, entries, &path, &root)?;
        check.push(start.elapsed());
        let start = Instant::now();
        reader.consistency(index.max(1), entries)?.ok_or("no proof")?;
        consistency.push(start.elapsed());
    }
    let worst = inclusion
        .iter()
        .chain(&consistency)
        .max()
        .copied()
        .map_or(0.0, micros);
    percentiles(results, "inclusion proof, made", inclusion);
    percentiles(results, "consistency proof, made", consistency);
    percentiles(results, "inclusion proof, checked", check);
    add(results, "slowest proof of 2000", worst, "µs");
    Ok(())
}
