//! The conversation format (`ChatML`) as tokens, the same as llama.cpp makes from the template in the file.

use std::ops::Range;

use crate::random::Random;
use crate::tokenizer::{MESSAGE_END, MESSAGE_START, Token, Tokenizer};

/// The template that ships in the file: `ChatML` of the system message and the last message. The guide answers each question by
/// itself: what was said before would only lead a model of this size astray.
pub const TEMPLATE: &str = "{% if messages|length > 1 and messages[0]['role'] == 'system' %}\
     {{ '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>' + '\\n' }}{% endif %}\
     {% for message in messages[-1:] %}{{ '<|im_start|>' + message['role'] + '\\n' + \
     message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}\
     {% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// A conversation as tokens.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conversation {
    /// All tokens.
    pub tokens: Vec<Token>,
    /// Where the answers are, each with the [`MESSAGE_END`] that closes it.
    pub answers: Vec<Range<usize>>,
    /// Where the questions are.
    pub questions: Vec<Range<usize>>,
}

impl Conversation {
    /// Adds a system message.
    pub fn system(&mut self, tokenizer: &Tokenizer, text: &str) {
        self.message(tokenizer, "system", &tokenizer.encode(text));
    }

    /// Adds a question.
    pub fn question(&mut self, tokenizer: &Tokenizer, text: &str) {
        let body = self.message(tokenizer, "user", &tokenizer.encode(text));
        self.questions.push(body);
    }

    /// Adds a question with some merges left out ([`Tokenizer::encode_roughly`]).
    pub fn rough_question(&mut self, tokenizer: &Tokenizer, text: &str, skip: f32, random: &mut Random) {
        let body = self.message(tokenizer, "user", &tokenizer.encode_roughly(text, skip, random));
        self.questions.push(body);
    }

    /// Adds an answer.
    pub fn answer(&mut self, tokenizer: &Tokenizer, text: &str) {
        let body = self.message(tokenizer, "assistant", &tokenizer.encode(text));
        self.answers.push(body.start..body.end + 1);
    }

    /// The tokens after which the model begins its answer.
    pub fn prompt(&self, tokenizer: &Tokenizer) -> Vec<Token> {
        let mut tokens = self.tokens.clone();
        tokens.push(MESSAGE_START);
        tokens.extend(tokenizer.encode("assistant\n"));
        tokens
    }

    fn message(&mut self, tokenizer: &Tokenizer, role: &str, body: &[Token]) -> Range<usize> {
        self.tokens.push(MESSAGE_START);
        self.tokens.extend(tokenizer.encode(role));
        self.tokens.extend(tokenizer.encode("\n"));
        let start = self.tokens.len();
        self.tokens.extend(body);
        let end = self.tokens.len();
        self.tokens.push(MESSAGE_END);
        self.tokens.extend(tokenizer.encode("\n"));
        start..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::learn;

    #[test]
    fn tokens_are_those_of_the_rendered_template() {
        let tokenizer = learn(&[("user assistant system what is it".to_owned(), 9)], 280);
        let mut conversation = Conversation::default();
        conversation.system(&tokenizer, "Be brief.");
        conversation.question(&tokenizer, "What is it?");
        conversation.answer(&tokenizer, "A test.");
        conversation.question(&tokenizer, "Is it?");
        let rendered = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat is it?<|im_end|>\n\
                        <|im_start|>assistant\nA test.<|im_end|>\n<|im_start|>user\nIs it?<|im_end|>\n\
                        <|im_start|>assistant\n";
        assert_eq!(
            conversation.prompt(&tokenizer),
            tokenizer.encode_rendered(rendered)
        );
        let answer = &conversation.tokens[conversation.answers[0].clone()];
        assert_eq!(tokenizer.decode(answer), b"A test.");
        assert_eq!(answer.last(), Some(&MESSAGE_END));
    }
}
