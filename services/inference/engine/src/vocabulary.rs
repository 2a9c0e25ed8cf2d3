//! Text to tokens and back. What a person wrote never becomes a control token: a message that contains the marker for
//! the end of a turn stays a message.

use std::ops::Range;

use aho_corasick::{AhoCorasick, Input, MatchKind};
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token_type::LlamaTokenAttr;
use llama_cpp_2::vocab::LlamaVocab;

/// A text with the parts of it that somebody else than the template wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// The whole text.
    pub text: String,
    /// Byte ranges of `text` in which no control token may be seen, in order.
    pub contents: Vec<Range<usize>>,
}

/// A model's vocabulary.
#[derive(Debug)]
pub struct Vocabulary<'m> {
    vocab: LlamaVocab<'m>,
    control: Vec<Control>,
    finder: Option<AhoCorasick>,
    bos: Option<LlamaToken>,
}

#[derive(Debug)]
struct Control {
    token: LlamaToken,
    text: String,
    strips_before: bool,
    strips_after: bool,
}

impl<'m> Vocabulary<'m> {
    /// The vocabulary of `model`.
    pub fn new(model: &'m LlamaModel) -> Self {
        let vocab = model.vocab();
        let control: Vec<Control> = vocab
            .tokens()
            .filter_map(|token| control(&vocab, token))
            .collect();
        // An automaton over all of them: a message is looked through once, however many control tokens there are.
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(control.iter().map(|control| &control.text))
            .ok()
            .filter(|_| !control.is_empty());
        let bos = (vocab.should_add_bos() && vocab.bos().0 >= 0).then(|| vocab.bos());
        Self {
            vocab,
            control,
            finder,
            bos,
        }
    }

    /// How many tokens there are.
    pub fn size(&self) -> u32 {
        u32::try_from(self.vocab.n_tokens()).unwrap_or(0)
    }

    /// The text of the token that begins a text, where the model has one.
    pub fn bos_text(&self) -> String {
        self.special_text(self.vocab.bos())
    }

    /// The text of the token that ends a text, where the model has one.
    pub fn eos_text(&self) -> String {
        self.special_text(self.vocab.eos())
    }

    fn special_text(&self, token: LlamaToken) -> String {
        let text = (token.0 >= 0).then(|| self.vocab.text(token)).flatten();
        text.map(|text| text.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// Whether the vocabulary has a control token with this text.
    pub fn has_control(&self, text: &str) -> bool {
        self.control.iter().any(|control| control.text == text)
    }

    /// Whether a token ends the model's turn.
    pub fn is_end(&self, token: LlamaToken) -> bool {
        self.vocab.is_eog(token)
    }

    /// The bytes that a token adds to an answer. Control tokens add none.
    pub fn piece(&self, token: LlamaToken) -> Vec<u8> {
        self.vocab.token_to_piece(token, false, None)
    }

    /// A token's bytes, control tokens included.
    pub fn bytes(&self, token: LlamaToken) -> Vec<u8> {
        self.vocab.token_to_piece(token, true, None)
    }

    /// The tokens of a text to embed, with whatever the model wants around it.
    pub fn embedding(&self, text: &str) -> Vec<LlamaToken> {
        self.vocab.tokenize(text.as_bytes(), true, false)
    }

    /// The tokens of a prompt. Exactly one token begins it where the model wants one, whether the text has it or not.
    pub fn prompt(&self, marked: &Marked) -> Vec<LlamaToken> {
        let text = marked.text.as_str();
        let mut tokens = if self.forged(marked) {
            self.apart(marked)
        } else {
            self.vocab.tokenize(text.as_bytes(), false, true)
        };
        if let Some(bos) = self.bos
            && tokens.first() != Some(&bos)
        {
            tokens.insert(0, bos);
        }
        tokens
    }

    /// Whether llama.cpp's own tokenizer would see a control token in, or half in, what somebody wrote.
    fn forged(&self, marked: &Marked) -> bool {
        let Some(finder) = &self.finder else { return false };
        marked.contents.iter().any(|content| {
            // A control token may begin before the content, but not by more than its own length.
            let longest = self
                .control
                .iter()
                .map(|control| control.text.len())
                .max()
                .unwrap_or(0);
            let search =
                content.start.saturating_sub(longest)..(content.end + longest).min(marked.text.len());
            let mut from = search.start;
            while let Some(found) = finder.find(Input::new(&marked.text).range(from..search.end)) {
                if overlaps(content, &found.range()) {
                    return true;
                }
                from = found.start() + 1;
            }
            false
        })
    }

    /// Splits the text at the control tokens that the template wrote, as llama.cpp does, and tokenises what is between them
    /// as plain text.
    fn apart(&self, marked: &Marked) -> Vec<LlamaToken> {
        let text = marked.text.as_bytes();
        let mut tokens = Vec::new();
        let mut done = 0;
        let mut from = 0;
        while let Some((range, control)) = self.next_control(text, from) {
            if marked.contents.iter().any(|content| overlaps(content, &range)) {
                from = range.start + 1;
                continue;
            }
            let mut before = text.get(done..range.start).unwrap_or_default();
            if control.strips_before {
                before = before.trim_ascii_end();
            }
            if !before.is_empty() {
                tokens.extend(self.vocab.tokenize(before, false, false));
            }
            tokens.push(control.token);
            done = range.end;
            if control.strips_after {
                let after = text.get(done..).unwrap_or_default();
                done += after.len() - after.trim_ascii_start().len();
            }
            from = done;
        }
        let rest = text.get(done..).unwrap_or_default();
        if !rest.is_empty() {
            tokens.extend(self.vocab.tokenize(rest, false, false));
        }
        tokens
    }

    fn next_control(&self, text: &[u8], from: usize) -> Option<(Range<usize>, &Control)> {
        let found = self
            .finder
            .as_ref()?
            .find(Input::new(text).range(from.min(text.len())..))?;
        Some((found.range(), self.control.get(found.pattern().as_usize())?))
    }

    /// `text` with every control token's text broken up by an invisible space, for a template that changes what it is
    /// given so that its parts cannot be told apart. `None` when there is none.
    pub fn broken_up(&self, text: &str) -> Option<String> {
        let finder = self.finder.as_ref()?;
        let mut broken = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(found) = finder.find(rest) {
            let first = rest.get(found.start()..).and_then(|tail| tail.chars().next())?;
            let (head, tail) = rest.split_at(found.start() + first.len_utf8());
            broken.push_str(head);
            broken.push('\u{200b}');
            rest = tail;
        }
        broken.push_str(rest);
        (broken.len() != text.len()).then_some(broken)
    }
}

fn control(vocab: &LlamaVocab<'_>, token: LlamaToken) -> Option<Control> {
    let attributes = vocab.attr(token);
    if !attributes.intersects(LlamaTokenAttr::Control | LlamaTokenAttr::Unknown) {
        return None;
    }
    let text = vocab
        .text(token)?
        .to_str()
        .ok()
        .filter(|text| !text.is_empty())?
        .to_owned();
    Some(Control {
        token,
        text,
        strips_before: attributes.contains(LlamaTokenAttr::LStrip),
        strips_after: attributes.contains(LlamaTokenAttr::RStrip),
    })
}

const fn overlaps(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start < other.end && other.start < one.end
}
