//! Parsers for model files: what a file is, whether it is well formed, and what it says about itself.
//!
//! Everything here is pure and streaming: bytes are fed in consecutive chunks of any size, nothing is opened or
//! executed, memory is bounded by constants whatever the file claims, and the result does not depend on how the bytes were cut.
//! Trust boundary: every byte fed in, and the file's name, are hostile. Text from a file leaves this crate sanitised.

mod ahead;
mod apple;
mod budget;
pub mod bytes;
mod compressed;
pub mod detect;
pub mod disarm;
pub mod document;
pub mod finding;
pub mod format;
pub mod gguf;
pub mod hdf5;
mod held;
pub mod inspector;
pub mod json;
pub mod keras;
mod names;
pub mod npy;
pub mod onnx;
mod paths;
pub mod pickle;
pub mod picture;
pub mod protobuf;
pub mod rules;
pub mod safetensors;
pub mod scan;
mod scripts;
pub mod sentencepiece;
pub mod set;
mod sevenzip;
mod signatures;
mod tail;
mod tally;
mod tar;
mod template;
pub mod tensorflow;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
pub mod torchscript;
mod unpack;
pub mod zip;

pub use finding::{Findings, Place};
pub use format::Format;
pub use inspector::{FileInspector, Found, Inspector, Outcome};
pub use rules::Rule;
pub use scan::Scanner;
