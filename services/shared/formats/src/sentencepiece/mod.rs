//! SentencePiece tokenizers (`tokenizer.model`, `spiece.model`, `*.spm`): the pieces of words, how they were found, and a table of characters.
//!
//! Field numbers and meaning: `sentencepiece_model.proto` of SentencePiece 0.2. Stricter than its library, which passes over what it does not
//! know: extensions (from 200 on) exist for programs of their own, and ordinary tokenizers have none. The files and directories of the
//! machine that it was made on, which `trainer_spec` keeps, are opened by nobody. Memory: one text's beginning, whatever the file claims.

mod charsmap;
mod model;
mod schema;

use crate::protobuf::Whole;
use model::Model;

/// The inspector for SentencePiece tokenizers.
pub type Sentencepiece = Whole<Model>;

impl Default for Sentencepiece {
    fn default() -> Self {
        Self::of(&schema::MODEL, Model::default())
    }
}
