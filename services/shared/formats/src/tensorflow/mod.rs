//! TensorFlow's `SavedModel` (`saved_model.pb`) and graphs alone (frozen graphs): what the operators do, and what the file leaves out.
//!
//! A graph is a program, so each step of it and of its functions is judged by its operator. Whether shapes and types of the steps fit together
//! is left to TensorFlow. A `SavedModel` with variables or other files beside it is refused, because the digest of what was inspected does
//! not cover them; a frozen graph has everything in it. Memory: bounded by `flow::MAX_NODES` and the depth of nesting, whatever the file claims.

mod attribute;
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

use holdfast_contract::report::ModelFacts;

use crate::finding::{Findings, Place};
use crate::inspector::{Found, Inspector};
use crate::protobuf::{End, Reader};
use crate::rules;
use model::Model;
use schema::Part;

/// The inspector for a `SavedModel` and graphs.
#[derive(Debug)]
pub struct Tensorflow {
    reader: Reader<Part>,
    model: Model,
    findings: Findings,
}

impl Tensorflow {
    /// For `saved_model.pb`.
    pub fn saved_model() -> Self {
        Self::of(Reader::new(&schema::SAVED_MODEL), Model::default())
    }

    /// For a graph alone.
    pub fn graph() -> Self {
        Self::of(Reader::new(&schema::GRAPH_DEF), Model::of_graph())
    }

    fn of(reader: Reader<Part>, model: Model) -> Self {
        Self {
            reader,
            model,
            findings: Findings::default(),
        }
    }
}

impl Inspector for Tensorflow {
    fn feed(&mut self, _at: u64, chunk: &[u8]) {
        let (model, findings) = (&mut self.model, &mut self.findings);
        let read = self
            .reader
            .feed(chunk, |spot, event| model.event(spot, event, findings));
        if let Err((at, wrong)) = read {
            findings.add(&rules::TF_BROKEN, Place::at(at), wrong);
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
            End::Complete => model.judge(&mut findings),
            End::Cut => findings.add(&rules::TF_BROKEN, Place::at(size), "the file ends within a field"),
            End::Stopped => {}
        }
        if !findings.refuse() {
            let message = "every step of the graph was read, and it only computes";
            findings.add(&rules::TF_ADMITTED, Place::whole(), message);
        }
        let facts = ModelFacts {
            name: None,
            architecture: None,
            tensors: model.tensors,
            parameters: model.parameters,
            context_tokens: None,
            tensor_type: model.predominant().map(ToOwned::to_owned),
            chat_template: false,
        };
        Found {
            findings,
            facts: Some(facts),
            ..Found::default()
        }
    }
}
