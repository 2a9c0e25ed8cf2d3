//! Disarming a checkpoint: its tensors come in as a safetensors file, and the pickle does not.
//!
//! The worker that has inspected the checkpoint prints the new file; that is believed no more than any other and inspected by a
//! worker of its own. Both files have no names, so nothing of either is left wherever the work is interrupted.

use std::fs::File;

use holdfast_contract::Problem;
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::quarantine::Stage;
use holdfast_contract::report::{Origin, Report, Verdict};
use holdfast_formats::{Format, text};
use holdfast_inspection::{Conversion, WorkerError};

use crate::directory::Nameless;
use crate::receive::write_problem;
use crate::register::Entry;
use crate::service::{Quarantine, not_started, stopping};

/// The extension of what a checkpoint becomes.
const EXTENSION: &str = "safetensors";
/// The longest name that is kept of the checkpoint, in bytes: with the new extension it fits wherever the old one did.
const MAX_STEM_BYTES: usize = 230;

/// What a file is that was to be disarmed.
pub(crate) enum Disarmed {
    /// A file with the report on it, as if it had been handed in: the new one, or the old one where that is no checkpoint or refused.
    Judged {
        /// Its bytes.
        file: File,
        /// What it is called.
        name: String,
        /// The report on it.
        report: Box<Report>,
    },
    /// A checkpoint that safetensors cannot hold.
    NotConverted(Problem),
}

impl Quarantine {
    /// Converts a checkpoint of `size` bytes.
    pub(crate) async fn disarm(
        &self,
        entry: &Entry,
        file: File,
        name: String,
        size: u64,
    ) -> Result<Disarmed, Problem> {
        let made = self
            .intake
            .nameless(None)
            .map_err(|error| write_problem(&error))?;
        let Nameless { mut writer, reader } = made;
        let conversion = {
            let _worker = self.workers.acquire().await.map_err(|_| stopping())?;
            let input = file.try_clone().map_err(|error| not_started(&error))?;
            let most = self.config.max_artifact_bytes;
            let mut converting = false;
            let progress = |done: u64| {
                if done > size && !std::mem::replace(&mut converting, true) {
                    self.register.advance(entry, Stage::Converting, size, None);
                }
                // The new file is about as large as the old one.
                entry.progress(done.saturating_sub(if converting { size } else { 0 }).min(size));
            };
            self.worker
                .convert(input, &name, &mut writer, most, progress)
                .await
        };
        drop(writer);
        let conversion = conversion.map_err(|error| match error {
            WorkerError::Output(error) => write_problem(&error),
            other => not_started(&other),
        })?;
        let source = match conversion {
            Conversion::Refused(mut report) => {
                holdfast_statement::fit(&mut report);
                return Ok(Disarmed::Judged { file, name, report });
            }
            Conversion::NotConverted { mut report, why } => {
                holdfast_statement::fit(&mut report);
                if !is_checkpoint(&report) {
                    return Ok(Disarmed::Judged { file, name, report });
                }
                let problem = self.not_converted(entry, &name, &report, &why).await?;
                return Ok(Disarmed::NotConverted(problem));
            }
            Conversion::Converted { mut report, .. } => {
                holdfast_statement::fit(&mut report);
                report
            }
        };
        self.record_inspection(entry, &name, &source).await?;
        self.inspect_made(entry, reader, &name, &source).await
    }

    /// Inspects the new file as any other.
    async fn inspect_made(
        &self,
        entry: &Entry,
        file: File,
        name: &str,
        source: &Report,
    ) -> Result<Disarmed, Problem> {
        let size = file.metadata().map_err(|error| write_problem(&error))?.len();
        let name = new_name(name);
        self.register.advance(entry, Stage::Inspecting, size, None);
        let mut report = self.inspect(entry, &file, &name).await?;
        if report.verdict != Verdict::Refuse && report.format != Format::Safetensors.name() {
            let detail = "what the checkpoint was converted to is no safetensors file";
            return Err(Problem::new(ProblemKind::Internal, detail));
        }
        report.converted_from = source.sha256.map(|sha256| Origin {
            sha256,
            size_bytes: source.size_bytes,
            format: source.format.clone(),
        });
        holdfast_statement::fit(&mut report);
        Ok(Disarmed::Judged {
            file,
            name,
            report: Box::new(report),
        })
    }

    /// Records a checkpoint that was to come in as safetensors only, and cannot. Returns what to tell of it.
    async fn not_converted(
        &self,
        entry: &Entry,
        name: &str,
        report: &Report,
        why: &str,
    ) -> Result<Problem, Problem> {
        self.record_inspection(entry, name, report).await?;
        self.register
            .advance(entry, Stage::Inspecting, report.size_bytes, Some(report));
        let detail = format!("the file cannot be converted: {}", text::bounded(why, 400));
        let next = "Import it without conversion, or ask its publisher for a safetensors version.";
        Ok(Problem::new(ProblemKind::Refused, detail).next(next))
    }
}

/// Whether a file is of the kind that has to be converted.
fn is_checkpoint(report: &Report) -> bool {
    let formats = [Format::Pickle, Format::PytorchLegacy, Format::PytorchZip];
    formats.iter().any(|format| format.name() == report.format)
}

fn new_name(name: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let stem = if stem.is_empty() { name } else { stem };
    format!("{}.{EXTENSION}", text::bounded(stem, MAX_STEM_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_file_is_called_like_the_old_one() {
        assert_eq!(new_name("model.pt"), "model.safetensors");
        assert_eq!(new_name("pytorch_model.v2.bin"), "pytorch_model.v2.safetensors");
        assert_eq!(new_name("model"), "model.safetensors");
        assert_eq!(new_name(".pt"), ".pt.safetensors");
        assert!(new_name(&"ä".repeat(125)).len() <= 250);
    }
}
