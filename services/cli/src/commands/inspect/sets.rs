//! Sets of files: what was found in each is held back until its directory is complete, then compared with the others.
//!
//! Files come in the order of the list, those of a directory together and before those of the directories in it.

mod pipeline;
mod report;

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use holdfast_contract::report::Report;
use holdfast_formats::finding::verdict;
use holdfast_formats::set::{self, Directory, Eased, Judged, Kind, Member, SAVED_MODEL};
use holdfast_formats::{Findings, Format, Place, rules};
use holdfast_inspection::report::refusal;

use super::files::{Listed, Target, belongs_to_model, blob_digest};
use super::jobs::{Done, open};
use pipeline::Pipeline;
pub use report::{File, Set};

/// The most files of one directory that are compared with each other.
const MAX_HELD: usize = 4096;
/// The most that ties of one directory may take, in bytes: what they are about when they are kept.
const MAX_TIES_BYTES: usize = 48 << 20;

/// Something to print.
#[derive(Debug)]
pub enum Ready<'a> {
    /// The report on a file.
    File(&'a Path, Report),
    /// The report on a set.
    Set(Set),
}

/// The files whose directory is not complete yet.
pub struct Sets<'a> {
    listed: &'a [Listed],
    directory: Option<&'a Path>,
    held: Vec<Done<'a>>,
    ties_bytes: usize,
    /// The directory has more than can be compared, and something in it asks for a comparison.
    overflow: Option<bool>,
    pipelines: Vec<Pipeline>,
}

impl<'a> Sets<'a> {
    /// For files that come in this order.
    pub fn new(listed: &'a [Listed]) -> Self {
        Self {
            listed,
            directory: None,
            held: Vec::new(),
            ties_bytes: 0,
            overflow: None,
            pipelines: Vec::new(),
        }
    }

    /// Takes the next file. Returns what can be printed by now.
    pub fn take(&mut self, mut done: Done<'a>) -> Vec<Ready<'a>> {
        check_blob(&mut done);
        // What was named by itself is judged by itself.
        let directory = match done.file.target {
            Target::Named => None,
            _ => done.file.path.parent().map(|parent| self.home(parent)),
        };
        let mut ready = Vec::new();
        if directory != self.directory || directory.is_none() {
            self.close(&mut ready);
            self.directory = directory;
        }
        if directory.is_none() {
            self.print(done.file, done.report, &mut ready);
            return ready;
        }
        self.ties_bytes = self.ties_bytes.saturating_add(done.ties.cost());
        if self.held.len() >= MAX_HELD || self.ties_bytes > MAX_TIES_BYTES {
            self.overflow.get_or_insert(false);
        }
        if let Some(asked) = self.overflow {
            let held = std::mem::take(&mut self.held);
            let asks = |done: &Done<'_>| done.ties.names_others();
            self.overflow = Some(asked || held.iter().any(asks) || asks(&done));
            for done in held.into_iter().chain([done]) {
                self.print(done.file, done.report, &mut ready);
            }
        } else {
            self.held.push(done);
        }
        ready
    }

    /// There are no more files.
    pub fn finish(mut self) -> Vec<Ready<'a>> {
        let mut ready = Vec::new();
        self.close(&mut ready);
        for pipeline in self.pipelines.drain(..) {
            ready.push(Ready::Set(pipeline.conclude()));
        }
        ready
    }

    /// The directory that the files of a directory are judged with: its own, or that of the `SavedModel` which it belongs to.
    fn home(&self, parent: &'a Path) -> &'a Path {
        let is_model = |done: &Done<'_>| done.file.path.file_name().is_some_and(|name| name == SAVED_MODEL);
        let above = self.directory.filter(|above| {
            let below = parent.strip_prefix(above).ok();
            let folder = below.and_then(|below| below.iter().next());
            folder.is_some_and(|folder| belongs_to_model(Path::new(folder))) && self.held.iter().any(is_model)
        });
        above.unwrap_or(parent)
    }

    fn print(&mut self, file: &'a Listed, report: Report, ready: &mut Vec<Ready<'a>>) {
        for pipeline in &mut self.pipelines {
            pipeline.take(&file.path, &report);
        }
        ready.push(Ready::File(&file.path, report));
    }

    /// The directory is complete.
    fn close(&mut self, ready: &mut Vec<Ready<'a>>) {
        let held = std::mem::take(&mut self.held);
        let Some(directory) = self.directory.take() else {
            return;
        };
        let above = |pipeline: &Pipeline| directory.starts_with(pipeline.root());
        let (open, ended): (Vec<_>, Vec<_>) = self.pipelines.drain(..).partition(above);
        self.pipelines = open;
        ready.extend(ended.into_iter().map(|pipeline| Ready::Set(pipeline.conclude())));
        self.ties_bytes = 0;
        if self.overflow.take() == Some(true) {
            let mut findings = Findings::default();
            let message = "the directory has more files, or files with more tensors, than can be compared";
            findings.add(&rules::SET_LIMIT, Place::whole(), message);
            ready.push(Ready::Set(Set::new(directory, Kind::Snapshot, findings, &[])));
        }
        let (reports, sets, pipelines) = self.judge(directory, held);
        for (file, report) in reports {
            self.print(file, report, ready);
        }
        for set in sets {
            for pipeline in &mut self.pipelines {
                pipeline.take_set(&set);
            }
            ready.push(Ready::Set(set));
        }
        self.pipelines.extend(pipelines);
    }

    /// Compares the files of a directory.
    fn judge(
        &self,
        directory: &Path,
        mut held: Vec<Done<'a>>,
    ) -> (Vec<(&'a Listed, Report)>, Vec<Set>, Vec<Pipeline>) {
        let judged = {
            let names: Vec<String> = held
                .iter()
                .map(|done| {
                    let name = done.file.path.strip_prefix(directory).map(Path::to_string_lossy);
                    name.unwrap_or_default().into_owned()
                })
                .collect();
            let files: Vec<Member<'_>> = held
                .iter()
                .zip(&names)
                .map(|(done, name)| member(done, name))
                .collect();
            let folders = if names.iter().any(|name| name == "model_index.json") {
                folders(self.listed, directory)
            } else {
                BTreeMap::new()
            };
            let of = Directory {
                files: &files,
                folders: &folders,
            };
            set::judge(&of, &mut |place, begin, end| {
                held.get(place).and_then(|done| is_zero(done, begin, end))
            })
        };
        for set in &judged {
            for eased in &set.eased {
                if let Some(done) = held.get_mut(eased.member) {
                    ease(&mut done.report, eased);
                }
            }
        }
        let (mut sets, mut pipelines) = (Vec::new(), Vec::new());
        for judged in judged {
            let components = pipeline::components(&judged, &held);
            let set = concluded(directory, judged, &held);
            match components {
                Some(components) => pipelines.push(Pipeline::new(directory, components, set)),
                None => sets.push(set),
            }
        }
        let reports = held.into_iter().map(|done| (done.file, done.report)).collect();
        (reports, sets, pipelines)
    }
}

fn member<'b>(done: &'b Done<'_>, name: &'b str) -> Member<'b> {
    let report = &done.report;
    Member {
        name,
        format: Format::find(&report.format).unwrap_or(Format::Unknown),
        size_bytes: report.size_bytes,
        findings: &report.findings,
        architecture: report
            .model
            .as_ref()
            .and_then(|model| model.architecture.as_deref()),
        ties: &done.ties,
    }
}

fn concluded(directory: &Path, judged: Judged, held: &[Done<'_>]) -> Set {
    let members: Vec<File> = judged
        .members
        .iter()
        .filter_map(|place| held.get(*place))
        .map(|done| File::of(&done.file.path, &done.report))
        .collect();
    let about = judged.about.and_then(|place| held.get(place));
    let path = about.map_or(directory, |done| done.file.path.as_path());
    Set::new(path, judged.kind, judged.findings, &members)
}

/// The names of the files directly in each directory of `directory`.
fn folders(listed: &[Listed], directory: &Path) -> BTreeMap<String, Vec<String>> {
    let mut folders: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in listed {
        let Ok(below) = file.path.strip_prefix(directory) else {
            continue;
        };
        let mut parts = below.iter().map(|part| part.to_string_lossy().into_owned());
        if let (Some(folder), Some(name), None) = (parts.next(), parts.next(), parts.next()) {
            folders.entry(folder).or_default().push(name);
        }
    }
    folders
}

/// Whether bytes of a file that was inspected are zero. `None` if it is not the same file any more.
fn is_zero(done: &Done<'_>, begin: u64, end: u64) -> Option<bool> {
    let source = open(done.file)
        .ok()
        .filter(|source| Some(source.stamp) == done.stamp)?;
    let mut bytes = vec![0; usize::try_from(end.checked_sub(begin)?).ok()?];
    source.file.read_exact_at(&mut bytes, begin).ok()?;
    Some(bytes.iter().all(|byte| *byte == 0))
}

/// Takes back what does not hold for a file in its set.
fn ease(report: &mut Report, eased: &Eased) {
    report
        .findings
        .retain(|finding| finding.id != eased.instead_of.id);
    let mut findings = Findings::default();
    findings.add(eased.rule, Place::whole(), &eased.message);
    let (more, _) = findings.into_parts();
    if !report.findings.iter().any(|finding| finding.id == eased.rule.id) {
        report.findings.extend(more);
    }
    (report.verdict, report.conditions) = verdict(&report.findings);
}

/// A blob of a cache that is named by its SHA-256 has to have it.
fn check_blob(done: &mut Done<'_>) {
    let Target::Linked(real) = &done.file.target else {
        return;
    };
    let (Some(named), Some(found)) = (blob_digest(real), done.report.sha256) else {
        return;
    };
    if named.len() == 64 && named != found.hex() {
        let format = Format::find(&done.report.format).unwrap_or(Format::Unknown);
        let message = "the cache keeps the file under another SHA-256 than it has";
        let more = refusal(&rules::SET_BLOB, format, done.report.size_bytes, message);
        done.report.findings.splice(0..0, more.findings);
        (done.report.verdict, done.report.conditions) = verdict(&done.report.findings);
    }
}
