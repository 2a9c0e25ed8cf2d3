//! `holdfast ledger`: reading and verifying what was recorded.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Context as _;
use holdfast_contract::ledger::{Entries, Outcome, Proof};
use holdfast_contract::role;
use holdfast_ledger::Vkey;
use holdfast_ledger::verify::{Progress, VerifyOptions};

use crate::args::LedgerCommand;
use crate::exit;
use crate::output::{Bar, Output};
use crate::suite::Suite;

/// The largest key or checkpoint that is read, in bytes.
const MAX_TEXT_BYTES: u64 = 64 << 10;

/// Reads or verifies the ledger.
pub async fn run(suite: &Suite, output: Output, command: LedgerCommand) -> anyhow::Result<u8> {
    match command {
        LedgerCommand::Log { limit, from } => log(suite, output, limit, from).await,
        LedgerCommand::Checkpoint => {
            let checkpoint = suite
                .client(role::RECORDER_READ)
                .get_text("/v1/checkpoint")
                .await?;
            output.value(&serde_json::json!({ "checkpoint": checkpoint }))?;
            output.line(checkpoint.trim_end())?;
            Ok(exit::OK)
        }
        LedgerCommand::Verify {
            directory,
            public_key,
            since,
        } => verify(suite, output, directory, public_key, since.as_deref()).await,
        LedgerCommand::Proof { index } => proof(suite, output, index).await,
    }
}

/// Checks the ledger's files with the public key alone. Needs no running suite.
async fn verify(
    suite: &Suite,
    output: Output,
    directory: Option<PathBuf>,
    public_key: Option<PathBuf>,
    since: Option<&Path>,
) -> anyhow::Result<u8> {
    let directory = directory.unwrap_or_else(|| suite.lib().join("incident-recorder"));
    let public_key = public_key.unwrap_or_else(|| suite.public_key("ledger.pub"));
    let key: Vkey = read(&public_key)?
        .trim_end()
        .parse()
        .with_context(|| format!("understand the public key {}", public_key.display()))?;
    let witness = since.map(read).transpose()?;
    let place = directory.clone();
    // Hashing a large ledger takes a while; the bar is drawn from the thread that does it.
    let report = tokio::task::spawn_blocking(move || {
        let bar = Mutex::new(Bar::new(output, |count| format!("{count} entries")));
        let progress = |progress: Progress| {
            if let Ok(mut bar) = bar.lock() {
                bar.show("verifying", progress.done, progress.size);
            }
        };
        let options = VerifyOptions {
            witness: witness.as_deref(),
            progress: Some(&progress),
            ..VerifyOptions::default()
        };
        let report = holdfast_ledger::verify::verify(&directory, &key, &options);
        if let Ok(mut bar) = bar.lock() {
            bar.clear();
        }
        report
    })
    .await?
    .with_context(|| format!("verify {}", place.display()))?;
    output.value(&report)?;
    if report.ok {
        output.line(format!(
            "verified: {} entries, {} signed checkpoints",
            report.size, report.checkpoints
        ))?;
        if let Some(root) = report.root {
            output.line(format!("  root {root}"))?;
        }
    } else {
        output.line("NOT verified: the ledger is not what was signed")?;
    }
    for finding in &report.findings {
        output.line(format!("  {finding}"))?;
    }
    if report.findings_omitted > 0 {
        output.line(format!("  and {} more", report.findings_omitted))?;
    }
    for remark in &report.remarks {
        output.line(format!("  {remark}"))?;
    }
    if report.ok && since.is_none() {
        output.line("  A directory that was put back whole to an earlier state verifies too: keep a checkpoint elsewhere")?;
        output.line("  (`holdfast ledger checkpoint`) and give it with --since to find that out.")?;
    }
    Ok(if report.ok { exit::OK } else { exit::NO })
}

fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_TEXT_BYTES).read_to_string(&mut text))
        .with_context(|| format!("read {}", path.display()))?;
    Ok(text)
}

async fn log(suite: &Suite, output: Output, limit: u64, from: Option<u64>) -> anyhow::Result<u8> {
    let from = from.map(|from| format!("&from={from}")).unwrap_or_default();
    let path = format!("/v1/entries?limit={limit}{from}");
    let answer: Entries = suite.client(role::RECORDER_READ).get(&path).await?;
    output.value(&answer)?;
    for indexed in &answer.entries {
        let entry = &indexed.entry;
        let event = serde_json::to_value(entry.event)?;
        let outcome = match entry.outcome {
            Outcome::Allowed => "allowed",
            Outcome::Denied => "DENIED",
            Outcome::Failed => "failed",
            Outcome::Noted => "noted",
        };
        let detail = if entry.detail.is_empty() {
            String::new()
        } else {
            serde_json::to_string(&entry.detail)?
        };
        output.line(format!(
            "{:>7} {:.3} {:<17} {:<18} {outcome:<8} {} {detail}",
            indexed.index,
            entry.time,
            entry.source,
            event.as_str().unwrap_or_default(),
            entry.subject,
        ))?;
    }
    Ok(exit::OK)
}

async fn proof(suite: &Suite, output: Output, index: u64) -> anyhow::Result<u8> {
    let client = suite.client(role::RECORDER_READ);
    let size = client.get::<Entries>("/v1/entries?limit=0").await?.size;
    let proof: Proof = client
        .get(&format!("/v1/proofs/inclusion?index={index}&size={size}"))
        .await?;
    output.value(&serde_json::json!({ "index": index, "size": size, "hashes": proof.hashes }))?;
    output.line(format!("entry {index} of {size}"))?;
    for hash in proof.hashes {
        output.line(hash.to_string())?;
    }
    Ok(exit::OK)
}
