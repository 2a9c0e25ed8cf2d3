//! Python pickles of protocols 0 to 5, run by a symbolic machine that imports and calls nothing.
//!
//! What a reader would import and call is resolved and compared with a short list of what weights need; everything
//! else refuses the file. PyTorch's old format and joblib's arrays are followed through the bytes between pickles.
//! Memory is bounded by constants, time by the bytes. Trust boundary: every byte is written by somebody who wants to be
//! believed.

mod allow;
mod call;
mod context;
mod deny;
mod disguise;
mod effects;
mod embedded;
mod expansion;
mod globals;
mod legacy;
mod lexer;
mod machine;
mod memo;
mod numbers;
mod numpy;
mod opcodes;
mod pages;
mod reader;
mod settings;
mod show;
mod summary;
mod tar;
mod torch;
mod unescape;
mod value;

use holdfast_contract::report::ModelFacts;

use crate::disarm::Weights;
use crate::finding::{Findings, Place};
use crate::inspector::{Found, Inspector};
use crate::rules;
pub use context::Context;
pub use deny::is_dangerous;
pub(crate) use disguise::Disguise;
use legacy::{Legacy, Role};
pub(crate) use lexer::opcode_length;
use machine::Machine;
pub(crate) use numpy::Dtype;
use numpy::Inline;
pub(crate) use opcodes::is_opcode;
use reader::{Event, Reader};
pub use summary::{Name, NamedTensor, Summary};
use tar::{Member, Part};
pub use torch::{Element, Key, MAX_TENSORS, Storage, Tensor};
use value::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Opcodes.
    Pickle,
    /// A pickle has ended; a byte that follows begins another.
    Between,
    /// The byte that counts the padding before an array.
    PaddingCount { bytes: u64 },
    /// The padding, and how many bytes follow it.
    Padding { left: u64, bytes: u64, wrong: bool },
    /// The bytes of an array.
    Array { left: u64 },
    /// The storages of PyTorch's old format.
    Storages,
    /// The numbers between the pickles of PyTorch's oldest format.
    Numbers,
    /// Nothing more is read.
    Ended,
}

/// The inspector for pickles.
#[derive(Debug)]
pub struct Pickle {
    context: Context,
    reader: Reader,
    /// The reader that waits for a pickle within an array to end.
    outer: Option<Box<Reader>>,
    /// A reader that takes the bytes of the first joblib array for opcodes, as `pickle.load` does.
    plain: Option<Box<Reader>>,
    plain_done: bool,
    /// Whether what that reader imports is worth a finding unless it is dangerous. Within a pickle in an array it sees the
    /// right opcodes with a wrong memo.
    plain_counts: bool,
    stage: Stage,
    begun_at: u64,
    legacy: Legacy,
    /// A member of PyTorch's oldest format with numbers between its pickles.
    member: Option<Member>,
    summary: Summary,
}

impl Pickle {
    /// An inspector for a pickle found there.
    pub fn new(context: Context) -> Self {
        Self::beginning_at(context, 0)
    }

    /// [`Pickle::new`] for one that begins `at` bytes from the start of what is fed.
    pub fn beginning_at(context: Context, at: u64) -> Self {
        let mut machine = Machine::default();
        machine.globals.script = matches!(context, Context::Script | Context::Bytecode);
        machine.bytecode = context == Context::Bytecode;
        machine.numbered = context == Context::TarObject;
        Self {
            context,
            reader: Reader::new(at, machine, context == Context::File),
            outer: None,
            plain: None,
            plain_done: false,
            plain_counts: true,
            stage: Stage::Pickle,
            begun_at: at,
            legacy: Legacy::default(),
            member: match context {
                Context::TarStorages => Some(Member::new(Part::Storages)),
                Context::TarTensors => Some(Member::new(Part::Tensors)),
                _ => None,
            },
            summary: Summary::default(),
        }
    }

    /// The bytes have ended after `size`: what was found, and what was learnt.
    pub fn conclude(mut self, size: u64) -> (Findings, Summary) {
        self.end(size);
        if let (Some(plain), false) = (&mut self.plain, self.plain_done) {
            plain.cut_off();
        }
        self.report_plain();
        let machine = &mut self.reader.machine;
        let mut findings = std::mem::take(&mut machine.findings);
        self.summary.complete(machine, &self.legacy);
        if self.context == Context::File && !findings.refuse() {
            let message = format_args!(
                "a pickle of protocol {} that holds {} tensors and otherwise plain data",
                self.summary.protocol,
                self.summary.tensors.len()
            );
            findings.add(&rules::PKL_ADMITTED, Place::whole(), message);
        }
        (findings, self.summary)
    }

    /// The bytes have ended after `size`: whether something known to be dangerous was used, not only imported.
    pub(crate) fn takes_control(mut self, size: u64) -> bool {
        self.end(size);
        self.reader.machine.globals.take_control()
    }

    /// What a text would do that a reader takes for a pickle from its first byte on. Prose is one now and then, so an import that is
    /// merely not allowed counts only if something comes of it: the pickle ends, or calls it.
    pub(crate) fn read_as_one(text: &[u8]) -> Findings {
        let mut pickle = Self::new(Context::Member);
        pickle.reader.machine.skips_odd_names = true;
        pickle.feed(0, text);
        pickle.end(text.len() as u64);
        let machine = &mut pickle.reader.machine;
        let acts = pickle.summary.pickles > 0 || machine.globals.refused(true).is_some();
        let (listed, _) = std::mem::take(&mut machine.findings).into_parts();
        let mut findings = Findings::default();
        for finding in listed {
            let rule = [&rules::PKL_DANGEROUS, &rules::PKL_IMPORT, &rules::PKL_ARGUMENTS]
                .into_iter()
                .find(|rule| rule.id == finding.id)
                .filter(|rule| acts || rule.id != rules::PKL_IMPORT.id);
            if let Some(rule) = rule {
                let place = finding.offset.map_or_else(Place::whole, Place::at);
                findings.add(rule, place, finding.message);
            }
        }
        findings
    }

    fn at(&self) -> u64 {
        self.reader.lexer.at()
    }

    fn end(&mut self, size: u64) {
        let missing = match self.stage {
            Stage::Ended => false,
            Stage::Between => match &self.member {
                Some(member) => !member.is_complete(),
                None => self.legacy.lacks_pickles(),
            },
            Stage::Storages => !self.legacy.is_complete(),
            Stage::Pickle => {
                self.reader.cut_off();
                let more = self.member.as_ref().is_some_and(|member| !member.is_complete());
                if self.summary.pickles > 0 && self.outer.is_none() && !more && !self.legacy.lacks_pickles() {
                    self.trailing();
                    false
                } else {
                    true
                }
            }
            Stage::PaddingCount { .. } | Stage::Padding { .. } | Stage::Array { .. } | Stage::Numbers => true,
        };
        if missing {
            let place = Place::at(size.min(self.at()));
            let message = "the bytes end before the pickle and what belongs to it do";
            self.reader
                .machine
                .findings
                .add(&rules::PKL_TRUNCATED, place, message);
        }
        self.reader.machine.end_pickle();
        if let Some(mut outer) = self.outer.take() {
            outer.machine.resume(std::mem::take(&mut self.reader.machine));
            outer.machine.end_pickle();
            self.reader = *outer;
        }
    }

    fn trailing(&mut self) {
        let place = Place::at(self.begun_at);
        let message = "what follows the end of the pickle is no complete pickle";
        self.reader
            .machine
            .findings
            .add(&rules::PKL_TRAILING, place, message);
    }

    /// Takes opcodes up to an event.
    fn pickle(&mut self, bytes: &[u8]) -> usize {
        let (taken, event) = self.reader.feed(bytes);
        // Before the event, which may say that from here on less of it counts.
        self.feed_plain(bytes.get(..taken).unwrap_or(bytes));
        match event {
            Event::More => {}
            Event::Broken => {
                if self.context == Context::File && self.summary.pickles > 0 && self.outer.is_none() {
                    self.trailing();
                }
                self.stage = Stage::Ended;
            }
            Event::Stop(result) => self.stopped(result),
            Event::Inline(inline) => self.inline(inline),
        }
        taken
    }

    fn stopped(&mut self, result: Value) {
        let at = self.at();
        if let Some(mut outer) = self.outer.take() {
            self.reader.machine.end_pickle();
            let here = at.saturating_sub(outer.lexer.at());
            outer.lexer.skip(here);
            outer.machine.resume(std::mem::take(&mut self.reader.machine));
            self.reader = *outer;
            return;
        }
        if let Some(member) = &mut self.member {
            let follows = member.pickle(result, &self.reader.machine);
            self.summary.pickles += 1;
            self.reader.restart();
            return match follows {
                Some(true) => self.stage = Stage::Numbers,
                Some(false) => self.stage = Stage::Between,
                None => self.misshapen(),
            };
        }
        let role = self
            .legacy
            .pickle(self.begun_at, result, &mut self.reader.machine);
        if role == Role::Object {
            self.reader.machine.settle(result);
            self.summary.list(result, &self.reader.machine);
        }
        self.summary.pickles += 1;
        self.reader.machine.heap.keep_all = self.legacy.expects_keys();
        self.reader.restart();
        self.stage = if role == Role::Keys {
            Stage::Storages
        } else {
            Stage::Between
        };
    }

    /// A part of PyTorch's oldest format is none.
    fn misshapen(&mut self) {
        let message = "a part of PyTorch's format of 2016 is not what it must be";
        let place = Place::at(self.at());
        self.reader
            .machine
            .findings
            .add(&rules::PKL_LEGACY, place, message);
        self.stage = Stage::Ended;
    }

    fn inline(&mut self, inline: Inline) {
        if self.plain.is_none() && self.outer.is_none() {
            self.plain = Some(Box::new(self.reader.plain()));
        }
        match inline {
            Inline::Bytes { bytes, aligned: true } => self.stage = Stage::PaddingCount { bytes },
            Inline::Bytes {
                bytes,
                aligned: false,
            } => self.array(bytes),
            Inline::Pickle => {
                self.report_plain();
                self.plain_counts = false;
                let machine = self.reader.machine.nested();
                let nested = Reader::new(self.at(), machine, false);
                self.outer = Some(Box::new(std::mem::replace(&mut self.reader, nested)));
            }
        }
    }

    fn array(&mut self, bytes: u64) {
        self.stage = if bytes == 0 {
            Stage::Pickle
        } else {
            Stage::Array { left: bytes }
        };
    }

    fn padding(&mut self, bytes: &[u8], left: u64, length: u64, wrong: bool) -> usize {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let odd = bytes.iter().take(taken).position(|byte| *byte != 0xff);
        if let Some(odd) = odd.filter(|_| !wrong) {
            let place = Place::at(self.at() + odd as u64);
            let message = "the padding before an array is not what joblib writes";
            self.reader
                .machine
                .findings
                .add(&rules::PKL_PADDING, place, message);
        }
        let left = left - taken as u64;
        if left == 0 {
            self.array(length);
        } else {
            self.stage = Stage::Padding {
                left,
                bytes: length,
                wrong: wrong || odd.is_some(),
            };
        }
        taken
    }

    fn next(&mut self, bytes: &[u8]) -> usize {
        let taken = match self.stage {
            Stage::Pickle => return self.pickle(bytes),
            Stage::Between => {
                self.begun_at = self.at();
                let ended = match &self.member {
                    Some(member) => member.is_complete(),
                    None => self.context != Context::File && self.summary.pickles == 1,
                };
                if ended {
                    self.trailing();
                }
                self.stage = Stage::Pickle;
                return 0;
            }
            Stage::PaddingCount { bytes: length } => {
                match u64::from(bytes.first().copied().unwrap_or(0)) {
                    0 => self.array(length),
                    left => {
                        self.stage = Stage::Padding {
                            left,
                            bytes: length,
                            wrong: false,
                        };
                    }
                }
                1
            }
            Stage::Padding {
                left,
                bytes: length,
                wrong,
            } => self.padding(bytes, left, length, wrong),
            Stage::Array { left } => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let left = left - taken as u64;
                self.stage = if left == 0 {
                    Stage::Pickle
                } else {
                    Stage::Array { left }
                };
                taken
            }
            Stage::Storages => {
                let at = self.at();
                let machine = &mut self.reader.machine;
                let taken = self
                    .legacy
                    .feed(at, bytes, &machine.tensors, &mut machine.findings);
                if taken == 0 {
                    let message = format_args!("bytes follow the last storage");
                    machine.findings.add(&rules::PKL_TRAILING, Place::at(at), message);
                    self.stage = Stage::Ended;
                }
                taken
            }
            Stage::Numbers => match self.member.as_mut().and_then(|member| member.feed(bytes)) {
                Some((taken, done)) => {
                    if done {
                        self.stage = Stage::Between;
                    }
                    taken
                }
                None => {
                    self.misshapen();
                    bytes.len()
                }
            },
            Stage::Ended => bytes.len(),
        };
        self.reader.lexer.skip(taken as u64);
        self.feed_plain(bytes.get(..taken).unwrap_or(bytes));
        taken
    }

    /// Lets the reader that does not know joblib take the same bytes.
    fn feed_plain(&mut self, bytes: &[u8]) {
        // What it found waits for the end: told at once, its place among the others would depend on how the bytes come.
        if let (Some(plain), false) = (&mut self.plain, self.plain_done) {
            let (_, event) = plain.feed(bytes);
            self.plain_done = event != Event::More;
        }
    }

    /// Takes over what a reader that does not know joblib would import.
    fn report_plain(&mut self) {
        let Some(plain) = &mut self.plain else { return };
        plain.machine.end_pickle();
        let (listed, _) = std::mem::take(&mut plain.machine.findings).into_parts();
        let rules = if self.plain_counts {
            &[&rules::PKL_DANGEROUS, &rules::PKL_IMPORT][..]
        } else {
            &[&rules::PKL_DANGEROUS]
        };
        for finding in listed {
            if let Some(rule) = rules.iter().find(|rule| rule.id == finding.id) {
                let place = finding.offset.map_or_else(Place::whole, Place::at);
                let message = format_args!(
                    "{}, for a reader that takes an array's bytes for opcodes",
                    finding.message
                );
                self.reader.machine.findings.add(rule, place, message);
            }
        }
    }
}

impl Inspector for Pickle {
    fn feed(&mut self, _at: u64, chunk: &[u8]) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let taken = self.next(rest);
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    fn finish(self: Box<Self>, size: u64) -> Found {
        let counted = match (&self.member, self.context) {
            (Some(member), Context::TarTensors) => member.entries(),
            _ => 0,
        };
        let (findings, summary) = self.conclude(size);
        let mut facts = facts(&summary);
        facts.tensors += counted;
        Found {
            findings,
            facts: Some(facts),
            weights: Weights::of(summary),
            ..Found::default()
        }
    }
}

/// What a listing says about the model.
pub fn facts(summary: &Summary) -> ModelFacts {
    let mut largest: Vec<(&str, u64)> = Vec::new();
    let mut parameters: u64 = 0;
    for NamedTensor { tensor, .. } in &summary.tensors {
        let elements = tensor.elements().unwrap_or(0);
        parameters = parameters.saturating_add(elements);
        let name = tensor.element.safetensors.unwrap_or(tensor.element.name);
        match largest.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum = sum.saturating_add(elements),
            None => largest.push((name, elements)),
        }
    }
    ModelFacts {
        name: None,
        architecture: None,
        tensors: summary.tensors.len() as u64,
        parameters,
        context_tokens: None,
        tensor_type: largest
            .into_iter()
            .max_by_key(|(_, sum)| *sum)
            .map(|(name, _)| name.to_owned()),
        chat_template: false,
    }
}
