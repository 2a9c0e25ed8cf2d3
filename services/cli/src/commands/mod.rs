//! The commands that ask a running suite, or work without one. Each returns its exit code.

pub mod chat;
pub mod check;
pub mod import;
pub mod inspect;
pub mod ledger;
pub mod models;
mod profile;
pub mod status;
pub mod vault;
pub mod welcome;
