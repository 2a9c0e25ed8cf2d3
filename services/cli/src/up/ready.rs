//! Saying that the suite is ready, to a person or to a script.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Options;
use super::prepare::Prepared;
use super::table::Table;

/// The largest answer of the page to a question about its health, in bytes.
const MAX_HEALTH_BYTES: u64 = 16 << 10;

/// The one line of JSON that `holdfast up --json` prints.
#[derive(Debug, Serialize)]
pub struct Ready {
    event: &'static str,
    /// The page.
    url: String,
    /// The page with the set-up token, until a passphrase was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    setup_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    setup_token: Option<String>,
    state: String,
    pid: u32,
    /// Process ids of the daemons.
    services: BTreeMap<String, i32>,
    weaknesses: Vec<String>,
    started_in_ms: u64,
}

impl Ready {
    /// Collects what there is to say.
    ///
    /// # Errors
    ///
    /// When the page does not answer.
    pub async fn find(
        options: &Options,
        prepared: &Prepared,
        table: &Table,
        begun: Instant,
    ) -> anyhow::Result<Self> {
        let address = prepared.page.get().context("no service has a TCP socket")?;
        let health = tokio::time::timeout(Duration::from_secs(10), health(address))
            .await
            .context("the page does not answer")?
            .context("ask the page for its health")?;
        let url = format!("http://{address}");
        let is_new = health["set_up"] == false;
        let token = is_new.then(|| prepared.setup_token.to_string());
        Ok(Self {
            event: "ready",
            setup_url: token.as_ref().map(|token| format!("{url}/setup?token={token}")),
            setup_token: token,
            url,
            state: options.state.display().to_string(),
            pid: std::process::id(),
            services: table
                .rows()
                .into_iter()
                .filter_map(|(name, row)| Some((name, row.pid?)))
                .collect(),
            weaknesses: prepared.posture.weaknesses.clone(),
            started_in_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// Prints it.
    ///
    /// # Errors
    ///
    /// When standard output is closed.
    pub fn announce(&self, json: bool) -> anyhow::Result<()> {
        use std::io::Write as _;
        let mut out = std::io::stdout().lock();
        if json {
            serde_json::to_writer(&mut out, self)?;
            writeln!(out)?;
        } else {
            writeln!(
                out,
                "\nHoldfast runs in evaluation mode. It is weaker than the appliance:"
            )?;
            for weakness in &self.weaknesses {
                writeln!(out, "  - {weakness}")?;
            }
            match &self.setup_url {
                Some(setup) => writeln!(
                    out,
                    "\nOpen this page once to choose a passphrase:\n\n  {setup}\n"
                )?,
                None => writeln!(out, "\nOpen the page:\n\n  {}\n", self.url)?,
            }
            writeln!(out, "State: {}   Stop with Ctrl-C.", self.state)?;
        }
        out.flush()?;
        Ok(())
    }
}

/// What the page at `address` says of its health.
///
/// # Errors
///
/// When it does not answer as the page does.
pub async fn health(address: SocketAddr) -> anyhow::Result<Value> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_HEALTH_BYTES).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let (_, body) = answer.split_once("\r\n\r\n").context("it is not HTTP")?;
    serde_json::from_str(body.trim()).context("it is not JSON")
}
