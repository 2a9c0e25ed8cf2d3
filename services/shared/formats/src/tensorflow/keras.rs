//! What Keras notes about an object in a `SavedModel`: JSON from which it rebuilds layers. A Lambda layer is Python code in it, and other
//! objects name classes and functions to import.

use std::ops::ControlFlow;

use crate::finding::{Findings, Place};
use crate::json::{Event, Json, Progress};
use crate::keras::Description;
use crate::rules;

/// What was found in a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Note {
    /// Nothing of interest.
    Plain,
    /// A layer that is Python code.
    Lambda,
    /// It is not JSON.
    Unreadable,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Before,
    Within,
    After,
    Wrong,
}

/// Reads a note as it streams by.
#[derive(Debug)]
pub struct Reader {
    json: Json,
    /// Whether the next text is the class of a layer.
    class: bool,
    state: State,
    lambda: bool,
    description: Description,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            json: Json::default().of_python(),
            class: false,
            state: State::default(),
            lambda: false,
            description: Description::of_objects(),
        }
    }
}

impl Reader {
    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.description.feed(bytes);
        self.look(bytes);
    }

    fn look(&mut self, bytes: &[u8]) {
        if self.state == State::Wrong || bytes.is_empty() {
            return;
        }
        if self.state == State::After {
            if !bytes.iter().all(u8::is_ascii_whitespace) {
                self.state = State::Wrong;
            }
            return;
        }
        self.state = State::Within;
        let (class, lambda) = (&mut self.class, &mut self.lambda);
        let progress = self.json.feed(bytes, |_, event| {
            match event {
                Event::Key(key) => *class = matches!(key.whole(), Some("class_name" | "registered_name")),
                Event::String(text) => {
                    // The code itself, wherever it is: Keras marks what it makes a function of with this.
                    let name = text.whole().unwrap_or_default();
                    *lambda |= *class && matches!(name.rsplit('>').next(), Some("Lambda" | "__lambda__"));
                    *class = false;
                }
                _ => *class = false,
            }
            ControlFlow::Continue(())
        });
        match progress {
            Progress::More | Progress::Stopped => {}
            Progress::Done(taken) => {
                self.state = State::After;
                self.look(bytes.get(taken..).unwrap_or_default());
            }
            Progress::Wrong(..) => self.state = State::Wrong,
        }
    }

    /// The note has ended: what it has Keras do. Its classes may be the model's own, which the graph has in their place.
    pub fn judge(self, place: &Place, findings: &mut Findings) {
        match self.note() {
            Note::Plain => {}
            Note::Lambda => {
                let message = "a layer of the model is a Python function that is kept in it";
                findings.add(&rules::TF_LAMBDA, place.clone(), message);
            }
            Note::Unreadable => {
                let message = "the description of an object is not JSON";
                findings.add(&rules::TF_METADATA, place.clone(), message);
            }
        }
        let begins = place.offset().unwrap_or_default();
        findings.append(self.description.harms().moved(|_| begins));
    }

    fn note(&self) -> Note {
        if self.lambda {
            Note::Lambda
        } else if matches!(self.state, State::Within | State::Wrong) {
            Note::Unreadable
        } else {
            Note::Plain
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_found_however_it_is_written() {
        for (note, found) in [
            ("", Note::Plain),
            (
                r#"{"name":"dense","class_name":"Dense","config":{"name":"Lambda"}}"#,
                Note::Plain,
            ),
            (
                r#"{"class_name":"Lambda","config":{"function":["4wEA",null,null]}}"#,
                Note::Lambda,
            ),
            (r#"{"x":[{"class_name":"\u004cambda"}]}  "#, Note::Lambda),
            (r#"{"registered_name":"Custom>Lambda"}"#, Note::Lambda),
            (r#"{"class_name":"Dense"} x"#, Note::Unreadable),
            (r#"{"class_name":"#, Note::Unreadable),
            ("not JSON", Note::Unreadable),
        ] {
            for piece in 1..=note.len().max(1) {
                let mut reader = Reader::default();
                note.as_bytes().chunks(piece).for_each(|bytes| reader.feed(bytes));
                assert_eq!(reader.note(), found, "{note} in pieces of {piece}");
            }
        }
    }
}
