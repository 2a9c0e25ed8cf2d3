//! The vault's page: how it is, locking and unlocking, what opens it, and panic. Forms only: it works without scripts, and in a hurry.

mod sections;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use holdfast_contract::Problem;
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::vault::{
    Backend, Confirmed, Given, Panic, PanicLevel, RecoveryKey, Secret, SecurityKey, Unlock, VaultState,
    VaultStatus,
};
use http::{HeaderValue, header};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::access::Nothing;
use super::{Frame, PageError, Place, away, form_token};
use crate::app::App;
use crate::auth::{Form, SignedIn};
use crate::session::Session;

/// A TPM takes its time, and so do stretching a passphrase, touching a security key twice, and saying what the firmware will measure: longer than
/// the vault waits for the longest of its changes, sealing with a security key.
const PATIENCE: Duration = Duration::from_mins(6);

/// `GET /vault`
pub async fn page(State(app): State<Arc<App>>, SignedIn(session): SignedIn) -> Response {
    let status = status(&app).await;
    show(&app, &session, &status, None)
}

async fn status(app: &App) -> Result<VaultStatus, Problem> {
    app.neighbours.vault.get("/v1/vault").await
}

/// The page; `said` is what a form came to.
fn show(
    app: &App,
    session: &Session,
    status: &Result<VaultStatus, Problem>,
    said: Option<&Markup>,
) -> Response {
    let content = html! {
        div.column {
            h1 { "Vault" }
            @if let Some(said) = said { (said) }
            @match status {
                Err(problem) => (away(problem)),
                Ok(status) if status.backend == Backend::Directory => (sections::directory()),
                Ok(status) => {
                    @if status.panic.is_some() { (sections::panic(status, session)) }
                    (sections::state(status, session))
                    @if status.state == VaultState::Open { (sections::keys(status, session)) }
                    @if status.panic.is_none() { (sections::panic(status, session)) }
                },
            }
        }
    };
    let page = Frame {
        title: "Vault",
        place: Place::Vault,
        scripts: &[],
        aside: html! {},
    }
    .page(app, session, &content);
    let mut response = page.into_response();
    let counting = status.as_ref().is_ok_and(|status| status.panic.is_some());
    if counting && said.is_none() {
        // The countdown, without a script.
        response
            .headers_mut()
            .insert(header::REFRESH, HeaderValue::from_static("1"));
    }
    response
}

/// A form with one secret, which may be empty.
#[derive(Deserialize)]
pub struct SecretForm {
    secret: Secret,
}

/// A form with a security key's PIN, which may be empty.
#[derive(Deserialize)]
pub struct PinForm {
    pin: Secret,
}

impl From<PinForm> for SecurityKey {
    fn from(form: PinForm) -> Self {
        Self {
            pin: (!form.pin.expose().is_empty()).then_some(form.pin),
        }
    }
}

/// A form with a phrase.
#[derive(Debug, Deserialize)]
pub struct PhraseForm {
    phrase: String,
}

/// The form of a panic level.
#[derive(Debug, Deserialize)]
pub struct PanicForm {
    level: PanicLevel,
    phrase: String,
}

/// Shows the page again with what a change came to; after a success by a redirect, so that reloading does nothing twice.
async fn after<T>(app: &App, session: &Session, done: Result<T, Problem>) -> Response {
    match done {
        Ok(_) => Redirect::to("/vault").into_response(),
        Err(problem) => {
            let mut response = show(app, session, &status(app).await, Some(&away(&problem)));
            *response.status_mut() =
                http::StatusCode::from_u16(problem.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
            response
        }
    }
}

async fn post<B: serde::Serialize + Sync>(app: &App, path: &str, body: &B) -> Result<VaultStatus, Problem> {
    app.neighbours
        .vault
        .clone()
        .with_deadline(PATIENCE)
        .post(path, body)
        .await
}

/// `POST /vault/lock`
pub async fn lock(State(app): State<Arc<App>>, Form(session, Nothing {}): Form<Nothing>) -> Response {
    let done = post(&app, "/v1/lock", &json!({})).await;
    after(&app, &session, done).await
}

/// `POST /vault/unlock`
pub async fn unlock(State(app): State<Arc<App>>, Form(session, form): Form<SecretForm>) -> Response {
    let secret = (!form.secret.expose().is_empty()).then_some(form.secret);
    let done = post(&app, "/v1/unlock", &Unlock { secret }).await;
    after(&app, &session, done).await
}

/// `POST /vault/recovery-key`: shows the new key once, with the form that confirms it.
pub async fn recovery_key(State(app): State<Arc<App>>, Form(session, Nothing {}): Form<Nothing>) -> Response {
    let client = app.neighbours.vault.clone().with_deadline(PATIENCE);
    let made: Result<RecoveryKey, Problem> = client.post("/v1/recovery-key", &json!({})).await;
    let made = match made {
        Ok(made) => made,
        Err(problem) => return after::<()>(&app, &session, Err(problem)).await,
    };
    let content = html! {
        div.column {
            h1 { "Recovery key" }
            section.note.good role="status" {
                p { "Write it down or print it, and keep it away from this machine. It is shown this once." }
                figure.code { figcaption { "recovery key" } pre.wrap tabindex="0" { code #recovery-key { (made.key.expose()) } } }
            }
            (confirmation(&session, None))
        }
    };
    confirmation_page(&app, &session, &content).into_response()
}

fn confirmation(session: &Session, problem: Option<&Problem>) -> Markup {
    html! {
        h2 { "Prove that you have it" }
        @if let Some(problem) = problem { (away(problem)) }
        p { "It counts once you have typed it in. Capitals, blanks and dashes do not matter." }
        form.inline method="post" action="/vault/recovery-key/confirm" {
            (form_token(session))
            div.field {
                label for="confirm-secret" { "Recovery key" }
                input #confirm-secret type="text" name="secret" required maxlength="200" autocomplete="off" autocapitalize="off" spellcheck="false";
            }
            button.main type="submit" { "Confirm" }
        }
        p { a href="/vault" { "Back, without a confirmed key" } }
    }
}

fn confirmation_page(app: &App, session: &Session, content: &Markup) -> Html<String> {
    Frame {
        title: "Recovery key",
        place: Place::Vault,
        scripts: &[],
        aside: html! {},
    }
    .page(app, session, content)
}

/// `POST /vault/recovery-key/confirm`
pub async fn confirm(State(app): State<Arc<App>>, Form(session, form): Form<SecretForm>) -> Response {
    let done = post(&app, "/v1/recovery-key/confirm", &Given { secret: form.secret }).await;
    match done {
        Err(problem) if problem.kind == ProblemKind::Denied => {
            let content =
                html! { div.column { h1 { "Recovery key" } (confirmation(&session, Some(&problem))) } };
            let mut response = confirmation_page(&app, &session, &content).into_response();
            *response.status_mut() = http::StatusCode::FORBIDDEN;
            response
        }
        done => after(&app, &session, done).await,
    }
}

/// `POST /vault/passphrase`
pub async fn passphrase(State(app): State<Arc<App>>, Form(session, form): Form<SecretForm>) -> Response {
    let done = post(&app, "/v1/passphrase", &Given { secret: form.secret }).await;
    after(&app, &session, done).await
}

/// `POST /vault/passphrase/remove`
pub async fn remove_passphrase(
    State(app): State<Arc<App>>,
    Form(session, Nothing {}): Form<Nothing>,
) -> Response {
    let client = app.neighbours.vault.clone().with_deadline(PATIENCE);
    let done: Result<VaultStatus, Problem> = client.delete("/v1/passphrase").await;
    after(&app, &session, done).await
}

/// `POST /vault/security-key`: answers when the key was touched, or was not in time.
pub async fn enrol_security_key(State(app): State<Arc<App>>, Form(session, form): Form<PinForm>) -> Response {
    let done = post(&app, "/v1/security-key", &SecurityKey::from(form)).await;
    after(&app, &session, done).await
}

/// `POST /vault/security-key/unlock`
pub async fn unlock_with_security_key(
    State(app): State<Arc<App>>,
    Form(session, form): Form<PinForm>,
) -> Response {
    let done = post(&app, "/v1/security-key/unlock", &SecurityKey::from(form)).await;
    after(&app, &session, done).await
}

/// `POST /vault/security-key/seal`
pub async fn seal_with_security_key(
    State(app): State<Arc<App>>,
    Form(session, form): Form<PinForm>,
) -> Response {
    let done = post(&app, "/v1/security-key/seal", &SecurityKey::from(form)).await;
    after(&app, &session, done).await
}

/// `POST /vault/security-key/remove`
pub async fn remove_security_keys(
    State(app): State<Arc<App>>,
    Form(session, Nothing {}): Form<Nothing>,
) -> Response {
    let client = app.neighbours.vault.clone().with_deadline(PATIENCE);
    let done: Result<VaultStatus, Problem> = client.delete("/v1/security-key").await;
    after(&app, &session, done).await
}

/// `POST /vault/seal`
pub async fn seal(State(app): State<Arc<App>>, Form(session, form): Form<SecretForm>) -> Response {
    let done = post(&app, "/v1/tpm", &Given { secret: form.secret }).await;
    after(&app, &session, done).await
}

/// `POST /vault/create`. Making a volume takes minutes; the page shows how far it is.
pub async fn create(State(app): State<Arc<App>>, Form(session, form): Form<PhraseForm>) -> Response {
    let body = Confirmed { phrase: form.phrase };
    let done = post(&app, "/v1/create", &body).await;
    after(&app, &session, done).await
}

/// `POST /vault/panic`
///
/// # Errors
///
/// When the form names no level.
pub async fn panic(
    State(app): State<Arc<App>>,
    Form(session, form): Form<PanicForm>,
) -> Result<Response, PageError> {
    let body = Panic {
        level: form.level,
        phrase: (!form.phrase.is_empty()).then_some(form.phrase),
    };
    let done = post(&app, "/v1/panic", &body).await;
    Ok(after(&app, &session, done).await)
}

/// `POST /vault/panic/call-off`
pub async fn call_off(State(app): State<Arc<App>>, Form(session, Nothing {}): Form<Nothing>) -> Response {
    let done: Result<VaultStatus, Problem> = app.neighbours.vault.delete("/v1/panic").await;
    after(&app, &session, done).await
}
