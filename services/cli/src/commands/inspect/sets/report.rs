//! The report on a set.

use std::path::{Path, PathBuf};

use holdfast_contract::Digest;
use holdfast_contract::report::{Condition, Report, Verdict};
use holdfast_formats::finding::verdict;
use holdfast_formats::set::Kind;
use holdfast_formats::{Findings, Place, Rule};
use holdfast_inspection::report::INSPECTOR;
use serde::Serialize;
use sha2::Digest as _;

/// A file of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct File {
    /// Where it is, as it is shown.
    pub path: PathBuf,
    /// Its SHA-256, if it could be read.
    pub sha256: Option<Digest>,
    /// What follows for it alone.
    pub verdict: Verdict,
    #[serde(skip)]
    pub(super) size_bytes: u64,
    #[serde(skip)]
    pub(super) conditions: Vec<Condition>,
}

impl File {
    /// As the report on it says.
    pub fn of(path: &Path, report: &Report) -> Self {
        Self {
            path: path.to_owned(),
            sha256: report.sha256,
            verdict: report.verdict,
            size_bytes: report.size_bytes,
            conditions: report.conditions.clone(),
        }
    }
}

/// The report on a set: of the same type as that on a file, with the kind of the set in the place of the format.
///
/// Its digest is that of the list of its files as `sha256sum` prints it, by path from the set's directory, in the order of the bytes.
#[derive(Debug)]
pub struct Set {
    /// The file that speaks for it, or the directory.
    pub path: PathBuf,
    /// Its files.
    pub files: Vec<File>,
    /// The report.
    pub report: Report,
    directory: PathBuf,
    findings: Findings,
}

impl Set {
    /// A set of these files.
    pub fn new(path: &Path, kind: Kind, findings: Findings, files: &[File]) -> Self {
        let directory = if files.iter().any(|file| file.path == path) {
            path.parent().unwrap_or(path)
        } else {
            path
        };
        let mut set = Self {
            path: path.to_owned(),
            files: files.to_vec(),
            report: Report {
                sha256: None,
                size_bytes: 0,
                format: kind.name().to_owned(),
                verdict: Verdict::Refuse,
                conditions: Vec::new(),
                findings: Vec::new(),
                findings_omitted: 0,
                model: None,
                rules: None,
                converted_from: None,
                inspector: INSPECTOR.to_owned(),
            },
            directory: directory.to_owned(),
            findings,
        };
        set.conclude();
        set
    }

    /// Adds a file.
    pub(super) fn add(&mut self, file: File) {
        self.files.push(file);
    }

    /// Adds a finding.
    pub(super) fn find(&mut self, rule: &'static Rule, part: &str, message: &str) {
        self.findings.add(rule, Place::whole().of(part), message);
    }

    /// Draws the conclusions anew.
    pub(super) fn conclude(&mut self) {
        let report = &mut self.report;
        (report.findings, report.findings_omitted) = self.findings.clone().into_parts();
        (report.verdict, report.conditions) = verdict(&report.findings);
        report.size_bytes = self
            .files
            .iter()
            .fold(0, |sum: u64, file| sum.saturating_add(file.size_bytes));
        report.sha256 = digest(&self.directory, &self.files);
        if report.verdict != Verdict::Refuse {
            // What binds the user of a file binds the user of the set.
            report
                .conditions
                .extend(self.files.iter().flat_map(|file| &file.conditions));
            report.conditions.sort_unstable();
            report.conditions.dedup();
            if !report.conditions.is_empty() {
                report.verdict = Verdict::Conditional;
            }
        }
    }
}

fn digest(directory: &Path, files: &[File]) -> Option<Digest> {
    let mut lines: Vec<(Vec<u8>, String)> = Vec::new();
    for file in files {
        let name = file.path.strip_prefix(directory).unwrap_or(&file.path);
        lines.push((name.as_os_str().as_encoded_bytes().to_vec(), file.sha256?.hex()));
    }
    if lines.is_empty() {
        return None;
    }
    lines.sort_unstable();
    let mut hash = sha2::Sha256::new();
    for (name, sha256) in lines {
        hash.update(sha256.as_bytes());
        hash.update(b"  ");
        hash.update(&name);
        hash.update(b"\n");
    }
    Some(Digest::from_bytes(hash.finalize().into()))
}
