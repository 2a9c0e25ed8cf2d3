//! The inference daemon: hands requests to engines, and keeps engines from everything else.
//!
//! It parses no model and links no llama.cpp. Models come from the registry as descriptors and go to a worker of their own, which
//! confines itself; the daemon believes nothing that a worker says. It opens no file and no network socket.

pub mod answer;
mod config;
pub mod engine;
pub mod evidence;
pub mod http;
pub mod jobs;
pub mod pool;
pub mod registry;
pub mod request;
pub mod worker;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use holdfast_contract::engine::EXIT_PROCESSOR;
use holdfast_contract::role::{self, Service};
use holdfast_contract::status::Confinement;
use holdfast_ipc::server::ServerError;
use holdfast_ipc::{Limits, Recorder, Server, Sockets, Surroundings};
use holdfast_sandbox::Sandbox;

pub use config::{Config, Machine};

use evidence::Evidence;
use http::Inference;
use pool::Pool;
use registry::Registry;

/// Connections to `generate` at once: each request holds one until its answer is complete.
const GENERATE: Limits = Limits {
    connections: 1024,
    answer_within: Some(http::EMBED_WITHIN),
};

/// What the daemon finds out before it gives up looking.
#[derive(Debug)]
pub struct Prepared {
    /// What the machine has.
    pub machine: Machine,
    /// What llama.cpp was built for.
    pub backend: String,
    /// The worker program.
    pub program: PathBuf,
}

/// Looks at the machine, and asks the worker program what it was built for.
///
/// # Errors
///
/// When the program cannot be started. That this processor cannot run it is no error: every request will say so.
pub fn prepare(program: &Path) -> anyhow::Result<Prepared> {
    let output = std::process::Command::new(program)
        .arg("--backend")
        .env_clear()
        .stdin(std::process::Stdio::null())
        .output()
        .with_context(|| format!("start the worker {}", program.display()))?;
    let backend = match output.status.code() {
        Some(0) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Some(code) if code == i32::from(EXIT_PROCESSOR) => {
            tracing::error!(
                "this processor lacks instructions that the engine was built for: no model can be run"
            );
            "none".to_owned()
        }
        _ => anyhow::bail!("the worker {} does not run: {}", program.display(), output.status),
    };
    Ok(Prepared {
        machine: Machine::observe(),
        backend,
        program: program.to_owned(),
    })
}

/// The daemon's sandbox: its worker program, the registry and the ledger.
pub fn sandbox(surroundings: &Surroundings, program: &Path) -> Sandbox {
    Sandbox::daemon()
        .spawn(program)
        .connect(surroundings.role(role::REGISTRY_OPEN))
        .connect(surroundings.role(role::REGISTRY_READ))
        .connect(surroundings.role(role::RECORDER_APPEND))
        .connect(surroundings.role(role::RECORDER_REPORT))
}

/// Serves until the supervisor asks to stop.
///
/// # Errors
///
/// When a socket is missing or cannot be served.
pub fn serve(
    config: Config,
    surroundings: &Surroundings,
    mut sockets: Sockets,
    prepared: Prepared,
    confinement: Confinement,
) -> anyhow::Result<()> {
    let registry = Registry::new(surroundings);
    let evidence = Evidence::new(Recorder::new(surroundings));
    holdfast_ipc::block_on(2, async {
        let server = Server::new(Service::Inference);
        let Prepared {
            machine,
            backend,
            program,
        } = prepared;
        let pool = Pool::new(
            config,
            machine,
            program,
            registry,
            evidence.clone(),
            server.stopping(),
        );
        let inference = Inference::new(pool.clone(), confinement, backend);
        let server = server
            .http(
                sockets.http(role::INFERENCE_GENERATE)?,
                http::generate_routes(inference.clone()),
                GENERATE,
            )?
            .http(
                sockets.http(role::INFERENCE_ADMIN)?,
                http::admin_routes(inference),
                Limits::PLAIN,
            )?;
        tokio::spawn(async move { evidence.service_started().await });
        let ended = server
            .run()
            .await
            .map_err(|error: ServerError| anyhow::Error::from(error));
        pool.shut_down().await;
        ended
    })
}
