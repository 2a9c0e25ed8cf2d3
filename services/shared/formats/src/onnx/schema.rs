//! The messages of ONNX with the numbers of their fields, after the public `onnx-ml.proto` of ONNX 1.23.

use crate::protobuf::Kind::{Bytes, Fixed32, Fixed64, Int, Message as Of};
use crate::protobuf::{Message, many, one};

/// A message of ONNX, as far as the inspection tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `ModelProto`, the whole file.
    Model,
    /// `GraphProto`: the graph of the model, or one that an operator runs.
    Graph,
    /// `FunctionProto`: an operator that the model defines itself.
    Function,
    /// `NodeProto`: one step of a graph.
    Node,
    /// `AttributeProto`: a parameter of a step.
    Attribute,
    /// `TensorProto`.
    Tensor,
    /// An entry of `metadata_props`, or of another list of texts by name.
    Entry,
    /// An entry of `external_data`, which says where the bytes of a tensor are.
    External,
    /// `OperatorSetIdProto`.
    Opset,
    /// Messages about types, shapes and devices, of which only the texts are looked at.
    Other,
}

type Table = Message<Part>;

/// The whole file.
#[rustfmt::skip]
pub static MODEL: Table = Message { part: Part::Model, fields: &[
    one(1, Int), one(2, Bytes), one(3, Bytes), one(4, Bytes), one(5, Int), one(6, Bytes),
    one(7, Of(&GRAPH)), many(8, Of(&OPSET)), many(14, Of(&ENTRY)), many(20, Of(&TRAINING)),
    many(25, Of(&FUNCTION)), many(26, Of(&DEVICE)),
] };

#[rustfmt::skip]
static GRAPH: Table = Message { part: Part::Graph, fields: &[
    many(1, Of(&NODE)), one(2, Bytes), many(5, Of(&TENSOR)), one(10, Bytes), many(11, Of(&VALUE)), many(12, Of(&VALUE)),
    many(13, Of(&VALUE)), many(14, Of(&ANNOTATION)), many(15, Of(&SPARSE)), many(16, Of(&ENTRY)),
] };

#[rustfmt::skip]
static NODE: Table = Message { part: Part::Node, fields: &[
    many(1, Bytes), many(2, Bytes), one(3, Bytes), one(4, Bytes), many(5, Of(&ATTRIBUTE)), one(6, Bytes), one(7, Bytes),
    one(8, Bytes), many(9, Of(&ENTRY)), many(10, Of(&NODE_DEVICE)),
] };

#[rustfmt::skip]
static ATTRIBUTE: Table = Message { part: Part::Attribute, fields: &[
    one(1, Bytes), one(2, Fixed32), one(3, Int), one(4, Bytes), one(5, Of(&TENSOR)), one(6, Of(&GRAPH)), many(7, Fixed32),
    many(8, Int), many(9, Bytes), many(10, Of(&TENSOR)), many(11, Of(&GRAPH)), one(13, Bytes), one(14, Of(&TYPE)),
    many(15, Of(&TYPE)), one(20, Int), one(21, Bytes), one(22, Of(&SPARSE)), many(23, Of(&SPARSE)),
] };

#[rustfmt::skip]
static TENSOR: Table = Message { part: Part::Tensor, fields: &[
    many(1, Int), one(2, Int), one(3, Of(&SEGMENT)), many(4, Fixed32), many(5, Int), many(6, Bytes), many(7, Int),
    one(8, Bytes), one(9, Bytes), many(10, Fixed64), many(11, Int), one(12, Bytes), many(13, Of(&EXTERNAL)), one(14, Int),
    many(16, Of(&ENTRY)),
] };

#[rustfmt::skip]
static FUNCTION: Table = Message { part: Part::Function, fields: &[
    one(1, Bytes), many(4, Bytes), many(5, Bytes), many(6, Bytes), many(7, Of(&NODE)), one(8, Bytes), many(9, Of(&OPSET)),
    one(10, Bytes), many(11, Of(&ATTRIBUTE)), many(12, Of(&VALUE)), one(13, Bytes), many(14, Of(&ENTRY)),
] };

// `StringStringEntryProto`, twice.
static ENTRY: Table = Message {
    part: Part::Entry,
    fields: &[one(1, Bytes), one(2, Bytes)],
};
static EXTERNAL: Table = Message {
    part: Part::External,
    fields: &[one(1, Bytes), one(2, Bytes)],
};

static OPSET: Table = Message {
    part: Part::Opset,
    fields: &[one(1, Bytes), one(2, Int)],
};

#[rustfmt::skip]
mod rest {
    //! What says nothing that could do harm, beyond its texts.

    use super::{Bytes, ENTRY, GRAPH, Int, Message, Of, Part, TENSOR, Table, many, one};

    pub static TRAINING: Table = other(&[one(1, Of(&GRAPH)), one(2, Of(&GRAPH)), many(3, Of(&ENTRY)), many(4, Of(&ENTRY))]);
    pub static DEVICE: Table = other(&[one(1, Bytes), one(2, Int), many(3, Bytes)]);
    pub static VALUE: Table = other(&[one(1, Bytes), one(2, Of(&TYPE)), one(3, Bytes), many(4, Of(&ENTRY))]);
    pub static ANNOTATION: Table = other(&[one(1, Bytes), many(2, Of(&ENTRY))]);
    pub static SPARSE: Table = other(&[one(1, Of(&TENSOR)), one(2, Of(&TENSOR)), many(3, Int)]);
    pub static SEGMENT: Table = other(&[one(1, Int), one(2, Int)]);

    pub static NODE_DEVICE: Table = other(&[one(1, Bytes), many(2, Of(&SHARDING)), one(3, Int)]);
    static SHARDING: Table = other(&[one(1, Bytes), many(2, Int), many(3, Of(&GROUPS)), many(4, Of(&SHARDED))]);
    static GROUPS: Table = other(&[one(1, Int), many(2, Int)]);
    static SHARDED: Table = other(&[one(1, Int), many(2, Of(&SIMPLE))]);
    static SIMPLE: Table = other(&[one(1, Int), one(2, Bytes), one(3, Int)]);

    pub static TYPE: Table = other(&[
        one(1, Of(&TYPE_TENSOR)), one(4, Of(&TYPE_LIST)), one(5, Of(&TYPE_MAP)), one(6, Bytes), one(7, Of(&TYPE_OPAQUE)),
        one(8, Of(&TYPE_TENSOR)), one(9, Of(&TYPE_LIST)),
    ]);
    static TYPE_TENSOR: Table = other(&[one(1, Int), one(2, Of(&SHAPE))]);
    static TYPE_LIST: Table = other(&[one(1, Of(&TYPE))]);
    static TYPE_MAP: Table = other(&[one(1, Int), one(2, Of(&TYPE))]);
    static TYPE_OPAQUE: Table = other(&[one(1, Bytes), one(2, Bytes)]);
    static SHAPE: Table = other(&[many(1, Of(&DIMENSION))]);
    static DIMENSION: Table = other(&[one(1, Int), one(2, Bytes), one(3, Bytes)]);

    const fn other(fields: &'static [crate::protobuf::Field<Part>]) -> Table {
        Message { part: Part::Other, fields }
    }
}
use rest::{ANNOTATION, DEVICE, NODE_DEVICE, SEGMENT, SPARSE, TRAINING, TYPE, VALUE};
