//! SentencePiece tokenizers (`tokenizer.model`, `spiece.model`, `*.spm`): the pieces of words, how they were found, and a table of characters.
//!
//! Field numbers and meaning: `sentencepiece_model.proto` of SentencePiece 0.2. Stricter than its library, which passes over what it does not
//! know: extensions (from 200 on) exist for programs of their own, and ordinary tokenizers have none. The files and directories of the
//! machine that it was made on, which `trainer_spec` keeps, are opened by nobody. Memory: one text's beginning, whatever the file claims.

mod charsmap;
mod model;
mod schema;

use std::ops::ControlFlow;

use crate::finding::{Findings, Place};
use crate::format::Format;
use crate::inspector::Found;
use crate::protobuf::{Event, Meaning, Spot, Whole};
use crate::rules::{self, Rule};
use model::Model;
use schema::Part;

/// The inspector for SentencePiece tokenizers.
pub type Sentencepiece = Whole<Model>;

impl Default for Sentencepiece {
    fn default() -> Self {
        Self::of(&schema::MODEL, Model::default())
    }
}

impl Meaning for Model {
    type Part = Part;
    const BROKEN: &'static Rule = &rules::SPM_BROKEN;

    fn event(
        &mut self,
        spot: Spot<Part>,
        event: Event<'_, Part>,
        findings: &mut Findings,
    ) -> ControlFlow<()> {
        self.take(spot, event, findings)
    }

    fn conclude(self, complete: bool, mut findings: Findings) -> Found {
        if complete && self.pieces == 0 {
            findings.add(&rules::SPM_BROKEN, Place::whole(), "it has no pieces");
        }
        Found::companion(Format::Sentencepiece, findings)
    }
}
