//! Sets of rules: read from text, each rule understood or refused by name.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use holdfast_contract::Digest;
use holdfast_formats::rules::{self, Rule as Kind};
use holdfast_formats::{Scanner, text};
use sha2::{Digest as _, Sha256};
use yara_x_parser::ast::{AST, Item, MetaValue, Rule as Parsed, RuleFlags, WithSpan as _};

use crate::condition::{Names, Term};
use crate::pattern::{Pattern, Use};

/// The most text of all rules together, in bytes.
pub const MAX_SOURCE_BYTES: usize = 8 << 20;
/// The most patterns of a set.
const MAX_PATTERNS: usize = 20_000;
/// The most atoms of a set.
const MAX_ATOMS: usize = 200_000;
/// The longest description that findings repeat, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 300;

/// The rules that come with Holdfast.
const SHIPPED: &[(&str, &str)] = &[
    (
        "commands.yar",
        include_str!("../../../../policies/rules/commands.yar"),
    ),
    (
        "credentials.yar",
        include_str!("../../../../policies/rules/credentials.yar"),
    ),
    (
        "malware.yar",
        include_str!("../../../../policies/rules/malware.yar"),
    ),
    (
        "python.yar",
        include_str!("../../../../policies/rules/python.yar"),
    ),
];

/// A text with rules, and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What it is called, for messages.
    pub name: String,
    /// The rules.
    pub text: String,
}

/// Why rules cannot be used. Nothing is searched for with a part of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The text is not in YARA's language.
    #[error("{source_name}, line {line}: {message}")]
    Syntax {
        /// Which text.
        source_name: String,
        /// Where in it, from 1.
        line: usize,
        /// What is the matter.
        message: String,
    },
    /// A rule asks for something that is not supported.
    #[error("{source_name}: the rule {rule} cannot be used: {message}")]
    Rule {
        /// Which text.
        source_name: String,
        /// Which rule.
        rule: String,
        /// Why.
        message: String,
    },
    /// There is too much of it.
    #[error("the rules are too many: {0}")]
    TooMany(&'static str),
}

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What it finds and what to do about it, from its meta data, safe to show.
    pub description: String,
    /// The kind of finding.
    pub finding: &'static Kind,
    /// Not reported by itself.
    pub private: bool,
    /// A condition of all others.
    pub global: bool,
    /// Its patterns, by their place in the set.
    pub patterns: Range<usize>,
    /// When it holds.
    pub condition: Term,
}

/// Rules that are searched for together.
#[derive(Debug)]
pub struct RuleSet {
    pub(crate) rules: Vec<Rule>,
    pub(crate) patterns: Vec<Pattern>,
    /// Each atom with its pattern.
    pub(crate) uses: Vec<(usize, Use)>,
    digest: Digest,
}

impl RuleSet {
    /// The rules that come with Holdfast, and those of a site.
    ///
    /// # Errors
    ///
    /// When a rule cannot be used.
    pub fn with_shipped(site: &[Source]) -> Result<Self, LoadError> {
        let shipped = SHIPPED.iter().map(|(name, text)| Source {
            name: (*name).to_owned(),
            text: (*text).to_owned(),
        });
        let all: Vec<Source> = shipped.chain(site.iter().cloned()).collect();
        Self::load(&all)
    }

    /// Which rules come with Holdfast, as [`RuleSet::digest`] says it.
    pub fn shipped_digest() -> Digest {
        let mut hasher = Sha256::new();
        for (_, text) in SHIPPED {
            mix(&mut hasher, text);
        }
        Digest::from_bytes(hasher.finalize().into())
    }

    /// Exactly these rules.
    ///
    /// # Errors
    ///
    /// When one of them cannot be used.
    pub fn load(sources: &[Source]) -> Result<Self, LoadError> {
        if sources.iter().map(|source| source.text.len()).sum::<usize>() > MAX_SOURCE_BYTES {
            return Err(LoadError::TooMany("together at most 8 MiB of text can be used"));
        }
        let mut hasher = Sha256::new();
        let mut set = Self {
            rules: Vec::new(),
            patterns: Vec::new(),
            uses: Vec::new(),
            digest: Digest::from_bytes([0; 32]),
        };
        let mut names = BTreeMap::new();
        for source in sources {
            mix(&mut hasher, &source.text);
            set.add(source, &mut names)?;
        }
        set.digest = Digest::from_bytes(hasher.finalize().into());
        Ok(set)
    }

    /// SHA-256 over the texts, each with its length before it: which rules a file was searched for.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The scanner that searches for them, and for signatures.
    pub fn scanner(self) -> Arc<Scanner> {
        let digest = self.digest;
        Arc::new(Scanner::new(vec![Arc::new(self)], Some(digest)))
    }

    /// The names of the rules, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.name.as_str())
    }

    /// The same rules, of which only these are reported; the others may still be asked for by these.
    #[must_use]
    pub fn reporting(mut self, names: &[String]) -> Self {
        for rule in &mut self.rules {
            rule.private |= !names.contains(&rule.name);
        }
        self
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Makes now what is otherwise made when it is first needed, to find out whether it can be made.
    ///
    /// # Errors
    ///
    /// When a pattern takes too much memory.
    pub fn prepare(&self) -> Result<(), LoadError> {
        for rule in &self.rules {
            for pattern in self.patterns.get(rule.patterns.clone()).unwrap_or_default() {
                pattern.prepare().map_err(|message| LoadError::Rule {
                    source_name: "rules".to_owned(),
                    rule: rule.name.clone(),
                    message: format!("{}: {message}", pattern.name),
                })?;
            }
        }
        Ok(())
    }

    fn add(&mut self, source: &Source, names: &mut BTreeMap<String, usize>) -> Result<(), LoadError> {
        let tree = AST::from(source.text.as_str());
        if let Some(error) = tree.errors().first() {
            use yara_x_parser::ast::Error;
            let (message, span) = match error {
                Error::SyntaxError { message, span }
                | Error::InvalidInteger { message, span }
                | Error::InvalidFloat { message, span }
                | Error::InvalidRegexpModifier { message, span }
                | Error::InvalidEscapeSequence { message, span } => (message.clone(), span),
                Error::InvalidUTF8(span) => ("a text is not UTF-8".to_owned(), span),
                Error::UnexpectedEscapeSequence(span) => ("an escape does not belong here".to_owned(), span),
            };
            return Err(source.syntax(span.start(), message));
        }
        for item in &tree.items {
            match item {
                Item::Import(import) => {
                    let message = format!("modules are not supported (import \"{}\")", import.module_name);
                    return Err(source.syntax(import.span().start(), message));
                }
                Item::Include(include) => {
                    let message = "include is not supported: name the directory instead".to_owned();
                    return Err(source.syntax(include.span().start(), message));
                }
                Item::Rule(rule) => {
                    let name = rule.identifier.name.to_owned();
                    self.rule(rule, names).map_err(|message| LoadError::Rule {
                        source_name: source.name.clone(),
                        rule: name.clone(),
                        message,
                    })?;
                    if names.insert(name.clone(), self.rules.len() - 1).is_some() {
                        return Err(LoadError::Rule {
                            source_name: source.name.clone(),
                            rule: name,
                            message: "there is another rule of this name".to_owned(),
                        });
                    }
                }
            }
            if self.patterns.len() > MAX_PATTERNS {
                return Err(LoadError::TooMany("together they can have 20 000 patterns"));
            }
            if self.uses.len() > MAX_ATOMS {
                return Err(LoadError::TooMany(
                    "their patterns can be written in more than 200 000 ways",
                ));
            }
        }
        Ok(())
    }

    fn rule(&mut self, parsed: &Parsed<'_>, names: &BTreeMap<String, usize>) -> Result<(), String> {
        let first = self.patterns.len();
        let mut uses = Vec::new();
        for pattern in parsed.patterns.iter().flatten() {
            let name = pattern.identifier().name;
            let (pattern, its) = Pattern::new(pattern).map_err(|message| format!("{name}: {message}"))?;
            // Nameless patterns may be many.
            if name != "$" && self.patterns.iter().skip(first).any(|other| other.name == name) {
                return Err(format!("{name} is there twice"));
            }
            uses.extend(its.into_iter().map(|with| (self.patterns.len(), with)));
            self.patterns.push(pattern);
        }
        let (_, own) = self.patterns.split_at_mut(first);
        let condition = Names {
            patterns: own,
            first,
            rules: names,
        }
        .condition(&parsed.condition)?;
        let (finding, description) = meta(parsed)?;
        self.uses.extend(uses);
        self.rules.push(Rule {
            name: parsed.identifier.name.to_owned(),
            description,
            finding,
            private: parsed.flags.contains(RuleFlags::Private),
            global: parsed.flags.contains(RuleFlags::Global),
            patterns: first..self.patterns.len(),
            condition,
        });
        Ok(())
    }
}

fn mix(hasher: &mut Sha256, text: &str) {
    hasher.update((text.len() as u64).to_le_bytes());
    hasher.update(text);
}

/// How much a match weighs, and what the rule says about it.
fn meta(parsed: &Parsed<'_>) -> Result<(&'static Kind, String), String> {
    let value = |name: &str| {
        let entry = parsed
            .meta
            .iter()
            .flatten()
            .find(|entry| entry.identifier.name == name)?;
        match &entry.value {
            MetaValue::String((value, _)) => Some((*value).to_owned()),
            MetaValue::Bytes((value, _)) => Some(String::from_utf8_lossy(value).into_owned()),
            other => Some(other.to_string()),
        }
    };
    let finding = match value("severity").as_deref() {
        Some("critical") => &rules::YAR_CRITICAL,
        Some("high") | None => &rules::YAR_HIGH,
        Some("medium") => &rules::YAR_MEDIUM,
        Some("low") => &rules::YAR_LOW,
        Some(other) => {
            return Err(format!(
                "its severity \"{other}\" is none of critical, high, medium and low"
            ));
        }
    };
    let description = value("description").unwrap_or_default();
    let says = match value("advice") {
        Some(advice) => format!("{description}. {advice}"),
        None => description,
    };
    Ok((finding, text::bounded(&says, MAX_DESCRIPTION_BYTES)))
}

impl Source {
    fn syntax(&self, at: usize, message: String) -> LoadError {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        LoadError::Syntax {
            source_name: self.name.clone(),
            line: before.split(|byte| *byte == b'\n').count(),
            message,
        }
    }
}
