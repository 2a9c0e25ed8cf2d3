//! The role sockets `submit` and `read`: handing in a file and following what becomes of it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures_util::stream;
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::quarantine::{Submission, SubmissionEvent, Submissions, SubmitQuery};
use holdfast_contract::status::ServiceStatus;
use holdfast_contract::{Problem, Timestamp};
use holdfast_formats::text;
use holdfast_ipc::{Answer, Failure, Json, Peer, Query, events};
use http::{HeaderMap, header};
use tokio::sync::OwnedSemaphorePermit;

use crate::directory::Nameless;
use crate::receive::{drain, too_large, write_problem};
use crate::register::Entry;
use crate::service::Quarantine;

/// The longest name that is kept, in bytes; an ellipsis may follow it.
const MAX_NAME_BYTES: usize = 250;

type Shared = State<Arc<Quarantine>>;

/// What `submit` answers.
pub fn submit(quarantine: Arc<Quarantine>) -> Router {
    Router::new()
        .route("/v1/submissions", post(take_in))
        .with_state(quarantine)
}

/// What `read` answers.
pub fn read(quarantine: Arc<Quarantine>) -> Router {
    Router::new()
        .route("/v1/submissions", get(submissions))
        .route("/v1/submissions/{id}", get(submission))
        .route("/v1/status", get(status))
        .with_state(quarantine)
}

async fn take_in(
    State(quarantine): Shared,
    peer: Peer,
    Query(query): Query<SubmitQuery>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let name = display_name(&query.name);
    match begin(&quarantine, &peer, name, query.disarm, &headers).await {
        Ok((entry, file, place)) => {
            tokio::spawn(quarantine.take_in(Arc::clone(&entry), file, body, peer, place));
            events(following(&entry))
        }
        Err(problem) => {
            // A caller that is still sending must not find the door shut before it has heard why.
            drain(body);
            Failure(problem).into_response()
        }
    }
}

/// Everything that can be refused before a byte is taken in.
async fn begin(
    quarantine: &Quarantine,
    peer: &Peer,
    name: String,
    disarm: bool,
    headers: &HeaderMap,
) -> Result<(Arc<Entry>, Nameless, OwnedSemaphorePermit), Problem> {
    if name.is_empty() {
        return Err(Problem::new(
            ProblemKind::Invalid,
            "the file has no name that could be shown",
        ));
    }
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let Ok(place) = Arc::clone(&quarantine.places).try_acquire_owned() else {
        let detail = format!(
            "{} files are on their way already",
            quarantine.config.submissions_at_once
        );
        return Err(Problem::new(ProblemKind::Busy, detail).next("Try again when one of them is done."));
    };
    let room = match length {
        Some(length) if length > quarantine.config.max_artifact_bytes => {
            Err(too_large(quarantine.config.max_artifact_bytes))
        }
        length => {
            let file = quarantine.intake.nameless(length);
            let entry = file.and_then(|file| {
                Ok((
                    file,
                    quarantine
                        .register
                        .begin(&name, disarm, length, Timestamp::now())?,
                ))
            });
            entry.map_err(|error| write_problem(&error))
        }
    };
    match room {
        Ok((file, entry)) => Ok((entry, file, place)),
        Err(problem) => {
            quarantine
                .record_failure("a file that was not taken in", &name, &peer.name, &problem)
                .await;
            Err(problem)
        }
    }
}

/// The events of a submission, the latest as often as the caller takes one, and the last.
fn following(entry: &Entry) -> impl futures_util::Stream<Item = SubmissionEvent> + Send + 'static {
    stream::unfold(Some(entry.follow()), async |events| {
        let mut events = events?;
        events.changed().await.ok()?;
        let event = events.borrow_and_update().clone()?;
        let is_last = matches!(event, SubmissionEvent::Ended { .. });
        Some((event, (!is_last).then_some(events)))
    })
}

async fn submissions(State(quarantine): Shared) -> Answer<Submissions> {
    Ok(Json(Submissions {
        submissions: quarantine.register.list(),
    }))
}

async fn submission(State(quarantine): Shared, Path(id): Path<String>) -> Answer<Submission> {
    let missing = || Failure(Problem::new(ProblemKind::NotFound, "there is no such submission"));
    Ok(Json(quarantine.register.find(&id).ok_or_else(missing)?))
}

async fn status(State(quarantine): Shared) -> Answer<ServiceStatus> {
    Ok(Json(quarantine.status()))
}

/// What of a name is shown and kept: its last part, without characters that do not show or that change how others show.
fn display_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    text::bounded(last, MAX_NAME_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_without_what_could_deceive() {
        assert_eq!(display_name("model.gguf"), "model.gguf");
        assert_eq!(display_name("../../etc/passwd"), "passwd");
        assert_eq!(display_name("C:\\models\\a.gguf"), "a.gguf");
        assert_eq!(display_name("a\u{202e}fugg.\u{0}exe"), "afugg.exe");
        assert_eq!(display_name("dir/"), "");
        assert_eq!(display_name("\u{1b}\u{200b}"), "");
        assert!(display_name(&"ä".repeat(1000)).len() <= 255);
    }
}
