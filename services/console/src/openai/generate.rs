//! What chat and plain completions have in common: the sampling fields, and running several generations side by side.

use std::collections::BTreeMap;
use std::pin::Pin;

use futures_util::stream::{BoxStream, SelectAll, select_all, unfold};
use futures_util::{Stream, StreamExt as _};
use holdfast_contract::inference::{
    FinishReason, GenerateEvent, GenerateRequest, Prompt, Sampling, TokenLogprob, Usage,
};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::{Digest, Problem};
use serde::Deserialize;

use super::fields::{Fields, OneOrMany};
use super::{ApiError, wire};
use crate::app::App;

/// The most choices for one prompt.
const MAX_CHOICES: u32 = 4;
/// The most tokens that can be asked for.
const MAX_TOKENS: u32 = 1 << 20;
/// The most stop texts, and their length in bytes, as inference takes them.
const MAX_STOPS: usize = 16;
const MAX_STOP_BYTES: usize = 256;
/// The most biased tokens.
const MAX_BIASED: usize = 300;

/// The fields that both kinds of completion have.
#[derive(Debug)]
pub struct Options {
    /// Name or digest of the model.
    pub model: String,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// The most tokens to generate.
    pub max_tokens: Option<u32>,
    /// Texts that end an answer.
    pub stop: Vec<String>,
    /// Choices for each prompt.
    pub choices: u32,
    /// Whether to stream.
    pub stream: bool,
    /// Whether a stream ends with what it cost.
    pub include_usage: bool,
}

#[derive(Debug, Default, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

impl Options {
    /// Takes the common fields out of a request.
    ///
    /// # Errors
    ///
    /// When one is missing, not what it should be, or asks for what is not there.
    pub fn take(fields: &mut Fields) -> Result<Self, ApiError> {
        let usual = Sampling::default();
        let sampling = Sampling {
            temperature: fields
                .number("temperature", 0.0, 2.0)?
                .unwrap_or(usual.temperature),
            top_p: fields
                .number("top_p", 0.0, 1.0)?
                .map_or(usual.top_p, |top_p| top_p.max(f32::EPSILON)),
            top_k: fields.whole("top_k", 0, 1_000_000)?.unwrap_or(usual.top_k),
            min_p: fields.number("min_p", 0.0, 1.0)?.unwrap_or(usual.min_p),
            presence_penalty: fields
                .number("presence_penalty", -2.0, 2.0)?
                .unwrap_or(usual.presence_penalty),
            frequency_penalty: fields
                .number("frequency_penalty", -2.0, 2.0)?
                .unwrap_or(usual.frequency_penalty),
            repeat_penalty: fields
                .number("repeat_penalty", 0.5, 2.0)?
                .unwrap_or(usual.repeat_penalty),
            seed: fields.take::<i64>("seed", "a whole number")?.map(seed),
            logit_bias: logit_bias(fields)?,
        };
        let stream = fields.take("stream", "true or false")?.unwrap_or(false);
        let stream_options: Option<StreamOptions> = fields.take("stream_options", "an object")?;
        if stream_options.is_some() && !stream {
            return Err(ApiError::invalid(
                "stream_options",
                "'stream_options' can only be given with 'stream': true.",
            ));
        }
        fields.refuse("suffix", &[])?;
        Ok(Self {
            model: fields.require("model", "the name of a model")?,
            sampling,
            max_tokens: fields.whole("max_tokens", 1, MAX_TOKENS)?,
            stop: stop(fields)?,
            choices: fields.whole("n", 1, MAX_CHOICES)?.unwrap_or(1),
            stream,
            include_usage: stream_options
                .and_then(|options| options.include_usage)
                .unwrap_or(false),
        })
    }
}

/// Inference takes 32 bits of it.
fn seed(seed: i64) -> u32 {
    let bytes = seed.to_le_bytes();
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn stop(fields: &mut Fields) -> Result<Vec<String>, ApiError> {
    let stop: Vec<String> = fields
        .take::<OneOrMany>("stop", "a text or a list of texts")?
        .map(Vec::from)
        .unwrap_or_default();
    let fits = stop.len() <= MAX_STOPS
        && stop
            .iter()
            .all(|text| !text.is_empty() && text.len() <= MAX_STOP_BYTES);
    if fits {
        return Ok(stop);
    }
    let message = format!("'stop' may hold at most {MAX_STOPS} texts of 1 to {MAX_STOP_BYTES} bytes.");
    Err(ApiError::invalid("stop", message))
}

fn logit_bias(fields: &mut Fields) -> Result<Vec<(u32, f32)>, ApiError> {
    let expected = "an object of token ids and numbers between -100 and 100";
    let biases: BTreeMap<String, f32> = fields.take("logit_bias", expected)?.unwrap_or_default();
    let wrong = || {
        ApiError::invalid(
            "logit_bias",
            format!("'logit_bias' has to be {expected}, {MAX_BIASED} at most."),
        )
    };
    if biases.len() > MAX_BIASED {
        return Err(wrong());
    }
    biases
        .into_iter()
        .map(|(token, bias)| {
            let token = token.parse().map_err(|_| wrong())?;
            if (-100.0..=100.0).contains(&bias) {
                Ok((token, bias))
            } else {
                Err(wrong())
            }
        })
        .collect()
}

/// What happens to one of several generations.
pub type Step = (usize, Result<GenerateEvent, Problem>);

/// Several generations side by side. Dropping it cancels them.
pub struct Run {
    steps: SelectAll<BoxStream<'static, Step>>,
    first: Option<Step>,
}

/// Starts a generation for each choice of each prompt, and waits for the first sign of life, so that what fails at once can
/// still be answered with a proper status.
///
/// # Errors
///
/// When inference is away or refuses.
pub async fn run(
    app: &App,
    model: Digest,
    prompts: &[Prompt],
    options: &Options,
    logprobs: Option<u32>,
    param: &str,
) -> Result<Run, ApiError> {
    let asked = prompts.iter().flat_map(|prompt| {
        (0..options.choices).map(move |choice| {
            let mut sampling = options.sampling.clone();
            // The same seed would give the same answer for each choice.
            sampling.seed = sampling.seed.map(|seed| seed.wrapping_add(choice));
            GenerateRequest {
                model,
                prompt: prompt.clone(),
                sampling,
                max_tokens: options.max_tokens,
                stop: options.stop.clone(),
                logprobs,
            }
        })
    });
    let started = asked.map(async |request| {
        app.neighbours
            .generate
            .post_events("/v1/generate", &request)
            .await
    });
    let started = futures_util::future::try_join_all(started)
        .await
        .map_err(|problem| ApiError::from_generation(&problem, param))?;
    let streams = started.into_iter().enumerate().map(|(index, events)| {
        unfold(Some(events), move |events| async move {
            let mut events = events?;
            let event: Result<GenerateEvent, Problem> = events.next().await.unwrap_or_else(|| {
                Err(Problem::new(
                    ProblemKind::Unavailable,
                    "the engine ended in the middle of the answer",
                ))
            });
            let goes_on = matches!(
                event,
                Ok(GenerateEvent::Queued { .. } | GenerateEvent::Loading | GenerateEvent::Token { .. })
            );
            Some(((index, event), goes_on.then_some(events)))
        })
        .boxed()
    });
    let mut steps = select_all(streams);
    let first = steps.next().await;
    match &first {
        Some((_, Ok(GenerateEvent::Failed { problem }) | Err(problem))) => {
            Err(ApiError::from_generation(problem, param))
        }
        _ => Ok(Run { steps, first }),
    }
}

impl Stream for Run {
    type Item = Step;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Step>> {
        if let Some(first) = self.first.take() {
            return std::task::Poll::Ready(Some(first));
        }
        self.steps.poll_next_unpin(context)
    }
}

/// One generation, come to its end.
#[derive(Debug, Default)]
pub struct Whole {
    /// Everything that was generated.
    pub text: String,
    /// Its tokens, where asked for.
    pub logprobs: Vec<TokenLogprob>,
    /// Why it ended.
    pub finish: Option<FinishReason>,
}

/// Waits for the ends of all generations.
///
/// # Errors
///
/// When one fails: a part of an answer is not passed off as the whole.
pub async fn collect(mut run: Run, count: usize, param: &str) -> Result<(Vec<Whole>, Vec<Usage>), ApiError> {
    let mut answers: Vec<Whole> = (0..count).map(|_| Whole::default()).collect();
    let mut usages = vec![Usage::default(); count];
    while let Some((index, event)) = run.next().await {
        let (Some(answer), Some(cost)) = (answers.get_mut(index), usages.get_mut(index)) else {
            continue;
        };
        match event {
            Ok(GenerateEvent::Queued { .. } | GenerateEvent::Loading) => {}
            Ok(GenerateEvent::Token { text, logprobs }) => {
                answer.text.push_str(&text);
                answer.logprobs.extend(logprobs);
            }
            Ok(GenerateEvent::Done { finish, usage }) => {
                answer.finish = Some(finish);
                *cost = usage;
            }
            Ok(GenerateEvent::Failed { problem }) | Err(problem) => {
                return Err(ApiError::from_generation(&problem, param));
            }
        }
    }
    Ok((answers, usages))
}

/// What all generations cost together. A prompt with several choices is counted once, as `OpenAI` does.
pub fn total(usages: &[Usage], choices: u32) -> wire::Usage {
    let step = usize::try_from(choices).unwrap_or(1).max(1);
    let prompt: u64 = usages
        .iter()
        .step_by(step)
        .map(|usage| u64::from(usage.prompt_tokens))
        .sum();
    let completion: u64 = usages
        .iter()
        .map(|usage| u64::from(usage.completion_tokens))
        .sum();
    wire::Usage {
        prompt,
        completion,
        total: prompt + completion,
    }
}
