//! The API page: tokens, and how to use them. The examples hold this console's own address, so that they work as they stand.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use holdfast_contract::ledger::{Event, Outcome};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::{Problem, Timestamp};
use http::{HeaderMap, header};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::access::Nothing;
use super::{Frame, PageError, Place, Question, asking, confirm, form_token};
use crate::app::App;
use crate::auth::{Form, SignedIn};
use crate::neighbours::unusable;
use crate::session::Session;
use crate::tokens::{MAX_NAME_CHARACTERS, Token, TokensError};
use crate::words;

/// `GET /api`
pub async fn page(
    State(app): State<Arc<App>>,
    SignedIn(session): SignedIn,
    headers: HeaderMap,
) -> Html<String> {
    show(&app, &session, &headers, None).await
}

async fn show(
    app: &App,
    session: &Session,
    headers: &HeaderMap,
    made: Option<(&str, &Token)>,
) -> Html<String> {
    let models = app.neighbours.models().await.unwrap_or_default();
    let model = models
        .iter()
        .find(|model| unusable(model).is_none())
        .map_or("MODEL", |model| model.name.as_str());
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or(app.hosts.main());
    let content = html! {
        div.column {
            h1 { "API" }
            p { "Programs that speak the OpenAI API can use the admitted models. They reach this machine's loopback address only, with a token." }
            @if let Some((secret, token)) = made { (shown_once(secret, token)) }
            section aria-labelledby="tokens-title" {
                h2 #tokens-title { "Tokens" }
                (token_list(&app.tokens.list()))
                form.inline method="post" action="/api/tokens" {
                    (form_token(session))
                    div.field {
                        label for="name" { "Name of a new token" }
                        input #name type="text" name="name" required maxlength=(MAX_NAME_CHARACTERS) placeholder="for example: laptop" autocomplete="off";
                    }
                    button.main type="submit" { "Create token" }
                }
            }
            (examples(host, model, made.map(|(secret, _)| secret)))
        }
    };
    Frame {
        title: "API",
        place: Place::Api,
        scripts: &[],
        aside: html! {},
    }
    .page(app, session, &content)
}

fn shown_once(secret: &str, token: &Token) -> Markup {
    html! {
        section.note.good #new-token role="status" {
            h2 { "The token “" (token.name) "”" }
            p { "Copy it now: it is shown this once and cannot be shown again." }
            figure.code { figcaption { "token" } pre tabindex="0" { code #token { (secret) } } }
        }
    }
}

fn token_list(tokens: &[Token]) -> Markup {
    html! {
        @if tokens.is_empty() {
            p.empty { "There is no token yet." }
        } @else {
            ul.rows {
                @for token in tokens {
                    li {
                        div.line {
                            strong { (token.name) }
                            (asking("Revoke", &revoke_question(&token.name, &format!("/api/tokens/{}/revoke", token.id))))
                        }
                        p.hint {
                            "Created " (words::time(token.created_at)) " · "
                            @match token.used_at {
                                Some(used) => { "last used " (words::time(used)) },
                                None => "never used",
                            }
                        }
                    }
                }
            }
        }
    }
}

fn revoke_question<'a>(name: &'a str, action: &'a str) -> Question<'a> {
    Question {
        title: "Revoke this token?",
        text: name,
        yes: "Revoke",
        action,
        back: "/api",
    }
}

fn examples(host: &str, model: &str, secret: Option<&str>) -> Markup {
    let token = secret.unwrap_or("hf_…");
    html! {
        section #examples aria-labelledby="examples-title" {
            h2 #examples-title { "How to use it" }
            p { "Address and token, for the examples below and for most programs:" }
            (code("shell", "example-env", &environment(host, token)))
            h3 { "curl" }
            (code("shell", "example-curl", &curl(model)))
            h3 { "Python, with the openai package" }
            (code("python", "example-python", &python(model)))
            p.hint {
                "There are " code { "/v1/models" } ", " code { "/v1/chat/completions" } ", " code { "/v1/completions" } " and " code { "/v1/embeddings" }
                ". Tools, images and JSON mode are not in this version and are refused with a clear error."
            }
        }
    }
}

fn code(language: &str, id: &str, text: &str) -> Markup {
    html! { figure.code { figcaption { (language) } pre tabindex="0" { code id=(id) { (text) } } } }
}

/// Lines for a shell.
pub fn environment(host: &str, token: &str) -> String {
    format!("export OPENAI_BASE_URL=http://{host}/v1\nexport OPENAI_API_KEY={token}\n")
}

/// A chat with curl. The model's name holds nothing that the shell or JSON would read otherwise: the registry
/// makes names of letters, digits, dots, dashes and underscores; should it ever not, the name is left for the reader to put in.
pub fn curl(model: &str) -> String {
    format!(
        r#"curl -N "$OPENAI_BASE_URL/chat/completions" \
  -H "Authorization: Bearer $OPENAI_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{{"model": "{}", "stream": true, "messages": [{{"role": "user", "content": "What is Holdfast?"}}]}}'
"#,
        plain_name(model)
    )
}

/// A chat with the `openai` package.
pub fn python(model: &str) -> String {
    format!(
        r#"from openai import OpenAI

client = OpenAI()  # reads OPENAI_BASE_URL and OPENAI_API_KEY
stream = client.chat.completions.create(
    model="{}",
    messages=[{{"role": "user", "content": "What is Holdfast?"}}],
    stream=True,
)
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="", flush=True)
print()
"#,
        plain_name(model)
    )
}

fn plain_name(model: &str) -> &str {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+: ".contains(&byte);
    if model.bytes().all(plain) { model } else { "MODEL" }
}

/// The form of a new token.
#[derive(Debug, Deserialize)]
pub struct NewToken {
    name: String,
}

/// `POST /api/tokens`
///
/// # Errors
///
/// When it cannot be recorded or kept; then there is no token.
pub async fn create(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Form(session, form): Form<NewToken>,
) -> Result<Response, PageError> {
    let (secret, token) = app
        .tokens
        .create(&form.name, Timestamp::now())
        .map_err(|error| refused(&error))?;
    let detail = json!({ "act": "created", "name": token.name });
    if let Err(problem) = app
        .neighbours
        .record(Event::ConsoleToken, Outcome::Allowed, &token.id, detail)
        .await
    {
        // Nobody has seen the secret yet; without a record there must be no token.
        if let Err(error) = app.tokens.revoke(&token.id) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "an unrecorded token could not be removed from disk"
            );
        }
        tracing::error!(%problem, "a token was not recorded, so it was not made");
        let detail = "the token could not be written to the ledger, so it was not made";
        return Err(Problem::new(ProblemKind::Unavailable, detail)
            .next("Try again in a moment.")
            .into());
    }
    Ok(show(&app, &session, &headers, Some((&secret, &token)))
        .await
        .into_response())
}

/// `GET /api/tokens/{id}/revoke`
///
/// # Errors
///
/// When there is no such token.
pub async fn ask_revoke(
    State(app): State<Arc<App>>,
    SignedIn(session): SignedIn,
    Path(id): Path<String>,
) -> Result<Html<String>, PageError> {
    let token = app
        .tokens
        .list()
        .into_iter()
        .find(|token| token.id == id)
        .ok_or_else(no_such_token)?;
    let action = format!("/api/tokens/{}/revoke", token.id);
    Ok(confirm(
        &app,
        &session,
        Place::Api,
        &revoke_question(&token.name, &action),
    ))
}

/// `POST /api/tokens/{id}/revoke`. It is done even if it cannot be recorded: it takes authority away.
///
/// # Errors
///
/// When there is no such token, or the file cannot be written.
pub async fn revoke(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Form(_, Nothing {}): Form<Nothing>,
) -> Result<Response, PageError> {
    let token = app
        .tokens
        .revoke(&id)
        .map_err(|error| refused(&error))?
        .ok_or_else(no_such_token)?;
    let detail = json!({ "act": "revoked", "name": token.name });
    if let Err(problem) = app
        .neighbours
        .record(Event::ConsoleToken, Outcome::Allowed, &token.id, detail)
        .await
    {
        tracing::error!(%problem, "the revocation of a token was not recorded");
    }
    Ok(Redirect::to("/api").into_response())
}

fn no_such_token() -> PageError {
    Problem::new(ProblemKind::NotFound, "there is no such token").into()
}

fn refused(error: &TokensError) -> PageError {
    match error {
        TokensError::TooMany(_) => Problem::new(ProblemKind::TooLarge, error.to_string()).into(),
        TokensError::Store(store) if store.is_no_space() => {
            Problem::new(ProblemKind::NoSpace, "the disk is full, so nothing was changed").into()
        }
        _ => {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "the tokens could not be changed"
            );
            Problem::new(ProblemKind::Internal, "the tokens could not be changed")
                .next("The log has the cause.")
                .into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_name_cannot_break_out_of_the_examples() {
        assert!(curl("guide-v1.2").contains("\"model\": \"guide-v1.2\""));
        assert!(curl("x'; rm -rf ~ #").contains("\"model\": \"MODEL\""));
        assert!(python("x\", evil(), \"").contains("model=\"MODEL\""));
    }
}
