//! Chat templates from model files: Jinja as Hugging Face's `transformers` runs it.
//!
//! A template is a program of whoever made the model, and it decides what the model is told. [`judge()`] reads its syntax tree and
//! names what no template needs; [`ChatTemplate`] renders it, with bounded steps, nesting, values and output, and with nothing in reach but the
//! conversation. Trust boundary: every template is hostile.

mod bounded;
mod judge;
mod measure;
mod render;
mod source;
mod vocabulary;

pub use judge::{Concern, Note, judge};
pub use render::{
    ChatMessage, ChatTemplate, Judged, MAX_OUTPUT_BYTES, MAX_TEMPLATE_BYTES, Rendered, TemplateError,
};
