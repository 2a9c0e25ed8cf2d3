//! `holdfast-vault-firmware`: has `systemd-pcrlock` make a policy of what the firmware measures, and says what became of it.
//!
//! It is root, because the firmware's log can be read by root only, with the TPM and without any privilege or disk. The supervisor starts it
//! for each connection to a socket that only `holdfast-vault-volume` can reach, which seals the vault to the policy.

mod pcrlock;

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use anyhow::Context as _;

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
    let firmware = pcrlock::on_the_appliance().pin(socket.as_fd());
    let text = serde_json::to_vec(&firmware).context("write the answer")?;
    File::from(socket).write_all(&text).context("send the answer")
}
