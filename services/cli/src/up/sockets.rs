//! Binding the role sockets, and knowing who may connect to each.

use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::executor::{Owner, give};
use super::layout::make_directory;
use super::plan::{Address, SocketPlan};

/// Binds a socket and listens on it. Unix sockets get the group and the mode of their unit. A file that an earlier run
/// left is replaced: the state directory is locked, so nobody listens on it.
///
/// # Errors
///
/// When the address is taken or the file cannot be made.
pub fn bind(socket: &SocketPlan, group: Option<u32>) -> anyhow::Result<OwnedFd> {
    match &socket.address {
        Address::Tcp(address) => {
            let listener = std::net::TcpListener::bind(address)
                .with_context(|| format!("listen on {address}: choose another with --listen"))?;
            Ok(listener.into())
        }
        Address::Stream(path) => bind_unix(path, SocketType::STREAM, socket, group),
        Address::Packets(path) => bind_unix(path, SocketType::SEQPACKET, socket, group),
    }
}

fn bind_unix(
    path: &Path,
    kind: SocketType,
    socket: &SocketPlan,
    group: Option<u32>,
) -> anyhow::Result<OwnedFd> {
    if let Some(directory) = path.parent() {
        make_directory(directory, 0o711)?;
    }
    let bound = || -> std::io::Result<OwnedFd> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
        rustix::net::bind(&listener, &SocketAddrUnix::new(path)?)?;
        // Closed to everybody until owner and mode are right; nobody can have connected, because nothing listens yet.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    let listener = bound().with_context(|| format!("bind {}", path.display()))?;
    give(path, group.map(|gid| Owner { uid: 0, gid }))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(socket.mode))
        .with_context(|| format!("set the mode of {}", path.display()))?;
    rustix::net::listen(&listener, socket.backlog)
        .with_context(|| format!("listen on {}", path.display()))?;
    Ok(listener)
}
