//! What happens between starting a child and its program: sockets into place, user changed, limits set.
//!
//! The child is this same program with the hidden command `executor`. It gets its orders and its sockets over its
//! standard input and becomes the service. Doing this after the start instead of between fork and exec needs no
//! unsafe code and no care about threads. systemd does the same with its own `systemd-executor`.

use std::collections::BTreeMap;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, IntoRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use rustix::process::{Gid, Resource, Rlimit, Signal, Uid};
use serde::{Deserialize, Serialize};

/// The most sockets one service has.
const MOST_SOCKETS: usize = 16;
/// The largest orders, in bytes.
const MAX_ORDERS_BYTES: usize = 64 << 10;
/// `SD_LISTEN_FDS_START`.
const FIRST_SOCKET: i32 = 3;

/// A user with a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// What the child is to become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orders {
    /// Program and arguments, relative to the working directory.
    pub command: Vec<String>,
    /// Its whole environment, but for what tells it its own process id.
    pub environment: BTreeMap<String, String>,
    /// Names of the sockets, in the order in which they are passed.
    pub sockets: Vec<String>,
    /// Whom to become.
    pub owner: Option<Owner>,
    /// Its further groups.
    pub groups: Vec<u32>,
    /// Its umask.
    pub umask: u32,
    /// The most descriptors it may have.
    pub open_files: u64,
}

/// Gives a file to its service, where services have users of their own.
///
/// # Errors
///
/// When the owner cannot be changed.
pub fn give(path: &Path, owner: Option<Owner>) -> anyhow::Result<()> {
    let Some(Owner { uid, gid }) = owner else {
        return Ok(());
    };
    std::os::unix::fs::chown(path, Some(uid), Some(gid))
        .with_context(|| format!("give {} to {uid}", path.display()))
}

/// Starts a child that follows `orders`. Must be called on a thread that lives as long as the supervisor: the child dies
/// with it.
///
/// # Errors
///
/// When the child cannot be started or does not take its orders.
pub fn start(
    orders: &Orders,
    sockets: &[BorrowedFd<'_>],
    stdout: Stdio,
    stderr: Stdio,
) -> anyhow::Result<tokio::process::Child> {
    ensure!(
        sockets.len() <= MOST_SOCKETS,
        "more than {MOST_SOCKETS} sockets for one service"
    );
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .context("make a socket for the child")?;
    let child = tokio::process::Command::new("/proc/self/exe")
        .arg0("holdfast")
        .arg("executor")
        .kill_on_drop(true)
        .env_clear()
        .stdin(Stdio::from(theirs))
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .context("start a child")?;
    let packet = serde_json::to_vec(orders).context("write the child's orders")?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SOCKETS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !sockets.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(sockets));
    }
    rustix::net::sendmsg(&ours, &[IoSlice::new(&packet)], &mut control, SendFlags::NOSIGNAL)
        .context("send the child its orders")?;
    Ok(child)
}

/// The hidden command `executor`: takes its orders and becomes the service.
///
/// # Errors
///
/// When the orders are not usable or cannot be followed. On success it does not return.
pub fn run() -> anyhow::Result<std::convert::Infallible> {
    let orders = take_orders()?;
    let pid = rustix::process::getpid().as_raw_nonzero().to_string();
    rustix::process::setsid().context("start a session")?;
    let limit = Rlimit {
        current: Some(orders.open_files),
        maximum: Some(orders.open_files),
    };
    rustix::process::setrlimit(Resource::Nofile, limit).context("limit open files")?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(Resource::Core, none).context("forbid core dumps")?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(orders.umask));
    if let Some(owner) = orders.owner {
        become_user(owner, &orders.groups)?;
    }
    rustix::thread::set_no_new_privs(true).context("forbid new privileges")?;
    // Set after the change of user, which would clear it.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .context("be tied to the supervisor")?;
    let null = std::fs::File::open("/dev/null").context("open /dev/null")?;
    rustix::stdio::dup2_stdin(&null).context("detach standard input")?;

    let (program, arguments) = orders.command.split_first().context("no program was ordered")?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(&orders.environment);
    if !orders.sockets.is_empty() {
        command
            .env("LISTEN_PID", &pid)
            .env("LISTEN_FDS", orders.sockets.len().to_string())
            .env("LISTEN_FDNAMES", orders.sockets.join(":"));
    }
    if orders.environment.contains_key("WATCHDOG_USEC") {
        command.env("WATCHDOG_PID", &pid);
    }
    Err(command.exec()).with_context(|| format!("start {program}"))
}

fn take_orders() -> anyhow::Result<Orders> {
    let mut packet = vec![0; MAX_ORDERS_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SOCKETS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    // Not close-on-exec: the service inherits them.
    let received = rustix::net::recvmsg(
        std::io::stdin().as_fd(),
        &mut [IoSliceMut::new(&mut packet)],
        &mut control,
        RecvFlags::empty(),
    )
    .context("this command is for `holdfast up` only")?;
    ensure!(
        !received
            .flags
            .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC),
        "the orders are too long"
    );
    let mut sockets: Vec<OwnedFd> = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            sockets.extend(rights);
        }
    }
    let orders: Orders = serde_json::from_slice(packet.get(..received.bytes).unwrap_or_default())
        .context("understand the orders")?;
    ensure!(
        orders.sockets.len() == sockets.len(),
        "{} sockets named, {} passed",
        orders.sockets.len(),
        sockets.len()
    );
    for (wanted, socket) in (FIRST_SOCKET..).zip(sockets) {
        // A new process has descriptors 0 to 2, and the kernel gives the lowest that is free.
        if socket.as_raw_fd() != wanted {
            bail!("socket {} came as descriptor {}", wanted, socket.as_raw_fd());
        }
        // Left open for the program that this process becomes.
        let _ = socket.into_raw_fd();
    }
    Ok(orders)
}

/// Gives up root: groups, then capabilities that could come back, then the user.
fn become_user(owner: Owner, groups: &[u32]) -> anyhow::Result<()> {
    use rustix::thread::{
        CapabilitySet, remove_capability_from_bounding_set, set_thread_groups, set_thread_res_gid,
        set_thread_res_uid,
    };
    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    let groups: Vec<Gid> = groups.iter().map(|group| Gid::from_raw(*group)).collect();
    set_thread_groups(&groups).context("set the groups")?;
    for capability in CapabilitySet::all().iter() {
        // A kernel may know fewer capabilities than this list.
        let _ = remove_capability_from_bounding_set(capability);
    }
    set_thread_res_gid(gid, gid, gid).context("change the group")?;
    set_thread_res_uid(uid, uid, uid).context("change the user")?;
    ensure!(
        rustix::process::geteuid() == uid && rustix::process::getuid() == uid,
        "the user did not change"
    );
    Ok(())
}
