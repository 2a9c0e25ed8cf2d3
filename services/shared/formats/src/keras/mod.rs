//! Keras models: the description from which Keras rebuilds layers, and what may come with it.
//!
//! A description is JSON that names classes and functions; loading a model imports and calls what it names. So each name is held against
//! a list of what Keras itself has and only computes. Trust boundary: every byte of the description.

mod description;
mod judge;
mod names;

pub use description::{Description, Suspicion};
