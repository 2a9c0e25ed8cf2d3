//! The messages of TensorFlow that say what a graph does, with the numbers of their fields, after the public `.proto` files of
//! TensorFlow 2.21. The rest of them is in [`super::rest`].

use super::rest::{
    FULL_TYPE_DEF, FUNCTION_DEF_ARG_ATTR_ENTRY, FUNCTION_DEF_ATTR_ENTRY,
    FUNCTION_DEF_CONTROL_RET_ENTRY, FUNCTION_DEF_LIBRARY, FUNCTION_DEF_RESOURCE_ARG_UNIQUE_ID_ENTRY,
    FUNCTION_DEF_RET_ENTRY, GRAPH_DEBUG_INFO, META_GRAPH_DEF_COLLECTION_DEF_ENTRY, META_GRAPH_DEF_META_INFO_DEF,
    META_GRAPH_DEF_SIGNATURE_DEF_ENTRY, NAME_ATTR_LIST_ATTR_ENTRY, NODE_DEF_EXPERIMENTAL_DEBUG_INFO, OP_DEF_ATTR_DEF,
    OP_DEPRECATION, RESOURCE_HANDLE_PROTO, RESOURCE_HANDLE_PROTO_DTYPE_AND_SHAPE, SAVED_OBJECT_GRAPH, SAVER_DEF,
    TENSOR_INFO, VARIANT_TENSOR_DATA_PROTO, VERSION_DEF,
};
use crate::protobuf::Kind::{Bytes, Fixed32, Fixed64, Int, Message as Of};
use crate::protobuf::{Message, many, one};

/// A message of TensorFlow, as far as the inspection tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `SavedModel`, the whole file.
    Model,
    /// `MetaGraphDef`: a graph with what belongs to it.
    Meta,
    /// `GraphDef`.
    Graph,
    /// `FunctionDef`: a graph that others call.
    Function,
    /// `OpDef`: the signature of a function.
    Signature,
    /// `OpDef.ArgDef`.
    Argument,
    /// `NodeDef`: one step.
    Node,
    /// A parameter of a step, by name.
    Attribute,
    /// `AttrValue`.
    Value,
    /// `AttrValue.ListValue`.
    List,
    /// `NameAttrList`: a function that a step calls.
    Callee,
    /// `TensorProto`.
    Tensor,
    /// `TensorShapeProto`.
    Shape,
    /// A dimension of it.
    Dimension,
    /// `AssetFileDef`: a file that belongs to the model.
    Asset,
    /// `SavedUserObject`: what Keras and others know of an object.
    User,
    /// An entry of `MetaGraphDef.collection_def`, by name.
    Collection,
    /// `SavedVariable`.
    Variable,
    /// `BundleHeaderProto`: what an index of variables says first.
    Header,
    /// `BundleEntryProto`: where one variable is.
    Entry,
    /// `TensorSliceProto`: the part of a variable that an entry of its own has.
    Slice,
    /// `FingerprintDef`, the whole file.
    Fingerprint,
    /// `SavedMetadata`, the whole file: what Keras knows of the objects of a model.
    Metadata,
    /// Messages that say nothing about what the graph does.
    Other,
}

pub(super) type Table = Message<Part>;

/// `saved_model.pb`, the whole file.
pub static SAVED_MODEL: Table = Message { part: Part::Model, fields: &[
    one(1, Int), many(2, Of(&META_GRAPH_DEF)),
] };

pub(super) static META_GRAPH_DEF: Table = Message { part: Part::Meta, fields: &[
    one(1, Of(&META_GRAPH_DEF_META_INFO_DEF)), one(2, Of(&GRAPH_DEF)), one(3, Of(&SAVER_DEF)),
    many(4, Of(&META_GRAPH_DEF_COLLECTION_DEF_ENTRY)), many(5, Of(&META_GRAPH_DEF_SIGNATURE_DEF_ENTRY)),
    many(6, Of(&ASSET_FILE_DEF)), one(7, Of(&SAVED_OBJECT_GRAPH)),
] };

pub(super) static OP_DEF: Table = Message { part: Part::Signature, fields: &[
    one(1, Bytes), many(2, Of(&OP_DEF_ARG_DEF)), many(3, Of(&OP_DEF_ARG_DEF)),
    many(4, Of(&OP_DEF_ATTR_DEF)), one(5, Bytes), one(6, Bytes), one(8, Of(&OP_DEPRECATION)), one(16, Int),
    one(17, Int), one(18, Int), one(19, Int), many(20, Bytes), one(21, Int),
] };

pub(super) static OP_DEF_ARG_DEF: Table = Message { part: Part::Argument, fields: &[
    one(1, Bytes), one(2, Bytes), one(3, Int), one(4, Bytes), one(5, Bytes), one(6, Bytes),
    many(7, Of(&RESOURCE_HANDLE_PROTO_DTYPE_AND_SHAPE)), one(16, Int), one(17, Of(&FULL_TYPE_DEF)),
] };

pub(super) static TENSOR_SHAPE_PROTO: Table = Message { part: Part::Shape, fields: &[
    many(2, Of(&TENSOR_SHAPE_PROTO_DIM)), one(3, Int),
] };

pub(super) static TENSOR_SHAPE_PROTO_DIM: Table = Message { part: Part::Dimension, fields: &[
    one(1, Int), one(2, Bytes),
] };

pub(super) static ATTR_VALUE: Table = Message { part: Part::Value, fields: &[
    one(1, Of(&ATTR_VALUE_LIST_VALUE)), one(2, Bytes), one(3, Int), one(4, Fixed32), one(5, Int),
    one(6, Int), one(7, Of(&TENSOR_SHAPE_PROTO)), one(8, Of(&TENSOR_PROTO)), one(9, Bytes),
    one(10, Of(&NAME_ATTR_LIST)),
] };

pub(super) static ATTR_VALUE_LIST_VALUE: Table = Message { part: Part::List, fields: &[
    many(2, Bytes), many(3, Int), many(4, Fixed32), many(5, Int), many(6, Int),
    many(7, Of(&TENSOR_SHAPE_PROTO)), many(8, Of(&TENSOR_PROTO)), many(9, Of(&NAME_ATTR_LIST)),
] };

pub(super) static TENSOR_PROTO: Table = Message { part: Part::Tensor, fields: &[
    one(1, Int), one(2, Of(&TENSOR_SHAPE_PROTO)), one(3, Int), one(4, Bytes), many(5, Fixed32),
    many(6, Fixed64), many(7, Int), many(8, Bytes), many(9, Fixed32), many(10, Int), many(11, Int),
    many(12, Fixed64), many(13, Int), many(14, Of(&RESOURCE_HANDLE_PROTO)),
    many(15, Of(&VARIANT_TENSOR_DATA_PROTO)), many(16, Int), many(17, Int), one(18, Bytes),
] };

pub(super) static NAME_ATTR_LIST: Table = Message { part: Part::Callee, fields: &[
    one(1, Bytes), many(2, Of(&NAME_ATTR_LIST_ATTR_ENTRY)),
] };

/// A graph alone, the whole file.
pub static GRAPH_DEF: Table = Message { part: Part::Graph, fields: &[
    many(1, Of(&NODE_DEF)), one(2, Of(&FUNCTION_DEF_LIBRARY)), one(3, Int), one(4, Of(&VERSION_DEF)),
    one(5, Of(&GRAPH_DEBUG_INFO)),
] };

pub(super) static NODE_DEF: Table = Message { part: Part::Node, fields: &[
    one(1, Bytes), one(2, Bytes), many(3, Bytes), one(4, Bytes), many(5, Of(&NODE_DEF_ATTR_ENTRY)),
    one(6, Of(&NODE_DEF_EXPERIMENTAL_DEBUG_INFO)), one(7, Of(&FULL_TYPE_DEF)),
] };

pub(super) static NODE_DEF_ATTR_ENTRY: Table = Message { part: Part::Attribute, fields: &[
    one(1, Bytes), one(2, Of(&ATTR_VALUE)),
] };

pub(super) static FUNCTION_DEF: Table = Message { part: Part::Function, fields: &[
    one(1, Of(&OP_DEF)), many(3, Of(&NODE_DEF)), many(4, Of(&FUNCTION_DEF_RET_ENTRY)),
    many(5, Of(&FUNCTION_DEF_ATTR_ENTRY)), many(6, Of(&FUNCTION_DEF_CONTROL_RET_ENTRY)),
    many(7, Of(&FUNCTION_DEF_ARG_ATTR_ENTRY)), many(8, Of(&FUNCTION_DEF_RESOURCE_ARG_UNIQUE_ID_ENTRY)),
] };

pub(super) static ASSET_FILE_DEF: Table = Message { part: Part::Asset, fields: &[
    one(1, Of(&TENSOR_INFO)), one(2, Bytes),
] };

pub(super) static SAVED_USER_OBJECT: Table = Message { part: Part::User, fields: &[
    one(1, Bytes), one(2, Of(&VERSION_DEF)), one(3, Bytes),
] };

/// The header of an index of variables.
pub(super) static BUNDLE_HEADER: Table = Message { part: Part::Header, fields: &[
    one(1, Int), one(2, Int), one(3, Of(&VERSION_DEF)),
] };

/// An entry of an index of variables.
pub(super) static BUNDLE_ENTRY: Table = Message { part: Part::Entry, fields: &[
    one(1, Int), one(2, Of(&TENSOR_SHAPE_PROTO)), one(3, Int), one(4, Int), one(5, Int), one(6, Fixed32),
    many(7, Of(&TENSOR_SLICE)),
] };

static TENSOR_SLICE: Table = Message { part: Part::Slice, fields: &[
    many(1, Of(&TENSOR_SLICE_EXTENT)),
] };

static TENSOR_SLICE_EXTENT: Table = Message { part: Part::Other, fields: &[
    one(1, Int), one(2, Int),
] };

/// `fingerprint.pb`, the whole file.
pub(super) static FINGERPRINT: Table = Message { part: Part::Fingerprint, fields: &[
    one(1, Int), one(2, Int), one(3, Int), one(4, Int), one(5, Int), one(6, Of(&VERSION_DEF)), one(7, Bytes),
] };

/// `keras_metadata.pb`, the whole file.
pub(super) static KERAS_METADATA: Table = Message { part: Part::Metadata, fields: &[
    many(1, Of(&KERAS_OBJECT)),
] };

/// What Keras knows of an object. Its note is in another field than in a `SavedUserObject`.
static KERAS_OBJECT: Table = Message { part: Part::User, fields: &[
    one(2, Int), one(3, Bytes), one(4, Bytes), one(5, Bytes), one(6, Of(&VERSION_DEF)),
] };

pub(super) static SAVED_VARIABLE: Table = Message { part: Part::Variable, fields: &[
    one(1, Int), one(2, Of(&TENSOR_SHAPE_PROTO)), one(3, Int), one(4, Int), one(5, Int), one(6, Bytes),
    one(7, Bytes), many(8, Of(&SAVED_VARIABLE)),
] };

