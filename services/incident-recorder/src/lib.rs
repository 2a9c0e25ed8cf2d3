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

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use holdfast_contract::Timestamp;
use holdfast_contract::role::{RECORDER_APPEND, RECORDER_READ, RECORDER_REPORT, Service};
use holdfast_contract::status::Confinement;
use holdfast_ipc::{Limits, Server, Sockets, Surroundings};
use holdfast_ledger::{Ledger, Recovery, Signer};
use holdfast_sandbox::Sandbox;

pub use config::Config;
pub use recorder::Recorder;

/// Connections at once on the sockets that every daemon uses.
const MOST_APPENDERS: usize = 256;

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
    sockets: Sockets,
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
    let served = holdfast_ipc::block_on(2, serve_recorder(Arc::clone(&recorder), sockets, found));
    recorder.close();
    served
}

async fn serve_recorder(
    recorder: Arc<Recorder>,
    mut sockets: Sockets,
    found: Recovery,
) -> anyhow::Result<()> {
    let many = Limits {
        connections: MOST_APPENDERS,
        ..Limits::PLAIN
    };
    let server = Server::new(Service::IncidentRecorder)
        .http(
            sockets.http(RECORDER_APPEND)?,
            http::append(Arc::clone(&recorder)),
            many,
        )?
        .http(
            sockets.http(RECORDER_REPORT)?,
            http::report(Arc::clone(&recorder)),
            Limits::PLAIN,
        )?
        .http(
            sockets.http(RECORDER_READ)?,
            http::read(Arc::clone(&recorder)),
            Limits::PLAIN,
        )?;
    // Before anybody is served, so that nothing of this run comes before its start.
    let unannounced = recorder::announce(&recorder, &found).await;
    let later = recorder::announce_later(Arc::clone(&recorder), unannounced);
    let announcing = tokio::spawn(later);
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
