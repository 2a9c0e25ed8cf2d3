//! A file that is one message: what every inspector of such a file does, whatever its messages mean.

use std::ops::ControlFlow;

use super::{End, Event, Message, Reader, Spot};
use crate::finding::{Findings, Place};
use crate::inspector::{Found, Inspector};
use crate::rules::Rule;

/// What the messages of a format mean.
pub trait Meaning: Send {
    /// The messages of the format.
    type Part: Copy + Send + Sync + 'static;
    /// What refuses bytes that are no message of the format.
    const BROKEN: &'static Rule;

    /// Takes what was read; breaks where nothing more is wanted.
    fn event(
        &mut self,
        spot: Spot<Self::Part>,
        event: Event<'_, Self::Part>,
        findings: &mut Findings,
    ) -> ControlFlow<()>;

    /// The file has ended; `complete` unless it ended within a field, was no message, or nothing more was wanted.
    fn conclude(self, complete: bool, findings: Findings) -> Found;
}

/// The inspector for such a file.
#[derive(Debug)]
pub struct Whole<M: Meaning> {
    reader: Reader<M::Part>,
    meaning: M,
    findings: Findings,
}

impl<M: Meaning> Whole<M> {
    /// For a file that is this message.
    pub(crate) fn of(message: &'static Message<M::Part>, meaning: M) -> Self {
        Self {
            reader: Reader::new(message),
            meaning,
            findings: Findings::default(),
        }
    }
}

impl<M: Meaning> Inspector for Whole<M> {
    fn feed(&mut self, _at: u64, chunk: &[u8]) {
        let (meaning, findings) = (&mut self.meaning, &mut self.findings);
        let read = self
            .reader
            .feed(chunk, |spot, event| meaning.event(spot, event, findings));
        if let Err((at, wrong)) = read {
            findings.add(M::BROKEN, Place::at(at), wrong);
        }
    }

    fn finish(self: Box<Self>, size: u64) -> Found {
        let Self {
            reader,
            mut meaning,
            mut findings,
        } = *self;
        let end = reader.finish(|spot, event| meaning.event(spot, event, &mut findings));
        if end == End::Cut {
            findings.add(M::BROKEN, Place::at(size), "the file ends within a field");
        }
        meaning.conclude(end == End::Complete, findings)
    }
}
