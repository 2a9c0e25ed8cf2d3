//! Causal attention within each sequence of a batch, and its gradient.

use std::ops::Range;

use crate::matrix::{Products, Store, View};
use crate::model::{Config, ROPE_BASE};
use crate::vector;

/// Cosine and sine of every angle: `angles[position * head_width / 2 + pair]`.
#[derive(Debug, Clone)]
pub struct Rotation {
    angles: Vec<(f32, f32)>,
    pairs: usize,
}

impl Rotation {
    /// The angles for every position of the context.
    #[expect(clippy::cast_precision_loss, reason = "positions and widths are small")]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounded to the precision of the network on purpose"
    )]
    pub fn new(config: &Config) -> Self {
        let pairs = config.head_width() / 2;
        let angle = |position: usize, pair: usize| {
            let turns = -(pair as f64) / pairs as f64;
            position as f64 * libm::pow(f64::from(ROPE_BASE), turns)
        };
        let angles = (0..config.context)
            .flat_map(|position| (0..pairs).map(move |pair| angle(position, pair)))
            .map(|angle| (libm::cos(angle) as f32, libm::sin(angle) as f32))
            .collect();
        Self { angles, pairs }
    }

    /// Turns neighbouring pairs of each head of each row of `x` by its position's angles, or back.
    pub fn turn(&self, x: &mut [f32], positions: &[usize], back: bool) {
        let width = x.len() / positions.len().max(1);
        let direction = if back { -1.0 } else { 1.0 };
        for (row, &position) in x.chunks_exact_mut(width.max(1)).zip(positions) {
            let angles = &self.angles[position * self.pairs..(position + 1) * self.pairs];
            for head in row.chunks_exact_mut(2 * self.pairs) {
                for (pair, &(cos, sin)) in head.as_chunks_mut::<2>().0.iter_mut().zip(angles) {
                    let sin = sin * direction;
                    *pair = [pair[0] * cos - pair[1] * sin, pair[0] * sin + pair[1] * cos];
                }
            }
        }
    }
}

/// Queries, keys and values of all tokens of a batch, after rotation.
#[derive(Debug, Clone, Copy)]
pub struct Heads<'a> {
    /// `[tokens × width]`.
    pub query: &'a [f32],
    /// `[tokens × kv_width]`.
    pub key: &'a [f32],
    /// `[tokens × kv_width]`.
    pub value: &'a [f32],
}

/// Their gradients, which are added to.
pub struct HeadGradients<'a> {
    /// Of the queries.
    pub query: &'a mut [f32],
    /// Of the keys.
    pub key: &'a mut [f32],
    /// Of the values.
    pub value: &'a mut [f32],
}

/// How many probabilities all heads of all sequences have together.
pub fn probabilities(config: &Config, sequences: &[Range<usize>]) -> usize {
    config.heads
        * sequences
            .iter()
            .map(|sequence| sequence.len() * sequence.len())
            .sum::<usize>()
}

/// One head of one sequence: where it lies.
struct Place {
    query: usize,
    key: usize,
    length: usize,
    probabilities: Range<usize>,
}

fn places(config: &Config, sequences: &[Range<usize>]) -> impl Iterator<Item = Place> {
    let (width, kv, head_width) = (config.width, config.kv_width(), config.head_width());
    let group = config.heads / config.kv_heads;
    let heads = config.heads;
    let mut at = 0;
    sequences
        .iter()
        .flat_map(move |sequence| (0..heads).map(move |head| (sequence.clone(), head)))
        .map(move |(sequence, head)| {
            let length = sequence.len();
            let start = at;
            at += length * length;
            Place {
                query: sequence.start * width + head * head_width,
                key: sequence.start * kv + head / group * head_width,
                length,
                probabilities: start..at,
            }
        })
}

/// Mixes the values of earlier tokens into `mixed`; keeps the probabilities for [`backward`].
pub fn forward(
    config: &Config,
    products: &mut Products,
    sequences: &[Range<usize>],
    heads: Heads<'_>,
    (weights, mixed): (&mut [f32], &mut [f32]),
) {
    let (width, kv, head_width) = (config.width, config.kv_width(), config.head_width());
    let scale = scale(config);
    for place in places(config, sequences) {
        let n = place.length;
        let query = View::strided(&heads.query[place.query..], n, head_width, width);
        let key = View::strided(&heads.key[place.key..], n, head_width, kv);
        let value = View::strided(&heads.value[place.key..], n, head_width, kv);
        let weights = &mut weights[place.probabilities];
        products.multiply(query, key.transposed(), weights, n, Store::Set);
        for (index, row) in weights.chunks_exact_mut(n).enumerate() {
            let (seen, later) = row.split_at_mut(index + 1);
            for score in seen.iter_mut() {
                *score *= scale;
            }
            vector::softmax(seen);
            later.fill(0.0);
        }
        products.multiply(
            View::new(weights, n, n),
            value,
            &mut mixed[place.query..],
            width,
            Store::Set,
        );
    }
}

/// Takes the gradient of `mixed` back to queries, keys and values.
pub fn backward(
    config: &Config,
    products: &mut Products,
    sequences: &[Range<usize>],
    heads: Heads<'_>,
    (weights, mixed_gradient): (&[f32], &[f32]),
    gradients: &mut HeadGradients<'_>,
) {
    let (width, kv, head_width) = (config.width, config.kv_width(), config.head_width());
    let scale = scale(config);
    let mut scores = Vec::new();
    for place in places(config, sequences) {
        let n = place.length;
        let query = View::strided(&heads.query[place.query..], n, head_width, width);
        let key = View::strided(&heads.key[place.key..], n, head_width, kv);
        let value = View::strided(&heads.value[place.key..], n, head_width, kv);
        let above = View::strided(&mixed_gradient[place.query..], n, head_width, width);
        let weights = &weights[place.probabilities];
        let into = &mut gradients.value[place.key..];
        products.multiply(View::new(weights, n, n).transposed(), above, into, kv, Store::Add);
        scores.resize(n * n, 0.0);
        products.multiply(above, value.transposed(), &mut scores, n, Store::Set);
        for (index, (row, weights)) in scores
            .chunks_exact_mut(n)
            .zip(weights.chunks_exact(n))
            .enumerate()
        {
            let (seen, later) = row.split_at_mut(index + 1);
            let mean = vector::dot(seen, &weights[..=index]);
            for (score, weight) in seen.iter_mut().zip(weights) {
                *score = weight * (*score - mean) * scale;
            }
            later.fill(0.0);
        }
        let scores = View::new(&scores, n, n);
        products.multiply(
            scores,
            key,
            &mut gradients.query[place.query..],
            width,
            Store::Add,
        );
        products.multiply(
            scores.transposed(),
            query,
            &mut gradients.key[place.key..],
            kv,
            Store::Add,
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "widths are small")]
fn scale(config: &Config) -> f32 {
    1.0 / (config.head_width() as f32).sqrt()
}
