//! What a tool's answer means. Each has exit codes of its own, and some say more in their reports than in the code.

use holdfast_contract::report::Severity;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::measure::{Ended, Run};
use crate::tools::Tool;

/// The findings by which Holdfast refuses a kind of file that it does not read (docs/findings.md).
const UNREAD: [&str; 6] = [
    "HF-FMT-001",
    "HF-FMT-011",
    "HF-FMT-012",
    "HF-FMT-014",
    "HF-FMT-015",
    "HF-FMT-016",
];

/// What a tool thinks of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Something is wrong with it.
    Flagged,
    /// The tool says that it does not look into such files.
    Unread,
    /// It looked and could not tell, or only in part, and found nothing.
    Inconclusive,
    /// Nothing is wrong with it.
    Accepted,
    /// The tool failed in a way that it did not mean to.
    Crashed,
    /// The tool did not end in time.
    TimedOut,
}

/// A verdict with what a script that looks at nothing else sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What the tool thinks.
    pub verdict: Verdict,
    /// Whether the exit code is other than 0.
    pub stops: bool,
}

/// What a run of a tool on one file means.
pub fn of(tool: Tool, run: &Run) -> Outcome {
    let verdict = match run.cost.ended {
        Ended::TimedOut => Verdict::TimedOut,
        Ended::Signal(_) => Verdict::Crashed,
        Ended::Code(code) => match tool {
            Tool::Openssl => openssl(code),
            Tool::Holdfast => holdfast(&reports(&run.stdout), code),
            Tool::Picklescan => picklescan(code, &run.stdout),
            Tool::Modelscan => modelscan(code, &run.stdout),
            Tool::Fickling => fickling(code, &run.stderr),
            Tool::Modelaudit => modelaudit(code, &run.stdout),
        },
    };
    Outcome {
        verdict,
        stops: run.cost.ended != Ended::Code(0),
    }
}

fn openssl(code: i32) -> Verdict {
    // It judges nothing.
    if code == 0 {
        Verdict::Accepted
    } else {
        Verdict::Crashed
    }
}

/// 0 nothing dangerous, 1 something, 2 a file could not be read as what it seems. A Python exception is caught and is 2, too.
fn picklescan(code: i32, out: &str) -> Verdict {
    let count = |label: &str| {
        let line = out.lines().rev().find_map(|line| line.strip_prefix(label));
        line.and_then(|number| number.trim().parse::<u64>().ok())
    };
    match (code, count("Scanned files:"), count("Dangerous globals:")) {
        (1, ..) => Verdict::Flagged,
        (2, Some(_), Some(dangerous)) if dangerous > 0 => Verdict::Flagged,
        (2, Some(_), _) => Verdict::Inconclusive,
        (0, Some(0), _) => Verdict::Unread,
        (0, Some(_), _) => Verdict::Accepted,
        _ => Verdict::Crashed,
    }
}

/// 0 no issues, 1 issues, 2 errors, 3 no file that it supports, 4 wrong usage. With errors the report may have issues all the
/// same; a file that it took for a pickle and could not follow is an error under code 3.
fn modelscan(code: i32, out: &str) -> Verdict {
    let start = out.find("{\"summary\"").unwrap_or(out.len());
    let report = serde_json::from_str::<Value>(out.get(start..).unwrap_or_default());
    let Ok(report) = report else {
        return Verdict::Crashed;
    };
    let has = |key: &str| report[key].as_array().is_some_and(|list| !list.is_empty());
    match code {
        1 => Verdict::Flagged,
        2 | 3 if has("issues") => Verdict::Flagged,
        3 if !has("errors") => Verdict::Unread,
        2 | 3 => Verdict::Inconclusive,
        0 => Verdict::Accepted,
        _ => Verdict::Crashed,
    }
}

/// 0 nothing found, 1 unsafe, 2 not followed. A Python exception that nobody catches ends in 1 as well, wrong usage in 2.
fn fickling(code: i32, err: &str) -> Verdict {
    match code {
        0 => Verdict::Accepted,
        1 if !err.contains("Traceback (most recent call last)") => Verdict::Flagged,
        2 if err.contains("failed to parse this pickle file") => Verdict::Inconclusive,
        _ => Verdict::Crashed,
    }
}

/// 0 no finding above a note, 1 findings, 2 errors, incomplete, or nothing scanned. With errors the report may have findings all
/// the same; a file for which none of its scanners is meant is counted as scanned, by none.
fn modelaudit(code: i32, out: &str) -> Verdict {
    let Ok(report) = serde_json::from_str::<Value>(out) else {
        return Verdict::Crashed;
    };
    let none = |key: &str| report[key].as_array().is_none_or(Vec::is_empty);
    let grave = |issue: &Value| matches!(issue["severity"].as_str(), Some("warning" | "critical"));
    let found = report["issues"]
        .as_array()
        .is_some_and(|list| list.iter().any(grave));
    match code {
        1 => Verdict::Flagged,
        2 if found => Verdict::Flagged,
        2 if report["files_scanned"] == 0 => Verdict::Unread,
        2 => Verdict::Inconclusive,
        0 if none("scanner_names") => Verdict::Unread,
        0 => Verdict::Accepted,
        _ => Verdict::Crashed,
    }
}

/// The lines of JSON that `holdfast inspect` prints, one for each file.
pub fn reports(out: &str) -> Vec<Value> {
    let lines = out.lines().filter_map(|line| serde_json::from_str(line).ok());
    lines
        .filter(|value: &Value| value["verdict"].is_string())
        .collect()
}

/// 0 all may be admitted, 1 one is refused, 2 one could not be inspected. A refusal says by its findings whether the file was
/// followed or is of a kind that is refused by name.
pub fn holdfast(reports: &[Value], code: i32) -> Verdict {
    let refuses = |finding: &&Value| {
        let severity = serde_json::from_value::<Severity>(finding["severity"].clone());
        severity.is_ok_and(|severity| severity >= Severity::High)
    };
    let refusing = reports
        .iter()
        .filter_map(|report| report["findings"].as_array())
        .flatten()
        .filter(refuses);
    let ids: Vec<&str> = refusing.filter_map(|finding| finding["id"].as_str()).collect();
    match code {
        0 if !reports.is_empty() => Verdict::Accepted,
        // Its worker died, or said what cannot be read.
        _ if ids.iter().any(|id| matches!(*id, "HF-IO-007" | "HF-IO-009")) => Verdict::Crashed,
        _ if ids.contains(&"HF-IO-008") => Verdict::TimedOut,
        1 if !ids.is_empty() && ids.iter().all(|id| UNREAD.contains(id)) => Verdict::Unread,
        1 if ids.iter().any(|id| !id.starts_with("HF-IO-")) => Verdict::Flagged,
        1 | 2 if !ids.is_empty() => Verdict::Inconclusive,
        _ => Verdict::Crashed,
    }
}

#[cfg(test)]
#[path = "outcome_tests.rs"]
mod tests;
