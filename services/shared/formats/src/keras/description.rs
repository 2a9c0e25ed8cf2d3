//! A description as it is read: JSON, judged object by object, nothing kept but what is open.

use std::ops::ControlFlow;

use holdfast_contract::report::ModelFacts;

use super::judge::Judge;
use crate::finding::{Findings, Place};
use crate::inspector::{Found, Inspector};
use crate::json::{Json, Progress};
use crate::rules;

/// The most bytes of a text that are looked at. Names are shorter; what is longer is a weight in words.
const TEXT_BYTES: usize = 1 << 10;

/// The reader of a description. As an inspector it wants a whole model.
#[derive(Debug)]
pub struct Description {
    json: Json,
    done: bool,
    broken: bool,
    at: u64,
    /// Whether it may be about anything.
    notes: bool,
    judge: Judge,
}

impl Default for Description {
    fn default() -> Self {
        Self {
            json: Json::keeping(TEXT_BYTES),
            done: false,
            broken: false,
            at: 0,
            notes: false,
            judge: Judge::default(),
        }
    }
}

impl Description {
    /// For notes beside a model, which may be about anything.
    pub fn of_notes() -> Self {
        Self {
            notes: true,
            ..Self::default()
        }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if !self.done && !self.broken {
            let judge = &mut self.judge;
            match self.json.feed(bytes, |at, event| {
                judge.event(at, &event);
                ControlFlow::Continue(())
            }) {
                Progress::More | Progress::Stopped => rest = &[],
                Progress::Done(taken) => {
                    self.done = true;
                    rest = bytes.get(taken..).unwrap_or_default();
                }
                Progress::Wrong(at, error) => {
                    let message = format_args!("the description of the model is not JSON: {error}");
                    self.broken = true;
                    self.judge
                        .findings
                        .add(&rules::KERAS_CONFIG, Place::at(at), message);
                }
            }
        }
        let follows = rest.iter().position(|byte| !byte.is_ascii_whitespace());
        if let Some(position) = follows.filter(|_| self.done && !self.broken) {
            self.broken = true;
            let message = "something follows the description of the model";
            let at = self.at + (bytes.len() - rest.len() + position) as u64;
            self.judge
                .findings
                .add(&rules::KERAS_CONFIG, Place::at(at), message);
        }
        self.at += bytes.len() as u64;
    }

    /// What was found, and what the model is called.
    pub fn conclude(mut self) -> (Findings, Option<String>) {
        if !self.done && !self.broken {
            let message = "the description of the model ends in the middle";
            self.judge
                .findings
                .add(&rules::KERAS_CONFIG, Place::at(self.at), message);
        }
        (self.judge.findings, self.judge.model_name)
    }

    /// For what Keras notes about the objects of a model, written by Python's own writer.
    pub fn of_objects() -> Self {
        Self {
            json: Json::keeping(TEXT_BYTES).of_python(),
            ..Self::default()
        }
    }

    /// What was found whatever the classes are: what would be found in any document, and what is opened.
    pub fn harms(self) -> Findings {
        let mut harms = self.judge.certain;
        harms.append_new(
            self.judge
                .findings
                .only(&[&rules::KERAS_FILE, &rules::KERAS_ADDRESS]),
        );
        harms
    }

    /// Whether it describes a model rather than anything else.
    fn is_model(&self) -> bool {
        self.judge.is_model
    }
}

impl Inspector for Description {
    fn feed(&mut self, _at: u64, chunk: &[u8]) {
        Self::feed(self, chunk);
    }

    fn finish(self: Box<Self>, _size: u64) -> Found {
        let is_model = self.notes || self.is_model();
        let (mut findings, name) = self.conclude();
        if !is_model && !findings.refuse() {
            let message = "the description names no class to begin with";
            findings.add(&rules::KERAS_CONFIG, Place::at(0), message);
        }
        Found {
            findings,
            facts: name.map(|name| ModelFacts {
                name: Some(name),
                ..ModelFacts::default()
            }),
            ..Found::default()
        }
    }
}

/// A byte order mark, which Python's reader passes over.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A document that Keras would take for a description, whatever else it is: only what speaks of that is reported.
///
/// Where the outermost object names no class, Keras rebuilds what is within it all the same.
#[derive(Debug, Default)]
pub struct Suspicion {
    description: Description,
    /// Bytes of the mark.
    begins: u64,
}

impl Inspector for Suspicion {
    fn feed(&mut self, at: u64, chunk: &[u8]) {
        let marked = usize::try_from(at)
            .ok()
            .and_then(|at| MARK.get(at..))
            .filter(|_| self.begins == at)
            .unwrap_or_default();
        let skipped = marked.iter().zip(chunk).take_while(|(a, b)| a == b).count();
        self.begins += skipped as u64;
        self.description.feed(chunk.get(skipped..).unwrap_or_default());
    }

    fn finish(self: Box<Self>, _size: u64) -> Found {
        let findings = if self.description.is_model() {
            self.description.conclude().0
        } else {
            self.description.judge.certain
        };
        let begins = self.begins;
        Found {
            findings: findings.moved(|at| at + begins),
            ..Found::default()
        }
    }
}
