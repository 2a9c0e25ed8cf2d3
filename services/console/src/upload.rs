//! Handing a file in: its bytes go straight through to quarantine, as fast as quarantine takes them and never kept here.
//!
//! The answer is quarantine's own event stream. Where quarantine ends it before all bytes have come, the rest is read and
//! thrown away for a while: a browser that is still sending could not read the answer otherwise.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::Stream;
use holdfast_contract::Problem;
use holdfast_contract::limits::MAX_ARTIFACT_BYTES;
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::quarantine::{SubmissionEvent, SubmitQuery};
use holdfast_ipc::{Failure, events};
use http::header;
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::auth::Script;

/// The longest file name, in bytes.
const MAX_FILE_NAME_BYTES: usize = 255;
/// An upload from which nothing comes for so long is given up.
const STALL: Duration = Duration::from_mins(1);
/// How long, and how much of, a body that nobody wants any more is read.
const DRAIN: Duration = Duration::from_secs(10);
const DRAIN_BYTES: usize = 4 << 30;

/// Query of an upload.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadQuery {
    name: String,
    #[serde(default)]
    disarm: bool,
}

/// A line of the answer: quarantine's events, or why there are no more of them.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Told {
    Event(SubmissionEvent),
    Failed { event: &'static str, problem: Problem },
}

/// `POST /models/upload?name=…[&disarm=true]` with the file as the body.
///
/// # Errors
///
/// When the file is too large, too many others are coming in, or quarantine does not take it.
pub async fn upload(
    State(app): State<Arc<App>>,
    Query(query): Query<UploadQuery>,
    _: Script,
    request: Request,
) -> Result<Response, Failure> {
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    let body = Passing {
        body: Some(request.into_body()),
    };
    if query.name.is_empty() || query.name.len() > MAX_FILE_NAME_BYTES {
        let detail = format!("a file name has 1 to {MAX_FILE_NAME_BYTES} bytes");
        return Err(Problem::new(ProblemKind::Invalid, detail).into());
    }
    if length.is_some_and(|length| length > MAX_ARTIFACT_BYTES) {
        let detail = format!("the file is larger than {} GiB", MAX_ARTIFACT_BYTES >> 30);
        return Err(Problem::new(ProblemKind::TooLarge, detail).into());
    }
    let Ok(place) = Arc::clone(&app.uploads).try_acquire_owned() else {
        let busy = Problem::new(ProblemKind::Busy, "several files are being handed in already");
        return Err(busy.next("Try again when one of them is done.").into());
    };
    let submission = SubmitQuery {
        name: query.name,
        disarm: query.disarm,
    };
    let path = serde_urlencoded::to_string(submission)
        .map(|query| format!("/v1/submissions?{query}"))
        .map_err(|_| Problem::new(ProblemKind::Invalid, "the file name cannot be passed on"))?;
    let mut coming = app
        .neighbours
        .submit
        .upload_events::<_, _, SubmissionEvent>(&path, length, body.chunks())
        .await?;
    let (out, mut told) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        let _place = place;
        let mut ended = false;
        while let Some(event) = coming.next().await {
            let line = match event {
                Ok(event) => {
                    ended = matches!(event, SubmissionEvent::Ended { .. });
                    Told::Event(event)
                }
                Err(problem) => {
                    ended = true;
                    Told::Failed {
                        event: "failed",
                        problem,
                    }
                }
            };
            // A page that was closed does not stop the inspection of what has arrived whole.
            let _ = out.send(line).await;
            if ended {
                return;
            }
        }
        if !ended {
            let problem = Problem::new(
                ProblemKind::Unavailable,
                "quarantine ended in the middle of the work",
            );
            let _ = out
                .send(Told::Failed {
                    event: "failed",
                    problem,
                })
                .await;
        }
    });
    Ok(events(futures_util::stream::poll_fn(move |context| {
        told.poll_recv(context)
    })))
}

/// Why the bytes stopped coming.
#[derive(Debug, thiserror::Error)]
enum BodyError {
    #[error("nothing came for {} s", STALL.as_secs())]
    Stalled,
    #[error("the upload broke off")]
    Broken(#[source] axum::Error),
}

/// A body on its way through. What is left of it when it is dropped is read and thrown away, within limits.
struct Passing {
    body: Option<Body>,
}

impl Passing {
    fn chunks(self) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static {
        futures_util::stream::unfold(self, async |mut passing| {
            let next = tokio::time::timeout(STALL, next_chunk(passing.body.as_mut()?)).await;
            match next {
                Ok(Some(Ok(chunk))) => Some((Ok(chunk), passing)),
                Ok(None) => {
                    passing.body = None;
                    None
                }
                Ok(Some(Err(error))) => {
                    passing.body = None;
                    Some((Err(BodyError::Broken(error)), passing))
                }
                Err(_) => {
                    passing.body = None;
                    Some((Err(BodyError::Stalled), passing))
                }
            }
        })
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        let Some(mut body) = self.body.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(tokio::time::timeout(DRAIN, async move {
            let mut drained = 0;
            while let Some(Ok(chunk)) = next_chunk(&mut body).await {
                drained += chunk.len();
                if drained > DRAIN_BYTES {
                    return;
                }
            }
        }));
    }
}

async fn next_chunk(body: &mut Body) -> Option<Result<Bytes, axum::Error>> {
    loop {
        match body.frame().await? {
            Ok(frame) => {
                // Trailers are no part of the file.
                if let Ok(chunk) = frame.into_data() {
                    return Some(Ok(chunk));
                }
            }
            Err(error) => return Some(Err(error)),
        }
    }
}
