//! Quarantine: takes files in, has them inspected by a jailed worker, and hands to the registry what passed, with a signed statement.
//!
//! It holds the intake directory and the statement key, and nobody else does. It never parses a byte of a file, never writes to a path
//! that a caller names, and opens no network socket. Its role sockets are `submit` and `read` ([`http`]).

mod config;
mod directory;
mod disarm;
pub mod http;
mod receive;
mod register;
mod registry;
mod service;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use holdfast_contract::Timestamp;
use holdfast_contract::role::{self, Service};
use holdfast_contract::status::Confinement;
use holdfast_inspection::{Rules, Worker};
use holdfast_ipc::{Limits, Recorder, Server, Sockets, Surroundings};
use holdfast_sandbox::Sandbox;
use holdfast_statement::{KEY_NAME, StatementKey};

pub use config::Config;
pub use service::Quarantine;

use directory::Directory;
use register::Register;
use service::Surrounded;

/// The key that scan statements are signed with: the credential `statement-key`.
///
/// # Errors
///
/// When the credential is missing or is not a seed of 32 bytes.
pub fn signing_key(surroundings: &Surroundings) -> anyhow::Result<StatementKey> {
    let seed = surroundings.credential("statement-key")?;
    StatementKey::from_seed(KEY_NAME, &seed).context("statement-key")
}

/// What the daemon keeps: the state directory, the worker program, the rules that its workers read, and the ways to the registry
/// and the ledger.
///
/// # Errors
///
/// When the supervisor gave it no state directory.
pub fn sandbox(surroundings: &Surroundings, worker: &Path, rules: &Rules) -> anyhow::Result<Sandbox> {
    let readable = rules.paths().iter();
    Ok(readable
        .fold(Sandbox::daemon(), Sandbox::read)
        .write(surroundings.state_directory()?)
        .spawn(worker)
        .connect(surroundings.role(role::REGISTRY_ADMIT))
        .connect(surroundings.role(role::RECORDER_APPEND))
        .connect(surroundings.role(role::RECORDER_REPORT)))
}

/// Takes files in until the supervisor asks to stop.
///
/// # Errors
///
/// When the state directory cannot be used or a socket is missing.
pub fn serve(
    config: Config,
    surroundings: &Surroundings,
    mut sockets: Sockets,
    worker: Worker,
    key: StatementKey,
    confinement: Confinement,
) -> anyhow::Result<()> {
    let state = Directory::open(surroundings.state_directory()?).context("open the state directory")?;
    state.lock().context("another process uses the state directory")?;
    let intake = state.beneath("intake").context("make the intake directory")?;
    let (_, litter) = intake
        .names_without_drafts()
        .context("clear the intake directory")?;
    if litter > 0 {
        tracing::warn!(
            litter,
            "files that an earlier run left in the intake were removed"
        );
    }
    let records = state
        .beneath("submissions")
        .context("make the directory of submissions")?;
    let (register, interrupted) =
        Register::open(records, config.kept_submissions, Timestamp::now()).context("read the submissions")?;
    let surrounded = Surrounded {
        worker,
        key,
        registry: surroundings.role(role::REGISTRY_ADMIT),
        recorder: Recorder::new(surroundings),
        confinement,
    };
    holdfast_ipc::block_on(2, async {
        let server = Server::new(Service::Quarantine);
        let quarantine = Quarantine::new(config, intake, register, surrounded);
        let stopping = server.stopping();
        let server = server
            .http(
                sockets.http(role::QUARANTINE_SUBMIT)?,
                http::submit(Arc::clone(&quarantine)),
                Limits::UPLOAD,
            )?
            .http(
                sockets.http(role::QUARANTINE_READ)?,
                http::read(Arc::clone(&quarantine)),
                Limits::PLAIN,
            )?;
        tokio::spawn(async move { quarantine.record_start(interrupted, stopping).await });
        Ok(server.run().await?)
    })
}
