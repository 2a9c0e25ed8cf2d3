//! What the tests over the whole of Holdfast share: where things are, tools that may be missing, unit files.
//!
//! Nothing here knows what is right. The tests in `tests/` do.

pub mod tools;
pub mod unit_file;

use std::path::{Path, PathBuf};

/// The root of the source tree.
pub fn source() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
