//! Texts to vectors: the mean over a text's tokens, scaled to unit length, in a context of its own.

use std::num::NonZeroU32;

use holdfast_contract::engine::{JobFailure, MAX_EMBEDDING_LENGTH};
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{LlamaContextParams, LlamaPoolingType};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;

/// The longest text, in tokens: it is computed in one step, whose memory grows with it.
const MAX_TOKENS: u32 = 2_048;

/// Makes embeddings. Its context is made when the first is asked for.
#[derive(Debug)]
pub struct Embedder<'m> {
    backend: &'m LlamaBackend,
    model: &'m LlamaModel,
    threads: i32,
    context: Option<LlamaContext<'m>>,
}

impl<'m> Embedder<'m> {
    /// For `model`, computing on `threads` threads.
    pub const fn new(backend: &'m LlamaBackend, model: &'m LlamaModel, threads: i32) -> Self {
        Self {
            backend,
            model,
            threads,
            context: None,
        }
    }

    /// The longest text that can be embedded, in tokens.
    pub fn limit(model: &LlamaModel) -> u32 {
        model.n_ctx_train().clamp(1, MAX_TOKENS)
    }

    /// The vector of one text.
    ///
    /// # Errors
    ///
    /// When the text is empty or too long, or the model cannot do it.
    pub fn embed(&mut self, tokens: &[LlamaToken]) -> Result<Vec<f32>, JobFailure> {
        let limit = Self::limit(self.model);
        if tokens.is_empty() {
            return Err(JobFailure::PromptEmpty);
        }
        if tokens.len() > limit as usize {
            return Err(JobFailure::PromptTooLong {
                tokens: tokens.len() as u64,
                limit: limit.into(),
            });
        }
        let context = self.context(limit)?;
        context.clear_kv_cache();
        let mut batch = LlamaBatch::new(tokens.len(), 1);
        batch
            .add_sequence(tokens, 0, true)
            .map_err(|_| JobFailure::Failed)?;
        context.decode(&mut batch).map_err(|error| {
            tracing::error!(%error, "text not embedded");
            JobFailure::Failed
        })?;
        let vector = context
            .embeddings_seq_ith(0)
            .map_err(|_| JobFailure::NoEmbeddings)?;
        unit(vector).ok_or(JobFailure::NoEmbeddings)
    }

    fn context(&mut self, limit: u32) -> Result<&mut LlamaContext<'m>, JobFailure> {
        if self.context.is_none() {
            let parameters = LlamaContextParams::default()
                .with_n_ctx(NonZeroU32::new(limit))
                .with_n_batch(limit)
                .with_n_ubatch(limit)
                .with_n_seq_max(1)
                .with_n_threads(self.threads)
                .with_n_threads_batch(self.threads)
                .with_pooling_type(LlamaPoolingType::Mean)
                .with_embeddings(true)
                .with_no_perf(true);
            let context = self
                .model
                .new_context(self.backend, parameters)
                .map_err(|error| {
                    tracing::error!(%error, "no context for embeddings");
                    JobFailure::Failed
                })?;
            self.context = Some(context);
        }
        self.context.as_mut().ok_or(JobFailure::Failed)
    }
}

/// Scales to length one. `None` when there is no direction, or too many dimensions to report.
fn unit(vector: &[f32]) -> Option<Vec<f32>> {
    let length = vector
        .iter()
        .map(|value| f64::from(*value).powi(2))
        .sum::<f64>()
        .sqrt();
    if !length.is_normal() || vector.len() > MAX_EMBEDDING_LENGTH {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the vector's own precision is single"
    )]
    let scaled = vector
        .iter()
        .map(|value| (f64::from(*value) / length) as f32)
        .collect();
    Some(scaled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_scaled_to_unit_length() {
        assert_eq!(unit(&[3.0, 4.0]), Some(vec![0.6, 0.8]));
    }

    #[test]
    fn a_vector_without_a_direction_is_refused() {
        for vector in [&[][..], &[0.0, 0.0], &[f32::NAN], &[f32::INFINITY, 1.0]] {
            assert_eq!(unit(vector), None, "{vector:?}");
        }
        assert_eq!(unit(&vec![1.0; MAX_EMBEDDING_LENGTH + 1]), None);
    }
}
