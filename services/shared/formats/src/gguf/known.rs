//! The metadata keys whose values matter to the inspection.

use super::types::ValueType;

/// A key that the inspection looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// `general.architecture`.
    Architecture,
    /// `general.name`.
    Name,
    /// `general.alignment`.
    Alignment,
    /// `split.no`.
    SplitNumber,
    /// `split.count`.
    SplitCount,
    /// `split.tensors.count`.
    SplitTensors,
    /// `tokenizer.ggml.model`.
    Tokenizer,
    /// `tokenizer.ggml.tokens`.
    Tokens,
    /// `tokenizer.ggml.scores`.
    Scores,
    /// `tokenizer.ggml.token_type`.
    TokenTypes,
    /// `tokenizer.ggml.merges`.
    Merges,
    /// `tokenizer.ggml.precompiled_charsmap`.
    Charsmap,
    /// `tokenizer.chat_template`.
    ChatTemplate,
    /// `tokenizer.ggml.…_token_id`.
    TokenId,
    /// One of the numbers that describe the network, such as `llama.block_count`.
    Dimension,
    /// None of these.
    Other,
}

/// The ends of the keys behind [`Known::Dimension`].
const DIMENSIONS: [&str; 4] = [
    ".context_length",
    ".block_count",
    ".expert_count",
    ".expert_used_count",
];

impl Known {
    /// What the key is.
    pub fn of(key: &str) -> Self {
        match key {
            "general.architecture" => Self::Architecture,
            "general.name" => Self::Name,
            "general.alignment" => Self::Alignment,
            "split.no" => Self::SplitNumber,
            "split.count" => Self::SplitCount,
            "split.tensors.count" => Self::SplitTensors,
            "tokenizer.ggml.model" => Self::Tokenizer,
            "tokenizer.ggml.tokens" => Self::Tokens,
            "tokenizer.ggml.scores" => Self::Scores,
            "tokenizer.ggml.token_type" => Self::TokenTypes,
            "tokenizer.ggml.merges" => Self::Merges,
            "tokenizer.ggml.precompiled_charsmap" => Self::Charsmap,
            "tokenizer.chat_template" => Self::ChatTemplate,
            // Templates for special uses, such as `tokenizer.chat_template.tool_use`.
            _ if key.starts_with("tokenizer.chat_template.") => Self::ChatTemplate,
            _ if key.starts_with("tokenizer.ggml.") && key.ends_with("_token_id") => Self::TokenId,
            _ if DIMENSIONS.iter().any(|end| key.ends_with(end)) => Self::Dimension,
            _ => Self::Other,
        }
    }

    /// Whether a value of this type may stand there. `element` is the type of an array's elements.
    pub fn allows(self, kind: ValueType, element: Option<ValueType>) -> bool {
        use ValueType::{Array, F32, I8, I32, String, U8, U16, U32};
        match self {
            Self::Architecture | Self::Name | Self::Tokenizer => kind == String,
            Self::SplitNumber | Self::SplitCount => kind == U16,
            Self::SplitTensors => kind == I32,
            Self::Alignment => kind == U32,
            Self::Tokens | Self::Merges => (kind, element) == (Array, Some(String)),
            Self::Scores => kind == Array && matches!(element, Some(F32 | I32)),
            Self::TokenTypes => (kind, element) == (Array, Some(I32)),
            Self::Charsmap => kind == Array && matches!(element, Some(U8 | I8)),
            // A template of another type is judged as a template; some dimensions are given per layer.
            Self::TokenId | Self::ChatTemplate | Self::Dimension | Self::Other => true,
        }
    }
}
