//! Hexadecimal patterns as expressions.

use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, Repetition};
use yara_x_parser::ast::{HexByte, HexJump, HexSubPattern, HexToken};

/// The longest jump, in bytes.
pub const MAX_JUMP: u32 = 1024;

/// The expression for a pattern.
///
/// # Errors
///
/// Why it cannot be searched for.
pub fn expression(pattern: &HexSubPattern) -> Result<Hir, String> {
    let parts: Result<Vec<Hir>, String> = pattern.iter().map(token).collect();
    Ok(Hir::concat(parts?))
}

fn token(token: &HexToken) -> Result<Hir, String> {
    Ok(match token {
        HexToken::Byte(byte) => masked(byte, false),
        HexToken::NotByte(byte) => masked(byte, true),
        HexToken::Alternative(alternative) => {
            let branches: Result<Vec<Hir>, String> =
                alternative.alternatives.iter().map(expression).collect();
            Hir::alternation(branches?)
        }
        HexToken::Jump(jump) => gap(jump)?,
    })
}

fn masked(byte: &HexByte, negated: bool) -> Hir {
    if byte.mask == 0xff && !negated {
        return Hir::literal([byte.value]);
    }
    let fits = (0..=u8::MAX).filter(|other| (other & byte.mask == byte.value) != negated);
    Hir::class(Class::Bytes(ClassBytes::new(
        fits.map(|other| ClassBytesRange::new(other, other)),
    )))
}

fn gap(jump: &HexJump) -> Result<Hir, String> {
    let min = jump.start.unwrap_or(0);
    let Some(max) = jump.end else {
        return Err(format!(
            "the jump {jump} has no end; up to {MAX_JUMP} bytes can be jumped over"
        ));
    };
    if max > MAX_JUMP || min > max {
        return Err(format!("the jump {jump} is not between 0 and {MAX_JUMP} bytes"));
    }
    Ok(Hir::repetition(Repetition {
        min,
        max: Some(max),
        greedy: false,
        sub: Box::new(Hir::class(Class::Bytes(ClassBytes::new([ClassBytesRange::new(
            0, 0xff,
        )])))),
    }))
}
