//! The Models page: handing a file in, what is admitted, and what became of everything that was handed in.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use holdfast_contract::limits::MAX_ARTIFACT_BYTES;
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::quarantine::{Stage, Submission};
use holdfast_contract::registry::{Availability, ModelSummary};
use holdfast_contract::{Digest, Problem};
use maud::{Markup, html};

use super::access::Nothing;
use super::{Frame, PageError, Place, Question, asking, away, badge, confirm, note, report};
use crate::app::App;
use crate::auth::{Form, SignedIn};
use crate::neighbours::unusable;
use crate::words::{self, Tone};

/// So many of the newest submissions are listed.
const MAX_LISTED: usize = 50;

/// `GET /models`
pub async fn list(State(app): State<Arc<App>>, SignedIn(session): SignedIn) -> Html<String> {
    let (models, submissions) = tokio::join!(app.neighbours.models(), app.neighbours.submissions());
    let content = html! {
        div.column {
            h1 { "Models" }
            (hand_in())
            section #registry aria-labelledby="registry-title" {
                h2 #registry-title { "Admitted" }
                @match &models {
                    Err(problem) => (away(problem)),
                    Ok(models) if models.is_empty() => p.empty { "No model is admitted yet. Hand one in above; the guide model comes in by itself at the first start." },
                    Ok(models) => ul.cards { @for model in models { (model_card(model)) } },
                }
            }
            section #submissions aria-labelledby="submissions-title" {
                h2 #submissions-title { "Handed in" }
                @match &submissions {
                    Err(problem) => (away(problem)),
                    Ok(submissions) if submissions.is_empty() => p.empty { "Nothing was handed in yet." },
                    Ok(submissions) => ul.rows { @for submission in submissions.iter().take(MAX_LISTED) { (submission_row(submission)) } },
                }
            }
        }
    };
    Frame {
        title: "Models",
        place: Place::Models,
        scripts: &["models.js"],
        aside: html! {},
    }
    .page(&app, &session, &content)
}

fn hand_in() -> Markup {
    html! {
        section.drop #drop aria-labelledby="drop-title" data-limit=(MAX_ARTIFACT_BYTES) {
            h2 #drop-title { "Import a model" }
            p {
                "Drop a file here, or "
                label.button for="file" { "choose a file" }
                input.away #file type="file" name="file" aria-describedby="drop-hint";
            }
            p {
                label {
                    input #disarm type="checkbox" name="disarm" aria-describedby="disarm-hint";
                    " Convert a PyTorch checkpoint to safetensors"
                }
            }
            p.hint #disarm-hint { "Its tensors come in, the program around them does not. Nothing of it is run. Other files come in as they are." }
            p.hint #drop-hint {
                "GGUF or safetensors, up to " (words::size(MAX_ARTIFACT_BYTES)) ". Every byte is inspected by a process that has nothing before the model can be used."
            }
            noscript { p.note.plain { "Importing on this page needs JavaScript. Without it, use " code { "holdfast import FILE" } "." } }
        }
        ol.uploads #uploads aria-label="Imports in progress" {}
    }
}

fn model_card(model: &ModelSummary) -> Markup {
    let path = format!("/models/{}", model.digest);
    let delete = format!("{path}/delete");
    html! {
        li.card {
            div.line {
                h3 { a href=(path) { (model.name) } }
                (badge(words::verdict(model.verdict)))
                @match model.availability {
                    Availability::Ready => {},
                    Availability::Verifying => (badge(("Being verified", Tone::Warn))),
                    Availability::Damaged => (badge(("Damaged", Tone::Bad))),
                }
            }
            p.hint { (summary_line(model)) }
            @if !model.conditions.is_empty() { (report::conditions(&model.conditions)) }
            div.actions {
                @match unusable(model) {
                    None => a.button href={ "/chat?model=" (model.digest) } { "Chat" },
                    Some(why) => span.hint { "No chat: " (why) },
                }
                a.button.quiet href=(path) { "Report" }
                (asking("Delete", &delete_question(&model.name, &delete)))
            }
        }
    }
}

fn summary_line(model: &ModelSummary) -> Markup {
    let facts = model.model.as_ref();
    html! {
        (model.format)
        @if let Some(architecture) = facts.and_then(|facts| facts.architecture.as_deref()) { " · " (architecture) }
        @if let Some(facts) = facts { " · " (words::count(facts.parameters)) " weights" }
        @if let Some(tensor_type) = facts.and_then(|facts| facts.tensor_type.as_deref()) { " · " (tensor_type) }
        " · " (words::bytes(model.size_bytes))
        " · admitted " (words::time(model.admitted_at))
    }
}

fn delete_question<'a>(name: &'a str, action: &'a str) -> Question<'a> {
    Question {
        title: "Delete this model?",
        text: name,
        yes: "Delete",
        action,
        back: "/models",
    }
}

fn submission_row(submission: &Submission) -> Markup {
    html! {
        li data-stage=[is_running(submission.stage).then_some("running")] {
            div.line {
                a href={ "/models/submissions/" (submission.id) } { (submission.name) }
                (badge(submission_badge(submission)))
            }
            p.hint {
                (words::time(submission.received_at))
                @if let Some(why) = short_reason(submission) { " · " (why) }
            }
        }
    }
}

const fn is_running(stage: Stage) -> bool {
    matches!(
        stage,
        Stage::Receiving | Stage::Inspecting | Stage::Converting | Stage::Admitting
    )
}

fn submission_badge(submission: &Submission) -> (&'static str, Tone) {
    match (submission.stage, &submission.report) {
        (Stage::Admitted, Some(report)) => words::verdict(report.verdict),
        (stage, _) => words::stage(stage),
    }
}

fn short_reason(submission: &Submission) -> Option<String> {
    match submission.stage {
        Stage::Refused => submission
            .report
            .as_ref()?
            .findings
            .first()
            .map(|finding| words::sentence(&finding.message)),
        Stage::Failed => submission.problem.as_ref().map(words::problem),
        _ => None,
    }
}

/// `GET /models/{digest}`
///
/// # Errors
///
/// When there is no such model, or the registry is away.
pub async fn detail(
    State(app): State<Arc<App>>,
    SignedIn(session): SignedIn,
    Path(digest): Path<String>,
) -> Result<Html<String>, PageError> {
    let digest = parse(&digest)?;
    let model = app.neighbours.model(&digest).await?;
    let delete = format!("/models/{digest}/delete");
    let content = html! {
        div.column {
            p.back { a href="/models" { "Models" } }
            div.line { h1 { (model.summary.name) } (badge(words::verdict(model.summary.verdict))) }
            @if let Some(why) = unusable(&model.summary) { (note(Tone::Warn, &words::sentence(&format!("it cannot be used for chat: {why}")))) }
            div.actions {
                @if unusable(&model.summary).is_none() { a.button href={ "/chat?model=" (digest) } { "Chat" } }
                (asking("Delete", &delete_question(&model.summary.name, &delete)))
            }
            section.report {
                h2 { "Report" }
                (report::report(&model.report))
            }
            section {
                h2 { "In the store" }
                dl.facts {
                    dt { "Admitted" } dd { (words::time(model.summary.admitted_at)) }
                    dt { "OCI manifest" } dd.code { (model.manifest) }
                    dt { "Scan statement" } dd.code { (model.statement) }
                }
            }
        }
    };
    let frame = Frame {
        title: &model.summary.name,
        place: Place::Models,
        scripts: &[],
        aside: html! {},
    };
    Ok(frame.page(&app, &session, &content))
}

/// `GET /models/{digest}/delete`
///
/// # Errors
///
/// When there is no such model, or the registry is away.
pub async fn ask_delete(
    State(app): State<Arc<App>>,
    SignedIn(session): SignedIn,
    Path(digest): Path<String>,
) -> Result<Html<String>, PageError> {
    let model = app.neighbours.model(&parse(&digest)?).await?;
    let action = format!("/models/{}/delete", model.summary.digest);
    Ok(confirm(
        &app,
        &session,
        Place::Models,
        &delete_question(&model.summary.name, &action),
    ))
}

/// `POST /models/{digest}/delete`
///
/// # Errors
///
/// When there is no such model, or the registry is away or refuses.
pub async fn delete(
    State(app): State<Arc<App>>,
    Path(digest): Path<String>,
    Form(_, Nothing {}): Form<Nothing>,
) -> Result<Response, PageError> {
    app.neighbours.remove_model(&parse(&digest)?).await?;
    Ok(Redirect::to("/models").into_response())
}

fn parse(digest: &str) -> Result<Digest, Problem> {
    digest
        .parse()
        .map_err(|_| Problem::new(ProblemKind::NotFound, "there is no such model"))
}

/// `GET /models/submissions/{id}`
///
/// # Errors
///
/// When there is no such submission, or quarantine is away.
pub async fn submission(
    State(app): State<Arc<App>>,
    SignedIn(session): SignedIn,
    Path(id): Path<String>,
) -> Result<Html<String>, PageError> {
    let submission = app.neighbours.submission(&id).await?;
    let content = html! {
        div.column {
            p.back { a href="/models" { "Models" } }
            div.line { h1 { (submission.name) } }
            (verdict(&submission))
            dl.facts {
                dt { "Handed in" } dd { (words::time(submission.received_at)) }
                @if let Some(ended) = submission.ended_at { dt { "Ended" } dd { (words::time(ended)) } }
                dt { "Submission" } dd.code { (submission.id) }
            }
        }
    };
    let frame = Frame {
        title: &submission.name,
        place: Place::Models,
        scripts: &[],
        aside: html! {},
    };
    Ok(frame.page(&app, &session, &content))
}

/// What became of a submission. The page's script takes this part into the card of an upload that has ended.
fn verdict(submission: &Submission) -> Markup {
    html! {
        section.report #verdict data-stage=(words::stage(submission.stage).0) {
            div.line {
                h2 { "Verdict" }
                (badge(submission_badge(submission)))
            }
            @match submission.stage {
                Stage::Admitted => p { "The model is in the registry and can be used." },
                Stage::Refused => p { "The file was refused and its bytes are gone. Nothing of it was kept but this report." },
                Stage::Failed => p { "The file could not be brought to a verdict, and its bytes are gone." },
                _ => p { "The work is not done yet. Reload the page to see how it goes on." },
            }
            @if let Some(problem) = &submission.problem { (away(problem)) }
            @if let Some(model) = &submission.model {
                div.actions {
                    @if unusable(model).is_none() { a.button href={ "/chat?model=" (model.digest) } { "Chat with " (model.name) } }
                    a.button.quiet href={ "/models/" (model.digest) } { "See it in the registry" }
                }
            }
            @if let Some(found) = &submission.report { (report::report(found)) }
        }
    }
}
