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

use std::ops::ControlFlow;

use holdfast_contract::report::ModelFacts;

use crate::finding::{Findings, Place};
use crate::inspector::Found;
use crate::protobuf::{Event, Meaning, Spot, Whole};
use crate::rules::{self, Rule};
use crate::set::Ties;
pub use beside::{Fingerprint, KerasMetadata};
pub use checkpoint::CheckpointIndex;
use model::Model;
use schema::Part;

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

impl Meaning for Model {
    type Part = Part;
    const BROKEN: &'static Rule = &rules::TF_BROKEN;

    fn event(
        &mut self,
        spot: Spot<Part>,
        event: Event<'_, Part>,
        findings: &mut Findings,
    ) -> ControlFlow<()> {
        self.take(spot, event, findings)
    }

    fn conclude(mut self, complete: bool, mut findings: Findings) -> Found {
        if complete {
            self.judge(&mut findings);
        }
        if !findings.refuse() {
            let message = "every step of the graph was read, and it only computes";
            findings.add(&rules::TF_ADMITTED, Place::whole(), message);
        }
        let facts = ModelFacts {
            name: None,
            architecture: None,
            tensors: self.tensors,
            parameters: self.parameters,
            context_tokens: None,
            tensor_type: self.predominant().map(ToOwned::to_owned),
            chat_template: false,
        };
        Found {
            findings,
            facts: Some(facts),
            ties: self.ties,
            ..Found::default()
        }
    }
}
