//! JSON documents. Every member is seen; nothing is kept but what a finding needs.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use holdfast_contract::report::ModelFacts;

use super::path::Path;
use super::{Kind, MAX_WHOLE_BYTES};
use crate::finding::{Findings, Place};
use crate::inspector::{Found, Inspector};
use crate::json::{Event, Json, Progress, Text};
use crate::paths;
use crate::rules;
use crate::template;
use crate::text;

/// Members that name code which a loader imports or calls.
const CODE: [&str; 8] = [
    "auto_map",
    "custom_pipelines",
    "custom_pipeline",
    "_target_",
    "py/object",
    "py/reduce",
    "__reduce__",
    "custom_objects",
];
/// Libraries that diffusers loads the parts of a pipeline from.
const LIBRARIES: [&str; 6] = [
    "diffusers",
    "transformers",
    "peft",
    "onnxruntime",
    "optimum",
    "null",
];
/// Parts that hold pieces of words, which may be any characters.
const WORDS: [&str; 6] = [
    "vocab",
    "merges",
    "added_tokens",
    "added_tokens_decoder",
    "normalizer",
    "pre_tokenizer",
];
/// The most pairs of texts that may be parts of a pipeline.
const MAX_PARTS: usize = 256;

/// The inspector for a JSON document.
#[derive(Debug)]
pub struct Configuration {
    json: Json,
    done: bool,
    broken: bool,
    begins: u64,
    reading: Reading,
}

/// What is known of the document.
#[derive(Debug, Default)]
struct Reading {
    path: Path,
    kinds: BTreeSet<Kind>,
    /// Whether every value at the top is a number, as in a vocabulary.
    others: bool,
    numbers: u64,
    is_object: bool,
    /// A name with characters that do not show, until its value says that it is a piece of a word.
    hidden_name: Option<(u64, char)>,
    /// The first of two texts in a list that stands at the top: a library and a class of it.
    pair: Option<(u64, String)>,
    parts: Vec<(u64, String, String)>,
    has_template: bool,
    findings: Findings,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            json: Json::keeping(MAX_WHOLE_BYTES),
            done: false,
            broken: false,
            begins: 0,
            reading: Reading::default(),
        }
    }
}

impl Inspector for Configuration {
    fn feed(&mut self, at: u64, chunk: &[u8]) {
        let mut chunk = chunk;
        if at == 0 && chunk.starts_with(b"\xef\xbb\xbf") {
            self.begins = 3;
            chunk = chunk.get(3..).unwrap_or_default();
        }
        if self.broken {
            return;
        }
        let (reading, begins) = (&mut self.reading, self.begins);
        let mut rest = chunk;
        if !self.done {
            match self.json.feed(chunk, |at, event| {
                reading.event(begins + at, &event);
                ControlFlow::Continue(())
            }) {
                Progress::More | Progress::Stopped => return,
                Progress::Done(taken) => {
                    self.done = true;
                    rest = chunk.get(taken..).unwrap_or_default();
                }
                Progress::Wrong(at, error) => {
                    self.broken = true;
                    reading
                        .findings
                        .add(&rules::DOC_MALFORMED, Place::at(begins + at), error);
                    return;
                }
            }
        }
        if !rest.iter().all(u8::is_ascii_whitespace) {
            self.broken = true;
            let message = "something follows the end of the document";
            reading
                .findings
                .add(&rules::DOC_MALFORMED, Place::whole(), message);
        }
    }

    fn finish(mut self: Box<Self>, size: u64) -> Found {
        if !self.done && !self.broken {
            self.broken = true;
            let message = "the document ends in the middle";
            self.reading
                .findings
                .add(&rules::DOC_MALFORMED, Place::at(size), message);
        }
        let readable = !self.broken;
        let (findings, has_template) = self.reading.conclude(readable);
        Found {
            findings,
            facts: has_template.then(|| ModelFacts {
                chat_template: true,
                ..ModelFacts::default()
            }),
            ..Found::default()
        }
    }
}

impl Reading {
    fn event(&mut self, at: u64, event: &Event<'_>) {
        match event {
            Event::BeginObject | Event::BeginArray => {
                self.report_hidden();
                if self.path.depth() == 0 {
                    self.is_object = matches!(event, Event::BeginObject);
                } else if self.path.depth() == 1 {
                    self.others = true;
                }
                self.pair = None;
                self.path.enter();
            }
            Event::EndObject | Event::EndArray => {
                self.pair = None;
                self.path.leave();
            }
            Event::Key(name) => self.key(at, name),
            Event::String(value) => self.string(at, value),
            Event::Number(_) => {
                // A piece of a word may be any characters.
                self.hidden_name = None;
                self.numbers += u64::from(self.path.depth() == 1);
                self.path.value();
            }
            Event::Bool(value) => {
                self.other();
                if *value && self.path.name() == Some("trust_remote_code") {
                    self.code(at, "true");
                }
            }
            Event::Null => self.other(),
        }
    }

    fn other(&mut self) {
        self.report_hidden();
        self.others |= self.path.depth() == 1;
        self.path.value();
    }

    fn key(&mut self, at: u64, name: &Text) {
        let shown = String::from_utf8_lossy(name.kept());
        if self.path.depth() == 1 {
            self.kinds.extend(Kind::of_member(&shown));
        }
        if !self.path.member(&shown, name.fingerprint()) {
            let message = format_args!("the member \"{}\" is there twice", text::shown(&shown));
            self.findings.add(&rules::DOC_DUPLICATE, Place::at(at), message);
        }
        self.hidden_name = shown
            .chars()
            .find(|character| deceives(*character))
            .map(|character| (at, character));
    }

    fn report_hidden(&mut self) {
        if let Some((at, character)) = self.hidden_name.take()
            && !self.path.is_within(&WORDS)
        {
            self.hidden(at, character);
        }
    }

    fn hidden(&mut self, at: u64, character: char) {
        let message = format_args!("the document holds the character U+{:04X}", u32::from(character));
        let place = Place::at(at).of(&self.path.shown());
        self.findings.add(&rules::DOC_HIDDEN, place, message);
    }

    fn code(&mut self, at: u64, value: &str) {
        let name = self.path.shown();
        let message = format_args!("the document has a loader run code: {}", text::shown(value));
        self.findings
            .add(&rules::DOC_CODE, Place::at(at).of(&name), message);
    }

    fn string(&mut self, at: u64, value: &Text) {
        self.report_hidden();
        self.others |= self.path.depth() == 1;
        let shown = String::from_utf8_lossy(value.kept());
        if self.path.is_within(&CODE) {
            self.code(at, &shown);
        }
        let is_word = self.path.is_within(&WORDS);
        // Loaders render what is called a template. Anything else with its marks waits for somebody who does.
        let named = self.path.name().is_some_and(|name| name.contains("template"))
            || self.path.top() == Some("chat_template");
        let marked = shown.contains("{{") || shown.contains("{%");
        if !is_word && (marked || named && self.path.name() != Some("name")) {
            self.template(at, value);
        } else if let Some(character) = shown.chars().find(|character| deceives(*character))
            && !is_word
        {
            self.hidden(at, character);
        }
        if self.path.top() == Some("weight_map") {
            self.file(at, value.kept());
        }
        self.part(at, &shown);
        self.path.value();
    }

    fn template(&mut self, at: u64, value: &Text) {
        self.has_template |= self.path.top() == Some("chat_template");
        match value.whole() {
            // Escapes make offsets within the text meaningless; its beginning is what can be pointed at.
            Some(source) => {
                let mut findings = Findings::default();
                template::inspect(source, 0, &self.path.shown(), &mut findings);
                if findings.has(&rules::TPL_UNREADABLE) {
                    findings.add(
                        &rules::DOC_TEMPLATE,
                        Place::at(at),
                        "a template that cannot be read",
                    );
                }
                self.findings.append(findings.moved(|_| at));
            }
            None => {
                let message = format_args!("a chat template of more than {MAX_WHOLE_BYTES} bytes");
                self.findings.add(&rules::DOC_TOO_LONG, Place::at(at), message);
            }
        }
    }

    /// A file of the model, which a loader opens.
    fn file(&mut self, at: u64, name: &[u8]) {
        let is_address = name.windows(3).any(|window| window == b"://");
        let why = paths::bad(name).or_else(|| is_address.then_some("is an address in a network"));
        if let Some(why) = why {
            let message = format_args!("the name of a file, \"{}\", {why}", text::shown_bytes(name));
            self.findings.add(&rules::DOC_PATH, Place::at(at), message);
        }
    }

    /// Two texts in a list at the top of a pipeline are a library and a class.
    fn part(&mut self, at: u64, value: &str) {
        if self.path.depth() != 2 {
            return;
        }
        match (self.path.items(), self.pair.take()) {
            (0, _) => self.pair = Some((at, text::shown(value))),
            (1, Some((at, library))) if self.parts.len() < MAX_PARTS => {
                self.parts.push((at, library, text::shown(value)));
            }
            _ => {}
        }
    }

    fn conclude(mut self, readable: bool) -> (Findings, bool) {
        if self.kinds.contains(&Kind::Pipeline) {
            for (at, library, class) in std::mem::take(&mut self.parts) {
                if !LIBRARIES.contains(&library.as_str()) {
                    let message = format_args!("a part of the pipeline is \"{class}\" of \"{library}\"");
                    self.findings.add(&rules::DOC_CODE, Place::at(at), message);
                }
            }
        }
        let vocabulary = (self.is_object && self.numbers > 0 && !self.others).then_some(Kind::Vocabulary);
        let is_notebook = self.kinds.contains(&Kind::Notebook);
        let kind = self.kinds.first().copied().or(vocabulary);
        if !readable {
            return (self.findings, self.has_template);
        }
        match kind.filter(|_| !is_notebook) {
            Some(kind) if !self.findings.refuse() => {
                let message = format_args!(
                    "this is {} and goes with a model; it is no model itself",
                    kind.description()
                );
                self.findings.add(&rules::DOC_ADMITTED, Place::whole(), message);
            }
            Some(_) => {}
            None => {
                let message = if is_notebook {
                    "this is a notebook, which is a program"
                } else {
                    "this JSON document is of no kind that comes with models"
                };
                self.findings.add(&rules::FMT_DOCUMENT, Place::whole(), message);
            }
        }
        (self.findings, self.has_template)
    }
}

/// Characters with which a text shows something else than it holds: they change the direction of what follows, or are a second,
/// invisible alphabet.
pub(super) fn deceives(character: char) -> bool {
    matches!(u32::from(character), 0x202A..=0x202E | 0x2066..=0x2069 | 0xE0000..=0xE007F)
}
