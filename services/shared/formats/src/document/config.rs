//! JSON documents. Every member is seen; nothing is kept but what a finding needs.

use std::ops::ControlFlow;

use holdfast_contract::report::ModelFacts;

use super::MAX_WHOLE_BYTES;
use super::reading::Reading;
use crate::finding::Place;
use crate::inspector::{Found, Inspector};
use crate::json::{Json, Progress};
use crate::rules;
use crate::set::Ties;

/// A byte order mark, which some editors write before the text.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The inspector for a JSON document.
#[derive(Debug)]
pub struct Configuration {
    json: Json,
    done: bool,
    broken: bool,
    /// How many bytes stand before the JSON.
    begins: u64,
    reading: Reading,
}

impl Configuration {
    /// An inspector for a document in a file of this name.
    pub fn new(name: &str) -> Self {
        Self::tied(name, Ties::default())
    }

    /// An inspector that fills `ties` with what the document says about other files.
    pub(crate) fn tied(name: &str, ties: Ties) -> Self {
        Self {
            json: Json::keeping(MAX_WHOLE_BYTES).of_python(),
            done: false,
            broken: false,
            begins: 0,
            reading: Reading::new(name, ties),
        }
    }

    fn broken(&mut self, at: u64, why: impl std::fmt::Display) {
        self.broken = true;
        self.reading
            .findings
            .add(&rules::DOC_MALFORMED, Place::at(at), why);
    }
}

impl Inspector for Configuration {
    fn feed(&mut self, mut at: u64, mut chunk: &[u8]) {
        while let Some((byte, rest)) = chunk.split_first()
            && at == self.begins
            && usize::try_from(at).is_ok_and(|at| MARK.get(at) == Some(byte))
        {
            self.begins += 1;
            at += 1;
            chunk = rest;
        }
        if !chunk.is_empty() && !matches!(self.begins, 0 | 3) && !self.broken {
            self.broken(0, "a byte order mark that is cut off");
        }
        if self.broken {
            return;
        }
        let mut rest = chunk;
        if !self.done {
            let (reading, begins) = (&mut self.reading, self.begins);
            match self.json.feed(chunk, |at, event| {
                reading.event(begins + at, &event);
                ControlFlow::Continue(())
            }) {
                Progress::More | Progress::Stopped => return,
                Progress::Done(taken) => {
                    self.done = true;
                    at += taken as u64;
                    rest = chunk.get(taken..).unwrap_or_default();
                }
                Progress::Wrong(place, error) => {
                    self.broken(begins + place, error);
                    return;
                }
            }
        }
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        if let Some(place) = rest.iter().position(|byte| !blank(byte)) {
            self.broken(at + place as u64, "something follows the end of the document");
        }
    }

    fn finish(mut self: Box<Self>, size: u64) -> Found {
        if !self.done && !self.broken {
            self.broken(size, "the document ends in the middle");
        }
        let (findings, has_template, ties) = self.reading.conclude(!self.broken);
        Found {
            findings,
            facts: has_template.then(|| ModelFacts {
                chat_template: true,
                ..ModelFacts::default()
            }),
            ties,
            ..Found::default()
        }
    }
}
