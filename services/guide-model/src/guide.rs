//! A trained guide that answers: greedy decoding with the crate's own network.

use crate::chat::Conversation;
use crate::gguf::{ReadError, read};
use crate::model::pass::{Batch, Pass};
use crate::tokenizer::{MESSAGE_END, Token, Tokenizer};
use crate::training::Trained;

/// Longest answer, in tokens.
const MAX_ANSWER: usize = 256;

/// A guide model, ready to answer.
#[derive(Debug, Clone)]
pub struct Guide {
    trained: Trained,
    pass: Pass,
}

impl Guide {
    /// The guide in a GGUF file.
    ///
    /// # Errors
    /// When the file is not one that this program writes.
    pub fn open(bytes: &[u8]) -> Result<Self, ReadError> {
        read(bytes).map(Self::new)
    }

    /// A guide that was just trained.
    pub fn new(trained: Trained) -> Self {
        Self {
            pass: Pass::new(trained.config),
            trained,
        }
    }

    /// Its tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.trained.tokenizer
    }

    /// Its count of parameters.
    pub fn parameters(&self) -> usize {
        self.trained.parameters.len()
    }

    /// The answer to the last question of a conversation.
    pub fn answer(&mut self, conversation: &Conversation) -> String {
        let mut tokens = conversation.prompt(&self.trained.tokenizer);
        let start = tokens.len();
        while tokens.len() < self.trained.config.context && tokens.len() - start < MAX_ANSWER {
            let next = self.next(&tokens);
            if next == MESSAGE_END {
                break;
            }
            tokens.push(next);
        }
        String::from_utf8_lossy(&self.trained.tokenizer.decode(&tokens[start..])).into_owned()
    }

    /// The answer to a question that begins a conversation.
    pub fn ask(&mut self, question: &str) -> String {
        let mut conversation = Conversation::default();
        conversation.question(&self.trained.tokenizer, question);
        self.answer(&conversation)
    }

    /// For each conversation, whether greedy decoding would give its last answer and end there.
    ///
    /// All tokens of the answer are predicted in one pass, each after the right ones before it: if every prediction
    /// is right, decoding one by one goes the same way.
    pub fn gives(&mut self, conversations: &[Conversation]) -> Vec<bool> {
        let mut batch = Batch::default();
        let mut spans = Vec::new();
        for conversation in conversations {
            let span = conversation.answers.last().cloned().unwrap_or_default();
            let weigh = |at| if span.contains(&at) { 1.0 } else { 0.0 };
            let weights: Vec<f32> = (0..conversation.tokens.len()).map(weigh).collect();
            batch.push(&conversation.tokens, &weights);
            spans.push(&conversation.tokens[span]);
        }
        let predicted = self.pass.predict(&self.trained.parameters, &batch);
        let mut rest = predicted.as_slice();
        let mut matches = |span: &&[Token]| {
            let (given, tail) = rest.split_at(span.len().min(rest.len()));
            rest = tail;
            given == *span
        };
        spans.iter().map(&mut matches).collect()
    }

    fn next(&mut self, tokens: &[Token]) -> Token {
        let mut weights = vec![0.0; tokens.len()];
        weights.push(1.0);
        let mut batch = Batch::default();
        batch.push(&[tokens, &[MESSAGE_END]].concat(), &weights);
        self.pass
            .predict(&self.trained.parameters, &batch)
            .first()
            .copied()
            .unwrap_or(MESSAGE_END)
    }
}
