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

use crate::protobuf::Whole;
use crate::set::Ties;
use model::Model;

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
