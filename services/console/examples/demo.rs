//! The page with made-up services behind it, to look at and to work on: `cargo run --release -p holdfast-console --example demo`.
//! It listens on 127.0.0.1:8499 (or the port that is given), keeps its state in a temporary directory, and prints where to begin.

#[path = "../tests/fakes/mod.rs"]
mod fakes;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use holdfast_console::app::{App, Start};
use holdfast_console::config::Config;
use holdfast_console::routes;
use holdfast_contract::role::Service;
use holdfast_contract::status::Confinement;
use holdfast_ipc::{Limits, Server, Surroundings};

const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args().nth(1).map_or(Ok(8_499), |port| port.parse())?;
    let directory = tempfile::tempdir()?;
    let run = directory.path().join("run");
    std::fs::create_dir_all(&run)?;
    let listener = std::net::TcpListener::bind(("127.0.0.1", port))?;
    let address = listener.local_addr()?;
    holdfast_ipc::block_on(2, async {
        let house = fakes::House::new(&run);
        *house.inference.pace.lock().map_err(|_| "poisoned")? = Duration::from_millis(25);
        *house.quarantine.pace.lock().map_err(|_| "poisoned")? = Duration::from_millis(60);
        let mut surroundings = Surroundings::client(run.clone());
        surroundings.state.push(directory.path().join("state"));
        let server = Server::new(Service::Console);
        let (app, _) = App::open(Start {
            config: Config::default(),
            surroundings,
            setup_token: Some(TOKEN.as_bytes().to_vec().into()),
            address,
            confinement: Confinement {
                landlock_abi: 0,
                syscalls: 0,
                grants: Vec::new(),
                missing: vec!["this is a demonstration: it is not confined".into()],
            },
            stopping: server.stopping(),
        })?;
        println!("http://{address}/setup?token={TOKEN}");
        let router = routes::sealed(routes::router(Arc::new(app)));
        server
            .tcp(
                listener,
                router,
                Limits {
                    connections: 64,
                    answer_within: None,
                },
            )?
            .run()
            .await?;
        Ok(())
    })
}
