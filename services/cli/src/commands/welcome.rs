//! `holdfast welcome`: what the appliance shows at its own screen, where nobody can log in.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use super::status;
use crate::exit;
use crate::output::Output;
use crate::suite::Suite;
use crate::up;

#[derive(Debug, Serialize)]
struct Welcome {
    url: String,
    /// The page with the set-up token, until a passphrase was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    setup_url: Option<String>,
}

/// Says where the page is and, until a passphrase was chosen, how to set it up; then what this appliance does not do yet.
///
/// # Errors
///
/// When the page does not answer, or the token cannot be read.
pub async fn run(suite: &Suite, output: Output, credentials: &Path, page: SocketAddr) -> anyhow::Result<u8> {
    let health = tokio::time::timeout(Duration::from_mins(1), up::health(page))
        .await
        .context("the page does not answer")?
        .context("ask the page for its health")?;
    let url = format!("http://{page}");
    let setup_url = if health["set_up"] == false {
        let token = up::read_setup_token(credentials)?;
        Some(format!("{url}/setup?token={}", token.as_str()))
    } else {
        None
    };
    let welcome = Welcome { url, setup_url };
    output.value(&welcome)?;
    match &welcome.setup_url {
        Some(setup) => output.line(format!(
            "\nHoldfast runs. Open this page once to choose a passphrase:\n\n  {setup}"
        ))?,
        None => output.line(format!("\nHoldfast runs. Its page:\n\n  {}", welcome.url))?,
    }
    if let Some(posture) = status::published(suite, "posture.json") {
        status::posture_text(&posture, output)?;
    }
    Ok(exit::OK)
}
