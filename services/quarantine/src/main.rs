//! The quarantine daemon.

use std::process::ExitCode;

use holdfast_daemon::Start;
use holdfast_inspection::{Rules, Worker};
use holdfast_quarantine::{Config, sandbox, serve, signing_key};

fn main() -> ExitCode {
    let about = "Takes files in, has them inspected by a jailed worker, and hands on what passed.";
    holdfast_daemon::main("holdfast-quarantine", about, |start: Start<Config>| {
        let key = signing_key(&start.surroundings)?;
        let worker = start.worker()?;
        let sockets = start.sockets()?;
        let rules = Rules::with_site(start.config.rules.clone())?;
        let confinement = start.enter(sandbox(&start.surroundings, worker, &rules)?)?;
        serve(
            start.config.clone(),
            &start.surroundings,
            sockets,
            Worker::new(worker).with_rules(rules),
            key,
            confinement,
        )
    })
}
