//! Inference and its worker, `holdfast-engine`: what they say to each other.
//!
//! The worker's standard input is the model; its standard output is a stream socket on which both sides write one JSON
//! object a line. The daemon sends [`Command`]s, the worker [`Report`]s. The worker has read an untrusted model, so the daemon
//! believes none of it: every line is bounded, every id is checked, and a worker that says something impossible is ended.

use serde::{Deserialize, Serialize};

use crate::inference::{FinishReason, Prompt, Sampling, TokenLogprob};
use crate::status::Confinement;

/// The longest line from the daemon to a worker, in bytes: a request of [`crate::limits::MAX_JSON_BYTES`] and its frame.
pub const MAX_COMMAND_BYTES: usize = (1 << 20) + (64 << 10);
/// The longest line from a worker to the daemon, in bytes.
pub const MAX_REPORT_BYTES: usize = 256 << 10;
/// The most values in one embedding.
pub const MAX_EMBEDDING_LENGTH: usize = 16 << 10;
/// The most texts in one embedding request.
pub const MAX_EMBEDDING_INPUTS: usize = 64;
/// The most stop texts in one request.
pub const MAX_STOPS: usize = 16;
/// The longest stop text, in bytes.
pub const MAX_STOP_BYTES: usize = 256;
/// The most biased tokens in one request.
pub const MAX_LOGIT_BIASES: usize = 300;
/// The most alternatives reported for each token.
pub const MAX_LOGPROBS: u32 = 20;
/// The longest reason for a refused model, in bytes.
pub const MAX_REASON_BYTES: usize = 512;

/// Exit status of a worker on a processor that lacks the instruction sets it was built for.
pub const EXIT_PROCESSOR: u8 = 78;

/// How the messages of a conversation become one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChatFormat {
    /// The chat template in the model file.
    Template,
    /// The chat template in the model file, after neighbouring messages of one speaker were joined and
    /// the system message was put before the first of the user's, because the template refused them as they were.
    Adapted,
    /// llama.cpp's own format for the family of models that the template or the vocabulary shows.
    Family,
    /// Plain lines such as `User: …`: the file has no template, or it must not or cannot be used.
    Plain,
}

impl ChatFormat {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Template => "template",
            Self::Adapted => "adapted",
            Self::Family => "family",
            Self::Plain => "plain",
        }
    }
}

/// How a worker shall load its model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineSettings {
    /// Requests generated at once.
    pub slots: u32,
    /// The most tokens of context for each slot; less where the model was made for less.
    pub context_tokens: u32,
    /// Threads that compute.
    pub threads: u32,
    /// The most prompt tokens computed in one step.
    pub batch_tokens: u32,
    /// Layers to place on an accelerator, in builds that have one.
    pub accelerator_layers: u32,
    /// The most address space that the worker may take besides the model file's size, in bytes.
    pub memory_bytes: u64,
    /// Whether the chat template in the file may be used.
    pub chat_template: bool,
}

/// A request for text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerateJob {
    /// Names the job in reports; never used twice for one worker.
    pub id: u64,
    /// What to continue.
    pub prompt: Prompt,
    /// How to choose tokens.
    pub sampling: Sampling,
    /// The most tokens to generate; none means up to the context's end.
    pub max_tokens: Option<u32>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// How many alternatives to report for each token; none reports no probabilities.
    pub logprobs: Option<u32>,
}

/// From the daemon to a worker, one a line. `Load` comes first, and once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// Confine yourself and load the model.
    Load(EngineSettings),
    /// Generate text; at most `slots` jobs at once.
    Generate(Box<GenerateJob>),
    /// Turn texts into vectors.
    Embed {
        /// Names the job in reports.
        id: u64,
        /// The texts.
        input: Vec<String>,
    },
    /// Stop a job. If it has not ended yet it fails with [`JobFailure::Cancelled`].
    Cancel {
        /// Which job.
        id: u64,
    },
}

/// Why a worker did not do a job. The daemon puts it into words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum JobFailure {
    /// The prompt does not fit.
    PromptTooLong {
        /// Its length.
        tokens: u64,
        /// The most that fits.
        limit: u64,
    },
    /// There is nothing to continue.
    PromptEmpty,
    /// A biased token does not exist in the model's vocabulary.
    UnknownToken {
        /// The token.
        token: u32,
    },
    /// The model makes embeddings only.
    NoText,
    /// The model cannot make embeddings.
    NoEmbeddings,
    /// A parameter is out of its range.
    OutOfRange,
    /// It was cancelled.
    Cancelled,
    /// No slot is free.
    Full,
    /// llama.cpp failed.
    Failed,
}

/// From a worker to the daemon, one a line. Each job ends with exactly one `Done`, `Failed` or last `Vector`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "kebab-case")]
pub enum Report {
    /// The worker has confined itself and now reads the model.
    Confined(Confinement),
    /// The model is loaded.
    Loaded {
        /// Requests that can be generated at once.
        slots: u32,
        /// Context of each slot, in tokens.
        context_tokens: u32,
        /// How conversations are formatted, as far as can be told beforehand.
        format: ChatFormat,
    },
    /// The model cannot be loaded. The worker ends.
    Refused {
        /// Why, in llama.cpp's words; untrusted.
        reason: String,
    },
    /// A prompt is being read; sent now and then while there is no other sign of life.
    Reading {
        /// Of which job.
        id: u64,
    },
    /// Text was generated.
    Token {
        /// For which job.
        id: u64,
        /// How many tokens it took, at least one.
        tokens: u32,
        /// Complete characters.
        text: String,
        /// Probabilities, where asked for.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        logprobs: Vec<TokenLogprob>,
    },
    /// A generate job ended well.
    Done {
        /// Which job.
        id: u64,
        /// Why it ended.
        finish: FinishReason,
        /// Tokens in its prompt.
        prompt_tokens: u32,
        /// Tokens generated.
        completion_tokens: u32,
        /// How its conversation was formatted; none for a plain text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        format: Option<ChatFormat>,
    },
    /// One text of an embedding job is done.
    Vector {
        /// Which job.
        id: u64,
        /// The vector, of unit length.
        vector: Vec<f32>,
        /// Tokens in the text.
        tokens: u32,
    },
    /// A job ended badly.
    Failed {
        /// Which job.
        id: u64,
        /// Why.
        failure: JobFailure,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_and_a_report_read_back_as_they_were_written() {
        let command = Command::Cancel { id: 7 };
        let text = serde_json::to_string(&command).unwrap();
        assert_eq!(text, r#"{"command":"cancel","id":7}"#);
        assert_eq!(serde_json::from_str::<Command>(&text).unwrap(), command);

        let report = Report::Failed {
            id: 3,
            failure: JobFailure::PromptTooLong { tokens: 9, limit: 4 },
        };
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(
            text,
            r#"{"report":"failed","id":3,"failure":{"reason":"prompt-too-long","tokens":9,"limit":4}}"#
        );
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}
