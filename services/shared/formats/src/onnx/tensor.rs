//! A tensor: whether its data is exactly as much as its shape and type need, and in the field that the type belongs in.
//!
//! After the comments on `TensorProto` in `onnx-ml.proto` and the ONNX checker.

use super::external::External;

/// What a tensor says about itself.
#[derive(Debug, Default)]
pub struct Tensor {
    /// Its element type, as the file numbers it.
    pub data_type: Option<u64>,
    /// The number of elements so far.
    elements: Option<u64>,
    /// Why the shape cannot be one.
    impossible: Option<&'static str>,
    /// Bytes of `raw_data`, if there is that field.
    pub raw: Option<u64>,
    /// How many values `float_data`, `int32_data`, `string_data`, `int64_data`, `double_data` and `uint64_data` have.
    values: [u64; 6],
    /// Whether it claims to be a part of a larger one.
    pub segment: bool,
    /// Whether `data_location` says that the data is elsewhere.
    pub elsewhere: bool,
    /// Where, then.
    pub external: External,
}

/// What is the matter with a tensor.
#[derive(Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The type is not one that exists.
    Type(u64),
    /// The shape is negative or has more elements than can be counted.
    Shape(&'static str),
    /// The data is not what shape and type need.
    Data(String),
    /// Data in another file is not described as it has to be.
    External(&'static str),
}

const TOO_MANY: &str = "it has more elements than a 64-bit number can count";

/// Where the typed fields are in [`Tensor::values`], by the number of the field.
const FIELDS: [(u32, &str); 6] = [
    (4, "float_data"),
    (5, "int32_data"),
    (6, "string_data"),
    (7, "int64_data"),
    (10, "double_data"),
    (11, "uint64_data"),
];

/// An element type: its name, its bits (0 for texts), the typed field for it, and how many values there an element takes.
struct Type(&'static str, u64, u32, u64);

fn type_of(number: u64) -> Option<Type> {
    Some(match number {
        1 => Type("FLOAT", 32, 4, 1),
        2 => Type("UINT8", 8, 5, 1),
        3 => Type("INT8", 8, 5, 1),
        4 => Type("UINT16", 16, 5, 1),
        5 => Type("INT16", 16, 5, 1),
        6 => Type("INT32", 32, 5, 1),
        7 => Type("INT64", 64, 7, 1),
        8 => Type("STRING", 0, 6, 1),
        9 => Type("BOOL", 8, 5, 1),
        10 => Type("FLOAT16", 16, 5, 1),
        11 => Type("DOUBLE", 64, 10, 1),
        12 => Type("UINT32", 32, 11, 1),
        13 => Type("UINT64", 64, 11, 1),
        14 => Type("COMPLEX64", 64, 4, 2),
        15 => Type("COMPLEX128", 128, 10, 2),
        16 => Type("BFLOAT16", 16, 5, 1),
        17 => Type("FLOAT8E4M3FN", 8, 5, 1),
        18 => Type("FLOAT8E4M3FNUZ", 8, 5, 1),
        19 => Type("FLOAT8E5M2", 8, 5, 1),
        20 => Type("FLOAT8E5M2FNUZ", 8, 5, 1),
        21 => Type("UINT4", 4, 5, 1),
        22 => Type("INT4", 4, 5, 1),
        23 => Type("FLOAT4E2M1", 4, 5, 1),
        24 => Type("FLOAT8E8M0", 8, 5, 1),
        25 => Type("UINT2", 2, 5, 1),
        26 => Type("INT2", 2, 5, 1),
        27 => Type("FLOAT6E2M3", 6, 5, 1),
        28 => Type("FLOAT6E3M2", 6, 5, 1),
        _ => return None,
    })
}

impl Tensor {
    /// Takes a dimension.
    pub fn dimension(&mut self, value: u64) {
        if i64::try_from(value).is_err() {
            self.impossible = Some("a dimension is negative");
        }
        match self.elements.unwrap_or(1).checked_mul(value) {
            Some(elements) => self.elements = Some(elements),
            None => self.impossible = self.impossible.or(Some(TOO_MANY)),
        }
    }

    /// Takes so many values of a typed field.
    pub fn values(&mut self, field: u32, count: u64) {
        if let Some(index) = FIELDS.iter().position(|(number, _)| *number == field)
            && let Some(values) = self.values.get_mut(index)
        {
            *values = values.saturating_add(count);
        }
    }

    /// How many elements it has.
    pub fn elements(&self) -> u64 {
        self.elements.unwrap_or(1)
    }

    /// How many bytes its elements take, where that can be told.
    pub fn bytes(&self) -> Option<u64> {
        let Type(_, bits, ..) = type_of(self.data_type?)?;
        let total = self.elements().checked_mul(bits)?;
        self.impossible.is_none().then(|| total.div_ceil(8))
    }

    /// The name of its type.
    pub fn kind(&self) -> Option<&'static str> {
        type_of(self.data_type?).map(|kind| kind.0)
    }

    /// What is the matter with it.
    pub fn flaw(&self) -> Option<Flaw> {
        let number = self.data_type.unwrap_or(0);
        let Some(Type(name, bits, field, per_element)) = type_of(number) else {
            return Some(Flaw::Type(number));
        };
        let elements = self.elements();
        let total = match (self.impossible, elements.checked_mul(bits.max(1))) {
            (None, Some(total)) => total,
            (how, _) => return Some(Flaw::Shape(how.unwrap_or(TOO_MANY))),
        };
        if self.segment {
            return Some(Flaw::Data("it is said to be a part of another tensor".to_owned()));
        }
        let typed = FIELDS.iter().zip(self.values).filter(|(_, count)| *count > 0);
        if self.elsewhere {
            if self.raw.is_some() || typed.count() > 0 {
                return Some(Flaw::External("it has data here too"));
            }
            if bits == 0 {
                return Some(Flaw::External("texts cannot be kept there"));
            }
            return (!self.external.has_location()).then_some(Flaw::External("it does not say where"));
        }
        if self.external.entries > 0 {
            return Some(Flaw::External(
                "it says where the data is but not that it is elsewhere",
            ));
        }
        // In bytes, a type below 8 bits is filled up at the end.
        let bytes = total.div_ceil(8);
        let mut found = typed.map(|((field, name), count)| (*field, *name, count));
        match (self.raw, found.next(), found.next()) {
            (_, Some(_), Some(_)) | (Some(_), Some(_), _) => {
                Some(Flaw::Data("it has data in more than one field".to_owned()))
            }
            (Some(_), None, _) if bits == 0 => {
                Some(Flaw::Data("its texts are given as raw bytes".to_owned()))
            }
            (Some(raw), None, _) => (raw != bytes).then(|| {
                Flaw::Data(format!(
                    "{elements} elements of type {name} take {bytes} bytes, it has {raw}"
                ))
            }),
            (None, Some((other, named, _)), _) if other != field => Some(Flaw::Data(format!(
                "its elements are of type {name} but stand in {named}"
            ))),
            (None, Some((_, named, count)), _) => {
                // Two and four of the smallest share a byte here too; the types of six bits do not.
                let needed = if matches!(bits, 2 | 4) {
                    bytes
                } else {
                    elements.saturating_mul(per_element)
                };
                (count != needed).then(|| {
                    Flaw::Data(format!(
                        "its shape needs {needed} values in {named}, it has {count}"
                    ))
                })
            }
            (None, None, _) => {
                (elements > 0).then(|| Flaw::Data(format!("it has no data for {elements} elements")))
            }
        }
    }
}
