//! Patterns: what they are searched by, and whether they are really there.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use holdfast_formats::scan::{AFTER_BYTES, Atom, Hit};
use regex_automata::meta::Regex;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, HirKind, Look, Repetition};
use yara_x_parser::ast::{Pattern as Parsed, PatternModifier, PatternModifiers, Regexp};

use crate::anchor::{self, Anchor};
use crate::hex;

/// The longest literal, in bytes.
const MAX_LITERAL_BYTES: usize = 1024;
/// How far before its atom a match may begin, in bytes.
const MAX_REACH: usize = 1024;
/// The most memory that the automaton of an expression takes, in bytes.
const MAX_AUTOMATON_BYTES: usize = 4 << 20;
/// The most memory that it may use while it searches.
const MAX_CACHE_BYTES: usize = 256 << 10;

/// A pattern.
#[derive(Debug)]
pub struct Pattern {
    /// Its name, with the dollar sign.
    pub name: String,
    variants: Vec<Variant>,
    whole_word: bool,
    /// Where its matches are counted apart: from the first place up to the second, inclusive.
    pub ranges: Vec<(u64, u64)>,
    /// Whether more is asked than whether and where first it matches.
    pub counts: bool,
}

/// One way in which a pattern can be written.
#[derive(Debug)]
enum Variant {
    Literal {
        bytes: Vec<u8>,
        any_case: bool,
        /// The first and the last key that it may be masked with.
        keys: Option<(u8, u8)>,
        wide: bool,
    },
    Expression(Box<Expression>),
}

#[derive(Debug)]
struct Expression {
    hir: Hir,
    wide: bool,
    regex: OnceLock<Option<Regex>>,
}

/// An atom of a pattern, and where a match is that has it.
#[derive(Debug, Clone, Copy)]
pub struct Use {
    /// The four bytes.
    pub atom: Atom,
    variant: usize,
    min: usize,
    max: usize,
}

impl Pattern {
    /// Takes a pattern from a rule, with its atoms.
    ///
    /// # Errors
    ///
    /// Why it cannot be searched for.
    pub fn new(parsed: &Parsed<'_>) -> Result<(Self, Vec<Use>), String> {
        let modifiers = parsed.modifiers();
        let variants = match parsed {
            Parsed::Text(text) => literals(text.text.value.as_ref(), modifiers)?,
            Parsed::Hex(hex) => vec![Variant::expression(hex::expression(&hex.sub_patterns)?, false)],
            Parsed::Regexp(regexp) => expressions(&regexp.regexp, modifiers)?,
        };
        let mut uses = Vec::new();
        for (index, variant) in variants.iter().enumerate() {
            uses.extend(variant.uses(index)?);
        }
        let pattern = Self {
            name: parsed.identifier().name.to_owned(),
            variants,
            whole_word: modifiers.fullword().is_some(),
            ranges: Vec::new(),
            counts: false,
        };
        Ok((pattern, uses))
    }

    /// Makes the automata now, to find out whether they can be made.
    ///
    /// # Errors
    ///
    /// When one takes too much memory.
    pub fn prepare(&self) -> Result<(), String> {
        for variant in &self.variants {
            if let Variant::Expression(expression) = variant
                && expression.regex().is_none()
            {
                return Err("the expression takes too much memory".to_owned());
            }
        }
        Ok(())
    }

    /// Calls `found` with each place in the file where a match begins that has the atom there.
    pub fn verify(&self, with: &Use, hit: &Hit<'_>, mut found: impl FnMut(u64)) {
        let Some(variant) = self.variants.get(with.variant) else {
            return;
        };
        let Some(latest) = hit.index.checked_sub(with.min) else {
            return;
        };
        let place = |index: usize| (hit.at + index as u64).saturating_sub(hit.index as u64);
        match variant {
            Variant::Literal {
                bytes,
                any_case,
                keys,
                wide,
            } => {
                let end = latest + bytes.len();
                let there = hit
                    .window
                    .get(latest..end)
                    .is_some_and(|there| is_literal(there, bytes, *any_case, *keys));
                if there && (!self.whole_word || is_word(hit.window, latest, end, *wide)) {
                    found(place(latest));
                }
            }
            Variant::Expression(expression) => {
                let Some(regex) = expression.regex() else { return };
                let earliest = hit.index.saturating_sub(with.max);
                // A match that begins at the atom's latest place ends no later than this.
                let longest = expression.hir.properties().maximum_len();
                let end = longest.map_or(usize::MAX, |longest| latest.saturating_add(longest));
                let end = end.min(hit.window.len());
                let right = |start: usize, end: usize| {
                    !self.whole_word || is_word(hit.window, start, end, expression.wide)
                };
                if !self.counts && earliest < latest {
                    // Any match will do, and one search finds it.
                    let input = Input::new(hit.window).span(earliest..end);
                    let first = regex
                        .find_iter(input)
                        .take_while(|found| found.start() <= latest)
                        .find(|found| right(found.start(), found.end()));
                    if let Some(first) = first {
                        found(place(first.start()));
                    }
                    return;
                }
                for start in earliest..=latest {
                    let input = Input::new(hit.window).span(start..end).anchored(Anchored::Yes);
                    if regex.find(input).is_some_and(|there| right(start, there.end())) {
                        found(place(start));
                    }
                }
            }
        }
    }
}

impl Variant {
    fn expression(hir: Hir, wide: bool) -> Self {
        Self::Expression(Box::new(Expression {
            hir,
            wide,
            regex: OnceLock::new(),
        }))
    }

    fn uses(&self, index: usize) -> Result<Vec<Use>, String> {
        const NONE: &str = "it has no four bytes in a row that every match must have; such a pattern would have to be tried at \
                            every byte of a model";
        match self {
            Self::Literal {
                bytes,
                any_case,
                keys,
                ..
            } => {
                let (place, atoms) = anchor::of_literal(bytes, *any_case).ok_or(NONE)?;
                let (first, last) = keys.unwrap_or((0, 0));
                Ok(atoms
                    .iter()
                    .flat_map(|atom| (first..=last).map(|key| atom.map(|byte| byte ^ key)))
                    .map(|atom| Use {
                        atom,
                        variant: index,
                        min: place,
                        max: place,
                    })
                    .collect())
            }
            Self::Expression(expression) => {
                if expression.hir.properties().minimum_len() == Some(0) {
                    return Err("it matches no bytes at all".to_owned());
                }
                let anchors = anchor::of(&expression.hir).ok_or(NONE)?;
                let longest = expression.hir.properties().maximum_len();
                if longest.is_some_and(|longest| longest > AFTER_BYTES) {
                    return Err(format!("it can be longer than {AFTER_BYTES} bytes"));
                }
                Ok(anchors
                    .iter()
                    .filter(|anchor| anchor.min <= MAX_REACH)
                    .map(|Anchor { atom, min, max }| Use {
                        atom: *atom,
                        variant: index,
                        min: *min,
                        max: max.unwrap_or(MAX_REACH).min(MAX_REACH),
                    })
                    .collect())
            }
        }
    }
}

impl Expression {
    fn regex(&self) -> Option<&Regex> {
        let make = || {
            let config = Regex::config()
                .utf8_empty(false)
                .nfa_size_limit(Some(MAX_AUTOMATON_BYTES))
                .hybrid_cache_capacity(MAX_CACHE_BYTES);
            Regex::builder().configure(config).build_from_hir(&self.hir).ok()
        };
        self.regex.get_or_init(make).as_ref()
    }
}

fn is_literal(there: &[u8], bytes: &[u8], any_case: bool, keys: Option<(u8, u8)>) -> bool {
    if let Some((first, last)) = keys {
        let (Some(a), Some(b)) = (there.first(), bytes.first()) else {
            return false;
        };
        let key = a ^ b;
        return (first..=last).contains(&key) && there.iter().zip(bytes).all(|(a, b)| a ^ b == key);
    }
    if any_case {
        there.eq_ignore_ascii_case(bytes)
    } else {
        there == bytes
    }
}

/// Whether no letter or digit is next to a match.
fn is_word(window: &[u8], start: usize, end: usize, wide: bool) -> bool {
    let at = |index: Option<usize>| index.and_then(|index| window.get(index)).copied();
    let is_letter = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    if wide {
        let before = is_letter(at(start.checked_sub(2))) && at(start.checked_sub(1)) == Some(0);
        let after = is_letter(at(Some(end))) && at(Some(end + 1)) == Some(0);
        !before && !after
    } else {
        !is_letter(at(start.checked_sub(1))) && !is_letter(at(Some(end)))
    }
}

fn widen(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| [*byte, 0]).collect()
}

/// The ways in which a text can be written.
fn literals(text: &[u8], modifiers: &PatternModifiers<'_>) -> Result<Vec<Variant>, String> {
    if text.len() > MAX_LITERAL_BYTES {
        return Err(format!("it is longer than {MAX_LITERAL_BYTES} bytes"));
    }
    let mut keys = None;
    for modifier in modifiers.iter() {
        match modifier {
            PatternModifier::Xor { start, end, .. } => keys = Some((*start, *end)),
            PatternModifier::Base64 {
                alphabet: Some(_), ..
            }
            | PatternModifier::Base64Wide {
                alphabet: Some(_), ..
            } => {
                return Err("base64 with another alphabet is not supported".to_owned());
            }
            _ => {}
        }
    }
    let any_case = modifiers.nocase().is_some();
    let mut forms = Vec::new();
    let wide = modifiers.wide().is_some();
    if modifiers.ascii().is_some() || !wide {
        forms.push((text.to_vec(), false));
    }
    if wide {
        forms.push((widen(text), true));
    }
    let encoded = modifiers.base64().is_some() || modifiers.base64wide().is_some();
    if !encoded {
        return Ok(forms
            .into_iter()
            .map(|(bytes, wide)| Variant::Literal {
                bytes,
                any_case,
                keys,
                wide,
            })
            .collect());
    }
    let mut variants = Vec::new();
    for (bytes, _) in forms {
        for code in encodings(&bytes) {
            for (wanted, wide) in [
                (modifiers.base64().is_some(), false),
                (modifiers.base64wide().is_some(), true),
            ] {
                if wanted {
                    variants.push(Variant::Literal {
                        bytes: if wide { widen(&code) } else { code.clone() },
                        any_case: false,
                        keys: None,
                        wide,
                    });
                }
            }
        }
    }
    Ok(variants)
}

/// What of the encoded text does not depend on what is around it, for each of the three places where it can begin.
fn encodings(text: &[u8]) -> Vec<Vec<u8>> {
    (0..3)
        .map(|shift| {
            let code = STANDARD_NO_PAD.encode([&[0; 2][..shift], text].concat());
            let first = [0, 2, 3].get(shift).copied().unwrap_or(0);
            // The last letter takes bits of what follows unless the bytes end with it.
            let last = code.len() - usize::from(!(shift + text.len()).is_multiple_of(3));
            code.as_bytes().get(first..last).unwrap_or_default().to_vec()
        })
        .filter(|code| !code.is_empty())
        .collect()
}

/// The ways in which an expression can be written.
fn expressions(regexp: &Regexp<'_>, modifiers: &PatternModifiers<'_>) -> Result<Vec<Variant>, String> {
    let hir = regex_syntax::ParserBuilder::new()
        .utf8(false)
        .unicode(false)
        .case_insensitive(regexp.case_insensitive || modifiers.nocase().is_some())
        .dot_matches_new_line(regexp.dot_matches_new_line)
        .build()
        .parse(&translated(regexp.src))
        .map_err(|error| format!("the expression is malformed: {}", one_line(&error.to_string())))?;
    let looks = hir.properties().look_set();
    if looks.contains(Look::Start) || looks.contains(Look::End) {
        return Err("^ and $ are not supported in expressions; write `$a at 0` in the condition".to_owned());
    }
    let wide = modifiers.wide().is_some();
    if wide && !looks.is_empty() {
        return Err("word boundaries are not supported in wide expressions".to_owned());
    }
    let mut variants = Vec::new();
    if modifiers.ascii().is_some() || !wide {
        variants.push(Variant::expression(hir.clone(), false));
    }
    if wide {
        variants.push(Variant::expression(widened(&hir), true));
    }
    Ok(variants)
}

/// The last line of an error that draws a picture of the expression.
fn one_line(error: &str) -> &str {
    error
        .lines()
        .last()
        .unwrap_or(error)
        .trim_start_matches("error: ")
}

/// The expression without the escapes that mean something else here than in YARA.
fn translated(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut characters = source.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match characters.next() {
            Some(plain @ ('<' | '>')) => out.push(plain),
            Some(escaped) => out.extend(['\\', escaped]),
            None => out.push('\\'),
        }
    }
    out
}

/// The expression for text of two bytes a letter.
fn widened(hir: &Hir) -> Hir {
    let zero = || Hir::literal([0]);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => hir.clone(),
        HirKind::Literal(literal) => Hir::literal(widen(&literal.0)),
        HirKind::Class(class) => {
            let bytes = match class {
                Class::Bytes(bytes) => bytes.clone(),
                Class::Unicode(unicode) => unicode
                    .to_byte_class()
                    .unwrap_or_else(|| ClassBytes::new([ClassBytesRange::new(0, 0xff)])),
            };
            Hir::concat(vec![Hir::class(Class::Bytes(bytes)), zero()])
        }
        HirKind::Repetition(repetition) => Hir::repetition(Repetition {
            sub: Box::new(widened(&repetition.sub)),
            ..repetition.clone()
        }),
        HirKind::Capture(capture) => widened(&capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(widened).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(widened).collect()),
    }
}
