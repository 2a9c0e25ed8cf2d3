//! The vault daemon.

use std::process::ExitCode;

use holdfast_daemon::Start;
use holdfast_vault::{Config, sandbox, serve};

fn main() -> ExitCode {
    let about = "Opens and locks the encrypted volume, manages its keys, and carries out the panic levels.";
    holdfast_daemon::main("holdfast-vault", about, |start: Start<Config>| {
        let sockets = start.sockets()?;
        let confinement = start.enter(sandbox(&start.surroundings)?)?;
        serve(start.config, &start.surroundings, sockets, confinement)
    })
}
