//! `holdfast inspect`: the scanner, without a running suite.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use holdfast_contract::report::{Report, Verdict};
use holdfast_inspection::{Inspected, Worker};

use crate::args::InspectArguments;
use crate::exit;
use crate::output::{Bar, Output, finding, size};

/// The worker program.
const WORKER: &str = "holdfast-inspect";

/// Inspects each file in a jailed worker of its own. 0 when all may be admitted, 1 when one is refused, 2 when one could not be
/// opened or the worker not be started.
pub async fn run(output: Output, arguments: InspectArguments) -> anyhow::Result<u8> {
    let worker = Worker::new(worker()?);
    let mut code = exit::OK;
    for path in &arguments.files {
        let total = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let mut bar = Bar::new(output, size);
        let report = worker
            .inspect_path(path, |done| bar.show("inspecting", done, total))
            .await;
        bar.clear();
        let report = report.context("start the inspection worker")?;
        let shown = path.to_string_lossy();
        output.value(&Inspected {
            path: &shown,
            report: &report,
        })?;
        text(output, path, &report)?;
        let opened = report.sha256.is_some() || path.is_file();
        code = code.max(match report.verdict {
            Verdict::Refuse if opened => exit::NO,
            Verdict::Refuse => exit::FAILED,
            Verdict::Admit | Verdict::Conditional => exit::OK,
        });
    }
    Ok(code)
}

/// The worker lies beside this program, or where `make install` puts it.
fn worker() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("find this program")?;
    let beside = program.parent().map(|directory| directory.join(WORKER));
    let installed = Path::new("/usr/libexec/holdfast").join(WORKER);
    beside
        .into_iter()
        .chain([installed])
        .find(|path| path.is_file())
        .with_context(|| format!("the program {WORKER} is not beside this one: run `make build`"))
}

fn text(output: Output, path: &Path, report: &Report) -> anyhow::Result<()> {
    let verdict = match report.verdict {
        Verdict::Admit => "admit",
        Verdict::Conditional => "admit with conditions",
        Verdict::Refuse => "REFUSE",
    };
    output.line(format!(
        "{verdict}: {} ({}, {})",
        path.display(),
        report.format,
        size(report.size_bytes)
    ))?;
    if let Some(digest) = report.sha256 {
        output.line(format!("  {digest}"))?;
    }
    for item in &report.findings {
        output.line(finding(item))?;
    }
    if report.findings_omitted > 0 {
        output.line(format!("  and {} more findings", report.findings_omitted))?;
    }
    Ok(())
}
