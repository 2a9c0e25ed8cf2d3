//! `holdfast import`: hand in a file and follow it to its verdict.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures_util::StreamExt as _;
use holdfast_contract::quarantine::{Stage, Submission, SubmissionEvent};
use holdfast_contract::report::Verdict;
use holdfast_contract::{Digest, Problem, role};
use tokio::sync::mpsc;

use crate::args::ImportArguments;
use crate::exit;
use crate::output::{Bar, Output, finding, size};
use crate::suite::Suite;

/// How much is read at once, in bytes.
const CHUNK_BYTES: usize = 1 << 20;

/// Hands in a file. 0 when admitted, 1 when refused, 2 when it could not be brought to a verdict.
pub async fn run(suite: &Suite, output: Output, arguments: ImportArguments) -> anyhow::Result<u8> {
    let path = &arguments.file;
    let file = open(path)?;
    let length = file
        .metadata()
        .with_context(|| format!("look at {}", path.display()))?
        .len();
    if arguments.if_absent && is_admitted(suite, path).await? {
        return Ok(exit::OK);
    }
    let name = match arguments.name {
        Some(name) => name,
        None => path
            .file_name()
            .context("the file has no name")?
            .to_string_lossy()
            .into_owned(),
    };
    let submission = submit(suite, output, file, length, &query(&name, arguments.disarm)).await?;
    output.value(&submission)?;
    text(&submission, output)?;
    Ok(match submission.stage {
        Stage::Admitted => exit::OK,
        Stage::Refused => exit::NO,
        _ => exit::FAILED,
    })
}

/// Opens a regular file. A FIFO would wait for a writer and a directory has no bytes.
fn open(path: &Path) -> anyhow::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file =
        rustix::fs::open(path, flags, Mode::empty()).with_context(|| format!("open {}", path.display()))?;
    let file = File::from(file);
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        bail!("{} is not a regular file", path.display());
    }
    Ok(file)
}

async fn submit(
    suite: &Suite,
    output: Output,
    mut file: File,
    length: u64,
    query: &str,
) -> anyhow::Result<Submission> {
    let (sender, receiver) = mpsc::channel::<std::io::Result<Bytes>>(4);
    tokio::task::spawn_blocking(move || {
        // The length was announced: a file that grows meanwhile is cut there, one that shrinks breaks off.
        let mut left = length;
        while left > 0 {
            let mut chunk = vec![0; CHUNK_BYTES.min(usize::try_from(left).unwrap_or(usize::MAX))];
            let read = file.read(&mut chunk);
            if let Ok(count) = read {
                chunk.truncate(count);
                left -= count as u64;
            }
            let end = matches!(read, Ok(0) | Err(_));
            let chunk = match read {
                Ok(0) => Err(std::io::Error::new(
                    std::io::ErrorKind::UnexpectedEof,
                    "the file shrank while it was read",
                )),
                Ok(_) => Ok(Bytes::from(chunk)),
                Err(error) => Err(error),
            };
            if sender.blocking_send(chunk).is_err() || end {
                return;
            }
        }
    });
    let mut bar = Bar::new(output, size);
    let (progress, mut sent) = tokio::sync::watch::channel(0_u64);
    let body = futures_util::stream::unfold(receiver, async |mut receiver| {
        Some((receiver.recv().await?, receiver))
    })
    .inspect(move |chunk| {
        if let Ok(chunk) = chunk {
            progress.send_modify(|done| *done += chunk.len() as u64);
        }
    });
    let path = format!("/v1/submissions?{query}");
    let client = suite.client(role::QUARANTINE_SUBMIT);
    let upload = client.upload_events(&path, Some(length), body);
    tokio::pin!(upload);
    let mut events = loop {
        tokio::select! {
            events = &mut upload => break events?,
            Ok(()) = sent.changed() => bar.show("uploading", *sent.borrow_and_update(), length),
        }
    };
    while let Some(event) = events.next().await {
        match event? {
            SubmissionEvent::Progress {
                stage,
                done_bytes,
                total_bytes,
                ..
            } => {
                bar.show(stage_name(stage), done_bytes, total_bytes);
            }
            SubmissionEvent::Ended { submission } => {
                bar.clear();
                return Ok(*submission);
            }
        }
    }
    bar.clear();
    bail!("quarantine broke off; see `holdfast status`, then import the file again")
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Receiving => "uploading",
        Stage::Inspecting => "inspecting",
        Stage::Converting => "converting",
        Stage::Admitting => "admitting",
        Stage::Admitted => "admitted",
        Stage::Refused => "refused",
        Stage::Failed => "failed",
    }
}

fn text(submission: &Submission, output: Output) -> anyhow::Result<()> {
    match (submission.stage, &submission.model) {
        (Stage::Admitted, Some(model)) => {
            let how = if model.verdict == Verdict::Conditional {
                "admitted with conditions"
            } else {
                "admitted"
            };
            output.line(format!(
                "{how}: {} ({}, {})",
                model.name,
                model.format,
                size(model.size_bytes)
            ))?;
            output.line(format!("  {}", model.digest))?;
            let origin = submission
                .report
                .as_ref()
                .and_then(|report| report.converted_from.as_ref());
            if let Some(origin) = origin {
                output.line(format!(
                    "  converted from {} ({}, {}), which was not kept",
                    origin.sha256,
                    origin.format,
                    size(origin.size_bytes)
                ))?;
            }
        }
        (Stage::Refused, _) => output.line(format!("refused: {}", submission.name))?,
        _ => output.line(format!("not brought to a verdict: {}", submission.name))?,
    }
    if let Some(report) = &submission.report {
        for item in &report.findings {
            output.line(finding(item))?;
        }
    }
    if let Some(problem) = &submission.problem {
        output.line(format!("  {}", problem.detail))?;
        if let Some(next) = &problem.next {
            output.line(format!("  {next}"))?;
        }
    }
    Ok(())
}

/// Whether the registry has these very bytes.
async fn is_admitted(suite: &Suite, path: &Path) -> Result<bool, anyhow::Error> {
    let models = suite
        .models()
        .await
        .map_err(|problem: Problem| anyhow::Error::new(problem))?;
    if models.is_empty() {
        return Ok(false);
    }
    let path = path.to_owned();
    let digest = tokio::task::spawn_blocking(move || digest(&path)).await??;
    Ok(models.iter().any(|model| model.digest == digest))
}

fn digest(path: &Path) -> anyhow::Result<Digest> {
    use sha2::Digest as _;
    let mut file = open(path)?;
    let mut hash = sha2::Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = file
            .read(&mut chunk)
            .with_context(|| format!("read {}", path.display()))?;
        match chunk.get(..count) {
            Some(read) if count > 0 => hash.update(read),
            _ => return Ok(Digest::from_bytes(hash.finalize().into())),
        }
    }
}

fn query(name: &str, disarm: bool) -> String {
    let disarm = if disarm { "&disarm=true" } else { "" };
    format!("name={}{disarm}", percent_encoded(name))
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_not_a_regular_file_without_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        assert!(
            open(&fifo)
                .unwrap_err()
                .to_string()
                .contains("not a regular file")
        );
        assert!(
            open(directory.path())
                .unwrap_err()
                .to_string()
                .contains("not a regular file")
        );
        let file = directory.path().join("file");
        std::fs::write(&file, b"x").unwrap();
        assert!(open(&file).is_ok());
    }

    #[test]
    fn names_are_encoded_for_a_query() {
        assert_eq!(query("a b&c=ä.gguf", false), "name=a%20b%26c%3D%C3%A4.gguf");
        assert_eq!(query("a.pt", true), "name=a.pt&disarm=true");
    }
}
