//! One pass through the network for a batch of sequences: forward to the loss, and back to the gradient of every
//! parameter. One thread computes one pass; its buffers are kept from pass to pass.

use std::ops::Range;

use super::attention::{self, HeadGradients, Heads, Rotation};
use super::{Config, EPSILON, Layout, Slot};
use crate::matrix::{Products, Store, View};
use crate::tokenizer::Token;
use crate::vector;

/// Sequences to pass through the network, one after the other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// What is read at each place.
    pub tokens: Vec<Token>,
    /// Where each token stands in its sequence.
    pub positions: Vec<usize>,
    /// What should be read next, and how much that counts; places that count nothing are not predicted at all.
    pub targets: Vec<(Token, f32)>,
    /// Where each sequence lies.
    pub sequences: Vec<Range<usize>>,
}

impl Batch {
    /// Adds a sequence; the last token is only a target.
    pub fn push(&mut self, tokens: &[Token], weights: &[f32]) {
        let start = self.tokens.len();
        for (position, pair) in tokens.windows(2).enumerate() {
            self.tokens.push(pair[0]);
            self.positions.push(position);
            self.targets
                .push((pair[1], weights.get(position + 1).copied().unwrap_or(0.0)));
        }
        self.sequences.push(start..self.tokens.len());
    }

    /// Sum of the weights of all targets.
    pub fn weight(&self) -> f32 {
        self.targets.iter().map(|&(_, weight)| weight).sum()
    }
}

/// What a block computed, kept for the way back.
#[derive(Debug, Clone, Default)]
struct Kept {
    input: Vec<f32>,
    input_inverse: Vec<f32>,
    normed: Vec<f32>,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    weights: Vec<f32>,
    mixed: Vec<f32>,
    middle: Vec<f32>,
    middle_inverse: Vec<f32>,
    middle_normed: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    hidden: Vec<f32>,
}

/// The buffers of a pass.
#[derive(Debug, Clone)]
pub struct Pass {
    config: Config,
    layout: Layout,
    rotation: Rotation,
    products: Products,
    kept: Vec<Kept>,
    last: Vec<f32>,
    last_inverse: Vec<f32>,
    last_normed: Vec<f32>,
    /// Places that are predicted.
    predicted: Vec<usize>,
    /// Their normed rows, then their scores.
    rows: Vec<f32>,
    scores: Vec<f32>,
}

impl Pass {
    /// Buffers for a network.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            layout: Layout::new(&config),
            rotation: Rotation::new(&config),
            products: Products::default(),
            kept: vec![Kept::default(); config.blocks],
            last: Vec::new(),
            last_inverse: Vec::new(),
            last_normed: Vec::new(),
            predicted: Vec::new(),
            rows: Vec::new(),
            scores: Vec::new(),
        }
    }

    /// The sizes it was made for.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The most likely next token at every place whose target counts, in order.
    pub fn predict(&mut self, parameters: &[f32], batch: &Batch) -> Vec<Token> {
        self.forward(parameters, batch);
        let best = |row: &[f32]| {
            let first = (0, f32::NEG_INFINITY);
            row.iter()
                .enumerate()
                .fold(first, |best, (at, &x)| if x > best.1 { (at, x) } else { best })
                .0
        };
        let rows = self.scores.chunks_exact(self.config.vocabulary);
        rows.map(|row| Token::try_from(best(row)).unwrap_or(Token::MAX))
            .collect()
    }

    /// The loss of a batch, summed over its targets by their weights.
    pub fn loss(&mut self, parameters: &[f32], batch: &Batch) -> f64 {
        self.forward(parameters, batch);
        self.score(batch, 1.0)
    }

    /// The loss as [`Self::loss`]; adds its gradient, multiplied by `scale`, to `gradient`.
    pub fn learn(&mut self, parameters: &[f32], batch: &Batch, scale: f32, gradient: &mut [f32]) -> f64 {
        self.forward(parameters, batch);
        let loss = self.score(batch, scale);
        self.backward(parameters, batch, gradient);
        loss
    }

    fn forward(&mut self, parameters: &[f32], batch: &Batch) {
        let Config {
            width, vocabulary, ..
        } = self.config;
        let count = batch.tokens.len();
        let embedding = self.layout.embedding.of(parameters);
        let mut stream = Vec::with_capacity(count * width);
        for &token in &batch.tokens {
            let at = usize::try_from(token).unwrap_or(usize::MAX).min(vocabulary - 1) * width;
            stream.extend_from_slice(&embedding[at..at + width]);
        }
        for index in 0..self.config.blocks {
            stream = self.block_forward(parameters, batch, index, stream);
        }
        resize(&mut self.last_inverse, count);
        resize(&mut self.last_normed, count * width);
        let gain = self.layout.norm.of(parameters);
        vector::norm(
            &stream,
            gain,
            &mut self.last_normed,
            &mut self.last_inverse,
            EPSILON,
        );
        self.last = stream;

        self.predicted.clear();
        self.predicted
            .extend((0..count).filter(|&at| batch.targets[at].1 > 0.0));
        self.rows.clear();
        for &at in &self.predicted {
            self.rows
                .extend_from_slice(&self.last_normed[at * width..(at + 1) * width]);
        }
        let rows = View::new(&self.rows, self.predicted.len(), width);
        linear(
            &mut self.products,
            rows,
            self.layout.embedding,
            parameters,
            &mut self.scores,
        );
    }

    fn block_forward(
        &mut self,
        parameters: &[f32],
        batch: &Batch,
        index: usize,
        input: Vec<f32>,
    ) -> Vec<f32> {
        let Config { width, hidden, .. } = self.config;
        let block = self.layout.blocks[index];
        let kept = &mut self.kept[index];
        let products = &mut self.products;
        let count = batch.tokens.len();
        resize(&mut kept.input_inverse, count);
        resize(&mut kept.normed, count * width);
        let gain = block.attention_norm.of(parameters);
        vector::norm(&input, gain, &mut kept.normed, &mut kept.input_inverse, EPSILON);
        let normed = View::new(&kept.normed, count, width);
        linear(products, normed, block.query, parameters, &mut kept.query);
        linear(products, normed, block.key, parameters, &mut kept.key);
        linear(products, normed, block.value, parameters, &mut kept.value);
        self.rotation.turn(&mut kept.query, &batch.positions, false);
        self.rotation.turn(&mut kept.key, &batch.positions, false);
        resize(
            &mut kept.weights,
            attention::probabilities(&self.config, &batch.sequences),
        );
        resize(&mut kept.mixed, count * width);
        let heads = Heads {
            query: &kept.query,
            key: &kept.key,
            value: &kept.value,
        };
        let out = (kept.weights.as_mut_slice(), kept.mixed.as_mut_slice());
        attention::forward(&self.config, products, &batch.sequences, heads, out);
        linear(
            products,
            View::new(&kept.mixed, count, width),
            block.output,
            parameters,
            &mut kept.middle,
        );
        vector::add(&mut kept.middle, &input);
        kept.input = input;

        resize(&mut kept.middle_inverse, count);
        resize(&mut kept.middle_normed, count * width);
        let gain = block.feed_norm.of(parameters);
        vector::norm(
            &kept.middle,
            gain,
            &mut kept.middle_normed,
            &mut kept.middle_inverse,
            EPSILON,
        );
        let normed = View::new(&kept.middle_normed, count, width);
        linear(products, normed, block.gate, parameters, &mut kept.gate);
        linear(products, normed, block.up, parameters, &mut kept.up);
        kept.hidden.clear();
        kept.hidden.extend(
            kept.gate
                .iter()
                .zip(&kept.up)
                .map(|(gate, up)| gate * vector::sigmoid(*gate) * up),
        );
        let mut output = Vec::new();
        linear(
            products,
            View::new(&kept.hidden, count, hidden),
            block.down,
            parameters,
            &mut output,
        );
        vector::add(&mut output, &kept.middle);
        output
    }

    /// The loss; leaves its gradient, multiplied by `scale`, where the scores were.
    fn score(&mut self, batch: &Batch, scale: f32) -> f64 {
        let mut loss = 0.0;
        for (row, &at) in self
            .scores
            .chunks_exact_mut(self.config.vocabulary)
            .zip(&self.predicted)
        {
            let (target, weight) = batch.targets[at];
            vector::softmax(row);
            let Some(right) = usize::try_from(target).ok().filter(|&target| target < row.len()) else {
                continue;
            };
            loss -= f64::from(weight) * f64::from(row[right].max(f32::MIN_POSITIVE)).ln();
            row[right] -= 1.0;
            for x in row {
                *x *= weight * scale;
            }
        }
        loss
    }

    fn backward(&mut self, parameters: &[f32], batch: &Batch, gradient: &mut [f32]) {
        let width = self.config.width;
        let embedding = self.layout.embedding;
        let scores = View::new(&self.scores, self.predicted.len(), self.config.vocabulary);
        let rows = View::new(&self.rows, self.predicted.len(), width);
        let mut rows_gradient = vec![0.0; self.rows.len()];
        linear_back(
            &mut self.products,
            (rows, scores),
            embedding,
            parameters,
            (gradient, &mut rows_gradient),
        );
        let mut normed_gradient = vec![0.0; self.last_normed.len()];
        for (from, &at) in rows_gradient.chunks_exact(width).zip(&self.predicted) {
            normed_gradient[at * width..(at + 1) * width].copy_from_slice(from);
        }
        let mut stream = vec![0.0; self.last.len()];
        let norm = self.layout.norm;
        let kept = (
            self.last.as_slice(),
            norm.of(parameters),
            self.last_inverse.as_slice(),
        );
        vector::norm_back(kept, &normed_gradient, &mut stream, norm.of_mut(gradient));
        for index in (0..self.config.blocks).rev() {
            self.block_backward(parameters, batch, index, &mut stream, gradient);
        }
        let embedding = embedding.of_mut(gradient);
        for (row, &token) in stream.chunks_exact(width).zip(&batch.tokens) {
            let at = usize::try_from(token)
                .unwrap_or(usize::MAX)
                .min(self.config.vocabulary - 1)
                * width;
            vector::add(&mut embedding[at..at + width], row);
        }
    }

    /// Takes the gradient of a block's output back to its input, in place.
    fn block_backward(
        &mut self,
        parameters: &[f32],
        batch: &Batch,
        index: usize,
        stream: &mut [f32],
        gradient: &mut [f32],
    ) {
        let Config { width, hidden, .. } = self.config;
        let block = self.layout.blocks[index];
        let kept = &self.kept[index];
        let products = &mut self.products;
        let count = batch.tokens.len();

        let mut above = vec![0.0; count * hidden];
        let pair = (
            View::new(&kept.hidden, count, hidden),
            View::new(stream, count, width),
        );
        linear_back(products, pair, block.down, parameters, (gradient, &mut above));
        let mut gate = vec![0.0; above.len()];
        let mut up = above;
        for ((gate, up), (g, u)) in gate.iter_mut().zip(&mut up).zip(kept.gate.iter().zip(&kept.up)) {
            let sigmoid = vector::sigmoid(*g);
            *gate = *up * u * sigmoid * (1.0 + g * (1.0 - sigmoid));
            *up *= g * sigmoid;
        }
        let mut normed = vec![0.0; count * width];
        let input = View::new(&kept.middle_normed, count, width);
        for (slot, above) in [(block.gate, &gate), (block.up, &up)] {
            let above = View::new(above, count, hidden);
            linear_back(
                products,
                (input, above),
                slot,
                parameters,
                (gradient, &mut normed),
            );
        }
        let norm = block.feed_norm;
        let from = (
            kept.middle.as_slice(),
            norm.of(parameters),
            kept.middle_inverse.as_slice(),
        );
        vector::norm_back(from, &normed, stream, norm.of_mut(gradient));

        let mut mixed = vec![0.0; count * width];
        let pair = (
            View::new(&kept.mixed, count, width),
            View::new(stream, count, width),
        );
        linear_back(products, pair, block.output, parameters, (gradient, &mut mixed));
        let mut query = vec![0.0; kept.query.len()];
        let mut key = vec![0.0; kept.key.len()];
        let mut value = vec![0.0; kept.value.len()];
        let heads = Heads {
            query: &kept.query,
            key: &kept.key,
            value: &kept.value,
        };
        let mut into = HeadGradients {
            query: &mut query,
            key: &mut key,
            value: &mut value,
        };
        attention::backward(
            &self.config,
            products,
            &batch.sequences,
            heads,
            (&kept.weights, &mixed),
            &mut into,
        );
        self.rotation.turn(&mut query, &batch.positions, true);
        self.rotation.turn(&mut key, &batch.positions, true);
        normed.fill(0.0);
        let input = View::new(&kept.normed, count, width);
        for (slot, above) in [(block.query, &query), (block.key, &key), (block.value, &value)] {
            let above = View::new(above, count, slot.rows);
            linear_back(
                products,
                (input, above),
                slot,
                parameters,
                (gradient, &mut normed),
            );
        }
        let norm = block.attention_norm;
        let from = (
            kept.input.as_slice(),
            norm.of(parameters),
            kept.input_inverse.as_slice(),
        );
        vector::norm_back(from, &normed, stream, norm.of_mut(gradient));
    }
}

/// `out = x · Wᵀ`.
fn linear(products: &mut Products, x: View<'_>, slot: Slot, parameters: &[f32], out: &mut Vec<f32>) {
    resize(out, x.rows() * slot.rows);
    let weights = View::new(slot.of(parameters), slot.rows, slot.columns);
    products.multiply(x, weights.transposed(), out, slot.rows, Store::Set);
}

/// Adds the gradients of [`linear`]'s weights and input, given that of its output.
fn linear_back(
    products: &mut Products,
    (x, above): (View<'_>, View<'_>),
    slot: Slot,
    parameters: &[f32],
    (gradient, x_gradient): (&mut [f32], &mut [f32]),
) {
    products.multiply(
        above.transposed(),
        x,
        slot.of_mut(gradient),
        slot.columns,
        Store::Add,
    );
    let weights = View::new(slot.of(parameters), slot.rows, slot.columns);
    products.multiply(above, weights, x_gradient, slot.columns, Store::Add);
}

fn resize(buffer: &mut Vec<f32>, length: usize) {
    buffer.resize(length, 0.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    const CONFIG: Config = Config {
        vocabulary: 23,
        width: 16,
        blocks: 2,
        heads: 4,
        kv_heads: 2,
        hidden: 24,
        context: 32,
    };

    fn batch() -> Batch {
        let mut random = Random::new(5, 5);
        let mut batch = Batch::default();
        for length in [9, 5] {
            let tokens: Vec<Token> = (0..length)
                .map(|_| u32::try_from(random.below(23)).unwrap())
                .collect();
            let weights: Vec<f32> = (0..length).map(|at| [0.0, 1.0, 0.3][at % 3]).collect();
            batch.push(&tokens, &weights);
        }
        batch
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences_in_every_tensor() {
        let layout = Layout::new(&CONFIG);
        let mut random = Random::new(2, 2);
        let mut parameters = layout.initial(&mut random);
        // Gains other than one, so that their gradients are told apart.
        for value in &mut parameters {
            *value += 0.1 * random.normal();
        }
        let batch = batch();
        let mut pass = Pass::new(CONFIG);
        let mut gradient = vec![0.0; layout.parameters()];
        pass.learn(&parameters, &batch, 1.0, &mut gradient);
        for (name, slot) in layout.tensors() {
            // Along a random direction within one tensor the loss changes by the gradient's share of it.
            let direction: Vec<f32> = slot.range().map(|_| random.normal()).collect();
            let step = 2e-3 / direction.iter().map(|x| x * x).sum::<f32>().sqrt();
            let mut moved = |sign: f32| {
                let mut there = parameters.clone();
                for (value, along) in slot.of_mut(&mut there).iter_mut().zip(&direction) {
                    *value += sign * step * along;
                }
                pass.loss(&there, &batch)
            };
            let measured = (moved(1.0) - moved(-1.0)) / (2.0 * f64::from(step));
            let predicted: f64 = slot
                .of(&gradient)
                .iter()
                .zip(&direction)
                .map(|(g, d)| f64::from(*g) * f64::from(*d))
                .sum();
            let norm: f64 = slot
                .of(&gradient)
                .iter()
                .map(|g| f64::from(g * g))
                .sum::<f64>()
                .sqrt();
            let tolerance = 1e-2 * (predicted.abs() + norm);
            assert!(
                (measured - predicted).abs() < tolerance,
                "{name}: {measured} measured, {predicted} computed"
            );
            assert!(norm > 1e-3, "{name} has no gradient");
        }
    }

    #[test]
    fn a_sequence_does_not_see_its_neighbour_or_its_future() {
        let layout = Layout::new(&CONFIG);
        let parameters = layout.initial(&mut Random::new(2, 2));
        let mut pass = Pass::new(CONFIG);
        let score = |pass: &mut Pass, sequences: &[&[Token]], at: usize| {
            let mut batch = Batch::default();
            for tokens in sequences {
                batch.push(tokens, &vec![1.0; tokens.len()]);
            }
            pass.forward(&parameters, &batch);
            pass.scores[at * CONFIG.vocabulary..(at + 1) * CONFIG.vocabulary].to_vec()
        };
        let alone = score(&mut pass, &[&[1, 2, 3, 4]], 1);
        let with_another_future = score(&mut pass, &[&[1, 2, 9, 9]], 1);
        let with_a_neighbour = score(&mut pass, &[&[7, 8, 9], &[1, 2, 3, 4]], 3);
        assert_eq!(alone, with_another_future);
        assert_eq!(alone, with_a_neighbour);
        assert_ne!(alone, score(&mut pass, &[&[1, 5, 3, 4]], 1));
    }
}
