//! One-pass inspection of a model file in a jailed worker.
