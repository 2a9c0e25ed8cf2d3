//! A strict JSON reader (RFC 8259, and on request the three numbers that Python adds) that takes bytes as they come and reports what it reads as events.
//!
//! It keeps nothing but its state: texts are cut to a fixed length (their fingerprints cover all of them), nesting is
//! bounded. Trust boundary: every byte is hostile.

mod escape;
mod text;

use std::ops::ControlFlow;

pub use text::{MAX_TEXT_BYTES, Text};

/// The longest number, in characters.
const MAX_NUMBER_BYTES: usize = 64;
/// The deepest nesting.
const MAX_DEPTH: usize = 64;

/// What was read.
#[derive(Debug)]
pub enum Event<'a> {
    /// `{`.
    BeginObject,
    /// `}`.
    EndObject,
    /// `[`.
    BeginArray,
    /// `]`.
    EndArray,
    /// A member's name.
    Key(&'a Text),
    /// A text.
    String(&'a Text),
    /// A number, as written.
    Number(&'a str),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
}

/// Why bytes are not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// A byte that cannot stand where it does.
    #[error("a byte that cannot stand here")]
    Unexpected,
    /// A control character in a text, which JSON wants escaped.
    #[error("a control character in a text")]
    Control,
    /// A text that is not UTF-8.
    #[error("a text that is not UTF-8")]
    Utf8,
    /// A `\` followed by what is no escape, or half of a surrogate pair.
    #[error("a wrong escape in a text")]
    Escape,
    /// A number that is written as JSON does not write numbers, or too long.
    #[error("a malformed number")]
    Number,
    /// Too deep.
    #[error("nested too deeply")]
    Depth,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Value,
    ValueOrEnd,
    KeyOrEnd,
    Key,
    Colon,
    CommaOrEnd,
    Text {
        key: bool,
    },
    Escape {
        key: bool,
    },
    /// In the digits of `\uXXXX`; `high` is the first half of a surrogate pair, if there was one.
    Unicode {
        key: bool,
        high: Option<u16>,
        digits: u8,
        unit: u16,
    },
    /// Between the halves of a surrogate pair.
    Pair {
        key: bool,
        high: u16,
        backslash: bool,
    },
    Number,
    Literal {
        word: &'static [u8],
        matched: usize,
    },
    Done,
}

/// Where reading stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All bytes were taken; more are needed.
    More,
    /// The value ended after this many of the bytes.
    Done(usize),
    /// The receiver asked to stop.
    Stopped,
    /// The byte at this position, counted from the start of the JSON, is wrong; or the text that begins there.
    Wrong(u64, JsonError),
}

/// The reader. It reads one value.
#[derive(Debug)]
pub struct Json {
    state: State,
    /// Bytes read so far.
    read: u64,
    /// Where the text, number or word that is being read begins.
    begin: u64,
    /// One bit per open container, the innermost lowest: 1 is an object.
    stack: u64,
    depth: usize,
    text: Text,
    number: String,
    /// Whether numbers may be what only Python writes.
    infinite: bool,
}

impl Default for Json {
    fn default() -> Self {
        Self {
            state: State::Value,
            read: 0,
            begin: 0,
            stack: 0,
            depth: 0,
            text: Text::default(),
            number: String::new(),
            infinite: false,
        }
    }
}

type Step = Result<ControlFlow<()>, JsonError>;
type Receiver<'a> = &'a mut dyn FnMut(u64, Event<'_>) -> ControlFlow<()>;

impl Json {
    /// A reader that keeps so many bytes of each text.
    pub fn keeping(bytes: usize) -> Self {
        Self {
            text: Text::keeping(bytes),
            ..Self::default()
        }
    }

    /// Takes `NaN`, `Infinity` and `-Infinity` for numbers too, as Python writes and reads them.
    #[must_use]
    pub fn of_python(mut self) -> Self {
        self.infinite = true;
        self
    }

    /// Takes the next bytes. `receive` gets each event with the position where it begins, counted from the start of the
    /// JSON, and may stop.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        mut receive: impl FnMut(u64, Event<'_>) -> ControlFlow<()>,
    ) -> Progress {
        let mut position = 0;
        while let Some(&byte) = bytes.get(position) {
            if let State::Text { .. } = self.state {
                let rest = bytes.get(position..).unwrap_or_default();
                let plain = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20));
                let run = rest.get(..plain.unwrap_or(rest.len())).unwrap_or_default();
                if !run.is_empty() {
                    if !self.text.push(run) {
                        return Progress::Wrong(self.begin, JsonError::Utf8);
                    }
                    position += run.len();
                    self.read += run.len() as u64;
                    continue;
                }
            }
            let in_number = self.state == State::Number;
            match self.step(byte, &mut receive) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return Progress::Stopped,
                Err(JsonError::Utf8) => return Progress::Wrong(self.begin, JsonError::Utf8),
                Err(error) => return Progress::Wrong(self.read, error),
            }
            // The byte that ends a number belongs to what follows it.
            if !in_number || self.state == State::Number {
                position += 1;
                self.read += 1;
            }
            if self.state == State::Done {
                return Progress::Done(position);
            }
        }
        Progress::More
    }

    fn step(&mut self, byte: u8, receive: Receiver<'_>) -> Step {
        match self.state {
            State::Value
            | State::ValueOrEnd
            | State::KeyOrEnd
            | State::Key
            | State::Colon
            | State::CommaOrEnd
                if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') =>
            {
                Ok(ControlFlow::Continue(()))
            }
            State::ValueOrEnd if byte == b']' => self.close(Event::EndArray, receive),
            State::Value | State::ValueOrEnd => self.begin_value(byte, receive),
            State::KeyOrEnd if byte == b'}' => self.close(Event::EndObject, receive),
            State::KeyOrEnd | State::Key if byte == b'"' => self.begin_text(true),
            State::Colon if byte == b':' => self.go(State::Value),
            State::CommaOrEnd => match (byte, self.in_object()) {
                (b',', true) => self.go(State::Key),
                (b',', false) => self.go(State::Value),
                (b'}', true) => self.close(Event::EndObject, receive),
                (b']', false) => self.close(Event::EndArray, receive),
                _ => Err(JsonError::Unexpected),
            },
            State::Text { key } => match byte {
                b'"' => self.end_text(key, receive),
                b'\\' => self.go(State::Escape { key }),
                _ => Err(JsonError::Control),
            },
            State::Escape { key } => self.escape(byte, key),
            State::Unicode {
                key,
                high,
                digits,
                unit,
            } => self.unicode(byte, key, high, digits, unit),
            State::Pair {
                key,
                high,
                backslash: false,
            } if byte == b'\\' => self.go(State::Pair {
                key,
                high,
                backslash: true,
            }),
            State::Pair {
                key,
                high,
                backslash: true,
            } if byte == b'u' => self.go(State::Unicode {
                key,
                high: Some(high),
                digits: 0,
                unit: 0,
            }),
            State::Pair { .. } => Err(JsonError::Escape),
            State::Number => self.number(byte, receive),
            State::Literal { word, matched } => self.literal(byte, word, matched, receive),
            State::KeyOrEnd | State::Key | State::Colon | State::Done => Err(JsonError::Unexpected),
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "a step like the others")]
    fn go(&mut self, state: State) -> Step {
        self.state = state;
        Ok(ControlFlow::Continue(()))
    }

    fn in_object(&self) -> bool {
        self.stack & 1 == 1
    }

    fn begin_value(&mut self, byte: u8, receive: Receiver<'_>) -> Step {
        self.begin = self.read;
        match byte {
            b'{' => self.open(true, receive),
            b'[' => self.open(false, receive),
            b'"' => self.begin_text(false),
            b't' => self.go(State::Literal {
                word: b"true",
                matched: 1,
            }),
            b'f' => self.go(State::Literal {
                word: b"false",
                matched: 1,
            }),
            b'n' => self.go(State::Literal {
                word: b"null",
                matched: 1,
            }),
            b'N' if self.infinite => self.go(State::Literal {
                word: b"NaN",
                matched: 1,
            }),
            b'I' if self.infinite => self.go(State::Literal {
                word: b"Infinity",
                matched: 1,
            }),
            b'-' | b'0'..=b'9' => {
                self.number.clear();
                self.number.push(char::from(byte));
                self.go(State::Number)
            }
            _ => Err(JsonError::Unexpected),
        }
    }

    fn open(&mut self, object: bool, receive: Receiver<'_>) -> Step {
        if self.depth == MAX_DEPTH {
            return Err(JsonError::Depth);
        }
        self.depth += 1;
        self.stack = self.stack << 1 | u64::from(object);
        self.state = if object {
            State::KeyOrEnd
        } else {
            State::ValueOrEnd
        };
        Ok(receive(
            self.read,
            if object {
                Event::BeginObject
            } else {
                Event::BeginArray
            },
        ))
    }

    #[expect(clippy::unnecessary_wraps, reason = "a step like the others")]
    fn close(&mut self, event: Event<'_>, receive: Receiver<'_>) -> Step {
        self.depth = self.depth.saturating_sub(1);
        self.stack >>= 1;
        self.after_value();
        Ok(receive(self.read, event))
    }

    fn after_value(&mut self) {
        self.state = if self.depth == 0 {
            State::Done
        } else {
            State::CommaOrEnd
        };
    }

    fn begin_text(&mut self, key: bool) -> Step {
        self.begin = self.read;
        self.text.clear();
        self.go(State::Text { key })
    }

    fn end_text(&mut self, key: bool, receive: Receiver<'_>) -> Step {
        if !self.text.is_complete() {
            return Err(JsonError::Utf8);
        }
        if key {
            self.state = State::Colon;
            Ok(receive(self.begin, Event::Key(&self.text)))
        } else {
            self.after_value();
            Ok(receive(self.begin, Event::String(&self.text)))
        }
    }

    fn number(&mut self, byte: u8, receive: Receiver<'_>) -> Step {
        if matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E') {
            if self.number.len() == MAX_NUMBER_BYTES {
                return Err(JsonError::Number);
            }
            self.number.push(char::from(byte));
            return Ok(ControlFlow::Continue(()));
        }
        if self.infinite && byte == b'I' && self.number == "-" {
            return self.go(State::Literal {
                word: b"-Infinity",
                matched: 1,
            });
        }
        if !is_number(&self.number) {
            return Err(JsonError::Number);
        }
        self.after_value();
        Ok(receive(self.begin, Event::Number(&self.number)))
    }

    fn literal(&mut self, byte: u8, word: &'static [u8], matched: usize, receive: Receiver<'_>) -> Step {
        if word.get(matched) != Some(&byte) {
            return Err(JsonError::Unexpected);
        }
        if matched + 1 < word.len() {
            return self.go(State::Literal {
                word,
                matched: matched + 1,
            });
        }
        self.after_value();
        let event = match word {
            b"true" => Event::Bool(true),
            b"false" => Event::Bool(false),
            b"null" => Event::Null,
            _ => Event::Number(str::from_utf8(word).unwrap_or_default()),
        };
        Ok(receive(self.begin, event))
    }
}

/// The number grammar of RFC 8259, section 6.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole.len() == 1 || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

#[cfg(test)]
mod tests;
