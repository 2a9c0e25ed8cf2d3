//! What an archive is, and who looks at which of its members.

use holdfast_contract::report::ModelFacts;

use super::directory::Directory;
use super::entry::Entry;
use super::judge::STORED;
use super::keras;
use super::script::Program;
use super::torch::{self, Checkpoint};
use crate::apple;
use crate::budget::Budget;
use crate::detect;
use crate::disarm::Weights;
use crate::finding::{Findings, Place};
use crate::format::Format;
use crate::hdf5::Outline;
use crate::inspector::{FileInspector, Inspector, learn};
use crate::npy::Npy;
use crate::pickle::{Context, Pickle};
use crate::rules;
use crate::text;
use crate::torchscript::Source;

/// The most bytes that are kept of a member that is a short note.
const MAX_NOTE_BYTES: usize = 4 << 10;

/// Who looks at a member's content.
pub enum Content {
    /// Nobody: numbers whose place and length is all that matters, or a member of an archive that is refused anyway.
    Raw,
    /// A short text, kept.
    Note(Vec<u8>),
    /// The pickle of a PyTorch checkpoint.
    Pickle(Box<Pickle>),
    /// An array.
    Array(Box<Npy>),
    /// The source of a TorchScript program.
    Source(Source),
    /// A document of a known kind.
    Inspected(Box<dyn Inspector>),
    /// Anything: it is inspected as a file is.
    File(Box<FileInspector>),
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Raw => "Raw",
            Self::Note(_) => "Note",
            Self::Pickle(_) => "Pickle",
            Self::Array(_) => "Array",
            Self::Source(_) => "Source",
            Self::Inspected(_) => "Inspected",
            Self::File(_) => "File",
        })
    }
}

/// The archive as a whole.
#[derive(Debug)]
pub struct Package {
    /// What it is.
    pub format: Format,
    checkpoint: Option<Checkpoint>,
    program: Option<Program>,
    members: u64,
    facts: Option<ModelFacts>,
    /// Where HDF5 files begin that are stored as they are.
    pub hdf5: Vec<u64>,
}

impl Package {
    /// Tells by the names of the members what it is.
    pub fn of(directory: &Directory, findings: &mut Findings) -> Self {
        let names: Vec<String> = directory
            .entries()
            .map(|entry| String::from_utf8_lossy(&entry.name).into_owned())
            .collect();
        let format = detect::zip_kind(&names);
        if format == Format::Keras {
            keras::judge(&names, findings);
        }
        Self {
            format,
            checkpoint: (format == Format::PytorchZip).then(|| Checkpoint::of(&names, findings)),
            program: (format == Format::Torchscript).then(|| Program::of(&names, findings)),
            members: 0,
            facts: None,
            hdf5: Vec::new(),
        }
    }

    /// Who looks at this member.
    pub fn open(&mut self, entry: &Entry, outline: Option<Box<Outline>>, budget: &Budget) -> Content {
        if entry.is_directory() {
            return Content::Raw;
        }
        self.members += 1;
        let name = String::from_utf8_lossy(&entry.name);
        if let Some(checkpoint) = &mut self.checkpoint {
            return checkpoint.open(&name);
        }
        if let Some(program) = &mut self.program {
            return program.open(&name, entry.size, budget);
        }
        match self.format {
            Format::Npz if apple::promised(&name).is_some() => {
                Content::File(Box::new(FileInspector::within(&name, budget)))
            }
            Format::Npz => Content::Array(Box::new(Npy::member())),
            Format::Keras => keras::open(&name, outline, budget),
            Format::Zip => Content::File(Box::new(FileInspector::within(&name, budget).outlined(outline))),
            _ => Content::Raw,
        }
    }

    /// Gives the next bytes of a member to whoever looks at it; they begin `at` bytes from its start.
    pub fn feed(&mut self, content: &mut Content, at: u64, bytes: &[u8]) {
        match content {
            Content::Raw => {}
            Content::Note(kept) => {
                let room = MAX_NOTE_BYTES.saturating_sub(kept.len());
                kept.extend(bytes.iter().take(room));
            }
            Content::Pickle(pickle) => pickle.feed(at, bytes),
            Content::Array(array) => array.feed(at, bytes),
            Content::Inspected(inspector) => inspector.feed(at, bytes),
            Content::Source(source) => {
                if let Some(program) = &mut self.program {
                    source.feed(bytes, program.code());
                }
            }
            Content::File(file) => file.feed(bytes),
        }
    }

    /// A member has been read.
    pub fn close(
        &mut self,
        entry: &Entry,
        content: Content,
        size: u64,
        data_at: u64,
        findings: &mut Findings,
    ) {
        let name = text::shown_bytes(&entry.name);
        let (found, facts) = match content {
            Content::Raw => {
                if let Some(checkpoint) = self.checkpoint.as_mut().filter(|_| entry.method == STORED) {
                    checkpoint.placed(entry, data_at);
                }
                return;
            }
            Content::Note(text) => {
                return torch::note(&name, &text, size, data_at, findings);
            }
            Content::Pickle(pickle) => {
                let (found, summary) = pickle.conclude(size);
                if let Some(checkpoint) = &mut self.checkpoint {
                    checkpoint.unpickled(summary);
                } else if let Some(program) = &mut self.program {
                    program.unpickled(&String::from_utf8_lossy(&entry.name), summary);
                }
                (found, None)
            }
            Content::Source(source) => {
                if let Some(program) = &mut self.program {
                    source.finish(program.code());
                }
                return;
            }
            Content::Array(array) => {
                let found = array.finish(size);
                (found.findings, found.facts)
            }
            Content::Inspected(inspector) => {
                let found = inspector.finish(size);
                (found.findings, found.facts)
            }
            Content::File(file) => {
                let outcome = file.finish();
                if self.format == Format::Keras {
                    keras::close(&name, outcome.format, findings);
                }
                if entry.method == STORED {
                    let places = outcome.hdf5.iter().map(|at| data_at.saturating_add(*at));
                    self.hdf5.extend(places);
                }
                (outcome.findings, outcome.facts)
            }
        };
        // What is stored as it is can be pointed at; of what is compressed, only where the member begins.
        let stored = entry.method == STORED;
        findings.append(found.within(&name, |offset| {
            if stored {
                data_at.saturating_add(offset)
            } else {
                entry.at
            }
        }));
        learn(&mut self.facts, facts);
    }

    /// The archive has ended; `complete` says whether all members were read.
    pub fn conclude(
        self,
        directory: &Directory,
        complete: bool,
        findings: &mut Findings,
    ) -> (Option<ModelFacts>, Option<Weights>) {
        let (facts, weights) = match (self.checkpoint, self.program) {
            (Some(checkpoint), _) => checkpoint.conclude(directory, complete, findings).unzip(),
            (None, Some(program)) => (program.conclude(complete, findings), None),
            (None, None) => (self.facts, None),
        };
        if complete && self.members == 0 {
            findings.add(&rules::FMT_EMPTY, Place::whole(), "the archive has no members");
        }
        if complete && !findings.refuse() && self.format.refused_by().is_none() {
            let message = format_args!(
                "{}, all of whose {} members were inspected",
                self.format.description(),
                self.members
            );
            findings.add(&rules::ZIP_ADMITTED, Place::whole(), message);
        }
        (facts, weights)
    }
}

/// A pickle that other members belong to.
pub fn pickle() -> Content {
    Content::Pickle(Box::new(Pickle::new(Context::Member)))
}
