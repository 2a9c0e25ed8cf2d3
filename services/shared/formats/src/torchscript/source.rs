//! Reads the source in `code/`, token by token: which operators, methods and classes it names.
//!
//! Its grammar is not followed, so that nothing depends on following it as PyTorch does: every dotted name counts, wherever it
//! stands. The modules `torch` and `ops` must not stand alone, as a value that another name could then be fetched from. Source:
//! PyTorch's `torch/csrc/jit/frontend/lexer.h` and `serialization/import_source.cpp`.

use std::collections::{BTreeMap, BTreeSet};

use super::operators::{self, Standing};
use super::report;
use crate::finding::{Findings, Place};
use crate::rules;
use crate::text::{self, Fingerprint};

/// The longest name, and the most of a text that is kept.
const MAX_WORD_BYTES: usize = 200;
/// The most parts of a dotted name that are kept: what is beyond is still judged.
const MAX_PARTS: usize = 8;
/// The most methods that a program may define, and the most that it may call without having defined them yet.
const MAX_METHODS: usize = 64 << 10;

/// What the sources of a program say together: a method may be defined in another file than it is called in.
#[derive(Debug, Default)]
pub struct Code {
    defined: BTreeSet<Fingerprint>,
    called: BTreeMap<Fingerprint, (Box<str>, Box<str>)>,
    findings: Findings,
}

impl Code {
    /// What is wrong, when all sources were read.
    pub fn conclude(mut self) -> Findings {
        for (name, (shown, member)) in &self.called {
            if !self.defined.contains(name) {
                let place = Place::whole().of(member);
                report(Standing::Unknown, shown, place, &mut self.findings);
            }
        }
        self.findings
    }

    fn define(&mut self, name: &[u8]) {
        if self.defined.len() < MAX_METHODS {
            self.defined.insert(Fingerprint::of(name));
        }
    }

    /// False if there are too many.
    fn call(&mut self, name: &str, member: &str) -> bool {
        let key = Fingerprint::of(name.as_bytes());
        if self.called.len() >= MAX_METHODS / 16 && !self.called.contains_key(&key) {
            return false;
        }
        self.called
            .entry(key)
            .or_insert_with(|| (text::shown(name).into(), member.into()));
        true
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between tokens.
    Between,
    Word,
    /// A number: whether its point and its exponent went by, and whether a sign may follow.
    Number {
        point: bool,
        exponent: bool,
        sign: bool,
    },
    /// Quotation marks, so many of the first three.
    Opening {
        mark: u8,
        count: u8,
    },
    /// A text; `closing` of its last marks went by.
    Text {
        mark: u8,
        marks: u8,
        closing: u8,
        escaped: bool,
    },
    Comment,
}

/// A source that goes by.
#[derive(Debug)]
pub struct Source {
    member: String,
    line: u64,
    state: State,
    word: Vec<u8>,
    /// The word is longer than what is kept of it, or has an escape.
    unclear: bool,
    /// The parts of the dotted name so far; the first is empty where a name follows something else.
    name: Vec<Vec<u8>>,
    /// Whether a dot was the last token.
    dotted: bool,
    /// The word before this name.
    before: Vec<u8>,
    /// How deep in parentheses it is, and where calls of `getattr` began.
    depth: u32,
    fetches: Vec<(u32, u32)>,
    broken: bool,
}

impl Source {
    /// The source in this member.
    pub fn new(member: &str) -> Self {
        Self {
            member: member.to_owned(),
            line: 1,
            state: State::Between,
            word: Vec::new(),
            unclear: false,
            name: Vec::new(),
            dotted: false,
            before: Vec::new(),
            depth: 0,
            fetches: Vec::new(),
            broken: false,
        }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8], code: &mut Code) {
        for byte in bytes {
            if !self.broken {
                self.byte(*byte, code);
            }
            self.line += u64::from(*byte == b'\n');
        }
    }

    /// The source has ended.
    pub fn finish(mut self, code: &mut Code) {
        if self.broken {
            return;
        }
        self.byte(b'\n', code);
        self.end_name(None, code);
        if !matches!(self.state, State::Between) {
            self.fail("ends within a text", code);
        }
    }

    fn place(&self) -> Place {
        Place::whole().of(&format!("{}, line {}", self.member, self.line))
    }

    fn fail(&mut self, what: &str, code: &mut Code) {
        self.broken = true;
        let message = format_args!("the source {what}");
        code.findings.add(&rules::TS_SOURCE, self.place(), message);
    }

    fn keep(&mut self, byte: u8) {
        if self.word.len() < MAX_WORD_BYTES {
            self.word.push(byte);
        } else {
            self.unclear = true;
        }
    }

    fn byte(&mut self, byte: u8, code: &mut Code) {
        match self.state {
            State::Between => self.begin(byte, code),
            State::Word => {
                if byte == b'_' || byte.is_ascii_alphanumeric() {
                    self.keep(byte);
                } else {
                    self.state = State::Between;
                    self.word_ended(code);
                    self.begin(byte, code);
                }
            }
            State::Number {
                point,
                exponent,
                sign,
            } => {
                let (point, exponent, sign) = match byte {
                    b'0'..=b'9' | b'_' => (point, exponent, false),
                    b'.' if !point && !exponent => (true, exponent, false),
                    b'e' | b'E' if !exponent => (point, true, true),
                    b'+' | b'-' if sign => (point, exponent, false),
                    // An imaginary number.
                    b'j' => (true, true, false),
                    _ if byte == b'_' || byte.is_ascii_alphanumeric() => {
                        return self.fail("has a number that is none", code);
                    }
                    _ => {
                        self.state = State::Between;
                        return self.begin(byte, code);
                    }
                };
                self.state = State::Number {
                    point,
                    exponent,
                    sign,
                };
            }
            State::Opening { mark, count } => self.opening(byte, mark, count, code),
            State::Text {
                mark,
                marks,
                closing,
                escaped,
            } => self.text(byte, (mark, marks, closing, escaped), code),
            State::Comment => {
                if byte == b'\n' {
                    self.state = State::Between;
                }
            }
        }
    }

    fn begin(&mut self, byte: u8, code: &mut Code) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b'\\' => {}
            b'#' => self.state = State::Comment,
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                self.word.clear();
                self.unclear = false;
                self.keep(byte);
                self.state = State::Word;
            }
            b'0'..=b'9' => {
                self.end_name(None, code);
                self.state = State::Number {
                    point: false,
                    exponent: false,
                    sign: false,
                };
            }
            b'\'' | b'"' => {
                self.end_name(None, code);
                self.word.clear();
                self.unclear = false;
                self.state = State::Opening { mark: byte, count: 1 };
            }
            b'.' => {
                if self.name.is_empty() {
                    self.name.push(Vec::new());
                }
                self.dotted = true;
            }
            b'!'..=b'~' => {
                self.end_name(Some(byte), code);
                self.before.clear();
                self.nest(byte, code);
            }
            _ => self.fail("has a character that no program has outside of texts", code),
        }
    }

    /// Follows parentheses, and what `getattr` is given within its own.
    fn nest(&mut self, byte: u8, code: &mut Code) {
        match byte {
            b'(' | b'[' | b'{' => self.depth = self.depth.saturating_add(1),
            b')' | b']' | b'}' => {
                if let Some((_, texts)) = self.fetches.pop_if(|(depth, _)| *depth == self.depth)
                    && texts != 1
                {
                    self.fail("fetches an attribute whose name is not one text", code);
                }
                self.depth = self.depth.saturating_sub(1);
            }
            _ => {}
        }
    }

    fn opening(&mut self, byte: u8, mark: u8, count: u8, code: &mut Code) {
        if byte == mark && count < 3 {
            self.state = State::Opening {
                mark,
                count: count + 1,
            };
            if count + 1 == 3 {
                self.state = State::Text {
                    mark,
                    marks: 3,
                    closing: 0,
                    escaped: false,
                };
            }
        } else if count == 2 {
            // Two marks are a text without anything in it.
            self.state = State::Between;
            self.text_ended(code);
            self.begin(byte, code);
        } else {
            self.text(byte, (mark, 1, 0, false), code);
        }
    }

    fn text(&mut self, byte: u8, (mark, marks, closing, escaped): (u8, u8, u8, bool), code: &mut Code) {
        let text = |closing, escaped| State::Text {
            mark,
            marks,
            closing,
            escaped,
        };
        if escaped {
            self.state = text(0, false);
        } else if byte == mark {
            self.state = text(closing + 1, false);
            if closing + 1 == marks {
                self.state = State::Between;
                self.text_ended(code);
            }
            return;
        } else if byte == b'\\' {
            self.unclear = true;
            self.state = text(0, true);
        } else if byte == b'\n' && marks == 1 {
            return self.fail("has a text that does not end in its line", code);
        } else {
            self.state = text(0, false);
        }
        self.keep(byte);
    }

    fn text_ended(&mut self, code: &mut Code) {
        let Some((_, texts)) = self.fetches.last_mut() else {
            return;
        };
        *texts += 1;
        let name = String::from_utf8_lossy(&self.word).into_owned();
        if self.unclear {
            self.fail("fetches an attribute whose name is not plain", code);
        } else if let Some(how) = operators::effect(&name) {
            report(Standing::Effect(how), &name, self.place(), &mut code.findings);
        }
    }

    fn word_ended(&mut self, code: &mut Code) {
        if self.unclear {
            return self.fail("has a name that is too long", code);
        }
        let word = std::mem::take(&mut self.word);
        if self.dotted {
            self.dotted = false;
            // Of a long name, the last parts matter: those before it are no modules.
            if self.name.len() >= MAX_PARTS {
                self.judge_part(&word, code);
                self.name.truncate(MAX_PARTS - 1);
            }
            self.name.push(word);
            return;
        }
        self.end_name(None, code);
        if matches!(self.before.as_slice(), b"def" | b"class") {
            code.define(&word);
        }
        self.name.push(word);
    }

    /// A dotted name has ended; `next` is what follows it.
    fn end_name(&mut self, next: Option<u8>, code: &mut Code) {
        if self.dotted {
            self.dotted = false;
            // `...` stands for the rest of an index.
            let nothing = self.name.iter().all(Vec::is_empty);
            if !nothing {
                return self.fail("has a name that ends in a dot", code);
            }
        }
        let name = std::mem::take(&mut self.name);
        let Some((head, parts)) = name.split_first() else {
            return;
        };
        self.before = if parts.is_empty() {
            head.clone()
        } else {
            Vec::new()
        };
        for part in parts {
            self.judge_part(part, code);
        }
        let parts: Vec<&str> = parts
            .iter()
            .filter_map(|part| std::str::from_utf8(part).ok())
            .collect();
        let called = next == Some(b'(');
        let place = self.place();
        let findings = &mut code.findings;
        match (head.as_slice(), parts.as_slice()) {
            // As the name of an argument it is no module.
            (b"torch" | b"ops", []) if next == Some(b'=') => {}
            (b"torch" | b"ops", []) | (b"ops", [_]) => {
                self.fail("uses a module of operators as a value", code);
            }
            (b"torch", ["classes"]) => self.fail("uses a module of classes as a value", code),
            (b"torch" | b"__torch__", ["classes", space, ..])
            | (b"__torch__", ["torch", "classes", space, ..]) => {
                report(
                    operators::class(space),
                    &format!("torch.classes.{space}"),
                    place,
                    findings,
                );
            }
            (b"torch", ["autograd", name] | [name]) => {
                report_known(
                    operators::operator("aten", name),
                    &format!("torch.{name}"),
                    place,
                    findings,
                );
            }
            (b"torch", [first, ..]) => {
                report(Standing::Unknown, &format!("torch.{first}"), place, findings);
            }
            (b"ops", [space, name]) => {
                report_known(
                    operators::operator(space, name),
                    &format!("ops.{space}.{name}"),
                    place,
                    findings,
                );
            }
            (b"ops", _) => self.fail("uses an operator as a module", code),
            (b"getattr", []) if called => self.fetches.push((self.depth.saturating_add(1), 0)),
            (b"getattr", []) => self.fail("uses `getattr` as a value", code),
            (b"__torch__", _) => {}
            (_, [.., method])
                if called
                    && operators::method(method) == Standing::Unknown
                    && !code.call(method, &self.member) =>
            {
                self.fail("calls more methods than an inspection follows", code);
            }
            _ => {}
        }
    }

    /// A part of a name after a dot: what is harmful is so whatever it is fetched from.
    fn judge_part(&self, part: &[u8], code: &mut Code) {
        if let Ok(part) = std::str::from_utf8(part)
            && let Some(how) = operators::effect(part)
        {
            report(Standing::Effect(how), part, self.place(), &mut code.findings);
        }
    }
}

/// [`report`], where what is harmful was reported by its part of the name, unless the namespace is what makes it so.
fn report_known(standing: Standing, what: &str, place: Place, findings: &mut Findings) {
    let told = what
        .rsplit('.')
        .next()
        .is_some_and(|name| operators::effect(name).is_some());
    if !told {
        report(standing, what, place, findings);
    }
}

#[cfg(test)]
mod tests;
