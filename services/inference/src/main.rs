//! The inference daemon.

use std::process::ExitCode;

use holdfast_daemon::Start;
use holdfast_inference::{Config, prepare, sandbox, serve};

fn main() -> ExitCode {
    let about = "Runs admitted models, each in a confined worker of its own.";
    holdfast_daemon::main("holdfast-inference", about, |start: Start<Config>| {
        let program = start.worker()?.to_owned();
        let prepared = prepare(&program)?;
        let sandbox = sandbox(&start.surroundings, &program);
        // A proof of confinement needs no sockets, so that they may be missing until then.
        let sockets = start.sockets();
        let confinement = start.enter(sandbox)?;
        serve(start.config, &start.surroundings, sockets?, prepared, confinement)
    })
}
