//! SentencePiece tokenizers (`tokenizer.model`, `spiece.model`, `*.spm`): the pieces of words, how they were found, and a table of characters.
//!
//! Field numbers and meaning: `sentencepiece_model.proto` of SentencePiece 0.2. Stricter than its library, which passes over what it does not
//! know: extensions (from 200 on) exist for programs of their own, and ordinary tokenizers have none. The files and directories of the
//! machine that it was made on, which `trainer_spec` keeps, are opened by nobody. Memory: one text's beginning, whatever the file claims.

mod charsmap;
mod model;
mod schema;

use crate::finding::{Findings, Place};
use crate::format::Format;
use crate::inspector::{Found, Inspector};
use crate::protobuf::{End, Reader};
use crate::rules;
use model::Model;
use schema::Part;

/// The inspector for SentencePiece tokenizers.
#[derive(Debug)]
pub struct Sentencepiece {
    reader: Reader<Part>,
    model: Model,
    findings: Findings,
}

impl Default for Sentencepiece {
    fn default() -> Self {
        Self {
            reader: Reader::new(&schema::MODEL),
            model: Model::default(),
            findings: Findings::default(),
        }
    }
}

impl Inspector for Sentencepiece {
    fn feed(&mut self, _at: u64, chunk: &[u8]) {
        let (model, findings) = (&mut self.model, &mut self.findings);
        let read = self
            .reader
            .feed(chunk, |spot, event| model.event(spot, event, findings));
        if let Err((at, wrong)) = read {
            findings.add(&rules::SPM_BROKEN, Place::at(at), wrong);
        }
    }

    fn finish(self: Box<Self>, size: u64) -> Found {
        let Self {
            reader,
            mut model,
            mut findings,
        } = *self;
        let end = reader.finish(|spot, event| model.event(spot, event, &mut findings));
        match end {
            End::Complete if model.pieces == 0 => {
                findings.add(&rules::SPM_BROKEN, Place::whole(), "it has no pieces");
            }
            End::Cut => findings.add(
                &rules::SPM_BROKEN,
                Place::at(size),
                "the file ends within a field",
            ),
            End::Complete | End::Stopped => {}
        }
        if !findings.refuse() {
            let message = format_args!(
                "this is {} and goes with a model; it is no model itself",
                Format::Sentencepiece.description()
            );
            findings.add(&rules::DOC_ADMITTED, Place::whole(), message);
        }
        Found {
            findings,
            ..Found::default()
        }
    }
}
