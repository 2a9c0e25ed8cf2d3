//! End to end: the real daemons, started by `holdfast up`, and used as people, programs and attackers use them.
//!
//! Each module is one promise of the project. Tests that change nothing which others would notice share a suite.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "everything here is a test or serves one: it tells one story, and measures in round numbers"
)]

mod api;
mod chat;
mod confinement;
mod crash;
mod files;
mod hostile;
mod intake;
mod ledger;
mod lifecycle;
mod models;
mod page;
mod rest;
mod sets;
mod store;
mod torch;
