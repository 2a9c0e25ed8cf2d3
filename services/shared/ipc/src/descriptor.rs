//! Conversations in packets that can carry a descriptor: one JSON object a packet, at most one descriptor with it.
//!
//! The sockets are sequenced-packet Unix sockets, so that a packet and its descriptor arrive together or not at all.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use holdfast_contract::limits::MAX_PACKET_BYTES;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Semaphore, watch};

use crate::peer::{Peer, Users};
use crate::sockets::DescriptorListener;

/// Why a conversation broke off.
#[derive(Debug, thiserror::Error)]
pub enum ConversationError {
    /// The socket failed.
    #[error("talk over a descriptor socket")]
    Io(#[from] io::Error),
    /// A packet is larger than [`MAX_PACKET_BYTES`].
    #[error("a packet is larger than {MAX_PACKET_BYTES} bytes")]
    TooLarge,
    /// A packet carried more descriptors than one.
    #[error("a packet carried more than one descriptor")]
    Descriptors,
    /// A packet is not the JSON that was expected.
    #[error("a packet is not what was expected")]
    Json(#[from] serde_json::Error),
}

/// Makes the event loop watch a socket.
fn registered(socket: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(
        unsafe_code,
        reason = "tokio cannot see that an arbitrary type keeps its descriptor"
    )]
    // SAFETY: an `OwnedFd` is one open descriptor, always the same, until it is dropped; and `AsyncFd` owns it here,
    // hands out shared references only, and deregisters before it drops it.
    let registered = unsafe { AsyncFd::register(socket) };
    registered.map_err(|error| error.into_parts().1)
}

/// One end of a conversation.
#[derive(Debug)]
pub struct Conversation(AsyncFd<OwnedFd>);

impl Conversation {
    /// Connects to the descriptor socket at `path`.
    ///
    /// # Errors
    ///
    /// When nobody listens there or this process may not connect.
    pub fn connect(path: &Path) -> Result<Self, ConversationError> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .map_err(io::Error::from)?;
        // A Unix socket connects at once or not at all: a full backlog answers EAGAIN.
        let address = SocketAddrUnix::new(path).map_err(io::Error::from)?;
        rustix::net::connect(&socket, &address).map_err(io::Error::from)?;
        Self::new(socket)
    }

    /// Over a connected sequenced-packet socket, for example half of a pair.
    ///
    /// # Errors
    ///
    /// When it cannot be registered with the event loop.
    pub fn new(socket: OwnedFd) -> Result<Self, ConversationError> {
        rustix::io::ioctl_fionbio(&socket, true).map_err(io::Error::from)?;
        Ok(Self(registered(socket)?))
    }

    /// A connected pair.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    pub fn pair() -> Result<(Self, Self), ConversationError> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (one, other) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .map_err(io::Error::from)?;
        Ok((Self::new(one)?, Self::new(other)?))
    }

    /// Sends a packet, with a descriptor where one is given.
    ///
    /// # Errors
    ///
    /// When the packet is too large or the other end is gone.
    pub async fn send<T: Serialize>(
        &self,
        value: &T,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<(), ConversationError> {
        let packet = serde_json::to_vec(value)?;
        if packet.len() > MAX_PACKET_BYTES {
            return Err(ConversationError::TooLarge);
        }
        let descriptors: Vec<_> = descriptor.into_iter().collect();
        self.0
            .async_io(Interest::WRITABLE, |socket| {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                if !descriptors.is_empty() {
                    control.push(SendAncillaryMessage::ScmRights(&descriptors));
                }
                let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
                Ok(rustix::net::sendmsg(
                    socket,
                    &[IoSlice::new(&packet)],
                    &mut control,
                    flags,
                )?)
            })
            .await?;
        Ok(())
    }

    /// Receives a packet with its descriptor, or `None` when the other end is done.
    ///
    /// # Errors
    ///
    /// When the packet is too large, carries more than one descriptor, or is not a `T`.
    pub async fn receive<T: DeserializeOwned>(
        &self,
    ) -> Result<Option<(T, Option<OwnedFd>)>, ConversationError> {
        // Memory is taken when there is something to put into it: a peer that says nothing costs none.
        let mut packet = Vec::new();
        drop(self.0.readable().await?);
        let (length, flags, mut descriptors) = self
            .0
            .async_io(Interest::READABLE, |socket| {
                packet.resize(MAX_PACKET_BYTES, 0);
                // Room for two, so that a second one is seen and refused instead of silently dropped.
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
                let mut control = RecvAncillaryBuffer::new(&mut space);
                let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
                let received =
                    rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut packet)], &mut control, flags)?;
                let mut descriptors = Vec::new();
                for message in control.drain() {
                    if let RecvAncillaryMessage::ScmRights(rights) = message {
                        descriptors.extend(rights);
                    }
                }
                Ok((received.bytes, received.flags, descriptors))
            })
            .await?;
        if length == 0 {
            return Ok(None);
        }
        if flags.contains(ReturnFlags::TRUNC) {
            return Err(ConversationError::TooLarge);
        }
        if flags.contains(ReturnFlags::CTRUNC) || descriptors.len() > 1 {
            return Err(ConversationError::Descriptors);
        }
        let value = serde_json::from_slice(packet.get(..length).unwrap_or_default())?;
        Ok(Some((value, descriptors.pop())))
    }
}

impl AsFd for Conversation {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}

/// Accepts conversations on one socket.
pub(crate) struct DescriptorServer {
    listener: AsyncFd<OwnedFd>,
    users: Arc<Users>,
    places: Arc<Semaphore>,
    connections: usize,
}

impl DescriptorServer {
    pub fn new(listener: DescriptorListener, users: Arc<Users>, connections: usize) -> io::Result<Self> {
        let listener = registered(listener.0)?;
        Ok(Self {
            listener,
            users,
            places: Arc::new(Semaphore::new(connections)),
            connections,
        })
    }

    pub async fn serve<H, F>(self, handler: H, mut stop: watch::Receiver<bool>)
    where
        H: Fn(Conversation, Peer) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                return;
            };
            let accepted = tokio::select! {
                accepted = self.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            match accepted {
                Ok((conversation, peer)) => {
                    let conversation = handler(conversation, peer);
                    tokio::spawn(async move {
                        conversation.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "conversation not accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
        // Open conversations end before the daemon does; the server bounds the wait.
        let _ = self
            .places
            .acquire_many(u32::try_from(self.connections).unwrap_or(u32::MAX))
            .await;
    }

    async fn accept(&self) -> Result<(Conversation, Peer), ConversationError> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = self
            .listener
            .async_io(Interest::READABLE, |listener| {
                Ok(rustix::net::accept_with(listener, flags)?)
            })
            .await?;
        let peer = self.users.peer_of(&socket)?;
        Ok((Conversation(registered(socket)?), peer))
    }
}
