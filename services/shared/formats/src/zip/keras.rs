//! Keras models since version 2.12: a description, notes, the weights as HDF5, and lists of words.
//!
//! Source: Keras's `saving_lib.py`.

use super::package::Content;
use crate::budget::Budget;
use crate::finding::{Findings, Place};
use crate::format::Format;
use crate::hdf5::Outline;
use crate::inspector::FileInspector;
use crate::keras::Description;
use crate::rules;

/// What a member of a Keras model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    /// The description.
    Description,
    /// Notes on versions, or on which weights are where.
    Notes,
    /// The weights, of this format.
    Weights(Format),
    /// What a layer keeps besides weights.
    Asset,
}

/// What the member of this name is, if it belongs to a Keras model.
fn member(name: &str) -> Option<Member> {
    match name {
        "config.json" => Some(Member::Description),
        "metadata.json" | "model.weights.json" => Some(Member::Notes),
        "model.weights.h5" => Some(Member::Weights(Format::Hdf5)),
        "model.weights.npz" => Some(Member::Weights(Format::Npz)),
        _ => {
            let shard = name
                .strip_prefix("model_")
                .or_else(|| name.strip_prefix("model.weights_"))
                .and_then(|rest| {
                    rest.strip_suffix(".weights.h5")
                        .or_else(|| rest.strip_suffix(".h5"))
                })
                .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
            if shard {
                Some(Member::Weights(Format::Hdf5))
            } else {
                name.strip_prefix("assets/").map(|_| Member::Asset)
            }
        }
    }
}

/// Refuses members that do not belong to a Keras model, and a model without what belongs to it.
pub fn judge(names: &[String], findings: &mut Findings) {
    let is_stray = |name: &&String| !name.ends_with('/') && member(name).is_none();
    if let Some(stray) = names.iter().find(is_stray) {
        let message = "a member that does not belong to a Keras model";
        findings.add(&rules::KERAS_STRAY, Place::whole().of(stray), message);
    }
    let has = |test: fn(Member) -> bool| names.iter().filter_map(|name| member(name)).any(test);
    if !has(|member| member == Member::Description) {
        let message = "the description of the model is missing";
        findings.add(&rules::KERAS_INCOMPLETE, Place::whole(), message);
    }
    if !has(|member| matches!(member, Member::Weights(_))) {
        let message = "the weights of the model are missing";
        findings.add(&rules::KERAS_INCOMPLETE, Place::whole(), message);
    }
}

/// Whether an asset is a list of words by its name.
fn is_list(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, extension)| extension == "txt")
}

/// Who looks at the member of this name.
pub fn open(name: &str, outline: Option<Box<Outline>>, budget: &Budget) -> Content {
    let file = |name: &str| Content::File(Box::new(FileInspector::within(name, budget).outlined(outline)));
    match member(name) {
        Some(Member::Description) => Content::Inspected(Box::new(Description::default())),
        Some(Member::Notes) => Content::Inspected(Box::new(Description::of_notes())),
        // Lists of words are called by many names, and may hold any words.
        Some(Member::Asset) if is_list(name) => file("vocab.txt"),
        Some(Member::Asset | Member::Weights(_)) => file(name),
        None => Content::Raw,
    }
}

/// Weights must be what their name says.
pub fn close(name: &str, format: Format, findings: &mut Findings) {
    if let Some(Member::Weights(expected)) = member(name)
        && format != expected
    {
        let message = format_args!(
            "the weights are not {} but {}",
            expected.description(),
            format.description()
        );
        findings.add(&rules::KERAS_STRAY, Place::whole().of(name), message);
    }
}
