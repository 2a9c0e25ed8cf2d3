//! Measures how much of the corpus a guide answers word for word.

use std::thread;

use crate::augment::{self, Rates};
use crate::chat::Conversation;
use crate::corpus::{Corpus, Item};
use crate::guide::Guide;
use crate::random::Random;
use crate::tokenizer::Tokenizer;

/// Conversations that are passed through the network together.
const TOGETHER: usize = 16;

/// How questions are put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As trained, alone.
    Trained,
    /// As trained, in lower case without punctuation.
    Careless,
    /// As trained, with words and letters changed at random as in training.
    Varied,
    /// As trained, after two other questions and their answers.
    Later,
    /// As trained, after a system message.
    System,
    /// Phrasings that were never trained on.
    HeldOut,
}

impl Way {
    /// Every way, in the order of a report.
    pub const ALL: [Self; 6] = [
        Self::Trained,
        Self::Careless,
        Self::Varied,
        Self::Later,
        Self::System,
        Self::HeldOut,
    ];

    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trained => "as trained",
            Self::Careless => "lower case, no punctuation",
            Self::Varied => "varied at random",
            Self::Later => "third in a conversation",
            Self::System => "after a system message",
            Self::HeldOut => "held-out phrasings",
        }
    }
}

/// A question that was not answered word for word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// The item.
    pub id: String,
    /// How it was asked.
    pub question: String,
}

/// How one way went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Score {
    /// Which way.
    pub way: Way,
    /// Questions asked.
    pub asked: usize,
    /// What went wrong.
    pub misses: Vec<Miss>,
}

impl Score {
    /// Questions answered word for word.
    pub fn exact(&self) -> usize {
        self.asked - self.misses.len()
    }

    /// Their share, in percent.
    #[expect(clippy::cast_precision_loss, reason = "a few thousand questions")]
    pub fn percent(&self) -> f64 {
        100.0 * self.exact() as f64 / self.asked.max(1) as f64
    }
}

/// Asks every question of the corpus in one way.
pub fn score(guide: &Guide, corpus: &Corpus, way: Way, threads: usize) -> Score {
    let questions = questions(guide.tokenizer(), corpus, way);
    let part = questions.len().div_ceil(threads.max(1)).max(1);
    let misses = thread::scope(|scope| {
        let ask = |part: &[(Miss, Conversation)]| {
            let mut guide = guide.clone();
            let mut misses = Vec::new();
            for some in part.chunks(TOGETHER) {
                let conversations: Vec<Conversation> = some.iter().map(|(_, asked)| asked.clone()).collect();
                let given = guide.gives(&conversations);
                misses.extend(
                    some.iter()
                        .zip(given)
                        .filter(|(_, right)| !right)
                        .map(|((miss, _), _)| miss.clone()),
                );
            }
            misses
        };
        let running: Vec<_> = questions
            .chunks(part)
            .map(|part| scope.spawn(move || ask(part)))
            .collect();
        // A thread that panicked is a fault of this program, and goes on as one.
        running
            .into_iter()
            .flat_map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|cause| std::panic::resume_unwind(cause))
            })
            .collect()
    });
    Score {
        way,
        asked: questions.len(),
        misses,
    }
}

fn questions(tokenizer: &Tokenizer, corpus: &Corpus, way: Way) -> Vec<(Miss, Conversation)> {
    let mut random = Random::new(99, 0);
    let mut all = Vec::new();
    for item in &corpus.items {
        let asked = if way == Way::HeldOut {
            item.held_out.clone()
        } else {
            corpus.questions(item)
        };
        for question in asked {
            let question = match way {
                Way::Careless => question.to_lowercase().replace(['?', '.', ',', '!', '\''], ""),
                Way::Varied => augment::vary(
                    &question,
                    &corpus.variations,
                    Rates {
                        verbatim: 0.0,
                        ..Rates::default()
                    },
                    &mut random,
                ),
                _ => question,
            };
            let mut conversation = Conversation::default();
            match way {
                Way::System => conversation.system(tokenizer, "You are a helpful assistant."),
                Way::Later => (0..2).for_each(|_| another(tokenizer, corpus, &mut conversation, &mut random)),
                _ => (),
            }
            conversation.question(tokenizer, &question);
            conversation.answer(tokenizer, &item.answer);
            all.push((
                Miss {
                    id: item.id.clone(),
                    question,
                },
                conversation,
            ));
        }
    }
    all
}

fn another(tokenizer: &Tokenizer, corpus: &Corpus, conversation: &mut Conversation, random: &mut Random) {
    let item: Option<&Item> = random.pick(&corpus.items);
    if let Some((item, question)) =
        item.and_then(|item| Some((item, corpus.questions(item).into_iter().next()?)))
    {
        conversation.question(tokenizer, &question);
        conversation.answer(tokenizer, &item.answer);
    }
}
