//! Telling the supervisor (`sd_notify(3)`): ready, stopping, alive.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Sends `state` (for example `READY=1`) to the supervisor, where there is one.
///
/// A lost message is not an error of the daemon: the supervisor acts on its absence.
pub fn send(state: &str) {
    let Some(address) = std::env::var("NOTIFY_SOCKET").ok() else {
        return;
    };
    let sent = UnixDatagram::unbound().and_then(|socket| {
        let to = match address.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(&address)?,
        };
        socket.send_to_addr(state.as_bytes(), &to)
    });
    if let Err(error) = sent {
        tracing::warn!(%error, state, "supervisor not notified");
    }
}

/// Half the interval at which the supervisor wants to hear from this process, where it does.
pub fn watchdog_interval() -> Option<Duration> {
    let pid = std::env::var("WATCHDOG_PID").ok();
    if pid.is_some_and(|pid| pid != std::process::id().to_string()) {
        return None;
    }
    let microseconds: u64 = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    (microseconds > 0).then(|| Duration::from_micros(microseconds / 2))
}
