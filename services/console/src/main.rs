//! Holdfast console daemon.
fn main() {}
