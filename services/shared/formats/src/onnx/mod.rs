//! ONNX: reads the model as it streams by, checks each tensor against its bytes, and says which operators need more than the file.
//!
//! Field numbers and meaning: `onnx-ml.proto` of ONNX 1.23. At least as strict as the ONNX checker about what is inspected here; whether
//! shapes and types of the graph fit together is left to the runtime. A model whose numbers are in another file is refused however
//! harmless the path is: the digest of what was inspected does not cover them. Operators that ONNX Runtime has built in are noted only;
//! what needs a library of somebody else's is refused, unless the model defines it as a function, which is inspected like a graph. Memory: bounded by `model::MAX_NAMES`, the depth of nesting and a
//! few texts, whatever the file claims.

mod external;
mod model;
mod operators;
mod parts;
mod schema;
mod tensor;

use std::ops::ControlFlow;

use holdfast_contract::report::ModelFacts;

use crate::finding::{Findings, Place};
use crate::inspector::Found;
use crate::protobuf::{Event, Meaning, Spot, Whole};
use crate::rules::{self, Rule};
use crate::set::Ties;
use model::Model;
use schema::Part;

/// The inspector for ONNX.
pub type Onnx = Whole<Model>;

impl Default for Onnx {
    fn default() -> Self {
        Self::of(&schema::MODEL, Model::default())
    }
}

impl Onnx {
    /// An inspector that fills `ties` with the numbers that are in other files.
    pub(crate) fn tied(ties: Ties) -> Self {
        Self::of(&schema::MODEL, Model::tied(ties))
    }
}

impl Meaning for Model {
    type Part = Part;
    const BROKEN: &'static Rule = &rules::ONNX_BROKEN;

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
            let message = "every part of the model was read, and it needs nothing but itself";
            findings.add(&rules::ONNX_ADMITTED, Place::whole(), message);
        }
        let facts = ModelFacts {
            name: self.producer(),
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
