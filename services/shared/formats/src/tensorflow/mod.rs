//! TensorFlow's `SavedModel` (`saved_model.pb`) and graphs alone (frozen graphs): what the operators do, and what the file leaves out.
//!
//! A graph is a program, so each step of it and of its functions is judged by its operator. Whether shapes and types of the steps fit together
//! is left to TensorFlow. A `SavedModel` with variables or other files beside it is refused alone, because the digest of what was inspected does
//! not cover them, and judged with them where its directory is (`set`); a frozen graph has everything in it. Memory: bounded by `flow::MAX_NODES` and the depth of nesting, whatever the file claims.

mod attribute;
mod beside;
mod checkpoint;
mod flow;
mod keras;
mod model;
mod operators;
mod parts;
#[rustfmt::skip]
mod rest;
#[rustfmt::skip]
mod schema;
mod tensor;

use crate::protobuf::Whole;
use crate::set::Ties;
pub use beside::{Fingerprint, KerasMetadata};
pub use checkpoint::CheckpointIndex;
use model::Model;

/// The inspector for a `SavedModel` and graphs.
pub type Tensorflow = Whole<Model>;

impl Tensorflow {
    /// For `saved_model.pb`.
    pub fn saved_model() -> Self {
        Self::of(&schema::SAVED_MODEL, Model::default())
    }

    /// For `saved_model.pb`, filling `ties` with the files that it needs beside it.
    pub(crate) fn tied(ties: Ties) -> Self {
        Self::of(&schema::SAVED_MODEL, Model::tied(ties))
    }

    /// For a graph alone.
    pub fn graph() -> Self {
        Self::of(&schema::GRAPH_DEF, Model::of_graph())
    }
}
