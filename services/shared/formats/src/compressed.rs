//! Compressed files: what comes out is inspected as a file of its own is, up to a budget.

use holdfast_contract::report::ModelFacts;

use crate::budget::Budget;
use crate::finding::{Findings, Place};
use crate::format::Format;
use crate::inspector::{FileInspector, Found, Inspector};
use crate::rules;
use crate::scan::Own;
use crate::unpack::{Failure, Unpack, unpacker};

/// Extensions that say only how a file is compressed.
const PLAIN: &[&str] = &["gz", "z", "bz2", "xz", "lzma", "zst", "zstd", "lz4"];
/// Extensions of a compressed tar archive.
const TAR: &[&str] = &["tgz", "tbz", "tbz2", "txz", "tzst", "tlz4"];

/// The inspector for a compressed file.
pub struct Compressed {
    format: Format,
    /// None when nothing more is read.
    stream: Option<Box<dyn Unpack>>,
    file: FileInspector,
    budget: Budget,
    findings: Findings,
}

impl Compressed {
    /// An inspector for a file that is compressed in this way. `name` is the file's own.
    pub fn new(format: Format, name: &str, budget: Budget) -> Self {
        let inner = match name.rsplit_once('.') {
            Some((stem, end)) if TAR.contains(&end.to_ascii_lowercase().as_str()) => format!("{stem}.tar"),
            Some((stem, end)) if PLAIN.contains(&end.to_ascii_lowercase().as_str()) => stem.to_owned(),
            // Its own extension says nothing about what is inside.
            _ => "inside".to_owned(),
        };
        Self {
            format,
            stream: unpacker(format, &budget),
            file: FileInspector::within(&inner, &budget),
            budget,
            findings: Findings::default(),
        }
    }

    /// Gives the stream what came, or its end. The findings name no place in the file: what a stream stands for is known only
    /// where it ends, and how far readers come before they give up differs.
    fn run(&mut self, bytes: Option<&[u8]>) {
        let Some(stream) = &mut self.stream else { return };
        let (file, budget) = (&mut self.file, &self.budget);
        let mut exhausted = false;
        let mut receive = |out: &[u8]| {
            exhausted = !budget.spend(out.len());
            if !exhausted {
                file.feed(out);
            }
            !exhausted
        };
        let result = match bytes {
            Some(bytes) => stream.feed(bytes, &mut receive),
            None => stream.finish(&mut receive),
        };
        if exhausted {
            let message = "far more comes out of the file than its size can explain";
            self.findings.add(&rules::ZIP_BOMB, Place::whole(), message);
            self.stream = None;
        } else if let Err(failure) = result {
            self.fail(failure);
        }
    }

    fn fail(&mut self, failure: Failure) {
        match failure {
            Failure::Damaged => {
                let message = "the compressed data is damaged, cut off, or followed by something else";
                self.findings.add(&rules::CMP_DATA, Place::whole(), message);
            }
            Failure::Memory => {
                let message = "unpacking it takes more memory than an inspection has";
                self.findings.add(&rules::CMP_MEMORY, Place::whole(), message);
            }
            Failure::Unsupported(what) => {
                let message = format_args!("it uses {what}");
                self.findings
                    .add(&rules::CMP_UNSUPPORTED, Place::whole(), message);
            }
        }
        self.stream = None;
    }
}

impl Inspector for Compressed {
    fn feed(&mut self, _at: u64, chunk: &[u8]) {
        self.run(Some(chunk));
    }

    fn finish(mut self: Box<Self>, _size: u64) -> Found {
        self.run(None);
        let mut facts: Option<ModelFacts> = None;
        if self.stream.take().is_some() {
            let outcome = self.file.finish();
            facts = outcome.facts;
            self.findings
                .append(outcome.findings.within(outcome.format.name(), |_| 0));
            if !self.findings.refuse() {
                let (outer, inner) = (self.format.description(), outcome.format.description());
                let message = format_args!("{outer}, which holds {inner}");
                self.findings.add(&rules::CMP_ADMITTED, Place::whole(), message);
            }
        }
        Found {
            findings: self.findings,
            facts,
            // What is stored in it as it is comes out as it is, and is searched there.
            own: Some(Own::All),
            ..Found::default()
        }
    }
}
