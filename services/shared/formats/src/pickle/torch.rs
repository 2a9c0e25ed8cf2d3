//! What PyTorch's pickles are made of: element types, storages and the tensors that views of them are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::pages::Pages;
use crate::text::Fingerprint;

/// The most tensors, and the most storages, that are listed.
pub const MAX_TENSORS: usize = 128 << 10;
/// The most dimensions of a tensor.
pub const MAX_DIMENSIONS: usize = 64;
/// What an entry of a sorted index takes, roughly.
const INDEX_BYTES: usize = 48;
/// The longest key of a storage: PyTorch uses decimal numbers, or addresses.
const MAX_KEY_BYTES: usize = 64;

/// The type of a tensor's elements. One of few, so that it takes no more room than a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element(&'static Kind);

/// What there is to say of a type of elements.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// PyTorch's name for it.
    pub name: &'static str,
    /// What safetensors calls it, if it has it.
    pub safetensors: Option<&'static str>,
    /// How many bytes one takes.
    pub bytes: u64,
}

macro_rules! elements {
    ($(($names:pat, $storage:pat): $name:literal $bytes:literal $safetensors:expr;)+) => {
        impl Element {
            /// The type that `torch.<name>` is.
            pub fn of_type(name: &str) -> Option<Self> {
                match name {
                    $($names => Some(Self(&Kind { name: $name, safetensors: $safetensors, bytes: $bytes })),)+
                    _ => None,
                }
            }

            /// The type of the elements of `torch.<name>Storage`.
            pub fn of_storage(name: &str) -> Option<Self> {
                match name {
                    $($storage => Some(Self(&Kind { name: $name, safetensors: $safetensors, bytes: $bytes })),)+
                    "Untyped" | "Typed" => Some(Self::BYTES),
                    _ => None,
                }
            }
        }
    };
}

elements! {
    ("float32" | "float", "Float"): "float32" 4 Some("F32");
    ("float64" | "double", "Double"): "float64" 8 Some("F64");
    ("float16" | "half", "Half"): "float16" 2 Some("F16");
    ("bfloat16", "BFloat16"): "bfloat16" 2 Some("BF16");
    ("int64" | "long", "Long"): "int64" 8 Some("I64");
    ("int32" | "int", "Int"): "int32" 4 Some("I32");
    ("int16" | "short", "Short"): "int16" 2 Some("I16");
    ("int8", "Char"): "int8" 1 Some("I8");
    ("uint8", "Byte"): "uint8" 1 Some("U8");
    ("bool", "Bool"): "bool" 1 Some("BOOL");
    ("uint16", "UInt16"): "uint16" 2 Some("U16");
    ("uint32", "UInt32"): "uint32" 4 Some("U32");
    ("uint64", "UInt64"): "uint64" 8 Some("U64");
    ("complex32" | "chalf", "ComplexHalf"): "complex32" 4 None;
    ("complex64" | "cfloat", "ComplexFloat"): "complex64" 8 Some("C64");
    ("complex128" | "cdouble", "ComplexDouble"): "complex128" 16 None;
    ("float8_e4m3fn", "Float8_e4m3fn"): "float8_e4m3fn" 1 Some("F8_E4M3");
    ("float8_e5m2", "Float8_e5m2"): "float8_e5m2" 1 Some("F8_E5M2");
    ("float8_e4m3fnuz", "Float8_e4m3fnuz"): "float8_e4m3fnuz" 1 None;
    ("float8_e5m2fnuz", "Float8_e5m2fnuz"): "float8_e5m2fnuz" 1 None;
    ("float8_e8m0fnu", "Float8_e8m0fnu"): "float8_e8m0fnu" 1 Some("F8_E8M0");
    ("float4_e2m1fn_x2", "Float4_e2m1fn_x2"): "float4_e2m1fn_x2" 1 None;
    ("qint8", "QInt8"): "qint8" 1 None;
    ("quint8", "QUInt8"): "quint8" 1 None;
    ("qint32", "QInt32"): "qint32" 4 None;
    ("quint4x2", "QUInt4x2"): "quint4x2" 1 None;
    ("quint2x4", "QUInt2x4"): "quint2x4" 1 None;
    ("bits8", "Bits8"): "bits8" 1 None;
    ("bits16", "Bits16"): "bits16" 2 None;
}

impl Element {
    /// The elements of a storage without a type.
    pub const BYTES: Self = Self(&Kind {
        name: "uint8",
        safetensors: Some("U8"),
        bytes: 1,
    });
}

impl Deref for Element {
    type Target = Kind;

    fn deref(&self) -> &Kind {
        self.0
    }
}

/// The key of a storage. PyTorch counts, and so a number is kept as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// A number, as it is written without needless zeros.
    Number(u64),
    /// Any other text.
    Text(Box<str>),
}

impl Key {
    fn of(key: &str) -> Self {
        match key.parse::<u64>() {
            Ok(number) if number.to_string() == key => Self::Number(number),
            _ => Self::Text(key.into()),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// A storage that the pickle refers to and that lies outside of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Its key: the name of the member in the archive, or the entry in the list of keys.
    pub key: Key,
    /// The type of its elements.
    pub element: Element,
    /// How many elements it has.
    pub elements: u64,
}

/// A tensor: a view of a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// The type of its elements.
    pub element: Element,
    /// Its dimensions, shared with other tensors that have the same.
    pub shape: Arc<[u64]>,
    /// How many elements apart neighbours are, for each dimension; likewise.
    pub stride: Arc<[u64]>,
    /// Its storage, by its place among the storages; none for tensors whose data is not simply a view.
    pub storage: Option<u32>,
    /// Where in the storage it begins, in elements of its own type.
    pub offset: u64,
}

impl Tensor {
    /// How many elements it has, unless more than can be counted.
    pub fn elements(&self) -> Option<u64> {
        self.shape
            .iter()
            .try_fold(1_u64, |product, dimension| product.checked_mul(*dimension))
    }

    /// One more than the index of its last element in the storage; zero if it has none.
    pub fn end(&self) -> Option<u64> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        let mut last = self.offset;
        for (dimension, stride) in self.shape.iter().zip(self.stride.iter()) {
            last = last.checked_add((dimension - 1).checked_mul(*stride)?)?;
        }
        last.checked_add(1)
    }
}

/// Why a storage cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// There are too many.
    Many,
    /// The same key stands for another size or type elsewhere.
    Contradiction,
    /// The key is too long or not text.
    Key,
}

/// The storages and tensors of a file.
#[derive(Debug, Clone, Default)]
pub struct Tensors {
    storages: Pages<Storage>,
    /// Where each storage is by its key, unless that is its place already: PyTorch counts.
    by_key: BTreeMap<Fingerprint, u32>,
    made: Pages<Tensor>,
    /// Every list of dimensions or strides that is in use.
    lists: BTreeSet<Arc<[u64]>>,
    /// How many bytes all this takes, roughly.
    spent: usize,
}

impl Tensors {
    /// Takes a storage as a persistent id names it.
    pub fn storage(&mut self, key: &[u8], element: Element, elements: u64) -> Result<u32, Unusable> {
        let key = std::str::from_utf8(key)
            .ok()
            .filter(|key| key.len() <= MAX_KEY_BYTES)
            .ok_or(Unusable::Key)?;
        if let Some(index) = self.find(key.as_bytes()) {
            let known = self.storage_at(index).ok_or(Unusable::Many)?;
            // PyTorch does not save a storage that is seen as different types.
            let same = (known.elements, known.element) == (elements, element);
            return if same {
                Ok(index)
            } else {
                Err(Unusable::Contradiction)
            };
        }
        if self.storages.len() >= MAX_TENSORS || elements.checked_mul(element.bytes).is_none() {
            return Err(Unusable::Many);
        }
        let index = u32::try_from(self.storages.len()).map_err(|_| Unusable::Many)?;
        self.spent += size_of::<Storage>();
        let named = Key::of(key);
        if named != Key::Number(index.into()) {
            self.spent += INDEX_BYTES;
            self.by_key.insert(Fingerprint::of(key.as_bytes()), index);
        }
        let storage = Storage {
            key: named,
            element,
            elements,
        };
        self.storages.push(storage);
        Ok(index)
    }

    /// Takes a tensor; `None` if there are too many.
    pub fn tensor(&mut self, tensor: Tensor) -> Option<u32> {
        if self.made.len() >= MAX_TENSORS {
            return None;
        }
        self.spent += size_of::<Tensor>();
        self.made.push(tensor);
        u32::try_from(self.made.len() - 1).ok()
    }

    /// A list of dimensions or strides, which tensors share.
    pub fn list(&mut self, list: &[u64]) -> Arc<[u64]> {
        if let Some(known) = self.lists.get(list) {
            return Arc::clone(known);
        }
        let list: Arc<[u64]> = list.into();
        self.spent += size_of_val::<[u64]>(&list) + INDEX_BYTES;
        self.lists.insert(Arc::clone(&list));
        list
    }

    /// How many bytes all this takes, roughly.
    pub fn spent(&self) -> usize {
        self.spent
    }

    /// A storage by its number.
    pub fn storage_at(&self, index: u32) -> Option<&Storage> {
        self.storages.get(usize::try_from(index).ok()?)
    }

    /// A storage by its key.
    pub fn storage_named(&self, key: &[u8]) -> Option<&Storage> {
        self.storage_at(self.find(key)?)
    }

    fn find(&self, key: &[u8]) -> Option<u32> {
        let counted = std::str::from_utf8(key).map(Key::of);
        if let Ok(Key::Number(number)) = counted
            && let Ok(index) = u32::try_from(number)
            && self
                .storage_at(index)
                .is_some_and(|storage| storage.key == Key::Number(number))
        {
            return Some(index);
        }
        self.by_key.get(&Fingerprint::of(key)).copied()
    }

    /// A tensor by its number.
    pub fn tensor_at(&self, index: u32) -> Option<&Tensor> {
        self.made.get(usize::try_from(index).ok()?)
    }

    /// How many storages there are.
    pub fn storages(&self) -> usize {
        self.storages.len()
    }

    /// The storages alone, when nothing more is made of them.
    pub fn into_storages(self) -> Vec<Storage> {
        self.storages.into_vec()
    }

    /// How many tensors are made, listed or not.
    pub fn made(&self) -> usize {
        self.made.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_ends_where_its_last_element_does() {
        let mut tensor = Tensor {
            element: Element::BYTES,
            shape: [2, 3].into(),
            stride: [3, 1].into(),
            storage: Some(0),
            offset: 4,
        };
        assert_eq!((tensor.elements(), tensor.end()), (Some(6), Some(10)));
        tensor.stride = [1, 2].into();
        assert_eq!(tensor.end(), Some(10));
        tensor.shape = [0, 3].into();
        assert_eq!((tensor.elements(), tensor.end()), (Some(0), Some(0)));
        tensor.shape = [u64::MAX, 3].into();
        assert_eq!((tensor.elements(), tensor.end()), (None, None));
    }

    #[test]
    fn one_key_is_one_storage() {
        let mut tensors = Tensors::default();
        let float = Element::of_storage("Float").unwrap();
        assert_eq!(tensors.storage(b"0", float, 6), Ok(0));
        assert_eq!(tensors.storage(b"0", float, 6), Ok(0));
        assert_eq!(tensors.storage(b"0", float, 7), Err(Unusable::Contradiction));
        assert_eq!(tensors.storage(b"1", float, 7), Ok(1));
    }
}
