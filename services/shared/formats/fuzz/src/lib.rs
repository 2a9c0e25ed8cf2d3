//! What the fuzz targets share: feeding bytes in every cut, the bounds on what is found, on memory, and mutators that keep
//! checksums and lengths right so that changes reach what lies behind them.
//!
//! Nothing of this is in a product. `docs/fuzzing.md` says how the targets are run and which bounds they hold the parsers to.

#![feature(alloc_error_hook)]

mod feeding;
pub mod memory;
pub mod mutators;
mod random;

pub use feeding::{archive, cuts, digest, feed, inspect, judge, outcome, report, run};
pub use random::Random;
