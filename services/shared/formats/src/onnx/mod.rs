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

use holdfast_contract::report::ModelFacts;

use crate::finding::{Findings, Place};
use crate::inspector::{Found, Inspector};
use crate::protobuf::{End, Reader};
use crate::rules;
use crate::set::Ties;
use model::Model;
use schema::Part;

/// The inspector for ONNX.
#[derive(Debug)]
pub struct Onnx {
    reader: Reader<Part>,
    model: Model,
    findings: Findings,
}

impl Default for Onnx {
    fn default() -> Self {
        Self {
            reader: Reader::new(&schema::MODEL),
            model: Model::default(),
            findings: Findings::default(),
        }
    }
}

impl Onnx {
    /// An inspector that fills `ties` with the numbers that are in other files.
    pub(crate) fn tied(ties: Ties) -> Self {
        let mut inspector = Self::default();
        inspector.model.ties = ties;
        inspector
    }
}

impl Inspector for Onnx {
    fn feed(&mut self, _at: u64, chunk: &[u8]) {
        let (model, findings) = (&mut self.model, &mut self.findings);
        let read = self
            .reader
            .feed(chunk, |spot, event| model.event(spot, event, findings));
        if let Err((at, wrong)) = read {
            findings.add(&rules::ONNX_BROKEN, Place::at(at), wrong);
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
            End::Cut => findings.add(
                &rules::ONNX_BROKEN,
                Place::at(size),
                "the file ends within a field",
            ),
            End::Stopped => {}
        }
        if !findings.refuse() {
            let message = "every part of the model was read, and it needs nothing but itself";
            findings.add(&rules::ONNX_ADMITTED, Place::whole(), message);
        }
        let facts = ModelFacts {
            name: model.producer(),
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
            ties: model.ties,
            ..Found::default()
        }
    }
}
