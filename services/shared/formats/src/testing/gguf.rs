//! A writer for GGUF.

use std::collections::BTreeMap;

use super::{Built, weights};

/// A metadata value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Type 0.
    U8(u8),
    /// Type 1.
    I8(i8),
    /// Type 2.
    U16(u16),
    /// Type 3.
    I16(i16),
    /// Type 4.
    U32(u32),
    /// Type 5.
    I32(i32),
    /// Type 6.
    F32(f32),
    /// Type 7.
    Bool(bool),
    /// Type 8.
    String(Vec<u8>),
    /// Type 9: the type of the elements, and the elements.
    Array(u32, Vec<Value>),
    /// Type 10.
    U64(u64),
    /// Type 11.
    I64(i64),
    /// Type 12.
    F64(f64),
}

impl Value {
    /// A string.
    pub fn text(text: &str) -> Self {
        Self::String(text.into())
    }

    /// An array of strings.
    pub fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Array(8, texts.into_iter().map(Self::text).collect())
    }

    /// The number of its type.
    pub fn kind(&self) -> u32 {
        match self {
            Self::U8(_) => 0,
            Self::I8(_) => 1,
            Self::U16(_) => 2,
            Self::I16(_) => 3,
            Self::U32(_) => 4,
            Self::I32(_) => 5,
            Self::F32(_) => 6,
            Self::Bool(_) => 7,
            Self::String(_) => 8,
            Self::Array(..) => 9,
            Self::U64(_) => 10,
            Self::I64(_) => 11,
            Self::F64(_) => 12,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::U8(value) => out.extend(value.to_le_bytes()),
            Self::I8(value) => out.extend(value.to_le_bytes()),
            Self::U16(value) => out.extend(value.to_le_bytes()),
            Self::I16(value) => out.extend(value.to_le_bytes()),
            Self::U32(value) => out.extend(value.to_le_bytes()),
            Self::I32(value) => out.extend(value.to_le_bytes()),
            Self::F32(value) => out.extend(value.to_le_bytes()),
            Self::Bool(value) => out.push(u8::from(*value)),
            Self::U64(value) => out.extend(value.to_le_bytes()),
            Self::I64(value) => out.extend(value.to_le_bytes()),
            Self::F64(value) => out.extend(value.to_le_bytes()),
            Self::String(bytes) => {
                out.extend((bytes.len() as u64).to_le_bytes());
                out.extend(bytes);
            }
            Self::Array(kind, values) => {
                out.extend(kind.to_le_bytes());
                out.extend((values.len() as u64).to_le_bytes());
                for value in values {
                    value.write(out);
                }
            }
        }
    }
}

/// A tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Its dimensions, the row length first.
    pub dimensions: Vec<u64>,
    /// The number of its type.
    pub kind: u32,
    /// How many bytes its data takes.
    pub bytes: usize,
}

/// Writes a GGUF file field by field.
#[derive(Debug, Clone, PartialEq)]
pub struct GgufBuilder {
    version: u32,
    alignment: usize,
    keys: Vec<(String, Value)>,
    tensors: Vec<Tensor>,
}

impl Default for GgufBuilder {
    fn default() -> Self {
        Self {
            version: 3,
            alignment: 32,
            keys: Vec::new(),
            tensors: Vec::new(),
        }
    }
}

impl GgufBuilder {
    /// A file without keys and tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// A small file with everything that a chat model has. Not enough to run.
    pub fn llama() -> Self {
        let tokens = ["<unk>", "<s>", "</s>", "a", "b"];
        Self::new()
            .key("general.architecture", Value::text("llama"))
            .key("general.name", Value::text("Tiny Llama"))
            .key("llama.block_count", Value::U32(1))
            .key("llama.context_length", Value::U32(2048))
            .key("tokenizer.ggml.model", Value::text("llama"))
            .key("tokenizer.ggml.tokens", Value::texts(tokens))
            .key(
                "tokenizer.ggml.scores",
                Value::Array(6, vec![Value::F32(0.5); tokens.len()]),
            )
            .key(
                "tokenizer.ggml.token_type",
                Value::Array(5, vec![Value::I32(1); tokens.len()]),
            )
            .key("tokenizer.ggml.bos_token_id", Value::U32(1))
            .key("tokenizer.ggml.eos_token_id", Value::U32(2))
            .key("tokenizer.ggml.add_bos_token", Value::Bool(true))
            .key(
                "tokenizer.chat_template",
                Value::text("{{ messages[0]['content'] }}"),
            )
            .tensor("token_embd.weight", &[256, 5], 12, 5 * 144)
            .tensor("output_norm.weight", &[3], 0, 12)
            .tensor("output.weight", &[64, 3], 8, 6 * 34)
    }

    /// Sets the version.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Sets the alignment and writes it as `general.alignment`.
    #[must_use]
    pub fn alignment(mut self, alignment: u32) -> Self {
        self.alignment = usize::try_from(alignment).unwrap_or(1).max(1);
        self.set("general.alignment", Value::U32(alignment))
    }

    /// Adds a key.
    #[must_use]
    pub fn key(mut self, key: &str, value: Value) -> Self {
        self.keys.push((key.to_owned(), value));
        self
    }

    /// Adds a key or replaces its value.
    #[must_use]
    pub fn set(mut self, key: &str, value: Value) -> Self {
        match self.keys.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value,
            None => self.keys.push((key.to_owned(), value)),
        }
        self
    }

    /// Removes a key.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.keys.retain(|(known, _)| known != key);
        self
    }

    /// Adds a tensor whose data takes `bytes`.
    #[must_use]
    pub fn tensor(mut self, name: &str, dimensions: &[u64], kind: u32, bytes: usize) -> Self {
        self.tensors.push(Tensor {
            name: name.to_owned(),
            dimensions: dimensions.to_vec(),
            kind,
            bytes,
        });
        self
    }

    /// Removes all tensors.
    #[must_use]
    pub fn without_tensors(mut self) -> Self {
        self.tensors.clear();
        self
    }

    /// The file. Fields: `magic`, `version`, `tensor-count`, `key-count`; `key/<key>/length`, `…/key`, `…/type`, `…/value`;
    /// `tensor/<name>/length`, `…/name`, `…/dimensions`, `…/shape`, `…/type`, `…/offset`, `…/data`, `…/padding`; `padding`.
    pub fn build(&self) -> Built {
        let mut out = Vec::new();
        let mut marks = BTreeMap::new();
        let mut put = |out: &mut Vec<u8>, name: String, bytes: &[u8]| {
            marks.insert(name, out.len()..out.len() + bytes.len());
            out.extend_from_slice(bytes);
        };
        put(&mut out, "magic".into(), b"GGUF");
        put(&mut out, "version".into(), &self.version.to_le_bytes());
        put(
            &mut out,
            "tensor-count".into(),
            &(self.tensors.len() as u64).to_le_bytes(),
        );
        put(
            &mut out,
            "key-count".into(),
            &(self.keys.len() as u64).to_le_bytes(),
        );
        for (key, value) in &self.keys {
            let mut bytes = Vec::new();
            value.write(&mut bytes);
            put(
                &mut out,
                format!("key/{key}/length"),
                &(key.len() as u64).to_le_bytes(),
            );
            put(&mut out, format!("key/{key}/key"), key.as_bytes());
            put(&mut out, format!("key/{key}/type"), &value.kind().to_le_bytes());
            put(&mut out, format!("key/{key}/value"), &bytes);
        }
        let mut offset = 0_u64;
        for Tensor {
            name,
            dimensions,
            kind,
            bytes,
        } in &self.tensors
        {
            let shape: Vec<u8> = dimensions
                .iter()
                .flat_map(|dimension| dimension.to_le_bytes())
                .collect();
            put(
                &mut out,
                format!("tensor/{name}/length"),
                &(name.len() as u64).to_le_bytes(),
            );
            put(&mut out, format!("tensor/{name}/name"), name.as_bytes());
            let count = u32::try_from(dimensions.len()).unwrap_or(u32::MAX);
            put(
                &mut out,
                format!("tensor/{name}/dimensions"),
                &count.to_le_bytes(),
            );
            put(&mut out, format!("tensor/{name}/shape"), &shape);
            put(&mut out, format!("tensor/{name}/type"), &kind.to_le_bytes());
            put(&mut out, format!("tensor/{name}/offset"), &offset.to_le_bytes());
            offset += bytes.next_multiple_of(self.alignment) as u64;
        }
        let padding = out.len().next_multiple_of(self.alignment) - out.len();
        put(&mut out, "padding".into(), &vec![0; padding]);
        for Tensor { name, bytes, .. } in &self.tensors {
            let padding = bytes.next_multiple_of(self.alignment) - bytes;
            put(&mut out, format!("tensor/{name}/data"), &weights(*bytes));
            put(&mut out, format!("tensor/{name}/padding"), &vec![0; padding]);
        }
        Built { bytes: out, marks }
    }
}
