//! The OpenAI-compatible API below `/v1/`, for programs with a token. Shapes and error codes are those that `OpenAI`'s own
//! clients expect; what this version cannot do is refused by name, never ignored.
//!
//! No cookie is looked at here, and no other site is allowed to call (no CORS).

mod chat;
mod completions;
mod embeddings;
mod error;
mod fields;
mod generate;
mod models;
mod wire;

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::extract::{FromRequest, Request};
use axum::routing::{get, post};
use holdfast_contract::Timestamp;
use holdfast_contract::ledger::{Event, Outcome};
use holdfast_contract::limits::MAX_JSON_BYTES;
use http::{HeaderMap, header};
use serde_json::json;

pub use error::ApiError;
use fields::Fields;

use crate::app::App;
use crate::auth::whole;
use crate::words;

/// The routes of the API.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::one))
        .route("/v1/chat/completions", post(chat::complete))
        .route("/v1/completions", post(completions::complete))
        .route("/v1/embeddings", post(embeddings::embed))
        .route("/v1", get(error::no_such_route))
        .route("/v1/{*path}", axum::routing::any(error::no_such_route))
        .method_not_allowed_fallback(error::method_not_allowed)
}

/// Proof that a request carries a valid token.
#[derive(Debug)]
struct Caller;

impl axum::extract::FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut http::request::Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        authenticate(app, &parts.headers).await
    }
}

async fn authenticate(app: &App, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        return Err(ApiError::unauthorised(
            "You have to send an API token: Authorization: Bearer hf_…. The API page makes one.",
        ));
    };
    let throttle = || app.wrong_tokens.lock().unwrap_or_else(PoisonError::into_inner);
    if app.tokens.find(token, Timestamp::now()).is_some() {
        throttle().succeeded();
        return Ok(Caller);
    }
    let now = Instant::now();
    let wait = throttle().wait(now);
    if let Some(wait) = wait {
        let (seconds, text) = words::wait(wait);
        return Err(ApiError::too_many(
            seconds,
            &format!("There were several wrong API tokens. Wait {text}, then try again with the right one."),
        ));
    }
    throttle().failed(now);
    tracing::warn!("a wrong API token was refused");
    let refused = app
        .neighbours
        .record(
            Event::ConsoleToken,
            Outcome::Denied,
            "unknown",
            json!({ "act": "used" }),
        )
        .await;
    if let Err(problem) = refused {
        tracing::error!(%problem, "a refused API token was not recorded");
    }
    Err(ApiError::unauthorised(
        "This API token is not valid. It may have been revoked.",
    ))
}

/// The body of a request with a valid token.
#[derive(Debug)]
struct Authorised(Fields);

impl FromRequest<Arc<App>> for Authorised {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        authenticate(app, &parts.headers).await?;
        let bytes = whole(body, MAX_JSON_BYTES).await?;
        Ok(Self(Fields::parse(&bytes)?))
    }
}
