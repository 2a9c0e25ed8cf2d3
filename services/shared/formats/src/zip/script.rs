//! TorchScript archives: the source of a program, pickles with its data, and the numbers that they name.
//!
//! Source: PyTorch's `torch/csrc/jit/serialization/export_module.cpp` and `import.cpp`.

use std::collections::BTreeMap;

use holdfast_contract::report::ModelFacts;

use super::package::Content;
use super::torch::{is_note, root};
use crate::budget::Budget;
use crate::finding::{Findings, Place};
use crate::inspector::{FileInspector, learn};
use crate::pickle::{Context, Pickle, Summary, facts};
use crate::rules;
use crate::torchscript::{Code, Source};

/// The pickles at the root of an archive, each with the directory of the numbers that it names. All but the first two are there in
/// some archives only.
const PICKLES: &[(&str, &str)] = &[
    ("data.pkl", "data/"),
    ("constants.pkl", "constants/"),
    ("bytecode.pkl", "constants/"),
    ("traced_inputs.pkl", "traced_inputs/"),
    ("mobile_debug_handles.pkl", "mobile_debug_handles/"),
];

/// A program as far as it has been read.
#[derive(Debug)]
pub struct Program {
    /// The directory that all members are in, with its slash.
    root: String,
    /// The sizes of the storages that are there, by directory and key, and whether a pickle names them.
    storages: BTreeMap<String, (u64, bool)>,
    /// What each pickle names, by the directory of its numbers.
    summaries: Vec<(&'static str, Summary)>,
    code: Code,
}

impl Program {
    /// A program with these members, in their order.
    pub fn of(names: &[String], findings: &mut Findings) -> Self {
        let root = root(names);
        let rest = |name: &str| name.strip_prefix(&root).map(ToOwned::to_owned);
        let stray = names
            .iter()
            .find(|name| root.is_empty() || !rest(name).is_some_and(|rest| is_expected(&rest)));
        if let Some(stray) = stray {
            let message = "a member that does not belong to a TorchScript program";
            findings.add(&rules::PT_STRAY, Place::whole().of(stray), message);
        }
        // Without these PyTorch takes the archive for a checkpoint, whose classes Python looks up.
        for needed in ["data.pkl", "constants.pkl"] {
            if !names.iter().any(|name| rest(name).as_deref() == Some(needed)) {
                let message = format_args!("a TorchScript program without `{needed}`");
                findings.add(&rules::PT_STRAY, Place::whole(), message);
            }
        }
        Self {
            root,
            storages: BTreeMap::new(),
            summaries: Vec::new(),
            code: Code::default(),
        }
    }

    /// Who looks at the member of this name.
    pub fn open(&mut self, name: &str, size: u64, budget: &Budget) -> Content {
        let Some(rest) = name.strip_prefix(&self.root) else {
            return Content::Raw;
        };
        if rest == "bytecode.pkl" {
            return Content::Pickle(Box::new(Pickle::new(Context::Bytecode)));
        }
        if rest.ends_with(".debug_pkl") || PICKLES.iter().any(|(pickle, _)| *pickle == rest) {
            return Content::Pickle(Box::new(Pickle::new(Context::Script)));
        }
        if is_storage(rest) {
            self.storages.insert(rest.to_owned(), (size, false));
            return Content::Raw;
        }
        if let Some(extra) = rest.strip_prefix("extra/") {
            return Content::File(Box::new(FileInspector::within(extra, budget)));
        }
        if rest.starts_with("code/") {
            return Content::Source(Source::new(rest));
        }
        Content::Note(Vec::new())
    }

    /// The source of the program, so far.
    pub fn code(&mut self) -> &mut Code {
        &mut self.code
    }

    /// The pickle in the member of this name was read.
    pub fn unpickled(&mut self, name: &str, summary: Summary) {
        let rest = name.strip_prefix(&self.root).unwrap_or_default();
        let directory = PICKLES.iter().find(|(pickle, _)| *pickle == rest);
        // Notes for messages about errors have no numbers.
        if directory.is_some() || !summary.storages.is_empty() {
            let directory = directory.map_or("", |(_, directory)| directory);
            self.summaries.push((directory, summary));
        }
    }

    /// Compares what the pickles name with what is there, and judges the source as a whole.
    pub fn conclude(mut self, complete: bool, findings: &mut Findings) -> Option<ModelFacts> {
        let complete = complete && !findings.refuse();
        findings.append(self.code.conclude());
        let mut known = None;
        for (directory, summary) in &self.summaries {
            for storage in &summary.storages {
                let name = format!("{directory}{}", storage.key);
                let place = Place::whole().of(&name);
                let wanted = storage.elements.checked_mul(storage.element.bytes);
                match self.storages.get_mut(&name) {
                    Some((size, used)) if Some(*size) == wanted => *used = true,
                    Some((size, _)) => {
                        let message = format_args!(
                            "a storage has {size} bytes, the pickle says {} elements of {}",
                            storage.elements, storage.element.name
                        );
                        findings.add(&rules::PT_STORAGE, place, message);
                    }
                    // After damage, members may not have been reached.
                    None if complete => {
                        let message = "a storage that the pickle names is not there";
                        findings.add(&rules::PT_STORAGE, place, message);
                    }
                    None => {}
                }
            }
            learn(&mut known, Some(facts(summary)));
        }
        let unused = self.storages.iter().find(|(_, (_, used))| !used);
        if complete && let Some((name, (size, _))) = unused {
            let message = format_args!("{size} bytes that no pickle uses");
            findings.add(&rules::PT_UNUSED, Place::whole().of(name), message);
        }
        if complete && !findings.refuse() {
            let message = "a program whose every operator is PyTorch's own and only computes";
            findings.add(&rules::TS_ADMITTED, Place::whole(), message);
        }
        known
    }
}

fn is_storage(rest: &str) -> bool {
    PICKLES.iter().any(|(_, directory)| {
        rest.strip_prefix(directory)
            .is_some_and(|key| !key.is_empty() && !key.contains('/'))
    })
}

fn is_expected(rest: &str) -> bool {
    let code = rest.strip_prefix("code/").is_some_and(|path| {
        [".py", ".py.debug_pkl"]
            .iter()
            .any(|end| path.strip_suffix(end).is_some_and(|stem| !stem.is_empty()))
    });
    code || is_storage(rest)
        || is_note(rest)
        || rest.starts_with("extra/")
        || PICKLES.iter().any(|(pickle, _)| *pickle == rest)
}
