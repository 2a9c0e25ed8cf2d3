//! Choosing the next token: llama.cpp's samplers in a fixed order, and the probabilities that go with a choice.
//!
//! The order is logit bias, penalties, top-k, top-p, min-p, temperature, draw. Reported probabilities are the model's
//! own: of its raw logits, before any of that.

use std::cmp::Ordering;

use holdfast_contract::engine::JobFailure;
use holdfast_contract::inference::{Sampling, TokenLogprob};
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::logit_bias::LlamaLogitBias;

/// How far back the repeat penalty looks, in tokens.
const REPEAT_WINDOW: i32 = 64;
/// llama.cpp reads this seed as "any", and asks the system for one in a way that a confined process cannot.
const ANY_SEED: u32 = u32::MAX;

/// Builds the samplers for one answer. `prompt` is what the repeat penalty sees before the first token;
/// presence and frequency count generated tokens only, as the API of `OpenAI` defines them.
///
/// # Errors
///
/// When a biased token is not in the vocabulary, or a parameter is out of its range.
pub fn sampler(
    sampling: &Sampling,
    vocabulary: u32,
    context: u32,
    prompt: &[LlamaToken],
) -> Result<LlamaSampler, JobFailure> {
    let size = i32::try_from(vocabulary).map_err(|_| JobFailure::OutOfRange)?;
    let window = i32::try_from(context).map_err(|_| JobFailure::OutOfRange)?;
    if !in_range(sampling) {
        return Err(JobFailure::OutOfRange);
    }
    let mut chain = Vec::with_capacity(8);
    if !sampling.logit_bias.is_empty() {
        let biases = sampling
            .logit_bias
            .iter()
            .map(|(token, bias)| match i32::try_from(*token) {
                Ok(id) if id < size => Ok(LlamaLogitBias::new(LlamaToken(id), *bias)),
                _ => Err(JobFailure::UnknownToken { token: *token }),
            })
            .collect::<Result<Vec<_>, _>>()?;
        chain.push(LlamaSampler::logit_bias(size, &biases));
    }
    if sampling.frequency_penalty != 0.0 || sampling.presence_penalty != 0.0 {
        chain.push(LlamaSampler::penalties(
            size,
            window,
            1.0,
            sampling.frequency_penalty,
            sampling.presence_penalty,
        ));
    }
    if (sampling.repeat_penalty - 1.0).abs() > f32::EPSILON {
        let recent = prompt.len().saturating_sub(REPEAT_WINDOW.unsigned_abs() as usize);
        chain.push(
            LlamaSampler::penalties(size, REPEAT_WINDOW, sampling.repeat_penalty, 0.0, 0.0)
                .with_tokens(prompt.get(recent..).unwrap_or_default()),
        );
    }
    if sampling.temperature <= 0.0 {
        chain.push(LlamaSampler::greedy());
        return Ok(LlamaSampler::chain(chain, true));
    }
    if sampling.top_k > 0 {
        chain.push(LlamaSampler::top_k(i32::try_from(sampling.top_k).unwrap_or(size)));
    }
    if sampling.top_p < 1.0 {
        chain.push(LlamaSampler::top_p(sampling.top_p, 1));
    }
    if sampling.min_p > 0.0 {
        chain.push(LlamaSampler::min_p(sampling.min_p, 1));
    }
    if (sampling.temperature - 1.0).abs() > f32::EPSILON {
        chain.push(LlamaSampler::temp(sampling.temperature));
    }
    let seed = sampling.seed.or_else(|| getrandom::u32().ok()).unwrap_or(0);
    chain.push(LlamaSampler::dist(if seed == ANY_SEED { 0 } else { seed }));
    Ok(LlamaSampler::chain(chain, true))
}

/// The daemon has checked this and said so in words; here it keeps llama.cpp from being handed nonsense.
fn in_range(sampling: &Sampling) -> bool {
    (0.0..=2.0).contains(&sampling.temperature)
        && sampling.top_p > 0.0
        && sampling.top_p <= 1.0
        && (0.0..=1.0).contains(&sampling.min_p)
        && (-2.0..=2.0).contains(&sampling.presence_penalty)
        && (-2.0..=2.0).contains(&sampling.frequency_penalty)
        && sampling.repeat_penalty > 0.0
        && sampling.repeat_penalty <= 10.0
        && sampling
            .logit_bias
            .iter()
            .all(|(_, bias)| (-100.0..=100.0).contains(bias))
}

/// The log probability of `chosen` and of the `top` most likely tokens, by `logits`. `text` gives a token's bytes.
pub fn logprobs(
    logits: &[f32],
    chosen: LlamaToken,
    top: usize,
    text: impl Fn(LlamaToken) -> Vec<u8>,
) -> TokenLogprob {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
    let log_sum = sum.ln();
    let entry = |token: LlamaToken, top: Vec<TokenLogprob>| {
        let logit = usize::try_from(token.0)
            .ok()
            .and_then(|at| logits.get(at))
            .copied();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a log probability needs no more than single precision"
        )]
        let logprob = logit.map_or(f32::MIN, |logit| (f64::from(logit - most) - log_sum) as f32);
        let bytes = text(token);
        TokenLogprob {
            token: String::from_utf8_lossy(&bytes).into_owned(),
            bytes,
            // JSON has no infinities.
            logprob: if logprob.is_finite() { logprob } else { f32::MIN },
            top,
        }
    };
    let best = best(logits, top)
        .into_iter()
        .map(|token| entry(token, Vec::new()))
        .collect();
    entry(chosen, best)
}

/// The `count` tokens with the highest logits, highest first.
fn best(logits: &[f32], count: usize) -> Vec<LlamaToken> {
    let count = count.min(logits.len());
    if count == 0 {
        return Vec::new();
    }
    let higher = |one: &(usize, f32), other: &(usize, f32)| {
        other
            .1
            .partial_cmp(&one.1)
            .unwrap_or(Ordering::Equal)
            .then(one.0.cmp(&other.0))
    };
    let mut all: Vec<(usize, f32)> = logits.iter().copied().enumerate().collect();
    all.select_nth_unstable_by(count - 1, higher);
    all.truncate(count);
    all.sort_by(higher);
    all.into_iter()
        .filter_map(|(token, _)| i32::try_from(token).ok().map(LlamaToken))
        .collect()
}

#[cfg(test)]
mod tests {
    use llama_cpp_2::token::data::LlamaTokenData;
    use llama_cpp_2::token::data_array::LlamaTokenDataArray;

    use super::*;

    fn choose(sampler: &mut LlamaSampler, logits: &[f32]) -> i32 {
        let data = (0..)
            .zip(logits)
            .map(|(id, logit)| LlamaTokenData::new(LlamaToken(id), *logit, 0.0));
        let mut array = LlamaTokenDataArray::new(data.collect(), false);
        sampler.apply(&mut array);
        let token = array.selected_token().unwrap();
        sampler.accept(token);
        token.0
    }

    fn greedy() -> Sampling {
        Sampling {
            temperature: 0.0,
            ..Sampling::default()
        }
    }

    fn draws(sampling: &Sampling, logits: &[f32], count: usize) -> Vec<i32> {
        let mut sampler = sampler(sampling, u32::try_from(logits.len()).unwrap(), 256, &[]).unwrap();
        (0..count).map(|_| choose(&mut sampler, logits)).collect()
    }

    #[test]
    fn temperature_zero_takes_the_most_likely_token() {
        assert_eq!(draws(&greedy(), &[0.1, 0.9, 0.5], 3), [1, 1, 1]);
    }

    #[test]
    fn a_seed_repeats_the_draw_and_another_seed_does_not() {
        let logits = [0.0; 64];
        let with = |seed| {
            draws(
                &Sampling {
                    seed: Some(seed),
                    ..Sampling::default()
                },
                &logits,
                24,
            )
        };
        assert_eq!(with(7), with(7));
        assert_ne!(with(7), with(8));
        assert_eq!(with(u32::MAX), with(u32::MAX));
    }

    #[test]
    fn a_bias_lifts_or_bans_a_token() {
        let lift = Sampling {
            logit_bias: vec![(0, 50.0)],
            ..greedy()
        };
        assert_eq!(draws(&lift, &[0.1, 0.9, 0.5], 1), [0]);
        let ban = Sampling {
            logit_bias: vec![(1, -100.0)],
            ..greedy()
        };
        assert_eq!(draws(&ban, &[0.1, 0.9, 0.5], 1), [2]);
    }

    #[test]
    fn a_biased_token_outside_the_vocabulary_is_refused() {
        let bias = |token| Sampling {
            logit_bias: vec![(token, 1.0)],
            ..greedy()
        };
        assert!(sampler(&bias(2), 3, 16, &[]).is_ok());
        for token in [3, u32::MAX] {
            assert_eq!(
                sampler(&bias(token), 3, 16, &[]).unwrap_err(),
                JobFailure::UnknownToken { token }
            );
        }
    }

    #[test]
    fn parameters_out_of_range_are_refused() {
        for sampling in [
            Sampling {
                temperature: -0.1,
                ..Sampling::default()
            },
            Sampling {
                temperature: f32::NAN,
                ..Sampling::default()
            },
            Sampling {
                top_p: 0.0,
                ..Sampling::default()
            },
            Sampling {
                min_p: 1.5,
                ..Sampling::default()
            },
            Sampling {
                presence_penalty: 3.0,
                ..Sampling::default()
            },
            Sampling {
                frequency_penalty: f32::INFINITY,
                ..Sampling::default()
            },
            Sampling {
                repeat_penalty: 0.0,
                ..Sampling::default()
            },
            Sampling {
                logit_bias: vec![(0, 101.0)],
                ..Sampling::default()
            },
        ] {
            assert_eq!(
                sampler(&sampling, 3, 16, &[]).unwrap_err(),
                JobFailure::OutOfRange,
                "{sampling:?}"
            );
        }
    }

    #[test]
    fn top_k_top_p_and_min_p_leave_out_the_unlikely() {
        let logits = [3.0, 2.9, -9.0, -9.0];
        for sampling in [
            Sampling {
                top_k: 2,
                ..Sampling::default()
            },
            Sampling {
                top_p: 0.9,
                ..Sampling::default()
            },
            Sampling {
                min_p: 0.5,
                ..Sampling::default()
            },
        ] {
            let sampling = Sampling {
                temperature: 2.0,
                seed: Some(1),
                ..sampling
            };
            assert!(
                draws(&sampling, &logits, 200).iter().all(|token| *token < 2),
                "{sampling:?}"
            );
        }
    }

    #[test]
    fn presence_and_frequency_penalties_look_at_what_was_generated() {
        let presence = Sampling {
            presence_penalty: 2.0,
            ..greedy()
        };
        assert_eq!(draws(&presence, &[1.0, 0.5, -3.0], 4), [0, 1, 0, 0]);
        let frequency = Sampling {
            frequency_penalty: 1.0,
            ..greedy()
        };
        assert_eq!(draws(&frequency, &[1.0, 0.5, -9.0], 4), [0, 1, 0, 1]);
    }

    #[test]
    fn the_repeat_penalty_looks_at_the_prompt_too() {
        let sampling = Sampling {
            repeat_penalty: 4.0,
            ..greedy()
        };
        let mut sampler = sampler(&sampling, 3, 16, &[LlamaToken(1)]).unwrap();
        assert_eq!(choose(&mut sampler, &[0.5, 0.9, 0.1]), 0);
    }

    #[test]
    fn log_probabilities_are_those_of_the_raw_logits() {
        let logits = [1.0_f32.ln(), 2.0_f32.ln(), 5.0_f32.ln()];
        let found = logprobs(&logits, LlamaToken(1), 2, |token| {
            vec![b'a' + u8::try_from(token.0).unwrap()]
        });
        assert_eq!(found.token, "b");
        assert!((found.logprob - 0.25_f32.ln()).abs() < 1e-6);
        let top: Vec<_> = found.top.iter().map(|entry| entry.token.as_str()).collect();
        assert_eq!(top, ["c", "b"]);
        assert!((found.top[0].logprob - 0.625_f32.ln()).abs() < 1e-6);
        assert!(found.top.iter().all(|entry| entry.top.is_empty()));
    }

    #[test]
    fn log_probabilities_are_always_finite() {
        let found = logprobs(&[0.0, f32::NEG_INFINITY], LlamaToken(1), 2, |_| Vec::new());
        assert!(found.logprob.is_finite() && found.top.iter().all(|entry| entry.logprob.is_finite()));
        assert!(
            logprobs(&[f32::NAN], LlamaToken(0), 1, |_| Vec::new())
                .logprob
                .is_finite()
        );
    }
}
