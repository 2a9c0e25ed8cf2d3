//! Models that say what a test wants them to say: real ones, which the real engine runs.
//!
//! A parrot's weights lead from each token to exactly one next token, so with any sampling it recites its script after
//! whatever it was asked. Layers of zeros change nothing and cost time: they make it slow.

use holdfast_formats::testing::{GgufBuilder, Value};

/// How many dimensions an embedding has: one for each token of the vocabulary, and then some.
const WIDTH: usize = 512;
/// How wide a layer of zeros is in its middle.
const FORWARD: usize = 8192;
/// The token that ends the prompt.
const GO: usize = 3;
/// The first token with text of the script: after four special ones and one for each byte.
const SCRIPT: usize = 4 + 256;

/// A model that recites.
#[derive(Debug, Clone)]
pub struct Parrot {
    name: String,
    script: Vec<String>,
    endless: bool,
    layers: usize,
}

impl Parrot {
    /// One that says these pieces, one token each, and then ends its turn. A space is written as such.
    pub fn reciting(name: &str, script: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            script: script
                .iter()
                .map(|piece| piece.replace(' ', "\u{2581}"))
                .collect(),
            endless: false,
            layers: 1,
        }
    }

    /// One that ticks for as long as it is let, and takes its time: some hundred tokens a second at most.
    pub fn ticking() -> Self {
        Self {
            endless: true,
            layers: 4,
            ..Self::reciting("clock", &[" tick", " tock"])
        }
    }

    /// The file.
    pub fn gguf(&self) -> Vec<u8> {
        let mut tokens: Vec<(String, i32)> = vec![
            ("<unk>".to_owned(), 2),
            ("<s>".to_owned(), 3),
            ("</s>".to_owned(), 3),
            ("<|go|>".to_owned(), 3),
        ];
        tokens.extend((0..=255).map(|byte: u8| (format!("<0x{byte:02X}>"), 6)));
        tokens.extend(self.script.iter().map(|piece| (piece.clone(), 1)));
        let count = tokens.len();
        assert!(count <= WIDTH, "the script is too long");

        let number = |value: usize| Value::U32(u32::try_from(value).unwrap());
        let heads = 8;
        let mut file = GgufBuilder::new()
            .key("general.architecture", Value::text("llama"))
            .key("general.name", Value::text(&self.name))
            .key("llama.context_length", Value::U32(4096))
            .key("llama.embedding_length", number(WIDTH))
            .key("llama.block_count", number(self.layers))
            .key("llama.feed_forward_length", number(FORWARD))
            .key("llama.attention.head_count", number(heads))
            .key("llama.attention.head_count_kv", number(heads))
            .key("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5))
            .key("llama.rope.dimension_count", number(WIDTH / heads))
            .key("tokenizer.ggml.model", Value::text("llama"))
            .key(
                "tokenizer.ggml.tokens",
                Value::texts(tokens.iter().map(|(text, _)| text.as_str())),
            )
            .key(
                "tokenizer.ggml.scores",
                Value::Array(6, vec![Value::F32(0.0); count]),
            )
            .key(
                "tokenizer.ggml.token_type",
                Value::Array(5, tokens.iter().map(|(_, kind)| Value::I32(*kind)).collect()),
            )
            .key("tokenizer.ggml.bos_token_id", Value::U32(1))
            .key("tokenizer.ggml.eos_token_id", Value::U32(2))
            .key("tokenizer.ggml.unknown_token_id", Value::U32(0))
            .key("tokenizer.ggml.add_bos_token", Value::Bool(true))
            .key(
                "tokenizer.chat_template",
                Value::text("{% for message in messages %}{{ message['content'] }}{% endfor %}<|go|>"),
            );

        let mut data: Vec<(String, Vec<u8>)> = Vec::new();
        let (width, vocabulary) = (WIDTH as u64, count as u64);
        let mut floats = |file: GgufBuilder, name: &str, shape: &[u64], values: &[f32]| {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let file = file.tensor(name, shape, 0, bytes.len());
            data.push((name.to_owned(), bytes));
            file
        };
        // Token n is a one in dimension n …
        let mut embedding = vec![0.0; WIDTH * count];
        (0..count).for_each(|token| embedding[token * WIDTH + token] = 1.0);
        file = floats(file, "token_embd.weight", &[width, vocabulary], &embedding);
        // … and each token is likely exactly after the one before it.
        let mut output = vec![0.0; WIDTH * count];
        let mut follow = |before: usize, after: usize| output[after * WIDTH + before] = 2.0;
        let last = SCRIPT + self.script.len() - 1;
        follow(GO, SCRIPT);
        (SCRIPT..last).for_each(|token| follow(token, token + 1));
        follow(last, if self.endless { SCRIPT } else { 2 });
        file = floats(file, "output.weight", &[width, vocabulary], &output);
        let ones = vec![1.0; WIDTH];
        file = floats(file, "output_norm.weight", &[width], &ones);
        for layer in 0..self.layers {
            for norm in ["attn_norm", "ffn_norm"] {
                file = floats(file, &format!("blk.{layer}.{norm}.weight"), &[width], &ones);
            }
        }
        let forward = FORWARD as u64;
        for layer in 0..self.layers {
            for (name, shape) in [
                ("attn_q", [width, width]),
                ("attn_k", [width, width]),
                ("attn_v", [width, width]),
                ("attn_output", [width, width]),
                ("ffn_gate", [width, forward]),
                ("ffn_up", [width, forward]),
                ("ffn_down", [forward, width]),
            ] {
                // Q8_0: 34 bytes for 32 weights.
                let bytes = usize::try_from(shape[0] * shape[1]).unwrap() / 32 * 34;
                let name = format!("blk.{layer}.{name}.weight");
                file = file.tensor(&name, &shape, 8, bytes);
                data.push((name, vec![0; bytes]));
            }
        }
        let mut built = file.build();
        for (name, bytes) in data {
            let place = built.mark(&format!("tensor/{name}/data"));
            built.bytes[place].copy_from_slice(&bytes);
        }
        built.bytes
    }
}
