//! What the members of a JSON document say, as they go by.

use std::collections::BTreeSet;

use super::characters::{self, Unseen};
use super::code::{self, Away};
use super::control;
use super::expression::{self, Flaw};
use super::path::Path;
use super::pipeline::Pairs;
use super::shape::Shape;
use super::{Kind, MAX_WHOLE_BYTES};
use crate::finding::{Findings, Place};
use crate::json::{Event, Text};
use crate::paths;
use crate::rules;
use crate::set::Ties;
use crate::template;
use crate::text;

/// Members at the top that hold pieces of words, which may be any characters.
const WORDS: [&str; 9] = [
    "vocab",
    "merges",
    "special_tokens",
    "added_tokens",
    "added_tokens_decoder",
    "normalizer",
    "pre_tokenizer",
    "post_processor",
    "decoder",
];

/// Those of them that are lists.
const TOKENS: [&str; 5] = [
    "vocab",
    "merges",
    "special_tokens",
    "added_tokens",
    "added_tokens_decoder",
];

/// Members whose texts adapters compare as search patterns with the names of a model's parts.
const PATTERNS: [&str; 5] = [
    "target_modules",
    "exclude_modules",
    "layers_pattern",
    "modules_to_save",
    "target_parameters",
];
/// Members whose members have search patterns for names.
const PATTERN_NAMES: [&str; 2] = ["rank_pattern", "alpha_pattern"];

/// The member with the ranges of layers that an adapter puts after each other, and the most layers that these may be. The deepest models
/// have some hundred, and are put together twice or three times; each layer is another part of the model in memory.
const REPLICATION: &str = "layer_replication";
const MAX_LAYERS: i64 = 4096;

/// What is known of the document.
#[derive(Debug, Default)]
pub struct Reading {
    path: Path,
    kinds: BTreeSet<Kind>,
    shape: Shape,
    is_object: bool,
    /// Whether a part of the path to the file is hidden: programs keep there what they do.
    is_hidden: bool,
    /// A name with characters that do not show, until its value says that it is a piece of a word.
    hidden_name: Option<(u64, char, Unseen)>,
    pairs: Pairs,
    has_template: bool,
    /// Where a range of layers begins, and how many layers all ranges have.
    range: Option<i64>,
    layers: i64,
    /// The last text that was one of a list of parts of a name.
    part: String,
    /// The name of the entry of an index that is being read, where it is wanted.
    entry: Vec<u8>,
    ties: Ties,
    /// What was found so far.
    pub findings: Findings,
}

impl Reading {
    /// What is known before anything was read: the name.
    pub fn new(name: &str, ties: Ties) -> Self {
        let mut reading = Self {
            ties,
            is_hidden: name.split('/').any(|part| part.starts_with('.')),
            ..Self::default()
        };
        if name.ends_with("model_index.json") {
            reading.pairs.is_pipeline();
        }
        reading
    }

    /// Takes what was read at `at` in the file.
    pub fn event(&mut self, at: u64, event: &Event<'_>) {
        self.shape.event(event);
        match event {
            Event::BeginObject | Event::BeginArray => {
                self.report_hidden();
                match self.path.depth() {
                    0 => self.is_object = matches!(event, Event::BeginObject),
                    1 => self.pairs.begin(),
                    _ => {}
                }
                self.path.enter();
            }
            Event::EndObject => self.path.leave(),
            Event::EndArray => {
                if self.path.name() == Some("type_hint") {
                    self.pairs.end_hint();
                }
                if self.path.depth() == 2 {
                    self.pairs.end(self.path.top_two().0, self.path.items());
                }
                self.path.leave();
            }
            Event::Key(name) => self.key(at, name),
            Event::String(value) => self.string(at, value),
            Event::Number(number) => {
                // A piece of a word may be any characters.
                self.hidden_name = None;
                self.total(number);
                self.layers(at, number);
                if self.path.name() == Some("trust_remote_code") && *number != "0" {
                    self.code(at, number);
                }
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
        if self.ties.is_wanted() && self.path.depth() == 2 {
            self.entry = name.kept().to_vec();
        }
        if name.whole().is_none() {
            self.too_long(at, "a name");
        }
        let parent = self.path.top_two().0.filter(|_| self.path.depth() == 2);
        if parent.is_some_and(|parent| PATTERN_NAMES.contains(&parent)) {
            self.judge_pattern(at, &shown, name.whole().is_some());
        }
        self.hidden_name = characters::first(&shown).map(|(character, unseen)| (at, character, unseen));
    }

    /// Whether what is being read is a piece of a word.
    fn is_word(&self) -> bool {
        match self.path.top_two() {
            (Some("model"), Some(second)) => matches!(second, "vocab" | "merges"),
            (Some(top), _) => WORDS.contains(&top),
            (None, _) => false,
        }
    }

    /// Whether it is one that stands in a list of them. The other members that hold pieces of words have settings too, and so have members of
    /// those names in other documents.
    fn is_token(&self) -> bool {
        match self.path.top_two() {
            (Some("model"), Some(second)) => matches!(second, "vocab" | "merges"),
            (Some(top), _) => TOKENS.contains(&top),
            (None, _) => false,
        }
    }

    fn report_hidden(&mut self) {
        if let Some((at, character, unseen)) = self.hidden_name.take()
            && !self.is_word()
        {
            self.hidden(at, character, unseen);
        }
    }

    fn hidden(&mut self, at: u64, character: char, unseen: Unseen) {
        let rule = match unseen {
            Unseen::Deceives => &rules::DOC_HIDDEN,
            Unseen::Odd => &rules::DOC_INVISIBLE,
        };
        let message = format_args!("the document holds the character U+{:04X}", u32::from(character));
        let place = Place::at(at).of(&self.path.shown());
        self.findings.add(rule, place, message);
    }

    fn code(&mut self, at: u64, value: &str) {
        let name = self.path.shown();
        let message = format_args!("the document has a loader run code: {}", text::shown(value));
        self.findings
            .add(&rules::DOC_CODE, Place::at(at).of(&name), message);
    }

    /// Whether the text that is being read is a search pattern, and where in it that begins.
    fn pattern<'a>(&self, text: &'a str) -> Option<&'a str> {
        // The parts that quantisation leaves out.
        let marked = text
            .strip_prefix("re:")
            .filter(|_| self.path.names().any(|name| name == "quantization_config"));
        let name = self.path.name().unwrap_or_default();
        // How an answer is taken apart. In a list of replacements the pattern comes first.
        let parses =
            name.starts_with("x-regex") && (!name.ends_with("substitutions") || self.path.items() == 0);
        let is_tokens = self.path.depth() == 2 && self.path.top_two() == (Some("config"), Some("pattern"));
        let named =
            name == "Regex" || parses || is_tokens || self.path.names().any(|name| PATTERNS.contains(&name));
        marked.or_else(|| named.then_some(text))
    }

    fn judge_pattern(&mut self, at: u64, text: &str, is_whole: bool) {
        let flaw = if is_whole {
            expression::judge(text)
        } else {
            Some(Flaw::Unclear("it is longer than such patterns are"))
        };
        let what = match flaw {
            None => return,
            Some(Flaw::Ambiguous) => "can take for ever: it reads the same text in many ways".to_owned(),
            Some(Flaw::Unclear(why)) => format!("cannot be judged: {why}"),
        };
        let place = Place::at(at).of(&self.path.shown());
        let message = format_args!("the search pattern \"{}\" {what}", text::shown(text));
        self.findings.add(&rules::DOC_PATTERN, place, message);
    }

    fn too_long(&mut self, at: u64, what: &str) {
        let message = format_args!("{what} of more than {MAX_WHOLE_BYTES} bytes");
        self.findings.add(&rules::DOC_TOO_LONG, Place::at(at), message);
    }

    fn string(&mut self, at: u64, value: &Text) {
        self.report_hidden();
        let shown = String::from_utf8_lossy(value.kept());
        let way: Vec<&str> = self.path.names().collect();
        let is_code = code::is_named(&self.path, &shown)
            || code::is_imported(&way, &shown)
            || (!self.is_token() && code::is_control(&way, &shown));
        if is_code || self.listed(&shown) {
            self.code(at, &shown);
        }
        self.module(at, &shown);
        if let Some(pattern) = self.pattern(&shown) {
            self.judge_pattern(at, pattern, value.whole().is_some());
        }
        self.tie(value.kept(), &shown);
        let is_word = self.is_word();
        // Loaders render what is called a template. Anything else with its marks waits for somebody who does.
        let named = self.path.name().is_some_and(|name| name.contains("template"))
            || self.path.top_two().0 == Some("chat_template");
        let marked = shown.contains("{{") || shown.contains("{%");
        if !is_word && (marked || named && self.path.name() != Some("name")) {
            self.template(at, value);
        } else if !is_word {
            if value.whole().is_none() {
                self.too_long(at, "a text");
            }
            if let Some((character, unseen)) = characters::first(&shown) {
                self.hidden(at, character, unseen);
            }
        }
        self.file(at, value.kept(), &shown);
        if self.path.name() == Some("type_hint") {
            self.pairs.hint(at, &shown);
        } else if self.path.depth() == 2 {
            self.pairs.text(at, &shown);
        }
        self.path.value();
    }

    fn template(&mut self, at: u64, value: &Text) {
        self.has_template |= self.path.top_two().0 == Some("chat_template");
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
            None => self.too_long(at, "a chat template"),
        }
    }

    /// `LangChain` writes a name as a list of its parts. Whether the text and the one before it are such parts.
    fn listed(&mut self, value: &str) -> bool {
        if self.path.name() != Some("id") {
            return false;
        }
        let before = std::mem::replace(&mut self.part, text::shown(value));
        self.path.items() > 0 && control::names(&format!("{before}.{value}"))
    }

    /// The layers of a sentence-embedding model are a list of objects, each with the class to import; those that it chooses from, an
    /// object with their classes.
    fn module(&mut self, at: u64, value: &str) {
        if self.is_object && self.path.depth() == 2 && self.path.top_two().0 == Some("types") {
            if code::is_ours(value) {
                self.kinds.insert(Kind::Modules);
            } else if control::is_dotted(value) {
                self.code(at, value);
            }
            return;
        }
        if self.is_object || self.path.depth() != 2 || self.path.name() != Some("type") {
            return;
        }
        self.kinds.insert(Kind::Modules);
        if !code::is_ours(value) {
            self.code(at, value);
        }
    }

    /// A number in the ranges of layers.
    fn layers(&mut self, at: u64, number: &str) {
        if self.path.top_two().0 != Some(REPLICATION) || self.layers > MAX_LAYERS {
            return;
        }
        // What is no whole number is no layer.
        let number = number.parse().unwrap_or(i64::MAX);
        match self.range.take() {
            None => self.range = Some(number),
            Some(begin) => self.layers = self.layers.saturating_add(number.saturating_sub(begin).max(0)),
        }
        if self.layers > MAX_LAYERS {
            let message =
                format_args!("the adapter makes more than {MAX_LAYERS} layers of those of the model");
            self.findings
                .add(&rules::DOC_LAYERS, Place::at(at).of(REPLICATION), message);
        }
    }

    /// How many bytes an index says that all tensors have.
    fn total(&mut self, number: &str) {
        let is_total =
            self.path.depth() == 2 && self.path.top_two() == (Some("metadata"), Some("total_size"));
        if is_total && self.ties.is_wanted() {
            self.ties.total_bytes = number.parse().ok();
        }
    }

    /// What a text says about other files.
    fn tie(&mut self, value: &[u8], shown: &str) {
        if !self.ties.is_wanted() {
            return;
        }
        if self.path.top_two().0 == Some("weight_map") && self.path.depth() == 2 {
            self.ties.mapped(&self.entry, value);
        }
        if self.path.names().any(|name| name == "auto_map") {
            // `repository--module.Class`, the first only for what is fetched from elsewhere.
            let local = shown.rsplit("--").next().unwrap_or_default();
            let module = local.rsplit_once('.').map_or(local, |(module, _)| module);
            self.ties.module(module);
        }
    }

    /// A file or a model that a loader opens.
    fn file(&mut self, at: u64, name: &[u8], shown: &str) {
        let place = Place::at(at).of(&self.path.shown());
        // The files of an index or a list of weights, and the directories of an embedding model's layers.
        let layer = !self.is_object && self.path.depth() == 2 && self.path.name() == Some("path");
        let shard =
            self.path.name() == Some("paths") && self.path.names().any(|name| name == "weightsManifest");
        if self.path.top_two().0 == Some("weight_map") || shard || (layer && !name.is_empty()) {
            let is_address = name.windows(3).any(|window| window == b"://");
            let why = paths::bad(name, layer).or_else(|| is_address.then_some("is an address in a network"));
            if let Some(why) = why {
                let message = format_args!("the name of a file, \"{}\", {why}", text::shown_bytes(name));
                self.findings.add(&rules::DOC_PATH, place, message);
            }
            return;
        }
        let shown_name = text::shown(shown);
        let way: Vec<&str> = self.path.names().collect();
        match code::leads_away(&way, shown) {
            Some(Away::Network) => {
                let message = format_args!("a loader is sent to \"{shown_name}\"");
                self.findings.add(&rules::DOC_PATH, place, message);
            }
            Some(Away::Directory) => {
                let message = format_args!("the document names \"{shown_name}\"");
                self.findings.add(&rules::DOC_ELSEWHERE, place, message);
            }
            None => {}
        }
    }

    /// The document has ended. Returns the findings, whether it has a chat template, and what it says about other files.
    pub fn conclude(mut self, readable: bool) -> (Findings, bool, Ties) {
        for (folder, class) in std::mem::take(&mut self.pairs.known) {
            self.ties.component(&folder, &class);
        }
        self.ties.adapter = self.ties.is_wanted() && self.kinds.contains(&Kind::Adapter);
        let (pairs, overflow) = std::mem::take(&mut self.pairs).conclude();
        if self.kinds.contains(&Kind::Pipeline) {
            for pair in pairs {
                let message = format_args!("a part of the pipeline is {}", pair.shown());
                self.findings.add(&rules::DOC_CODE, Place::at(pair.at), message);
            }
            if overflow {
                let message = "the pipeline has more parts than can be looked at";
                self.findings.add(&rules::DOC_CODE, Place::whole(), message);
            }
        }
        if readable {
            self.judge_kind();
        }
        (self.findings, self.has_template, self.ties)
    }

    fn judge_kind(&mut self) {
        let is_notebook = self.kinds.contains(&Kind::Notebook);
        let kind = if self.shape.is_numbers() {
            // Its members are tokens, whatever they are called.
            Some(Kind::Vocabulary)
        } else {
            let plain = self.shape.is_plain() && !self.is_hidden && !is_notebook;
            let named = self.kinds.first().copied().filter(|_| !is_notebook);
            named.or(plain.then_some(Kind::Values))
        };
        match kind {
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
    }
}
