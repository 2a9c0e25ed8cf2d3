//! Attributes: names and texts beside the numbers. Keras keeps a model's description in them.

use std::collections::BTreeSet;

use super::datatype::Class;
use super::heap::Heaps;
use super::message::Attribute;
use super::source::Source;
use crate::ahead::Wrong;
use crate::finding::{Findings, Place};
use crate::keras::Description;
use crate::pickle::Pickle;
use crate::rules;
use crate::text::{self, Fingerprint};

/// Attributes that Keras makes objects of.
const DESCRIPTIONS: [&[u8]; 2] = [b"model_config", b"training_config"];

/// What the attributes of a file say.
#[derive(Debug, Default)]
pub struct Attributes {
    /// Texts of any length.
    pub heaps: Heaps,
    /// What was found.
    pub findings: Findings,
    /// Whether Keras has described a model.
    pub is_model: bool,
    /// What Keras calls it.
    pub model_name: Option<String>,
    names: BTreeSet<Fingerprint>,
    repeated: bool,
}

impl Attributes {
    /// Takes an attribute of the object of this path.
    ///
    /// # Errors
    ///
    /// When its value is not there.
    pub fn add(
        &mut self,
        source: &mut Source<'_>,
        path: &str,
        at: u64,
        attribute: &Attribute,
    ) -> Result<(), Wrong> {
        self.repeated |= !self.names.insert(Fingerprint::of(&attribute.name));
        let described = DESCRIPTIONS.contains(&attribute.name.as_slice());
        let name = text::shown_bytes(&attribute.name);
        let part = format!("{path}/{name}");
        if name.is_empty()
            || String::from_utf8_lossy(&attribute.name)
                .chars()
                .any(text::is_hidden)
        {
            let message = "the name of an attribute has characters that do not show";
            self.findings
                .add(&rules::H5_NAME, Place::at(at).of(&part), message);
        }
        let mut found = Vec::new();
        let mut pickles = Findings::default();
        match attribute.datatype.class {
            Class::Numbers if !described => {}
            Class::Numbers => {
                let message = "the description of the model is no text";
                self.findings
                    .add(&rules::KERAS_CONFIG, Place::at(at).of(&part), message);
            }
            Class::Texts => {
                let size = usize::try_from(attribute.datatype.bytes).unwrap_or(usize::MAX);
                for text in attribute.value.chunks(size.max(1)) {
                    pickles.append(unpickled(at, text));
                }
                if described {
                    found.push(describe(at, unpadded(&attribute.value)));
                }
            }
            Class::VariableTexts => {
                self.heaps.texts(source, at, &attribute.value, |at, text| {
                    pickles.append(unpickled(at, text));
                    if described {
                        found.push(describe(at, text));
                    }
                    Ok(())
                })?;
            }
        }
        self.findings.append(pickles.within(&part, |at| at));
        if described && attribute.elements != 1 {
            let message = "there are several descriptions of the model, or none";
            self.findings
                .add(&rules::KERAS_CONFIG, Place::at(at).of(&part), message);
        }
        for (findings, model_name) in found {
            self.is_model |= attribute.name == b"model_config";
            self.model_name = self.model_name.take().or(model_name);
            self.findings.append(findings.within(&part, |at| at));
        }
        Ok(())
    }

    /// An object's attributes have ended; false if two had the same name.
    pub fn end_object(&mut self) -> bool {
        self.names.clear();
        !std::mem::take(&mut self.repeated)
    }
}

/// A text without its padding.
fn unpadded(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| *byte != 0);
    text.get(..end.map_or(0, |end| end + 1)).unwrap_or_default()
}

/// Judges a text that begins at `at` by what `PyTables`, and pandas with it, do when they read it: they load one that ends in a full stop
/// as a pickle. Readers in C end a text at its first zero.
fn unpickled(at: u64, text: &[u8]) -> Findings {
    let whole = unpadded(text);
    let begin = whole.split(|byte| *byte == 0).next().unwrap_or_default();
    [whole, begin]
        .into_iter()
        .find(|text| text.ends_with(b"."))
        .map(Pickle::read_as_one)
        .unwrap_or_default()
        .moved(|offset| at.saturating_add(offset))
}

/// Judges a description that begins at `at`.
fn describe(at: u64, text: &[u8]) -> (Findings, Option<String>) {
    let mut description = Description::default();
    description.feed(text);
    let (findings, name) = description.conclude();
    (findings.moved(|offset| at.saturating_add(offset)), name)
}
