//! Training: the recipe with all its numbers, and the loop that follows it.
//!
//! Each step's conversations are dealt to [`SHARDS`] batches whose gradients are added in a fixed order. Threads take
//! whole shards, so their number changes the time and not one bit of the result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::corpus::Corpus;
use crate::model::pass::{Batch, Pass};
use crate::model::{Config, Layout};
use crate::optimizer::{Optimizer, Settings};
use crate::random::Random;
use crate::sampler::{self, Mixture, Sampler};
use crate::tokenizer::Tokenizer;
use crate::vector;

/// Batches of a step, and so the most threads that help.
pub const SHARDS: usize = 4;

/// What the last gains are multiplied by at the end. The most likely token stays the same; the others become so unlikely
/// that a program that samples with the usual temperature of 1 still gets the trained answers.
const SHARPNESS: f32 = 4.0;

/// Everything that decides what comes out, besides the corpus.
#[derive(Debug, Clone, Copy)]
pub struct Recipe {
    /// Most tokens in the vocabulary.
    pub vocabulary: usize,
    /// Sizes of the network, with the vocabulary still to be filled in.
    pub network: Config,
    /// Steps.
    pub steps: usize,
    /// Conversations in each step.
    pub batch: usize,
    /// Longest conversation in training, in tokens.
    pub longest: usize,
    /// How the parameters are changed.
    pub optimizer: Settings,
    /// How conversations are made.
    pub mixture: Mixture,
    /// Where all randomness comes from.
    pub seed: u64,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            vocabulary: 2048,
            network: Config {
                vocabulary: 0,
                width: 192,
                blocks: 4,
                heads: 3,
                kv_heads: 1,
                hidden: 512,
                context: 1024,
            },
            steps: 2200,
            batch: 32,
            longest: 640,
            optimizer: Settings {
                rate: 3e-3,
                last: 0.02,
                warm_up: 100,
                mean_decay: 0.9,
                square_decay: 0.98,
                weight_decay: 0.1,
                longest: 1.0,
            },
            mixture: Mixture::default(),
            seed: 2,
        }
    }
}

/// A trained network with its tokenizer.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The tokenizer.
    pub tokenizer: Arc<Tokenizer>,
    /// The sizes.
    pub config: Config,
    /// The parameters, laid out by [`Layout`].
    pub parameters: Vec<f32>,
}

/// Where training is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Steps done.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Mean loss of a token in the last step.
    pub loss: f64,
    /// Length of the gradient.
    pub gradient: f64,
    /// Tokens read so far.
    pub tokens: usize,
    /// Time since the start.
    pub elapsed: Duration,
}

impl Progress {
    /// Time still to go at the present speed.
    pub fn remaining(&self) -> Duration {
        let (done, all) = (u32::try_from(self.step), u32::try_from(self.steps));
        match (done, all) {
            (Ok(done), Ok(all)) if done > 0 => self.elapsed / done * all.saturating_sub(done),
            _ => Duration::ZERO,
        }
    }
}

/// Trains a network on a corpus.
pub fn train(
    corpus: &Arc<Corpus>,
    recipe: &Recipe,
    threads: usize,
    mut report: impl FnMut(Progress),
) -> Trained {
    let threads = threads.clamp(1, SHARDS);
    let tokenizer = Arc::new(sampler::tokenizer(corpus, recipe.vocabulary));
    let config = Config {
        vocabulary: tokenizer.len(),
        ..recipe.network
    };
    let layout = Layout::new(&config);
    let mut parameters = layout.initial(&mut Random::new(recipe.seed, 0));
    let mut optimizer = Optimizer::new(recipe.optimizer, &layout, recipe.steps);
    let random = Random::new(recipe.seed, 1);
    let longest = recipe.longest.min(config.context);
    let mut sampler = Sampler::new(
        Arc::clone(corpus),
        Arc::clone(&tokenizer),
        recipe.mixture,
        longest,
        random,
    );
    let mut shards: Vec<Shard> = (0..SHARDS)
        .map(|_| Shard::new(config, layout.parameters()))
        .collect();
    let start = Instant::now();
    let mut tokens = 0;
    for step in 1..=recipe.steps {
        let examples = (0..recipe.batch).map(|_| sampler.next_example()).collect();
        let batches = sampler::deal(examples, SHARDS);
        let weight: f32 = batches.iter().map(Batch::weight).sum();
        tokens += batches.iter().map(|batch| batch.tokens.len()).sum::<usize>();
        run(&mut shards, batches, &parameters, 1.0 / weight, threads);
        let loss = shards.iter().map(|shard| shard.loss).sum::<f64>() / f64::from(weight);
        if let Some((first, rest)) = shards.split_first_mut() {
            for shard in rest {
                vector::add(&mut first.gradient, &shard.gradient);
            }
            let gradient = optimizer.step(&mut parameters, &first.gradient, threads);
            let elapsed = start.elapsed();
            report(Progress {
                step,
                steps: recipe.steps,
                loss,
                gradient,
                tokens,
                elapsed,
            });
        }
    }
    for gain in layout.last_norm().of_mut(&mut parameters) {
        *gain *= SHARPNESS;
    }
    Trained {
        tokenizer,
        config,
        parameters,
    }
}

/// What computes one shard of each step.
struct Shard {
    pass: Pass,
    batch: Batch,
    gradient: Vec<f32>,
    loss: f64,
}

impl Shard {
    fn new(config: Config, parameters: usize) -> Self {
        Self {
            pass: Pass::new(config),
            batch: Batch::default(),
            gradient: vec![0.0; parameters],
            loss: 0.0,
        }
    }
}

/// Computes loss and gradient of each shard.
fn run(shards: &mut [Shard], batches: Vec<Batch>, parameters: &[f32], scale: f32, threads: usize) {
    for (shard, batch) in shards.iter_mut().zip(batches) {
        shard.batch = batch;
    }
    let share = shards.len().div_ceil(threads);
    std::thread::scope(|scope| {
        for shards in shards.chunks_mut(share) {
            scope.spawn(move || {
                for shard in shards {
                    shard.gradient.fill(0.0);
                    shard.loss = shard
                        .pass
                        .learn(parameters, &shard.batch, scale, &mut shard.gradient);
                }
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> Recipe {
        let network = Config {
            vocabulary: 0,
            width: 32,
            blocks: 1,
            heads: 2,
            kv_heads: 1,
            hidden: 64,
            context: 128,
        };
        let optimizer = Settings {
            warm_up: 2,
            rate: 1e-2,
            ..Recipe::default().optimizer
        };
        Recipe {
            vocabulary: 400,
            network,
            steps: 12,
            batch: 8,
            longest: 128,
            optimizer,
            ..Recipe::default()
        }
    }

    #[test]
    fn learns_and_gives_the_same_bits_with_any_number_of_threads() {
        let corpus = Arc::new(Corpus::shipped().unwrap());
        let mut losses = Vec::new();
        let one = train(&corpus, &tiny(), 1, |progress| losses.push(progress.loss));
        assert!(losses[11] < losses[0] * 0.95, "{losses:?}");
        let three = train(&corpus, &tiny(), 3, |_| ());
        assert!(
            one.parameters
                .iter()
                .zip(&three.parameters)
                .all(|(a, b)| a.to_bits() == b.to_bits())
        );
        let other = train(&corpus, &Recipe { seed: 3, ..tiny() }, 4, |_| ());
        assert_ne!(one.parameters, other.parameters);
    }
}
