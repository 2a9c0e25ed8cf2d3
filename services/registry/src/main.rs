//! The registry daemon.

use std::process::ExitCode;

use holdfast_daemon::Start;
use holdfast_registry::{Config, sandbox, serve, trusted_keys};

fn main() -> ExitCode {
    let about =
        "Holds the model store: admits models with a signed scan statement, and hands them out verified.";
    holdfast_daemon::main("holdfast-registry", about, |start: Start<Config>| {
        let trusted = trusted_keys(&start.surroundings)?;
        let sockets = start.sockets()?;
        let confinement = start.enter(sandbox(&start.surroundings)?)?;
        serve(start.config, &start.surroundings, sockets, trusted, confinement)
    })
}
