//! Reads back a file that [`super::write`](super::write()) wrote, for checking and asking. It takes the shape that the
//! writer makes and no other; models of unknown origin are for quarantine, not for this.

use std::collections::HashMap;
use std::sync::Arc;

use super::quantize::{self, BLOCK, BLOCK_BYTES};
use super::{ALIGNMENT, MAGIC, MAX_BYTES, VERSION, kind, tensor};
use crate::model::{Config, Layout};
use crate::tokenizer::{CONTROL, Token, Tokenizer, TokenizerError};
use crate::training::Trained;

/// Most tokens and most of any other size in a file.
const MAX_SIZE: u32 = 1 << 16;

/// Why a file is not a guide model.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is longer than a guide model may be.
    #[error("the file has {length} bytes, more than {MAX_BYTES}")]
    Large {
        /// Its length.
        length: usize,
    },
    /// It does not begin as a GGUF file of version 3.
    #[error("not a GGUF file of version {VERSION}")]
    Magic,
    /// It ends early.
    #[error("the file ends inside what begins at byte {offset}")]
    Short {
        /// Where.
        offset: usize,
    },
    /// Something goes on after the last tensor.
    #[error("{count} bytes follow the last tensor")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// Padding holds something.
    #[error("the padding at byte {offset} is not zero")]
    Padding {
        /// Where.
        offset: usize,
    },
    /// A metadata value is missing or of another kind than written by this program.
    #[error("metadata {key} is missing or not what a guide model has")]
    Metadata {
        /// Which.
        key: String,
    },
    /// A tensor is missing, out of order, or of another shape.
    #[error("tensor {name} is not where or what it should be")]
    Tensor {
        /// Which should be there.
        name: String,
    },
    /// The merges make no tokenizer.
    #[error("the vocabulary is not consistent")]
    Tokenizer(#[from] TokenizerError),
}

/// Reads a guide model.
///
/// # Errors
/// When the file is not one that this program writes.
pub fn read(bytes: &[u8]) -> Result<Trained, ReadError> {
    if bytes.len() > MAX_BYTES {
        return Err(ReadError::Large { length: bytes.len() });
    }
    let mut input = Input { bytes, at: 0 };
    let (tensors, metadata) = header(&mut input)?;
    let tokenizer = tokenizer(&metadata)?;
    let config = config(&metadata, tokenizer.len())?;
    let layout = Layout::new(&config);
    let mut places = Vec::new();
    for (name, slot) in layout.tensors() {
        let dimensions = if slot.is_matrix() {
            vec![slot.columns, slot.rows]
        } else {
            vec![slot.columns]
        };
        let kind = if slot.is_matrix() {
            tensor::Q8_0
        } else {
            tensor::F32
        };
        let mut matches = input.string()? == name.as_bytes() && input.number()? as usize == dimensions.len();
        for size in dimensions {
            matches = matches && input.long()? == size;
        }
        if !matches || input.number()? != kind {
            return Err(ReadError::Tensor { name });
        }
        places.push((name, slot, input.long()?));
    }
    if tensors != places.len() {
        return Err(ReadError::Tensor {
            name: "of the next block".to_owned(),
        });
    }
    input.padding()?;
    let start = input.at;
    let mut parameters = vec![0.0; layout.parameters()];
    for (name, slot, offset) in places {
        if start + offset != input.at {
            return Err(ReadError::Tensor { name });
        }
        let values = slot.of_mut(&mut parameters);
        if slot.is_matrix() {
            let raw = input.take(values.len() / BLOCK * BLOCK_BYTES)?;
            values
                .iter_mut()
                .zip(quantize::dequantize(raw))
                .for_each(|(value, read)| *value = read);
        } else {
            let raw = input.take(values.len() * 4)?.as_chunks::<4>().0;
            values
                .iter_mut()
                .zip(raw)
                .for_each(|(value, raw)| *value = f32::from_le_bytes(*raw));
        }
        input.padding()?;
    }
    match bytes.len() - input.at {
        0 => Ok(Trained {
            tokenizer: Arc::new(tokenizer),
            config,
            parameters,
        }),
        count => Err(ReadError::Trailing { count }),
    }
}

/// Where the padding between the tensor table and the tensors is, with its length.
#[cfg(test)]
pub fn padding(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut input = Input { bytes, at: 0 };
    let (tensors, _) = header(&mut input).ok()?;
    for _ in 0..tensors {
        input.string().ok()?;
        let dimensions = input.number().ok()?;
        (0..dimensions).try_for_each(|_| input.long().map(drop)).ok()?;
        input.take(12).ok()?;
    }
    let length = input.at.next_multiple_of(ALIGNMENT) - input.at;
    (length > 0).then_some((input.at, length))
}

/// A metadata value; the file uses no other kinds.
enum Value {
    Number(u32),
    Strings(Vec<Vec<u8>>),
    Other,
}

fn header(input: &mut Input<'_>) -> Result<(usize, HashMap<String, Value>), ReadError> {
    if input.take(4)? != MAGIC || input.number()? != VERSION {
        return Err(ReadError::Magic);
    }
    let tensors = input.long()?;
    let count = input.long()?;
    let mut metadata = HashMap::new();
    for _ in 0..count {
        let key = String::from_utf8_lossy(input.string()?).into_owned();
        let value = match input.number()? {
            kind::U32 => Value::Number(input.number()?),
            kind::F32 => input.number().map(|_| Value::Other)?,
            kind::BOOL => input.take(1).map(|_| Value::Other)?,
            kind::STRING => input.string().map(|_| Value::Other)?,
            kind::ARRAY => match (input.number()?, input.long()?) {
                (kind::STRING, count) => Value::Strings(
                    (0..count)
                        .map(|_| input.string().map(<[u8]>::to_vec))
                        .collect::<Result<_, _>>()?,
                ),
                (kind::I32, count) => input.take(count.saturating_mul(4)).map(|_| Value::Other)?,
                _ => return Err(ReadError::Metadata { key }),
            },
            _ => return Err(ReadError::Metadata { key }),
        };
        metadata.insert(key, value);
    }
    Ok((tensors, metadata))
}

fn config(metadata: &HashMap<String, Value>, vocabulary: usize) -> Result<Config, ReadError> {
    let size = |name: &str| match metadata.get(&format!("llama.{name}")) {
        Some(&Value::Number(number @ 1..=MAX_SIZE)) => Ok(number as usize),
        _ => Err(ReadError::Metadata {
            key: format!("llama.{name}"),
        }),
    };
    let config = Config {
        vocabulary: size("vocab_size")?,
        width: size("embedding_length")?,
        blocks: size("block_count")?,
        heads: size("attention.head_count")?,
        kv_heads: size("attention.head_count_kv")?,
        hidden: size("feed_forward_length")?,
        context: size("context_length")?,
    };
    // Also bounds what is allocated: no file of the allowed length holds more.
    let fits = config.vocabulary == vocabulary
        && config.width.is_multiple_of(config.heads)
        && config.heads.is_multiple_of(config.kv_heads)
        && config.width.is_multiple_of(BLOCK)
        && config.hidden.is_multiple_of(BLOCK)
        && config.blocks * config.width * (config.width + config.hidden) <= MAX_BYTES;
    if fits {
        Ok(config)
    } else {
        Err(ReadError::Metadata {
            key: "llama.*".to_owned(),
        })
    }
}

fn tokenizer(metadata: &HashMap<String, Value>) -> Result<Tokenizer, ReadError> {
    let strings = |key: &str| match metadata.get(key) {
        Some(Value::Strings(strings)) => Ok(strings),
        _ => Err(ReadError::Metadata { key: key.to_owned() }),
    };
    let tokens = strings("tokenizer.ggml.tokens")?;
    let numbers: HashMap<&[u8], Token> = (0..)
        .zip(tokens)
        .map(|(token, written)| (written.as_slice(), token))
        .collect();
    let pair = |written: &Vec<u8>| {
        let at = written.iter().position(|&byte| byte == b' ')?;
        Some((*numbers.get(&written[..at])?, *numbers.get(&written[at + 1..])?))
    };
    let merges = strings("tokenizer.ggml.merges")?
        .iter()
        .map(pair)
        .collect::<Option<Vec<_>>>();
    let bad = |key: &str| ReadError::Metadata { key: key.to_owned() };
    let tokenizer = Tokenizer::new(merges.ok_or_else(|| bad("tokenizer.ggml.merges"))?)?;
    let same = tokens.len() == tokenizer.len()
        && (0..)
            .zip(tokens)
            .all(|(token, written)| tokenizer.written(token).as_bytes() == written.as_slice())
        && tokens
            .iter()
            .zip(CONTROL)
            .all(|(written, control)| written == control.as_bytes());
    if same {
        Ok(tokenizer)
    } else {
        Err(bad("tokenizer.ggml.tokens"))
    }
}

/// The bytes with a place in them.
struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], ReadError> {
        let short = ReadError::Short { offset: self.at };
        let end = self
            .at
            .checked_add(count)
            .ok_or(ReadError::Short { offset: self.at })?;
        let taken = self.bytes.get(self.at..end).ok_or(short)?;
        self.at = end;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32, ReadError> {
        let raw = self.take(4)?;
        Ok(raw
            .iter()
            .rev()
            .fold(0, |number, &byte| number << 8 | u32::from(byte)))
    }

    /// A 64-bit length; one beyond what memory can hold cannot be followed by as many bytes.
    fn long(&mut self) -> Result<usize, ReadError> {
        let at = self.at;
        let (low, high) = (self.number()?, self.number()?);
        if high == 0 {
            Ok(low as usize)
        } else {
            Err(ReadError::Short { offset: at })
        }
    }

    fn string(&mut self) -> Result<&'a [u8], ReadError> {
        let length = self.long()?;
        self.take(length)
    }

    fn padding(&mut self) -> Result<(), ReadError> {
        let offset = self.at;
        let padding = self.take(self.at.next_multiple_of(ALIGNMENT) - self.at)?;
        if padding.iter().all(|&byte| byte == 0) {
            Ok(())
        } else {
            Err(ReadError::Padding { offset })
        }
    }
}
