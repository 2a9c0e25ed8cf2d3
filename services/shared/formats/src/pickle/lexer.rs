//! Cuts a stream into opcodes with their arguments, whatever the chunks; long arguments are measured and mostly skipped.

use super::opcodes::{self, Argument};

/// The most bytes of a text, a line or a byte string that are kept.
pub const KEPT_BYTES: usize = 512;

/// The number of characters or bytes of a text whose escapes were not all seen.
pub const UNKNOWN: u64 = u64::MAX;

/// What is kept of an argument that is text or bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Payload {
    /// Its first [`KEPT_BYTES`] bytes.
    pub kept: Vec<u8>,
    /// How many bytes it has.
    pub length: u64,
    /// How many characters it has, if it is UTF-8, or [`UNKNOWN`].
    pub chars: u64,
}

impl Payload {
    fn clear(&mut self) {
        self.kept.clear();
        self.length = 0;
        self.chars = 0;
    }

    fn feed(&mut self, bytes: &[u8], text: bool) {
        let room = KEPT_BYTES - self.kept.len();
        self.kept.extend(bytes.iter().take(room));
        self.length += bytes.len() as u64;
        if text {
            self.chars += bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count() as u64;
        }
    }
}

/// An opcode with its argument.
#[derive(Debug, Clone, Default)]
pub struct Token {
    /// The opcode.
    pub code: u8,
    /// Where it begins.
    pub at: u64,
    /// Where its argument ends.
    pub end: u64,
    /// A numeric argument.
    pub number: u64,
    /// A text, a byte string or a line.
    pub first: Payload,
    /// The second line.
    pub second: Payload,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Code,
    Number { width: u8, have: u8, counts: bool },
    Payload { left: u64, text: bool },
    Line,
    SecondLine,
}

/// How far the lexer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The bytes ended within an opcode or before one.
    More,
    /// [`Lexer::token`] is complete.
    Ready,
    /// No opcode.
    Unknown,
    /// A length that is negative.
    Negative,
}

/// How long the opcode is that these bytes begin with, with its argument; none if it is not complete, or none.
pub fn opcode_length(bytes: &[u8]) -> Option<usize> {
    match Lexer::new(0).feed(bytes) {
        (length, Step::Ready) => Some(length),
        _ => None,
    }
}

/// The lexer.
#[derive(Debug, Clone)]
pub struct Lexer {
    state: State,
    at: u64,
    token: Token,
}

impl Lexer {
    /// A lexer for bytes that begin at `at`.
    pub fn new(at: u64) -> Self {
        Self {
            state: State::Code,
            at,
            token: Token::default(),
        }
    }

    /// The place of the next byte.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Moves past bytes that are no opcodes.
    pub fn skip(&mut self, bytes: u64) {
        self.at += bytes;
    }

    /// The opcode that is being read or was just completed.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// The stream ended. Readers take a line without its end as one whose last byte is the end, and a line that is not there as
    /// empty, so an import can still happen; returns whether [`Lexer::token`] is such an import.
    pub fn cut_off(&mut self) -> bool {
        let names = opcodes::argument(self.token.code) == Some(Argument::Names);
        let last = match self.state {
            State::SecondLine => &mut self.token.second,
            State::Line if names => &mut self.token.first,
            _ => return false,
        };
        if last.kept.len() as u64 == last.length {
            last.kept.pop();
        }
        last.length = last.length.saturating_sub(1);
        self.ready();
        self.token.first.length > 0
    }

    /// Takes bytes up to the end of one opcode. Returns how many.
    pub fn feed(&mut self, bytes: &[u8]) -> (usize, Step) {
        let mut rest = bytes;
        loop {
            let step = match self.state {
                State::Code => self.code(&mut rest),
                State::Number { width, have, counts } => self.number(&mut rest, width, have, counts),
                State::Payload { left, text } => Some(self.payload(&mut rest, left, text)),
                State::Line | State::SecondLine => self.line(&mut rest),
            };
            if let Some(step) = step {
                return (bytes.len() - rest.len(), step);
            }
        }
    }

    fn take(&mut self, rest: &mut &[u8], count: usize) {
        *rest = rest.get(count..).unwrap_or_default();
        self.at += count as u64;
    }

    fn ready(&mut self) -> Step {
        self.state = State::Code;
        self.token.end = self.at;
        Step::Ready
    }

    fn code(&mut self, rest: &mut &[u8]) -> Option<Step> {
        let Some(&code) = rest.first() else {
            return Some(Step::More);
        };
        self.token.code = code;
        self.token.at = self.at;
        self.token.number = 0;
        self.take(rest, 1);
        let counted = |width| State::Number {
            width,
            have: 0,
            counts: true,
        };
        self.state = match opcodes::argument(code) {
            None => return Some(Step::Unknown),
            Some(Argument::Nothing) => return Some(self.ready()),
            Some(Argument::Fixed(width)) => State::Number {
                width,
                have: 0,
                counts: false,
            },
            Some(Argument::Text(width) | Argument::Bytes(width)) => counted(width),
            Some(Argument::Signed) => counted(4),
            Some(Argument::Line | Argument::Names) => State::Line,
        };
        if !matches!(self.state, State::Number { counts: false, .. }) {
            self.token.first.clear();
            self.token.second.clear();
        }
        None
    }

    fn number(&mut self, rest: &mut &[u8], width: u8, have: u8, counts: bool) -> Option<Step> {
        let mut have = have;
        while have < width {
            let Some(&byte) = rest.first() else {
                self.state = State::Number { width, have, counts };
                return Some(Step::More);
            };
            self.token.number |= u64::from(byte) << (8 * u32::from(have.min(7)));
            have += 1;
            self.take(rest, 1);
        }
        if !counts {
            return Some(self.ready());
        }
        let signed = opcodes::argument(self.token.code) == Some(Argument::Signed);
        if self.token.number >> 63 == 1 || (signed && self.token.number >> 31 == 1) {
            return Some(Step::Negative);
        }
        self.state = State::Payload {
            left: self.token.number,
            text: matches!(opcodes::argument(self.token.code), Some(Argument::Text(_))),
        };
        None
    }

    fn payload(&mut self, rest: &mut &[u8], left: u64, text: bool) -> Step {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        self.token.first.feed(rest.get(..taken).unwrap_or_default(), text);
        self.take(rest, taken);
        let left = left - taken as u64;
        if left == 0 {
            return self.ready();
        }
        self.state = State::Payload { left, text };
        Step::More
    }

    fn line(&mut self, rest: &mut &[u8]) -> Option<Step> {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let payload = match self.state {
            State::SecondLine => &mut self.token.second,
            _ => &mut self.token.first,
        };
        payload.feed(line, true);
        let Some(end) = end else {
            self.take(rest, rest.len());
            return Some(Step::More);
        };
        self.take(rest, end + 1);
        let first = self.state == State::Line;
        if first && opcodes::argument(self.token.code) == Some(Argument::Names) {
            self.state = State::SecondLine;
            return None;
        }
        Some(self.ready())
    }
}
