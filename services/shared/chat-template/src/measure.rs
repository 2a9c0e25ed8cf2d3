//! How large the values become that a template keeps while it is rendered.
//!
//! The engine counts steps, and one step can double a text. So every value that gets a name is measured: after each assignment, and for
//! the arguments of macros and the variables of loops, a call is added to the template that does it. What one expression makes of values
//! of a bounded size is bounded by its length, but for `join` and `replace`, which are measured beforehand.

use std::fmt::Write as _;

use minijinja::machinery::{Span, Token, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use crate::render::MAX_OUTPUT_BYTES;
use crate::source::white_space;

/// The function that measures. A template that gives this name to something else fails.
pub const NAME: &str = "holdfast_measure";
/// Under which the largest size so far is kept.
const LARGEST: &str = "holdfast_largest";
/// Under which is kept how many values were looked at.
const LOOKED: &str = "holdfast_looked";
/// The most values that are looked at in one rendering.
const MAX_LOOKED: usize = 8 << 20;
/// The deepest nesting of lists and dictionaries.
const MAX_DEPTH: usize = 64;
/// What an element of a list takes besides its text.
const ELEMENT_BYTES: usize = 24;

/// The template with a call after each tag that gives names to values. Lines do not change, nor does what it writes.
pub fn measured(source: &str) -> String {
    let mut out = String::with_capacity(source.len() * 2);
    let (mut tag, mut blocks) = (Vec::new(), Vec::new());
    let mut copied = 0;
    for token in tokenize(source, false, SyntaxConfig, white_space()) {
        // The parser will say what is wrong with it.
        let Ok((token, span)) = token else { break };
        match token {
            Token::BlockStart => tag.clear(),
            Token::BlockEnd => {
                let names = names(&tag, &mut blocks);
                if let Some(end) = end_of(source, span).filter(|_| !names.is_empty()) {
                    let before = source.get(copied..end).unwrap_or_default();
                    // White space behind the tag is kept or not as it was.
                    let trim = ["-", "+"]
                        .into_iter()
                        .find(|sign| before.ends_with(&format!("{sign}%}}")))
                        .unwrap_or_default();
                    out.push_str(before);
                    for name in names {
                        let _ = write!(out, "{{% do {NAME}({name}) {trim}%}}");
                    }
                    copied = end;
                }
            }
            token => tag.push(token),
        }
    }
    out.push_str(source.get(copied..).unwrap_or_default());
    out
}

/// Where the tag ends whose last token this is.
fn end_of(source: &str, span: Span) -> Option<usize> {
    let start = usize::try_from(span.start_offset).ok()?;
    Some(start + source.get(start..)?.find("%}")? + 2)
}

/// What this tag gives names to, or the block that it ends. `blocks` are the names of blocks that are open.
fn names(tag: &[Token<'_>], blocks: &mut Vec<Vec<String>>) -> Vec<String> {
    let Some((Token::Ident(kind), rest)) = tag.split_first() else {
        return Vec::new();
    };
    let until = |end: fn(&Token<'_>) -> bool| rest.iter().position(end).unwrap_or(rest.len());
    match *kind {
        "set" => {
            let end = until(|token| matches!(token, Token::Assign | Token::Pipe));
            let targets = dotted(rest.get(..end).unwrap_or_default());
            if matches!(rest.get(end), Some(Token::Assign)) {
                return targets;
            }
            blocks.push(targets);
            Vec::new()
        }
        "endset" => blocks.pop().unwrap_or_default(),
        "for" => dotted(
            rest.get(..until(|token| matches!(token, Token::Ident("in"))))
                .unwrap_or_default(),
        ),
        // The name of the macro comes first.
        "macro" | "call" => defined(rest, 1, |before, _| {
            matches!(before, Token::ParenOpen | Token::Comma)
        }),
        "with" => defined(rest, 0, |_, after| matches!(after, Token::Assign)),
        _ => Vec::new(),
    }
}

/// The names, with their attributes, in a list of targets.
fn dotted(tokens: &[Token<'_>]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut goes_on = false;
    for token in tokens {
        match token {
            Token::Ident(part) if goes_on => {
                if let Some(name) = names.last_mut() {
                    name.push('.');
                    name.push_str(part);
                }
                goes_on = false;
            }
            Token::Ident(name) => names.push((*name).to_owned()),
            Token::Dot => goes_on = true,
            _ => {}
        }
    }
    names
}

/// The names at this depth of brackets that stand between such tokens.
fn defined(tokens: &[Token<'_>], at: usize, fits: fn(&Token<'_>, &Token<'_>) -> bool) -> Vec<String> {
    let (mut names, mut depth) = (Vec::new(), 0_usize);
    for (index, token) in tokens.iter().enumerate() {
        match token {
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => depth += 1,
            Token::ParenClose | Token::BracketClose | Token::BraceClose => {
                depth = depth.saturating_sub(1);
                // The arguments have ended; what follows in a call is what is called.
                if at > 0 && depth == 0 {
                    break;
                }
            }
            Token::Ident(name) if depth == at => {
                let before = index.checked_sub(1).and_then(|index| tokens.get(index));
                let neighbours = (
                    before.unwrap_or(&Token::Comma),
                    tokens.get(index + 1).unwrap_or(&Token::Comma),
                );
                if fits(neighbours.0, neighbours.1) {
                    names.push((*name).to_owned());
                }
            }
            _ => {}
        }
    }
    names
}

/// The size of a value, up to a little more than what is allowed.
struct Size {
    bytes: usize,
    looked: usize,
}

impl Size {
    fn is_too_large(&self) -> bool {
        self.bytes > MAX_OUTPUT_BYTES || self.looked > MAX_LOOKED
    }

    fn add(&mut self, value: &Value, depth: usize) {
        self.looked += 1;
        if let Some(text) = value.as_str() {
            self.bytes = self.bytes.saturating_add(text.len());
            return;
        }
        let kind = value.kind();
        if !matches!(kind, ValueKind::Seq | ValueKind::Map | ValueKind::Iterable) {
            self.bytes = self.bytes.saturating_add(ELEMENT_BYTES);
            return;
        }
        if depth == MAX_DEPTH {
            self.bytes = usize::MAX;
            return;
        }
        let Ok(items) = value.try_iter() else { return };
        for item in items {
            self.bytes = self.bytes.saturating_add(ELEMENT_BYTES);
            if kind == ValueKind::Map
                && let Ok(value) = value.get_item(&item)
            {
                self.add(&value, depth + 1);
            }
            self.add(&item, depth + 1);
            if self.is_too_large() {
                return;
            }
        }
    }
}

fn counted(state: &State<'_, '_>, name: &str) -> usize {
    state
        .get_temp(name)
        .and_then(|value| value.as_usize())
        .unwrap_or(0)
}

/// That a value is more than may be kept.
pub fn too_large() -> Error {
    Error::new(ErrorKind::OutOfFuel, "a value becomes too large")
}

/// Notes the size of a value.
///
/// # Errors
///
/// When it is too large, as running out of steps.
pub fn measure(state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    let mut size = Size {
        bytes: 0,
        looked: counted(state, LOOKED),
    };
    size.add(value, 0);
    state.set_temp(LOOKED, size.looked.into());
    if size.is_too_large() {
        return Err(too_large());
    }
    if size.bytes > counted(state, LARGEST) {
        state.set_temp(LARGEST, size.bytes.into());
    }
    Ok(())
}

/// The size of the largest value that was measured, in bytes.
pub fn largest(state: &State<'_, '_>) -> usize {
    counted(state, LARGEST)
}

/// Measures what `join` will make of these values, before it does.
///
/// # Errors
///
/// When that is too large.
pub fn before_join(state: &State<'_, '_>, values: &Value, between: usize) -> Result<(), Error> {
    let count = values.len().unwrap_or(0);
    if count.saturating_mul(between) > MAX_OUTPUT_BYTES {
        return Err(too_large());
    }
    measure(state, values)
}

/// Measures what `replace` can make of a text, before it does.
///
/// # Errors
///
/// When that is too large.
pub fn before_replace(text: &str, from: &str, to: &str) -> Result<(), Error> {
    // Nothing is also between all characters.
    let most = text.len() / from.len().max(1) + 1;
    if to.len() <= from.len() || most.saturating_mul(to.len()) <= MAX_OUTPUT_BYTES {
        return Ok(());
    }
    let count = text.matches(from).count();
    if count.saturating_mul(to.len()).saturating_add(text.len()) > MAX_OUTPUT_BYTES {
        return Err(too_large());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tag_that_gives_names_is_followed_by_a_call() {
        for (source, expected) in [
            ("{% set a = 1 %}\nb", "{% set a = 1 %}{% do M(a) %}\nb"),
            (
                "{%- set n.a = '%}' -%} b",
                "{%- set n.a = '%}' -%}{% do M(n.a) -%} b",
            ),
            (
                "{% set a, b = c +%}\n",
                "{% set a, b = c +%}{% do M(a) +%}{% do M(b) +%}\n",
            ),
            (
                "{% set a %}x{% set b | upper %}y{% endset %}{% endset %}z",
                "{% set a %}x{% set b | upper %}y{% endset %}{% do M(b) %}{% endset %}{% do M(a) %}z",
            ),
            (
                "{% for k, v in d.items() if k == v %}{% endfor %}",
                "{% for k, v in d.items() if k == v %}{% do M(k) %}{% do M(v) %}{% endfor %}",
            ),
            (
                "{% macro m(a, b=f(c, d), e=[g]) %}{% endmacro %}",
                "{% macro m(a, b=f(c, d), e=[g]) %}{% do M(a) %}{% do M(b) %}{% do M(e) %}{% endmacro %}",
            ),
            (
                "{% call(a) m(b) %}{% endcall %}",
                "{% call(a) m(b) %}{% do M(a) %}{% endcall %}",
            ),
            (
                "{% with a = f(b=1), c = 2 %}{% endwith %}",
                "{% with a = f(b=1), c = 2 %}{% do M(a) %}{% do M(c) %}{% endwith %}",
            ),
            (
                "{% if a %}{{ b }}{% endif %}{# {% set c = 1 %} #}",
                "{% if a %}{{ b }}{% endif %}{# {% set c = 1 %} #}",
            ),
        ] {
            assert_eq!(
                measured(source),
                expected.replace("M(", "holdfast_measure("),
                "{source}"
            );
        }
    }
}
