//! The network: `LLaMA`'s architecture with grouped-query attention and tied embeddings. This file owns its sizes and
//! where each tensor lies in the one flat vector of parameters; [`pass`] computes with them.

mod attention;
pub mod pass;

use std::ops::Range;

use crate::random::Random;

/// Rotation base of the position encoding.
pub const ROPE_BASE: f32 = 10_000.0;
/// Added to the mean square in normalisation.
pub const EPSILON: f32 = 1e-5;

/// Sizes of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Tokens in the vocabulary.
    pub vocabulary: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Blocks.
    pub blocks: usize,
    /// Heads that ask.
    pub heads: usize,
    /// Heads that are asked; divides `heads`.
    pub kv_heads: usize,
    /// Width between the two halves of a feed-forward layer.
    pub hidden: usize,
    /// Longest context in tokens.
    pub context: usize,
}

impl Config {
    /// Width of one head.
    pub const fn head_width(&self) -> usize {
        self.width / self.heads
    }

    /// Width of all keys, or all values, of a token.
    pub const fn kv_width(&self) -> usize {
        self.head_width() * self.kv_heads
    }
}

/// A matrix in the flat vector: `rows` outputs of `columns` inputs each. A vector has one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    start: usize,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
}

impl Slot {
    /// Where its numbers are.
    pub const fn range(self) -> Range<usize> {
        self.start..self.start + self.rows * self.columns
    }

    /// Its numbers.
    pub fn of(self, parameters: &[f32]) -> &[f32] {
        &parameters[self.range()]
    }

    /// Its numbers, to be changed.
    pub fn of_mut(self, parameters: &mut [f32]) -> &mut [f32] {
        &mut parameters[self.range()]
    }

    /// Whether it is a matrix of weights, as opposed to the gains of a normalisation.
    pub const fn is_matrix(self) -> bool {
        self.rows > 1
    }
}

/// The tensors of one block.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    attention_norm: Slot,
    query: Slot,
    key: Slot,
    value: Slot,
    output: Slot,
    feed_norm: Slot,
    gate: Slot,
    up: Slot,
    down: Slot,
}

/// Where everything lies.
#[derive(Debug, Clone)]
pub struct Layout {
    embedding: Slot,
    blocks: Vec<Block>,
    norm: Slot,
    length: usize,
}

impl Layout {
    /// The layout of a network of these sizes.
    pub fn new(config: &Config) -> Self {
        let mut length = 0;
        let mut slot = |rows: usize, columns: usize| {
            let start = length;
            length += rows * columns;
            Slot { start, rows, columns }
        };
        let (width, kv, hidden) = (config.width, config.kv_width(), config.hidden);
        let embedding = slot(config.vocabulary, width);
        let blocks = (0..config.blocks).map(|_| Block {
            attention_norm: slot(1, width),
            query: slot(width, width),
            key: slot(kv, width),
            value: slot(kv, width),
            output: slot(width, width),
            feed_norm: slot(1, width),
            gate: slot(hidden, width),
            up: slot(hidden, width),
            down: slot(width, hidden),
        });
        let blocks = blocks.collect();
        let norm = slot(1, width);
        Self {
            embedding,
            blocks,
            norm,
            length,
        }
    }

    /// Count of all parameters.
    pub const fn parameters(&self) -> usize {
        self.length
    }

    /// The gains of the last normalisation, which scale the scores of all tokens.
    pub const fn last_norm(&self) -> Slot {
        self.norm
    }

    /// Every tensor with the name llama.cpp knows it by.
    pub fn tensors(&self) -> Vec<(String, Slot)> {
        let mut all = vec![("token_embd.weight".to_owned(), self.embedding)];
        for (index, block) in self.blocks.iter().enumerate() {
            let named = [
                ("attn_norm", block.attention_norm),
                ("attn_q", block.query),
                ("attn_k", block.key),
                ("attn_v", block.value),
                ("attn_output", block.output),
                ("ffn_norm", block.feed_norm),
                ("ffn_gate", block.gate),
                ("ffn_up", block.up),
                ("ffn_down", block.down),
            ];
            all.extend(named.map(|(name, slot)| (format!("blk.{index}.{name}.weight"), slot)));
        }
        all.push(("output_norm.weight".to_owned(), self.norm));
        all
    }

    /// Parameters to start training from: small random weights, smaller where a block writes into the residual
    /// stream, and gains of one.
    #[expect(clippy::cast_precision_loss, reason = "a handful of blocks")]
    pub fn initial(&self, random: &mut Random) -> Vec<f32> {
        let mut parameters = vec![0.0; self.length];
        let residual = 1.0 / (2.0 * self.blocks.len() as f32).sqrt();
        for (name, slot) in self.tensors() {
            let scale = if !slot.is_matrix() {
                0.0
            } else if name.contains("attn_output") || name.contains("ffn_down") {
                residual / (slot.columns as f32).sqrt()
            } else if name.contains("embd") {
                0.05
            } else {
                1.0 / (slot.columns as f32).sqrt()
            };
            let gain = if slot.is_matrix() { 0.0 } else { 1.0 };
            for value in slot.of_mut(&mut parameters) {
                *value = gain + scale * random.normal();
            }
        }
        parameters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_cover_every_parameter_once_in_order() {
        let config = Config {
            vocabulary: 40,
            width: 8,
            blocks: 2,
            heads: 4,
            kv_heads: 2,
            hidden: 12,
            context: 16,
        };
        let layout = Layout::new(&config);
        let end = layout.tensors().into_iter().fold(0, |at, (name, slot)| {
            assert_eq!(slot.range().start, at, "{name}");
            slot.range().end
        });
        assert_eq!(end, layout.parameters());
        let block = 2 * 8 + 2 * 64 + 2 * 32 + 3 * 96;
        assert_eq!(end, 40 * 8 + 2 * block + 8);
    }
}
