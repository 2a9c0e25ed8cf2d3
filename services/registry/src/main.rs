//! The registry daemon.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use holdfast_ipc::{Sockets, Surroundings};
use holdfast_registry::{Config, confine, serve, trusted_keys};
use holdfast_sandbox::Forbidden;

/// Holds the model store: admits models with a signed scan statement, and hands them out verified.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file; without it the defaults hold.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Try from inside what the daemon must not be able to do, report, and end.
    #[arg(long, hide = true)]
    prove_confinement: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    holdfast_telemetry::init("registry");
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %format_args!("{error:#}"), "the registry ends");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = match &arguments.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    let surroundings = Surroundings::from_env()?;
    let trusted = trusted_keys(&surroundings)?;
    if arguments.prove_confinement {
        confine(&surroundings).context("enter the sandbox")?;
        holdfast_sandbox::prove_and_exit(&Forbidden::from_env());
    }
    let sockets = Sockets::from_supervisor()?;
    let confinement = confine(&surroundings).context("enter the sandbox")?;
    serve(config, &surroundings, sockets, trusted, confinement)
}
