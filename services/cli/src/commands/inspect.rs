//! `holdfast inspect`: the scanner, without a running suite.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use futures_util::stream::{self, StreamExt as _};
use holdfast_contract::report::{Report, Verdict};
use holdfast_formats::rules;
use holdfast_inspection::{Inspected, Rules, Worker};
use serde::Serialize;

use crate::args::InspectArguments;
use crate::exit;
use crate::output::{Bar, Output, finding, size};
use policy::Policy;
use sets::{Ready, Set, Sets};

mod disarm;
mod files;
mod jobs;
mod policy;
mod sarif;
mod sets;

/// The worker program.
const WORKER: &str = "holdfast-inspect";
/// The most files that are inspected at once. Each takes a processor and a part of a second one.
const MAX_AT_ONCE: usize = 16;

/// Inspects each file in a jailed worker, which small files share. 0 when all may be admitted, 1 when one is refused, 2 when one could not be
/// opened or the worker not be started.
pub async fn run(output: Output, arguments: InspectArguments) -> anyhow::Result<u8> {
    if let Some(id) = &arguments.explain {
        return explain(output, id);
    }
    let rules = Rules::with_site(arguments.rules.clone()).context("use the rules")?;
    let worker = Worker::new(worker()?).with_rules(rules);
    if let Some(target) = &arguments.disarm {
        return disarm::run(output, &worker, &arguments.files, target).await;
    }
    let policy = match &arguments.policy {
        Some(path) => Policy::read(path)?,
        None => Policy::default(),
    };
    let files = files::list(&arguments.files)?;
    let length = |file: &files::Listed| {
        let is_nothing = matches!(file.target, files::Target::Away | files::Target::Repository);
        let metadata = (!is_nothing).then(|| std::fs::metadata(&file.path).ok());
        metadata.flatten().map(|metadata| metadata.len())
    };
    let total = files.iter().filter_map(length).sum();
    let jobs = jobs::plan(&files, length);
    let (bar, done) = (RefCell::new(Bar::new(output, size)), Cell::new(0));
    let inspections = jobs.iter().map(|job| {
        let (worker, bar, done) = (&worker, &bar, &done);
        let progress = move |more: u64| {
            done.set(done.get() + more);
            bar.borrow_mut().show("inspecting", done.get(), total);
        };
        job.run(worker, progress)
    });
    let at_once = std::thread::available_parallelism().map_or(1, |count| count.get().min(MAX_AT_ONCE));
    let mut inspections = stream::iter(inspections).buffered(at_once);
    let mut sets = Sets::new(&files);
    let mut printer = Printer {
        output,
        policy,
        sarif: arguments.sarif.then(Vec::new),
        code: exit::OK,
    };
    while let Some(inspected) = inspections.next().await {
        bar.borrow_mut().clear();
        for done in inspected.context("start the inspection worker")? {
            for ready in sets.take(done) {
                printer.print(ready)?;
            }
        }
    }
    for ready in sets.finish() {
        printer.print(ready)?;
    }
    if let Some(inspected) = &printer.sarif {
        Output { json: true }.value(&sarif::document(inspected))?;
    }
    Ok(printer.code)
}

/// Prints reports as they become ready, or keeps them for a document.
struct Printer {
    output: Output,
    policy: Policy,
    sarif: Option<Vec<sarif::Inspected>>,
    code: u8,
}

impl Printer {
    fn print(&mut self, ready: Ready<'_>) -> anyhow::Result<()> {
        match ready {
            Ready::File(path, mut report) => {
                self.policy.apply(&mut report);
                self.code = self.code.max(outcome(path, &report));
                if !self.keep(path, &report, false) {
                    let shown = path.to_string_lossy();
                    self.output.value(&Inspected {
                        path: &shown,
                        report: &report,
                    })?;
                    text(self.output, path, &report)?;
                }
            }
            Ready::Set(Set {
                path,
                files,
                mut report,
                ..
            }) => {
                self.policy.apply_to_set(&mut report);
                if report.verdict == Verdict::Refuse {
                    self.code = self.code.max(exit::NO);
                }
                if !self.keep(&path, &report, true) {
                    self.output.value(&ToldSet {
                        set: &path.to_string_lossy(),
                        files: &files,
                        report: &report,
                    })?;
                    heading(self.output, "set ", &path, &report)?;
                    self.output.line(format!("  {} files", files.len()))?;
                    details(self.output, &report)?;
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, path: &Path, report: &Report, is_set: bool) -> bool {
        let kept = self.sarif.as_mut().map(|inspected| {
            inspected.push(sarif::Inspected {
                path: path.to_owned(),
                report: report.clone(),
                is_set,
            });
        });
        kept.is_some()
    }
}

/// A set, as JSON.
#[derive(Serialize)]
struct ToldSet<'a> {
    set: &'a str,
    files: &'a [sets::File],
    #[serde(flatten)]
    report: &'a Report,
}

fn outcome(path: &Path, report: &Report) -> u8 {
    // A link that leads out of its directory is judged without being opened.
    let is_link = report
        .findings
        .iter()
        .any(|finding| finding.id == rules::SET_LINK.id);
    let opened = is_link || report.sha256.is_some() || path.is_file();
    match report.verdict {
        Verdict::Refuse if opened => exit::NO,
        Verdict::Refuse => exit::FAILED,
        Verdict::Admit | Verdict::Conditional => exit::OK,
    }
}

/// Prints what a finding means.
fn explain(output: Output, id: &str) -> anyhow::Result<u8> {
    let rule = rules::find(&id.to_ascii_uppercase())
        .with_context(|| format!("there is no finding {id}; ids look like HF-GGUF-003"))?;
    output.value(&serde_json::json!({
        "id": rule.id,
        "severity": rule.severity,
        "condition": rule.condition,
        "title": rule.title,
        "why": rule.why,
        "advice": rule.advice,
    }))?;
    output.line(format!(
        "{}: {}\n\n{}\n\nWhat to do: {}",
        rule.id, rule.title, rule.why, rule.advice
    ))?;
    Ok(exit::OK)
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
    heading(output, "", path, report)?;
    details(output, report)
}

fn heading(output: Output, what: &str, path: &Path, report: &Report) -> anyhow::Result<()> {
    let verdict = match report.verdict {
        Verdict::Admit => "admit",
        Verdict::Conditional => "admit with conditions",
        Verdict::Refuse => "REFUSE",
    };
    output.line(format!(
        "{verdict}: {what}{} ({}, {})",
        path.display(),
        report.format,
        size(report.size_bytes)
    ))
}

fn details(output: Output, report: &Report) -> anyhow::Result<()> {
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
