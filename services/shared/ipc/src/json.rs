//! JSON in and out of handlers, problems as errors, and streams of events.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use holdfast_contract::Problem;
use holdfast_contract::limits::MAX_JSON_BYTES;
use holdfast_contract::problem::ProblemKind;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A JSON body. As an extractor it reads at most [`MAX_JSON_BYTES`] and answers a problem to anything else; types
/// reject unknown fields themselves.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

/// A query string, decoded like a JSON body.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

/// A problem as a handler's error.
#[derive(Debug, Clone)]
pub struct Failure(pub Problem);

/// What a handler returns.
pub type Answer<T> = Result<Json<T>, Failure>;

/// Carries `work` out even where the caller goes away before it is done: what was begun is not left half done.
///
/// # Errors
///
/// What `work` returns; an internal problem when it panics.
pub async fn carry_out<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Answer<T> {
    match tokio::spawn(work).await {
        Ok(done) => Ok(Json(done?)),
        Err(error) => {
            tracing::error!(%error, "a request ended without a result");
            let detail = "the service failed; its log has the cause";
            Err(Problem::new(ProblemKind::Internal, detail).into())
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        respond(status, "application/problem+json", &self.0)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        respond(StatusCode::OK, "application/json", &self.0)
    }
}

fn respond<T: Serialize>(status: StatusCode, media_type: &'static str, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => (
            status,
            [(header::CONTENT_TYPE, HeaderValue::from_static(media_type))],
            bytes,
        )
            .into_response(),
        Err(error) => {
            tracing::error!(%error, "answer not serialised");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let body = Limited::new(request.into_body(), MAX_JSON_BYTES)
            .collect()
            .await
            .map_err(|error| {
                if error.downcast_ref::<LengthLimitError>().is_some() {
                    let detail = format!("the request body is larger than {MAX_JSON_BYTES} bytes");
                    Problem::new(ProblemKind::TooLarge, detail)
                } else {
                    Problem::new(ProblemKind::Invalid, "the request body did not arrive whole")
                }
            })?;
        let value = serde_json::from_slice(&body.to_bytes()).map_err(|error| {
            Problem::new(
                ProblemKind::Invalid,
                format!("the request body is not what was expected: {error}"),
            )
        })?;
        Ok(Self(value))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        axum::extract::Query::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|rejection| {
                let detail = format!("the query is not what was expected: {}", rejection.body_text());
                Problem::new(ProblemKind::Invalid, detail).into()
            })
    }
}

/// An answer that streams events, one JSON object a line (`application/x-ndjson`). It ends when `stream` does; when the caller
/// goes away, `stream` is dropped.
pub fn events<T, S>(stream: S) -> Response
where
    T: Serialize,
    S: Stream<Item = T> + Send + 'static,
{
    let lines = stream.map(|event| {
        serde_json::to_vec(&event).map(|mut line| {
            line.push(b'\n');
            Bytes::from(line)
        })
    });
    let headers = [(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-ndjson"),
    )];
    (headers, Body::from_stream(lines)).into_response()
}
