//! What the allowed constructors make of their arguments, and which arguments no writer of weights gives them.

use std::sync::Arc;

use super::allow::{Make, Rebuild, Spec};
use super::lexer::UNKNOWN;
use super::machine::Machine;
use super::numpy::{self, Array, Dtype, Wrapper};
use super::torch::{Element, MAX_DIMENSIONS, Tensor};
use super::value::{Kind, Node, Text, Value};

/// The most attributes of a tensor, keys and values together.
const MAX_ATTRIBUTES: u64 = 64;

/// The most bytes of a text that is read as a number.
const MAX_NUMBER_TEXT: u64 = 4096;
/// The largest number that a built-in type is made of: that many bytes come of it.
const MAX_MADE_OF: u64 = 1 << 20;

type Made = Result<Value, &'static str>;

/// How many steps calling something that is allowed takes with this argument.
pub fn work(machine: &Machine, spec: Spec, argument: Value) -> u64 {
    let heap = &machine.heap;
    match spec {
        // These look at a few numbers and share what is large.
        Spec::Rebuild(_) | Spec::RebuildFromType | Spec::FromBuffer | Spec::Reconstruct => 0,
        _ => {
            let inner = match heap.node(argument) {
                Some(Node::Items(items)) => &items.kept[..],
                Some(Node::Tuple(tuple)) => &tuple.items,
                _ => &[],
            };
            let hashed = inner.iter().map(|item| match heap.node(*item) {
                Some(Node::Tuple(tuple)) => tuple.weight,
                _ => 0,
            });
            hashed.fold(heap.extent(argument), u64::saturating_add)
        }
    }
}

/// The result of calling something that is allowed.
pub fn evaluate(machine: &mut Machine, spec: Spec, arguments: &[Value]) -> Made {
    match (spec, arguments) {
        (
            Spec::Constant | Spec::NdArray | Spec::TensorClass | Spec::TorchType(_) | Spec::StorageClass(_),
            _,
        ) => Err("weights only refer to it"),
        (Spec::Container(make), _) => container(machine, make, arguments),
        (Spec::DefaultDict, [factory] | [factory, _]) if !is_type(machine, *factory) => {
            Err("the maker of missing values is no plain type")
        }
        (Spec::Mapping | Spec::DefaultDict, []) | (Spec::DefaultDict, [_]) => {
            Ok(machine.heap.items(Kind::Mapping))
        }
        (Spec::Mapping, [items]) | (Spec::DefaultDict, [_, items]) if is_collection(machine, *items) => {
            Ok(mapping(machine, *items))
        }
        (Spec::Deque, [] | [_] | [_, Value::None | Value::Int(_)])
            if arguments
                .first()
                .is_none_or(|items| is_collection(machine, *items)) =>
        {
            Ok(machine.heap.items(Kind::Sequence))
        }
        (Spec::Fraction, _) if arguments.iter().all(|argument| is_fraction(machine, *argument)) => {
            Ok(Value::Plain)
        }
        (Spec::Scalars, _) if arguments.iter().all(|argument| is_data(machine, *argument)) => {
            Ok(Value::Plain)
        }
        (Spec::ByteArray, []) => Ok(bytes(machine, 0)),
        (Spec::ByteArray, [data]) => length(machine, *data)
            .map(|length| bytes(machine, length))
            .ok_or("it is given no bytes"),
        (Spec::ByteArray | Spec::Encode, [text, encoding]) if is_latin1(machine, *encoding) => {
            match machine.heap.node(*text) {
                Some(Node::Text(text)) if !text.bytes => {
                    let (chars, written, kept) = (text.chars, text.length, latin1(text));
                    Ok(machine.heap.add(Node::Text(Text {
                        kept,
                        length: chars,
                        // How many there are is not known where escapes were not all seen; there are no more than these.
                        chars: chars.min(written),
                        bytes: true,
                    })))
                }
                _ => match machine.heap.str(*text) {
                    Some(text) => {
                        let length = text.len() as u64;
                        Ok(bytes(machine, length))
                    }
                    None if *text == Value::Plain => Ok(Value::Plain),
                    None => Err("it is given no text"),
                },
            }
        }
        (Spec::Encode, _) => Err("NumPy and pickle give it a text and `latin1`"),
        (Spec::Namespace | Spec::ScriptClass, []) => Ok(machine.heap.items(Kind::Namespace)),
        (Spec::Reconstructor, [Value::Global(class), Value::Global(base), Value::None])
            if machine.globals.spec(*base) == Some(Spec::Constant) =>
        {
            match machine.globals.spec(*class) {
                Some(class @ (Spec::Namespace | Spec::Object)) => evaluate(machine, class, &[]),
                _ => Err("it would make an object of a class that makes its own"),
            }
        }
        (Spec::Object | Spec::Record, []) => Ok(machine.heap.add(Node::Object)),
        (Spec::Member, [text]) if machine.heap.str(*text).is_some() => Ok(Value::Plain),
        (Spec::Reconstruct, [class, shape, code]) => reconstruct(machine, *class, *shape, *code),
        (Spec::NumpyScalar, [dtype, data]) => numpy_scalar(machine, *dtype, *data),
        (Spec::FromBuffer, [data, dtype, shape, order]) => {
            from_buffer(machine, *data, *dtype, *shape, *order)
        }
        (Spec::Dtype, [code, flags @ ..])
            if flags.len() <= 2
                && flags
                    .iter()
                    .all(|flag| matches!(flag, Value::Int(0 | 1) | Value::Bool(_))) =>
        {
            dtype(machine, *code)
        }
        (Spec::Wrapper, []) => Ok(machine.heap.add(Node::Wrapper(Wrapper::default()))),
        (Spec::Size, [size]) => {
            let tuple = machine.heap.tuple_items(*size).is_some();
            match numpy::shape(*size, &machine.heap) {
                Some(_) if tuple => Ok(*size),
                _ => Err("the sizes are no numbers"),
            }
        }
        (Spec::Device, [kind] | [kind, Value::Int(_)]) if machine.heap.str(*kind).is_some() => {
            Ok(Value::Plain)
        }
        (Spec::Layout, [layout]) if machine.heap.str(*layout).is_some() => Ok(Value::Plain),
        // A named tuple or a value of an enumeration.
        (Spec::ScriptClass, items) => Ok(machine.heap.tuple(items)),
        (Spec::ScriptType, [value] | [value, _]) => Ok(*value),
        (Spec::Rebuild(rebuild), _) => rebuilt(machine, rebuild, arguments),
        (Spec::RebuildFromType, [Value::Global(function), Value::Global(class), inner, state]) => {
            from_type(machine, *function, *class, *inner, *state)
        }
        _ => Err("no writer of weights gives it these"),
    }
}

fn container(machine: &mut Machine, make: Make, arguments: &[Value]) -> Made {
    match (make, arguments) {
        (Make::List, []) => Ok(machine.heap.items(Kind::List)),
        (Make::Dict, []) => Ok(machine.heap.items(Kind::Dict)),
        (Make::Set, []) => Ok(machine.heap.items(Kind::Set)),
        (Make::Plain, []) => Ok(Value::Plain),
        (Make::Set, [items]) if is_collection(machine, *items) => Ok(machine.heap.items(Kind::Set)),
        (Make::List | Make::Dict, [items]) if is_collection(machine, *items) => Ok(*items),
        (Make::Plain, [value]) if is_simple(machine, *value) => Ok(Value::Plain),
        _ => Err("it is given something else than plain data"),
    }
}

/// A mapping with the pairs of a list, or the items of a dictionary. They move, so that using one list many times costs once.
fn mapping(machine: &mut Machine, source: Value) -> Value {
    let mapping = machine.heap.items(Kind::Mapping);
    let (pairs, flat) = match machine.heap.node_mut(source) {
        Some(Node::Items(items)) => {
            let flat = matches!(items.kind, Kind::Dict | Kind::Mapping);
            (std::mem::take(&mut items.kept), flat)
        }
        _ => return mapping,
    };
    if flat {
        for pair in pairs.chunks_exact(2) {
            machine.heap.append(mapping, pair);
        }
        return mapping;
    }
    for pair in pairs {
        let pair = match machine.heap.node(pair) {
            Some(Node::Tuple(tuple)) => tuple.items.first_chunk::<2>().copied(),
            Some(Node::Items(items)) => items.kept.first_chunk::<2>().copied(),
            _ => None,
        };
        if let Some(pair) = pair {
            machine.heap.append(mapping, &pair);
        }
    }
    mapping
}

/// A literal collection, whose size is bounded by the bytes that it took. Writers give what they have just written, which is never
/// forgotten; what is plain data of another kind can be a range of any length.
fn is_collection(machine: &Machine, value: Value) -> bool {
    machine.heap.tuple_items(value).is_some() || machine.heap.container(value).is_some()
}

/// Something that a built-in type makes no more of than it is: a number, a short text, a flat collection of these.
fn is_simple(machine: &Machine, value: Value) -> bool {
    let flat = |items: &[Value], count: usize| {
        items.len() == count
            && items.iter().all(|item| match machine.heap.node(*item) {
                Some(Node::Text(_)) => true,
                Some(_) => false,
                None => !matches!(item, Value::Plain | Value::Mixed),
            })
    };
    let flat = match machine.heap.node(value) {
        Some(Node::Text(text)) => text.length <= MAX_NUMBER_TEXT,
        Some(Node::Tuple(tuple)) => flat(&tuple.items, tuple.items.len()),
        Some(Node::Items(items)) => usize::try_from(items.count).is_ok_and(|count| flat(&items.kept, count)),
        Some(_) => false,
        None => match value {
            Value::Int(number) => number.unsigned_abs() <= MAX_MADE_OF,
            Value::Plain => false,
            _ => true,
        },
    };
    flat && is_data(machine, value)
}

/// A number, or a text of two. Exponents would make numbers of any length.
fn is_fraction(machine: &Machine, value: Value) -> bool {
    match machine.heap.str(value) {
        Some(text) => text
            .iter()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'/' | b'-' | b'+')),
        None => matches!(value, Value::Int(_) | Value::Number),
    }
}

/// Anything that cannot be called and holds nothing that can.
fn is_data(machine: &Machine, value: Value) -> bool {
    !matches!(value, Value::Storage(_) | Value::Tensor(_) | Value::Foreign) && !machine.heap.is_mixed(value)
}

fn is_type(machine: &Machine, value: Value) -> bool {
    match value {
        Value::None => true,
        Value::Global(class) => matches!(
            machine.globals.spec(class),
            Some(Spec::Container(_) | Spec::Mapping | Spec::DefaultDict)
        ),
        _ => false,
    }
}

fn is_latin1(machine: &Machine, encoding: Value) -> bool {
    matches!(
        machine.heap.str(encoding),
        Some(b"latin1" | b"latin-1" | b"iso-8859-1" | b"iso8859-1")
    )
}

/// The bytes that a text of such characters stands for.
fn latin1(text: &Text) -> Arc<[u8]> {
    String::from_utf8_lossy(&text.kept)
        .chars()
        .map(|c| u8::try_from(c).unwrap_or(b'?'))
        .collect()
}

fn bytes(machine: &mut Machine, length: u64) -> Value {
    machine.heap.add(Node::Text(Text {
        kept: Arc::default(),
        length,
        chars: length,
        bytes: true,
    }))
}

/// How many bytes a byte string has, or a text of Python 2 that stood for one.
fn length(machine: &Machine, value: Value) -> Option<u64> {
    match machine.heap.node(value)? {
        Node::Text(text) if text.bytes => Some(text.length),
        Node::Text(text) => Some(text.chars),
        _ => None,
    }
}

fn reconstruct(machine: &mut Machine, class: Value, shape: Value, code: Value) -> Made {
    let ndarray = matches!(class, Value::Global(class) if machine.globals.spec(class) == Some(Spec::NdArray));
    if !ndarray {
        return Err("the class is not `numpy.ndarray`");
    }
    let empty = numpy::shape(shape, &machine.heap).is_some_and(|shape| shape == [0]);
    let code = machine.heap.bytes(code).or_else(|| machine.heap.str(code));
    // An empty array is made and then filled; any other shape would show memory that was never written.
    if !empty || code.is_none_or(|code| code.len() != 1) {
        return Err("the array is not made empty");
    }
    Ok(machine.heap.add(Node::Array(Array::default())))
}

fn numpy_scalar(machine: &Machine, dtype: Value, data: Value) -> Made {
    let Some(Node::Dtype(dtype)) = machine.heap.node(dtype) else {
        return Err("the element type is none");
    };
    dtype.ready()?;
    if dtype.objects {
        return Err("a scalar of type object takes bytes for a pointer");
    }
    match (length(machine, data), dtype.bytes) {
        (Some(length), Some(bytes)) if length != bytes && length != UNKNOWN => {
            Err("its bytes are more or fewer than its type has")
        }
        (Some(_), _) => Ok(Value::Plain),
        _ => Err("its data is no bytes"),
    }
}

fn from_buffer(machine: &Machine, data: Value, dtype: Value, shape: Value, order: Value) -> Made {
    let Some(Node::Dtype(dtype)) = machine.heap.node(dtype) else {
        return Err("the element type is none");
    };
    dtype.ready()?;
    if dtype.objects {
        return Err("an array of objects takes bytes for pointers");
    }
    if !matches!(machine.heap.str(order), Some(b"C" | b"F")) {
        return Err("the order is none");
    }
    let shape = numpy::shape(shape, &machine.heap).ok_or("the shape is none")?;
    let length = length(machine, data).ok_or("the data is no bytes")?;
    if dtype.bytes.is_some() && length != UNKNOWN && numpy::array_bytes(&shape, *dtype) != Some(length) {
        return Err("shape and element type need another number of bytes than there are");
    }
    Ok(Value::Plain)
}

fn dtype(machine: &mut Machine, code: Value) -> Made {
    let dtype = match code {
        Value::Global(class) => {
            let spec = machine.globals.spec(class);
            let objects = match spec {
                Some(Spec::Constant) => None,
                // Of numbers, truth values and texts; any other class stands for objects.
                Some(Spec::Container(Make::Plain)) => Some(false),
                Some(Spec::Container(_)) => Some(true),
                _ => return Err("the element type is none"),
            };
            let name = machine
                .globals
                .at(class)
                .map(|global| global.shown.as_ref())
                .unwrap_or_default();
            Dtype {
                kind: 0,
                bytes: None,
                objects: objects.unwrap_or(false)
                    || [".object_", ".object", ".ObjectDType", ".StringDType", ".tuple"]
                        .iter()
                        .any(|end| name.ends_with(end)),
                stated: false,
            }
        }
        _ => {
            let code = machine.heap.str(code).or_else(|| machine.heap.bytes(code));
            code.and_then(Dtype::parse)
                .ok_or("the code of the element type is none")?
        }
    };
    Ok(machine.heap.add(Node::Dtype(dtype)))
}

fn rebuilt(machine: &mut Machine, rebuild: Rebuild, arguments: &[Value]) -> Made {
    use Value::{Bool, Int};
    match (rebuild, arguments) {
        (Rebuild::First, [storage, Int(offset), size, stride]) => {
            view(machine, *storage, *offset, *size, *stride, None, true)
        }
        (Rebuild::Second, [storage, Int(offset), size, stride, Bool(_), hooks, rest @ ..])
            if rest.len() <= 1
                && is_empty(machine, *hooks)
                && rest.iter().all(|meta| is_data(machine, *meta)) =>
        {
            view(machine, *storage, *offset, *size, *stride, None, true)
        }
        (
            Rebuild::Third,
            [
                storage,
                Int(offset),
                size,
                stride,
                Bool(_),
                hooks,
                Value::Global(kind),
                rest @ ..,
            ],
        ) if rest.len() <= 1
            && is_empty(machine, *hooks)
            && rest.iter().all(|meta| is_data(machine, *meta)) =>
        {
            let Some(Spec::TorchType(element)) = machine.globals.spec(*kind) else {
                return Err("the element type is none");
            };
            view(machine, *storage, *offset, *size, *stride, Some(element), true)
        }
        (Rebuild::Quantized, [storage, Int(offset), size, stride, parameters, Bool(_), hooks])
            if is_empty(machine, *hooks) && machine.heap.tuple_items(*parameters).is_some() =>
        {
            view(machine, *storage, *offset, *size, *stride, None, false)
        }
        (Rebuild::Parameter, [Value::Tensor(tensor), Bool(_), hooks]) if is_empty(machine, *hooks) => {
            Ok(Value::Tensor(*tensor))
        }
        (Rebuild::ParameterWithState, [Value::Tensor(tensor), Bool(_), hooks, state])
            if is_empty(machine, *hooks) =>
        {
            if !sets_only_data(machine, *state) {
                return Err("it would set attributes that no writer sets");
            }
            Ok(Value::Tensor(*tensor))
        }
        (Rebuild::FromNumpy, [array, Value::Global(kind), device, Bool(_)])
            if *device == Value::Plain || machine.heap.str(*device).is_some() =>
        {
            let Some(Spec::TorchType(element)) = machine.globals.spec(*kind) else {
                return Err("the element type is none");
            };
            let shape = match machine.heap.node(*array) {
                Some(Node::Array(array)) => array.shape.as_deref().map(<[u64]>::to_vec),
                _ => None,
            };
            unviewed(
                machine,
                shape.ok_or("the data is no array of numbers").map(Some)?,
                element,
            )
        }
        (Rebuild::Sparse, [_, parts]) => {
            let shape = match machine.heap.tuple_items(*parts) {
                Some(
                    [Value::Tensor(_), Value::Tensor(_), size]
                    | [Value::Tensor(_), Value::Tensor(_), size, _],
                ) => numpy::shape(*size, &machine.heap),
                _ => return Err("the parts of the sparse tensor are none"),
            };
            unviewed(machine, shape, Element::BYTES)
        }
        (Rebuild::Meta, [Value::Global(kind), size, _, Bool(_)]) => {
            let Some(Spec::TorchType(element)) = machine.globals.spec(*kind) else {
                return Err("the element type is none");
            };
            let shape = numpy::shape(*size, &machine.heap);
            unviewed(machine, shape, element)
        }
        _ => Err("PyTorch gives it other arguments"),
    }
}

/// Hooks run when gradients are computed; weights have none.
fn is_empty(machine: &Machine, hooks: Value) -> bool {
    hooks == Value::None
        || machine
            .heap
            .container(hooks)
            .is_some_and(|hooks| hooks.count == 0)
}

fn view(
    machine: &mut Machine,
    storage: Value,
    offset: i64,
    size: Value,
    stride: Value,
    element: Option<Element>,
    listed: bool,
) -> Made {
    let Value::Storage(index) = storage else {
        return Err("the data is no storage");
    };
    let storage = machine
        .tensors
        .storage_at(index)
        .ok_or("the data is no storage")?;
    let dimensions = |value| {
        machine
            .heap
            .tuple_items(value)
            .and_then(|_| numpy::shape(value, &machine.heap))
            .filter(|shape| shape.len() <= MAX_DIMENSIONS)
    };
    let shape = dimensions(size).ok_or("the shape is none")?;
    let stride = dimensions(stride)
        .filter(|stride| stride.len() == shape.len())
        .ok_or("the strides are none")?;
    let element = element.unwrap_or(storage.element);
    let room = storage.elements.saturating_mul(storage.element.bytes);
    let tensor = Tensor {
        element,
        shape: machine.tensors.list(&shape),
        stride: machine.tensors.list(&stride),
        storage: listed.then_some(index),
        offset: u64::try_from(offset).map_err(|_| "the offset is negative")?,
    };
    let end = tensor.end().and_then(|end| end.checked_mul(element.bytes));
    if tensor.elements().is_none() || end.is_none_or(|end| end > room) {
        return Err("the tensor reaches beyond its storage");
    }
    machine
        .tensors
        .tensor(tensor)
        .map(Value::Tensor)
        .ok_or("there are too many tensors")
}

/// A tensor whose data is not simply a view of a storage.
fn unviewed(machine: &mut Machine, shape: Option<Vec<u64>>, element: Element) -> Made {
    let shape = shape.ok_or("the shape is none")?;
    let tensor = Tensor {
        element,
        stride: machine.tensors.list(&vec![0; shape.len()]),
        shape: machine.tensors.list(&shape),
        storage: None,
        offset: 0,
    };
    tensor.elements().ok_or("the shape is impossible")?;
    machine
        .tensors
        .tensor(tensor)
        .map(Value::Tensor)
        .ok_or("there are too many tensors")
}

fn from_type(machine: &mut Machine, function: u32, class: u32, inner: Value, state: Value) -> Made {
    let Some(Spec::Rebuild(rebuild)) = machine.globals.spec(function) else {
        return Err("it would call something that makes no tensor");
    };
    if machine.globals.spec(class) != Some(Spec::TensorClass) {
        return Err("the class is no class of tensors");
    }
    if !sets_only_data(machine, state) {
        return Err("it would set attributes that no writer sets");
    }
    let arguments: Vec<Value> = machine
        .heap
        .tuple_items(inner)
        .filter(|items| items.len() <= 16)
        .ok_or("the arguments are no tuple")?
        .to_vec();
    rebuilt(machine, rebuild, &arguments)
}

/// Whether setting attributes to this sets them to plain data. They are set one by one, so that a name such as `__class__` has an effect.
fn sets_only_data(machine: &Machine, state: Value) -> bool {
    match machine.heap.container(state) {
        Some(items) if matches!(items.kind, Kind::Dict | Kind::Mapping) => {
            items.count == items.kept.len() as u64
                && items.count <= MAX_ATTRIBUTES
                && !items.mixed
                && items.kept.chunks_exact(2).all(|pair| {
                    pair.first()
                        .and_then(|key| machine.heap.str(*key))
                        .is_some_and(|key| !key.starts_with(b"__"))
                })
        }
        _ => state == Value::None,
    }
}
