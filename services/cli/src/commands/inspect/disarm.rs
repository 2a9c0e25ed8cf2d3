//! `holdfast inspect --disarm`: the tensors of a checkpoint in a new safetensors file, made without running the checkpoint.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use holdfast_contract::limits::MAX_ARTIFACT_BYTES;
use holdfast_contract::report::{Report, Verdict};
use holdfast_inspection::{Conversion, Inspected, Source, Worker};
use serde::Serialize;

use crate::exit;
use crate::output::{Bar, Output, size};

/// What is told about a conversion, as JSON.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    inspected: Inspected<'a>,
    disarmed: Option<Written<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_disarmed: Option<&'a str>,
}

#[derive(Serialize)]
struct Written<'a> {
    tensors: u64,
    #[serde(flatten)]
    inspected: Inspected<'a>,
}

/// A new file under a name that means nothing. Dropped, it is removed.
struct Draft {
    path: PathBuf,
    file: File,
}

impl Draft {
    /// A draft beside the file that it is to become.
    fn beside(target: &Path) -> anyhow::Result<Self> {
        if target.symlink_metadata().is_ok() {
            bail!(
                "{} exists: choose another name for the new file, or remove it",
                target.display()
            );
        }
        let name = target
            .file_name()
            .with_context(|| format!("{} is no name for a file", target.display()))?;
        let mut draft = name.to_owned();
        draft.push(format!(".partial-{}", std::process::id()));
        let path = target.with_file_name(draft);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&path)
            .with_context(|| format!("create {}", path.display()))?;
        Ok(Self { path, file })
    }

    /// Gives the file its name, unless something has it by now.
    fn publish(&self, target: &Path) -> anyhow::Result<()> {
        self.file
            .sync_all()
            .and_then(|()| std::fs::hard_link(&self.path, target))
            .with_context(|| format!("finish {}", target.display()))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // It was never anybody's; a leftover has a name that says so.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Converts one checkpoint. 0 when the new file was written, 1 when the checkpoint is refused or cannot be converted.
pub async fn run(output: Output, worker: &Worker, files: &[PathBuf], target: &Path) -> anyhow::Result<u8> {
    let [path] = files else {
        bail!("name one checkpoint: --disarm converts one file at a time");
    };
    let source = match Source::open(path) {
        Ok(source) => source,
        Err(report) => return tell(output, path, &report, None, None).map(|()| exit::FAILED),
    };
    let mut draft = Draft::beside(target)?;
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    let mut bar = Bar::new(output, size);
    let total = source.size_bytes.saturating_mul(2);
    let conversion = worker
        .convert(source.file, &name, &mut draft.file, MAX_ARTIFACT_BYTES, |done| {
            bar.show("converting", done, total);
        })
        .await;
    bar.clear();
    match conversion.context("convert the checkpoint")? {
        Conversion::Refused(report) => {
            tell(output, path, &report, None, None)?;
            Ok(exit::NO)
        }
        Conversion::NotConverted { report, why } => {
            tell(output, path, &report, None, Some(&why))?;
            Ok(exit::NO)
        }
        Conversion::Converted { report, tensors } => {
            // The new file is believed no more than any other.
            let copy = draft.file.try_clone().context("read the new file")?;
            let inspection = worker.inspect(copy, "new.safetensors", |_| ()).await;
            let made = inspection.context("inspect the new file")?;
            if made.verdict == Verdict::Refuse || made.format != "safetensors" {
                bail!(
                    "the new file does not pass the inspection itself, which is a defect of Holdfast; it was removed"
                );
            }
            draft.publish(target)?;
            tell(output, path, &report, Some((target, &made, tensors)), None)?;
            Ok(exit::OK)
        }
    }
}

fn tell(
    output: Output,
    path: &Path,
    report: &Report,
    made: Option<(&Path, &Report, u64)>,
    why_not: Option<&str>,
) -> anyhow::Result<()> {
    let shown = path.to_string_lossy();
    let target = made.map(|(target, ..)| target.to_string_lossy());
    let written = made
        .zip(target.as_deref())
        .map(|((_, report, tensors), path)| Written {
            tensors,
            inspected: Inspected { path, report },
        });
    output.value(&Told {
        inspected: Inspected { path: &shown, report },
        disarmed: written,
        not_disarmed: why_not,
    })?;
    super::text(output, path, report)?;
    if let Some((target, report, tensors)) = made {
        output.line(format!(
            "written: {} ({tensors} tensors, {})",
            target.display(),
            size(report.size_bytes)
        ))?;
        if let Some(digest) = report.sha256 {
            output.line(format!("  {digest}"))?;
        }
        output.line("  What was no tensor (counters, options, the state of an optimiser) was left out.")?;
    }
    if let Some(why) = why_not {
        output.line(format!("not converted: {}", crate::output::printable(why)))?;
    }
    Ok(())
}
