//! Set-up, sign-in and sign-out. The only pages that answer without a session.
//!
//! Opening the account is recorded before it takes effect; what cannot be recorded is not done. Passphrases and
//! tokens never reach the ledger, a log or an answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Query, State};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use holdfast_contract::Problem;
use holdfast_contract::ledger::{Event, Outcome};
use holdfast_contract::problem::ProblemKind;
use http::{HeaderMap, StatusCode, header};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::{PageError, card, note};
use crate::account::{AccountError, Attempt, SetUp};
use crate::app::App;
use crate::auth::{self, Form, OpenForm};
use crate::passphrase::{self, Passphrase};
use crate::words::{self, Tone};

/// Whose passphrase it is, in the ledger.
const OWNER: &str = "owner";
/// The longest address that sign-in leads back to, in bytes.
const MAX_NEXT_BYTES: usize = 300;

/// Query of the set-up page.
#[derive(Debug, Deserialize)]
pub struct SetUpQuery {
    token: Option<String>,
}

/// The set-up form.
#[derive(Deserialize)]
pub struct SetUpForm {
    token: String,
    passphrase: String,
    confirmation: String,
}

/// `GET /setup?token=…`
pub async fn set_up_page(State(app): State<Arc<App>>, Query(query): Query<SetUpQuery>) -> Response {
    if app.account.is_set_up() {
        return Redirect::to("/sign-in").into_response();
    }
    match query.token {
        Some(token) if app.account.accepts_setup(&token) => set_up_card(&token, None).into_response(),
        Some(_) => (StatusCode::FORBIDDEN, no_set_up(&app, true)).into_response(),
        None => no_set_up(&app, false).into_response(),
    }
}

/// `POST /setup`
///
/// # Errors
///
/// When the passphrase cannot be kept, or the choice not be recorded.
pub async fn set_up(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    OpenForm(form): OpenForm<SetUpForm>,
) -> Result<Response, PageError> {
    let (chosen, confirmation) = (Zeroizing::new(form.passphrase), Zeroizing::new(form.confirmation));
    let token = Zeroizing::new(form.token);
    if app.account.is_set_up() {
        return Ok(Redirect::to("/sign-in").into_response());
    }
    if !app.account.accepts_setup(&token) {
        return Ok((StatusCode::FORBIDDEN, no_set_up(&app, true)).into_response());
    }
    let passphrase = match Passphrase::choose(chosen, &confirmation) {
        Ok(passphrase) => passphrase,
        Err(error) => {
            let page = set_up_card(&token, Some(&error.to_string()));
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    record(&app, Outcome::Allowed, "set-up").await?;
    match app.account.set_up(&token, passphrase).await {
        Ok(SetUp::Done) => {
            tracing::info!("a passphrase was chosen");
            welcome(&app, &headers, "/")
        }
        Ok(SetUp::AlreadyDone) => Ok(Redirect::to("/sign-in").into_response()),
        Ok(SetUp::WrongToken) => Ok((StatusCode::FORBIDDEN, no_set_up(&app, true)).into_response()),
        Ok(SetUp::Busy) => Err(Problem::new(ProblemKind::Busy, "too many others are setting up").into()),
        Err(error) => {
            note_only(&app, Outcome::Failed, "set-up").await;
            Err(failed(&error))
        }
    }
}

fn set_up_card(token: &str, error: Option<&str>) -> Html<String> {
    let content = html! {
        h1 { "Choose a passphrase" }
        p { "It opens this page from now on. The address that brought you here works only this once." }
        @if let Some(error) = error { (note(Tone::Bad, error)) }
        form method="post" action="/setup" {
            input type="hidden" name="token" value=(token);
            (username())
            div.field {
                label for="passphrase" { "Passphrase" }
                input #passphrase type="password" name="passphrase" required minlength=(passphrase::MIN_CHARACTERS)
                    maxlength=(passphrase::MAX_BYTES) autocomplete="new-password" autofocus
                    aria-describedby="hint strength";
                p.hint #hint {
                    "At least " (passphrase::MIN_CHARACTERS) " characters. Four or five random words are strong and easy to remember."
                }
                p.hint #strength aria-live="polite" {}
            }
            div.field {
                label for="confirmation" { "The same again" }
                input #confirmation type="password" name="confirmation" required minlength=(passphrase::MIN_CHARACTERS)
                    maxlength=(passphrase::MAX_BYTES) autocomplete="new-password";
            }
            button.main type="submit" { "Set up" }
        }
        p.hint { "There is no way to recover a forgotten passphrase. Whoever administers this machine can reset it, see the manual." }
    };
    card("Set up", &["access.js"], &content)
}

fn no_set_up(app: &App, token_given: bool) -> Html<String> {
    let content = html! {
        h1 { "Holdfast is not set up yet" }
        @if token_given {
            (note(Tone::Bad, "The set-up token in this address is not the right one."))
        }
        @if app.account.has_setup_token() {
            p { "Open the address that Holdfast printed when it was started. It holds a token that works once and lets you choose a passphrase." }
            p.hint { "With " code { "make run" } " or " code { "holdfast up" } " it stands in the terminal, below “Open this page once”." }
        } @else {
            p { "This console was started without a set-up token, so nobody can choose a passphrase. Start it with " code { "holdfast up" } " or provide the credential " code { "setup-token" } "." }
        }
    };
    card("Not set up", &[], &content)
}

/// Query and form field that lead back to where somebody wanted to go.
#[derive(Debug, Deserialize)]
pub struct Next {
    next: Option<String>,
}

/// The sign-in form.
#[derive(Deserialize)]
pub struct SignInForm {
    passphrase: String,
    #[serde(default)]
    next: Option<String>,
}

/// `GET /sign-in`
pub async fn sign_in_page(
    State(app): State<Arc<App>>,
    Query(query): Query<Next>,
    headers: HeaderMap,
) -> Response {
    if !app.account.is_set_up() {
        return Redirect::to("/setup").into_response();
    }
    let next = safe_next(query.next);
    if auth::session(&app, &headers).is_some() {
        return Redirect::to(&next).into_response();
    }
    sign_in_card(&next, None, app.account.wait()).into_response()
}

/// `POST /sign-in`
///
/// # Errors
///
/// When the passphrase cannot be checked, or the sign-in not be recorded.
pub async fn sign_in(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    OpenForm(form): OpenForm<SignInForm>,
) -> Result<Response, PageError> {
    let passphrase = Passphrase::offered(Zeroizing::new(form.passphrase));
    let next = safe_next(form.next);
    match app
        .account
        .sign_in(passphrase)
        .await
        .map_err(|error| failed(&error))?
    {
        Attempt::Right => {
            record(&app, Outcome::Allowed, "passphrase").await?;
            welcome(&app, &headers, &next)
        }
        Attempt::Wrong(wait) => {
            tracing::warn!("sign-in refused: wrong passphrase");
            note_only(&app, Outcome::Denied, "passphrase").await;
            let page = sign_in_card(&next, Some("This is not the passphrase."), wait);
            Ok((StatusCode::FORBIDDEN, page).into_response())
        }
        Attempt::TooSoon(wait) => {
            let (seconds, _) = words::wait(wait);
            let page = sign_in_card(&next, None, Some(wait));
            Ok((
                StatusCode::TOO_MANY_REQUESTS,
                [(header::RETRY_AFTER, seconds.to_string())],
                page,
            )
                .into_response())
        }
        Attempt::NotSetUp => Ok(Redirect::to("/setup").into_response()),
    }
}

fn sign_in_card(next: &str, error: Option<&str>, wait: Option<Duration>) -> Html<String> {
    let wait = wait.map(words::wait);
    let content = html! {
        h1 { "Sign in" }
        @if let Some(error) = error { (note(Tone::Bad, error)) }
        @if let Some((seconds, text)) = &wait {
            p.note.warn #wait role="status" data-seconds=(seconds) {
                "There were several wrong passphrases. Wait " span { (text) } ", then try again."
            }
        }
        form method="post" action="/sign-in" {
            input type="hidden" name="next" value=(next);
            (username())
            div.field {
                label for="passphrase" { "Passphrase" }
                input #passphrase type="password" name="passphrase" required maxlength=(passphrase::MAX_BYTES)
                    autocomplete="current-password" autofocus;
            }
            button.main type="submit" { "Sign in" }
        }
    };
    card("Sign in", &["access.js"], &content)
}

/// Password managers want a name beside the passphrase.
fn username() -> Markup {
    html! {
        input.away type="text" name="username" value=(OWNER) autocomplete="username" readonly tabindex="-1" aria-hidden="true";
    }
}

/// A form that holds its form token only.
#[derive(Debug, Deserialize)]
pub struct Nothing {}

/// `POST /sign-out`. It is done even if it cannot be recorded: it takes authority away.
pub async fn sign_out(State(app): State<Arc<App>>, Form(session, Nothing {}): Form<Nothing>) -> Response {
    app.sessions.close(&session);
    if let Err(problem) = app
        .neighbours
        .record(
            Event::ConsoleSignIn,
            Outcome::Noted,
            OWNER,
            json!({ "method": "sign-out" }),
        )
        .await
    {
        tracing::error!(%problem, "a sign-out was not recorded");
    }
    let mut response = Redirect::to("/sign-in").into_response();
    if let Some(cookie) = auth::no_cookie(&app) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Opens a new session; one that the browser had before ends.
fn welcome(app: &App, headers: &HeaderMap, next: &str) -> Result<Response, PageError> {
    if let Some(before) = auth::session(app, headers) {
        app.sessions.close(&before);
    }
    let cookie = app
        .sessions
        .open(Instant::now())
        .ok()
        .and_then(|secret| auth::cookie(app, &secret));
    let cookie = cookie.ok_or_else(|| Problem::new(ProblemKind::Internal, "no session could be opened"))?;
    let mut response = Redirect::to(next).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

async fn record(app: &App, outcome: Outcome, method: &str) -> Result<(), PageError> {
    app.neighbours
        .record(Event::ConsoleSignIn, outcome, OWNER, json!({ "method": method }))
        .await
        .map_err(|problem| {
            tracing::error!(%problem, "a sign-in was not recorded, so it was not done");
            let detail = "the sign-in could not be written to the ledger, so it was not done";
            Problem::new(ProblemKind::Unavailable, detail)
                .next("Try again in a moment, or see `holdfast status`.")
                .into()
        })
}

/// Records what happened in any case: a refusal stands whether it can be recorded or not.
async fn note_only(app: &App, outcome: Outcome, method: &str) {
    let detail = json!({ "method": method });
    if let Err(problem) = app
        .neighbours
        .record(Event::ConsoleSignIn, outcome, OWNER, detail)
        .await
    {
        tracing::error!(%problem, "a refused sign-in was not recorded");
    }
}

fn failed(error: &AccountError) -> PageError {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "the account could not be used"
    );
    let full = matches!(error, AccountError::Store(store) if store.is_no_space());
    if full {
        return Problem::new(ProblemKind::NoSpace, "the disk is full, so nothing was changed").into();
    }
    Problem::new(
        ProblemKind::Internal,
        "the passphrase could not be checked or kept",
    )
    .next("The log has the cause.")
    .into()
}

/// Where to go after sign-in: a path of this page, nothing else.
fn safe_next(next: Option<String>) -> String {
    let is_ours = |path: &String| {
        path.len() <= MAX_NEXT_BYTES
            && path.starts_with('/')
            && !path.starts_with("//")
            && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    next.filter(is_ours).unwrap_or_else(|| "/chat".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_in_leads_back_to_pages_of_this_console_only() {
        assert_eq!(safe_next(Some("/models?x=1".into())), "/models?x=1");
        for elsewhere in [
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "javascript:alert(1)",
            "",
            "/a b",
            "/a\r\nx: y",
        ] {
            assert_eq!(safe_next(Some(elsewhere.into())), "/chat", "{elsewhere}");
        }
        assert_eq!(safe_next(None), "/chat");
    }
}
