//! Trains the guide model that ships with Holdfast.
fn main() {}
