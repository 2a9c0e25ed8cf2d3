//! Labelled samples, judged by each tool.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::Failure;
use crate::arguments::Arguments;
use crate::manifest::{self, Sample, Samples};
use crate::measure::{self, Ended};
use crate::outcome::{self, Outcome, Verdict};
use crate::results::{Detection, Judged};
use crate::tools::{SCANNERS, Tool, Tools};

/// How long a tool may take for a sample.
const LIMIT: Duration = Duration::from_mins(1);

/// Has every sample judged, or says loudly that there are none.
///
/// # Errors
///
/// When the manifest cannot be read or a tool not be started.
pub fn run(tools: &Tools, arguments: &Arguments) -> Result<Option<Detection>, Failure> {
    let samples = match &arguments.samples {
        Some(root) => manifest::read(root)?,
        None => None,
    };
    let Some(samples) = samples else {
        eprintln!("NO SAMPLES: there is no manifest.json in HOLDFAST_PEER_DATA or --samples.");
        eprintln!("            Detection and false alarms are NOT measured; the page will say so.");
        return Ok(None);
    };
    for missing in &samples.missing {
        eprintln!("SAMPLE NOT USED: {missing}");
    }
    let said = holdfast(tools, &samples, &arguments.work)?;
    let mut judged: Vec<Judged> = samples
        .present
        .iter()
        .map(|sample| by_holdfast(sample, &samples.root, &said))
        .collect();
    let peers = SCANNERS.into_iter().filter(|tool| *tool != Tool::Holdfast);
    for tool in peers {
        eprintln!("{} samples: {}", samples.present.len(), tool.name());
        let outcomes = one_by_one(tools, tool, &samples, &arguments.work)?;
        for (sample, outcome) in judged.iter_mut().zip(outcomes) {
            sample.outcomes.insert(tool, outcome);
        }
    }
    Ok(Some(Detection {
        samples: judged,
        missing: samples.missing,
    }))
}

/// What Holdfast says of every file, from one run: it reports each by itself.
fn holdfast(tools: &Tools, samples: &Samples, work: &Path) -> Result<Vec<Value>, Failure> {
    eprintln!("{} samples: {}", samples.present.len(), Tool::Holdfast.name());
    let limit = LIMIT * u32::try_from(samples.present.len().max(1))?;
    let run = measure::run(
        &tools.invocation(Tool::Holdfast, &samples.root)?,
        work,
        limit,
        false,
    )?;
    match run.cost.ended {
        Ended::Code(0..=2) => Ok(outcome::reports(&run.stdout)),
        ended => Err(format!("holdfast inspect ended with {ended:?}: {}", run.stderr).into()),
    }
}

fn by_holdfast(sample: &Sample, root: &Path, said: &[Value]) -> Judged {
    let path = root.join(&sample.file);
    let about = |report: &&Value| {
        report["path"]
            .as_str()
            .is_some_and(|of| Path::new(of).starts_with(&path))
    };
    let reports: Vec<Value> = said.iter().filter(about).cloned().collect();
    let refused = reports.iter().any(|report| report["verdict"] == "refuse");
    let outcome = Outcome {
        verdict: outcome::holdfast(&reports, i32::from(refused)),
        stops: refused || reports.is_empty(),
    };
    Judged {
        file: sample.file.clone(),
        expected: sample.expected,
        class: sample.class.clone(),
        outcomes: BTreeMap::from([(Tool::Holdfast, outcome)]),
        holdfast: words(&reports),
    }
}

/// The gravest finding of each file, with its id.
fn words(reports: &[Value]) -> String {
    let mut said = Vec::new();
    for report in reports {
        let findings = report["findings"].as_array().map_or(&[][..], Vec::as_slice);
        let weight = |finding: &Value| {
            ["info", "low", "medium", "high", "critical"]
                .iter()
                .position(|name| finding["severity"] == *name)
        };
        // The first of the gravest: `max_by_key` takes the last of equals.
        if let Some(finding) = findings.iter().rev().max_by_key(|finding| weight(finding)) {
            let text = |key: &str| finding[key].as_str().unwrap_or_default();
            let line = format!("{}: {}", text("id"), text("message"));
            if !said.contains(&line) {
                said.push(line);
            }
        }
    }
    if said.is_empty() {
        "nothing".to_owned()
    } else {
        said.join("; ")
    }
}

/// Starts the tool for each sample, as many at once as there are cores: this is not timed.
fn one_by_one(tools: &Tools, tool: Tool, samples: &Samples, work: &Path) -> Result<Vec<Outcome>, Failure> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(BTreeMap::new());
    let judge = || -> Result<(), Failure> {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(sample) = samples.present.get(index) else {
                return Ok(());
            };
            let outcome = one(tools, tool, &samples.root.join(&sample.file), work)?;
            if matches!(outcome.verdict, Verdict::Crashed | Verdict::TimedOut) {
                eprintln!("{} {:?}: {}", tool.name(), outcome.verdict, sample.file);
            }
            if let Ok(mut outcomes) = outcomes.lock() {
                outcomes.insert(index, outcome);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(judge)).collect();
        started
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err("a thread failed".into())))
    })?;
    Ok(outcomes.into_inner().unwrap_or_default().into_values().collect())
}

/// The verdict on a sample: on a directory, what the tool says of it, or the gravest of its files where it takes none.
fn one(tools: &Tools, tool: Tool, path: &Path, work: &Path) -> Result<Outcome, Failure> {
    if !path.is_dir() || tool.takes_directories() {
        let run = measure::run(&tools.invocation(tool, path)?, work, LIMIT, false)?;
        return Ok(outcome::of(tool, &run));
    }
    let mut gravest = Outcome {
        verdict: Verdict::Unread,
        stops: false,
    };
    for entry in std::fs::read_dir(path)? {
        let outcome = one(tools, tool, &entry?.path(), work)?;
        gravest.stops |= outcome.stops;
        if gravest.verdict == Verdict::Unread || outcome.verdict == Verdict::Flagged {
            gravest.verdict = outcome.verdict;
        }
    }
    Ok(gravest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::Label;

    fn sample(file: &str) -> Sample {
        Sample {
            file: file.to_owned(),
            expected: Label::Refuse,
            class: String::new(),
            sha256: None,
        }
    }

    #[test]
    fn reports_are_told_apart_by_path_and_a_directory_has_those_of_its_files() {
        let finding = |id: &str, severity: &str| json!({"id": id, "severity": severity, "message": id});
        let report = |path: &str, verdict: &str, findings: &[Value]| json!({"path": path, "verdict": verdict, "findings": findings});
        let said = [
            report("/r/a", "admit", &[]),
            report(
                "/r/ab/x",
                "refuse",
                &[finding("HF-FMT-003", "low"), finding("HF-PKL-001", "critical")],
            ),
            report("/r/ab/y", "admit", &[finding("HF-FMT-003", "low")]),
        ];
        let judge = |file: &str| by_holdfast(&sample(file), Path::new("/r"), &said);
        let verdict = |judged: &Judged| judged.outcomes.get(&Tool::Holdfast).copied().unwrap().verdict;
        assert_eq!(verdict(&judge("a")), Verdict::Accepted);
        assert_eq!(judge("a").holdfast, "nothing");
        assert_eq!(verdict(&judge("ab")), Verdict::Flagged);
        assert_eq!(
            judge("ab").holdfast,
            "HF-PKL-001: HF-PKL-001; HF-FMT-003: HF-FMT-003"
        );
        assert_eq!(verdict(&judge("gone")), Verdict::Crashed);
    }
}
