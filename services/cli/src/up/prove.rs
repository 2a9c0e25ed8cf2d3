//! `holdfast up --prove-confinement`: each daemon tries from inside its sandbox what it must not be able to do.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use super::executor::start;
use super::plan::Plan;
use super::prepare::Prepared;

/// How long a proof may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// The most output of one proof, in bytes.
const MAX_OUTPUT_BYTES: u64 = 64 << 10;

/// Runs every daemon's proof as the user and with the surroundings it would have. Returns 0 when everything was denied,
/// else 1.
///
/// # Errors
///
/// When a daemon cannot be started.
pub async fn run(plan: &Plan, prepared: &Prepared, json: bool) -> anyhow::Result<u8> {
    // The sockets exist for all, as in a running suite, before the first daemon makes rules about them.
    let supervised = plan
        .services
        .iter()
        .map(|service| prepared.supervised(service))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut confined = true;
    for service in &supervised {
        let others = plan
            .services
            .iter()
            .filter(|other| other.name != service.plan.name);
        let mut forbidden: Vec<PathBuf> = others.flat_map(|other| other.state.clone()).collect();
        forbidden.push("lib/credentials".into());
        let forbidden: Vec<String> = forbidden.iter().map(|path| path.display().to_string()).collect();
        let mut orders = service.orders.clone();
        orders.command.push("--prove-confinement".to_owned());
        orders
            .environment
            .insert("HOLDFAST_FORBIDDEN".to_owned(), forbidden.join(":"));
        let sockets: Vec<_> = service.sockets.iter().map(std::os::fd::AsFd::as_fd).collect();
        let mut child = start(&orders, &sockets, Stdio::piped(), Stdio::inherit())?;
        let output = child.stdout.take().context("no output")?;
        let mut text = String::new();
        let status = tokio::time::timeout(DEADLINE, async {
            output.take(MAX_OUTPUT_BYTES).read_to_string(&mut text).await?;
            child.wait().await
        })
        .await
        .with_context(|| format!("{} did not end its proof", service.plan.name))?
        .with_context(|| format!("prove the confinement of {}", service.plan.name))?;
        let attempts: Vec<Value> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let denied = attempts
            .iter()
            .filter(|attempt| attempt["denied"] == true)
            .count();
        confined &= status.success() && denied == attempts.len() && denied > 0;
        if json {
            println!(
                "{}",
                json!({ "service": service.plan.name, "confined": status.success(), "attempts": attempts })
            );
        } else {
            println!(
                "{}: {denied} of {} attempts denied",
                service.plan.name,
                attempts.len()
            );
            for attempt in attempts.iter().filter(|attempt| attempt["denied"] != true) {
                println!(
                    "  NOT denied: {}",
                    attempt["attempt"].as_str().unwrap_or_default()
                );
            }
        }
    }
    Ok(u8::from(!confined))
}
