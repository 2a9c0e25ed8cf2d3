//! The vault: opens and locks the encrypted volume, manages its keys, carries out the panic levels.
//!
//! Its two role sockets are `operate` and `contain` ([`http`]). It has no right to the device: every change is one request to a
//! privileged program that lives for that request ([`volume`]). In evaluation mode the vault is a directory, and nothing here
//! pretends otherwise.

mod config;
mod device;
pub mod http;
mod idle;
mod notes;
mod panic;
mod service;
mod settle;
pub mod volume;

use std::sync::Arc;

use anyhow::Context as _;
use holdfast_contract::role::{self, Service};
use holdfast_contract::status::{Confinement, Mode, Posture};
use holdfast_ipc::server::ServerError;
use holdfast_ipc::{Limits, Recorder, Server, Sockets, Surroundings};
use holdfast_sandbox::Sandbox;

pub use config::Config;
pub use service::{Parts, Vault};

use volume::VolumeClient;

/// Few callers, whose requests end when the device is done; [`volume`] bounds that.
const LIMITS: Limits = Limits {
    connections: 32,
    answer_within: None,
};

/// The ways to the privileged programs.
fn privileged(surroundings: &Surroundings) -> VolumeClient {
    VolumeClient::new(&surroundings.run.join("vault"))
}

/// Whether this is evaluation mode. Where that cannot be told, it is not: the appliance must never be taken for less than it is.
fn is_evaluation(surroundings: &Surroundings) -> bool {
    let posture = std::fs::read(surroundings.run.join("posture.json")).ok();
    let posture: Option<Posture> = posture.and_then(|text| serde_json::from_slice(&text).ok());
    posture.is_some_and(|posture| posture.mode == Mode::Evaluation)
}

/// What the vault keeps: a note that the volume was made, the way to the ledger, and the ways to the privileged programs.
///
/// # Errors
///
/// When the supervisor named no state directory.
pub fn sandbox(surroundings: &Surroundings) -> anyhow::Result<Sandbox> {
    let mut sandbox = Sandbox::daemon()
        .write(surroundings.state_directory()?)
        .connect(surroundings.role(role::RECORDER_APPEND));
    for socket in privileged(surroundings).sockets() {
        if socket.exists() {
            sandbox = sandbox.connect(socket);
        }
    }
    let posture = surroundings.run.join("posture.json");
    if posture.exists() {
        sandbox = sandbox.read(posture);
    }
    Ok(sandbox)
}

/// Opens the vault and serves it until the supervisor asks to stop.
///
/// # Errors
///
/// When a socket is missing.
pub fn serve(
    config: Config,
    surroundings: &Surroundings,
    mut sockets: Sockets,
    confinement: Confinement,
) -> anyhow::Result<()> {
    let volume = (!is_evaluation(surroundings)).then(|| privileged(surroundings));
    let state = surroundings.state_directory()?.to_owned();
    holdfast_ipc::block_on(2, async {
        let server = Server::new(Service::Vault);
        let vault = Vault::new(Parts {
            config,
            volume,
            state,
            recorder: Recorder::new(surroundings),
            confinement,
        });
        let server = server
            .http(
                sockets.http(role::VAULT_OPERATE)?,
                http::operate(Arc::clone(&vault)),
                LIMITS,
            )?
            .http(
                sockets.http(role::VAULT_CONTAIN)?,
                http::contain(Arc::clone(&vault)),
                LIMITS,
            )?;
        tokio::spawn(settle::settle(Arc::clone(&vault)));
        tokio::spawn(idle::watch(vault));
        server
            .run()
            .await
            .map_err(|error: ServerError| anyhow::Error::from(error))
    })
    .context("serve the vault")
}
