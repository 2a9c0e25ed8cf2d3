//! The client: starts the worker program for one file, follows it, and ends it.
//!
//! The worker gets the file as standard input, two pipes and nothing else: no environment, no other arguments than a size, a
//! name, and where further rules are, which it reads before it gives everything up. Whatever goes wrong after it was started is a refusal. Dropping the future kills the worker.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Seek as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use holdfast_contract::Digest;
use holdfast_contract::limits::MAX_ARTIFACT_BYTES;
use holdfast_contract::report::Report;
use holdfast_formats::set::Ties;
use holdfast_formats::{Format, Rule, rules, text};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, ChildStdout, Command};

use crate::protocol::{Line, MAX_LINE_BYTES, MAX_NAME_BYTES, MAX_OUTPUT_BYTES, MAX_TIES_BYTES, deadline};
use crate::report::refusal;
use crate::rules::Rules;
use crate::source::Source;
use crate::verify::verify;

/// How much of the worker's standard error goes to the log, in bytes.
const MAX_COMPLAINT_BYTES: usize = 4 << 10;

/// Why no worker was started. Nothing was inspected, nothing is decided.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The file cannot be read from its start.
    #[error("go to the start of the file")]
    Rewind(#[source] std::io::Error),
    /// The program does not start.
    #[error("start the worker {}", program.display())]
    Start {
        /// Which program.
        program: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A batch of files cannot be put together.
    #[error("put small files together for one worker")]
    Batch(#[source] std::io::Error),
    /// What was asked for cannot be written.
    #[error("write the converted file")]
    Output(#[source] std::io::Error),
}

/// The worker program. Each inspection starts it anew.
#[derive(Debug, Clone)]
pub struct Worker {
    program: PathBuf,
    pub(crate) rules: Rules,
    deadline: fn(u64) -> Duration,
}

/// Why a worker's work is of no use.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) rule: &'static Rule,
    pub(crate) message: String,
}

impl Worker {
    /// A worker from this program (`holdfast-inspect`).
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            rules: Rules::shipped(),
            deadline,
        }
    }

    /// Searches files for these rules.
    #[must_use]
    pub fn with_rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Gives files another deadline, by their size, than [`deadline`].
    #[must_use]
    pub fn with_deadline(mut self, deadline: fn(u64) -> Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Inspects the file at `path`. What cannot be opened, or is no regular file, is refused without a worker.
    ///
    /// # Errors
    ///
    /// When the worker cannot be started.
    pub async fn inspect_path(&self, path: &Path, progress: impl FnMut(u64)) -> Result<Report, WorkerError> {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy())
            .unwrap_or_default();
        match Source::open(path) {
            Ok(source) => self.inspect(source.file, &name, progress).await,
            Err(report) => Ok(*report),
        }
    }

    /// Inspects an open file from its start; its position is shared with other descriptors of the same opening. `progress` hears
    /// how many bytes are done.
    ///
    /// # Errors
    ///
    /// When the worker cannot be started.
    pub async fn inspect(
        &self,
        file: File,
        name: &str,
        progress: impl FnMut(u64),
    ) -> Result<Report, WorkerError> {
        let (report, _) = self.inspect_as(file, name, &[], progress).await?;
        Ok(report)
    }

    /// [`Worker::inspect`], with what ties the file to others.
    ///
    /// # Errors
    ///
    /// When the worker cannot be started.
    pub async fn inspect_tied(
        &self,
        file: File,
        name: &str,
        progress: impl FnMut(u64),
    ) -> Result<(Report, Ties), WorkerError> {
        self.inspect_as(file, name, &["--ties"], progress).await
    }

    async fn inspect_as(
        &self,
        file: File,
        name: &str,
        arguments: &[&str],
        progress: impl FnMut(u64),
    ) -> Result<(Report, Ties), WorkerError> {
        let Source {
            mut file, size_bytes, ..
        } = match Source::of(file) {
            Ok(source) => source,
            Err(report) => return Ok((*report, Ties::default())),
        };
        if size_bytes > MAX_ARTIFACT_BYTES {
            let message = format!("the file has {size_bytes} bytes, the limit is {MAX_ARTIFACT_BYTES}");
            let report = refusal(&rules::IO_TOO_LARGE, Format::Unknown, size_bytes, &message);
            return Ok((report, Ties::default()));
        }
        file.rewind().map_err(WorkerError::Rewind)?;
        let mut child = self.start(file, name, size_bytes, arguments)?;
        let most = if arguments.is_empty() {
            MAX_OUTPUT_BYTES
        } else {
            MAX_OUTPUT_BYTES + MAX_TIES_BYTES
        };
        let limit = (self.deadline)(size_bytes);
        let followed = follow(&mut child, size_bytes, self.rules.digest(), most, progress);
        let outcome = match tokio::time::timeout(limit, followed).await {
            Ok(outcome) => outcome,
            Err(_) => Err(slow(limit)),
        };
        Ok(match outcome {
            Ok(heard) => heard,
            Err(failure) => {
                // Already gone, or to be gone now; dropping the child would do the same without waiting.
                let _ = child.kill().await;
                tracing::warn!(
                    rule = failure.rule.id,
                    why = failure.message,
                    "an inspection came to nothing"
                );
                let report = refusal(failure.rule, Format::Unknown, size_bytes, &failure.message);
                (report, Ties::default())
            }
        })
    }

    /// How long a file of this size may take.
    pub(crate) fn deadline(&self, size: u64) -> Duration {
        (self.deadline)(size)
    }

    pub(crate) fn start(
        &self,
        file: File,
        name: &str,
        size: u64,
        arguments: &[&str],
    ) -> Result<Child, WorkerError> {
        Command::new(&self.program)
            .args(arguments)
            .arg(format!("--size={size}"))
            .arg(format!("--name={}", argument(name)))
            .args(
                self.rules
                    .paths()
                    .iter()
                    .flat_map(|path| [OsStr::new("--rules"), path.as_os_str()]),
            )
            .env_clear()
            .stdin(Stdio::from(file))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| WorkerError::Start {
                program: self.program.clone(),
                source,
            })
    }
}

/// A name as an argument: it ends at a zero byte, and its end is what tells most about a file.
fn argument(name: &str) -> String {
    let name = name.replace('\0', "");
    let mut start = name.len().saturating_sub(MAX_NAME_BYTES);
    while !name.is_char_boundary(start) {
        start += 1;
    }
    name.get(start..).unwrap_or_default().to_owned()
}

/// Reads the worker's output to its end and waits for it.
async fn follow(
    child: &mut Child,
    size: u64,
    rules: Digest,
    most: usize,
    progress: impl FnMut(u64),
) -> Result<(Report, Ties), Failure> {
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(answer("the worker has no output"));
    };
    let complaints = complaints(stderr);
    tokio::pin!(complaints);
    let listening = listen(stdout, most, progress);
    tokio::pin!(listening);
    // A worker that only complains must not block on a full pipe, and its garbage must not wait for the end of its complaints.
    let (heard, complaint) = tokio::select! {
        heard = &mut listening => (heard, None),
        complaint = &mut complaints => (listening.await, Some(complaint)),
    };
    let heard = heard?;
    let complaint = match complaint {
        Some(complaint) => complaint,
        None => complaints.await,
    };
    if !complaint.is_empty() {
        tracing::warn!(complaint, "the worker complained");
    }
    let status = child
        .wait()
        .await
        .map_err(|error| died(&format!("its end could not be waited for: {error}")))?;
    if !status.success() {
        return Err(died(&describe(status)));
    }
    let (report, ties) = heard.ok_or_else(|| answer("the worker ended without a report"))?;
    verify(&report, size, rules).map_err(|unusable| answer(&unusable.to_string()))?;
    Ok((report, ties))
}

/// Reads lines, at most so many bytes, until the output ends. A report must be the last of them.
async fn listen(
    mut stdout: ChildStdout,
    most: usize,
    mut progress: impl FnMut(u64),
) -> Result<Option<(Report, Ties)>, Failure> {
    let mut pending = Vec::new();
    let mut total = 0;
    let (mut report, mut ties) = (None, Ties::default());
    loop {
        let read = stdout
            .read_buf(&mut pending)
            .await
            .map_err(|error| answer(&format!("its output could not be read: {error}")))?;
        if read == 0 {
            return if !pending.is_empty() {
                Err(answer("its last line is cut off"))
            } else if !ties.is_plausible() {
                Err(answer("it told what no file can say"))
            } else {
                Ok(report.map(|report| (report, ties)))
            };
        }
        total += read;
        if total > most {
            return Err(answer("it printed too much"));
        }
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            if report.is_some() {
                return Err(answer("it printed something after its report"));
            }
            match serde_json::from_slice(&line) {
                Ok(Line::Progress { done_bytes }) => progress(done_bytes),
                Ok(Line::Ties { ties: more }) if most > MAX_OUTPUT_BYTES => ties.append(*more),
                Ok(Line::Report { report: last }) => report = Some(*last),
                Ok(Line::Ties { .. } | Line::Converted { .. } | Line::NotConverted { .. }) => {
                    return Err(answer("it did what it was not asked to do"));
                }
                Err(_) => return Err(answer("it printed something that is no report")),
            }
        }
        if pending.len() > MAX_LINE_BYTES {
            return Err(answer("it printed a line that is too long"));
        }
    }
}

/// Reads everything, keeps the beginning.
pub(crate) async fn complaints(mut stderr: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        let room = MAX_COMPLAINT_BYTES.saturating_sub(kept.len());
        kept.extend(buffer.iter().take(read.min(room)));
    }
    text::bounded(&String::from_utf8_lossy(&kept), MAX_COMPLAINT_BYTES)
}

pub(crate) fn answer(what: &str) -> Failure {
    Failure {
        rule: &rules::IO_WORKER_ANSWER,
        message: format!("the inspecting process gave no usable result: {what}"),
    }
}

pub(crate) fn slow(limit: Duration) -> Failure {
    Failure {
        rule: &rules::IO_WORKER_SLOW,
        message: format!("the inspection took longer than {} seconds", limit.as_secs()),
    }
}

pub(crate) fn died(how: &str) -> Failure {
    Failure {
        rule: &rules::IO_WORKER_DIED,
        message: format!("the inspecting process ended early: {how}"),
    }
}

pub(crate) fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it failed with exit code {code}"),
        (None, Some(signal)) => format!("it was ended by signal {signal}"),
        (None, None) => "it ended in an unknown way".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_bounded_arguments_that_keep_their_end() {
        assert_eq!(argument("a\0b.gguf"), "ab.gguf");
        let long = format!("{}.gguf", "ä".repeat(MAX_NAME_BYTES));
        let cut = argument(&long);
        assert!(cut.len() <= MAX_NAME_BYTES);
        assert_eq!(cut.rsplit_once('.').map(|(_, end)| end), Some("gguf"));
    }
}
