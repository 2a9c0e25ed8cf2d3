//! Inspecting a file in one pass, in a process that has nothing.
//!
//! [`pipeline`] reads a file once and gives every chunk to SHA-256 and to the inspectors of `holdfast-formats`.
//! [`process`] is the body of the worker `holdfast-inspect`: it confines itself, then runs the pipeline over its standard input.
//! [`Worker`] starts that program for a daemon or a command and believes nothing it says that does not add up.
//! Trust boundary: the file, and from the client's side the worker too. A worker that dies, hangs or babbles is a refusal.

pub mod batch;
mod convert;
mod hashing;
pub mod pipeline;
pub mod process;
pub mod protocol;
pub mod report;
pub mod rules;
pub mod source;
mod verify;
pub mod worker;

pub use convert::Conversion;
pub use pipeline::inspect;
pub use report::Inspected;
pub use rules::{Rules, RulesError};
pub use source::Source;
pub use worker::{Worker, WorkerError};
