//! `POST /v1/chat/completions`

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use holdfast_contract::inference::{Message, Prompt, Speaker};
use holdfast_ipc::Json;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fields::Fields;
use super::generate::{self, Options, total};
use super::wire::{self, Envelope, Kind, Streaming};
use super::{ApiError, Authorised, models};
use crate::app::App;

/// The most messages in a request.
const MAX_MESSAGES: usize = 2_048;
/// The most alternatives for each token.
const MAX_TOP_LOGPROBS: u32 = 20;
/// Fields that ask for what this version does not have.
const UNSUPPORTED: [&str; 9] = [
    "tools",
    "functions",
    "function_call",
    "audio",
    "prediction",
    "web_search_options",
    "reasoning_effort",
    "verbosity",
    "store",
];

#[derive(Debug, Deserialize)]
struct Given {
    role: String,
    #[serde(default)]
    content: Option<Content>,
    #[serde(default)]
    tool_calls: Option<Vec<Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
}

#[derive(Serialize)]
struct Choice {
    index: usize,
    message: Answer,
    logprobs: Option<wire::ChatLogprobs>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Answer {
    role: &'static str,
    content: String,
    refusal: Option<()>,
}

/// `POST /v1/chat/completions`
pub async fn complete(
    State(app): State<Arc<App>>,
    Authorised(mut fields): Authorised,
) -> Result<Response, ApiError> {
    for name in UNSUPPORTED {
        fields.refuse(name, &[])?;
    }
    fields.refuse("tool_choice", &["none", "auto"])?;
    text_only(&mut fields)?;
    let logprobs = logprobs(&mut fields)?;
    let limit = fields.whole("max_completion_tokens", 1, 1 << 20)?;
    let mut options = Options::take(&mut fields)?;
    options.max_tokens = limit.or(options.max_tokens);
    let prompt = Prompt::Messages(messages(&mut fields)?);

    let model = models::find(&app, &options.model).await?;
    let run = generate::run(&app, model.digest, &[prompt], &options, logprobs, "messages").await?;
    let envelope = Envelope::new(Kind::Chat, &model.name);
    let count = usize::try_from(options.choices).unwrap_or(1);
    if options.stream {
        let streaming = Streaming {
            envelope,
            run,
            include_usage: options.include_usage,
            logprobs: logprobs.is_some(),
            echo: Vec::new(),
            choices: options.choices,
            param: "messages",
        };
        return Ok(streaming.respond(count));
    }
    let (answers, usages) = generate::collect(run, count, "messages").await?;
    let choices: Vec<Choice> = answers
        .into_iter()
        .enumerate()
        .map(|(index, answer)| Choice {
            index,
            message: Answer {
                role: "assistant",
                content: answer.text,
                refusal: None,
            },
            logprobs: logprobs.map(|_| wire::chat_logprobs(answer.logprobs)),
            finish_reason: answer.finish.map_or("stop", wire::finish_reason),
        })
        .collect();
    Ok(Json(envelope.whole(choices, total(&usages, options.choices))).into_response())
}

fn text_only(fields: &mut Fields) -> Result<(), ApiError> {
    let modalities: Vec<String> = fields.take("modalities", "a list of texts")?.unwrap_or_default();
    if modalities.iter().any(|modality| modality != "text") {
        return Err(ApiError::unsupported(
            "modalities",
            "Only text can be generated in this version.",
        ));
    }
    let format: Option<Value> = fields.take("response_format", "an object")?;
    match format
        .as_ref()
        .map(|format| format.get("type").and_then(Value::as_str))
    {
        None | Some(Some("text")) => Ok(()),
        Some(_) => Err(ApiError::unsupported(
            "response_format",
            "Only 'response_format': {\"type\": \"text\"} is supported in this version.",
        )),
    }
}

fn logprobs(fields: &mut Fields) -> Result<Option<u32>, ApiError> {
    let wanted: bool = fields.take("logprobs", "true or false")?.unwrap_or(false);
    let top = fields.whole("top_logprobs", 0, MAX_TOP_LOGPROBS)?;
    if top.is_some_and(|top| top > 0) && !wanted {
        return Err(ApiError::invalid(
            "top_logprobs",
            "'top_logprobs' needs 'logprobs': true.",
        ));
    }
    Ok(wanted.then_some(top.unwrap_or(0)))
}

fn messages(fields: &mut Fields) -> Result<Vec<Message>, ApiError> {
    let given: Vec<Given> = fields.require("messages", "a list of messages with 'role' and 'content'")?;
    if given.is_empty() || given.len() > MAX_MESSAGES {
        return Err(ApiError::invalid(
            "messages",
            format!("'messages' has to hold 1 to {MAX_MESSAGES} messages."),
        ));
    }
    given
        .into_iter()
        .enumerate()
        .map(|(at, given)| message(at, given))
        .collect()
}

fn message(at: usize, given: Given) -> Result<Message, ApiError> {
    let role = match given.role.as_str() {
        "system" | "developer" => Speaker::System,
        "user" => Speaker::User,
        "assistant" => Speaker::Assistant,
        "tool" | "function" => {
            let message = "Messages of tools are not supported in this version.";
            return Err(ApiError::unsupported(format!("messages[{at}].role"), message));
        }
        _ => {
            let message = "'role' has to be system, developer, user or assistant.";
            return Err(ApiError::invalid(format!("messages[{at}].role"), message));
        }
    };
    if given.tool_calls.is_some_and(|calls| !calls.is_empty()) {
        let message = "Tool calls are not supported in this version.";
        return Err(ApiError::unsupported(
            format!("messages[{at}].tool_calls"),
            message,
        ));
    }
    let content = match given.content {
        Some(Content::Text(text)) => text,
        Some(Content::Parts(parts)) => joined(at, parts)?,
        None if role == Speaker::Assistant => String::new(),
        None => {
            return Err(ApiError::invalid(
                format!("messages[{at}].content"),
                "'content' is missing.",
            ));
        }
    };
    Ok(Message { role, content })
}

fn joined(at: usize, parts: Vec<Part>) -> Result<String, ApiError> {
    let mut text = String::new();
    for (place, part) in parts.into_iter().enumerate() {
        match (part.kind.as_str(), part.text) {
            ("text", Some(part)) => text.push_str(&part),
            (kind, _) => {
                let param = format!("messages[{at}].content[{place}]");
                let message =
                    format!("Content of the type '{kind}' is not supported in this version; only 'text' is.");
                return Err(ApiError::unsupported(param, message));
            }
        }
    }
    Ok(text)
}
