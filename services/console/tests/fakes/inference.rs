//! An engine that says what the last message asks for by its first word: `hold`, `break`, `fail`, `queue`, `long`, `echo`;
//! everything else gets a fixed answer with all kinds of Markdown in it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use futures_util::StreamExt as _;
use holdfast_contract::Problem;
use holdfast_contract::inference::{
    EmbedRequest, Embeddings, Engine, Engines, FinishReason, GenerateEvent, GenerateRequest, Prompt,
    TokenLogprob, Unload, Usage,
};
use holdfast_contract::problem::ProblemKind;
use holdfast_ipc::{Answer, Failure, Json, events};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::models;

pub const ANSWER: &str = "**Holdfast** runs AI models that you *do not trust*.\n\n1. A file comes in through quarantine.\n2. It is \
    inspected, byte by byte.\n3. Only then it can be used.\n\n```sh\nholdfast import model.gguf\n```\n\n| part | holds |\n|---|---|\n| `registry` | the \
    models |\n| `recorder` | the ledger |\n\nSee [the manual](https://example.org/manual).";

#[derive(Default)]
pub struct Inference {
    pub requests: Mutex<Vec<GenerateRequest>>,
    pub unloaded: AtomicUsize,
    /// Generations that ended because the caller went away.
    pub cancelled: AtomicUsize,
    pub cancel: Notify,
    /// Lets a held generation go on.
    pub release: Notify,
    pub pace: Mutex<Duration>,
}

struct Guard {
    inference: Arc<Inference>,
    done: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.done {
            self.inference.cancelled.fetch_add(1, Ordering::SeqCst);
            self.inference.cancel.notify_one();
        }
    }
}

pub fn generate(inference: Arc<Inference>) -> Router {
    Router::new()
        .route("/v1/generate", post(answer))
        .route("/v1/embed", post(embed))
        .with_state(inference)
}

pub fn admin(inference: Arc<Inference>) -> Router {
    Router::new()
        .route("/v1/engines", get(engines))
        .route("/v1/unload", post(unload))
        .with_state(inference)
}

fn token(text: &str, logprobs: Option<u32>) -> GenerateEvent {
    let one = |text: &str, logprob| TokenLogprob {
        token: text.to_owned(),
        bytes: text.as_bytes().to_vec(),
        logprob,
        top: Vec::new(),
    };
    let logprobs = logprobs.map(|top| {
        let alternatives = std::iter::successors(Some(-0.1_f32), |logprob| Some(logprob - 1.0))
            .zip(0..top)
            .map(|(logprob, _)| one(text, logprob))
            .collect();
        vec![TokenLogprob {
            top: alternatives,
            ..one(text, -0.1)
        }]
    });
    GenerateEvent::Token {
        text: text.to_owned(),
        logprobs: logprobs.unwrap_or_default(),
    }
}

fn done(finish: FinishReason) -> GenerateEvent {
    let usage = Usage {
        prompt_tokens: 9,
        completion_tokens: 4,
        first_token_ms: 12.0,
        generation_ms: 100.0,
    };
    GenerateEvent::Done { finish, usage }
}

fn words(text: &str) -> Vec<&str> {
    text.split_inclusive(' ').collect()
}

async fn answer(
    State(inference): State<Arc<Inference>>,
    Json(request): Json<GenerateRequest>,
) -> Result<Response, Failure> {
    let (last, messages) = match &request.prompt {
        Prompt::Messages(messages) => (
            messages.last().map_or("", |message| message.content.as_str()),
            messages.len(),
        ),
        Prompt::Text(text) => (text.as_str(), 1),
    };
    let said = last.to_owned();
    let logprobs = request.logprobs;
    let limit = request.max_tokens;
    inference.requests.lock().unwrap().push(request);
    let held = said.starts_with("hold");
    let mut script: Vec<GenerateEvent> = match said.split_whitespace().next().unwrap_or_default() {
        "away" => return Err(Problem::new(ProblemKind::Unavailable, "no engine could be started").into()),
        "fail" => vec![GenerateEvent::Failed {
            problem: Problem::new(ProblemKind::Internal, "the engine crashed"),
        }],
        "long" if messages > 1 => {
            vec![GenerateEvent::Failed {
                problem: Problem::new(
                    ProblemKind::TooLarge,
                    "the prompt has 2000 tokens, the context 1024",
                ),
            }]
        }
        "hold" | "break" => vec![token("half ", logprobs), token("an ", logprobs)],
        "queue" => vec![
            GenerateEvent::Queued { ahead: 2 },
            GenerateEvent::Queued { ahead: 1 },
            GenerateEvent::Loading,
            token("At ", logprobs),
            token("last.", logprobs),
            done(FinishReason::Stop),
        ],
        "echo" => words(said.strip_prefix("echo ").unwrap_or_default())
            .into_iter()
            .map(|word| token(word, logprobs))
            .chain([done(FinishReason::Stop)])
            .collect(),
        _ => words(ANSWER)
            .into_iter()
            .map(|word| token(word, logprobs))
            .chain([done(FinishReason::Stop)])
            .collect(),
    };
    if let Some(limit) = limit
        .and_then(|limit| usize::try_from(limit).ok())
        .filter(|limit| *limit < script.len() - 1)
    {
        script.truncate(limit);
        script.push(done(FinishReason::Length));
    }
    let pace = *inference.pace.lock().unwrap();
    let guard = Guard {
        inference: Arc::clone(&inference),
        done: false,
    };
    let tail = futures_util::stream::once(async move {
        let mut guard = guard;
        if held {
            guard.inference.release.notified().await;
        }
        guard.done = true;
        if held {
            vec![token("answer", None), done(FinishReason::Stop)]
        } else {
            Vec::new()
        }
    })
    .flat_map(futures_util::stream::iter);
    let paced = futures_util::stream::iter(script).then(move |event| async move {
        if !pace.is_zero() {
            tokio::time::sleep(pace).await;
        }
        event
    });
    Ok(events(paced.chain(tail)))
}

async fn embed(Json(request): Json<EmbedRequest>) -> Answer<Embeddings> {
    let vectors = request
        .input
        .iter()
        .map(|text| vec![f32::from(u16::try_from(text.len()).unwrap()), 0.5])
        .collect();
    Ok(Json(Embeddings {
        vectors,
        prompt_tokens: u32::try_from(request.input.len()).unwrap(),
    }))
}

async fn engines(State(inference): State<Arc<Inference>>) -> Answer<Engines> {
    let engine = Engine {
        model: models::GUIDE,
        pid: 4_711,
        active: 0,
        queued: 0,
        slots: 4,
        context_tokens: 1_024,
        idle_seconds: 75,
    };
    let loaded = inference.unloaded.load(Ordering::SeqCst) == 0;
    Ok(Json(Engines {
        engines: if loaded { vec![engine] } else { Vec::new() },
        backend: "cpu".to_owned(),
    }))
}

async fn unload(State(inference): State<Arc<Inference>>, Json(_): Json<Unload>) -> Answer<Value> {
    inference.unloaded.fetch_add(1, Ordering::SeqCst);
    Ok(Json(json!({})))
}
