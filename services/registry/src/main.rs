//! Holdfast registry daemon.
fn main() {}
