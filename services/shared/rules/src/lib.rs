//! YARA rules over every byte of a file, in the pass that hashes and parses it.
//!
//! Rules are parsed with the parser of YARA-X and evaluated here: no code is generated, nothing is kept of the file but where
//! patterns matched, and a file may be of any size. What cannot be evaluated so is refused when the rules are loaded, by name
//! and with the reason. Trust boundary: the rules are the operator's, the bytes are hostile.

mod anchor;
mod condition;
mod evaluate;
mod hex;
mod pattern;
mod read;
mod search;
mod set;

pub use read::ReadError;
pub use set::{LoadError, RuleSet, Source};
