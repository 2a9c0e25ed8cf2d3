//! `holdfast ledger`: reading and verifying what was recorded.

use holdfast_contract::ledger::{Entries, Outcome, Proof};
use holdfast_contract::role;

use crate::args::LedgerCommand;
use crate::exit;
use crate::output::Output;
use crate::suite::Suite;

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
        LedgerCommand::Verify { .. } => anyhow::bail!("not built yet"),
        LedgerCommand::Proof { index } => proof(suite, output, index).await,
    }
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
