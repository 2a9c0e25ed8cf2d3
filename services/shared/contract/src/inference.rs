//! Inference: generating text and embeddings.
//!
//! `generate`: `POST /v1/generate` answers a stream of [`GenerateEvent`], one JSON object a line;
//! `POST /v1/embed` answers [`Embeddings`]. `admin`: `GET /v1/engines` ([`Engines`]),
//! `POST /v1/unload` ([`Unload`], answered by [`Engines`]), `GET /v1/status` ([`crate::status::ServiceStatus`]).
//! A caller that closes its connection cancels its request.

use serde::{Deserialize, Serialize};

use crate::{Digest, Problem};

/// Who said a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaker {
    /// Instructions of the application.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Who said it.
    pub role: Speaker,
    /// What was said.
    pub content: String,
}

/// What to continue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prompt {
    /// A conversation, formatted with the model's own chat template.
    Messages(Vec<Message>),
    /// Plain text, continued as it stands.
    Text(String),
}

/// How the next token is chosen. The defaults are those of the `OpenAI` API, except that `top_k`, `min_p` and
/// `repeat_penalty`, which it does not know, default to "off".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// 0 is greedy; at most 2.
    pub temperature: f32,
    /// Nucleus sampling, in (0, 1].
    pub top_p: f32,
    /// Keep only the k most likely tokens; 0 keeps all.
    pub top_k: u32,
    /// Keep tokens at least this likely relative to the best; 0 keeps all.
    pub min_p: f32,
    /// −2 to 2.
    pub presence_penalty: f32,
    /// −2 to 2.
    pub frequency_penalty: f32,
    /// 1 is off.
    pub repeat_penalty: f32,
    /// Makes the draw repeatable.
    pub seed: Option<u32>,
    /// Added to the logits of the given token ids, −100 to 100; at most 300.
    pub logit_bias: Vec<(u32, f32)>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            repeat_penalty: 1.0,
            seed: None,
            logit_bias: Vec::new(),
        }
    }
}

/// Body of `POST /v1/generate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerateRequest {
    /// Which model.
    pub model: Digest,
    /// What to continue.
    pub prompt: Prompt,
    /// How to choose tokens.
    #[serde(default)]
    pub sampling: Sampling,
    /// The most tokens to generate; none means up to the context's end.
    #[serde(default)]
    pub max_tokens: Option<u32>,
    /// Texts that end the answer; not part of it. At most 16 of at most 256 bytes.
    #[serde(default)]
    pub stop: Vec<String>,
    /// How many alternatives to report for each token, 0 to 20; none reports no probabilities.
    #[serde(default)]
    pub logprobs: Option<u32>,
}

/// A token with its log probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenLogprob {
    /// The token's text, with invalid UTF-8 replaced.
    pub token: String,
    /// The token's bytes.
    pub bytes: Vec<u8>,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// The most likely tokens at this place, most likely first; each with an empty list of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<TokenLogprob>,
}

/// Why generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinishReason {
    /// The model ended its turn, or a stop text was met.
    Stop,
    /// `max_tokens` or the context was used up.
    Length,
}

/// What a request cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Tokens in the prompt.
    pub prompt_tokens: u32,
    /// Tokens generated.
    pub completion_tokens: u32,
    /// Time from the request to the first token, in milliseconds.
    pub first_token_ms: f64,
    /// Time from the first to the last token, in milliseconds.
    pub generation_ms: f64,
}

/// What the answer to a generate request streams. The last event is `Done` or `Failed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum GenerateEvent {
    /// Waiting behind this many other requests.
    Queued {
        /// Requests ahead.
        ahead: u32,
    },
    /// The model is being loaded.
    Loading,
    /// Text was generated.
    Token {
        /// Valid UTF-8; characters that span tokens are held back until complete.
        text: String,
        /// Probabilities of the tokens in `text`, where asked for.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        logprobs: Vec<TokenLogprob>,
    },
    /// Ended well.
    Done {
        /// Why it ended.
        finish: FinishReason,
        /// What it cost.
        usage: Usage,
    },
    /// Ended badly.
    Failed {
        /// Why.
        problem: Problem,
    },
}

/// Body of `POST /v1/embed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedRequest {
    /// Which model.
    pub model: Digest,
    /// Texts to embed, at most 64.
    pub input: Vec<String>,
}

/// Answer of `POST /v1/embed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embeddings {
    /// One vector of unit length for each input.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens read.
    pub prompt_tokens: u32,
}

/// A worker with a loaded model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// The model.
    pub model: Digest,
    /// The worker's process id.
    pub pid: u32,
    /// Requests being generated.
    pub active: u32,
    /// Requests waiting.
    pub queued: u32,
    /// Requests that can be generated at once.
    pub slots: u32,
    /// Context of each slot, in tokens.
    pub context_tokens: u32,
    /// Seconds since the last request ended; 0 while one is active.
    pub idle_seconds: u64,
}

/// Answer of `GET /v1/engines` on `admin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engines {
    /// The loaded engines.
    pub engines: Vec<Engine>,
    /// What llama.cpp was built for: `cpu`, `cuda`, `rocm` or `vulkan`.
    pub backend: String,
}

/// Body of `POST /v1/unload` on `admin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unload {
    /// Which model's engine to stop.
    pub model: Digest,
}
