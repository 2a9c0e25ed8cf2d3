//! What every daemon's `main` does the same way: arguments, configuration, surroundings, sandbox.
//!
//! ```no_run
//! # use holdfast_daemon::{Config, ConfigError, Start};
//! # #[derive(Default, serde::Deserialize)] struct Mine {}
//! # impl Config for Mine { fn validate(&self) -> Result<(), ConfigError> { Ok(()) } }
//! fn main() -> std::process::ExitCode {
//!     holdfast_daemon::main("holdfast-registry", "Holds the model store.", |mut start: Start<Mine>| {
//!         // privileged things first: secrets, sockets
//!         let sockets = start.sockets()?;
//!         let confinement = start.enter(holdfast_sandbox::Sandbox::daemon())?;
//!         // then serve
//!         # let _ = (sockets, confinement);
//!         Ok(())
//!     })
//! }
//! ```

mod config;
mod throttle;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use holdfast_contract::status::Confinement;
use holdfast_ipc::{Sockets, SocketsError, Surroundings};
use holdfast_sandbox::{Forbidden, Sandbox, prove_and_exit};

pub use config::{Config, ConfigError, MAX_CONFIG_BYTES, parse_config, read_config};
pub use throttle::Throttle;

/// The arguments that every daemon takes.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file; without it the documented defaults hold
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Program of the jailed worker, for daemons that have one
    #[arg(long, value_name = "FILE")]
    worker: Option<PathBuf>,
    /// Check the configuration and end
    #[arg(long)]
    check: bool,
    /// Try from inside what the daemon must not be able to do, report, and end
    #[arg(long, hide = true)]
    prove_confinement: bool,
}

/// What a daemon starts from.
#[derive(Debug)]
pub struct Start<C> {
    /// Its configuration.
    pub config: C,
    /// What its supervisor told it.
    pub surroundings: Surroundings,
    worker: Option<PathBuf>,
    prove: bool,
}

/// Runs the daemon `name` (the name of its program) that does what `about` says.
pub fn main<C: Config>(
    name: &'static str,
    about: &'static str,
    run: impl FnOnce(Start<C>) -> anyhow::Result<()>,
) -> ExitCode {
    let command = Arguments::command().name(name).about(about).after_help(
        "Example:\n  systemd and `holdfast up` start this daemon; it needs the sockets that they pass.",
    );
    let arguments = match Arguments::from_arg_matches(&command.get_matches()) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    holdfast_telemetry::init(name.strip_prefix("holdfast-").unwrap_or(name));
    match start(arguments).and_then(|start| start.map_or(Ok(()), run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %format_args!("{error:#}"), "{name} ends");
            ExitCode::FAILURE
        }
    }
}

fn start<C: Config>(arguments: Arguments) -> anyhow::Result<Option<Start<C>>> {
    let config = match &arguments.config {
        Some(path) => read_config(path)?,
        None => C::default(),
    };
    if arguments.check {
        return Ok(None);
    }
    Ok(Some(Start {
        config,
        surroundings: Surroundings::from_env()?,
        worker: arguments.worker,
        prove: arguments.prove_confinement,
    }))
}

impl<C> Start<C> {
    /// The inherited sockets. A proof of confinement can do without.
    ///
    /// # Errors
    ///
    /// When the supervisor passed none.
    pub fn sockets(&self) -> anyhow::Result<Sockets> {
        match Sockets::from_supervisor() {
            Err(SocketsError::None) if self.prove => Ok(Sockets::default()),
            sockets => Ok(sockets?),
        }
    }

    /// The worker program.
    ///
    /// # Errors
    ///
    /// When it was not named.
    pub fn worker(&self) -> anyhow::Result<&Path> {
        self.worker
            .as_deref()
            .context("the worker program is not named: give --worker FILE")
    }

    /// Enters the sandbox. Where a proof of confinement was asked for, it is made now, and the process ends.
    ///
    /// # Errors
    ///
    /// When the sandbox cannot be entered whole.
    pub fn enter(&self, sandbox: Sandbox) -> anyhow::Result<Confinement> {
        let confinement = sandbox.enter().context("enter the sandbox")?;
        if self.prove {
            prove_and_exit(&Forbidden::from_env());
        }
        for missing in &confinement.missing {
            tracing::warn!(missing, "confined in part");
        }
        Ok(confinement)
    }
}
