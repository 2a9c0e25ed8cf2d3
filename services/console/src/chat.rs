//! Chat: taking a question, and streaming the answer to the page while it is written down.

pub mod answer;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use holdfast_contract::inference::Speaker;
use holdfast_contract::ledger::{Event, Outcome};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::registry::ModelSummary;
use holdfast_contract::{Digest, Problem, Timestamp};
use holdfast_ipc::{Failure, Json, events};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::app::App;
use crate::auth::{Form, Script, ScriptJson};
use crate::conversation::{
    Conversation, ConversationId, MAX_MESSAGE_BYTES, MAX_MESSAGES, Settings, State as TurnState, Turn,
    clean_title,
};
use crate::history::{Answering, HistoryError};
use crate::neighbours::unusable;
use crate::pages::PageError;
use crate::pages::access::Nothing;

/// So many events may wait for a browser that reads slowly; then the engine waits too.
const EVENTS_AHEAD: usize = 64;
/// How long deleting waits for an answer to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// Body of `POST /chat/answer`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// In which conversation; none begins a new one.
    #[serde(default)]
    conversation: Option<ConversationId>,
    /// What the person says; none asks for another answer to what was said last.
    #[serde(default)]
    text: Option<String>,
    /// Who is to answer.
    model: Digest,
    #[serde(default)]
    settings: Settings,
}

/// `POST /chat/answer`: keeps what was said, then streams the answer as lines of JSON.
///
/// # Errors
///
/// When the request is out of bounds, the model cannot be used, or the conversation not be kept. Nothing was said then.
pub async fn answer(
    State(app): State<Arc<App>>,
    ScriptJson(ask): ScriptJson<Ask>,
) -> Result<Response, Failure> {
    ask.settings.check().map_err(|error| invalid(&error))?;
    let model = choose(&app, &ask.model).await?;
    let (conversation, answering) = match &ask.text {
        Some(text) => say(&app, &ask, text, &model).await?,
        None => ask_again(&app, &ask).await?,
    };
    let (out, mut coming) = mpsc::channel(EVENTS_AHEAD);
    let job = answer::Job::new(Arc::clone(&app), conversation, answering, model, out);
    tokio::spawn(job.run());
    Ok(events(futures_util::stream::poll_fn(move |context| {
        coming.poll_recv(context)
    })))
}

fn invalid(error: &impl std::fmt::Display) -> Problem {
    Problem::new(ProblemKind::Invalid, error.to_string())
}

async fn choose(app: &App, digest: &Digest) -> Result<ModelSummary, Problem> {
    let models = app.neighbours.models().await?;
    let model = models
        .into_iter()
        .find(|model| model.digest == *digest)
        .ok_or_else(|| {
            Problem::new(ProblemKind::NotFound, "this model is no longer in the registry")
                .next("Choose another one.")
        })?;
    match unusable(&model) {
        None => Ok(model),
        Some(why) => Err(Problem::new(
            ProblemKind::Conflict,
            format!("{} cannot be used: {why}", model.name),
        )),
    }
}

async fn say(
    app: &App,
    ask: &Ask,
    text: &str,
    model: &ModelSummary,
) -> Result<(Conversation, Answering), Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Problem::new(ProblemKind::Invalid, "the message is empty"));
    }
    if text.len() > MAX_MESSAGE_BYTES {
        let detail = format!("the message is longer than {} KiB", MAX_MESSAGE_BYTES >> 10);
        return Err(Problem::new(ProblemKind::TooLarge, detail));
    }
    let now = Timestamp::now();
    let question = turn(Speaker::User, text.to_owned(), TurnState::Complete, now);
    let place = turn(Speaker::Assistant, String::new(), TurnState::Generating, now);
    if let Some(id) = &ask.conversation {
        let change = |conversation: &mut Conversation| {
            if conversation.turns.len() + 2 > MAX_MESSAGES {
                return Err(Problem::from(HistoryError::TooLarge));
            }
            conversation.model = model.digest;
            conversation.settings = ask.settings.clone();
            conversation.updated_at = now;
            conversation.turns.extend([question, place]);
            Ok(())
        };
        return app.history.resume(id, change).await;
    }
    let id = ConversationId::random().map_err(|_| Problem::new(ProblemKind::Internal, "no random bytes"))?;
    let mut conversation = Conversation::new(id, model.digest, ask.settings.clone(), text, now);
    conversation.turns.extend([question, place]);
    let answering = app.history.begin(&conversation).await?;
    Ok((conversation, answering))
}

/// The old answer stays until the new one has begun.
async fn ask_again(app: &App, ask: &Ask) -> Result<(Conversation, Answering), Problem> {
    let Some(id) = &ask.conversation else {
        return Err(Problem::new(
            ProblemKind::Invalid,
            "there is nothing to answer yet",
        ));
    };
    let change = |conversation: &mut Conversation| {
        conversation.model = ask.model;
        conversation.settings = ask.settings.clone();
        match conversation.turns.last() {
            None => Err(Problem::new(
                ProblemKind::Invalid,
                "there is nothing to answer yet",
            )),
            Some(last) if last.role == Speaker::Assistant => Ok(()),
            Some(_) => {
                let now = Timestamp::now();
                conversation.turns.push(turn(
                    Speaker::Assistant,
                    String::new(),
                    TurnState::Generating,
                    now,
                ));
                Ok(())
            }
        }
    };
    app.history.resume(id, change).await
}

const fn turn(role: Speaker, text: String, state: TurnState, at: Timestamp) -> Turn {
    Turn {
        role,
        text,
        at,
        state,
        model: None,
        problem: None,
        cost: None,
    }
}

/// `POST /chat/{id}/stop`: ends the answer that is being written. What there is of it is kept.
///
/// # Errors
///
/// When the id is none.
pub async fn stop(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Script,
) -> Result<Json<Value>, Failure> {
    let stopped = app.history.stop(&parse(&id)?);
    Ok(Json(json!({ "stopped": stopped })))
}

/// An id from an address.
///
/// # Errors
///
/// When it is none: there is no such conversation.
pub fn parse(id: &str) -> Result<ConversationId, Problem> {
    id.parse().map_err(|_| HistoryError::Absent.into())
}

/// The form of another title.
#[derive(Debug, Deserialize)]
pub struct Rename {
    title: String,
}

/// `POST /chat/{id}/rename`
///
/// # Errors
///
/// When there is no such conversation, or an answer is being written in it.
pub async fn rename(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Form(_, form): Form<Rename>,
) -> Result<Response, PageError> {
    let id = parse(&id)?;
    let title =
        clean_title(&form.title).ok_or_else(|| Problem::new(ProblemKind::Invalid, "the title is empty"))?;
    app.history.rename(&id, title).await.map_err(Problem::from)?;
    Ok(Redirect::to(&format!("/chat/{id}")).into_response())
}

/// `POST /chat/{id}/delete`
///
/// # Errors
///
/// When there is no such conversation, or the deletion cannot be recorded or done.
pub async fn delete(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Form(_, Nothing {}): Form<Nothing>,
) -> Result<Response, PageError> {
    let id = parse(&id)?;
    if !app.history.contains(&id) {
        return Err(Problem::from(HistoryError::Absent).into());
    }
    record(&app, id.as_str(), json!({ "act": "deleted" })).await?;
    let _ = tokio::time::timeout(STOP_DEADLINE, app.history.stop_and_wait(&id)).await;
    app.history.delete(&id).await.map_err(Problem::from)?;
    Ok(Redirect::to("/chat").into_response())
}

/// `POST /chat/delete-all`
///
/// # Errors
///
/// When the deletion cannot be recorded or done.
pub async fn delete_all(
    State(app): State<Arc<App>>,
    Form(_, Nothing {}): Form<Nothing>,
) -> Result<Response, PageError> {
    let count = app.history.list().len() + app.history.damaged();
    record(&app, "all", json!({ "act": "deleted", "count": count })).await?;
    let _ = tokio::time::timeout(STOP_DEADLINE, app.history.stop_all()).await;
    app.history.delete_all().await.map_err(Problem::from)?;
    Ok(Redirect::to("/chat").into_response())
}

async fn record(app: &App, subject: &str, detail: Value) -> Result<(), Problem> {
    app.neighbours
        .record(Event::ConsoleHistory, Outcome::Allowed, subject, detail)
        .await
        .map_err(|problem| {
            tracing::error!(%problem, "a deletion was not recorded, so it was not done");
            let detail = "the deletion could not be written to the ledger, so it was not done";
            Problem::new(ProblemKind::Unavailable, detail)
                .next("Try again in a moment, or see `holdfast status`.")
        })
}
