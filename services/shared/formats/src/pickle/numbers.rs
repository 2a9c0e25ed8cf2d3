//! Numbers in a stream: in decimal, and little-endian.

use super::lexer::{Payload, Token};
use super::opcodes as op;
use super::value::Value;

/// The number that begins PyTorch's old format, as it appears in protocol 2 and in decimal.
const MAGIC: &[u8] = b"l\xfc\x9cF\xf9 j\xa8P\x19";
const MAGIC_DECIMAL: &str = "119547037146038801333356";

/// The value of an integer opcode.
pub fn integer(token: &Token) -> Value {
    match token.code {
        op::BININT => u32::try_from(token.number).map_or(Value::Number, |number| {
            Value::Int(i64::from(number.cast_signed()))
        }),
        op::BININT1 | op::BININT2 => i64::try_from(token.number).map_or(Value::Number, Value::Int),
        op::LONG1 | op::LONG4 => little_endian(&token.first),
        op::INT if token.first.kept == b"00" => Value::Bool(false),
        op::INT if token.first.kept == b"01" => Value::Bool(true),
        _ => match decimal(&token.first) {
            Some(text) if text == MAGIC_DECIMAL => Value::Magic,
            Some(text) => text.parse().map_or(Value::Number, Value::Int),
            None => Value::Number,
        },
    }
}

/// The memo index of a GET or PUT; `None` where readers give up.
pub fn index(token: &Token) -> Option<u64> {
    if matches!(token.code, op::GET | op::PUT) {
        decimal(&token.first)?.parse().ok()
    } else {
        Some(token.number)
    }
}

/// A number as Python reads it: white space around, a sign, underscores within, an `L` behind.
fn decimal(line: &Payload) -> Option<String> {
    if line.kept.len() as u64 != line.length {
        return None;
    }
    let text = std::str::from_utf8(&line.kept).ok()?.trim();
    let text = text.strip_suffix('L').unwrap_or(text);
    let text = text.strip_prefix('+').unwrap_or(text);
    (!text.starts_with('_') && !text.ends_with('_') && !text.contains("__")).then(|| text.replace('_', ""))
}

fn little_endian(payload: &Payload) -> Value {
    if payload.kept == MAGIC {
        return Value::Magic;
    }
    if payload.kept.len() > 8 {
        return Value::Number;
    }
    let negative = payload.kept.last().is_some_and(|byte| byte >> 7 == 1);
    let fill = if negative { 0xff } else { 0 };
    let mut bytes = [fill; 8];
    for (place, byte) in bytes.iter_mut().zip(&payload.kept) {
        *place = *byte;
    }
    Value::Int(i64::from_le_bytes(bytes))
}
