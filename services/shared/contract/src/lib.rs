//! Every type that crosses a socket between Holdfast services, with the limits that bound it.
//!
//! Nothing here does anything: no I/O, no policy. A daemon that needs another daemon depends on this crate
//! and on `holdfast-ipc`, never on the other daemon. `tests/golden.rs` pins the JSON of each type, so that a
//! change of the wire is seen in review.

pub mod digest;
pub mod engine;
pub mod firmware;
pub mod inference;
pub mod ledger;
pub mod limits;
pub mod problem;
pub mod profile;
pub mod quarantine;
pub mod registry;
pub mod report;
pub mod role;
pub mod status;
pub mod vault;

pub use digest::Digest;
pub use jiff::Timestamp;
pub use problem::Problem;
