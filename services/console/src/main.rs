//! Starts the console: sockets and credentials, sandbox, serve.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use holdfast_console::app::{self, App};
use holdfast_console::config::Config;
use holdfast_console::neighbours::Neighbours;
use holdfast_console::places::Places;
use holdfast_console::routes;
use holdfast_contract::ledger::{Event, Outcome};
use holdfast_contract::role::Service;
use holdfast_daemon::Start;
use holdfast_ipc::{Limits, Server, Surroundings};
use holdfast_sandbox::Sandbox;
use serde_json::json;

fn main() -> ExitCode {
    holdfast_daemon::main(
        "holdfast-console",
        "The web page and the OpenAI-compatible API.",
        run,
    )
}

fn run(start: Start<Config>) -> anyhow::Result<()> {
    let mut sockets = start.sockets()?;
    let setup_token = start.surroundings.optional_credential("setup-token")?;
    // Found out once: from inside the sandbox it could not be.
    let places = Places::of(&start.surroundings)?;
    let confinement = start.enter(sandbox(&start.surroundings, &places))?;
    let listener = sockets.tcp("http")?;
    let address = listener
        .local_addr()
        .context("ask the listening socket for its address")?;

    holdfast_ipc::block_on(2, async move {
        let server = Server::new(Service::Console);
        let stopping = server.stopping();
        let Start {
            config, surroundings, ..
        } = start;
        let (app, found) = App::open(app::Start {
            config,
            surroundings,
            places: places.clone(),
            setup_token,
            address,
            confinement,
            stopping,
        })?;
        tracing::info!(
            %address,
            conversations = found.conversations,
            interrupted = found.interrupted,
            damaged = found.damaged,
            set_up = app.account.is_set_up(),
            "opened"
        );
        let app = Arc::new(app);
        let vault = app.neighbours.vault.clone();
        tokio::spawn(announce(Arc::clone(&app), found.interrupted));
        let router = routes::sealed(routes::router(app));
        // Uploads and chats last as long as they last: each handler bounds its own time.
        let limits = Limits {
            connections: 256,
            answer_within: None,
        };
        tokio::select! {
            ended = server.tcp(listener, router, limits)?.run() => ended?,
            // What this process may reach was fixed while the vault was shut: the next one reaches the vault.
            () = places.opened(&vault) => tracing::info!("the vault was opened: ending to be started with it"),
        }
        anyhow::Ok(())
    })
}

/// The console writes its own state, reads the posture beside the sockets, and connects to its neighbours. Nothing else.
fn sandbox(surroundings: &Surroundings, places: &Places) -> Sandbox {
    let mut sandbox = Sandbox::daemon().write(&places.account).read(&surroundings.run);
    if places.conversations != places.account && !places.vault_is_shut() {
        sandbox = sandbox.write(&places.conversations);
    }
    for role in Neighbours::roles() {
        let path = surroundings.role(role);
        if path.exists() {
            sandbox = sandbox.connect(path);
        } else {
            tracing::warn!(%role, "the socket is not there: the console does without it until it is started again");
        }
    }
    sandbox
}

/// Tells the ledger that the console serves, and what it cleared up. The recorder may come up a little later.
async fn announce(app: Arc<App>, interrupted: usize) {
    let started = json!({ "version": env!("CARGO_PKG_VERSION") });
    let subject = Service::Console.name();
    if let Err(problem) = app
        .neighbours
        .record(Event::ServiceStarted, Outcome::Noted, subject, started)
        .await
    {
        tracing::warn!(%problem, "the start was not recorded");
    }
    if interrupted == 0 {
        return;
    }
    let detail = json!({ "interrupted_answers": interrupted });
    if let Err(problem) = app
        .neighbours
        .record(Event::ServiceReconciled, Outcome::Noted, subject, detail)
        .await
    {
        tracing::warn!(%problem, "what was cleared up was not recorded");
    }
}
