//! Asking another service over its role socket. Connections are kept and used again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use holdfast_contract::Problem;
use holdfast_contract::limits::{MAX_ANSWER_BYTES, MAX_EVENT_BYTES, REQUEST_DEADLINE};
use holdfast_contract::problem::ProblemKind;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::trace;

/// The error of a request body's stream.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;
type RequestBody = UnsyncBoxBody<Bytes, BodyError>;
type Sender = SendRequest<RequestBody>;

/// How many unused connections are kept.
const MOST_IDLE: usize = 32;

/// A client of one role socket. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
    deadline: Duration,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Sender>>,
}

impl Client {
    /// A client of the socket at `path`. Nothing is connected yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let shared = Arc::new(Shared {
            path: path.into(),
            idle: Mutex::default(),
        });
        // A little longer than the server's own deadline, so that its answer is the one that is seen.
        Self {
            shared,
            deadline: REQUEST_DEADLINE + Duration::from_secs(2),
        }
    }

    /// The same client with another deadline for plain requests.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// `GET path`.
    ///
    /// # Errors
    ///
    /// The service's own problem, or `Unavailable`, `Deadline` or `Internal` when there is no proper answer.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        self.plain(Method::GET, path, Bytes::new()).await
    }

    /// `DELETE path`.
    ///
    /// # Errors
    ///
    /// Like [`Client::get`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        self.plain(Method::DELETE, path, Bytes::new()).await
    }

    /// `POST path` with a JSON body.
    ///
    /// # Errors
    ///
    /// Like [`Client::get`].
    pub async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Problem> {
        self.plain(Method::POST, path, encode(body)?).await
    }

    /// `GET path` where the answer is text, such as a checkpoint.
    ///
    /// # Errors
    ///
    /// Like [`Client::get`].
    pub async fn get_text(&self, path: &str) -> Result<String, Problem> {
        let bytes = self
            .within_deadline(self.collect(Method::GET, path, Bytes::new()))
            .await?;
        String::from_utf8(bytes.to_vec()).map_err(|_| self.nonsense("its answer is not text"))
    }

    /// `POST path` with a JSON body, answered by a stream of events. The deadline holds for the start of the answer.
    ///
    /// # Errors
    ///
    /// Like [`Client::get`].
    pub async fn post_events<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<Events<T>, Problem> {
        let request = Self::request(Method::POST, path, full(encode(body)?))?;
        let (response, _) = self.within_deadline(self.send(request)).await?;
        self.events(response).await
    }

    /// `POST path` with a streamed body, answered by a stream of events. There is no deadline: the caller knows how
    /// long its body takes.
    ///
    /// # Errors
    ///
    /// Like [`Client::get`].
    pub async fn upload_events<S, E, T>(
        &self,
        path: &str,
        length: Option<u64>,
        body: S,
    ) -> Result<Events<T>, Problem>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<BodyError> + 'static,
        T: DeserializeOwned,
    {
        use futures_util::TryStreamExt as _;
        let frames = body.map_ok(http_body::Frame::data).map_err(Into::into);
        let body = http_body_util::StreamBody::new(frames).boxed_unsync();
        let mut request = Self::request(Method::POST, path, body)?;
        if let Some(length) = length {
            request
                .headers_mut()
                .insert(header::CONTENT_LENGTH, length.into());
        }
        let (response, _) = self.send(request).await?;
        self.events(response).await
    }

    async fn events<T: DeserializeOwned>(&self, response: Response<Incoming>) -> Result<Events<T>, Problem> {
        if response.status().is_success() {
            return Ok(Events::new(response.into_body()));
        }
        let status = response.status();
        let body = self.within_deadline(self.body(response.into_body())).await?;
        Err(self.problem(status, &body))
    }

    async fn plain<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, Problem> {
        let bytes = self.within_deadline(self.collect(method, path, body)).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| self.nonsense(&format!("its answer is not understood: {error}")))
    }

    async fn collect(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, Problem> {
        let (response, sender) = self.send(Self::request(method, path, full(body))?).await?;
        let status = response.status();
        let bytes = self.body(response.into_body()).await?;
        self.keep(sender);
        if status.is_success() {
            Ok(bytes)
        } else {
            Err(self.problem(status, &bytes))
        }
    }

    fn request(method: Method, path: &str, body: RequestBody) -> Result<Request<RequestBody>, Problem> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "holdfast")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|error| {
                Problem::new(
                    ProblemKind::Invalid,
                    format!("{path:?} is not a request path: {error}"),
                )
            })?;
        if let Some(traceparent) = trace::current() {
            request.headers_mut().insert(trace::HEADER, traceparent);
        }
        Ok(request)
    }

    /// Sends over a kept connection, or a new one where the kept ones turn out to be closed.
    async fn send(&self, mut request: Request<RequestBody>) -> Result<(Response<Incoming>, Sender), Problem> {
        while let Some(mut sender) = self.idle() {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, sender)),
                Err(mut error) => match error.take_message() {
                    // It was not sent: the server had closed the idle connection.
                    Some(unsent) => request = unsent,
                    None => return Err(self.unavailable(&error.into_error())),
                },
            }
        }
        let mut sender = self.connect().await.map_err(|error| self.unavailable(&error))?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| self.unavailable(&error))?;
        Ok((response, sender))
    }

    async fn connect(&self) -> Result<Sender, BodyError> {
        let stream = connect(&self.shared.path).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "client connection ended");
            }
        });
        Ok(sender)
    }

    fn idle(&self) -> Option<Sender> {
        let mut idle = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(sender) = idle.pop() {
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MOST_IDLE && !sender.is_closed() {
            idle.push(sender);
        }
    }

    async fn body(&self, body: Incoming) -> Result<Bytes, Problem> {
        let collected = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        collected
            .map(http_body_util::Collected::to_bytes)
            .map_err(|error| self.unavailable(&error))
    }

    async fn within_deadline<T>(&self, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
        timeout(self.deadline, work).await.unwrap_or_else(|_| {
            let detail = format!(
                "{} did not answer within {} s",
                self.name(),
                self.deadline.as_secs()
            );
            Err(Problem::new(ProblemKind::Deadline, detail))
        })
    }

    fn problem(&self, status: StatusCode, body: &[u8]) -> Problem {
        serde_json::from_slice(body)
            .unwrap_or_else(|_| self.nonsense(&format!("it answered {status} without a reason")))
    }

    fn nonsense(&self, detail: &str) -> Problem {
        Problem::new(ProblemKind::Internal, format!("{}: {detail}", self.name()))
    }

    fn unavailable(&self, error: &(impl std::fmt::Display + ?Sized)) -> Problem {
        Problem::new(
            ProblemKind::Unavailable,
            format!("{} does not answer: {error}", self.name()),
        )
        .next("See `holdfast status`; a service that failed is started again by itself.")
    }

    /// `<service>/<role>`, from the path.
    fn name(&self) -> String {
        let mut parts = self
            .shared
            .path
            .iter()
            .rev()
            .map(|part| part.to_string_lossy().into_owned());
        let role = parts.next().unwrap_or_default();
        format!(
            "{}/{}",
            parts.next().unwrap_or_default(),
            role.trim_end_matches(".sock")
        )
    }
}

/// Connects to a socket whose path may be longer than a socket address can hold (107 bytes).
async fn connect(path: &Path) -> io::Result<UnixStream> {
    use std::os::fd::AsRawFd as _;

    use rustix::fs::{CWD, Mode, OFlags, openat};
    const LONGEST: usize = 107;
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if path.as_os_str().len() > LONGEST => {
            let directory = openat(
                CWD,
                parent,
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            let short = Path::new("/proc/self/fd")
                .join(directory.as_raw_fd().to_string())
                .join(name);
            UnixStream::connect(short).await
        }
        _ => UnixStream::connect(path).await,
    }
}

fn encode<B: Serialize>(body: &B) -> Result<Bytes, Problem> {
    serde_json::to_vec(body).map(Bytes::from).map_err(|error| {
        Problem::new(
            ProblemKind::Internal,
            format!("the request cannot be written as JSON: {error}"),
        )
    })
}

fn full(bytes: Bytes) -> RequestBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// The events of a streamed answer. Dropping it closes the connection, which cancels the request.
#[derive(Debug)]
pub struct Events<T> {
    body: Incoming,
    buffer: BytesMut,
    event: std::marker::PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Events<T> {
    fn new(body: Incoming) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            event: std::marker::PhantomData,
        }
    }

    /// The next event, or `None` at the end of the answer.
    ///
    /// # Errors
    ///
    /// When the answer breaks off, or a line is too long or not a `T`. Nothing follows then.
    pub async fn next(&mut self) -> Option<Result<T, Problem>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                return Some(serde_json::from_slice(&line).map_err(|error| {
                    Problem::new(
                        ProblemKind::Internal,
                        format!("an event is not understood: {error}"),
                    )
                }));
            }
            if self.buffer.len() > MAX_EVENT_BYTES {
                return Some(Err(Problem::new(ProblemKind::Internal, "an event is too long")));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => {
                    let detail = format!("the answer broke off: {error}");
                    return Some(Err(Problem::new(ProblemKind::Unavailable, detail)));
                }
                None if self.buffer.is_empty() => return None,
                None => {
                    self.buffer.clear();
                    return Some(Err(Problem::new(
                        ProblemKind::Unavailable,
                        "the answer broke off",
                    )));
                }
            }
        }
    }
}
