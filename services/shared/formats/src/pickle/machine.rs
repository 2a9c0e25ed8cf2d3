//! The symbolic stack machine: it does to symbols what `pickle` and PyTorch's readers would do to objects.
//!
//! Lenient where any reader is, so that it never stops before one of them would: every effect that happens before a
//! reader gives up is seen. Nothing is imported or called.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::globals::Globals;
use super::lexer::{Payload, Token};
use super::memo::{Keep, Memo, Stored};
use super::numpy::Inline;
use super::opcodes as op;
use super::torch::Tensors;
use super::value::{Heap, Kind, Node, Value};
use super::{embedded, expansion, numbers, unescape};
use crate::finding::{Findings, Place};
use crate::rules::{self, Rule};
use crate::{text, torchscript};

/// How many findings of a kind are handed on, of which fewer are listed.
const MAX_NOTED: u32 = 64;
/// The deepest stack.
const MAX_STACK: usize = 128 << 10;
/// The steps of copying and hashing that are free.
const FREE_WORK: u64 = 1 << 20;
/// How many steps each byte of the file may take: what is copied or hashed was written for that mostly.
const MAX_WORK_RATIO: u64 = 16;
/// The most marks on it.
const MAX_MARKS: usize = 32 << 10;

/// Why every reader gives up at an opcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Something is taken from a stack that has nothing, or not above its mark.
    #[error("takes more from the stack than there is")]
    Underflow,
    /// There is no mark.
    #[error("goes back to a mark that was never set")]
    NoMark,
    /// A memo entry that was never stored, or an index that is no number.
    #[error("refers to a memo entry that does not exist")]
    NoMemo,
    /// The number of a protocol that does not exist.
    #[error("announces a protocol that does not exist")]
    Protocol,
    /// No longer followed.
    #[error("makes the pickle larger than an inspection follows")]
    TooComplex,
}

/// What follows an opcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The next opcode.
    Opcode,
    /// Bytes that are no opcodes, for a reader that knows joblib.
    Inline(Inline),
    /// Nothing: the pickle is complete and this is its result.
    Stop(Value),
}

/// The machine, which runs one pickle after another.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// What the values are.
    pub heap: Heap,
    /// What was imported.
    pub globals: Globals,
    /// The storages and tensors so far, in all pickles.
    pub tensors: Tensors,
    /// What was found.
    pub findings: Findings,
    /// Whether names that nothing can have are passed over: set where bytes that are no pickle are read as one.
    pub skips_odd_names: bool,
    /// Whether texts name the operators of a TorchScript program.
    pub bytecode: bool,
    /// Whether numbers stand for what lies in other members of PyTorch's oldest format.
    pub numbered: bool,
    /// The highest protocol that a pickle announced.
    pub protocol: u8,
    /// How many findings with the values of the file in them were made.
    pub(super) described: u32,
    /// How much was copied and hashed so far.
    work: u64,
    noted: BTreeMap<&'static str, u32>,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: Memo,
}

impl Machine {
    /// Adds a finding, unless there were so many of its kind that another would only take time.
    pub(super) fn note(&mut self, rule: &'static Rule, place: Place, message: impl Display) {
        let count = self.noted.entry(rule.id).or_default();
        *count += 1;
        if *count <= MAX_NOTED {
            self.findings.add(rule, place, message);
        }
    }

    /// Notes that so much is copied or hashed. What is referred to again and again takes a few bytes of the file each time.
    pub(super) fn works(&mut self, token: &Token, steps: u64) {
        self.work = self.work.saturating_add(steps);
        if self.work > FREE_WORK && self.work / MAX_WORK_RATIO > token.end {
            let message = "the same data is copied or hashed again and again";
            self.note(&rules::PKL_EXPANSION, Place::at(token.at), message);
        }
    }

    /// Makes room for the next pickle. Imports, storages, tensors and findings stay.
    pub fn restart(&mut self) {
        self.end_pickle();
        self.stack.clear();
        self.marks.clear();
        self.memo = Memo::default();
        let keep_all = self.heap.keep_all;
        self.heap = Heap::default();
        self.heap.keep_all = keep_all;
    }

    /// A machine for a pickle within this one, with the same imports, storages and tensors, and nothing on its stack.
    pub fn nested(&mut self) -> Self {
        Self {
            globals: std::mem::take(&mut self.globals),
            tensors: std::mem::take(&mut self.tensors),
            findings: std::mem::take(&mut self.findings),
            skips_odd_names: self.skips_odd_names,
            protocol: self.protocol,
            ..Self::default()
        }
    }

    /// Takes back what [`Machine::nested`] lent.
    pub fn resume(&mut self, nested: Self) {
        self.globals = nested.globals;
        self.tensors = nested.tensors;
        self.findings = nested.findings;
        self.protocol = self.protocol.max(nested.protocol);
    }

    /// How many bytes are taken beside the heap, roughly.
    fn beside(&self) -> usize {
        self.tensors.spent() + self.memo.spent()
    }

    /// How many bytes are taken in all, roughly.
    pub fn spent(&self) -> usize {
        self.heap.spent() + self.beside()
    }

    /// A pickle has come to its end: gives up everything that its result does not need.
    pub fn settle(&mut self, result: Value) {
        self.memo = Memo::default();
        let _ = self.heap.collect(&[result], &mut self.memo, 0);
    }

    /// Reports what was imported and not called.
    pub fn end_pickle(&mut self) {
        self.globals.report_imports(&mut self.findings);
    }

    /// Does what an opcode does.
    ///
    /// # Errors
    ///
    /// When every reader gives up here.
    pub fn step(&mut self, token: &Token) -> Result<Next, Broken> {
        let beside = self.beside();
        if self.heap.is_full(beside) && !self.heap.collect(&self.stack, &mut self.memo, beside) {
            return Err(Broken::TooComplex);
        }
        if self.stack.len() >= MAX_STACK || self.marks.len() >= MAX_MARKS {
            return Err(Broken::TooComplex);
        }
        let at = token.at;
        match token.code {
            op::STOP => {
                let result = self.pop()?;
                if let Some(growth) = expansion::judge(&self.heap, result, token.end) {
                    self.note(&rules::PKL_EXPANSION, Place::at(at), growth);
                }
                return Ok(Next::Stop(result));
            }
            op::BUILD => {
                let state = self.pop()?;
                let object = self.top()?;
                // Attributes are copied, and so are the bytes of an array of another byte order.
                let parts = self.heap.tuple_items(state).unwrap_or_default();
                let extent = parts.iter().map(|part| self.heap.extent(*part));
                let extent = extent.chain([self.heap.extent(state)]);
                let steps = extent.fold(0, u64::saturating_add);
                self.works(token, steps);
                if let Some(inline) = self.build(at, object, state) {
                    return Ok(Next::Inline(inline));
                }
            }
            op::PROTO => {
                let protocol = u8::try_from(token.number).unwrap_or(u8::MAX);
                if protocol > 5 {
                    return Err(Broken::Protocol);
                }
                self.protocol = self.protocol.max(protocol);
            }
            op::FRAME => {}
            op::MARK => self.marks.push(self.stack.len()),
            op::POP => {
                // A mark on top counts as something on the stack.
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            op::POP_MARK => {
                self.pop_mark()?;
            }
            op::DUP => {
                let top = self.top()?;
                self.push(top);
            }
            op::PUT | op::BINPUT | op::LONG_BINPUT | op::MEMOIZE => self.store(token)?,
            op::GET | op::BINGET | op::LONG_BINGET => {
                let index = numbers::index(token).ok_or(Broken::NoMemo)?;
                let value = self.memo.at(index).ok_or(Broken::NoMemo)?;
                self.push(value);
            }
            op::GLOBAL | op::STACK_GLOBAL | op::INST | op::OBJ | op::REDUCE | op::NEWOBJ | op::NEWOBJ_EX => {
                self.effect(token)?;
            }
            op::EXT1 | op::EXT2 | op::EXT4 => {
                let message = format_args!(
                    "extension code {} stands for whatever the reading program registered",
                    token.number
                );
                self.note(&rules::PKL_EXTENSION, Place::at(at), message);
                self.push(Value::Foreign);
            }
            op::PERSID => {
                let id = self.heap.text(&token.first, false);
                let value = self.persistent(at, id);
                self.push(value);
            }
            op::BINPERSID => {
                let id = self.pop()?;
                let value = self.persistent(at, id);
                self.push(value);
            }
            op::NEXT_BUFFER => {
                let message = "a buffer is expected that the file does not hold";
                self.note(&rules::PKL_OUTSIDE, Place::at(at), message);
                self.push(Value::Foreign);
            }
            op::READONLY_BUFFER => {
                self.top()?;
            }
            _ => self.data(token)?,
        }
        Ok(Next::Opcode)
    }

    /// Opcodes that make and fill plain data.
    fn data(&mut self, token: &Token) -> Result<(), Broken> {
        if embedded::is_pickle(&token.first) {
            let message = "a text or byte string in the data is itself a pickle, which is not inspected";
            self.note(&rules::PKL_EMBEDDED, Place::at(token.at), message);
        }
        let text = matches!(
            op::argument(token.code),
            Some(op::Argument::Text(_) | op::Argument::Line)
        );
        if self.bytecode
            && text
            && let Ok(text) = std::str::from_utf8(&token.first.kept)
        {
            let place = Place::at(token.at);
            torchscript::report(
                torchscript::named(text),
                &text::shown(text),
                place,
                &mut self.findings,
            );
        }
        let value = match token.code {
            op::NONE => Value::None,
            op::NEWTRUE => Value::Bool(true),
            op::NEWFALSE => Value::Bool(false),
            op::INT | op::LONG | op::BININT | op::BININT1 | op::BININT2 | op::LONG1 | op::LONG4 => {
                numbers::integer(token)
            }
            op::FLOAT | op::BINFLOAT => Value::Number,
            op::BINUNICODE | op::SHORT_BINUNICODE | op::BINUNICODE8 => self.heap.text(&token.first, false),
            op::BINSTRING | op::SHORT_BINSTRING => {
                // Of Python 2: each byte is a character.
                let chars = token.first.length;
                let text = Payload {
                    chars,
                    ..token.first.clone()
                };
                self.heap.text(&text, false)
            }
            op::BINBYTES | op::SHORT_BINBYTES | op::BINBYTES8 | op::BYTEARRAY8 => {
                self.heap.text(&token.first, true)
            }
            op::STRING => {
                let text = unescape::quoted(&token.first);
                self.heap.text(&text, false)
            }
            op::UNICODE => {
                let text = unescape::raw_unicode(&token.first);
                self.heap.text(&text, false)
            }
            op::EMPTY_LIST => self.heap.items(Kind::List),
            op::EMPTY_DICT => self.heap.items(Kind::Dict),
            op::EMPTY_SET => self.heap.items(Kind::Set),
            op::EMPTY_TUPLE => self.heap.tuple(&[]),
            op::TUPLE1 => self.tuple(1)?,
            op::TUPLE2 => self.tuple(2)?,
            op::TUPLE3 => self.tuple(3)?,
            op::TUPLE => {
                let items = self.pop_mark()?;
                self.heap.tuple(&items)
            }
            op::LIST => self.filled(token, Kind::List)?,
            op::DICT => self.filled(token, Kind::Dict)?,
            op::FROZENSET => self.filled(token, Kind::Set)?,
            _ => return self.fill(token),
        };
        self.push(value);
        Ok(())
    }

    /// Opcodes that add to what is on the stack.
    fn fill(&mut self, token: &Token) -> Result<(), Broken> {
        let items = match token.code {
            op::APPEND => vec![self.pop()?],
            op::SETITEM => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.pop_mark()?,
        };
        let container = self.top()?;
        let pairs = matches!(token.code, op::SETITEM | op::SETITEMS);
        let fits = match self.heap.node(container) {
            Some(Node::Items(items)) => match items.kind {
                Kind::List | Kind::Sequence => matches!(token.code, op::APPEND | op::APPENDS),
                Kind::Dict | Kind::Mapping => pairs,
                Kind::Set => token.code == op::ADDITEMS,
                Kind::Namespace => false,
            },
            // What was forgotten was plain; what is foreign has its finding.
            _ => matches!(container, Value::Plain | Value::Mixed | Value::Foreign),
        };
        if !fits && !items.is_empty() {
            let message = format!(
                "{} adds items to {}, which runs code of its own",
                op::name(token.code),
                self.shown(container)
            );
            self.note(&rules::PKL_STATE, Place::at(token.at), message);
            return Ok(());
        }
        let kind = match self.heap.node(container) {
            Some(Node::Items(items)) => items.kind,
            // What it was is forgotten.
            _ if pairs => Kind::Dict,
            _ if token.code == op::ADDITEMS => Kind::Set,
            _ => Kind::List,
        };
        for item in items.chunks(if pairs { 2 } else { 1 }) {
            self.hash(token, kind, item);
            self.heap.append(container, item);
            if pairs {
                self.member(token.at, container, item);
            }
        }
        Ok(())
    }

    fn store(&mut self, token: &Token) -> Result<(), Broken> {
        let value = self.top()?;
        let (value, keep) = if self.heap.matters(value) {
            (value, Keep::Must)
        } else if self.memo.is_crowded() && self.heap.is_mixed(value) {
            (Value::Mixed, Keep::Must)
        } else if self.memo.is_crowded()
            && let Some(atom) = self.heap.atom(value)
        {
            (atom, Keep::Gladly)
        } else {
            (value, Keep::No)
        };
        let stored = if token.code == op::MEMOIZE {
            self.memo.push(value, keep)
        } else {
            let index = numbers::index(token).ok_or(Broken::NoMemo)?;
            self.memo.put(index, value, keep)
        };
        let place = Place::at(token.at);
        match stored {
            Stored::Fine => {}
            Stored::Overwritten => {
                let message = "a memo entry is stored again, which no writer does";
                self.note(&rules::PKL_MEMO, place, message);
            }
            Stored::Gap => {
                let message =
                    "a memo index is far beyond the entries before it; readers make room for all between";
                self.note(&rules::PKL_EXPANSION, place, message);
            }
            Stored::Full => return Err(Broken::TooComplex),
        }
        Ok(())
    }

    fn tuple(&mut self, items: usize) -> Result<Value, Broken> {
        let start = self
            .stack
            .len()
            .checked_sub(items)
            .filter(|start| *start >= self.floor());
        let items = self.stack.split_off(start.ok_or(Broken::Underflow)?);
        Ok(self.heap.tuple(&items))
    }

    fn filled(&mut self, token: &Token, kind: Kind) -> Result<Value, Broken> {
        let items = self.pop_mark()?;
        let container = self.heap.items(kind);
        for item in items.chunks(if kind == Kind::Dict { 2 } else { 1 }) {
            self.hash(token, kind, item);
            self.heap.append(container, item);
            if kind == Kind::Dict {
                self.member(token.at, container, item);
            }
        }
        Ok(container)
    }

    /// A key of a dictionary or an item of a set is hashed.
    fn hash(&mut self, token: &Token, kind: Kind, item: &[Value]) {
        if let (Kind::Dict | Kind::Mapping | Kind::Set, Some(key)) = (kind, item.first()) {
            let weight = self.heap.weight(*key);
            // What writers hash is small and written for it.
            if weight > 1 {
                self.works(token, weight);
            }
        }
    }

    /// How far down the stack may be taken from: readers do not reach below the last mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    /// Puts a value on the stack.
    pub(super) fn push(&mut self, value: Value) {
        self.stack.push(value);
    }

    /// Takes a value from the stack.
    pub(super) fn pop(&mut self) -> Result<Value, Broken> {
        if self.stack.len() <= self.floor() {
            return Err(Broken::Underflow);
        }
        self.stack.pop().ok_or(Broken::Underflow)
    }

    /// Takes everything above the last mark, and the mark.
    pub(super) fn pop_mark(&mut self) -> Result<Vec<Value>, Broken> {
        let mark = self.marks.pop().ok_or(Broken::NoMark)?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    /// Whether something is left besides the result, after STOP took it.
    pub fn has_leftovers(&self) -> bool {
        !self.stack.is_empty() || !self.marks.is_empty()
    }

    /// Replaces the value on top of the stack.
    pub fn replace_top(&mut self, value: Value) {
        if let Some(top) = self.stack.last_mut() {
            *top = value;
        }
    }

    fn top(&self) -> Result<Value, Broken> {
        if self.stack.len() <= self.floor() {
            return Err(Broken::Underflow);
        }
        self.stack.last().copied().ok_or(Broken::Underflow)
    }
}
