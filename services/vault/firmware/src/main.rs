//! `holdfast-vault-firmware`: has `systemd-pcrlock` make a policy of what the firmware measures, and says what became of it.
//!
//! It is root, because the firmware's log can be read by root only, with the TPM and without any privilege or disk. The supervisor starts it
//! for each connection to a socket that only `holdfast-vault-volume` can reach, which seals the vault to the policy.

mod pcrlock;

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::process::ExitCode;

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

fn main() -> ExitCode {
    holdfast_telemetry::init("vault-firmware");
    match answer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %format_args!("{error:#}"), "nobody was told what became of the policy");
            ExitCode::FAILURE
        }
    }
}

/// The connection is the request; the answer goes to standard input, a connected socket.
fn answer() -> anyhow::Result<()> {
    let socket = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .context("take the socket")?;
    let firmware = pcrlock::on_the_appliance().pin(|| is_wanted(socket.as_fd()));
    let text = serde_json::to_vec(&firmware).context("write the answer")?;
    File::from(socket).write_all(&text).context("send the answer")
}

/// Whether the other end of the socket is still open.
fn is_wanted(socket: BorrowedFd<'_>) -> bool {
    let mut ends = [PollFd::from_borrowed_fd(socket, PollFlags::empty())];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut ends, Some(&now)).is_ok_and(|_| ends[0].revents().is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "these are tests")]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn who_has_hung_up_wants_nothing_any_more() {
        let (theirs, ours) = UnixStream::pair().unwrap();
        assert!(is_wanted(ours.as_fd()));
        drop(theirs);
        assert!(!is_wanted(ours.as_fd()));
    }
}
