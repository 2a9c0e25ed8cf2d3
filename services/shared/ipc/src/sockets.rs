//! The sockets that the supervisor bound: `LISTEN_FDS` and `LISTEN_FDNAMES` (`sd_listen_fds(3)`).

use std::collections::HashMap;
use std::net::TcpListener;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_contract::role::{Protocol, Role};
use rustix::net::{AddressFamily, SocketType};

/// The first inherited descriptor.
const FIRST: i32 = 3;
/// More descriptors than any daemon is given.
const MOST: i32 = 64;

/// The inherited sockets by name. The default is none.
#[derive(Debug, Default)]
pub struct Sockets(HashMap<String, OwnedFd>);

/// A listening sequenced-packet socket of a role that passes descriptors.
#[derive(Debug)]
pub struct DescriptorListener(pub(crate) OwnedFd);

/// Why the inherited sockets are not usable.
#[derive(Debug, thiserror::Error)]
pub enum SocketsError {
    /// The supervisor passed none, or they are meant for another process.
    #[error("no sockets were passed: start this daemon with systemd or with `holdfast up`")]
    None,
    /// `from_supervisor` was called before in this process.
    #[error("the inherited sockets were taken already")]
    TakenTwice,
    /// The number of names is not the number of descriptors.
    #[error("{names} names were passed for {descriptors} descriptors")]
    Names {
        /// Names in `LISTEN_FDNAMES`.
        names: usize,
        /// Descriptors by `LISTEN_FDS`.
        descriptors: i32,
    },
    /// A socket that the daemon serves is not among them.
    #[error("the socket {name} was not passed")]
    Missing {
        /// Its name.
        name: String,
    },
    /// It is not the kind of socket that the role needs.
    #[error("the descriptor {name} is not a listening {wanted} socket")]
    Kind {
        /// Its name.
        name: String,
        /// What is needed.
        wanted: &'static str,
    },
    /// The kernel refused something.
    #[error("prepare the socket {name}")]
    Prepare {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Sockets {
    /// Takes over the sockets that were passed to this process. Works once.
    ///
    /// # Errors
    ///
    /// When there are none, or the variables contradict each other.
    pub fn from_supervisor() -> Result<Self, SocketsError> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        let variable = |name| std::env::var(name).unwrap_or_default();
        if variable("LISTEN_PID").parse() != Ok(std::process::id()) {
            return Err(SocketsError::None);
        }
        let count: i32 = variable("LISTEN_FDS")
            .parse()
            .ok()
            .filter(|n| (1..=MOST).contains(n))
            .ok_or(SocketsError::None)?;
        let names = variable("LISTEN_FDNAMES");
        let names: Vec<&str> = names.split(':').collect();
        if i32::try_from(names.len()) != Ok(count) {
            return Err(SocketsError::Names {
                names: names.len(),
                descriptors: count,
            });
        }
        if TAKEN.swap(true, Ordering::SeqCst) {
            return Err(SocketsError::TakenTwice);
        }
        let mut sockets = HashMap::new();
        for (descriptor, name) in (FIRST..FIRST + count).zip(names) {
            #[expect(unsafe_code, reason = "an inherited descriptor is known by its number only")]
            // SAFETY: the supervisor opened these descriptors for this process (LISTEN_PID) before it started, and
            // `TAKEN` makes sure that nothing else here owns them. One that is not open is found out by the next call.
            let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
            rustix::io::fcntl_setfd(&owned, rustix::io::FdFlags::CLOEXEC).map_err(|source| {
                SocketsError::Prepare {
                    name: name.to_owned(),
                    source: source.into(),
                }
            })?;
            sockets.insert(name.to_owned(), owned);
        }
        Ok(Self(sockets))
    }

    /// The socket of a role that speaks HTTP.
    ///
    /// # Errors
    ///
    /// When it was not passed or is another kind of socket.
    pub fn http(&mut self, role: Role) -> Result<UnixListener, SocketsError> {
        debug_assert_eq!(role.protocol, Protocol::Http);
        self.take(role.name, AddressFamily::UNIX, SocketType::STREAM, "Unix stream")
            .map(UnixListener::from)
    }

    /// The socket of a role that passes descriptors.
    ///
    /// # Errors
    ///
    /// When it was not passed or is another kind of socket.
    pub fn descriptors(&mut self, role: Role) -> Result<DescriptorListener, SocketsError> {
        debug_assert_eq!(role.protocol, Protocol::Descriptors);
        self.take(
            role.name,
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            "Unix sequenced-packet",
        )
        .map(DescriptorListener)
    }

    /// A TCP socket.
    ///
    /// # Errors
    ///
    /// When it was not passed or is another kind of socket.
    pub fn tcp(&mut self, name: &str) -> Result<TcpListener, SocketsError> {
        let v4 = self.0.get(name).is_some_and(|socket| {
            rustix::net::sockopt::socket_domain(socket).is_ok_and(|domain| domain == AddressFamily::INET)
        });
        let family = if v4 {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        self.take(name, family, SocketType::STREAM, "TCP")
            .map(TcpListener::from)
    }

    fn take(
        &mut self,
        name: &str,
        family: AddressFamily,
        kind: SocketType,
        wanted: &'static str,
    ) -> Result<OwnedFd, SocketsError> {
        use rustix::net::sockopt::{socket_acceptconn, socket_domain, socket_type};

        let socket = self.0.remove(name).ok_or_else(|| SocketsError::Missing {
            name: name.to_owned(),
        })?;
        let is_wanted = socket_domain(&socket) == Ok(family)
            && socket_type(&socket) == Ok(kind)
            && socket_acceptconn(&socket) == Ok(true);
        if !is_wanted {
            return Err(SocketsError::Kind {
                name: name.to_owned(),
                wanted,
            });
        }
        rustix::io::ioctl_fionbio(&socket, true).map_err(|source| SocketsError::Prepare {
            name: name.to_owned(),
            source: source.into(),
        })?;
        Ok(socket)
    }
}

impl DescriptorListener {
    /// Binds one, for tests.
    ///
    /// # Errors
    ///
    /// When the address is taken or the path too long.
    pub fn bind(path: &std::path::Path) -> std::io::Result<Self> {
        use rustix::net::{SocketAddrUnix, SocketFlags, bind, listen, socket_with};
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        bind(&socket, &SocketAddrUnix::new(path)?)?;
        listen(&socket, 64)?;
        Ok(Self(socket))
    }
}
