//! The guide model: a very small language model that answers questions about Holdfast and ships with it, so that the
//! first chat works offline.
//!
//! This crate owns its text (`corpus/`), its training from nothing, its file format and its measurement. It is a
//! builder's tool: no daemon links it, it opens no socket, and it reads only files that it wrote itself. The appliance
//! treats the result like any other model, through quarantine.

pub mod augment;
pub mod chat;
pub mod check;
pub mod corpus;
pub mod gguf;
pub mod guide;
pub mod matrix;
pub mod model;
pub mod optimizer;
pub mod random;
pub mod sampler;
pub mod tokenizer;
pub mod training;
pub mod vector;
