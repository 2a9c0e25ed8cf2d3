//! `holdfast up`: the evaluation supervisor. It does for the suite on any machine what systemd does on the appliance,
//! from the same unit files: binds the sockets, gives each daemon its user, state and credentials, keeps it running, and
//! stops everything again. It is not a security boundary of its own; each daemon confines itself.

pub mod check;
mod credentials;
mod executor;
mod identities;
mod layout;
mod log;
mod plan;
mod posture;
mod prepare;
mod prove;
mod ready;
mod sockets;
mod supervise;
pub mod table;
pub mod unit;

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, bail};
use rustix::fs::FlockOperation;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

pub use check::check;
pub use credentials::{
    create_missing as create_missing_credentials, create_missing_setup_token, read_setup_token,
};
pub use executor::run as run_executor;
pub use ready::health;

use log::Log;
use plan::Plan;
use table::Table;

/// How often a service may fail before `up` gives up on starting the suite.
const PATIENCE: u32 = 3;

/// What `holdfast up` was asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The state directory.
    pub state: PathBuf,
    /// Where the page listens; none means where its unit says.
    pub listen: Option<SocketAddr>,
    /// The source tree with units and shipped files; none means find it.
    pub root: Option<PathBuf>,
    /// Print one line of JSON when ready.
    pub json: bool,
    /// Show every line of the log.
    pub verbose: bool,
    /// Do not start the suite but prove each daemon's confinement.
    pub prove: bool,
}

/// Runs the suite until a signal ends it. Returns the exit code.
///
/// # Errors
///
/// When the suite cannot be started.
pub async fn run(options: Options) -> anyhow::Result<u8> {
    let begun = Instant::now();
    let shipped = layout::Shipped::find(options.root.as_deref())?;
    let shipped = shipped.absolute()?;
    let plan = Plan::read(&shipped.units, options.listen)?;
    layout::make_directory(&options.state, 0o711)?;
    std::env::set_current_dir(&options.state)
        .with_context(|| format!("enter {}", options.state.display()))?;
    let _lock = lock()?;
    // From here on a signal is an orderly end, however little there is to end yet.
    let signals = Signals::catch()?;
    let outcome = run_locked(&options, &plan, &shipped, begun, signals).await;
    clean_up();
    outcome
}

async fn run_locked(
    options: &Options,
    plan: &Plan,
    shipped: &layout::Shipped,
    begun: Instant,
    mut signals: Signals,
) -> anyhow::Result<u8> {
    let log = Log::open(options.verbose)?;
    let prepared = prepare::prepare(plan, shipped)?;
    if options.prove {
        return tokio::select! {
            code = prove::run(plan, &prepared, options.json) => code,
            () = signals.any() => Ok(crate::exit::FAILED),
        };
    }

    let table = Table::default();
    let (stop, stopping) = watch::channel(false);
    let mut services = Vec::new();
    for service in &plan.services {
        let supervised = prepared.supervised(service)?;
        services.push(tokio::task::spawn_local(supervised.run(
            table.clone(),
            log.clone(),
            stopping.clone(),
        )));
    }
    let outcome = tokio::select! {
        outcome = serve(options, plan, &prepared, &table, &log, begun) => outcome,
        () = signals.any() => Ok(()),
    };
    if !options.json {
        eprintln!("\nholdfast: stopping");
    }
    let _ = stop.send(true);
    for service in services {
        let _ = service.await;
    }
    outcome.map(|()| 0)
}

/// The signals that end the suite.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn catch() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

/// Waits for readiness, does what is to be done once, says so, and then waits for ever.
async fn serve(
    options: &Options,
    plan: &Plan,
    prepared: &prepare::Prepared,
    table: &Table,
    log: &Log,
    begun: Instant,
) -> anyhow::Result<()> {
    if let Err(service) = table.all_running(plan.services.len(), PATIENCE).await {
        bail!(
            "{service} does not start; the reason is in {}",
            options.state.join(log::FILE).display()
        );
    }
    for oneshot in &plan.oneshots {
        prepared.once(oneshot, log).await;
    }
    let ready = ready::Ready::find(options, prepared, table, begun).await?;
    ready.announce(options.json)?;
    std::future::pending().await
}

/// One suite per state directory.
fn lock() -> anyhow::Result<File> {
    use std::io::Write as _;
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open("lock")
        .context("open the lock")?;
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let holder = std::fs::read_to_string("lock").unwrap_or_default();
        bail!(
            "this state directory is in use: `holdfast up` runs on it already (process {})",
            holder.trim()
        );
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .context("write the lock")?;
    Ok(file)
}

/// Leaves no socket, credential or program behind.
fn clean_up() {
    let _ = std::fs::remove_dir_all("run");
}
