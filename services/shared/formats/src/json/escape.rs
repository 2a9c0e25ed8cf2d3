//! Escapes in JSON texts.

use super::{Json, JsonError, State, Step};

impl Json {
    pub(super) fn escape(&mut self, byte: u8, key: bool) -> Step {
        let c = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                return self.go(State::Unicode {
                    key,
                    high: None,
                    digits: 0,
                    unit: 0,
                });
            }
            _ => return Err(JsonError::Escape),
        };
        self.push_escaped(c, key)
    }

    pub(super) fn unicode(&mut self, byte: u8, key: bool, high: Option<u16>, digits: u8, unit: u16) -> Step {
        let digit = char::from(byte)
            .to_digit(16)
            .and_then(|digit| u16::try_from(digit).ok())
            .ok_or(JsonError::Escape)?;
        let unit = unit << 4 | digit;
        if digits < 3 {
            return self.go(State::Unicode {
                key,
                high,
                digits: digits + 1,
                unit,
            });
        }
        match (high, unit) {
            (None, 0xD800..=0xDBFF) => self.go(State::Pair {
                key,
                high: unit,
                backslash: false,
            }),
            (None, _) => self.push_unit(&[unit], key),
            (Some(high), _) => self.push_unit(&[high, unit], key),
        }
    }

    fn push_unit(&mut self, units: &[u16], key: bool) -> Step {
        let mut decoded = char::decode_utf16(units.iter().copied());
        match (decoded.next(), decoded.next()) {
            (Some(Ok(c)), None) => self.push_escaped(c, key),
            _ => Err(JsonError::Escape),
        }
    }

    fn push_escaped(&mut self, c: char, key: bool) -> Step {
        if self.text.push_char(c) {
            self.go(State::Text { key })
        } else {
            Err(JsonError::Utf8)
        }
    }
}
