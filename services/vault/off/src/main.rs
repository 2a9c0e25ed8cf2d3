//! `holdfast-vault-off`: turns the machine off at once, when it is asked to.
//!
//! The last panic level ends with it: what was decrypted is still in memory then, and an orderly shutdown would wait for a volume that
//! nobody can read any more. It has one privilege (`CAP_SYS_BOOT`), no device and no user's rights; the supervisor starts it for each
//! connection to a socket that only `holdfast-vault` can reach. Who has the devices (`holdfast-vault-volume`) cannot turn the machine off.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use holdfast_contract::vault::TURN_OFF;
use rustix::system::RebootCommand;

/// The ledger's file system: what must be on the disk before the machine goes.
const STATE: &str = "/var/lib/holdfast";
/// How long that may take.
const SYNC_PATIENCE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    holdfast_telemetry::init("vault-off");
    match converse() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %format_args!("{error:#}"), "the machine is not turned off");
            ExitCode::FAILURE
        }
    }
}

/// Reads the request from standard input, a connected socket. Whoever asked hears of it only where it went wrong.
fn converse() -> anyhow::Result<()> {
    let socket = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .context("take the socket")?;
    let mut socket = File::from(socket);
    let done = request(&mut socket).and_then(|()| turn_off(STATE.into()));
    if let Err(error) = &done {
        // Who asked may be gone; the log has it.
        let _ = write!(socket, "{error:#}");
    }
    done
}

/// A connection alone turns nothing off.
fn request(socket: &mut impl Read) -> anyhow::Result<()> {
    let mut text = String::new();
    socket
        .take(64)
        .read_to_string(&mut text)
        .context("read the request")?;
    ensure!(
        text == TURN_OFF,
        "this is not the request to turn the machine off"
    );
    Ok(())
}

fn turn_off(state: PathBuf) -> anyhow::Result<()> {
    write_out(state);
    rustix::system::reboot(RebootCommand::PowerOff).context("turn the machine off")
}

/// Waits until what was written to the file system at `state` is on its disk; a disk that does not answer must not keep the machine on.
fn write_out(state: PathBuf) {
    let (written, wait) = mpsc::channel();
    std::thread::spawn(move || written.send(sync(&state).is_ok()));
    if wait.recv_timeout(SYNC_PATIENCE) != Ok(true) {
        tracing::warn!("the ledger's disk did not say that everything is written");
    }
}

fn sync(state: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(state)?)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "these are tests")]
mod tests {
    use super::*;

    #[test]
    fn only_the_words_ask_for_it() {
        request(&mut TURN_OFF.as_bytes()).unwrap();
        for other in ["", "turn-of", "turn-off\n", "turn-off turn-off", "\"turn-off\""] {
            assert!(request(&mut other.as_bytes()).is_err(), "{other}");
        }
        assert!(request(&mut [0xff; 100].as_slice()).is_err());
    }

    #[test]
    fn a_ledger_that_is_not_there_is_not_waited_for() {
        write_out(tempfile::tempdir().unwrap().path().join("nothing"));
    }
}
