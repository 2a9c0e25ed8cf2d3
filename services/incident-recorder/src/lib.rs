//! The incident recorder: holds the ledger and its signing key, and nobody else does.
//!
//! Daemons append decisions and report incidents; the console and the command line read entries, checkpoints, proofs and the raw
//! tlog-tiles. Who appended an entry is what the kernel says about the connection, never what a message says. An append is
//! answered when the entry is durable; what cannot be recorded is refused, and the caller must not do it.

mod config;
mod http;
mod rate;
mod recorder;
mod words;

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use holdfast_contract::Timestamp;
use holdfast_contract::role::Service;
use holdfast_contract::status::Confinement;
use holdfast_ipc::{Limits, Server, Surroundings};
use holdfast_ledger::{Ledger, Recovery, Signer};
use holdfast_sandbox::Sandbox;

pub use config::Config;
pub use recorder::Recorder;

/// Connections at once on the sockets that every daemon uses.
const MOST_APPENDERS: usize = 256;

/// The role sockets.
#[derive(Debug)]
pub struct Listeners {
    /// Daemons append decisions.
    pub append: UnixListener,
    /// Detectors report incidents.
    pub report: UnixListener,
    /// The console and the command line read.
    pub read: UnixListener,
}

/// The signing key, from the credential `ledger-key`: the 32 bytes that an Ed25519 key is made from.
///
/// # Errors
///
/// When there is no such credential or it is no key.
pub fn signer(surroundings: &Surroundings) -> anyhow::Result<Signer> {
    let seed = surroundings.credential("ledger-key")?;
    let seed: &[u8; 32] = seed
        .as_slice()
        .try_into()
        .context("the credential ledger-key is not 32 bytes long")?;
    Ok(Signer::from_seed(holdfast_ledger::KEY_NAME, seed)?)
}

/// The recorder writes its own state. It connects to nobody.
pub fn sandbox(directory: &Path) -> Sandbox {
    Sandbox::daemon().write(directory)
}

/// Opens the ledger in `directory` and serves it until the supervisor asks to stop.
///
/// # Errors
///
/// When the ledger cannot be opened, a socket cannot be served, or the ledger ended by itself.
pub fn serve(
    config: &Config,
    directory: &Path,
    signer: Signer,
    listeners: Listeners,
    confinement: Confinement,
) -> anyhow::Result<()> {
    let (ledger, found) = Ledger::open(
        directory,
        signer,
        Arc::new(Timestamp::now),
        config.ledger_options(),
    )
    .context("open the ledger")?;
    report_start(&found);
    let recorder = Arc::new(Recorder::new(ledger, config, confinement));
    let served = holdfast_ipc::block_on(2, serve_recorder(Arc::clone(&recorder), listeners, found));
    recorder.close();
    served
}

async fn serve_recorder(
    recorder: Arc<Recorder>,
    listeners: Listeners,
    found: Recovery,
) -> anyhow::Result<()> {
    let many = Limits {
        connections: MOST_APPENDERS,
        ..Limits::PLAIN
    };
    let server = Server::new(Service::IncidentRecorder)
        .http(listeners.append, http::append(Arc::clone(&recorder)), many)?
        .http(
            listeners.report,
            http::report(Arc::clone(&recorder)),
            Limits::PLAIN,
        )?
        .http(listeners.read, http::read(Arc::clone(&recorder)), Limits::PLAIN)?;
    let announcing = tokio::spawn(recorder::announce(
        Arc::clone(&recorder),
        found,
        server.stopping(),
    ));
    let end = tokio::select! {
        end = server.run() => end.context("serve"),
        () = recorder.ended() => Err(anyhow::anyhow!("the ledger ended by itself")),
    };
    announcing.abort();
    end
}

fn report_start(found: &Recovery) {
    if found.is_clean() {
        tracing::info!(entries = found.size, "the ledger is open");
    } else {
        tracing::warn!(
            entries = found.size,
            published = found.published_entries,
            torn_bytes = found.torn_bytes,
            torn_history_bytes = found.torn_history_bytes,
            rebuilt_files = found.rebuilt_files,
            entries_from_bundles = found.entries_from_bundles,
            history_repaired = found.history_repaired,
            checkpoint_repaired = found.checkpoint_repaired,
            "the ledger is open again; what an earlier run left undone is done"
        );
    }
}
