//! Makes training conversations from the corpus: each question of each item once per round, in random order and other
//! words, with or without a system message, and sometimes as part of a longer conversation.

use std::sync::Arc;

use crate::augment::{self, Rates};
use crate::chat::Conversation;
use crate::corpus::Corpus;
use crate::model::pass::Batch;
use crate::random::Random;
use crate::tokenizer::{Token, Tokenizer, learn};

/// How conversations are made.
#[derive(Debug, Clone, Copy)]
pub struct Mixture {
    /// How questions are varied.
    pub rates: Rates,
    /// Conversations that begin with a system message.
    pub system: f32,
    /// Conversations that go on after an answer, each time.
    pub further: f32,
    /// Most questions in one conversation.
    pub most_turns: usize,
    /// Questions encoded with merges left out, and the share of merges left out then.
    pub rough: (f32, f32),
    /// How much a question's tokens count, as compared with an answer's.
    pub question_weight: f32,
}

impl Default for Mixture {
    fn default() -> Self {
        Self {
            rates: Rates::default(),
            system: 0.25,
            further: 0.22,
            most_turns: 8,
            rough: (0.3, 0.1),
            question_weight: 0.1,
        }
    }
}

/// A conversation to train on, with how much each token counts as a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The tokens.
    pub tokens: Vec<Token>,
    /// Their weights.
    pub weights: Vec<f32>,
}

/// An endless supply of conversations.
#[derive(Debug, Clone)]
pub struct Sampler {
    corpus: Arc<Corpus>,
    tokenizer: Arc<Tokenizer>,
    mixture: Mixture,
    random: Random,
    /// (item, question) pairs that are still to come in this round.
    deck: Vec<(usize, usize)>,
    longest: usize,
}

impl Sampler {
    /// Conversations of at most `longest` tokens.
    pub fn new(
        corpus: Arc<Corpus>,
        tokenizer: Arc<Tokenizer>,
        mixture: Mixture,
        longest: usize,
        random: Random,
    ) -> Self {
        Self {
            corpus,
            tokenizer,
            mixture,
            random,
            deck: Vec::new(),
            longest,
        }
    }

    /// How many questions a round has, each as often as its item's weight says.
    pub fn round(&self) -> usize {
        self.corpus
            .items
            .iter()
            .map(|item| item.ask.len() * item.weight)
            .sum()
    }

    /// The next conversation.
    pub fn next_example(&mut self) -> Example {
        let mut conversation = Conversation::default();
        if self.random.chance(self.mixture.system)
            && let Some(text) = self.random.pick(&self.corpus.variations.system)
        {
            conversation.system(&self.tokenizer, text);
        }
        for turn in 0..self.mixture.most_turns {
            let before = conversation.clone();
            self.turn(&mut conversation);
            if conversation.tokens.len() > self.longest && turn > 0 {
                conversation = before;
                break;
            }
            if !self.random.chance(self.mixture.further) {
                break;
            }
        }
        conversation.tokens.truncate(self.longest);
        let mut weights = vec![0.0; conversation.tokens.len()];
        let spans = conversation
            .questions
            .iter()
            .map(|span| (span, self.mixture.question_weight));
        for (span, weight) in spans.chain(conversation.answers.iter().map(|span| (span, 1.0))) {
            weights
                .iter_mut()
                .take(span.end)
                .skip(span.start)
                .for_each(|slot| *slot = weight);
        }
        Example {
            tokens: conversation.tokens,
            weights,
        }
    }

    fn turn(&mut self, conversation: &mut Conversation) {
        let (item, question) = self.deal();
        let Some(item) = self.corpus.items.get(item) else {
            return;
        };
        let question = item.ask.get(question).map_or("", String::as_str);
        let random = &mut self.random;
        let text = self.corpus.fill(question, |words| random.below(words.len()));
        let text = augment::vary(&text, &self.corpus.variations, self.mixture.rates, random);
        let (often, skip) = self.mixture.rough;
        if random.chance(often) {
            conversation.rough_question(&self.tokenizer, &text, skip, random);
        } else {
            conversation.question(&self.tokenizer, &text);
        }
        conversation.answer(&self.tokenizer, &item.answer);
    }

    fn deal(&mut self) -> (usize, usize) {
        if self.deck.is_empty() {
            for (at, item) in self.corpus.items.iter().enumerate() {
                let asks = (0..item.ask.len()).map(|ask| (at, ask));
                self.deck.extend(std::iter::repeat_n(asks, item.weight).flatten());
            }
            self.random.shuffle(&mut self.deck);
        }
        self.deck.pop().unwrap_or_default()
    }
}

/// Deals examples to `shards` batches of about the same number of tokens.
pub fn deal(mut examples: Vec<Example>, shards: usize) -> Vec<Batch> {
    examples.sort_by_key(|example| std::cmp::Reverse(example.tokens.len()));
    let mut batches = vec![Batch::default(); shards];
    for example in &examples {
        if let Some(least) = batches.iter_mut().min_by_key(|batch| batch.tokens.len()) {
            least.push(&example.tokens, &example.weights);
        }
    }
    batches
}

/// Learns a tokenizer of at most `size` tokens from the corpus.
pub fn tokenizer(corpus: &Corpus, size: usize) -> Tokenizer {
    // Every answer is written out once for each question; the words around questions come up all the time.
    let mut texts: Vec<(String, u64)> = vec![("user\nassistant\nsystem\n".to_owned(), 500)];
    for item in &corpus.items {
        texts.push((item.answer.clone(), 4));
        for question in corpus.questions(item) {
            texts.push((question.to_lowercase(), 2));
            texts.push((question, 2));
        }
    }
    let variations = &corpus.variations;
    let lists = [&variations.before, &variations.after];
    texts.extend(lists.into_iter().flatten().map(|text| (format!(" {text}"), 5)));
    texts.extend(
        variations
            .synonyms
            .iter()
            .flatten()
            .map(|text| (format!(" {text}"), 2)),
    );
    texts.extend(variations.system.iter().map(|text| (text.clone(), 3)));
    learn(&texts, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(seed: u64) -> Sampler {
        let corpus = Arc::new(Corpus::shipped().unwrap());
        let tokenizer = Arc::new(tokenizer(&corpus, 400));
        Sampler::new(corpus, tokenizer, Mixture::default(), 512, Random::new(seed, 1))
    }

    #[test]
    fn the_same_seed_gives_the_same_conversations() {
        let (mut one, mut same, mut other) = (sampler(1), sampler(1), sampler(2));
        let first: Vec<Example> = (0..20).map(|_| one.next_example()).collect();
        assert_eq!(first, (0..20).map(|_| same.next_example()).collect::<Vec<_>>());
        assert_ne!(first, (0..20).map(|_| other.next_example()).collect::<Vec<_>>());
    }

    #[test]
    fn every_example_fits_and_teaches_an_answer() {
        let mut sampler = sampler(1);
        for _ in 0..300 {
            let example = sampler.next_example();
            assert!(example.tokens.len() <= 512 && example.tokens.len() == example.weights.len());
            assert!(example.weights.iter().filter(|&&weight| weight >= 1.0).count() > 3);
        }
    }

    #[test]
    fn a_round_deals_every_question_as_often_as_its_weight_says() {
        let mut sampler = sampler(1);
        let mut dealt = std::collections::HashMap::new();
        (0..sampler.round()).for_each(|_| *dealt.entry(sampler.deal()).or_insert(0) += 1);
        assert!(sampler.deck.is_empty());
        for (at, item) in sampler.corpus.items.iter().enumerate() {
            assert!(
                (0..item.ask.len()).all(|ask| dealt.get(&(at, ask)) == Some(&item.weight)),
                "{}",
                item.id
            );
        }
    }

    #[test]
    fn shards_are_of_about_the_same_size_and_lose_nothing() {
        let mut sampler = sampler(1);
        let examples: Vec<Example> = (0..32).map(|_| sampler.next_example()).collect();
        let tokens: usize = examples.iter().map(|example| example.tokens.len() - 1).sum();
        let shards = deal(examples, 4);
        let sizes: Vec<usize> = shards.iter().map(|shard| shard.tokens.len()).collect();
        assert_eq!(sizes.iter().sum::<usize>(), tokens);
        assert!(
            sizes.iter().max().unwrap() - sizes.iter().min().unwrap() < 600,
            "{sizes:?}"
        );
    }
}
