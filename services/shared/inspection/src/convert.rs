//! The client's side of a conversion: the worker inspects a checkpoint and prints its tensors as a safetensors file.
//!
//! What the worker prints is believed no more than any other file: who asked for it inspects it before using it.

use std::fs::File;
use std::io::{Seek as _, Write as _};

use holdfast_contract::Digest;
use holdfast_contract::report::{Report, Verdict};
use holdfast_formats::Format;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout};

use crate::protocol::{Line, MAX_LINE_BYTES, MAX_OUTPUT_BYTES};
use crate::report::refusal;
use crate::source::Source;
use crate::verify::verify;
use crate::worker::{Failure, Worker, WorkerError, answer, complaints, describe, died, slow};

/// Bytes of the converted file that are copied at a time.
const COPY_BYTES: usize = 256 << 10;

/// What a conversion came to.
#[derive(Debug)]
pub enum Conversion {
    /// The file is refused, so nothing was converted.
    Refused(Box<Report>),
    /// The file is not refused, but safetensors cannot hold what is in it.
    NotConverted {
        /// The report on the file.
        report: Box<Report>,
        /// Why, in words that follow "the file cannot be converted: ".
        why: String,
    },
    /// The safetensors file was written.
    Converted {
        /// The report on the checkpoint.
        report: Box<Report>,
        /// How many tensors the new file holds.
        tensors: u64,
    },
}

impl Worker {
    /// Inspects a checkpoint and writes its tensors to `out`, which is empty, as a safetensors file of at most `most` bytes.
    /// `progress` hears how many bytes of both files are done.
    ///
    /// # Errors
    ///
    /// When the worker cannot be started or `out` not be written.
    pub async fn convert(
        &self,
        file: File,
        name: &str,
        out: &mut File,
        most: u64,
        progress: impl FnMut(u64),
    ) -> Result<Conversion, WorkerError> {
        let Source {
            mut file,
            size_bytes: size,
            ..
        } = match Source::of(file) {
            Ok(source) => source,
            Err(report) => return Ok(Conversion::Refused(report)),
        };
        file.rewind().map_err(WorkerError::Rewind)?;
        let mut child = self.start(file, name, size, &["--convert"])?;
        // Twice: once to read, once to write.
        let limit = self.deadline(size) * 2;
        let followed = follow(&mut child, size, self.rules.digest(), (out, most), progress);
        let outcome = match tokio::time::timeout(limit, followed).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Trouble::Worker(slow(limit))),
        };
        match outcome {
            Ok(conversion) => Ok(conversion),
            Err(Trouble::Size(report, bytes)) => {
                let _ = child.kill().await;
                let why = format!("the result would have {bytes} bytes, the limit is {most}");
                Ok(Conversion::NotConverted { report, why })
            }
            Err(Trouble::Output(source)) => {
                let _ = child.kill().await;
                Err(WorkerError::Output(source))
            }
            Err(Trouble::Worker(failure)) => {
                let _ = child.kill().await;
                let report = refusal(failure.rule, Format::Unknown, size, &failure.message);
                Ok(Conversion::Refused(Box::new(report)))
            }
        }
    }
}

enum Trouble {
    Worker(Failure),
    Output(std::io::Error),
    /// The result has more bytes than are wanted.
    Size(Box<Report>, u64),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Worker(failure)
    }
}

async fn follow(
    child: &mut Child,
    size: u64,
    rules: Digest,
    out: (&mut File, u64),
    mut progress: impl FnMut(u64),
) -> Result<Conversion, Trouble> {
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(answer("the worker has no output").into());
    };
    let complaints = tokio::spawn(complaints(stderr));
    let conversion = listen(BufReader::new(stdout), size, rules, out, &mut progress).await?;
    if let Ok(complaint) = complaints.await
        && !complaint.is_empty()
    {
        tracing::warn!(complaint, "the worker complained");
    }
    let status = child
        .wait()
        .await
        .map_err(|error| died(&format!("its end could not be waited for: {error}")))?;
    if status.success() {
        Ok(conversion)
    } else {
        Err(died(&describe(status)).into())
    }
}

async fn listen(
    mut stdout: BufReader<ChildStdout>,
    size: u64,
    rules: Digest,
    (out, most): (&mut File, u64),
    progress: &mut impl FnMut(u64),
) -> Result<Conversion, Trouble> {
    let mut heard = 0;
    let report = loop {
        match line(&mut stdout, &mut heard).await? {
            Some(Line::Progress { done_bytes }) => progress(done_bytes),
            Some(Line::Report { report }) => break report,
            _ => return Err(answer("it ended without a report").into()),
        }
    };
    verify(&report, size, rules).map_err(|unusable| answer(&unusable.to_string()))?;
    let conversion = if report.verdict == Verdict::Refuse {
        Conversion::Refused(report)
    } else {
        match line(&mut stdout, &mut heard).await? {
            Some(Line::NotConverted { why }) => Conversion::NotConverted { report, why },
            Some(Line::Converted { bytes, .. }) if bytes > most => return Err(Trouble::Size(report, bytes)),
            Some(Line::Converted { bytes, tensors }) => {
                copy(&mut stdout, bytes, out, |done| progress(size + done)).await?;
                Conversion::Converted { report, tensors }
            }
            _ => return Err(answer("it did not say whether it converts the file").into()),
        }
    };
    let mut rest = [0; 1];
    match stdout.read(&mut rest).await {
        Ok(0) => Ok(conversion),
        _ => Err(answer("it printed something after its end").into()),
    }
}

/// The next line; `None` at the end of the output.
async fn line(stdout: &mut BufReader<ChildStdout>, heard: &mut usize) -> Result<Option<Line>, Failure> {
    let mut text = Vec::new();
    let limit = MAX_LINE_BYTES.min(MAX_OUTPUT_BYTES.saturating_sub(*heard));
    let read = stdout
        .take(limit as u64 + 1)
        .read_until(b'\n', &mut text)
        .await
        .map_err(|error| answer(&format!("its output could not be read: {error}")))?;
    *heard += read;
    if read == 0 {
        return Ok(None);
    }
    if read > limit || !text.ends_with(b"\n") {
        return Err(answer("it printed a line that is too long or cut off"));
    }
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|_| answer("it printed something that is no report"))
}

async fn copy(
    stdout: &mut BufReader<ChildStdout>,
    bytes: u64,
    out: &mut File,
    mut progress: impl FnMut(u64),
) -> Result<(), Trouble> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut left = bytes;
    while left > 0 {
        let room = usize::try_from(left).unwrap_or(COPY_BYTES).min(COPY_BYTES);
        let part = buffer.get_mut(..room).unwrap_or_default();
        let read = stdout
            .read(part)
            .await
            .map_err(|error| answer(&format!("its output could not be read: {error}")))?;
        if read == 0 {
            return Err(answer("the converted file ends early").into());
        }
        // A file is written here as it is elsewhere: it does not make anybody wait for long.
        out.write_all(part.get(..read).unwrap_or_default())
            .map_err(Trouble::Output)?;
        left -= read as u64;
        progress(bytes - left);
    }
    Ok(())
}
