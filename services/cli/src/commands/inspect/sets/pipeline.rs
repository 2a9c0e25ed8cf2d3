//! A pipeline of several models: its parts lie in directories, which come after the one that describes it.

use std::path::{Path, PathBuf};

use holdfast_contract::report::{Report, Verdict};
use holdfast_formats::rules;
use holdfast_formats::set::{Judged, Kind};

use super::super::jobs::Done;
use super::report::{File, Set};

/// The most files that are remembered of one pipeline.
const MAX_FILES: usize = 4096;

/// A pipeline whose parts are still to come.
#[derive(Debug)]
pub struct Pipeline {
    root: PathBuf,
    folders: Vec<String>,
    set: Set,
}

/// The directories of the parts, if a set is a pipeline.
pub fn components(judged: &Judged, held: &[Done<'_>]) -> Option<Vec<String>> {
    let about = judged.about.filter(|_| judged.kind == Kind::Diffusers)?;
    let components = held.get(about)?.ties.components.iter();
    Some(components.map(|component| component.folder.clone()).collect())
}

impl Pipeline {
    /// A pipeline that is described in the directory `root`.
    pub fn new(root: &Path, folders: Vec<String>, set: Set) -> Self {
        Self {
            root: root.to_owned(),
            folders,
            set,
        }
    }

    /// The directory of its description.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Takes a file, if it belongs to a part.
    pub fn take(&mut self, path: &Path, report: &Report) {
        if !self.has(path) {
            return;
        }
        if self.set.files.len() >= MAX_FILES {
            let message = "the pipeline has more files than can be compared";
            self.set.find(&rules::SET_LIMIT, "", message);
            return;
        }
        self.judge(path, report);
        self.set.add(File::of(path, report));
    }

    /// Takes a set of files of a part.
    pub fn take_set(&mut self, set: &Set) {
        if self.has(&set.path) && set.report.format != Kind::Snapshot.name() {
            self.judge(&set.path, &set.report);
        }
    }

    /// All parts were seen.
    pub fn conclude(mut self) -> Set {
        self.set.conclude();
        self.set
    }

    fn has(&self, path: &Path) -> bool {
        let below = path.strip_prefix(&self.root).ok();
        let folder = below.and_then(|below| below.iter().next());
        folder.is_some_and(|folder| self.folders.iter().any(|known| folder == known.as_str()))
    }

    fn judge(&mut self, path: &Path, report: &Report) {
        if report.verdict == Verdict::Refuse {
            let id = report.findings.first().map_or("", |finding| finding.id.as_str());
            let name = path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy();
            let shown = holdfast_formats::text::shown(&name);
            let message = format!("a file of the set is refused: \"{shown}\" ({id})");
            self.set.find(&rules::SET_REFUSED, &name, &message);
        }
    }
}
