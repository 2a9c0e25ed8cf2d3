//! Serving role sockets: who may hold how much for how long, and an orderly end.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse as _;
use holdfast_contract::Problem;
use holdfast_contract::limits::{HEADER_DEADLINE, REQUEST_DEADLINE};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::role::Service;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower_service::Service as _;

use crate::descriptor::{Conversation, DescriptorServer};
use crate::json::Failure;
use crate::peer::{Peer, Users};
use crate::sockets::DescriptorListener;
use crate::stall::StallGuard;
use crate::{notify, trace};

/// How long open connections may go on after the supervisor asked to stop.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);
/// How long a peer may leave an answer unread.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// The largest request head, in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// The most header fields.
const MAX_HEADERS: usize = 64;

/// What one socket grants its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; more wait in the socket's backlog.
    pub connections: usize,
    /// From the end of a request's head to the start of its answer; none for requests that carry a large
    /// body, whose handler sets its own.
    pub answer_within: Option<Duration>,
}

impl Limits {
    /// For short questions.
    pub const PLAIN: Self = Self {
        connections: 128,
        answer_within: Some(REQUEST_DEADLINE),
    };
    /// For uploads: the handler bounds time itself.
    pub const UPLOAD: Self = Self {
        connections: 32,
        answer_within: None,
    };
}

/// Why a daemon stopped serving.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A socket could not be registered with the event loop, or a signal handler not installed.
    #[error("prepare to serve")]
    Prepare(#[from] io::Error),
}

type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The sockets of one daemon, with what answers on them.
pub struct Server {
    service: Service,
    users: Arc<Users>,
    stop: watch::Sender<bool>,
    listeners: Vec<Serving>,
}

impl Server {
    /// A server without sockets. Must be made inside the runtime.
    pub fn new(service: Service) -> Self {
        let users = Arc::new(Users::from_surroundings());
        let (stop, _) = watch::channel(false);
        Self {
            service,
            users,
            stop,
            listeners: Vec::new(),
        }
    }

    /// Becomes true when the daemon is asked to stop, for work that does not belong to a connection.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Answers HTTP on a role socket. Handlers may extract [`Peer`].
    ///
    /// # Errors
    ///
    /// When the socket cannot be registered with the event loop.
    pub fn http(
        mut self,
        listener: UnixListener,
        router: Router,
        limits: Limits,
    ) -> Result<Self, ServerError> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::UnixListener::from_std(listener)?;
        let acceptor = UnixAcceptor {
            listener,
            users: Arc::clone(&self.users),
        };
        let connections = Connections::new(&self, router, limits);
        self.listeners.push(Box::pin(connections.serve(acceptor)));
        Ok(self)
    }

    /// Answers HTTP on a TCP socket. There is no peer identity on it.
    ///
    /// # Errors
    ///
    /// When the socket cannot be registered with the event loop.
    pub fn tcp(mut self, listener: TcpListener, router: Router, limits: Limits) -> Result<Self, ServerError> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let connections = Connections::new(&self, router, limits);
        self.listeners.push(Box::pin(connections.serve(listener)));
        Ok(self)
    }

    /// Hands each conversation on a descriptor socket to `handler`.
    ///
    /// # Errors
    ///
    /// When the socket cannot be registered with the event loop.
    pub fn descriptors<H, F>(
        mut self,
        listener: DescriptorListener,
        handler: H,
        limits: Limits,
    ) -> Result<Self, ServerError>
    where
        H: Fn(Conversation, Peer) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let server = DescriptorServer::new(listener, Arc::clone(&self.users), limits.connections)?;
        let stop = self.stop.subscribe();
        self.listeners.push(Box::pin(server.serve(handler, stop)));
        Ok(self)
    }

    /// Serves until SIGTERM, then lets open requests end, for at most ten seconds.
    ///
    /// # Errors
    ///
    /// When the signal handler cannot be installed.
    pub async fn run(self) -> Result<(), ServerError> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut listeners = JoinSet::new();
        for listener in self.listeners {
            listeners.spawn(listener);
        }
        let watchdog = notify::watchdog_interval().map(|interval| {
            tokio::spawn(async move {
                let mut ticks = tokio::time::interval(interval);
                loop {
                    ticks.tick().await;
                    notify::send("WATCHDOG=1");
                }
            })
        });
        notify::send("READY=1");
        tracing::info!(service = %self.service, "serving");
        terminate.recv().await;
        notify::send("STOPPING=1");
        let _ = self.stop.send(true);
        // A listener's task ends when its last connection does.
        let drained = async { while listeners.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_DEADLINE, drained).await.is_err() {
            tracing::warn!(service = %self.service, "stopped with requests unanswered");
        }
        if let Some(watchdog) = watchdog {
            watchdog.abort();
        }
        tracing::info!(service = %self.service, "stopped");
        Ok(())
    }
}

/// Where connections come from.
trait Acceptor: Send + Sync + 'static {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection, with its peer where the kernel knows it.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Option<Peer>)>> + Send;
}

struct UnixAcceptor {
    listener: tokio::net::UnixListener,
    users: Arc<Users>,
}

impl Acceptor for UnixAcceptor {
    type Stream = tokio::net::UnixStream;

    async fn accept(&self) -> io::Result<(Self::Stream, Option<Peer>)> {
        let (stream, _) = self.listener.accept().await?;
        let peer = self.users.peer_of(&stream)?;
        Ok((stream, Some(peer)))
    }
}

impl Acceptor for tokio::net::TcpListener {
    type Stream = tokio::net::TcpStream;

    async fn accept(&self) -> io::Result<(Self::Stream, Option<Peer>)> {
        let (stream, _) = tokio::net::TcpListener::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok((stream, None))
    }
}

/// The connections of one HTTP socket.
struct Connections {
    router: Router,
    limits: Limits,
    places: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

impl Connections {
    fn new(server: &Server, router: Router, limits: Limits) -> Self {
        Self {
            router: router.fallback(async || {
                Failure(Problem::new(
                    ProblemKind::NotFound,
                    "there is nothing at this path",
                ))
                .into_response()
            }),
            limits,
            places: Arc::new(Semaphore::new(limits.connections)),
            stop: server.stop.subscribe(),
        }
    }

    async fn serve(mut self, acceptor: impl Acceptor) {
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                return;
            };
            let accepted = tokio::select! {
                accepted = acceptor.accept() => accepted,
                _ = self.stop.wait_for(|stop| *stop) => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let connection = self.connection(stream, peer);
                    tokio::spawn(async move {
                        if let Err(error) = connection.await {
                            // A peer that hangs up or sends garbage is its own affair.
                            tracing::debug!(%error, "connection ended");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    // Out of descriptors or memory: what is open must end first.
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        let _ = self.places.acquire_many(all).await;
    }

    fn connection<S>(
        &self,
        stream: S,
        peer: Option<Peer>,
    ) -> impl Future<Output = Result<(), hyper::Error>> + Send + 'static
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let router = self.router.clone();
        let answer_within = self.limits.answer_within;
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            if let Some(peer) = &peer {
                request.extensions_mut().insert(peer.clone());
            }
            let traceparent = request.headers().get(trace::HEADER).cloned();
            let answer = router.clone().call(request);
            async move {
                let answer = trace::scope(traceparent, answer);
                let Some(deadline) = answer_within else {
                    return answer.await;
                };
                tokio::time::timeout(deadline, answer).await.unwrap_or_else(|_| {
                    let detail = format!("no answer within {} s", deadline.as_secs());
                    Ok::<_, Infallible>(Failure(Problem::new(ProblemKind::Deadline, detail)).into_response())
                })
            }
        });
        let io = TokioIo::new(StallGuard::new(stream, WRITE_PATIENCE));
        let mut stop = self.stop.clone();
        async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_DEADLINE)
                .max_buf_size(MAX_HEAD_BYTES)
                .max_headers(MAX_HEADERS)
                .serve_connection(io, service);
            let mut connection = pin!(connection);
            tokio::select! {
                ended = connection.as_mut() => return ended,
                _ = stop.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
            }
            connection.await
        }
    }
}
