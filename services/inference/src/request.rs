//! What a request may ask for. Everything is checked here, in words for the caller, before an engine hears of it.

use holdfast_contract::Problem;
use holdfast_contract::engine::{
    MAX_EMBEDDING_INPUTS, MAX_LOGIT_BIASES, MAX_LOGPROBS, MAX_STOP_BYTES, MAX_STOPS,
};
use holdfast_contract::inference::{EmbedRequest, GenerateRequest, Prompt, Sampling};
use holdfast_contract::problem::ProblemKind;

/// The most messages in one conversation.
pub const MAX_MESSAGES: usize = 4096;

/// Checks a request for text.
///
/// # Errors
///
/// `Invalid`, naming the first thing that is wrong.
pub fn check_generate(request: &GenerateRequest) -> Result<(), Problem> {
    match &request.prompt {
        Prompt::Messages(messages) => {
            must(!messages.is_empty(), "the conversation is empty")?;
            must(
                messages.len() <= MAX_MESSAGES,
                "a conversation has at most 4096 messages",
            )?;
        }
        Prompt::Text(text) => must(!text.is_empty(), "the prompt is empty")?,
    }
    must(request.max_tokens != Some(0), "max_tokens is at least 1")?;
    must(request.stop.len() <= MAX_STOPS, "at most 16 stop texts")?;
    must(
        request
            .stop
            .iter()
            .all(|stop| (1..=MAX_STOP_BYTES).contains(&stop.len())),
        "a stop text has 1 to 256 bytes",
    )?;
    must(
        request.logprobs.is_none_or(|count| count <= MAX_LOGPROBS),
        "logprobs is 0 to 20",
    )?;
    check_sampling(&request.sampling)
}

fn check_sampling(sampling: &Sampling) -> Result<(), Problem> {
    must(
        (0.0..=2.0).contains(&sampling.temperature),
        "temperature is 0 to 2",
    )?;
    must(
        sampling.top_p > 0.0 && sampling.top_p <= 1.0,
        "top_p is more than 0 and at most 1",
    )?;
    must((0.0..=1.0).contains(&sampling.min_p), "min_p is 0 to 1")?;
    must(
        (-2.0..=2.0).contains(&sampling.presence_penalty),
        "presence_penalty is -2 to 2",
    )?;
    must(
        (-2.0..=2.0).contains(&sampling.frequency_penalty),
        "frequency_penalty is -2 to 2",
    )?;
    must(
        sampling.repeat_penalty > 0.0 && sampling.repeat_penalty <= 10.0,
        "repeat_penalty is more than 0 and at most 10",
    )?;
    must(
        sampling.logit_bias.len() <= MAX_LOGIT_BIASES,
        "logit_bias has at most 300 tokens",
    )?;
    must(
        sampling
            .logit_bias
            .iter()
            .all(|(_, bias)| (-100.0..=100.0).contains(bias)),
        "a bias is -100 to 100",
    )
}

/// Checks a request for embeddings.
///
/// # Errors
///
/// `Invalid`, naming the first thing that is wrong.
pub fn check_embed(request: &EmbedRequest) -> Result<(), Problem> {
    must(!request.input.is_empty(), "there is nothing to embed")?;
    must(
        request.input.len() <= MAX_EMBEDDING_INPUTS,
        "at most 64 texts at once",
    )?;
    must(
        request.input.iter().all(|text| !text.is_empty()),
        "an empty text cannot be embedded",
    )
}

fn must(holds: bool, rule: &str) -> Result<(), Problem> {
    if holds {
        Ok(())
    } else {
        Err(Problem::new(ProblemKind::Invalid, rule))
    }
}

#[cfg(test)]
mod tests {
    use holdfast_contract::Digest;

    use super::*;

    fn request() -> GenerateRequest {
        GenerateRequest {
            model: Digest::from_bytes([7; 32]),
            prompt: Prompt::Text("Hi".to_owned()),
            sampling: Sampling::default(),
            max_tokens: None,
            stop: Vec::new(),
            logprobs: None,
        }
    }

    #[test]
    fn an_ordinary_request_is_taken() {
        assert_eq!(check_generate(&request()), Ok(()));
        let most = GenerateRequest {
            stop: vec!["x".repeat(256); 16],
            logprobs: Some(20),
            max_tokens: Some(1),
            sampling: Sampling {
                temperature: 2.0,
                min_p: 1.0,
                presence_penalty: -2.0,
                logit_bias: vec![(1, -100.0); 300],
                ..Sampling::default()
            },
            ..request()
        };
        assert_eq!(check_generate(&most), Ok(()));
    }

    fn refused(request: &GenerateRequest, word: &str) {
        let problem = check_generate(request).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Invalid);
        assert!(problem.detail.contains(word), "{}", problem.detail);
    }

    #[test]
    fn what_is_out_of_range_is_refused_by_its_name() {
        let prompt = |prompt| GenerateRequest { prompt, ..request() };
        refused(&prompt(Prompt::Text(String::new())), "empty");
        refused(&prompt(Prompt::Messages(Vec::new())), "empty");
        refused(
            &GenerateRequest {
                max_tokens: Some(0),
                ..request()
            },
            "max_tokens",
        );
        refused(
            &GenerateRequest {
                logprobs: Some(21),
                ..request()
            },
            "logprobs",
        );
        let stop = |stop| GenerateRequest { stop, ..request() };
        refused(&stop(vec!["x".to_owned(); 17]), "16 stop");
        refused(&stop(vec![String::new()]), "stop text");
        refused(&stop(vec!["x".repeat(257)]), "stop text");
    }

    #[test]
    fn sampling_parameters_out_of_range_are_refused_by_their_name() {
        let default = Sampling::default;
        for (sampling, word) in [
            (
                Sampling {
                    temperature: 2.1,
                    ..default()
                },
                "temperature",
            ),
            (
                Sampling {
                    temperature: f32::INFINITY,
                    ..default()
                },
                "temperature",
            ),
            (
                Sampling {
                    top_p: 0.0,
                    ..default()
                },
                "top_p",
            ),
            (
                Sampling {
                    min_p: -0.1,
                    ..default()
                },
                "min_p",
            ),
            (
                Sampling {
                    presence_penalty: 2.5,
                    ..default()
                },
                "presence_penalty",
            ),
            (
                Sampling {
                    frequency_penalty: -2.5,
                    ..default()
                },
                "frequency_penalty",
            ),
            (
                Sampling {
                    repeat_penalty: 0.0,
                    ..default()
                },
                "repeat_penalty",
            ),
            (
                Sampling {
                    logit_bias: vec![(1, 0.0); 301],
                    ..default()
                },
                "logit_bias",
            ),
            (
                Sampling {
                    logit_bias: vec![(1, 101.0)],
                    ..default()
                },
                "bias",
            ),
        ] {
            refused(
                &GenerateRequest {
                    sampling,
                    ..request()
                },
                word,
            );
        }
    }

    #[test]
    fn embeddings_are_bounded_in_number() {
        let embed = |input| EmbedRequest {
            model: Digest::from_bytes([7; 32]),
            input,
        };
        assert_eq!(check_embed(&embed(vec!["x".to_owned(); 64])), Ok(()));
        for input in [vec![], vec!["x".to_owned(); 65], vec![String::new()]] {
            assert_eq!(check_embed(&embed(input)).unwrap_err().kind, ProblemKind::Invalid);
        }
    }
}
