//! Holdfast incident-recorder daemon.
fn main() {}
