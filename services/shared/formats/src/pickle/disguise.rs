//! Files of other kinds that are pickles besides: Python's reader takes any file whose first bytes are opcodes.
//!
//! The length of a safetensors header, the fields of a protocol buffer or a word list can be opcodes that pass over what follows, up to
//! where a program was put. So the bytes of every other kind are followed as opcodes from the first on. That ends at once in nearly all
//! files, and where every reader gives up: unlike the inspector for pickles, nothing is taken here that a reader would not take.

use super::effects::is_dotted_name;
use super::lexer::{Lexer, Payload, Step, Token};
use super::machine::{Broken, Machine, Next};
use super::opcodes as op;
use crate::finding::{Findings, Place};
use crate::format::Format;
use crate::inspector::{Found, Inspector};
use crate::rules;

/// The most opcodes that are followed: no file that is not meant as a pickle has so many.
const MAX_OPCODES: u64 = 1 << 20;
/// The most memory that the machine may take.
const MAX_BYTES: usize = 4 << 20;

/// The inspector for files that are something else.
#[derive(Debug)]
pub struct Disguise {
    format: Format,
    lexer: Lexer,
    machine: Machine,
    opcodes: u64,
    /// Whether a reader of pickles would give up before the next byte.
    ended: bool,
    /// Whether there was more than is followed.
    endless: bool,
}

impl Disguise {
    /// An inspector for a file of this kind.
    pub fn new(format: Format) -> Self {
        let mut machine = Machine::default();
        machine.skips_odd_names = true;
        Self {
            format,
            lexer: Lexer::new(0),
            machine,
            opcodes: 0,
            ended: false,
            endless: false,
        }
    }

    /// Does what the opcode does; the file is no pickle if no reader would.
    fn step(&mut self) {
        let token = self.lexer.token();
        self.opcodes += 1;
        if !is_readable(token) {
            self.ended = true;
            return;
        }
        match self.machine.step(token) {
            // PyTorch's old format is several in a row.
            Ok(Next::Stop(_)) => self.machine.restart(),
            Ok(_) => {}
            Err(Broken::TooComplex) => self.endless = true,
            Err(_) => self.ended = true,
        }
        self.endless |= self.opcodes >= MAX_OPCODES || self.machine.spent() > MAX_BYTES;
        self.ended |= self.endless;
    }
}

impl Inspector for Disguise {
    fn feed(&mut self, _at: u64, chunk: &[u8]) {
        let mut rest = chunk;
        while !self.ended {
            let (taken, step) = self.lexer.feed(rest);
            rest = rest.get(taken..).unwrap_or_default();
            match step {
                Step::More => return,
                Step::Ready => self.step(),
                Step::Unknown | Step::Negative => self.ended = true,
            }
        }
    }

    fn finish(mut self: Box<Self>, _size: u64) -> Found {
        if !self.ended && self.lexer.cut_off() {
            self.step();
        }
        // A list of words can begin with what imports one of them from another; nothing comes of it unless it is called.
        let called = matches!(self.format, Format::Text | Format::Json | Format::Tar);
        let mut findings = Findings::default();
        if let Some(global) = self.machine.globals.refused(called) {
            let message = format_args!(
                "{} content can be loaded as a pickle, which imports `{}`",
                self.format, global.shown
            );
            findings.add(&rules::FMT_POLYGLOT, Place::at(global.at), message);
        } else if self.endless {
            let message = format_args!("{} content can be loaded as a pickle without end", self.format);
            findings.add(&rules::FMT_POLYGLOT, Place::at(0), message);
        }
        Found {
            findings,
            ..Found::default()
        }
    }
}

/// Whether a reader takes the argument of the opcode.
fn is_readable(token: &Token) -> bool {
    let line = token.first.kept.trim_ascii();
    let of = |allowed: fn(&u8) -> bool| !line.is_empty() && line.iter().all(allowed);
    match token.code {
        op::INT | op::LONG => of(|byte| byte.is_ascii_hexdigit() || b"xXoO_+-L".contains(byte)),
        op::FLOAT => of(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(byte)),
        op::GET | op::PUT => of(|byte| byte.is_ascii_digit() || b"+_".contains(byte)),
        op::STRING => is_quoted(&token.first),
        op::GLOBAL | op::INST => is_dotted_name(&token.first.kept) && is_dotted_name(&token.second.kept),
        // What these stand for is known to the loading program alone, and none of those that load models knows any.
        op::PERSID | op::EXT1 | op::EXT2 | op::EXT4 => false,
        _ => true,
    }
}

fn is_quoted(text: &Payload) -> bool {
    let line = text.kept.trim_ascii_end();
    let whole = text.kept.len() as u64 == text.length;
    match line {
        [open @ (b'\'' | b'"'), .., close] => !whole || open == close,
        _ => false,
    }
}
