//! Texts that come with models: descriptions, licences, lists of words, templates, settings in YAML.

use super::characters::{Turns, Unseen, Watch};
use super::purpose::Purpose;
use super::{MAX_WHOLE_BYTES, installs, yaml};
use crate::finding::{Findings, Place};
use crate::inspector::{Found, Inspector};
use crate::rules;
use crate::template;
use crate::text;

/// The inspector for a text.
#[derive(Debug)]
pub struct Prose {
    name: String,
    whole: Vec<u8>,
    bytes: u64,
    broken: bool,
    /// The last bytes, with which a character may have begun.
    tail: Vec<u8>,
    watch: Watch,
    turns: Turns,
    /// Characters that do not show, with where they stand: whether they matter is known in the end.
    unseen: Findings,
    /// Likewise those that turn text, judged each by itself, and by their lines.
    turned: Findings,
    turned_by_line: Findings,
    /// The first character that lists of words may have and other texts not.
    control: Option<u64>,
    findings: Findings,
}

impl Prose {
    /// An inspector for a text in a file of this name.
    pub fn new(name: &str) -> Self {
        let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
        Self {
            name: name.to_ascii_lowercase(),
            whole: Vec::new(),
            bytes: 0,
            broken: false,
            tail: Vec::new(),
            watch: Watch::default(),
            turns: Turns::default(),
            unseen: Findings::default(),
            turned: Findings::default(),
            turned_by_line: Findings::default(),
            control: None,
            findings: Findings::default(),
        }
    }

    fn scan(&mut self, begins: u64, text: &str) {
        for (place, character) in text.char_indices() {
            let at = begins + place as u64;
            if let Some((at, first, unseen)) = self.turns.next(at, character) {
                tell(&mut self.turned_by_line, at, first, unseen);
            }
            if matches!(character, ' '..='~' | '\n') {
                self.watch.next(character);
                continue;
            }
            if let Some(unseen) = self.watch.next(character) {
                let findings = if Turns::is_one(character) {
                    &mut self.turned
                } else {
                    &mut self.unseen
                };
                tell(findings, at, character, unseen);
            }
            if character.is_control() && !matches!(character, '\t' | '\n' | '\r' | '\u{c}') {
                if character < ' ' {
                    self.broken(at);
                    return;
                }
                self.control.get_or_insert(at);
            }
        }
    }

    fn broken(&mut self, at: u64) {
        if !std::mem::replace(&mut self.broken, true) {
            let message = "not everything in it is text";
            self.findings.add(&rules::DOC_NOT_TEXT, Place::at(at), message);
        }
    }

    /// What is judged as a whole.
    fn whole(&mut self, purpose: Purpose) {
        if self.bytes > MAX_WHOLE_BYTES as u64 {
            let message =
                format_args!("a document of more than {MAX_WHOLE_BYTES} bytes that must be read whole");
            self.findings.add(&rules::DOC_TOO_LONG, Place::whole(), message);
            return;
        }
        let Ok(source) = std::str::from_utf8(&self.whole) else {
            return;
        };
        match purpose {
            Purpose::Template => judge(source, &mut self.findings),
            Purpose::Installs => installs::judge(source, &mut self.findings),
            _ => {
                if source.contains("{{") || source.contains("{%") {
                    // In a quoted text two quotes stand for one; which texts are quoted is not known here, so one reading must do.
                    let mut plain = Findings::default();
                    judge(source, &mut plain);
                    let mut quoted = Findings::default();
                    judge(&source.replace("''", "'"), &mut quoted);
                    let unreadable = plain.has(&rules::DOC_TEMPLATE);
                    self.findings.append(if unreadable { quoted } else { plain });
                }
                yaml::judge(source, &mut self.findings);
            }
        }
    }
}

fn tell(findings: &mut Findings, at: u64, character: char, unseen: Unseen) {
    let rule = match unseen {
        Unseen::Deceives => &rules::DOC_HIDDEN,
        Unseen::Odd => &rules::DOC_INVISIBLE,
    };
    let message = format_args!("the text holds the character U+{:04X}", u32::from(character));
    findings.add(rule, Place::at(at), message);
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
        let mut joined = std::mem::take(&mut self.tail);
        let begins = at.saturating_sub(joined.len() as u64);
        joined.extend_from_slice(chunk);
        let (valid, is_wrong) = match std::str::from_utf8(&joined) {
            Ok(text) => (text.len(), false),
            Err(error) => (error.valid_up_to(), error.error_len().is_some()),
        };
        let (text, rest) = joined.split_at(valid);
        self.scan(begins, std::str::from_utf8(text).unwrap_or_default());
        if is_wrong {
            self.broken(begins + valid as u64);
        }
        self.tail = rest.get(..3).unwrap_or(rest).to_vec();
    }

    fn finish(mut self: Box<Self>, size: u64) -> Found {
        if !self.tail.is_empty() {
            self.broken(size.saturating_sub(self.tail.len() as u64));
        }
        let purpose = Purpose::of(&self.name, &String::from_utf8_lossy(&self.whole));
        if purpose != Purpose::Words {
            self.findings.append(std::mem::take(&mut self.unseen));
            if let Some((at, first, unseen)) = self.turns.end() {
                tell(&mut self.turned_by_line, at, first, unseen);
            }
            // What is for people is read in lines; programs read everything else.
            let turned = if purpose == Purpose::Plain {
                &mut self.turned_by_line
            } else {
                &mut self.turned
            };
            self.findings.append(std::mem::take(turned));
            if let Some(at) = self.control {
                self.broken(at);
            }
        }
        match purpose {
            Purpose::Plain | Purpose::Words => {}
            Purpose::Template | Purpose::Yaml | Purpose::Installs => self.whole(purpose),
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
            let message = format_args!(
                "this is {} and goes with a model; it is no model itself",
                purpose.description()
            );
            self.findings.add(&rules::DOC_ADMITTED, Place::whole(), message);
        }
        Found {
            findings: self.findings,
            ..Found::default()
        }
    }
}
