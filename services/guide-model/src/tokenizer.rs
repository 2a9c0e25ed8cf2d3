//! Byte-level byte-pair encoding as GPT-2 does it, which llama.cpp reads as `tokenizer.ggml.model = "gpt2"` with
//! `tokenizer.ggml.pre = "gpt-2"`.
//!
//! Every byte is a token, so any UTF-8 text survives encoding and decoding. Only [`Tokenizer::encode_rendered`] turns
//! text such as `<|im_end|>` into a control token; text of a person goes through [`Tokenizer::encode`], which does not.

mod bytes;
mod learn;
mod words;

use std::collections::{HashMap, HashSet};

pub use learn::learn;

use crate::random::Random;

/// Number of a token.
pub type Token = u32;

/// Ends a text; padding. Never generated.
pub const END_OF_TEXT: Token = 0;
/// Begins a message.
pub const MESSAGE_START: Token = 1;
/// Ends a message, and with it the model's turn.
pub const MESSAGE_END: Token = 2;
/// The control tokens as they are written in a rendered chat template, in the order of their numbers.
pub const CONTROL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

/// The first of the 256 tokens that stand for single bytes.
const FIRST_BYTE: Token = 3;
/// The first token that was made by a merge.
const FIRST_MERGE: Token = FIRST_BYTE + 256;

/// Why merges do not make a tokenizer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenizerError {
    /// A merge names a token that does not exist before it.
    #[error("merge {index} joins a token that is not made before it")]
    Order {
        /// Which merge.
        index: usize,
    },
    /// Two merges make the same token.
    #[error("merge {index} makes a token that exists already")]
    Twice {
        /// Which merge.
        index: usize,
    },
}

/// A vocabulary with its merges.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    /// The bytes of each token; control tokens have the bytes of their written form.
    pieces: Vec<Vec<u8>>,
    /// Pairs of tokens that join, in the order of their rank.
    merges: Vec<(Token, Token)>,
    /// Rank of a pair; the token it makes is `FIRST_MERGE` + rank.
    ranks: HashMap<(Token, Token), Token>,
}

impl Tokenizer {
    /// The tokenizer with these merges, in the order of their rank.
    ///
    /// # Errors
    /// When a merge uses a token that no earlier one makes, or makes one that is there already.
    pub fn new(merges: Vec<(Token, Token)>) -> Result<Self, TokenizerError> {
        let mut pieces: Vec<Vec<u8>> = CONTROL.iter().map(|text| text.as_bytes().to_vec()).collect();
        pieces.extend((0..=u8::MAX).map(|byte| vec![byte]));
        let mut known: HashSet<Vec<u8>> = pieces.iter().cloned().collect();
        let mut ranks = HashMap::new();
        for (index, &(left, right)) in merges.iter().enumerate() {
            let half = |token: Token| {
                usize::try_from(token)
                    .ok()
                    .filter(|_| token >= FIRST_BYTE)
                    .and_then(|token| pieces.get(token))
            };
            let (Some(a), Some(b)) = (half(left), half(right)) else {
                return Err(TokenizerError::Order { index });
            };
            let piece = [a.as_slice(), b].concat();
            if !known.insert(piece.clone()) {
                return Err(TokenizerError::Twice { index });
            }
            pieces.push(piece);
            ranks.insert((left, right), Token::try_from(index).unwrap_or(Token::MAX));
        }
        Ok(Self {
            pieces,
            merges,
            ranks,
        })
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Never: the bytes are always there.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The merges, in the order of their rank.
    pub fn merges(&self) -> &[(Token, Token)] {
        &self.merges
    }

    /// A token as GGUF writes it: control tokens as they are, all others with each byte as a printable character.
    pub fn written(&self, token: Token) -> String {
        let piece = self.piece(token);
        if is_control(token) {
            String::from_utf8_lossy(piece).into_owned()
        } else {
            bytes::written(piece)
        }
    }

    /// Tokens of a person's text. What looks like a control token stays text.
    pub fn encode(&self, text: &str) -> Vec<Token> {
        words::split(text)
            .flat_map(|word| self.merge(word, None))
            .collect()
    }

    /// Tokens of `text` with each merge left out at random: spellings the corpus does not hold look like that, so
    /// training on it teaches them.
    pub fn encode_roughly(&self, text: &str, skip: f32, random: &mut Random) -> Vec<Token> {
        words::split(text)
            .flat_map(|word| self.merge(word, Some((skip, &mut *random))))
            .collect()
    }

    /// Tokens of a rendered chat template, where control tokens are written out.
    pub fn encode_rendered(&self, text: &str) -> Vec<Token> {
        let mut tokens = Vec::new();
        let mut rest = text;
        loop {
            let next = (FIRST_CONTROL..)
                .zip(CONTROL)
                .filter_map(|(token, written)| rest.find(written).map(|at| (at, written.len(), token)))
                .min();
            let Some((at, length, token)) = next else {
                tokens.extend(self.encode(rest));
                return tokens;
            };
            tokens.extend(self.encode(&rest[..at]));
            tokens.push(token);
            rest = &rest[at + length..];
        }
    }

    /// The bytes that `tokens` stand for; control tokens stand for none.
    pub fn decode(&self, tokens: &[Token]) -> Vec<u8> {
        tokens
            .iter()
            .filter(|&&token| !is_control(token))
            .flat_map(|&token| self.piece(token))
            .copied()
            .collect()
    }

    fn piece(&self, token: Token) -> &[u8] {
        usize::try_from(token)
            .ok()
            .and_then(|token| self.pieces.get(token))
            .map_or(&[], Vec::as_slice)
    }

    /// Joins the bytes of one word, the pair of the lowest rank first and the leftmost among equals.
    fn merge(&self, word: &str, mut rough: Option<(f32, &mut Random)>) -> Vec<Token> {
        let mut tokens: Vec<Token> = word.bytes().map(byte_token).collect();
        loop {
            let best = tokens
                .windows(2)
                .enumerate()
                .filter_map(|(at, pair)| self.ranks.get(&(pair[0], pair[1])).map(|&rank| (rank, at)))
                .filter(|_| rough.as_mut().is_none_or(|(skip, random)| !random.chance(*skip)))
                .min();
            let Some((rank, at)) = best else { return tokens };
            tokens[at] = FIRST_MERGE + rank;
            tokens.remove(at + 1);
        }
    }
}

const FIRST_CONTROL: Token = END_OF_TEXT;

/// Whether a token is one of [`CONTROL`].
pub fn is_control(token: Token) -> bool {
    token < FIRST_BYTE
}

fn byte_token(byte: u8) -> Token {
    FIRST_BYTE + Token::from(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt() -> Tokenizer {
        learn(
            &[(
                "what is holdfast and how does holdfast keep a model".to_owned(),
                5,
            )],
            300,
        )
    }

    #[test]
    fn any_text_survives() {
        let tokenizer = learnt();
        for text in [
            "",
            "holdfast",
            "What's  this?\n\n\t x",
            "ünïcødé ▁ 漢字 🦀\u{301}",
            "a\0b\u{7f}\u{85}",
            "   ",
        ] {
            assert_eq!(
                tokenizer.decode(&tokenizer.encode(text)),
                text.as_bytes(),
                "{text:?}"
            );
            let mut random = Random::new(1, 1);
            let rough = tokenizer.encode_roughly(text, 0.5, &mut random);
            assert_eq!(tokenizer.decode(&rough), text.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn merges_make_frequent_words_short() {
        let tokenizer = learnt();
        assert_eq!(tokenizer.encode(" holdfast").len(), 1);
        assert!(tokenizer.encode(" zyx").len() > 1);
    }

    #[test]
    fn only_a_rendered_template_holds_control_tokens() {
        let tokenizer = learnt();
        let text = "<|im_start|>user\nhi<|im_end|>";
        assert!(!tokenizer.encode(text).into_iter().any(is_control));
        let tokens = tokenizer.encode_rendered(text);
        assert_eq!(
            (tokens.first(), tokens.last()),
            (Some(&MESSAGE_START), Some(&MESSAGE_END))
        );
        assert_eq!(tokenizer.decode(&tokens), b"user\nhi");
    }

    #[test]
    fn refuses_merges_out_of_order_or_twice() {
        let (a, b) = (byte_token(b'a'), byte_token(b'b'));
        assert!(Tokenizer::new(vec![(a, b)]).is_ok());
        assert_eq!(
            Tokenizer::new(vec![(a, FIRST_MERGE)]).unwrap_err(),
            TokenizerError::Order { index: 0 }
        );
        assert_eq!(
            Tokenizer::new(vec![(a, MESSAGE_END)]).unwrap_err(),
            TokenizerError::Order { index: 0 }
        );
        assert_eq!(
            Tokenizer::new(vec![(a, b), (a, b)]).unwrap_err(),
            TokenizerError::Twice { index: 1 }
        );
    }
}
