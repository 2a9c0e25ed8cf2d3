//! Files that are one model together: the shards of an index, the parts of a split, a graph and its numbers, a directory.
//!
//! Each file is inspected by itself first and says what ties it to others ([`Ties`]). Here those sayings are compared: that everything
//! is there, once, and where it is said to be. What cannot be compared is refused. Trust boundary: names and numbers come from the files.

mod external;
mod folders;
mod numbered;
mod saved_model;
mod shards;
mod split;
mod ties;

use std::collections::{BTreeMap, BTreeSet};

use holdfast_contract::report::{Finding, Severity};

use crate::finding::{Findings, Place};
use crate::format::Format;
use crate::rules::{self, Rule};
use ties::quoted;
pub use ties::{
    Component, External, MAX_ENTRIES, MAX_NAME_BYTES, MAX_TEXT_BYTES, Mapped, Split, Tensor, Ties,
};

/// The folders of a `SavedModel` whose files are judged with it.
pub const FOLDERS: [&str; 2] = ["assets", "variables"];
/// The file that makes a directory a `SavedModel`.
pub const SAVED_MODEL: &str = "saved_model.pb";

/// What a set is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// safetensors files with an index, or numbered.
    SafetensorsShards,
    /// PyTorch checkpoints with an index, or numbered.
    PytorchShards,
    /// The parts of a split GGUF model.
    GgufSplit,
    /// An ONNX model and the files with its numbers.
    OnnxExternal,
    /// The index of a TensorFlow checkpoint and the files with its variables.
    TensorflowCheckpoint,
    /// A TensorFlow `SavedModel` with its variables and word lists.
    SavedModel,
    /// The configuration and the weights of an adapter.
    Adapter,
    /// A pipeline of several models, each in a directory of its own.
    Diffusers,
    /// A directory with a configuration and everything that goes with it.
    Snapshot,
}

impl Kind {
    /// The name that reports use in the place of a format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SafetensorsShards => "safetensors-shards",
            Self::PytorchShards => "pytorch-shards",
            Self::GgufSplit => "gguf-split",
            Self::OnnxExternal => "onnx-external-data",
            Self::TensorflowCheckpoint => "tensorflow-checkpoint",
            Self::SavedModel => "tensorflow-saved-model",
            Self::Adapter => "adapter",
            Self::Diffusers => "diffusers",
            Self::Snapshot => "snapshot",
        }
    }
}

/// A file that was inspected.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// Its name in the directory; of one in a folder that belongs to the model, the folder's too: `variables/variables.index`.
    pub name: &'a str,
    /// What it is.
    pub format: Format,
    /// Its size, in bytes.
    pub size_bytes: u64,
    /// What was found in it.
    pub findings: &'a [Finding],
    /// What the inspection says of its architecture.
    pub architecture: Option<&'a str>,
    /// What ties it to others.
    pub ties: &'a Ties,
}

impl Member<'_> {
    fn is_refused(&self) -> bool {
        self.refusals().next().is_some()
    }

    /// Whether nothing but `rule` refuses it.
    fn is_refused_only_by(&self, rule: &Rule) -> bool {
        self.is_refused() && self.refusals().all(|finding| finding.id == rule.id)
    }

    fn refusals(&self) -> impl Iterator<Item = &Finding> {
        let refuses = |finding: &&Finding| finding.severity >= Severity::High;
        self.findings.iter().filter(refuses)
    }
}

/// A directory, all of whose files were inspected.
#[derive(Debug)]
pub struct Directory<'a> {
    /// Its files, with those in [`FOLDERS`] where it is a `SavedModel`.
    pub files: &'a [Member<'a>],
    /// The names of the files directly in each of its directories.
    pub folders: &'a BTreeMap<String, Vec<String>>,
}

impl Directory<'_> {
    fn find(&self, name: &str) -> Option<usize> {
        self.files.iter().position(|file| file.name == name)
    }
}

/// What was found about a set.
#[derive(Debug)]
pub struct Judged {
    /// What it is.
    pub kind: Kind,
    /// The file that speaks for it; without one it is the directory.
    pub about: Option<usize>,
    /// Its files: places in [`Directory::files`].
    pub members: Vec<usize>,
    /// What was found.
    pub findings: Findings,
    /// Members that are refused alone and not in the set: what refuses them, and what takes its place.
    pub eased: Vec<Eased>,
}

/// A finding that does not hold for a file in its set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eased {
    /// Which file.
    pub member: usize,
    /// What is no longer said.
    pub instead_of: &'static Rule,
    /// What is said.
    pub rule: &'static Rule,
    /// In these words.
    pub message: String,
}

impl Judged {
    fn new(kind: Kind, about: Option<usize>, members: Vec<usize>) -> Self {
        Self {
            kind,
            about,
            members,
            findings: Findings::default(),
            eased: Vec::new(),
        }
    }

    fn add(&mut self, rule: &'static Rule, part: &str, message: impl std::fmt::Display) {
        self.findings.add(rule, Place::whole().of(part), message);
    }

    /// A set is not better than its worst file.
    fn refuse_with(&mut self, files: &[Member<'_>], except: &[usize]) {
        for member in self.members.clone() {
            if let Some(file) = files.get(member).filter(|file| file.is_refused())
                && !except.contains(&member)
            {
                let id = file.refusals().next().map_or("", |finding| finding.id.as_str());
                let message = format_args!("a file of the set is refused: {} ({id})", quoted(file.name));
                self.add(&rules::SET_REFUSED, file.name, message);
            }
        }
    }
}

/// Whether bytes of a file are all zero: the number of the file, and where they begin and end. `None` if they cannot be read.
pub type Zeros<'a> = &'a mut dyn FnMut(usize, u64, u64) -> Option<bool>;

/// Judges the sets in a directory, in the order of their kinds; those in its folders first.
pub fn judge(directory: &Directory<'_>, zeros: Zeros<'_>) -> Vec<Judged> {
    let folder_of = |file: &Member<'_>| file.name.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    let folders: BTreeSet<String> = directory.files.iter().filter_map(folder_of).collect();
    if folders.is_empty() {
        let sets = within(directory, zeros);
        return with_snapshot(directory, sets);
    }
    let mut sets = Vec::new();
    for folder in folders.iter().map(Some).chain([None]) {
        let members: Vec<usize> = (0..directory.files.len())
            .filter(|place| {
                let file = directory.files.get(*place);
                file.is_some_and(|file| folder_of(file).as_ref() == folder)
            })
            .collect();
        sets.extend(part(directory, &members, folder.is_none(), &sets, zeros));
    }
    sets
}

/// Judges some of the files by their names in their folder. What is at the top comes last, and with it what spans the folders.
fn part(
    directory: &Directory<'_>,
    members: &[usize],
    top: bool,
    before: &[Judged],
    zeros: Zeros<'_>,
) -> Vec<Judged> {
    let files: Vec<Member<'_>> = members
        .iter()
        .filter_map(|place| directory.files.get(*place).copied())
        .map(|file| Member {
            name: file.name.rsplit_once('/').map_or(file.name, |(_, name)| name),
            ..file
        })
        .collect();
    let none = BTreeMap::new();
    let folder = Directory {
        files: &files,
        folders: if top { directory.folders } else { &none },
    };
    let outer = |inner: usize| members.get(inner).copied().unwrap_or(usize::MAX);
    let mut sets = within(&folder, &mut |inner, begin, end| zeros(outer(inner), begin, end));
    let whole = top
        .then(|| {
            let known = sets
                .iter()
                .flat_map(|set| &set.eased)
                .map(|eased| outer(eased.member));
            let known: Vec<usize> = eased(before).into_iter().chain(known).collect();
            saved_model::judge(directory, &known)
        })
        .flatten();
    if let Some(whole) = &whole {
        // What the model is eased of does not refuse a snapshot that it is part of.
        let inner = whole
            .eased
            .iter()
            .filter_map(|eased| members.iter().position(|place| *place == eased.member));
        let known: Vec<usize> = eased(&sets).into_iter().chain(inner).collect();
        sets.extend(folders::snapshot(&folder, &known));
    } else {
        sets = with_snapshot(&folder, sets);
    }
    for set in &mut sets {
        set.about = set.about.map(outer);
        set.members.iter_mut().for_each(|member| *member = outer(*member));
        set.eased
            .iter_mut()
            .for_each(|eased| eased.member = outer(eased.member));
    }
    sets.extend(whole);
    sets
}

/// The sets of one folder, but for the snapshot that it may be.
fn within(directory: &Directory<'_>, zeros: Zeros<'_>) -> Vec<Judged> {
    let mut sets = shards::judge(directory);
    sets.extend(split::judge(directory));
    sets.extend(external::judge(directory, zeros));
    sets.extend(folders::adapter(directory));
    sets.extend(folders::pipeline(directory));
    sets
}

fn with_snapshot(directory: &Directory<'_>, mut sets: Vec<Judged>) -> Vec<Judged> {
    let snapshot = folders::snapshot(directory, &eased(&sets));
    sets.extend(snapshot);
    sets
}

/// The members that a set does not refuse.
fn eased(sets: &[Judged]) -> Vec<usize> {
    let eased = sets.iter().flat_map(|set| &set.eased);
    eased.map(|eased| eased.member).collect()
}

/// Whether a name is one of a file directly in the directory.
fn is_plain(name: &str) -> bool {
    crate::paths::bad(name.as_bytes(), false).is_none() && !name.contains('/')
}
