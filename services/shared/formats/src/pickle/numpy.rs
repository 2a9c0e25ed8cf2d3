//! What NumPy's pickles are made of: element types, arrays, and joblib's stand-in for an array whose bytes follow.

use std::sync::Arc;

use super::lexer::UNKNOWN;
use super::value::{Heap, Kind, Node, Value};

/// The most fields of a structured type, keys and values together.
const MAX_FIELDS: u64 = 256;
/// The most dimensions that NumPy allows.
const MAX_DIMENSIONS: usize = 64;

/// A `numpy.dtype`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dtype {
    /// Its kind: `f`, `i`, `u`, `b`, `c`, `S`, `U`, `V`, `M`, `m` or `O`.
    pub kind: u8,
    /// How many bytes an element takes, if that is known.
    pub bytes: Option<u64>,
    /// Whether elements are, or hold, Python objects, so that arrays of it are pickles.
    pub objects: bool,
    /// Whether its state was set. That changes the type itself, and with it every array that has it already.
    pub stated: bool,
}

/// A `numpy.ndarray` that is being made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Array {
    /// Its dimensions, once its state was set, if its elements are not objects.
    pub shape: Option<Arc<[u64]>>,
}

/// joblib's `NumpyArrayWrapper`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wrapper {
    /// Whether its state was set.
    pub complete: bool,
}

/// What follows joblib's wrapper in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inline {
    /// So many bytes, after one byte that counts the padding and the padding itself if `aligned`.
    Bytes {
        /// How many.
        bytes: u64,
        /// Whether padding comes first.
        aligned: bool,
    },
    /// A pickle.
    Pickle,
}

impl Dtype {
    /// The type that a code such as `<f4`, `i8`, `U12` or `O` stands for. Structured types need their state.
    pub fn parse(code: &[u8]) -> Option<Self> {
        let code = match code {
            [b'<' | b'>' | b'|' | b'=', rest @ ..] => rest,
            _ => code,
        };
        let (&kind, rest) = code.split_first()?;
        if rest.len() > 10 {
            return None;
        }
        // The unit of a date: `M8[ns]`.
        let (digits, unit) = match rest.iter().position(|byte| *byte == b'[') {
            Some(at) => rest.split_at_checked(at)?,
            None => (rest, &[][..]),
        };
        if !unit.is_empty() && !matches!(kind, b'M' | b'm') {
            return None;
        }
        let number = match std::str::from_utf8(digits).ok()? {
            "" => None,
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse::<u64>().ok()?),
            _ => return None,
        };
        let bytes = match (kind, number) {
            (b'f', Some(2 | 4 | 8 | 12 | 16))
            | (b'i' | b'u', Some(1 | 2 | 4 | 8))
            | (b'b', Some(1))
            | (b'c', Some(8 | 16 | 24 | 32))
            | (b'M' | b'm', Some(8))
            | (b'S' | b'a' | b'V', Some(_)) => number,
            (b'U', Some(characters)) => Some(characters.checked_mul(4)?),
            (b'O', None | Some(4 | 8)) => Some(8),
            (b'?' | b'B', None) => Some(1),
            (b'S' | b'U' | b'V', None) => Some(0),
            _ => return None,
        };
        Some(Self {
            kind,
            bytes,
            objects: kind == b'O',
            stated: false,
        })
    }

    /// Whether it can be used: a type that may still get fields must not be in use when it does.
    ///
    /// # Errors
    ///
    /// When its state was not set, as writers do at once.
    pub fn ready(self) -> Result<(), &'static str> {
        if self.kind == b'V' && !self.stated {
            return Err("the element type is used before its state is set");
        }
        Ok(())
    }

    /// The type after its state was set, or why no NumPy makes such a state.
    pub fn with_state(self, state: &[Value], heap: &Heap) -> Result<Self, &'static str> {
        if self.stated {
            return Err("its state is set a second time, which changes what is made of it already");
        }
        // version, byte order, base type and shape, names, fields, size, alignment, flags and, for dates, their unit
        let [version, order, base, names, fields, size, alignment, flags, ..] = state else {
            return Err("the state has too few parts");
        };
        if state.len() > 9 || !matches!(version, Value::Int(3 | 4)) {
            return Err("the version of the state is unknown");
        }
        let order = heap.str(*order).or_else(|| heap.bytes(*order));
        if !matches!(order, Some(b"<" | b">" | b"|" | b"=")) {
            return Err("the byte order is none");
        }
        let (Value::Int(size), Value::Int(alignment), Value::Int(flags)) = (*size, *alignment, *flags) else {
            return Err("size, alignment and flags are no numbers");
        };
        if !(-1..=1 << 20).contains(&alignment) || !(0..256).contains(&flags) {
            return Err("alignment or flags are impossible");
        }
        let structured = *names != Value::None || *fields != Value::None || *base != Value::None;
        if structured && self.kind != b'V' {
            return Err("a simple type has fields");
        }
        if !matches!(self.kind, b'S' | b'U' | b'V' | b'a') && !matches!(size, -1) {
            return Err("a simple type has a size of its own");
        }
        // Bit 0: elements count references. A type without objects that claims it makes NumPy follow bytes as pointers.
        let claims = flags & 1 == 1;
        if claims && !self.objects && !structured {
            return Err("a type without objects claims to hold some");
        }
        if structured {
            judge_fields([*base, *names, *fields], size, claims, heap)?;
        }
        let bytes = match u64::try_from(size) {
            Ok(size) if matches!(self.kind, b'S' | b'U' | b'V' | b'a') => {
                if self.bytes.is_some_and(|bytes| bytes != size) {
                    return Err("the size contradicts the name of the type");
                }
                Some(size)
            }
            _ => self.bytes,
        };
        Ok(Self {
            bytes,
            objects: self.objects || claims,
            stated: true,
            ..self
        })
    }
}

/// Checks that the fields of a structured type lie within it, that it says so if one holds objects, and that nothing else lies where
/// these are: a number written there would be followed as a pointer.
fn judge_fields(
    [base, names, fields]: [Value; 3],
    size: i64,
    claims: bool,
    heap: &Heap,
) -> Result<(), &'static str> {
    let size = u64::try_from(size).map_err(|_| "a structured type without a size")?;
    let judge = |dtype: Value, offset: i64, times: u64| match (heap.node(dtype), u64::try_from(offset)) {
        (Some(Node::Dtype(field)), Ok(offset)) => {
            field.ready()?;
            let bytes = field.bytes.and_then(|bytes| bytes.checked_mul(times));
            let end = bytes.and_then(|bytes| bytes.checked_add(offset));
            let end = end.filter(|end| *end <= size);
            if field.objects && !claims {
                return Err("a field holds objects but its type hides it");
            }
            end.map(|end| (offset, end, field.objects, dtype))
                .ok_or("a field lies beyond the end of its type")
        }
        _ => Err("a field is malformed"),
    };
    if base != Value::None {
        let Some([dtype, dimensions]) = heap.tuple_items(base) else {
            return Err("the base type is malformed");
        };
        let dimensions = shape(*dimensions, heap).ok_or("the base type is malformed")?;
        let times = dimensions
            .iter()
            .try_fold(1_u64, |product, dimension| product.checked_mul(*dimension));
        judge(*dtype, 0, times.ok_or("the base type is malformed")?)?;
    }
    if fields == Value::None && names == Value::None {
        return Ok(());
    }
    let fields = heap
        .container(fields)
        .filter(|fields| fields.count == fields.kept.len() as u64 && fields.count <= MAX_FIELDS)
        .ok_or("the fields are malformed")?;
    let mut places: Vec<(u64, u64, bool, Value)> = Vec::new();
    for field in fields.kept.chunks_exact(2) {
        match field.get(1).and_then(|field| heap.tuple_items(*field)) {
            Some([dtype, Value::Int(offset)] | [dtype, Value::Int(offset), _]) => {
                let place = judge(*dtype, *offset, 1)?;
                // A field with a title is there twice.
                if !places.contains(&place) {
                    places.push(place);
                }
            }
            _ => return Err("a field is malformed"),
        }
    }
    for (index, (start, end, objects, _)) in places.iter().enumerate() {
        let clash = places
            .iter()
            .skip(index + 1)
            .any(|(other, other_end, others, _)| (*objects || *others) && start < other_end && other < end);
        if clash {
            return Err("a field lies where objects are");
        }
    }
    let is_there = |name: &Value| {
        let keys = fields.kept.iter().step_by(2);
        let name = heap.str(*name);
        name.is_some() && keys.map(|key| heap.str(*key)).any(|key| key == name)
    };
    match heap.tuple_items(names) {
        Some(names) if names.iter().all(is_there) => Ok(()),
        _ => Err("the names of the fields are not those that it has"),
    }
}

/// The dimensions in a tuple of numbers (or a single number), if they are some.
pub fn shape(value: Value, heap: &Heap) -> Option<Vec<u64>> {
    let dimension = |value: &Value| match value {
        Value::Int(dimension) => u64::try_from(*dimension).ok(),
        _ => None,
    };
    if let Some(single) = dimension(&value) {
        return Some(vec![single]);
    }
    let items = match heap.container(value) {
        Some(list) if list.kind == Kind::List && list.count == list.kept.len() as u64 => &list.kept,
        _ => heap.tuple_items(value)?,
    };
    (items.len() <= MAX_DIMENSIONS)
        .then(|| items.iter().map(dimension).collect())
        .flatten()
}

/// How many bytes an array takes.
pub fn array_bytes(shape: &[u64], dtype: Dtype) -> Option<u64> {
    shape
        .iter()
        .try_fold(dtype.bytes?, |product, dimension| product.checked_mul(*dimension))
}

/// Checks the state of an array: version, shape, type, order and data.
pub fn array_state(state: &[Value], heap: &Heap) -> Result<Option<Vec<u64>>, &'static str> {
    let ([Value::Int(0 | 1), rest @ ..] | rest) = state;
    let [dimensions, dtype, Value::Bool(_) | Value::Int(0 | 1), data] = rest else {
        return Err("the state has other parts than an array's");
    };
    let Some(Node::Dtype(dtype)) = heap.node(*dtype) else {
        return Err("the element type is none");
    };
    dtype.ready()?;
    let dimensions = shape(*dimensions, heap).ok_or("the shape is none")?;
    if dtype.objects {
        // The elements are in a list; for types that merely contain objects, in tuples in it.
        return match heap.container(*data) {
            Some(list) if list.kind == Kind::List => Ok(None),
            _ if *data == Value::Plain => Ok(None),
            _ => Err("the elements are objects but not in a list"),
        };
    }
    let length = match heap.node(*data) {
        Some(Node::Text(text)) if text.bytes => text.length,
        // Python 2 wrote bytes as text; each character is a byte.
        Some(Node::Text(text)) => text.chars,
        _ if *data == Value::Plain => UNKNOWN,
        _ => return Err("the data is no bytes"),
    };
    match array_bytes(&dimensions, *dtype) {
        Some(bytes) if bytes == length || length == UNKNOWN => Ok(Some(dimensions)),
        None if dtype.bytes.is_none() => Ok(Some(dimensions)),
        _ => Err("shape and element type need another number of bytes than there are"),
    }
}

/// Checks the state of joblib's wrapper and says what follows it.
pub fn wrapper_state(
    state: Value,
    heap: &Heap,
    is_ndarray: impl Fn(Value) -> bool,
) -> Result<Inline, &'static str> {
    let items = heap
        .container(state)
        .filter(|items| items.kind == Kind::Dict && items.count == items.kept.len() as u64)
        .filter(|items| items.count <= MAX_FIELDS)
        .ok_or("the state is no dictionary")?;
    let (mut bytes, mut objects, mut dimensions, mut aligned) = (None, false, None, false);
    let mut subclass = false;
    for pair in items.kept.chunks_exact(2) {
        let [key, value] = pair else { continue };
        match (heap.str(*key), *value) {
            (Some(b"subclass"), class) if is_ndarray(class) => subclass = true,
            (Some(b"shape"), tuple) => dimensions = shape(tuple, heap),
            (Some(b"order"), order) if matches!(heap.str(order), Some(b"C" | b"F")) => {}
            (Some(b"allow_mmap"), Value::Bool(_)) | (Some(b"numpy_array_alignment_bytes"), Value::None) => {}
            (Some(b"numpy_array_alignment_bytes"), Value::Int(1..=128)) => aligned = true,
            (Some(b"dtype"), dtype) => match heap.node(dtype) {
                Some(Node::Dtype(dtype)) => {
                    dtype.ready()?;
                    bytes = Some(*dtype);
                    objects = dtype.objects;
                }
                _ => return Err("the element type is none"),
            },
            _ => return Err("the state has other parts than joblib's"),
        }
    }
    let (Some(dtype), Some(dimensions), true) = (bytes, dimensions, subclass) else {
        return Err("class, shape or element type is missing or unusual");
    };
    if objects {
        return Ok(Inline::Pickle);
    }
    let bytes = array_bytes(&dimensions, dtype).ok_or("the array is larger than can be")?;
    Ok(Inline::Bytes { bytes, aligned })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_codes_of_element_types() {
        let bytes = |code: &str| Dtype::parse(code.as_bytes()).map(|dtype| (dtype.bytes, dtype.objects));
        assert_eq!(bytes("<f4"), Some((Some(4), false)));
        assert_eq!(bytes("|b1"), Some((Some(1), false)));
        assert_eq!(bytes("<U12"), Some((Some(48), false)));
        assert_eq!(bytes("O8"), Some((Some(8), true)));
        assert_eq!(bytes("<M8[ns]"), Some((Some(8), false)));
        assert_eq!(bytes("V8"), Some((Some(8), false)));
        for code in ["", "<", "f3", "f4,f4", "x8", "f-4", "f4[ns]"] {
            assert_eq!(bytes(code), None, "{code}");
        }
    }
}
