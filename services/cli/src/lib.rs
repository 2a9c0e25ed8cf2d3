//! The operator's hands: supervising the suite in evaluation mode, and asking its services.
//!
//! It holds nothing itself. What it may do is what the sockets it can reach allow. Exit codes are the same for every
//! command: see [`exit`].

pub mod args;
mod commands;
mod output;
mod suite;
mod terminal;
pub mod up;

use std::process::ExitCode;

use args::{Arguments, Command};
use output::Output;
use suite::Suite;

/// Exit codes that scripts can rely on.
pub mod exit {
    /// Done; admitted; verified; everything runs.
    pub const OK: u8 = 0;
    /// The answer is no: refused, not verified, not confined, something does not run.
    pub const NO: u8 = 1;
    /// It could not be done, or the command was not understood.
    pub const FAILED: u8 = 2;
    /// The suite does not run, or may not be reached.
    pub const NOT_RUNNING: u8 = 3;
}

/// Runs one command to its end.
pub fn main(arguments: Arguments) -> ExitCode {
    let output = Output { json: arguments.json };
    if let Command::Executor = arguments.command {
        return match up::run_executor() {
            Ok(never) => match never {},
            Err(error) => ExitCode::from(output.error(&error)),
        };
    }
    // One thread: children are tied to the life of the thread that starts them.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ExitCode::from(output.error(&error.into())),
    };
    let local = tokio::task::LocalSet::new();
    let code = match runtime.block_on(local.run_until(run(arguments, output))) {
        Ok(code) => code,
        Err(error) => output.error(&error),
    };
    // Threads that wait for a terminal must not hold up the end.
    runtime.shutdown_background();
    ExitCode::from(code)
}

async fn run(arguments: Arguments, output: Output) -> anyhow::Result<u8> {
    let suite = Suite::find(arguments.state.as_deref());
    let result = command(arguments, &suite, output).await;
    result.map_err(|error| suite.explain(error))
}

async fn command(arguments: Arguments, suite: &Suite, output: Output) -> anyhow::Result<u8> {
    match arguments.command {
        Command::Up(up) => up::run(up.options(suite.state()?, arguments.json)).await,
        Command::Status => commands::status::run(suite, output).await,
        Command::Import(import) => commands::import::run(suite, output, import).await,
        Command::Models(models) => commands::models::run(suite, output, models.command).await,
        Command::Chat(chat) => commands::chat::run(suite, output, chat).await,
        Command::Ledger(ledger) => commands::ledger::run(suite, output, ledger.command).await,
        Command::Vault(vault) => commands::vault::run(suite, output, vault.command).await,
        Command::Setup => commands::vault::setup(suite, output).await,
        Command::Lock => commands::vault::lock(suite, output).await,
        Command::Unlock {
            security_key: true, ..
        } => commands::vault::unlock_with_security_key(suite, output).await,
        Command::Unlock { secret, .. } => commands::vault::unlock(suite, output, secret).await,
        Command::Panic(panic) => commands::vault::panic(suite, output, panic).await,
        Command::Inspect(inspect) => commands::inspect::run(output, inspect).await,
        Command::Check(check) => commands::check::run(output, &check),
        Command::Credentials { directory } => {
            up::create_missing_credentials(&directory)?;
            up::create_missing_setup_token(&directory)?;
            Ok(exit::OK)
        }
        Command::Welcome { directory, page } => commands::welcome::run(suite, output, &directory, page).await,
        Command::Executor => unreachable_executor(),
    }
}

fn unreachable_executor() -> anyhow::Result<u8> {
    anyhow::bail!("the executor runs without a runtime")
}
