//! What the tests over the whole of Holdfast share: the running suite and its clients, where things are, tools that may be
//! missing, unit files.
//!
//! Nothing here knows what is right. The tests in `tests/` do. What is asked for and does not come panics: the test that
//! asked has failed then.

pub mod browser;
pub mod http;
pub mod page;
pub mod process;
pub mod run;
pub mod store;
pub mod suite;
pub mod tools;
pub mod unit_file;
pub mod wait;

use std::path::{Path, PathBuf};

/// The root of the source tree.
pub fn source() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
