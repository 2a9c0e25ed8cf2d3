//! From the bytes of tokens to text that may be shown: complete characters only, and nothing that may yet turn out
//! to be the beginning of a stop text.

use std::collections::VecDeque;

use holdfast_contract::inference::TokenLogprob;

/// What may be shown after a token.
#[derive(Debug, Default, PartialEq)]
pub struct Piece {
    /// Complete characters.
    pub text: String,
    /// Tokens taken since the piece before.
    pub tokens: u32,
    /// The probabilities of the tokens whose text is complete, where they were given.
    pub logprobs: Vec<TokenLogprob>,
}

impl Piece {
    /// Appends what follows it.
    pub fn add(&mut self, next: Self) {
        self.text.push_str(&next.text);
        self.tokens += next.tokens;
        self.logprobs.extend(next.logprobs);
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty() && self.logprobs.is_empty()
    }
}

/// The text of one answer while it is made.
#[derive(Debug, Default)]
pub struct AnswerText {
    stops: Vec<String>,
    /// Bytes of a character that is not complete.
    partial: Vec<u8>,
    /// Complete characters that are held back.
    held: String,
    /// Bytes of text that were given out.
    given: usize,
    tokens: u32,
    /// Probabilities, each with the length of text at which its token is complete.
    waiting: VecDeque<(usize, TokenLogprob)>,
    stopped: bool,
}

impl AnswerText {
    /// An answer that ends before any of `stops`. Empty stops are ignored.
    pub fn new(stops: Vec<String>) -> Self {
        Self {
            stops: stops.into_iter().filter(|stop| !stop.is_empty()).collect(),
            ..Self::default()
        }
    }

    /// Whether a stop text was met. Nothing follows it.
    pub const fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Takes the bytes of one token. Returns what may be shown now, if anything.
    pub fn push(&mut self, bytes: &[u8], logprob: Option<TokenLogprob>) -> Option<Piece> {
        if self.stopped {
            return None;
        }
        self.tokens += 1;
        self.partial.extend_from_slice(bytes);
        self.complete(false);
        if let Some(logprob) = logprob {
            let end = self.given + self.held.len() + usize::from(!self.partial.is_empty());
            self.waiting.push_back((end, logprob));
        }
        let shown = match self.stop_at() {
            Some(at) => {
                self.stopped = true;
                at
            }
            None => self.held.len() - self.beginning_of_a_stop(),
        };
        let piece = self.give(shown);
        (!piece.is_empty()).then_some(piece)
    }

    /// Ends the answer: what was held back is given out, and a character that never became complete is replaced.
    pub fn finish(&mut self) -> Option<Piece> {
        if self.stopped {
            self.waiting.clear();
        } else {
            self.complete(true);
            self.stopped = true;
        }
        let shown = self.stop_at().unwrap_or(self.held.len());
        let mut piece = self.give(shown);
        piece
            .logprobs
            .extend(self.waiting.drain(..).map(|(_, logprob)| logprob));
        self.held.clear();
        (!piece.is_empty()).then_some(piece)
    }

    /// Moves complete characters from `partial` to `held`; with `all`, whatever is left becomes U+FFFD.
    fn complete(&mut self, all: bool) {
        let mut rest = self.partial.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.held.push_str(text);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    self.held.push_str(&String::from_utf8_lossy(valid));
                    match error.error_len() {
                        Some(invalid) => {
                            self.held.push(char::REPLACEMENT_CHARACTER);
                            rest = &after[invalid..];
                        }
                        None if all => {
                            self.held.push(char::REPLACEMENT_CHARACTER);
                            rest = &[];
                            break;
                        }
                        None => {
                            rest = after;
                            break;
                        }
                    }
                }
            }
        }
        self.partial = rest.to_vec();
    }

    fn stop_at(&self) -> Option<usize> {
        self.stops
            .iter()
            .filter_map(|stop| self.held.find(stop.as_str()))
            .min()
    }

    /// Length of the longest end of `held` that begins a stop text.
    fn beginning_of_a_stop(&self) -> usize {
        let held = self.held.as_bytes();
        self.stops
            .iter()
            .map(|stop| {
                let stop = stop.as_bytes();
                (1..stop.len().min(held.len() + 1))
                    .rev()
                    .find(|length| held.ends_with(&stop[..*length]))
                    .unwrap_or(0)
            })
            .max()
            .unwrap_or(0)
    }

    fn give(&mut self, length: usize) -> Piece {
        // A stop text is valid UTF-8, so its beginning may end within a character only where `held` does not.
        let length = (0..=length)
            .rev()
            .find(|at| self.held.is_char_boundary(*at))
            .unwrap_or(0);
        let rest = self.held.split_off(length);
        let text = std::mem::replace(&mut self.held, rest);
        self.given += text.len();
        let mut logprobs = Vec::new();
        while self.waiting.front().is_some_and(|(end, _)| *end <= self.given) {
            logprobs.extend(self.waiting.pop_front().map(|(_, logprob)| logprob));
        }
        let tokens = if text.is_empty() && logprobs.is_empty() {
            0
        } else {
            std::mem::take(&mut self.tokens)
        };
        Piece {
            text,
            tokens,
            logprobs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(stops: &[&str]) -> AnswerText {
        AnswerText::new(stops.iter().map(|stop| (*stop).to_owned()).collect())
    }

    fn run(answer: &mut AnswerText, tokens: &[&[u8]]) -> Vec<String> {
        let mut shown: Vec<String> = tokens
            .iter()
            .filter_map(|token| answer.push(token, None))
            .map(|piece| piece.text)
            .collect();
        shown.extend(answer.finish().map(|piece| piece.text));
        shown
    }

    fn logprob(token: &str) -> TokenLogprob {
        TokenLogprob {
            token: token.to_owned(),
            bytes: token.as_bytes().to_vec(),
            logprob: -1.0,
            top: Vec::new(),
        }
    }

    #[test]
    fn text_without_stops_passes_through_at_once() {
        assert_eq!(run(&mut answer(&[]), &[b"Hold", b"fast"]), ["Hold", "fast"]);
    }

    #[test]
    fn a_character_is_held_back_until_its_last_byte() {
        let euro = "€".as_bytes();
        assert_eq!(
            run(
                &mut answer(&[]),
                &[b"1 ", &euro[..1], &euro[1..2], &euro[2..], b"!"]
            ),
            ["1 ", "€", "!"]
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_and_do_not_hold_up_the_rest() {
        assert_eq!(run(&mut answer(&[]), &[b"a\xffb", b"c"]), ["a\u{fffd}b", "c"]);
        assert_eq!(run(&mut answer(&[]), &[b"a", b"\xe2\x82"]), ["a", "\u{fffd}"]);
    }

    #[test]
    fn a_stop_within_a_token_ends_the_answer_before_it() {
        let mut answer = answer(&["END"]);
        assert_eq!(run(&mut answer, &[b"abENDcd", b"more"]), ["ab"]);
        assert!(answer.is_stopped());
    }

    #[test]
    fn a_stop_across_tokens_is_found_and_never_shown() {
        let mut answer = answer(&["\nUser:"]);
        assert_eq!(run(&mut answer, &[b"Hi", b"\n", b"Us", b"er", b": x"]), ["Hi"]);
        assert!(answer.is_stopped());
    }

    #[test]
    fn what_only_looked_like_a_stop_is_shown_after_all() {
        assert_eq!(
            run(&mut answer(&["\nUser:"]), &[b"Hi", b"\nUs", b"ual"]),
            ["Hi", "\nUsual"]
        );
        assert_eq!(run(&mut answer(&["aab"]), &[b"a", b"a", b"a", b"b"]), ["a"]);
        assert_eq!(run(&mut answer(&["abc"]), &[b"ab"]), ["ab"]);
    }

    #[test]
    fn the_earliest_of_several_stops_counts() {
        assert_eq!(run(&mut answer(&["two", "one"]), &[b"0 one two"]), ["0 "]);
    }

    #[test]
    fn a_stop_that_begins_inside_a_character_of_the_text_does_not_cut_it() {
        assert_eq!(run(&mut answer(&["é!"]), &["né".as_bytes(), b"?"]), ["n", "é?"]);
        assert_eq!(run(&mut answer(&["é!"]), &["né".as_bytes(), b"!"]), ["n"]);
    }

    #[test]
    fn an_empty_stop_is_ignored() {
        assert_eq!(run(&mut answer(&[""]), &[b"a"]), ["a"]);
    }

    #[test]
    fn probabilities_come_with_the_text_of_their_token() {
        let mut answer = answer(&["stop"]);
        let first = answer.push(b"a st", Some(logprob("a st"))).unwrap();
        assert_eq!((first.text.as_str(), first.logprobs.len()), ("a ", 0));
        let second = answer.push(b"ay", Some(logprob("ay"))).unwrap();
        assert_eq!((second.text.as_str(), second.logprobs.len()), ("stay", 2));
    }

    #[test]
    fn every_token_is_counted_once() {
        let mut answer = answer(&["xyz"]);
        let mut tokens = 0;
        for token in [b"a".as_slice(), b"x", b"y", b"", b"b"] {
            tokens += answer.push(token, None).map_or(0, |piece| piece.tokens);
        }
        assert_eq!(tokens, 5);
    }

    #[test]
    fn probabilities_of_a_stop_text_are_not_shown() {
        let mut answer = answer(&["stop"]);
        assert_eq!(answer.push(b"st", Some(logprob("st"))), None);
        assert_eq!(answer.push(b"op", Some(logprob("op"))), None);
        assert_eq!(answer.finish(), None);
    }
}
