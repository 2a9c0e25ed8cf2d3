//! The metadata values that matter, and whether they make sense together.

use std::collections::BTreeSet;

use holdfast_chat_template::MAX_TEMPLATE_BYTES;

use super::known::Known;
use super::types::ValueType;
use crate::finding::{Findings, Place};
use crate::rules;
use crate::set::Split;
use crate::template;
use crate::text::{self, Fingerprint};

/// The most metadata keys of a file. Published models have some dozens.
pub const MAX_KEYS: u64 = 1 << 16;
/// The largest vocabulary that is searched for repeated tokens; 262 144 is the largest published.
const MAX_TOKENS_COMPARED: u64 = 1 << 20;
/// The most numbers remembered for the judgement at the end.
const MAX_NUMBERS: usize = 256;
/// The alignment of a file that does not give one.
const DEFAULT_ALIGNMENT: u64 = 32;

/// A list in the metadata.
#[derive(Debug, Clone, Copy)]
struct List {
    length: u64,
    at: u64,
}

/// What was collected.
#[derive(Debug, Default)]
pub struct Metadata {
    seen: BTreeSet<Fingerprint>,
    /// `general.name`, sanitised.
    pub name: Option<String>,
    /// `general.architecture`, sanitised.
    pub architecture: Option<String>,
    tokenizer: Option<String>,
    alignment: Option<u64>,
    numbers: Vec<(String, i128, u64)>,
    tokens: Option<List>,
    scores: Option<List>,
    token_types: Option<List>,
    token_prints: Vec<u64>,
    template: bool,
    split_number: Option<i128>,
    split_count: Option<i128>,
    split_tensors: Option<i128>,
    split_at: u64,
}

/// A string value, as far as it is kept.
#[derive(Debug, Clone, Copy)]
pub struct StringValue<'a> {
    /// Its beginning.
    pub head: &'a [u8],
    /// Its length in the file.
    pub bytes: u64,
    /// Whether all of it is UTF-8.
    pub utf8: bool,
}

impl Metadata {
    /// Takes a key. Returns false if it was there before.
    pub fn key(&mut self, key: &str) -> bool {
        self.seen.insert(Fingerprint::of(key.as_bytes()))
    }

    /// Takes a value of fixed size that begins at `at`.
    pub fn scalar(&mut self, key: &str, known: Known, at: u64, kind: ValueType, bytes: &[u8]) {
        let Some(value) = kind.integer(bytes) else { return };
        match known {
            Known::Alignment => self.alignment = u64::try_from(value).ok(),
            Known::SplitNumber => self.split_number = Some(value),
            Known::SplitCount => {
                self.split_count = Some(value);
                self.split_at = at;
            }
            Known::SplitTensors => self.split_tensors = Some(value),
            Known::TokenId | Known::Dimension if self.numbers.len() < MAX_NUMBERS => {
                self.numbers.push((text::shown(key), value, at));
            }
            _ => {}
        }
    }

    /// Takes a string value that begins at `at`.
    pub fn string(&mut self, known: Known, at: u64, value: StringValue<'_>, findings: &mut Findings) {
        let shown = Some(text::shown_bytes(value.head)).filter(|text| !text.is_empty());
        match known {
            Known::Name => self.name = shown,
            Known::Architecture => self.architecture = shown,
            Known::Tokenizer => self.tokenizer = shown,
            Known::ChatTemplate => self.template(at, &value, findings),
            _ if !value.utf8 => findings.add(&rules::GGUF_TEXT, Place::at(at), "the value is not UTF-8"),
            _ => {}
        }
    }

    fn template(&mut self, at: u64, value: &StringValue<'_>, findings: &mut Findings) {
        self.template |= value.bytes > 0;
        let part = "tokenizer.chat_template";
        match std::str::from_utf8(value.head) {
            _ if !value.utf8 => findings.add(
                &rules::GGUF_TEMPLATE,
                Place::at(at).of(part),
                "the chat template is not UTF-8 text",
            ),
            Ok(source) if value.bytes <= MAX_TEMPLATE_BYTES as u64 => {
                template::inspect(source, at, part, findings);
            }
            _ => {
                let message = format_args!("the chat template is {} bytes long", value.bytes);
                findings.add(&rules::TPL_UNREADABLE, Place::at(at).of(part), message);
            }
        }
    }

    /// Takes the head of an array that begins at `at`.
    pub fn array(&mut self, known: Known, at: u64, length: u64, findings: &mut Findings) {
        let list = Some(List { length, at });
        match known {
            Known::Tokens => self.tokens = list,
            Known::Scores => self.scores = list,
            Known::TokenTypes => self.token_types = list,
            Known::ChatTemplate => findings.add(
                &rules::GGUF_TEMPLATE,
                Place::at(at).of("tokenizer.chat_template"),
                "the chat template is a list",
            ),
            _ => {}
        }
    }

    /// Takes a token's fingerprint. llama.cpp renames empty tokens, so those do not count as repeated.
    pub fn token(&mut self, fingerprint: Fingerprint, empty: bool) {
        let compared = self.tokens.is_some_and(|list| list.length <= MAX_TOKENS_COMPARED);
        if compared && !empty {
            self.token_prints.push(fingerprint.short());
        }
    }

    /// The alignment in force, or `None` if the file asks for an impossible one.
    pub fn alignment(&self) -> Option<u64> {
        let alignment = self.alignment.unwrap_or(DEFAULT_ALIGNMENT);
        alignment.is_power_of_two().then_some(alignment)
    }

    /// Which part of a split model this is. A merged file keeps the number of parts with the value 0.
    pub fn split(&self) -> Option<Split> {
        let whole = |value: Option<i128>| value.and_then(|value| u64::try_from(value).ok());
        let count = whole(self.split_count).filter(|count| *count > 0)?;
        Some(Split {
            number: whole(self.split_number).unwrap_or(u64::MAX),
            count,
            tensors: whole(self.split_tensors),
        })
    }

    /// Whether there is a chat template.
    pub fn has_template(&self) -> bool {
        self.template
    }

    /// The longest context that the model was made for.
    pub fn context_tokens(&self) -> Option<u64> {
        self.dimension("context_length")
            .and_then(|(value, _)| u64::try_from(value).ok())
    }

    fn dimension(&self, name: &str) -> Option<(i128, u64)> {
        let key = format!("{}.{name}", self.architecture.as_deref()?);
        let (_, value, at) = self.numbers.iter().find(|(known, ..)| *known == key)?;
        Some((*value, *at))
    }

    /// Judges everything once the header is read; `tensors` is the number of tensors it declares.
    pub fn judge(&mut self, tensors: u64, findings: &mut Findings) {
        self.judge_split(tensors, findings);
        self.judge_vocabulary(findings);
        self.judge_dimensions(findings);
        let later_part = self.split_number.is_some_and(|number| number > 0);
        if self.architecture.is_none() && !later_part {
            findings.add(
                &rules::GGUF_NO_ARCHITECTURE,
                Place::whole(),
                "the file does not say which architecture its model has",
            );
        }
    }

    fn judge_split(&self, tensors: u64, findings: &mut Findings) {
        // A merged file keeps `split.count` with the value 0.
        let Some(count) = self.split_count.filter(|count| *count > 0) else {
            return;
        };
        let place = Place::at(self.split_at).of("split.count");
        let total = self.split_tensors.unwrap_or(i128::from(tensors));
        let Some(number) = self.split_number.filter(|number| *number < count) else {
            let message = format!("the file says it is one of {count} parts but its own number does not fit");
            return findings.add(&rules::GGUF_SPLIT_NUMBERS, place, message);
        };
        let fits = if count == 1 {
            i128::from(tensors) == total
        } else {
            i128::from(tensors) <= total
        };
        if !fits {
            let message = format!(
                "the model has {total} tensors in all {count} parts, this part alone lists {tensors}"
            );
            findings.add(&rules::GGUF_SPLIT_NUMBERS, place, message);
        } else if count > 1 {
            let message = format!("this is part {} of {count}", number + 1);
            findings.add(&rules::GGUF_SPLIT, place, message);
        }
    }

    fn judge_vocabulary(&mut self, findings: &mut Findings) {
        let Some(tokens) = self.tokens else { return };
        let without = matches!(self.tokenizer.as_deref(), Some("none" | "no_vocab"));
        if tokens.length == 0 && !without {
            findings.add(
                &rules::GGUF_EMPTY_VOCABULARY,
                Place::at(tokens.at).of("tokenizer.ggml.tokens"),
                "the tokenizer has no tokens",
            );
        }
        for (key, list) in [
            ("tokenizer.ggml.scores", self.scores),
            ("tokenizer.ggml.token_type", self.token_types),
        ] {
            let Some(list) = list else { continue };
            let rule = match list.length.cmp(&tokens.length) {
                std::cmp::Ordering::Less => &rules::GGUF_VOCABULARY,
                std::cmp::Ordering::Greater => &rules::GGUF_LONG_LIST,
                std::cmp::Ordering::Equal => continue,
            };
            findings.add(
                rule,
                Place::at(list.at).of(key),
                format_args!(
                    "the list has {} entries for {} tokens",
                    list.length, tokens.length
                ),
            );
        }
        self.token_prints.sort_unstable();
        let repeated = self
            .token_prints
            .windows(2)
            .filter(|pair| pair.first() == pair.last())
            .count();
        self.token_prints = Vec::new();
        if repeated > 0 {
            findings.add(
                &rules::GGUF_DUPLICATE_TOKEN,
                Place::at(tokens.at).of("tokenizer.ggml.tokens"),
                format_args!("{repeated} tokens are in the vocabulary more than once"),
            );
        }
        for (key, id, at) in &self.numbers {
            if Known::of(key) == Known::TokenId && !(0..i128::from(tokens.length)).contains(id) {
                findings.add(
                    &rules::GGUF_TOKEN_ID,
                    Place::at(*at).of(key),
                    format_args!(
                        "the special token has number {id}, the vocabulary has {} tokens",
                        tokens.length
                    ),
                );
            }
        }
    }

    /// The limits are `LLAMA_MAX_LAYERS`, `LLAMA_MAX_EXPERTS` and the assertions in `llama_model_base::load_hparams`.
    fn judge_dimensions(&self, findings: &mut Findings) {
        let mut check = |name: &str, allowed: std::ops::RangeInclusive<i128>| {
            if let Some((value, at)) = self.dimension(name).filter(|(value, _)| !allowed.contains(value)) {
                findings.add(
                    &rules::GGUF_HYPERPARAMETER,
                    Place::at(at).of(name),
                    format_args!(
                        "{name} is {value}; the engine takes {} to {}",
                        allowed.start(),
                        allowed.end()
                    ),
                );
            }
        };
        check("block_count", 1..=512);
        check("context_length", 1..=i128::from(u32::MAX));
        check("expert_count", 0..=1024);
        let experts = self.dimension("expert_count").map_or(0, |(value, _)| value);
        check("expert_used_count", 0..=experts.max(0));
    }
}

/// Judges the head of the tokenizer's character map, an array of bytes that begins with the size of its index.
pub fn judge_charsmap(at: u64, length: u64, head: &[u8], findings: &mut Findings) {
    let index = head
        .try_into()
        .map_or(u64::MAX, |head| u64::from(u32::from_le_bytes(head)));
    if index.saturating_add(4) >= length {
        findings.add(
            &rules::GGUF_CHARSMAP,
            Place::at(at).of("tokenizer.ggml.precompiled_charsmap"),
            format_args!("the table has {length} bytes and claims an index of {index}"),
        );
    }
}
