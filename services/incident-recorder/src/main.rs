//! Starts the incident recorder: sockets and signing key, sandbox, ledger, serve.

use std::process::ExitCode;

use holdfast_daemon::Start;
use holdfast_incident_recorder::{Config, sandbox, serve, signer};

fn main() -> ExitCode {
    holdfast_daemon::main(
        "holdfast-incident-recorder",
        "Holds the ledger and its signing key.",
        |start| run(&start),
    )
}

fn run(start: &Start<Config>) -> anyhow::Result<()> {
    let sockets = start.sockets()?;
    let signer = signer(&start.surroundings)?;
    let confinement = start.enter(sandbox(start.surroundings.state_directory()?))?;
    serve(
        &start.config,
        start.surroundings.state_directory()?,
        signer,
        sockets,
        confinement,
    )
}
