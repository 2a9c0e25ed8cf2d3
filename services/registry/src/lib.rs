//! The registry: holds the model store, and nobody else does.
//!
//! Its four role sockets are `read`, `admin` ([`http`]), `open` ([`open`]) and `admit` ([`admit`]). It lets a model in only with a
//! scan statement that a trusted key signed, and only the bytes that the statement is about; it hands out only files whose
//! digest it verified itself. It opens no network socket, starts no program, and parses no model file.

pub mod admit;
mod config;
pub mod http;
mod locks;
pub mod open;
pub mod policy;
mod service;
pub mod store;
mod verifier;

use std::sync::Arc;

use anyhow::Context as _;
use holdfast_contract::role::{self, Service};
use holdfast_contract::status::Confinement;
use holdfast_ipc::server::ServerError;
use holdfast_ipc::{Limits, Recorder, Server, Sockets, Surroundings};
use holdfast_sandbox::Sandbox;
use holdfast_statement::Vkey;

pub use config::Config;
pub use service::Registry;

use store::Store;

/// `FS_IOC_ENABLE_VERITY` and `FS_IOC_MEASURE_VERITY`.
const VERITY_IOCTLS: [u64; 2] = [0x4080_6685, 0xc004_6686];
/// The most keys that are trusted at once.
const MAX_KEYS: usize = 8;

/// The keys whose scan statements are believed: the credential `statement.pub`, one verifier key a line.
///
/// # Errors
///
/// When the credential is missing, empty, or a line is not a verifier key.
pub fn trusted_keys(surroundings: &Surroundings) -> anyhow::Result<Vec<Vkey>> {
    let text = surroundings.credential("statement.pub")?;
    let text = std::str::from_utf8(&text).context("statement.pub is not text")?;
    let keys = text
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::parse)
        .collect::<Result<Vec<Vkey>, _>>()
        .context("statement.pub")?;
    anyhow::ensure!(
        !keys.is_empty() && keys.len() <= MAX_KEYS,
        "statement.pub holds 1 to {MAX_KEYS} keys"
    );
    Ok(keys)
}

/// What the registry keeps: the store and the way to the ledger.
///
/// # Errors
///
/// When the supervisor named no state directory.
pub fn sandbox(surroundings: &Surroundings) -> anyhow::Result<Sandbox> {
    Ok(Sandbox::daemon()
        .write(surroundings.state_directory()?)
        .connect(surroundings.role(role::RECORDER_APPEND))
        .connect(surroundings.role(role::RECORDER_REPORT))
        .ioctls(&VERITY_IOCTLS))
}

/// Opens the store and serves it until the supervisor asks to stop.
///
/// # Errors
///
/// When the store cannot be opened or a socket is missing.
pub fn serve(
    config: Config,
    surroundings: &Surroundings,
    mut sockets: Sockets,
    trusted: Vec<Vkey>,
    confinement: Confinement,
) -> anyhow::Result<()> {
    let path = surroundings.state_directory()?;
    let (store, reconciled) = Store::open(path, trusted.clone()).context("open the model store")?;
    let store = Arc::new(store.limited_to(config.max_models));
    let recorder = Recorder::new(surroundings);
    holdfast_ipc::block_on(2, async {
        let server = Server::new(Service::Registry);
        let registry = Registry::new(
            store,
            trusted,
            recorder,
            confinement,
            config.copies_at_once,
            server.stopping(),
        );
        let (for_open, for_admit) = (Arc::clone(&registry), Arc::clone(&registry));
        let server = server
            .http(
                sockets.http(role::REGISTRY_READ)?,
                http::read(Arc::clone(&registry)),
                Limits::PLAIN,
            )?
            .http(
                sockets.http(role::REGISTRY_ADMIN)?,
                http::admin(Arc::clone(&registry)),
                Limits::PLAIN,
            )?
            .descriptors(
                sockets.descriptors(role::REGISTRY_OPEN)?,
                move |conversation, peer| open::converse(Arc::clone(&for_open), conversation, peer),
                Limits::PLAIN,
            )?
            .descriptors(
                sockets.descriptors(role::REGISTRY_ADMIT)?,
                move |conversation, peer| admit::converse(Arc::clone(&for_admit), conversation, peer),
                Limits::UPLOAD,
            )?;
        tokio::spawn(async move { registry.record_start(&reconciled).await });
        server
            .run()
            .await
            .map_err(|error: ServerError| anyhow::Error::from(error))
    })
}
