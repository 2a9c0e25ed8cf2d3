//! `POST /v1/completions`: plain text, continued as it stands.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use holdfast_contract::inference::Prompt;
use holdfast_ipc::Json;
use serde::Serialize;
use serde_json::Value;

use super::fields::Fields;
use super::generate::{self, Options, total};
use super::wire::{self, Envelope, Kind, Streaming};
use super::{ApiError, Authorised, models};
use crate::app::App;

/// The most prompts in a request.
const MAX_PROMPTS: usize = 32;
/// The most alternatives for each token.
const MAX_LOGPROBS: u32 = 5;
/// Generated where nothing else is said, as `OpenAI` does for this endpoint.
const USUAL_MAX_TOKENS: u32 = 16;

#[derive(Serialize)]
struct Choice {
    index: usize,
    text: String,
    logprobs: Option<wire::TextLogprobs>,
    finish_reason: &'static str,
}

/// `POST /v1/completions`
pub async fn complete(
    State(app): State<Arc<App>>,
    Authorised(mut fields): Authorised,
) -> Result<Response, ApiError> {
    let logprobs = fields.whole("logprobs", 0, MAX_LOGPROBS)?;
    let echo: bool = fields.take("echo", "true or false")?.unwrap_or(false);
    if echo && logprobs.is_some() {
        return Err(ApiError::unsupported(
            "echo",
            "'echo' cannot be combined with 'logprobs' in this version.",
        ));
    }
    let prompts = prompts(&mut fields)?;
    let best_of = fields.whole("best_of", 1, 20)?;
    let mut options = Options::take(&mut fields)?;
    if best_of.is_some_and(|best_of| best_of > options.choices) {
        return Err(ApiError::unsupported(
            "best_of",
            "'best_of' above 'n' is not supported in this version.",
        ));
    }
    options.max_tokens.get_or_insert(USUAL_MAX_TOKENS);

    let model = models::find(&app, &options.model).await?;
    let asked: Vec<Prompt> = prompts.iter().cloned().map(Prompt::Text).collect();
    let run = generate::run(&app, model.digest, &asked, &options, logprobs, "prompt").await?;
    let envelope = Envelope::new(Kind::Text, &model.name);
    let choices = usize::try_from(options.choices).unwrap_or(1);
    let count = prompts.len() * choices;
    let echoed = |index: usize| {
        if echo {
            prompts.get(index / choices).cloned().unwrap_or_default()
        } else {
            String::new()
        }
    };
    if options.stream {
        let streaming = Streaming {
            envelope,
            run,
            include_usage: options.include_usage,
            logprobs: logprobs.is_some(),
            echo: (0..count).map(echoed).collect(),
            choices: options.choices,
            param: "prompt",
        };
        return Ok(streaming.respond(count));
    }
    let (answers, usages) = generate::collect(run, count, "prompt").await?;
    let choices: Vec<Choice> = answers
        .into_iter()
        .enumerate()
        .map(|(index, answer)| Choice {
            index,
            text: echoed(index) + &answer.text,
            logprobs: logprobs.map(|_| wire::text_logprobs(answer.logprobs, 0)),
            finish_reason: answer.finish.map_or("stop", wire::finish_reason),
        })
        .collect();
    Ok(Json(envelope.whole(choices, total(&usages, options.choices))).into_response())
}

fn prompts(fields: &mut Fields) -> Result<Vec<String>, ApiError> {
    let expected = "a text or a list of texts";
    let prompts = match fields.take::<Value>("prompt", expected)? {
        // OpenAI takes a missing prompt for the beginning of a new text.
        None => vec![String::new()],
        Some(Value::String(prompt)) => vec![prompt],
        Some(Value::Array(list)) if list.iter().any(|one| one.is_number() || one.is_array()) => {
            return Err(ApiError::unsupported(
                "prompt",
                "Prompts of token ids are not supported in this version; send text.",
            ));
        }
        Some(other) => serde_json::from_value(other)
            .map_err(|_| ApiError::invalid("prompt", format!("'prompt' has to be {expected}.")))?,
    };
    if prompts.is_empty() || prompts.len() > MAX_PROMPTS {
        return Err(ApiError::invalid(
            "prompt",
            format!("'prompt' has to hold 1 to {MAX_PROMPTS} texts."),
        ));
    }
    Ok(prompts)
}
