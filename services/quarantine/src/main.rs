//! Holdfast quarantine daemon.
fn main() {}
