//! One reader of one pickle: the lexer, the machine, and the frames around the opcodes.

use super::lexer::{Lexer, Step, Token};
use super::machine::{Machine, Next};
use super::numpy::Inline;
use super::opcodes as op;
use super::value::Value;
use crate::finding::Place;
use crate::rules;

/// From this size on writers end a frame, and keep an argument out of frames.
const FULL_FRAME: u64 = 64 << 10;

/// What a reader met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The end of the bytes.
    More,
    /// The end of the pickle, with its result.
    Stop(Value),
    /// Bytes that are no opcodes.
    Inline(Inline),
    /// Something after which every reader gives up. A finding tells.
    Broken,
}

/// A reader.
#[derive(Debug, Clone)]
pub struct Reader {
    /// The lexer.
    pub lexer: Lexer,
    /// The machine.
    pub machine: Machine,
    /// Where the current frame ends.
    frame_end: Option<u64>,
    /// How long it is.
    frame_bytes: u64,
    /// Whether joblib's arrays lie in the stream.
    joblib: bool,
}

impl Reader {
    /// A reader of a pickle that begins at `at`.
    pub fn new(at: u64, machine: Machine, joblib: bool) -> Self {
        Self {
            lexer: Lexer::new(at),
            machine,
            frame_end: None,
            frame_bytes: 0,
            joblib,
        }
    }

    /// The same reader if it did not know joblib; it reports only what it would import, and passes over nonsense.
    pub fn plain(&self) -> Self {
        let mut plain = self.clone();
        plain.joblib = false;
        plain.machine.skips_odd_names = true;
        plain.machine.end_pickle();
        plain.machine.findings = crate::Findings::default();
        plain
    }

    /// Makes ready for the next pickle.
    pub fn restart(&mut self) {
        self.machine.restart();
        self.frame_end = None;
    }

    /// Takes bytes up to the next event. Returns how many.
    pub fn feed(&mut self, bytes: &[u8]) -> (usize, Event) {
        let mut taken = 0;
        loop {
            let (count, step) = self.lexer.feed(bytes.get(taken..).unwrap_or_default());
            taken += count;
            match step {
                Step::More => return (taken, Event::More),
                Step::Ready => {
                    self.frames();
                    if let Some(event) = self.execute() {
                        return (taken, event);
                    }
                }
                Step::Unknown => {
                    let message = format!("the byte {:#04x} is no opcode", self.lexer.token().code);
                    return (taken, self.broken(&message));
                }
                Step::Negative => {
                    let name = op::name(self.lexer.token().code);
                    return (taken, self.broken(&format!("{name} has an impossible length")));
                }
            }
        }
    }

    /// The stream has ended within the pickle.
    pub fn cut_off(&mut self) {
        if self.lexer.cut_off() {
            // Whatever it does happens; that readers then give up is known already.
            let _ = self.execute();
        }
        self.machine.end_pickle();
    }

    fn execute(&mut self) -> Option<Event> {
        match self.machine.step(self.lexer.token()) {
            Ok(Next::Stop(value)) => {
                if self.frame_end.is_some_and(|end| end != self.lexer.at()) {
                    self.frame("the pickle ends elsewhere than its last frame");
                }
                if self.machine.has_leftovers() {
                    let place = Place::at(self.lexer.token().at);
                    let message = "objects are made that are not part of the result";
                    self.machine.findings.add(&rules::PKL_LEFTOVER, place, message);
                }
                Some(Event::Stop(value))
            }
            Ok(Next::Inline(inline)) if self.joblib => {
                if self.frame_end.is_some_and(|end| end != self.lexer.at()) {
                    self.frame("an array begins elsewhere than a frame ends");
                }
                self.frame_end = None;
                self.machine.replace_top(Value::Plain);
                Some(Event::Inline(inline))
            }
            Ok(Next::Opcode | Next::Inline(_)) => None,
            Err(super::machine::Broken::TooComplex) => {
                let message = "the pickle holds more at once than an inspection follows";
                let place = Place::at(self.lexer.token().at);
                self.machine.findings.add(&rules::PKL_LIMIT, place, message);
                self.machine.end_pickle();
                Some(Event::Broken)
            }
            Err(reason) => {
                let name = op::name(self.lexer.token().code);
                Some(self.broken(&format!("{name} {reason}")))
            }
        }
    }

    fn broken(&mut self, message: &str) -> Event {
        let place = Place::at(self.lexer.token().at);
        self.machine.findings.add(&rules::PKL_BROKEN, place, message);
        self.machine.end_pickle();
        Event::Broken
    }

    /// Compares where opcodes lie with where frames do.
    fn frames(&mut self) {
        let Token {
            code,
            at,
            end,
            number,
            ..
        } = *self.lexer.token();
        if let Some(frame) = self.frame_end {
            if at < frame && code == op::FRAME {
                self.frame("a frame begins within another");
            } else if at < frame && end > frame {
                self.frame("an opcode reaches beyond the end of its frame");
                self.frame_end = None;
            } else if at >= frame {
                // Writers end a frame when it is full, at the end, and before something large.
                if self.frame_bytes < FULL_FRAME && code != op::FRAME && end - at < FULL_FRAME {
                    self.frame("a frame ends where no writer ends one");
                }
                self.frame_end = None;
            }
        }
        if code == op::FRAME {
            self.frame_bytes = number;
            self.frame_end = Some(end.saturating_add(number));
        }
    }

    fn frame(&mut self, message: &str) {
        let place = Place::at(self.lexer.token().at);
        let message = format_args!("{message}; readers take it differently");
        self.machine.findings.add(&rules::PKL_FRAME, place, message);
    }
}
