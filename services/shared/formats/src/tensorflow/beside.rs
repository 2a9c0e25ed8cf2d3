//! Small files that TensorFlow and Keras put beside `saved_model.pb`: a fingerprint of the model, and what Keras knows of its objects.

use std::ops::ControlFlow;

use super::keras;
use super::schema::{self, Part};
use crate::finding::{Findings, Place};
use crate::format::Format;
use crate::inspector::Found;
use crate::protobuf::{Event, Meaning, ON, Spot, Whole};
use crate::rules::{self, Rule};

/// The longest name of a fingerprint. It is a number, or a UUID.
const MAX_NAME_BYTES: usize = 64;

/// The inspector for `fingerprint.pb` (`fingerprint.proto`).
pub type Fingerprint = Whole<Sums>;

impl Default for Fingerprint {
    fn default() -> Self {
        Self::of(&schema::FINGERPRINT, Sums::default())
    }
}

/// The inspector for `keras_metadata.pb` (`saved_metadata.proto` of Keras), from which Keras 2 rebuilds layers.
pub type KerasMetadata = Whole<Objects>;

impl Default for KerasMetadata {
    fn default() -> Self {
        Self::of(&schema::KERAS_METADATA, Objects::default())
    }
}

/// What a fingerprint says: numbers, and a name.
#[derive(Debug, Default)]
pub struct Sums {
    name_bytes: usize,
}

impl Meaning for Sums {
    type Part = Part;
    const BROKEN: &'static Rule = &rules::TF_BROKEN;

    fn event(
        &mut self,
        spot: Spot<Part>,
        event: Event<'_, Part>,
        findings: &mut Findings,
    ) -> ControlFlow<()> {
        if let Event::Bytes { chunk, .. } = event {
            self.name_bytes = self.name_bytes.saturating_add(chunk.len());
            let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
            if self.name_bytes > MAX_NAME_BYTES || !chunk.iter().all(plain) {
                let message = "the name of the fingerprint is none";
                findings.add(&rules::TF_BROKEN, Place::at(spot.at), message);
                return ControlFlow::Break(());
            }
        }
        odd(spot, &event, findings);
        ON
    }

    fn conclude(self, _complete: bool, findings: Findings) -> Found {
        Found::companion(Format::TensorflowFingerprint, findings)
    }
}

/// What Keras knows of the objects of a model.
#[derive(Debug, Default)]
pub struct Objects {
    /// The note that is being read, and where the object begins.
    note: Option<(u64, keras::Reader)>,
}

impl Meaning for Objects {
    type Part = Part;
    const BROKEN: &'static Rule = &rules::TF_BROKEN;

    fn event(
        &mut self,
        spot: Spot<Part>,
        event: Event<'_, Part>,
        findings: &mut Findings,
    ) -> ControlFlow<()> {
        match event {
            Event::Enter(_, Part::User) => self.note = Some((spot.at, keras::Reader::default())),
            Event::Leave(Part::User) => {
                if let Some((begins, note)) = self.note.take() {
                    note.judge(&Place::at(begins), findings);
                }
            }
            Event::Bytes { field: 5, chunk, .. } => {
                if let Some((_, note)) = &mut self.note {
                    note.feed(chunk);
                }
            }
            _ => odd(spot, &event, findings),
        }
        ON
    }

    fn conclude(self, _complete: bool, findings: Findings) -> Found {
        Found::companion(Format::KerasMetadata, findings)
    }
}

/// What such a file does not have.
fn odd(spot: Spot<Part>, event: &Event<'_, Part>, findings: &mut Findings) {
    match event {
        Event::Unknown(field, bytes) => {
            let message = format_args!("{bytes} bytes in a field {field} that TensorFlow does not have");
            findings.add(&rules::TF_HIDDEN, Place::at(spot.at), message);
        }
        Event::Again(field) => {
            let message = format_args!("the field {field} occurs a second time");
            findings.add(&rules::TF_REPEATED, Place::at(spot.at), message);
        }
        _ => {}
    }
}
