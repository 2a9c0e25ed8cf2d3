//! Holdfast inference daemon.
fn main() {}
