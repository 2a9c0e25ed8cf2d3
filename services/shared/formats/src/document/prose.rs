//! Texts that come with models: descriptions, licences, lists of words, templates, settings in YAML.

use super::MAX_WHOLE_BYTES;
use super::config::deceives;
use crate::finding::{Findings, Place};
use crate::inspector::{Found, Inspector};
use crate::rules;
use crate::template;
use crate::text::{self, Utf8};

/// What a text is, by its name and its first words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// For people, or a list of words.
    Plain,
    /// A chat template.
    Template,
    /// Settings.
    Yaml,
    /// A program.
    Code,
    /// Not something that comes with models.
    Unknown,
}

/// Names, in lower case, of texts that come with models and have no telling extension.
const NAMES: [&str; 9] = [
    "readme",
    "license",
    "licence",
    "notice",
    "copying",
    ".gitattributes",
    ".gitignore",
    "use_policy",
    "authors",
];
/// Extensions of texts for people and of lists of words.
const PLAIN: [&str; 6] = ["md", "txt", "rst", "csv", "model_card", "bpe"];
const TEMPLATES: [&str; 4] = ["jinja", "jinja2", "j2", "template"];
/// Extensions of programs.
const CODE: [&str; 25] = [
    "py", "pyw", "sh", "bash", "zsh", "js", "mjs", "ts", "rb", "pl", "php", "lua", "ps1", "bat", "cmd",
    "vbs", "c", "cc", "cpp", "cu", "h", "rs", "go", "r", "jl",
];

/// The inspector for a text.
#[derive(Debug)]
pub struct Prose {
    purpose: Option<Purpose>,
    name: String,
    whole: Vec<u8>,
    bytes: u64,
    utf8: Utf8,
    broken: bool,
    /// The last bytes, in which a character may have begun.
    tail: Vec<u8>,
    findings: Findings,
}

impl Prose {
    /// An inspector for a text in a file of this name.
    pub fn new(name: &str) -> Self {
        let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
        Self {
            purpose: None,
            name: name.to_ascii_lowercase(),
            whole: Vec::new(),
            bytes: 0,
            utf8: Utf8::default(),
            broken: false,
            tail: Vec::new(),
            findings: Findings::default(),
        }
    }

    fn purpose(&self) -> Purpose {
        let (stem, extension) = self.name.rsplit_once('.').unwrap_or((&self.name, ""));
        let head = String::from_utf8_lossy(self.whole.get(..4096).unwrap_or(&self.whole)).into_owned();
        let first = head.trim_start_matches('\u{feff}').trim_start();
        let python = ["import ", "from ", "def ", "class ", "@", "\"\"\""]
            .iter()
            .any(|start| first.starts_with(start))
            && head.lines().any(|line| {
                line.starts_with("import ") || line.starts_with("def ") || line.contains(" import ")
            });
        if CODE.contains(&extension) || python {
            Purpose::Code
        } else if TEMPLATES.contains(&extension) {
            Purpose::Template
        } else if matches!(extension, "yaml" | "yml") {
            Purpose::Yaml
        } else if PLAIN.contains(&extension) || NAMES.contains(&stem) || NAMES.contains(&self.name.as_str()) {
            Purpose::Plain
        } else {
            Purpose::Unknown
        }
    }

    /// Looks for characters that deceive; `at` is where the bytes begin.
    fn scan(&mut self, at: u64, bytes: &[u8]) {
        let begins = at.saturating_sub(self.tail.len() as u64);
        let mut joined = std::mem::take(&mut self.tail);
        joined.extend_from_slice(bytes);
        let valid = match std::str::from_utf8(&joined) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let text = joined
            .get(..valid)
            .and_then(|valid| std::str::from_utf8(valid).ok())
            .unwrap_or_default();
        for (place, character) in text.char_indices().filter(|(_, character)| deceives(*character)) {
            let message = format_args!("the text holds the character U+{:04X}", u32::from(character));
            self.findings
                .add(&rules::DOC_HIDDEN, Place::at(begins + place as u64), message);
        }
        let control =
            |character: char| character.is_control() && !matches!(character, '\t' | '\n' | '\r' | '\u{c}');
        if let Some((place, _)) = text.char_indices().find(|(_, character)| control(*character)) {
            self.broken(begins + place as u64);
        }
        self.tail = joined.get(valid..).unwrap_or_default().to_vec();
    }

    fn broken(&mut self, at: u64) {
        if !std::mem::replace(&mut self.broken, true) {
            let message = "not everything in it is text";
            self.findings.add(&rules::DOC_NOT_TEXT, Place::at(at), message);
        }
    }

    fn whole(&mut self) {
        let purpose = self.purpose.unwrap_or(Purpose::Unknown);
        if self.bytes > MAX_WHOLE_BYTES as u64 {
            let message =
                format_args!("a document of more than {MAX_WHOLE_BYTES} bytes that must be read whole");
            self.findings.add(&rules::DOC_TOO_LONG, Place::whole(), message);
            return;
        }
        let Ok(source) = std::str::from_utf8(&self.whole) else {
            return;
        };
        if purpose == Purpose::Template {
            judge(source, &mut self.findings);
        } else {
            if source.contains("{{") || source.contains("{%") {
                // In a quoted text two quotes stand for one; which texts are quoted is not known here, so one reading must do.
                let mut plain = Findings::default();
                judge(source, &mut plain);
                let mut quoted = Findings::default();
                judge(&source.replace("''", "'"), &mut quoted);
                let unreadable = plain.has(&rules::DOC_TEMPLATE);
                self.findings.append(if unreadable { quoted } else { plain });
            }
            for tag in ["!!python/", "!python/", "tag:yaml.org,2002:python/"] {
                if let Some(at) = source.find(tag) {
                    let message = format_args!("the settings have a loader make a Python object: {tag}");
                    self.findings.add(&rules::DOC_CODE, Place::at(at as u64), message);
                }
            }
            if let Some(at) = source.find("_target_:") {
                let message = "the settings have a loader call a function: _target_";
                self.findings.add(&rules::DOC_CODE, Place::at(at as u64), message);
            }
        }
    }
}

fn judge(source: &str, findings: &mut Findings) {
    template::inspect(source, 0, "template", findings);
    if findings.has(&rules::TPL_UNREADABLE) {
        let message = "a template that cannot be read";
        findings.add(&rules::DOC_TEMPLATE, Place::whole(), message);
    }
}

impl Inspector for Prose {
    fn feed(&mut self, at: u64, chunk: &[u8]) {
        self.bytes += chunk.len() as u64;
        let room = (MAX_WHOLE_BYTES + 1).saturating_sub(self.whole.len());
        self.whole.extend(chunk.iter().take(room));
        if self.broken {
            return;
        }
        if self.utf8.feed(chunk) {
            self.scan(at, chunk);
        } else {
            self.broken(at);
        }
    }

    fn finish(mut self: Box<Self>, size: u64) -> Found {
        if !self.broken && !self.utf8.is_complete() {
            self.broken(size);
        }
        let purpose = self.purpose();
        self.purpose = Some(purpose);
        match purpose {
            Purpose::Plain => {}
            Purpose::Template | Purpose::Yaml => self.whole(),
            Purpose::Code => {
                let message = "this is program code, which a loader runs when a configuration names it";
                self.findings.add(&rules::DOC_PROGRAM, Place::whole(), message);
            }
            Purpose::Unknown => {
                let message = format_args!(
                    "this is text, and its name \"{}\" is not that of a text that comes with models",
                    text::shown(&self.name)
                );
                self.findings.add(&rules::FMT_DOCUMENT, Place::whole(), message);
            }
        }
        if !self.findings.refuse() {
            let what = match purpose {
                Purpose::Template => "a chat template",
                Purpose::Yaml => "a file of settings",
                _ => "a text",
            };
            let message = format_args!("this is {what} and goes with a model; it is no model itself");
            self.findings.add(&rules::DOC_ADMITTED, Place::whole(), message);
        }
        Found {
            findings: self.findings,
            ..Found::default()
        }
    }
}
