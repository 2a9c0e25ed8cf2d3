//! TorchScript: programs in a subset of Python that PyTorch's own interpreter runs.
//!
//! The interpreter has no Python and no way to import; what a program can do is what its operators do. Most compute. Those that
//! are not known are refused, and those that use files or other processes with emphasis. Trust boundary: every name in the source
//! and in the bytecode.

mod operators;
mod source;

pub use operators::{Standing, class, operator};
pub use source::{Code, Source};

use crate::finding::{Findings, Place};
use crate::rules;

/// Adds what a use of an operator or a class means.
pub fn report(standing: Standing, what: &str, place: Place, findings: &mut Findings) {
    match standing {
        Standing::Known => {}
        Standing::Effect(how) => {
            findings.add(&rules::TS_EFFECT, place, format_args!("`{what}` {how}"));
        }
        Standing::Unknown => {
            let message = format_args!("`{what}` is none of PyTorch's");
            findings.add(&rules::TS_OPERATOR, place, message);
        }
    }
}

/// What a text of the bytecode of a mobile program means, if it names an operator or a class.
pub fn named(text: &str) -> Standing {
    if let Some((space, name)) = text.split_once("::") {
        return operator(space, name);
    }
    match text.split_once("torch.classes.") {
        Some((_, class_name)) => class(class_name.split('.').next().unwrap_or_default()),
        None => Standing::Known,
    }
}
