//! Errors in `OpenAI`'s shape: `{"error": {"message", "type", "param", "code"}}`.

use axum::response::{IntoResponse, Response};
use holdfast_contract::Problem;
use holdfast_contract::problem::ProblemKind;
use holdfast_ipc::Json;
use http::{Method, StatusCode, Uri, header};
use serde::Serialize;

use crate::words;

/// An error as `OpenAI`'s clients understand it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    retry_after: Option<u64>,
    inner: Inner,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Inner {
    message: String,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<String>,
    code: Option<&'static str>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: &'a Inner,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        let inner = Inner {
            message: message.into(),
            kind,
            param: None,
            code: None,
        };
        Self {
            status,
            retry_after: None,
            inner,
        }
    }

    /// A field is wrong.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message);
        error.inner.param = Some(param.into());
        error
    }

    /// The body as a whole is wrong.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    /// A field asks for what this version cannot do.
    pub fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
        let mut error = Self::invalid(param, message);
        error.inner.code = Some("unsupported_parameter");
        error
    }

    /// There is no valid token.
    pub fn unauthorised(message: &str) -> Self {
        let mut error = Self::new(StatusCode::UNAUTHORIZED, "invalid_request_error", message);
        error.inner.code = Some("invalid_api_key");
        error
    }

    /// Too many wrong tokens.
    pub fn too_many(seconds: u64, message: &str) -> Self {
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message);
        error.inner.code = Some("rate_limit_exceeded");
        error.retry_after = Some(seconds);
        error
    }

    /// There is no such model.
    pub fn no_model(name: &str) -> Self {
        let message = format!("The model \"{name}\" does not exist. GET /v1/models lists those that do.");
        let mut error = Self::new(StatusCode::NOT_FOUND, "invalid_request_error", message);
        error.inner.param = Some("model".to_owned());
        error.inner.code = Some("model_not_found");
        error
    }

    /// The prompt is longer than the model's context, where a problem of inference means that.
    pub fn from_generation(problem: &Problem, param: &str) -> Self {
        let mut error = Self::from(problem.clone());
        if problem.kind == ProblemKind::TooLarge {
            error.status = StatusCode::BAD_REQUEST;
            error.inner.param = Some(param.to_owned());
            error.inner.code = Some("context_length_exceeded");
        }
        error
    }

    /// The error as one line of JSON, for the middle of a stream.
    pub fn line(&self) -> String {
        serde_json::to_string(&Envelope { error: &self.inner }).unwrap_or_default()
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (kind, code) = match problem.kind {
            ProblemKind::Busy => ("rate_limit_error", Some("rate_limit_exceeded")),
            ProblemKind::Conflict => ("invalid_request_error", Some("model_not_available")),
            kind if kind.status() >= 500 => ("server_error", None),
            _ => ("invalid_request_error", None),
        };
        let mut error = Self::new(status, kind, words::problem(&problem));
        error.inner.code = code;
        error
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(Envelope { error: &self.inner })).into_response();
        // `Json` answers 200 by itself; the tuple put the right status over it.
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                header::HeaderValue::from_static("Bearer"),
            );
        }
        response
    }
}

/// Everything else below `/v1/`.
pub async fn no_such_route(method: Method, uri: Uri) -> ApiError {
    let message = format!(
        "There is no {method} {} here. There are /v1/models, /v1/chat/completions, /v1/completions and /v1/embeddings.",
        uri.path()
    );
    let mut error = ApiError::new(StatusCode::NOT_FOUND, "invalid_request_error", message);
    error.inner.code = Some("unknown_url");
    error
}

/// A path that is there, with a method that is not.
pub async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let message = format!("{method} is not possible on {}.", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", message)
}
