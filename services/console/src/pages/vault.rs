//! The vault's page: how it is, locking and unlocking, what opens it, and panic. Forms only: it works without scripts, and in a hurry.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use holdfast_contract::Problem;
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::vault::{
    Backend, CREATE_PHRASE, Confirmed, Countdown, Firmware, Given, MAX_PIN_BYTES, MAX_SECRET_BYTES,
    MIN_PASSPHRASE_CHARS, Panic, PanicLevel, RecoveryKey, Secret, SecurityKey, Unlock, VaultState,
    VaultStatus,
};
use http::{HeaderValue, header};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::access::Nothing;
use super::{Frame, PageError, Place, away, badge, form_token, note};
use crate::app::App;
use crate::auth::{Form, SignedIn};
use crate::session::Session;
use crate::words::{self, Tone};

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
                Ok(status) if status.backend == Backend::Directory => (directory()),
                Ok(status) => {
                    @if status.panic.is_some() { (panic_section(status, session)) }
                    (state(status, session))
                    @if status.state == VaultState::Open { (keys(status, session)) }
                    @if status.panic.is_none() { (panic_section(status, session)) }
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

fn directory() -> Markup {
    html! {
        div.line { h2 { "State" } (badge(("Not encrypted", Tone::Warn))) }
        p { "This is evaluation mode: the vault is a directory. Nothing in it is encrypted, so nothing can be locked or destroyed." }
        p { "On the appliance the vault is an encrypted volume that only this machine's TPM, a recovery key, a passphrase or a security key opens." }
    }
}

fn word(state: VaultState) -> (&'static str, Tone) {
    match state {
        VaultState::Preparing => ("Being prepared", Tone::Warn),
        VaultState::Shut => ("Shut", Tone::Bad),
        VaultState::Open => ("Open", Tone::Good),
        VaultState::Locked => ("Locked", Tone::Warn),
        VaultState::Erased => ("Erased", Tone::Bad),
        VaultState::Foreign => ("Not this appliance's", Tone::Bad),
    }
}

fn explanation(state: VaultState) -> &'static str {
    match state {
        VaultState::Preparing => "It is being made. This takes a minute or two, once.",
        VaultState::Shut => {
            "It has not been opened since the machine started: models and conversations are in it, encrypted."
        }
        VaultState::Open => {
            "Models and conversations are in it. Its key is in the kernel's memory and nowhere else outside the TPM."
        }
        VaultState::Locked => {
            "Its key is out of the kernel. Whatever works with files in it waits, and goes on when it is unlocked."
        }
        VaultState::Erased => "Its keys were destroyed. Nobody can read what was in it.",
        VaultState::Foreign => "What is on the disk is not what this appliance put there.",
    }
}

fn state(status: &VaultStatus, session: &Session) -> Markup {
    html! {
        section aria-labelledby="state-title" {
            div.line { h2 #state-title { "State" } (badge(word(status.state))) }
            p { (explanation(status.state)) }
            @if let Some(problem) = &status.problem { (note(Tone::Bad, &words::sentence(problem))) }
            p.hint {
                "Since " (words::time(status.since)) " · "
                @match status.lock_after_minutes {
                    Some(minutes) => { "locks itself after " (minutes) " minutes without use" },
                    None => "never locks itself",
                }
            }
            @match status.state {
                VaultState::Open => {
                    form.actions method="post" action="/vault/lock" {
                        (form_token(session))
                        button type="submit" { "Lock" }
                    }
                },
                VaultState::Locked | VaultState::Shut => {
                    form.actions method="post" action="/vault/unlock" {
                        (form_token(session))
                        input type="hidden" name="secret" value="";
                        button.main type="submit" { "Unlock with the TPM" }
                    }
                    form.inline method="post" action="/vault/unlock" {
                        (form_token(session))
                        (secret_field("unlock-secret", "Or with the recovery key or the passphrase"))
                        button type="submit" { "Unlock" }
                    }
                    @if status.keys.security_key {
                        form.inline method="post" action="/vault/security-key/unlock" {
                            (form_token(session))
                            (pin_field("unlock-pin", "PIN of the security key", status.keys.security_key_pin))
                            button type="submit" { "Unlock with the security key" }
                        }
                        p.hint { "Then touch the key when it blinks. It has to be plugged in since the machine started." }
                    }
                },
                VaultState::Preparing if status.problem.is_none() => {},
                VaultState::Preparing | VaultState::Erased | VaultState::Foreign => {
                    form.inline method="post" action="/vault/create" {
                        (form_token(session))
                        (phrase_field("create-phrase", CREATE_PHRASE))
                        button.danger type="submit" { "Make a new vault" }
                    }
                },
            }
        }
    }
}

fn keys(status: &VaultStatus, session: &Session) -> Markup {
    let row = |has: bool| {
        if has {
            ("Yes", Tone::Good)
        } else {
            ("No", Tone::Plain)
        }
    };
    html! {
        section aria-labelledby="keys-title" {
            h2 #keys-title { "What opens it" }
            dl.facts {
                dt { "This machine's TPM" } dd { (badge(row(status.keys.tpm))) }
                dt { "A recovery key" } dd { (badge(row(status.keys.recovery_key))) }
                dt { "A passphrase" } dd { (badge(row(status.keys.passphrase))) }
                dt { "A security key" } dd { (badge(row(status.keys.security_key))) }
            }
            @if !status.keys.recovery_key {
                (note(Tone::Warn, "Without a recovery key everything is lost when the TPM stops agreeing: after some firmware updates, or with the mainboard."))
            }
            h3 { "Recovery key" }
            p { "It is shown once, and counts when it was typed in again. A recovery key from before stops working then." }
            form.actions method="post" action="/vault/recovery-key" {
                (form_token(session))
                button.main[!status.keys.recovery_key] type="submit" {
                    @if status.keys.recovery_key { "Make another recovery key" } @else { "Make a recovery key" }
                }
            }
            h3 { "Passphrase" }
            form.inline method="post" action="/vault/passphrase" {
                (form_token(session))
                div.field {
                    label for="passphrase" { "New passphrase, " (MIN_PASSPHRASE_CHARS) " characters or more" }
                    input #passphrase type="password" name="secret" required minlength=(MIN_PASSPHRASE_CHARS) maxlength=(MAX_SECRET_BYTES) autocomplete="new-password";
                }
                button type="submit" { "Set" }
            }
            @if status.keys.passphrase {
                form.actions method="post" action="/vault/passphrase/remove" {
                    (form_token(session))
                    button type="submit" { "Remove the passphrase" }
                }
            }
            (security_key(status, session))
            h3 { "TPM" }
            @if let Some(firmware) = status.firmware { (pinned(firmware)) }
            p.hint { "Seal the vault anew after a change of the firmware or its settings that you made yourself." }
            form.inline method="post" action="/vault/seal" {
                (form_token(session))
                (secret_field("seal-secret", "Recovery key or passphrase"))
                button type="submit" { "Seal to the TPM" }
            }
            @if status.keys.security_key {
                form.inline method="post" action="/vault/security-key/seal" {
                    (form_token(session))
                    (pin_field("seal-pin", "PIN of the security key", status.keys.security_key_pin))
                    button type="submit" { "Seal to the TPM with the security key" }
                }
            }
        }
    }
}

fn security_key(status: &VaultStatus, session: &Session) -> Markup {
    html! {
        h3 { "Security key" }
        p { "A FIDO2 key with hmac-secret, plugged in when the machine starts. After pressing the button touch the key each time it blinks, twice in all." }
        form.inline method="post" action="/vault/security-key" {
            (form_token(session))
            (pin_field("security-key-pin", "Its PIN, if it is to ask for it each time", true))
            button type="submit" {
                @if status.keys.security_key { "Enrol another security key" } @else { "Enrol the security key" }
            }
        }
        @if status.keys.security_key {
            form.actions method="post" action="/vault/security-key/remove" {
                (form_token(session))
                button type="submit" { "Remove every security key" }
            }
        }
    }
}

/// A field for a PIN, which may stay empty; where no key asks for one, there is none to fill in.
fn pin_field(id: &str, label: &str, shown: bool) -> Markup {
    html! {
        @if shown {
            div.field {
                label for=(id) { (label) }
                input id=(id) type="password" name="pin" maxlength=(MAX_PIN_BYTES) autocomplete="off";
            }
        } @else {
            input type="hidden" name="pin" value="";
        }
    }
}

/// Whether the TPM's key depends on the firmware, and if not, why.
fn pinned(firmware: Firmware) -> Markup {
    html! {
        @if firmware.is_pinned() {
            p { "Firmware pinned: the TPM gives its key only where the firmware is the one that the vault was sealed under." }
        } @else {
            (note(Tone::Plain, &words::sentence(&firmware.to_string())))
        }
    }
}

fn secret_field(id: &str, label: &str) -> Markup {
    html! {
        div.field {
            label for=(id) { (label) }
            input id=(id) type="password" name="secret" required maxlength=(MAX_SECRET_BYTES) autocomplete="off";
        }
    }
}

fn phrase_field(id: &str, phrase: &str) -> Markup {
    html! {
        div.field {
            label for=(id) { "Type “" (phrase) "”" }
            input id=(id) type="text" name="phrase" required maxlength="100" autocomplete="off" autocapitalize="off" spellcheck="false";
        }
    }
}

fn panic_section(status: &VaultStatus, session: &Session) -> Markup {
    html! {
        section #panic aria-labelledby="panic-title" {
            h2 #panic-title { "Panic" }
            @match &status.panic {
                Some(countdown) => (counting(*countdown, session)),
                None => {
                    p { "Each level is counted down and can be called off until then. It is recorded first, and looked at afterwards." }
                    (level(PanicLevel::Lock, "Lock", "The key leaves the kernel at once. The TPM gives it back when you unlock.", session))
                    (level(PanicLevel::RemoveTpm, "Lock and remove the TPM’s key", "Only the recovery key, the passphrase or a security key opens the vault afterwards.", session))
                    (level(PanicLevel::Erase, "Destroy every key", "Nobody can read the vault again, you included. The machine turns itself off.", session))
                },
            }
        }
    }
}

fn level(level: PanicLevel, name: &str, does: &str, session: &Session) -> Markup {
    let id = format!("panic-{}", level.number());
    html! {
        h3 { (level.number()) ". " (name) }
        p.hint { (does) }
        form.inline method="post" action="/vault/panic" {
            (form_token(session))
            input type="hidden" name="level" value=(level);
            @match level.phrase() {
                Some(phrase) => (phrase_field(&id, phrase)),
                None => { input type="hidden" name="phrase" value=""; },
            }
            button.danger type="submit" { (name) }
        }
    }
}

fn counting(countdown: Countdown, session: &Session) -> Markup {
    html! {
        div.note.bad role="alert" {
            @if countdown.seconds == 0 {
                p { strong { "Level " (countdown.level.number()) " is being carried out." } }
            } @else {
                p { strong { "Level " (countdown.level.number()) " in " (countdown.seconds) " s" } }
                form.actions method="post" action="/vault/panic/call-off" {
                    (form_token(session))
                    button.main type="submit" autofocus { "Call it off" }
                }
            }
        }
    }
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
