//! One pass over a file: its kind is detected from the first bytes, then every byte goes to the inspectors for that kind.
//!
//! Inspectors see the same consecutive chunks and keep their own findings, so more of them (signatures, weight statistics,
//! template checks) can run over the same bytes without knowing of each other. The outcome does not depend on the cut.

mod kind;

use std::sync::Arc;

use holdfast_contract::Digest;
use holdfast_contract::report::ModelFacts;

use crate::ahead::{Peek, Wrong};
use crate::apple::Notes;
use crate::budget::Budget;
use crate::compressed::Compressed;
use crate::detect::{self, PROBE_BYTES};
use crate::disarm::Weights;
use crate::document::{Configuration, Prose, Secrets};
use crate::finding::{Findings, Place};
use crate::format::Format;
use crate::gguf::Gguf;
use crate::hdf5::{self, Hdf5};
use crate::held::Whole;
use crate::keras::Suspicion;
use crate::npy::Npy;
use crate::onnx::Onnx;
use crate::pickle::{Context, Disguise, Pickle};
use crate::picture::Picture;
use crate::rules;
use crate::safetensors::Safetensors;
use crate::scan::{Own, Scan, Scanner};
use crate::sentencepiece::Sentencepiece;
use crate::set::Ties;
use crate::sevenzip::{self, Layout, SevenZip};
use crate::tail::Tail;
use crate::tar::Tar;
use crate::tensorflow::{CheckpointIndex, Fingerprint, KerasMetadata, Tensorflow};
use crate::zip::{Directory, Outlines, Zip};

/// Looks at the bytes of one file as they go by.
pub trait Inspector: Send {
    /// Takes the next bytes, which begin `at` bytes from the start of the file. Chunks are consecutive and may have any length.
    fn feed(&mut self, at: u64, chunk: &[u8]);

    /// The file ended after `size` bytes.
    fn finish(self: Box<Self>, size: u64) -> Found;
}

/// What an inspector has to say in the end.
#[derive(Debug, Default)]
pub struct Found {
    /// What it found.
    pub findings: Findings,
    /// What it learnt about the model, if it understands the format.
    pub facts: Option<ModelFacts>,
    /// A more exact answer to what the file is.
    pub format: Option<Format>,
    /// Where the numbers of a checkpoint are.
    pub weights: Option<Weights>,
    /// What of the file is accounted for, beyond its start.
    pub own: Option<Own>,
    /// What ties it to other files, where that was asked for.
    pub ties: Ties,
    /// Where HDF5 files begin that lie in it as they are and were inspected.
    pub hdf5: Vec<u64>,
}

impl Found {
    /// Of a file that passes by itself, but belongs to a model and is none.
    pub(crate) fn companion(format: Format, mut findings: Findings) -> Self {
        if !findings.refuse() {
            let message = format_args!(
                "this is {} and goes with a model; it is no model itself",
                format.description()
            );
            findings.add(&rules::DOC_ADMITTED, Place::whole(), message);
        }
        Self {
            findings,
            ..Self::default()
        }
    }
}

/// Adds what a further member of an archive is known to hold.
pub(crate) fn learn(known: &mut Option<ModelFacts>, more: Option<ModelFacts>) {
    match (known, more) {
        (_, None) => {}
        (known @ None, more) => *known = more,
        (Some(known), Some(more)) => {
            known.tensors = known.tensors.saturating_add(more.tensors);
            known.parameters = known.parameters.saturating_add(more.parameters);
            known.chat_template |= more.chat_template;
            known.name = known.name.take().or(more.name);
            known.tensor_type = known.tensor_type.take().or(more.tensor_type);
        }
    }
}

/// What the inspection of a file came to.
#[derive(Debug)]
pub struct Outcome {
    /// The detected format.
    pub format: Format,
    /// Everything that was found.
    pub findings: Findings,
    /// What was learnt about the model.
    pub facts: Option<ModelFacts>,
    /// Where the numbers are, of a checkpoint that could be converted.
    pub weights: Option<Weights>,
    /// What ties it to other files, where that was asked for ([`FileInspector::tying`]).
    pub ties: Ties,
    /// How many bytes the file had.
    pub size_bytes: u64,
    /// Which rules it was searched for.
    pub rules: Option<Digest>,
    /// Where HDF5 files begin that were inspected: itself, or files in it that are not compressed.
    pub(crate) hdf5: Vec<u64>,
}

enum Stage {
    /// The first bytes are being collected.
    Probing(Vec<u8>),
    /// The format is known; `tar` says that the first block is also that of a tar archive.
    Running {
        format: Format,
        tar: bool,
        inspectors: Vec<Box<dyn Inspector>>,
    },
}

/// What was read of a file before its bytes go by.
#[derive(Debug, Default)]
enum Ahead {
    #[default]
    Nothing,
    /// The directory of a zip archive, and the structure of HDF5 files that lie in it.
    Zip(Directory, Outlines),
    /// What lies where in a 7z archive.
    SevenZip(Box<Layout>),
    /// Why nothing of the kind is known of an archive.
    Nowhere(Wrong),
    /// The structure of an HDF5 file.
    Hdf5(Box<hdf5::Outline>),
}

/// Inspects one file of any format.
pub struct FileInspector {
    name: String,
    at: u64,
    /// How many bytes the format is detected by.
    probe: usize,
    stage: Stage,
    tail: Tail,
    elsewhere: hdf5::Elsewhere,
    ahead: Ahead,
    budget: Budget,
    /// What a pickle is, if the file is one.
    pickle: Context,
    scan: Scan,
    tying: bool,
    further: Vec<Box<dyn Inspector>>,
}

impl FileInspector {
    /// An inspection of a file that the person knows as `name`. The name only ever adds suspicion.
    pub fn new(name: &str) -> Self {
        Self::sharing(name, Budget::default())
    }

    fn sharing(name: &str, budget: Budget) -> Self {
        Self {
            name: name.to_owned(),
            at: 0,
            probe: PROBE_BYTES,
            stage: Stage::Probing(Vec::new()),
            tail: Tail::default(),
            elsewhere: hdf5::Elsewhere::default(),
            ahead: Ahead::Nothing,
            pickle: Context::File,
            scan: Scan::new(budget.scanner()),
            budget,
            tying: false,
            further: Vec::new(),
        }
    }

    /// Searches this file, and everything in it, for what this scanner knows.
    #[must_use]
    pub fn scanning(mut self, scanner: &Arc<Scanner>) -> Self {
        self.scan = Scan::new(scanner);
        self.budget = self.budget.scanning(Arc::clone(scanner));
        self
    }

    /// Collects what ties the file to others of its directory as well.
    #[must_use]
    pub fn tying(mut self) -> Self {
        self.tying = true;
        self
    }

    /// Reads first what has to be known before the bytes go by: the directory of a zip or 7z archive, the structure of an HDF5
    /// file. `peek` fills a buffer with the bytes that begin somewhere in the file of `size` bytes. Without this only small files of
    /// these formats can be inspected. Comes after [`FileInspector::scanning`], so that what is read here is searched, too.
    #[must_use]
    pub fn looking_ahead(mut self, size: u64, peek: Peek<'_>) -> Self {
        let mut head = [0; 8];
        if !peek(0, &mut head) {
            return self;
        }
        if head == *hdf5::SIGNATURE {
            let outline = hdf5::Outline::read(size, peek, &mut hdf5::Allowance::default());
            self.ahead = Ahead::Hdf5(Box::new(outline));
        } else if head.starts_with(sevenzip::SIGNATURE) {
            self.ahead = match Layout::read(size, peek, &self.budget) {
                Ok(layout) => Ahead::SevenZip(Box::new(layout)),
                Err(wrong) => Ahead::Nowhere(wrong),
            };
        } else if detect::detect(&head) == Format::Zip {
            self.ahead = match Directory::read(size, peek) {
                Ok(directory) => {
                    let outlines = Outlines::read(&directory, peek);
                    Ahead::Zip(directory, outlines)
                }
                Err(wrong) => Ahead::Nowhere(wrong),
            };
        }
        self
    }

    /// An inspection of a member of an archive, whose structure was read before if it is HDF5.
    pub(crate) fn outlined(mut self, outline: Option<Box<hdf5::Outline>>) -> Self {
        self.ahead = outline.map_or(Ahead::Nothing, Ahead::Hdf5);
        self
    }

    /// An inspection of a member of an archive, on what is left of its allowance.
    pub(crate) fn within(name: &str, budget: &Budget) -> Self {
        budget.spend_file();
        Self::sharing(name, budget.clone())
    }

    /// The same, where a pickle would be one of this kind.
    pub(crate) fn of_pickle(self, pickle: Context) -> Self {
        Self { pickle, ..self }
    }

    /// Detects the format by fewer bytes, so that in tests even short files go to their inspectors in the pieces that they come in.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn probing(mut self, bytes: usize) -> Self {
        self.probe = bytes.min(PROBE_BYTES);
        self
    }

    /// Adds an inspector that looks at every file, whatever its format.
    #[must_use]
    pub fn with(mut self, inspector: Box<dyn Inspector>) -> Self {
        self.further.push(inspector);
        self
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, chunk: &[u8]) {
        for inspector in &mut self.further {
            inspector.feed(self.at, chunk);
        }
        self.scan.feed(chunk);
        self.tail.feed(chunk);
        self.elsewhere.feed(self.at, chunk);
        if !self.budget.is_nested() {
            self.budget.earn(chunk.len());
        }
        match &mut self.stage {
            Stage::Running { inspectors, .. } => feed_all(inspectors, self.at, chunk),
            Stage::Probing(head) => {
                let (probed, rest) = chunk.split_at(chunk.len().min(self.probe - head.len()));
                head.extend_from_slice(probed);
                if head.len() == self.probe {
                    let head = std::mem::take(head);
                    let mut stage = self.start(&head);
                    if let Stage::Running { inspectors, .. } = &mut stage {
                        feed_all(inspectors, self.probe as u64, rest);
                    }
                    self.stage = stage;
                }
            }
        }
        self.at += chunk.len() as u64;
    }

    /// Decides the format by the first bytes and gives them to its inspectors.
    fn start(&mut self, head: &[u8]) -> Stage {
        let ties = || {
            if self.tying {
                Ties::collecting()
            } else {
                Ties::default()
            }
        };
        let ahead = std::mem::take(&mut self.ahead);
        let (name, budget) = (self.name.as_str(), &self.budget);
        let format = detect::detect(head);
        let mut inspectors: Vec<Box<dyn Inspector>> = match format {
            Format::Gguf => vec![Box::new(Gguf::tied(ties()))],
            Format::Safetensors => vec![Box::new(Safetensors::tied(ties()))],
            Format::Pickle => vec![Box::new(Pickle::new(self.pickle))],
            Format::PytorchLegacy => vec![Box::new(Pickle::new(Context::File))],
            Format::Npy => vec![Box::new(Npy::default())],
            Format::Json => vec![
                Box::new(Configuration::tied(name, ties())),
                Box::new(Secrets::default()),
                Box::new(Suspicion::default()),
            ],
            Format::Text => vec![Box::new(Prose::new(name)), Box::new(Secrets::default())],
            Format::Zip
            | Format::Tar
            | Format::SevenZip
            | Format::Gzip
            | Format::Zlib
            | Format::Bzip2
            | Format::Xz
            | Format::Lzma
            | Format::Zstd
            | Format::Lz4 => {
                vec![container(format, name, ahead, budget)]
            }
            Format::Onnx => vec![Box::new(Onnx::tied(ties()))],
            Format::Hdf5 => vec![match ahead {
                Ahead::Hdf5(outline) => Box::new(Hdf5::new(*outline, budget.clone())),
                _ => Box::new(Whole::new(
                    budget.clone(),
                    Hdf5::of,
                    &rules::H5_HELD,
                    "an HDF5 file",
                )),
            }],
            Format::Png => vec![Box::new(Picture::png())],
            Format::Jpeg => vec![Box::new(Picture::jpeg())],
            Format::AppleDouble => vec![Box::new(Notes::double())],
            Format::DsStore => vec![Box::new(Notes::store())],
            Format::SavedModel => vec![Box::new(Tensorflow::tied(ties()))],
            Format::TensorflowGraph => vec![Box::new(Tensorflow::graph())],
            Format::CheckpointIndex => vec![Box::new(CheckpointIndex::tied(ties()))],
            Format::TensorflowFingerprint => vec![Box::new(Fingerprint::default())],
            Format::KerasMetadata => vec![Box::new(KerasMetadata::default())],
            Format::Sentencepiece => vec![Box::new(Sentencepiece::default())],
            _ => Vec::new(),
        };
        // A zip archive begins with an opcode that asks the loading program for an object by name; none has one.
        let other = !matches!(format, Format::Pickle | Format::PytorchLegacy | Format::Zip);
        if other && format.refused_by().is_none() {
            inspectors.push(Box::new(Disguise::new(format)));
        }
        feed_all(&mut inspectors, 0, head);
        Stage::Running {
            format,
            tar: detect::is_tar(head),
            inspectors,
        }
    }

    /// The format, as far as the bytes so far tell, of a file that cannot be read to its end.
    pub fn format(&self) -> Format {
        match &self.stage {
            Stage::Probing(head) if head.is_empty() => Format::Unknown,
            Stage::Probing(head) => detect::detect(head),
            Stage::Running { format, .. } => *format,
        }
    }

    /// The file has ended.
    pub fn finish(mut self) -> Outcome {
        let size = self.at;
        let stage = match std::mem::replace(&mut self.stage, Stage::Probing(Vec::new())) {
            Stage::Probing(head) => self.start(&head),
            running @ Stage::Running { .. } => running,
        };
        let (mut format, tar, inspectors) = match stage {
            Stage::Running {
                format,
                tar,
                inspectors,
            } => (format, tar, inspectors),
            Stage::Probing(_) => (Format::Unknown, false, Vec::new()),
        };
        let mut findings = Findings::default();
        if tar && format != Format::Tar && format.refused_by().is_none() {
            findings.add(
                &rules::FMT_POLYGLOT,
                Place::at(0),
                format_args!("{format} content begins with a block that tar readers accept as an archive"),
            );
        }
        if format != Format::Zip
            && format.refused_by().is_none()
            && let Some(directory) = self.tail.zip_directory(size)
        {
            findings.add(
                &rules::FMT_POLYGLOT,
                Place::at(directory.at),
                format_args!("{format} content ends in the directory of a zip archive"),
            );
        }
        let detected = format;
        let mut own = match format {
            // Each member is searched as a file of its own.
            Format::Tar => Own::All,
            _ => Own::Start,
        };
        let (mut facts, mut weights, mut ties) = (None, None, Ties::default());
        let mut inner = Findings::default();
        let mut hdf5 = Vec::new();
        for inspector in inspectors.into_iter().chain(self.further) {
            let found = inspector.finish(size);
            inner.append(found.findings);
            facts = facts.or(found.facts);
            format = found.format.unwrap_or(format);
            weights = weights.or(found.weights);
            own = found.own.unwrap_or(own);
            hdf5.extend(found.hdf5);
            if !found.ties.is_empty() {
                ties = found.ties;
            }
        }
        if let Some(weights) = weights.as_ref().filter(|_| self.tying) {
            ties = weights.ties();
        }
        // A file in an archive is inspected by itself, and what programs find of an HDF5 file that begins where it does is this file. At any
        // other place they find something that nobody has looked at.
        let holds_files = matches!(
            format,
            Format::Zip | Format::Keras | Format::Tar | Format::SevenZip
        );
        let is_known = |at: u64| format == Format::Hdf5 || (holds_files && hdf5.contains(&at));
        if let Some(at) = self.elsewhere.found().filter(|at| !is_known(*at)) {
            findings.add(
                &rules::FMT_POLYGLOT,
                Place::at(at),
                format_args!("{format} content holds an HDF5 file where programs look for one"),
            );
        }
        inner.append_new(self.scan.finish(detected, &own));
        kind::refuse(format, &self.name, &mut findings);
        kind::judge_name(format, &self.name, &mut findings);
        findings.append(inner);
        if format == Format::Hdf5 {
            hdf5 = vec![0];
        }
        Outcome {
            format,
            findings,
            facts,
            weights,
            ties,
            size_bytes: size,
            rules: self.budget.scanner().rules(),
            hdf5,
        }
    }
}

fn feed_all(inspectors: &mut [Box<dyn Inspector>], at: u64, chunk: &[u8]) {
    for inspector in inspectors {
        inspector.feed(at, chunk);
    }
}

/// The inspector for what has other files in it.
fn container(format: Format, name: &str, ahead: Ahead, budget: &Budget) -> Box<dyn Inspector> {
    let Some(budget) = budget.deeper() else {
        return Box::new(Wrong::too_deep());
    };
    match (format, ahead) {
        (Format::Tar, _) => Box::new(Tar::new(budget)),
        (Format::Zip | Format::SevenZip, Ahead::Nowhere(wrong)) => Box::new(wrong),
        (Format::Zip, Ahead::Zip(directory, outlines)) => Box::new(Zip::new(directory, outlines, budget)),
        (Format::Zip, _) => Box::new(Whole::new(budget, Zip::of, &rules::ZIP_NESTED, "an archive")),
        (Format::SevenZip, Ahead::SevenZip(layout)) => Box::new(SevenZip::new(*layout, budget)),
        (Format::SevenZip, _) => Box::new(Whole::new(budget, SevenZip::of, &rules::ZIP_NESTED, "an archive")),
        _ => Box::new(Compressed::new(format, name, budget)),
    }
}
