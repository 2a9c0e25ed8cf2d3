//! Makes small `LLaMA` models with random weights, as GGUF files, for tests.

#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::cast_precision_loss, reason = "random weights need no more")]

use std::io::Write as _;

/// What a model shall be like.
#[derive(Debug, Clone)]
pub struct Spec {
    pub template: Option<String>,
    pub tokenizer: Tokenizer,
    pub architecture: String,
    pub context: u32,
    pub embedding: u32,
    pub layers: u32,
    pub heads: u32,
    pub feed_forward: u32,
    pub seed: u64,
    pub add_bos: bool,
    /// Control tokens after the first three.
    pub control: Vec<String>,
    /// Left out, to make a file that llama.cpp refuses.
    pub omit_tensor: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokenizer {
    /// `SentencePiece` with byte fallback.
    Spm,
    /// Byte-level BPE.
    Bpe,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            template: None,
            tokenizer: Tokenizer::Spm,
            architecture: "llama".to_owned(),
            context: 256,
            embedding: 32,
            layers: 2,
            heads: 4,
            feed_forward: 64,
            seed: 1,
            add_bos: true,
            control: ["<|im_start|>", "<|im_end|>"].map(str::to_owned).to_vec(),
            omit_tensor: None,
        }
    }
}

/// `ChatML`, as Qwen and many others use it.
pub const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

enum Value {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    F32s(Vec<f32>),
    I32s(Vec<i32>),
}

struct Token {
    text: String,
    score: f32,
    kind: i32,
}

const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const BYTE: i32 = 6;

impl Spec {
    /// The tokens, in the order of their ids.
    fn tokens(&self) -> Vec<Token> {
        let token = |text: &str, kind| Token {
            text: text.to_owned(),
            score: 0.0,
            kind,
        };
        let mut tokens = vec![
            token("<unk>", UNKNOWN),
            token("<s>", CONTROL),
            token("</s>", CONTROL),
        ];
        tokens.extend(self.control.iter().map(|text| token(text, CONTROL)));
        match self.tokenizer {
            Tokenizer::Spm => {
                tokens.extend((0..=255_u8).map(|byte| token(&format!("<0x{byte:02X}>"), BYTE)));
                let words = [
                    "\u{2581}",
                    "\u{2581}t",
                    "he",
                    "\u{2581}the",
                    "in",
                    "er",
                    "user",
                    "Us",
                    "an",
                    "on",
                    "€",
                    "é",
                ];
                let letters = (b' ' + 1..=b'~').map(|byte| char::from(byte).to_string());
                for (at, text) in words
                    .iter()
                    .map(|word| (*word).to_owned())
                    .chain(letters)
                    .enumerate()
                {
                    let score = -(f32::from(u16::try_from(at).unwrap()));
                    tokens.push(Token {
                        text,
                        score,
                        kind: NORMAL,
                    });
                }
            }
            Tokenizer::Bpe => {
                tokens.extend((0..=255_u8).map(|byte| token(&byte_character(byte).to_string(), NORMAL)));
                tokens.extend(
                    MERGES
                        .iter()
                        .map(|(one, other)| token(&format!("{one}{other}"), NORMAL)),
                );
            }
        }
        tokens
    }

    /// How many tokens there are.
    pub fn vocabulary(&self) -> usize {
        self.tokens().len()
    }

    /// The bytes of the GGUF file.
    pub fn gguf(&self) -> Vec<u8> {
        let tokens = self.tokens();
        let prefix = self.architecture.clone();
        let key = |name: &str| format!("{prefix}.{name}");
        let mut metadata = vec![
            (
                "general.architecture".to_owned(),
                Value::Text(self.architecture.clone()),
            ),
            (key("context_length"), Value::U32(self.context)),
            (key("embedding_length"), Value::U32(self.embedding)),
            (key("block_count"), Value::U32(self.layers)),
            (key("feed_forward_length"), Value::U32(self.feed_forward)),
            (key("attention.head_count"), Value::U32(self.heads)),
            (key("attention.head_count_kv"), Value::U32(self.heads)),
            (key("attention.layer_norm_rms_epsilon"), Value::F32(1e-5)),
            (
                key("rope.dimension_count"),
                Value::U32(self.embedding / self.heads),
            ),
            (
                "tokenizer.ggml.tokens".to_owned(),
                Value::Texts(tokens.iter().map(|t| t.text.clone()).collect()),
            ),
            (
                "tokenizer.ggml.token_type".to_owned(),
                Value::I32s(tokens.iter().map(|t| t.kind).collect()),
            ),
            ("tokenizer.ggml.bos_token_id".to_owned(), Value::U32(1)),
            ("tokenizer.ggml.eos_token_id".to_owned(), Value::U32(2)),
            ("tokenizer.ggml.unknown_token_id".to_owned(), Value::U32(0)),
            (
                "tokenizer.ggml.add_bos_token".to_owned(),
                Value::Bool(self.add_bos),
            ),
        ];
        match self.tokenizer {
            Tokenizer::Spm => {
                metadata.push(("tokenizer.ggml.model".to_owned(), Value::Text("llama".to_owned())));
                let scores = tokens.iter().map(|token| token.score).collect();
                metadata.push(("tokenizer.ggml.scores".to_owned(), Value::F32s(scores)));
            }
            Tokenizer::Bpe => {
                metadata.push(("tokenizer.ggml.model".to_owned(), Value::Text("gpt2".to_owned())));
                metadata.push((
                    "tokenizer.ggml.pre".to_owned(),
                    Value::Text("llama-bpe".to_owned()),
                ));
                let merges = MERGES
                    .iter()
                    .map(|(one, other)| format!("{one} {other}"))
                    .collect();
                metadata.push(("tokenizer.ggml.merges".to_owned(), Value::Texts(merges)));
            }
        }
        if let Some(template) = &self.template {
            metadata.push((
                "tokenizer.chat_template".to_owned(),
                Value::Text(template.clone()),
            ));
        }
        write(&metadata, &self.tensors(tokens.len()), self.seed)
    }

    /// A file with the model, open for reading, that has no name any more.
    pub fn file(&self) -> std::fs::File {
        use std::io::Seek as _;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&self.gguf()).unwrap();
        file.rewind().unwrap();
        file
    }

    fn tensors(&self, vocabulary: usize) -> Vec<(String, Vec<u64>)> {
        let (embedding, forward) = (u64::from(self.embedding), u64::from(self.feed_forward));
        let vocabulary = vocabulary as u64;
        let mut tensors = vec![("token_embd.weight".to_owned(), vec![embedding, vocabulary])];
        for layer in 0..self.layers {
            let mut tensor = |name: &str, shape: &[u64]| {
                tensors.push((format!("blk.{layer}.{name}.weight"), shape.to_vec()));
            };
            tensor("attn_norm", &[embedding]);
            tensor("attn_q", &[embedding, embedding]);
            tensor("attn_k", &[embedding, embedding]);
            tensor("attn_v", &[embedding, embedding]);
            tensor("attn_output", &[embedding, embedding]);
            tensor("ffn_norm", &[embedding]);
            tensor("ffn_gate", &[embedding, forward]);
            tensor("ffn_up", &[embedding, forward]);
            tensor("ffn_down", &[forward, embedding]);
        }
        tensors.push(("output_norm.weight".to_owned(), vec![embedding]));
        tensors.push(("output.weight".to_owned(), vec![embedding, vocabulary]));
        tensors.retain(|(name, _)| Some(name) != self.omit_tensor.as_ref());
        tensors
    }
}

const MERGES: [(&str, &str); 8] = [
    ("h", "e"),
    ("i", "n"),
    ("\u{120}", "t"),
    ("\u{120}t", "he"),
    ("e", "r"),
    ("u", "s"),
    ("us", "er"),
    ("o", "n"),
];

/// GPT-2's printable stand-in for a byte.
fn byte_character(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if printable(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|other| !printable(*other)).count();
    char::from_u32(256 + u32::try_from(before).unwrap()).unwrap()
}

const ALIGNMENT: usize = 32;

fn write(metadata: &[(String, Value)], tensors: &[(String, Vec<u64>)], seed: u64) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(3_u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        text(&mut out, key);
        match value {
            Value::U32(value) => {
                out.extend(4_u32.to_le_bytes());
                out.extend(value.to_le_bytes());
            }
            Value::F32(value) => {
                out.extend(6_u32.to_le_bytes());
                out.extend(value.to_le_bytes());
            }
            Value::Bool(value) => {
                out.extend(7_u32.to_le_bytes());
                out.push(u8::from(*value));
            }
            Value::Text(value) => {
                out.extend(8_u32.to_le_bytes());
                text(&mut out, value);
            }
            Value::Texts(values) => {
                array(&mut out, 8, values.len());
                for value in values {
                    text(&mut out, value);
                }
            }
            Value::F32s(values) => {
                array(&mut out, 6, values.len());
                out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
            Value::I32s(values) => {
                array(&mut out, 5, values.len());
                out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
        }
    }
    let mut offset = 0_usize;
    for (name, shape) in tensors {
        text(&mut out, name);
        out.extend(u32::try_from(shape.len()).unwrap().to_le_bytes());
        out.extend(shape.iter().flat_map(|extent| extent.to_le_bytes()));
        out.extend(0_u32.to_le_bytes());
        out.extend((offset as u64).to_le_bytes());
        offset += (elements(shape) * 4).next_multiple_of(ALIGNMENT);
    }
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for (name, shape) in tensors {
        let scale = if name.ends_with("norm.weight") {
            0.0
        } else {
            3.0 / (shape[0] as f32).sqrt()
        };
        let base = if scale == 0.0 { 1.0 } else { 0.0 };
        for _ in 0..elements(shape) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let unit = (random >> 40) as f32 / (1_u32 << 24) as f32 - 0.5;
            out.extend((base + unit * scale).to_le_bytes());
        }
        out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
    }
    out
}

fn elements(shape: &[u64]) -> usize {
    usize::try_from(shape.iter().product::<u64>()).unwrap()
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn array(out: &mut Vec<u8>, kind: u32, length: usize) {
    out.extend(9_u32.to_le_bytes());
    out.extend(kind.to_le_bytes());
    out.extend((length as u64).to_le_bytes());
}
