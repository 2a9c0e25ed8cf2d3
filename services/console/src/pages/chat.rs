//! The chat page: the list of conversations, what was said, and where to say more.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Html;
use holdfast_contract::inference::Speaker;
use holdfast_contract::registry::ModelSummary;
use holdfast_contract::{Digest, Problem};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Frame, PageError, Place, Question, asking, away, confirm, form_token, note};
use crate::app::App;
use crate::auth::SignedIn;
use crate::chat::{answer, parse};
use crate::conversation::{Conversation, MAX_TITLE_CHARACTERS, Settings, State as TurnState, Turn};
use crate::history::Summary;
use crate::markdown;
use crate::neighbours::unusable;
use crate::session::Session;
use crate::words::{self, Tone};

/// So many conversations are listed beside the page; all of them are on a page of their own.
const MAX_LISTED: usize = 40;
/// Questions to begin with, for the guide model.
const QUESTIONS: [&str; 4] = [
    "What is Holdfast?",
    "How do I import a model?",
    "Why was my model refused?",
    "What is the ledger?",
];

/// Query of a new conversation.
#[derive(Debug, Deserialize)]
pub struct Begin {
    model: Option<String>,
}

/// `GET /chat`: a new conversation.
pub async fn begin(
    State(app): State<Arc<App>>,
    SignedIn(session): SignedIn,
    Query(query): Query<Begin>,
) -> Html<String> {
    let chosen = query.model.and_then(|digest| digest.parse().ok());
    let models = app.neighbours.models().await;
    // Like last time, where nothing else is chosen.
    let recent = match app.history.list().first() {
        Some(last) => app.history.load(&last.id).await.ok(),
        None => None,
    };
    let chosen = chosen.or_else(|| recent.map(|conversation| conversation.model));
    show(&app, &session, None, chosen, &models)
}

/// `GET /chat/{id}`
///
/// # Errors
///
/// When there is no such conversation, or its file is damaged.
pub async fn open(
    State(app): State<Arc<App>>,
    SignedIn(session): SignedIn,
    Path(id): Path<String>,
) -> Result<Html<String>, PageError> {
    let conversation = app.history.load(&parse(&id)?).await.map_err(Problem::from)?;
    let models = app.neighbours.models().await;
    let chosen = Some(conversation.model);
    Ok(show(&app, &session, Some(&conversation), chosen, &models))
}

fn show(
    app: &App,
    session: &Session,
    conversation: Option<&Conversation>,
    chosen: Option<Digest>,
    models: &Result<Vec<ModelSummary>, Problem>,
) -> Html<String> {
    let title = conversation.map_or("New conversation", |conversation| conversation.title.as_str());
    let usable: Vec<&ModelSummary> = match models {
        Ok(models) => models.iter().filter(|model| unusable(model).is_none()).collect(),
        Err(_) => Vec::new(),
    };
    let content = html! {
        div.chat #chat data-conversation=(conversation.map_or("", |conversation| conversation.id.as_str())) {
            (bar(session, conversation, title))
            div.scroll #scroll {
                div #messages role="log" aria-label="Conversation" {
                    @match conversation {
                        None => (empty(&usable, models)),
                        Some(conversation) => {
                            @for turn in &conversation.turns { (one(turn)) }
                        }
                    }
                }
            }
            (composer(&usable, chosen, conversation.map(|conversation| &conversation.settings)))
        }
    };
    let aside = sidebar(app, conversation);
    Frame {
        title,
        place: Place::Chat,
        scripts: &["chat.js"],
        aside,
    }
    .page(app, session, &content)
}

fn bar(session: &Session, conversation: Option<&Conversation>, title: &str) -> Markup {
    html! {
        div.bar {
            h1 #title { (title) }
            @if let Some(conversation) = conversation {
                @let path = format!("/chat/{}", conversation.id);
                @let delete = format!("{path}/delete");
                div.actions {
                    details.menu {
                        summary.button.quiet { "Rename" }
                        form.inline method="post" action={ (path) "/rename" } {
                            (form_token(session))
                            div.field {
                                label for="new-title" { "Title" }
                                input #new-title type="text" name="title" required maxlength=(MAX_TITLE_CHARACTERS) value=(title) autocomplete="off";
                            }
                            button.main type="submit" { "Rename" }
                        }
                    }
                    (asking("Delete", &delete_question(title, &delete)))
                }
            }
        }
    }
}

fn delete_question<'a>(title: &'a str, action: &'a str) -> Question<'a> {
    Question {
        title: "Delete this conversation?",
        text: title,
        yes: "Delete",
        action,
        back: "/chat",
    }
}

fn empty(usable: &[&ModelSummary], models: &Result<Vec<ModelSummary>, Problem>) -> Markup {
    html! {
        div.welcome #welcome {
            @match models {
                Err(problem) => (away(problem)),
                Ok(_) if usable.is_empty() => {
                    p.lead { "No model can chat yet." }
                    p { "Hand one in on the " a href="/models" { "Models" } " page. It is inspected first, and can be chosen here once it is admitted." }
                }
                Ok(_) => {
                    p.lead { "What would you like to know?" }
                    p.hint { "The model runs on this machine, in a process without network or files. What you write stays here." }
                    @if usable.iter().any(|model| model.name.starts_with("guide")) {
                        ul.questions hidden aria-label="Questions for the guide model" {
                            @for question in QUESTIONS { li { button.quiet type="button" data-question=(question) { (question) } } }
                        }
                    }
                }
            }
        }
    }
}

/// A turn. The page's script builds new ones in the same form.
fn one(turn: &Turn) -> Markup {
    let by_person = turn.role != Speaker::Assistant;
    html! {
        article.turn.user[by_person].assistant[!by_person] data-state=(state_name(turn.state)) {
            h2.away { @if by_person { "You" } @else { "Answer" } }
            @if by_person {
                div.text.typed { (turn.text) }
            } @else {
                div.text { (markdown::html(&markdown::tree(&turn.text))) }
                @if let Some(said) = answer::note(turn) { (note(tone(turn.state), &said)) }
                p.caption { (answer::caption(turn)) }
            }
        }
    }
}

const fn tone(state: TurnState) -> Tone {
    match state {
        TurnState::Failed => Tone::Bad,
        TurnState::Interrupted => Tone::Warn,
        _ => Tone::Plain,
    }
}

const fn state_name(state: TurnState) -> &'static str {
    match state {
        TurnState::Generating => "generating",
        TurnState::Complete => "complete",
        TurnState::Length => "length",
        TurnState::Stopped => "stopped",
        TurnState::Interrupted => "interrupted",
        TurnState::Failed => "failed",
    }
}

fn composer(usable: &[&ModelSummary], chosen: Option<Digest>, settings: Option<&Settings>) -> Markup {
    let chosen = chosen.filter(|chosen| usable.iter().any(|model| model.digest == *chosen));
    let blank = Settings::default();
    let settings = settings.unwrap_or(&blank);
    html! {
        form.composer #composer autocomplete="off" {
            noscript { p.note.plain { "Chatting on this page needs JavaScript, because the answer comes word by word. Reading, renaming and deleting conversations works without. So does " code { "holdfast chat" } " in a terminal." } }
            p.status #status role="status" {}
            div.box {
                label.away for="prompt" { "Message" }
                textarea #prompt name="text" rows="1" placeholder="Write a message" disabled[usable.is_empty()] {}
                div.tools {
                    label.away for="model" { "Model" }
                    select #model name="model" disabled[usable.is_empty()] {
                        @for model in usable {
                            option value=(model.digest) selected[chosen == Some(model.digest)] { (model.name) }
                        }
                        @if usable.is_empty() { option value="" { "No model" } }
                    }
                    details.menu.up #settings {
                        summary.button.quiet { "Settings" }
                        div.panel {
                            div.field {
                                label for="temperature" { "Temperature" }
                                input #temperature type="number" min="0" max="2" step="0.1" placeholder="automatic" value=[settings.temperature];
                                p.hint { "0 always takes the likeliest word; higher values vary more. Empty: 0 for very small models, 0.7 for others." }
                            }
                            div.field {
                                label for="max-tokens" { "Longest answer, in tokens" }
                                input #max-tokens type="number" min="1" max="131072" step="1" placeholder="no limit" value=[settings.max_tokens];
                            }
                            div.field {
                                label for="system" { "System prompt" }
                                textarea #system rows="4" placeholder="Instructions that the model gets before the conversation" { (settings.system) }
                            }
                        }
                    }
                    span.go {
                        button.quiet #again type="button" hidden { "Answer again" }
                        button #stop type="button" hidden { "Stop" }
                        button.main #send type="submit" disabled { "Send" }
                    }
                }
            }
        }
    }
}

fn sidebar(app: &App, current: Option<&Conversation>) -> Markup {
    let all = app.history.list();
    html! {
        nav.conversations aria-label="Conversations" {
            a.button #new href="/chat" { "New conversation" }
            details #history open {
                summary { "Conversations" }
                (conversation_list(all.iter().take(MAX_LISTED), current))
                @if all.is_empty() { p.hint #none { "What you talk about is kept here until you delete it." } }
                @if app.history.damaged() > 0 { p.hint { (app.history.damaged()) " could not be read; the log has the reason." } }
                @if !all.is_empty() { a.hint href="/chat/all" { "All conversations" } }
            }
        }
    }
}

fn conversation_list<'a>(list: impl Iterator<Item = &'a Summary>, current: Option<&Conversation>) -> Markup {
    html! {
        ul #conversations {
            @for one in list {
                li {
                    a href={ "/chat/" (one.id) } aria-current=[current.filter(|current| current.id == one.id).map(|_| "page")] { (one.title) }
                }
            }
        }
    }
}

/// `GET /chat/all`
pub async fn all(State(app): State<Arc<App>>, SignedIn(session): SignedIn) -> Html<String> {
    let list = app.history.list();
    let question = delete_all_question();
    let content = html! {
        div.column {
            div.line {
                h1 { "All conversations" }
                @if !list.is_empty() || app.history.damaged() > 0 { (asking("Delete all", &question)) }
            }
            @if list.is_empty() {
                p.empty { "There is no conversation." }
            } @else {
                ul.rows {
                    @for one in &list {
                        li { div.line { a href={ "/chat/" (one.id) } { (one.title) } span.hint { (words::time(one.updated_at)) } } }
                    }
                }
            }
        }
    };
    let aside = html! { nav.conversations aria-label="Conversations" { a.button href="/chat" { "New conversation" } } };
    Frame {
        title: "All conversations",
        place: Place::Chat,
        scripts: &[],
        aside,
    }
    .page(&app, &session, &content)
}

const fn delete_all_question() -> Question<'static> {
    Question {
        title: "Delete all conversations?",
        text: "Every conversation on this machine is removed. This cannot be undone.",
        yes: "Delete all",
        action: "/chat/delete-all",
        back: "/chat/all",
    }
}

/// `GET /chat/delete-all`
pub async fn ask_delete_all(State(app): State<Arc<App>>, SignedIn(session): SignedIn) -> Html<String> {
    confirm(&app, &session, Place::Chat, &delete_all_question())
}

/// `GET /chat/{id}/delete`
///
/// # Errors
///
/// When there is no such conversation.
pub async fn ask_delete(
    State(app): State<Arc<App>>,
    SignedIn(session): SignedIn,
    Path(id): Path<String>,
) -> Result<Html<String>, PageError> {
    let conversation = app.history.load(&parse(&id)?).await.map_err(Problem::from)?;
    let action = format!("/chat/{}/delete", conversation.id);
    Ok(confirm(
        &app,
        &session,
        Place::Chat,
        &delete_question(&conversation.title, &action),
    ))
}
