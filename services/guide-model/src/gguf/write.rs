//! Writes the file: header, metadata, tensor table, padding, tensors.

use super::{ALIGNMENT, MAGIC, VERSION, kind, quantize, tensor};
use crate::chat::TEMPLATE;
use crate::model::{EPSILON, Layout, ROPE_BASE, Slot};
use crate::tokenizer::{self, Token};
use crate::training::Trained;

/// `general.file_type` of files that are mostly `Q8_0`.
const MOSTLY_Q8_0: u32 = 7;
/// `tokenizer.ggml.token_type` of plain and of control tokens.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;

/// The file's bytes.
pub fn write(trained: &Trained) -> Vec<u8> {
    let layout = Layout::new(&trained.config);
    let tensors = layout.tensors();
    let metadata = metadata(trained);
    let mut out = Vec::new();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&length(tensors.len()));
    out.extend_from_slice(&length(metadata.count));
    out.extend_from_slice(&metadata.bytes);
    let mut data = Vec::new();
    for (name, slot) in &tensors {
        string(&mut out, name);
        describe(&mut out, *slot, data.len());
        let values = slot.of(&trained.parameters);
        if slot.is_matrix() {
            quantize::quantize(values, &mut data);
        } else {
            data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
        pad(&mut data);
    }
    pad(&mut out);
    out.append(&mut data);
    out
}

/// A tensor's line in the table: dimensions, the fastest first, kind, place.
fn describe(out: &mut Vec<u8>, slot: Slot, offset: usize) {
    let dimensions: &[usize] = if slot.is_matrix() {
        &[slot.columns, slot.rows]
    } else {
        &[slot.columns]
    };
    out.extend_from_slice(&count(dimensions.len()).to_le_bytes());
    for &size in dimensions {
        out.extend_from_slice(&length(size));
    }
    let kind = if slot.is_matrix() {
        tensor::Q8_0
    } else {
        tensor::F32
    };
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&length(offset));
}

fn metadata(trained: &Trained) -> Metadata {
    let config = &trained.config;
    let vocabulary = &trained.tokenizer;
    let mut all = Metadata::default();
    all.string("general.architecture", "llama");
    all.string("general.type", "model");
    all.string("general.name", "Holdfast guide");
    all.string("general.license", "Apache-2.0");
    all.string(
        "general.description",
        "Answers questions about Holdfast. Knows nothing else.",
    );
    all.strings("general.languages", ["en".to_owned()].into_iter());
    all.number("general.file_type", MOSTLY_Q8_0);
    all.number("general.quantization_version", 2);
    all.number("llama.vocab_size", count(config.vocabulary));
    all.number("llama.context_length", count(config.context));
    all.number("llama.embedding_length", count(config.width));
    all.number("llama.block_count", count(config.blocks));
    all.number("llama.feed_forward_length", count(config.hidden));
    all.number("llama.attention.head_count", count(config.heads));
    all.number("llama.attention.head_count_kv", count(config.kv_heads));
    all.number("llama.rope.dimension_count", count(config.head_width()));
    all.real("llama.rope.freq_base", ROPE_BASE);
    all.real("llama.attention.layer_norm_rms_epsilon", EPSILON);
    all.string("tokenizer.ggml.model", "gpt2");
    all.string("tokenizer.ggml.pre", "gpt-2");
    let tokens = 0..Token::try_from(vocabulary.len()).unwrap_or(Token::MAX);
    all.strings(
        "tokenizer.ggml.tokens",
        tokens.clone().map(|token| vocabulary.written(token)),
    );
    let kinds = tokens.map(|token| {
        if tokenizer::is_control(token) {
            CONTROL
        } else {
            NORMAL
        }
    });
    all.integers("tokenizer.ggml.token_type", kinds);
    let pair = |&(a, b): &(Token, Token)| format!("{} {}", vocabulary.written(a), vocabulary.written(b));
    all.strings("tokenizer.ggml.merges", vocabulary.merges().iter().map(pair));
    all.number("tokenizer.ggml.bos_token_id", tokenizer::END_OF_TEXT);
    all.number("tokenizer.ggml.eos_token_id", tokenizer::MESSAGE_END);
    all.number("tokenizer.ggml.eot_token_id", tokenizer::MESSAGE_END);
    all.number("tokenizer.ggml.padding_token_id", tokenizer::END_OF_TEXT);
    all.flag("tokenizer.ggml.add_bos_token", false);
    all.flag("tokenizer.ggml.add_eos_token", false);
    all.string("tokenizer.chat_template", TEMPLATE);
    all
}

/// Key-value pairs in their written form.
#[derive(Default)]
struct Metadata {
    bytes: Vec<u8>,
    count: usize,
}

impl Metadata {
    fn key(&mut self, key: &str, kind: u32) {
        string(&mut self.bytes, key);
        self.bytes.extend_from_slice(&kind.to_le_bytes());
        self.count += 1;
    }

    fn string(&mut self, key: &str, value: &str) {
        self.key(key, kind::STRING);
        string(&mut self.bytes, value);
    }

    fn number(&mut self, key: &str, value: u32) {
        self.key(key, kind::U32);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn real(&mut self, key: &str, value: f32) {
        self.key(key, kind::F32);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn flag(&mut self, key: &str, value: bool) {
        self.key(key, kind::BOOL);
        self.bytes.push(u8::from(value));
    }

    fn strings(&mut self, key: &str, values: impl ExactSizeIterator<Item = String>) {
        self.key(key, kind::ARRAY);
        self.bytes.extend_from_slice(&kind::STRING.to_le_bytes());
        self.bytes.extend_from_slice(&length(values.len()));
        values.for_each(|value| string(&mut self.bytes, &value));
    }

    fn integers(&mut self, key: &str, values: impl ExactSizeIterator<Item = i32>) {
        self.key(key, kind::ARRAY);
        self.bytes.extend_from_slice(&kind::I32.to_le_bytes());
        self.bytes.extend_from_slice(&length(values.len()));
        values.for_each(|value| self.bytes.extend_from_slice(&value.to_le_bytes()));
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&length(text.len()));
    out.extend_from_slice(text.as_bytes());
}

fn length(value: usize) -> [u8; 8] {
    u64::try_from(value).unwrap_or(u64::MAX).to_le_bytes()
}

fn count(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
}
