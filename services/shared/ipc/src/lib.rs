//! How Holdfast services find, trust and talk to each other.
//!
//! HTTP/1.1 with JSON over role sockets ([`Server`], [`Client`]), packets with descriptors over others
//! ([`descriptor`]). The kernel names the peer ([`Peer`]); nothing in a message does. Every server bounds head, body,
//! connections and time; every client has a deadline. Sockets are inherited ([`Sockets`]), never bound here.

pub mod client;
pub mod descriptor;
mod json;
pub mod notify;
mod peer;
pub mod recorder;
pub mod server;
mod sockets;
mod stall;
mod surroundings;
mod trace;

pub use client::{Client, Events};
pub use json::{Answer, Failure, Json, Query, carry_out, events};
pub use peer::{Peer, Users};
pub use recorder::Recorder;
pub use server::{Limits, Server, ServerError};
pub use sockets::{DescriptorListener, Sockets, SocketsError};
pub use surroundings::{Surroundings, SurroundingsError};

/// Runs a daemon's asynchronous part to its end on `threads` threads.
///
/// # Errors
///
/// When the threads cannot be started, or what `serve` returns.
pub fn block_on<T, E>(threads: usize, serve: impl Future<Output = Result<T, E>>) -> Result<T, E>
where
    E: From<std::io::Error>,
{
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()?
        .block_on(serve)
}
