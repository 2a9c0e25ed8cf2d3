//! The shapes of answers, and how they are streamed: server-sent events with one JSON object each, then `[DONE]`.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use holdfast_contract::Timestamp;
use holdfast_contract::inference::{FinishReason, GenerateEvent, TokenLogprob};
use http::{HeaderValue, header};
use serde::Serialize;

use super::ApiError;
use super::generate::{Run, total};
use crate::secret;

/// What a request cost, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Read.
    #[serde(rename = "prompt_tokens")]
    pub prompt: u64,
    /// Generated.
    #[serde(rename = "completion_tokens")]
    pub completion: u64,
    /// Both.
    #[serde(rename = "total_tokens")]
    pub total: u64,
}

/// The `usage` of an answer or a piece of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Cost {
    /// The field is not there.
    Absent,
    /// It is null: the cost comes with the last piece.
    Later(()),
    /// It is this.
    Known(Usage),
}

impl Cost {
    const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// Why an answer ended, in `OpenAI`'s words.
pub const fn finish_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
    }
}

/// The two kinds of completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `/v1/chat/completions`
    Chat,
    /// `/v1/completions`
    Text,
}

/// What stands around every answer and every piece of one.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Which kind.
    pub kind: Kind,
    id: String,
    created: i64,
    model: String,
}

/// An answer or a piece of one.
#[derive(Serialize)]
pub struct Sheet<'a, C> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    choices: C,
    #[serde(skip_serializing_if = "Cost::is_absent")]
    usage: Cost,
    system_fingerprint: Option<&'static str>,
}

impl Envelope {
    /// The envelope of a new answer.
    pub fn new(kind: Kind, model: &str) -> Self {
        let prefix = match kind {
            Kind::Chat => "chatcmpl-",
            Kind::Text => "cmpl-",
        };
        // The id tells answers apart in a client's log; nothing depends on it.
        let id = secret::id().unwrap_or_default();
        Self {
            kind,
            id: format!("{prefix}{id}"),
            created: Timestamp::now().as_second(),
            model: model.to_owned(),
        }
    }

    /// The whole answer.
    pub fn whole<C: Serialize>(&self, choices: C, usage: Usage) -> Sheet<'_, C> {
        let object = match self.kind {
            Kind::Chat => "chat.completion",
            Kind::Text => "text_completion",
        };
        self.sheet(object, choices, Cost::Known(usage))
    }

    fn piece<C: Serialize>(&self, choices: C, usage: Cost) -> Sheet<'_, C> {
        let object = match self.kind {
            Kind::Chat => "chat.completion.chunk",
            Kind::Text => "text_completion",
        };
        self.sheet(object, choices, usage)
    }

    fn sheet<C: Serialize>(&self, object: &'static str, choices: C, usage: Cost) -> Sheet<'_, C> {
        Sheet {
            id: &self.id,
            object,
            created: self.created,
            model: &self.model,
            choices,
            usage,
            system_fingerprint: None,
        }
    }
}

/// A token's probabilities in a chat completion.
#[derive(Debug, Serialize)]
pub struct ChatLogprobs {
    content: Vec<ChatToken>,
    refusal: Option<()>,
}

#[derive(Debug, Serialize)]
struct ChatToken {
    token: String,
    logprob: f32,
    bytes: Vec<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<Vec<ChatToken>>,
}

/// The probabilities of some tokens, as chat completions give them.
pub fn chat_logprobs(tokens: Vec<TokenLogprob>) -> ChatLogprobs {
    fn plain(token: TokenLogprob) -> ChatToken {
        ChatToken {
            token: token.token,
            logprob: token.logprob,
            bytes: token.bytes,
            top_logprobs: None,
        }
    }
    let content = tokens
        .into_iter()
        .map(|mut token| {
            let top = std::mem::take(&mut token.top).into_iter().map(plain).collect();
            ChatToken {
                top_logprobs: Some(top),
                ..plain(token)
            }
        })
        .collect();
    ChatLogprobs {
        content,
        refusal: None,
    }
}

/// The probabilities of some tokens in a plain completion.
#[derive(Debug, Serialize)]
pub struct TextLogprobs {
    tokens: Vec<String>,
    token_logprobs: Vec<f32>,
    top_logprobs: Vec<BTreeMap<String, f32>>,
    text_offset: Vec<usize>,
}

/// The probabilities of some tokens that begin at character `offset`, as plain completions give them.
pub fn text_logprobs(tokens: Vec<TokenLogprob>, mut offset: usize) -> TextLogprobs {
    let mut out = TextLogprobs {
        tokens: Vec::new(),
        token_logprobs: Vec::new(),
        top_logprobs: Vec::new(),
        text_offset: Vec::new(),
    };
    for token in tokens {
        out.text_offset.push(offset);
        offset += token.token.chars().count();
        out.token_logprobs.push(token.logprob);
        out.top_logprobs.push(
            token
                .top
                .into_iter()
                .map(|top| (top.token, top.logprob))
                .collect(),
        );
        out.tokens.push(token.token);
    }
    out
}

#[derive(Serialize)]
struct ChatPiece<'a> {
    index: usize,
    delta: Delta<'a>,
    logprobs: Option<ChatLogprobs>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
}

#[derive(Serialize)]
struct TextPiece<'a> {
    index: usize,
    text: &'a str,
    logprobs: Option<TextLogprobs>,
    finish_reason: Option<&'static str>,
}

/// An answer on its way out.
pub struct Streaming {
    /// What stands around each piece.
    pub envelope: Envelope,
    /// The generations.
    pub run: Run,
    /// Whether to end with what it cost.
    pub include_usage: bool,
    /// Whether probabilities were asked for.
    pub logprobs: bool,
    /// What each choice begins with, before anything is generated.
    pub echo: Vec<String>,
    /// Choices for each prompt.
    pub choices: u32,
    /// Which field to name where the prompt is too long.
    pub param: &'static str,
}

struct State {
    given: Streaming,
    ready: VecDeque<Bytes>,
    /// Characters sent for each choice.
    offsets: Vec<usize>,
    usages: Vec<holdfast_contract::inference::Usage>,
    over: bool,
}

impl Streaming {
    /// The answer as server-sent events.
    pub fn respond(self, count: usize) -> Response {
        let mut state = State {
            offsets: vec![0; count],
            usages: vec![holdfast_contract::inference::Usage::default(); count],
            given: self,
            ready: VecDeque::new(),
            over: false,
        };
        state.open(count);
        let frames = unfold(state, async |mut state| {
            loop {
                if let Some(frame) = state.ready.pop_front() {
                    return Some((Ok::<_, Infallible>(frame), state));
                }
                if state.over {
                    return None;
                }
                state.step().await;
            }
        });
        let kind = HeaderValue::from_static("text/event-stream; charset=utf-8");
        let accel = HeaderValue::from_static("no-store");
        (
            [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, accel)],
            Body::from_stream(frames),
        )
            .into_response()
    }
}

impl State {
    fn open(&mut self, count: usize) {
        for index in 0..count {
            match self.given.envelope.kind {
                Kind::Chat => {
                    let delta = Delta {
                        role: Some("assistant"),
                        content: Some(""),
                    };
                    self.send(&[ChatPiece {
                        index,
                        delta,
                        logprobs: None,
                        finish_reason: None,
                    }]);
                }
                Kind::Text => {
                    let echo = self.given.echo.get(index).cloned().unwrap_or_default();
                    if !echo.is_empty() {
                        self.text(index, &echo, Vec::new());
                    }
                }
            }
        }
    }

    async fn step(&mut self) {
        let Some((index, event)) = self.given.run.next().await else {
            return self.end();
        };
        match event {
            // A comment keeps the connection alive and tells a person who looks what is going on.
            Ok(GenerateEvent::Queued { ahead }) => self.frame(format!(": waiting behind {ahead}\n\n")),
            Ok(GenerateEvent::Loading) => self.frame(": loading the model\n\n".to_owned()),
            Ok(GenerateEvent::Token { text, logprobs }) => self.text(index, &text, logprobs),
            Ok(GenerateEvent::Done { finish, usage }) => {
                if let Some(cost) = self.usages.get_mut(index) {
                    *cost = usage;
                }
                self.finish(index, finish_reason(finish));
            }
            Ok(GenerateEvent::Failed { problem }) | Err(problem) => {
                let error = ApiError::from_generation(&problem, self.given.param);
                self.frame(format!("data: {}\n\n", error.line()));
                self.over = true;
            }
        }
    }

    fn text(&mut self, index: usize, text: &str, logprobs: Vec<TokenLogprob>) {
        let offset = self.offsets.get(index).copied().unwrap_or(0);
        if let Some(offset) = self.offsets.get_mut(index) {
            *offset += text.chars().count();
        }
        let asked = self.given.logprobs && !logprobs.is_empty();
        match self.given.envelope.kind {
            Kind::Chat => {
                let delta = Delta {
                    role: None,
                    content: Some(text),
                };
                let logprobs = asked.then(|| chat_logprobs(logprobs));
                self.send(&[ChatPiece {
                    index,
                    delta,
                    logprobs,
                    finish_reason: None,
                }]);
            }
            Kind::Text => {
                let logprobs = asked.then(|| text_logprobs(logprobs, offset));
                self.send(&[TextPiece {
                    index,
                    text,
                    logprobs,
                    finish_reason: None,
                }]);
            }
        }
    }

    fn finish(&mut self, index: usize, reason: &'static str) {
        let finish_reason = Some(reason);
        match self.given.envelope.kind {
            Kind::Chat => self.send(&[ChatPiece {
                index,
                delta: Delta::default(),
                logprobs: None,
                finish_reason,
            }]),
            Kind::Text => self.send(&[TextPiece {
                index,
                text: "",
                logprobs: None,
                finish_reason,
            }]),
        }
    }

    fn end(&mut self) {
        if self.given.include_usage {
            let usage = total(&self.usages, self.given.choices);
            let sheet = self.given.envelope.piece::<[(); 0]>([], Cost::Known(usage));
            let frame = frame(&sheet);
            self.frame(frame);
        }
        self.frame("data: [DONE]\n\n".to_owned());
        self.over = true;
    }

    fn send<C: Serialize>(&mut self, choices: &[C]) {
        let usage = if self.given.include_usage {
            Cost::Later(())
        } else {
            Cost::Absent
        };
        let frame = frame(&self.given.envelope.piece(choices, usage));
        self.frame(frame);
    }

    fn frame(&mut self, frame: String) {
        self.ready.push_back(Bytes::from(frame));
    }
}

fn frame<C: Serialize>(sheet: &Sheet<'_, C>) -> String {
    let mut out = "data: ".to_owned();
    // The shapes above always serialise.
    out.push_str(&serde_json::to_string(sheet).unwrap_or_default());
    out.push_str("\n\n");
    out
}
