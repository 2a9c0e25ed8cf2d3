//! The messages of TensorFlow that are only known here so that what is in none of them stands out: descriptions, signatures, objects.

use super::schema::{
    ATTR_VALUE, FUNCTION_DEF, OP_DEF, Part, SAVED_USER_OBJECT, SAVED_VARIABLE, TENSOR_PROTO, TENSOR_SHAPE_PROTO, Table,
};
use crate::protobuf::Kind::{Bytes, Fixed32, Fixed64, Int, Message as Of};
use crate::protobuf::{Field, Message, many, one};

const fn other(fields: &'static [Field<Part>]) -> Table {
    Message { part: Part::Other, fields }
}

pub static META_GRAPH_DEF_META_INFO_DEF: Table = other(&[
    one(1, Bytes), one(2, Of(&OP_LIST)), one(3, Of(&ANY)), many(4, Bytes), one(5, Bytes), one(6, Bytes),
    one(7, Int), many(8, Of(&META_GRAPH_DEF_META_INFO_DEF_FUNCTION_ALIASES_ENTRY)),
]);
static OP_LIST: Table = other(&[many(1, Of(&OP_DEF)),]);
pub static RESOURCE_HANDLE_PROTO_DTYPE_AND_SHAPE: Table = other(&[one(1, Int), one(2, Of(&TENSOR_SHAPE_PROTO)),]);
pub static FULL_TYPE_DEF: Table = other(&[one(1, Int), many(2, Of(&FULL_TYPE_DEF)), one(3, Bytes), one(4, Int),]);
pub static OP_DEF_ATTR_DEF: Table = other(&[
    one(1, Bytes), one(2, Bytes), one(3, Of(&ATTR_VALUE)), one(4, Bytes), one(5, Int), one(6, Int),
    one(7, Of(&ATTR_VALUE)),
]);
pub static RESOURCE_HANDLE_PROTO: Table = other(&[
    one(1, Bytes), one(2, Bytes), one(3, Bytes), one(4, Int), one(5, Bytes),
    many(6, Of(&RESOURCE_HANDLE_PROTO_DTYPE_AND_SHAPE)),
]);
pub static VARIANT_TENSOR_DATA_PROTO: Table = other(&[one(1, Bytes), one(2, Bytes), many(3, Of(&TENSOR_PROTO)),]);
pub static NAME_ATTR_LIST_ATTR_ENTRY: Table = other(&[one(1, Bytes), one(2, Of(&ATTR_VALUE)),]);
pub static OP_DEPRECATION: Table = other(&[one(1, Int), one(2, Bytes),]);
static ANY: Table = other(&[one(1, Bytes), one(2, Bytes),]);
static META_GRAPH_DEF_META_INFO_DEF_FUNCTION_ALIASES_ENTRY: Table = other(&[one(1, Bytes), one(2, Bytes),]);
pub static NODE_DEF_EXPERIMENTAL_DEBUG_INFO: Table = other(&[many(1, Bytes), many(2, Bytes),]);
pub static VERSION_DEF: Table = other(&[one(1, Int), one(2, Int), many(3, Int),]);
pub static FUNCTION_DEF_LIBRARY: Table = other(&[
    many(1, Of(&FUNCTION_DEF)), many(2, Of(&GRADIENT_DEF)), many(3, Of(&REGISTERED_GRADIENT)),
]);
pub static FUNCTION_DEF_ATTR_ENTRY: Table = other(&[one(1, Bytes), one(2, Of(&ATTR_VALUE)),]);
pub static FUNCTION_DEF_ARG_ATTR_ENTRY: Table = other(&[one(1, Int), one(2, Of(&FUNCTION_DEF_ARG_ATTRS)),]);
static FUNCTION_DEF_ARG_ATTRS: Table = other(&[many(1, Of(&FUNCTION_DEF_ARG_ATTRS_ATTR_ENTRY)),]);
static FUNCTION_DEF_ARG_ATTRS_ATTR_ENTRY: Table = other(&[one(1, Bytes), one(2, Of(&ATTR_VALUE)),]);
pub static FUNCTION_DEF_RESOURCE_ARG_UNIQUE_ID_ENTRY: Table = other(&[one(1, Int), one(2, Int),]);
pub static FUNCTION_DEF_RET_ENTRY: Table = other(&[one(1, Bytes), one(2, Bytes),]);
pub static FUNCTION_DEF_CONTROL_RET_ENTRY: Table = other(&[one(1, Bytes), one(2, Bytes),]);
static GRADIENT_DEF: Table = other(&[one(1, Bytes), one(2, Bytes),]);
static REGISTERED_GRADIENT: Table = other(&[one(1, Bytes), one(2, Bytes),]);
pub static GRAPH_DEBUG_INFO: Table = other(&[
    many(1, Bytes), many(2, Of(&GRAPH_DEBUG_INFO_TRACES_ENTRY)),
    many(4, Of(&GRAPH_DEBUG_INFO_FRAMES_BY_ID_ENTRY)),
    many(5, Of(&GRAPH_DEBUG_INFO_NAME_TO_TRACE_ID_ENTRY)),
    many(6, Of(&GRAPH_DEBUG_INFO_TRACES_BY_ID_ENTRY)),
]);
static GRAPH_DEBUG_INFO_FRAMES_BY_ID_ENTRY: Table = other(&[one(1, Fixed64), one(2, Of(&GRAPH_DEBUG_INFO_FILE_LINE_COL)),]);
static GRAPH_DEBUG_INFO_FILE_LINE_COL: Table = other(&[one(1, Int), one(2, Int), one(3, Int), one(4, Bytes), one(5, Bytes),]);
static GRAPH_DEBUG_INFO_TRACES_BY_ID_ENTRY: Table = other(&[one(1, Fixed64), one(2, Of(&GRAPH_DEBUG_INFO_STACK_TRACE)),]);
static GRAPH_DEBUG_INFO_STACK_TRACE: Table = other(&[many(1, Of(&GRAPH_DEBUG_INFO_FILE_LINE_COL)), many(2, Fixed64),]);
static GRAPH_DEBUG_INFO_TRACES_ENTRY: Table = other(&[one(1, Bytes), one(2, Of(&GRAPH_DEBUG_INFO_STACK_TRACE)),]);
static GRAPH_DEBUG_INFO_NAME_TO_TRACE_ID_ENTRY: Table = other(&[one(1, Bytes), one(2, Fixed64),]);
pub static SAVER_DEF: Table = other(&[
    one(1, Bytes), one(2, Bytes), one(3, Bytes), one(4, Int), one(5, Int), one(6, Fixed32), one(7, Int),
]);
pub static META_GRAPH_DEF_COLLECTION_DEF_ENTRY: Table = Message { part: Part::Collection, fields: &[
    one(1, Bytes), one(2, Of(&COLLECTION_DEF)),
] };
static COLLECTION_DEF: Table = other(&[
    one(1, Of(&COLLECTION_DEF_NODE_LIST)), one(2, Of(&COLLECTION_DEF_BYTES_LIST)),
    one(3, Of(&COLLECTION_DEF_INT64_LIST)), one(4, Of(&COLLECTION_DEF_FLOAT_LIST)),
    one(5, Of(&COLLECTION_DEF_ANY_LIST)),
]);
static COLLECTION_DEF_NODE_LIST: Table = other(&[many(1, Bytes),]);
static COLLECTION_DEF_BYTES_LIST: Table = other(&[many(1, Bytes),]);
static COLLECTION_DEF_INT64_LIST: Table = other(&[many(1, Int),]);
static COLLECTION_DEF_FLOAT_LIST: Table = other(&[many(1, Fixed32),]);
static COLLECTION_DEF_ANY_LIST: Table = other(&[many(1, Of(&ANY)),]);
pub static META_GRAPH_DEF_SIGNATURE_DEF_ENTRY: Table = other(&[one(1, Bytes), one(2, Of(&SIGNATURE_DEF)),]);
static SIGNATURE_DEF: Table = other(&[
    many(1, Of(&SIGNATURE_DEF_INPUTS_ENTRY)), many(2, Of(&SIGNATURE_DEF_OUTPUTS_ENTRY)), one(3, Bytes),
    many(4, Of(&SIGNATURE_DEF_DEFAULTS_ENTRY)),
]);
static SIGNATURE_DEF_INPUTS_ENTRY: Table = other(&[one(1, Bytes), one(2, Of(&TENSOR_INFO)),]);
pub static TENSOR_INFO: Table = other(&[
    one(1, Bytes), one(2, Int), one(3, Of(&TENSOR_SHAPE_PROTO)), one(4, Of(&TENSOR_INFO_COO_SPARSE)),
    one(5, Of(&TENSOR_INFO_COMPOSITE_TENSOR)),
]);
static TENSOR_INFO_COO_SPARSE: Table = other(&[one(1, Bytes), one(2, Bytes), one(3, Bytes),]);
static TENSOR_INFO_COMPOSITE_TENSOR: Table = other(&[one(1, Of(&TYPE_SPEC_PROTO)), many(2, Of(&TENSOR_INFO)),]);
static TYPE_SPEC_PROTO: Table = other(&[
    one(1, Int), one(2, Of(&STRUCTURED_VALUE)), one(3, Bytes), one(4, Int),
]);
static STRUCTURED_VALUE: Table = other(&[
    one(1, Of(&NONE_VALUE)), one(11, Fixed64), one(12, Int), one(13, Bytes), one(14, Int),
    one(31, Of(&TENSOR_SHAPE_PROTO)), one(32, Int), one(33, Of(&TENSOR_SPEC_PROTO)),
    one(34, Of(&TYPE_SPEC_PROTO)), one(35, Of(&BOUNDED_TENSOR_SPEC_PROTO)), one(51, Of(&LIST_VALUE)),
    one(52, Of(&TUPLE_VALUE)), one(53, Of(&DICT_VALUE)), one(54, Of(&NAMED_TUPLE_VALUE)),
    one(55, Of(&TENSOR_PROTO)), one(56, Of(&TENSOR_PROTO)),
]);
static NONE_VALUE: Table = other(&[]);
static TENSOR_SPEC_PROTO: Table = other(&[one(1, Bytes), one(2, Of(&TENSOR_SHAPE_PROTO)), one(3, Int),]);
static BOUNDED_TENSOR_SPEC_PROTO: Table = other(&[
    one(1, Bytes), one(2, Of(&TENSOR_SHAPE_PROTO)), one(3, Int), one(4, Of(&TENSOR_PROTO)),
    one(5, Of(&TENSOR_PROTO)),
]);
static LIST_VALUE: Table = other(&[many(1, Of(&STRUCTURED_VALUE)),]);
static TUPLE_VALUE: Table = other(&[many(1, Of(&STRUCTURED_VALUE)),]);
static DICT_VALUE: Table = other(&[many(1, Of(&DICT_VALUE_FIELDS_ENTRY)),]);
static DICT_VALUE_FIELDS_ENTRY: Table = other(&[one(1, Bytes), one(2, Of(&STRUCTURED_VALUE)),]);
static NAMED_TUPLE_VALUE: Table = other(&[one(1, Bytes), many(2, Of(&PAIR_VALUE)),]);
static PAIR_VALUE: Table = other(&[one(1, Bytes), one(2, Of(&STRUCTURED_VALUE)),]);
static SIGNATURE_DEF_OUTPUTS_ENTRY: Table = other(&[one(1, Bytes), one(2, Of(&TENSOR_INFO)),]);
static SIGNATURE_DEF_DEFAULTS_ENTRY: Table = other(&[one(1, Bytes), one(2, Of(&TENSOR_PROTO)),]);
pub static SAVED_OBJECT_GRAPH: Table = other(&[
    many(1, Of(&SAVED_OBJECT)), many(2, Of(&SAVED_OBJECT_GRAPH_CONCRETE_FUNCTIONS_ENTRY)),
]);
static SAVED_OBJECT: Table = other(&[
    many(1, Of(&TRACKABLE_OBJECT_GRAPH_TRACKABLE_OBJECT_OBJECT_REFERENCE)),
    many(3, Of(&TRACKABLE_OBJECT_GRAPH_TRACKABLE_OBJECT_SLOT_VARIABLE_REFERENCE)),
    one(4, Of(&SAVED_USER_OBJECT)), one(5, Of(&SAVED_ASSET)), one(6, Of(&SAVED_FUNCTION)),
    one(7, Of(&SAVED_VARIABLE)), one(8, Of(&SAVED_BARE_CONCRETE_FUNCTION)), one(9, Of(&SAVED_CONSTANT)),
    one(10, Of(&SAVED_RESOURCE)), many(11, Of(&SAVED_OBJECT_SAVEABLE_OBJECTS_ENTRY)),
    one(12, Of(&CAPTURED_TENSOR)), one(13, Bytes), one(14, Of(&ANY)),
    many(15, Of(&TRACKABLE_OBJECT_GRAPH_TRACKABLE_OBJECT_OBJECT_REFERENCE)), one(16, Bytes),
]);
static TRACKABLE_OBJECT_GRAPH_TRACKABLE_OBJECT_OBJECT_REFERENCE: Table = other(&[one(1, Int), one(2, Bytes),]);
static TRACKABLE_OBJECT_GRAPH_TRACKABLE_OBJECT_SLOT_VARIABLE_REFERENCE: Table = other(&[one(1, Int), one(2, Bytes), one(3, Int),]);
static SAVED_ASSET: Table = other(&[one(1, Int),]);
static SAVED_FUNCTION: Table = other(&[many(1, Bytes), one(2, Of(&FUNCTION_SPEC)),]);
static FUNCTION_SPEC: Table = other(&[
    one(1, Of(&STRUCTURED_VALUE)), one(2, Int), one(5, Of(&STRUCTURED_VALUE)), one(6, Int),
]);
static SAVED_BARE_CONCRETE_FUNCTION: Table = other(&[
    one(1, Bytes), many(2, Bytes), one(3, Int), one(4, Of(&FUNCTION_SPEC)),
]);
static SAVED_CONSTANT: Table = other(&[one(1, Bytes),]);
static SAVED_RESOURCE: Table = other(&[one(1, Bytes),]);
static CAPTURED_TENSOR: Table = other(&[one(1, Bytes), one(2, Bytes),]);
static SAVED_OBJECT_SAVEABLE_OBJECTS_ENTRY: Table = other(&[one(1, Bytes), one(2, Of(&SAVEABLE_OBJECT)),]);
static SAVEABLE_OBJECT: Table = other(&[one(2, Int), one(3, Int),]);
static SAVED_OBJECT_GRAPH_CONCRETE_FUNCTIONS_ENTRY: Table = other(&[one(1, Bytes), one(2, Of(&SAVED_CONCRETE_FUNCTION)),]);
static SAVED_CONCRETE_FUNCTION: Table = other(&[
    many(2, Int), one(3, Of(&STRUCTURED_VALUE)), one(4, Of(&STRUCTURED_VALUE)),
]);
