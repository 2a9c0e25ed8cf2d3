//! Who is asking: the session of a request, and proof that its own page sent a change of state.
//!
//! Handlers take what they need as arguments ([`SignedIn`], [`Script`], [`Form`]); one that takes none of them is
//! open to everybody who reaches the port.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse as _, Redirect, Response};
use bytes::Bytes;
use holdfast_contract::Problem;
use holdfast_contract::problem::ProblemKind;
use holdfast_ipc::Failure;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::pages::PageError;
use crate::session::Session;

/// The header in which scripts send the session's form token.
pub const FORM_TOKEN: HeaderName = HeaderName::from_static("x-form-token");
/// The largest form, in bytes.
const MAX_FORM_BYTES: usize = 16 << 10;
/// The largest JSON body of a page's script, in bytes: a message and its settings.
const MAX_SCRIPT_BYTES: usize = 256 << 10;
/// How long a body that is read whole may take.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// A page of somebody who signed in. Everybody else is sent to sign in.
#[derive(Debug)]
pub struct SignedIn(pub Session);

/// A request by a script of a page. A change of state has to carry the form token in a header.
#[derive(Debug)]
pub struct Script(pub Session);

/// A change of state by a script of a page, with JSON.
#[derive(Debug)]
pub struct ScriptJson<T>(pub T);

/// A form of a page, with its form token.
#[derive(Debug)]
pub struct Form<T>(pub Session, pub T);

/// A form that is sent without a session: set-up and sign-in.
#[derive(Debug)]
pub struct OpenForm<T>(pub T);

/// The session that the cookie of a request opens.
pub fn session(app: &App, headers: &HeaderMap) -> Option<Session> {
    let now = Instant::now();
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == app.cookie)
        .find_map(|(_, token)| app.sessions.find(token, now))
}

/// The `Set-Cookie` value that hands a session's secret to the browser. `Secure` and the `__Host-` prefix need
/// https; on the loopback address there is none.
pub fn cookie(app: &App, secret: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!(
        "{}={secret}; Path=/; HttpOnly; SameSite=Strict",
        app.cookie
    ))
    .ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The `Set-Cookie` value that makes the browser forget the session.
pub fn no_cookie(app: &App) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!(
        "{}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0",
        app.cookie
    ))
    .ok()
}

impl FromRequestParts<Arc<App>> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        session(app, &parts.headers)
            .map(Self)
            .ok_or_else(|| to_sign_in(app, parts))
    }
}

fn to_sign_in(app: &App, parts: &Parts) -> Response {
    if !app.account.is_set_up() {
        return Redirect::to("/setup").into_response();
    }
    let wanted = parts
        .uri
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str);
    if wanted == "/" || parts.method != Method::GET {
        return Redirect::to("/sign-in").into_response();
    }
    let query = serde_urlencoded::to_string([("next", wanted)]).unwrap_or_default();
    Redirect::to(&format!("/sign-in?{query}")).into_response()
}

impl FromRequestParts<Arc<App>> for Script {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        let session = session(app, &parts.headers).ok_or_else(|| {
            Problem::new(ProblemKind::Unauthenticated, "the session has ended").next("Sign in again.")
        })?;
        let sent = parts
            .headers
            .get(FORM_TOKEN)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if parts.method != Method::GET && !session.accepts(sent) {
            return Err(forged().into());
        }
        Ok(Self(session))
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<App>> for ScriptJson<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Failure> {
        let (mut parts, body) = request.into_parts();
        Script::from_request_parts(&mut parts, app).await?;
        let bytes = whole(body, MAX_SCRIPT_BYTES).await?;
        let value = serde_json::from_slice(&bytes).map_err(|error| {
            Problem::new(
                ProblemKind::Invalid,
                format!("the request is not what was expected: {error}"),
            )
        })?;
        Ok(Self(value))
    }
}

fn forged() -> Problem {
    Problem::new(
        ProblemKind::Denied,
        "the request does not carry this session's form token",
    )
    .next("Reload the page.")
}

/// The token beside a form's own fields.
#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    form_token: String,
}

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Form<T> {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let session = session(app, &parts.headers).ok_or_else(|| to_sign_in(app, &parts))?;
        let bytes = form_bytes(&parts.headers, body)
            .await
            .map_err(|problem| PageError(problem).into_response())?;
        let token: Token = decode(&bytes).map_err(|problem| PageError(problem).into_response())?;
        if !session.accepts(&token.form_token) {
            return Err(PageError(forged()).into_response());
        }
        let form = decode(&bytes).map_err(|problem| PageError(problem).into_response())?;
        Ok(Self(session, form))
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<App>> for OpenForm<T> {
    type Rejection = PageError;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, PageError> {
        let (parts, body) = request.into_parts();
        let bytes = form_bytes(&parts.headers, body).await.map_err(PageError)?;
        Ok(Self(decode(&bytes).map_err(PageError)?))
    }
}

async fn form_bytes(
    headers: &HeaderMap,
    body: axum::body::Body,
) -> Result<zeroize::Zeroizing<Vec<u8>>, Problem> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if kind.split(';').next().unwrap_or_default().trim() != "application/x-www-form-urlencoded" {
        return Err(Problem::new(ProblemKind::Invalid, "the request is not a form"));
    }
    // Forms carry passphrases: the copy that is decoded is wiped. What the network left in its buffers is overwritten by the
    // next request.
    Ok(zeroize::Zeroizing::new(
        whole(body, MAX_FORM_BYTES).await?.to_vec(),
    ))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // The error may quote what was typed, so it is not passed on.
    serde_urlencoded::from_bytes(bytes)
        .map_err(|_| Problem::new(ProblemKind::Invalid, "the form is not complete"))
}

/// Reads a body of at most `limit` bytes, within ten seconds.
///
/// # Errors
///
/// When it is larger, slower or breaks off.
pub async fn whole(body: axum::body::Body, limit: usize) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(BODY_DEADLINE, Limited::new(body, limit).collect()).await;
    match read {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => Err(Problem::new(
            ProblemKind::TooLarge,
            format!("the request is larger than {limit} bytes"),
        )),
        Ok(Err(_)) => Err(Problem::new(
            ProblemKind::Invalid,
            "the request did not arrive whole",
        )),
        Err(_) => Err(Problem::new(
            ProblemKind::Deadline,
            "the request took too long to arrive",
        )),
    }
}
