//! What comes with a model: configurations, tokenizers and their chat templates, indexes of shards, texts for people.
//!
//! None of it is a model, and much of it decides what code a loader runs. A document is accepted only if it is of a kind that
//! is known here; what it makes a loader import, open or say is judged. Trust boundary: every byte, and the name.

mod calling;
mod characters;
mod code;
mod config;
mod control;
mod expression;
mod installs;
mod kind;
mod path;
mod pipeline;
mod prose;
mod purpose;
mod reading;
mod scalars;
mod secrets;
mod shape;
mod wording;
mod yaml;

pub(crate) use code::is_ours;
pub use config::Configuration;
pub use kind::Kind;
pub use prose::Prose;
pub use secrets::Secrets;
pub(crate) use wording::look;

/// The longest text that is read whole: a chat template, or a document that must be.
pub const MAX_WHOLE_BYTES: usize = 256 << 10;
