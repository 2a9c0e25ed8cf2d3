//! Errors on the wire: RFC 9457 problem details.

use serde::{Deserialize, Serialize};

/// The closed set of problems a Holdfast service answers with. The wire form of `type` is
/// `urn:holdfast:problem:<kebab-case name>`; it is stable, so that callers can match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ProblemKind {
    /// The request is not what this service understands: bad JSON, unknown field, impossible value. 400.
    #[serde(rename = "urn:holdfast:problem:invalid")]
    Invalid,
    /// The caller must authenticate first. 401.
    #[serde(rename = "urn:holdfast:problem:unauthenticated")]
    Unauthenticated,
    /// The caller may not do this. 403.
    #[serde(rename = "urn:holdfast:problem:denied")]
    Denied,
    /// There is no such thing. 404.
    #[serde(rename = "urn:holdfast:problem:not-found")]
    NotFound,
    /// The thing is in a state in which this cannot be done. 409.
    #[serde(rename = "urn:holdfast:problem:conflict")]
    Conflict,
    /// A limit on size or count was passed. 413.
    #[serde(rename = "urn:holdfast:problem:too-large")]
    TooLarge,
    /// The artifact was inspected and refused. 422.
    #[serde(rename = "urn:holdfast:problem:refused")]
    Refused,
    /// Too many requests; try again after a pause. 429.
    #[serde(rename = "urn:holdfast:problem:busy")]
    Busy,
    /// The service failed; its log has the cause. 500.
    #[serde(rename = "urn:holdfast:problem:internal")]
    Internal,
    /// A service that is needed does not answer. 503.
    #[serde(rename = "urn:holdfast:problem:unavailable")]
    Unavailable,
    /// The work was not done within its deadline. 504.
    #[serde(rename = "urn:holdfast:problem:deadline")]
    Deadline,
    /// No space left on the device. 507.
    #[serde(rename = "urn:holdfast:problem:no-space")]
    NoSpace,
}

impl ProblemKind {
    /// The HTTP status code that goes with this kind.
    pub const fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthenticated => 401,
            Self::Denied => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Refused => 422,
            Self::Busy => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
            Self::Deadline => 504,
            Self::NoSpace => 507,
        }
    }

    /// A short summary that is the same for every problem of this kind.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Invalid => "The request is not valid",
            Self::Unauthenticated => "Sign in first",
            Self::Denied => "Not allowed",
            Self::NotFound => "Not found",
            Self::Conflict => "Not possible in the present state",
            Self::TooLarge => "Too large",
            Self::Refused => "The artifact was refused",
            Self::Busy => "Busy, try again later",
            Self::Internal => "The service failed",
            Self::Unavailable => "A needed service does not answer",
            Self::Deadline => "Not done in time",
            Self::NoSpace => "No space left",
        }
    }
}

/// Problem details (RFC 9457), media type `application/problem+json`.
///
/// `detail` is one sentence for a person; `next` says what to do, where something can be done. Neither ever
/// holds a secret, a prompt or a path outside Holdfast's own directories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{title}: {detail}")]
pub struct Problem {
    /// What kind of problem, as a stable URN.
    #[serde(rename = "type")]
    pub kind: ProblemKind,
    /// The kind in words.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// What happened, to what.
    pub detail: String,
    /// What the caller can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Problem {
    /// A problem of `kind` with one sentence about what happened.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: detail.into(),
            next: None,
        }
    }

    /// Adds what the caller can do about it.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}
