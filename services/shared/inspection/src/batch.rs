//! Many small files for one worker: starting a process for each costs more than inspecting it.
//!
//! The files of a batch share a worker, so a file that took the worker over could lie about its neighbours. That is why the
//! intake of models never uses it; it is for scanning directories. Files that a worker did not answer for get one of their own.

use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom, Write as _};
use std::sync::Arc;

use holdfast_contract::report::Report;
use holdfast_formats::bytes::in_memory;
use holdfast_formats::set::Ties;
use holdfast_formats::{FileInspector, Scanner};
use rustix::fs::{MemfdFlags, memfd_create};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use crate::pipeline::{Whole, inspect_whole};
use crate::protocol::{Line, MAX_LINE_BYTES, MAX_NAME_BYTES, MAX_TIES_BYTES};
use crate::verify::verify;
use crate::worker::{Worker, WorkerError, complaints};

/// The largest file that goes into a batch, in bytes.
pub const MAX_FILE_BYTES: u64 = 64 << 10;
/// The most files of a batch.
pub const MAX_FILES: usize = 256;

/// A file of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Small {
    /// What the person calls it.
    pub name: String,
    /// Its content.
    pub content: Vec<u8>,
}

impl Worker {
    /// Inspects small files with one worker. The answer has a report for each file up to where the worker failed, which may be
    /// nowhere.
    ///
    /// # Errors
    ///
    /// When the worker cannot be started or be given the files.
    pub async fn inspect_batch(&self, files: &[Small]) -> Result<Vec<Report>, WorkerError> {
        let reports = self.batch(files, &["--batch"]).await?;
        Ok(reports.into_iter().map(|(report, _)| report).collect())
    }

    /// [`Worker::inspect_batch`], with what ties each file to others.
    ///
    /// # Errors
    ///
    /// When the worker cannot be started or be given the files.
    pub async fn inspect_batch_tied(&self, files: &[Small]) -> Result<Vec<(Report, Ties)>, WorkerError> {
        self.batch(files, &["--batch", "--ties"]).await
    }

    async fn batch(&self, files: &[Small], arguments: &[&str]) -> Result<Vec<(Report, Ties)>, WorkerError> {
        let mut input =
            File::from(memfd_create("files", MemfdFlags::CLOEXEC).map_err(|e| WorkerError::Batch(e.into()))?);
        let frames: Vec<u8> = files.iter().flat_map(frame).collect();
        input
            .write_all(&frames)
            .and_then(|()| input.seek(SeekFrom::Start(0)))
            .map_err(WorkerError::Batch)?;
        let size = frames.len() as u64;
        let mut child = self.start(input, "", size, arguments)?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Ok(Vec::new());
        };
        let complaints = tokio::spawn(complaints(stderr));
        let mut stdout = BufReader::new(stdout);
        let mut reports = Vec::new();
        let reading = async {
            for file in files {
                let size = file.content.len() as u64;
                match answer(&mut stdout, arguments.contains(&"--ties")).await {
                    Some((report, ties)) if verify(&report, size, self.rules.digest()).is_ok() => {
                        reports.push((report, ties));
                    }
                    _ => break,
                }
            }
        };
        let _ = tokio::time::timeout(self.deadline(size), reading).await;
        // Whatever it still says is not listened to.
        let _ = child.kill().await;
        if let Ok(complaint) = complaints.await
            && !complaint.is_empty()
        {
            tracing::warn!(complaint, "the worker complained");
        }
        Ok(reports)
    }
}

/// What the worker says about the next file.
async fn answer(mut stdout: impl AsyncBufRead + Unpin, asked: bool) -> Option<(Report, Ties)> {
    let (mut ties, mut total) = (Ties::default(), 0);
    loop {
        let mut text = Vec::new();
        let limit = MAX_LINE_BYTES as u64;
        total += (&mut stdout)
            .take(limit)
            .read_until(b'\n', &mut text)
            .await
            .ok()?;
        match serde_json::from_slice(&text).ok()? {
            Line::Report { report } if ties.is_plausible() => return Some((*report, ties)),
            Line::Ties { ties: more } if asked && total <= MAX_TIES_BYTES => ties.append(*more),
            _ => return None,
        }
    }
}

/// A file as the worker reads it: the lengths of its name and its content, and then these.
fn frame(file: &Small) -> Vec<u8> {
    let name = file.name.as_bytes();
    let name = name
        .get(name.len().saturating_sub(MAX_NAME_BYTES)..)
        .unwrap_or(name);
    [
        &u32::try_from(name.len()).unwrap_or(0).to_le_bytes()[..],
        &u32::try_from(file.content.len()).unwrap_or(0).to_le_bytes(),
        name,
        &file.content,
    ]
    .concat()
}

/// The worker's side: inspects each file that `input` frames, searching it with `scanner`, and gives what it learnt to `answer`, with
/// its ties where `tying` says so.
///
/// # Errors
///
/// When the input ends in the middle of a file, has one that is too large, or `answer` fails.
pub fn serve<E: From<std::io::Error>>(
    mut input: impl Read,
    scanner: &Arc<Scanner>,
    tying: bool,
    mut answer: impl FnMut(Whole) -> Result<(), E>,
) -> Result<(), E> {
    loop {
        let mut lengths = [0; 8];
        let begun = input.read(&mut lengths).map_err(E::from)?;
        if begun == 0 {
            return Ok(());
        }
        input.read_exact(lengths.get_mut(begun..).unwrap_or_default())?;
        // Both are 32-bit numbers, the name's first.
        let both = u64::from_le_bytes(lengths);
        let (name, size) = (both & u64::from(u32::MAX), both >> 32);
        if name > MAX_NAME_BYTES as u64 || size > MAX_FILE_BYTES {
            return Err(std::io::Error::other("a file of the batch is too large").into());
        }
        let (mut text, mut content) = (Vec::new(), Vec::new());
        (&mut input).take(name).read_to_end(&mut text)?;
        (&mut input).take(size).read_to_end(&mut content)?;
        let inspector = FileInspector::new(&String::from_utf8_lossy(&text))
            .scanning(scanner)
            .looking_ahead(size, &mut in_memory(&content));
        let inspector = if tying { inspector.tying() } else { inspector };
        answer(inspect_whole(content.as_slice(), Some(size), inspector, |_| ()))?;
    }
}
