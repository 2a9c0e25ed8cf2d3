//! Starts the incident recorder: sockets and signing key, sandbox, ledger, serve.

use std::process::ExitCode;

use holdfast_contract::role::{RECORDER_APPEND, RECORDER_READ, RECORDER_REPORT};
use holdfast_daemon::Start;
use holdfast_incident_recorder::{Config, Listeners, sandbox, serve, signer};

fn main() -> ExitCode {
    holdfast_daemon::main(
        "holdfast-incident-recorder",
        "Holds the ledger and its signing key.",
        run,
    )
}

fn run(start: Start<Config>) -> anyhow::Result<()> {
    let mut sockets = start.sockets()?;
    let listeners = Listeners {
        append: sockets.http(RECORDER_APPEND)?,
        report: sockets.http(RECORDER_REPORT)?,
        read: sockets.http(RECORDER_READ)?,
    };
    let signer = signer(&start.surroundings)?;
    let directory = start.surroundings.state_directory()?;
    let confinement = start.enter(sandbox(directory))?;
    serve(&start.config, directory, signer, listeners, confinement)
}
