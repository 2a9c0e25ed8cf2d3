//! `holdfast status`: each service, its confinement, the posture, the ledger's head.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use holdfast_contract::Problem;
use holdfast_contract::ledger::Entries;
use holdfast_contract::profile::Profile;
use holdfast_contract::role::{self, Role, Service};
use holdfast_contract::status::{Mode, Posture, ServiceStatus};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::exit;
use crate::output::Output;
use crate::suite::Suite;
use crate::up;
use crate::up::table::{Row, State};

/// Where each daemon says how it is. The console has no role socket: the supervisor speaks for it.
const ASKED: [(Service, Role); 5] = [
    (Service::IncidentRecorder, role::RECORDER_READ),
    (Service::Vault, role::VAULT_OPERATE),
    (Service::Registry, role::REGISTRY_READ),
    (Service::Quarantine, role::QUARANTINE_READ),
    (Service::Inference, role::INFERENCE_ADMIN),
];

/// Where the page is on the appliance, as in its socket unit.
const CONSOLE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8480);
/// How long the page may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Status {
    running: bool,
    posture: Option<Posture>,
    profile: Profile,
    services: Vec<ServiceRow>,
    ledger: Option<LedgerHead>,
}

#[derive(Serialize)]
struct ServiceRow {
    service: Service,
    running: bool,
    restarts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<ServiceStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

#[derive(Serialize)]
struct LedgerHead {
    size: u64,
    checkpoint: String,
}

/// Prints how the suite is. 0 when everything runs, 1 when something does not, 3 when there is no suite.
pub async fn run(suite: &Suite, output: Output) -> anyhow::Result<u8> {
    let table: BTreeMap<String, Row> = published(suite, "services.json").unwrap_or_default();
    let posture: Option<Posture> = published(suite, "posture.json");
    let is_appliance = posture
        .as_ref()
        .is_some_and(|posture| posture.mode == Mode::Appliance);
    let mut services = Vec::new();
    for service in Service::ALL {
        let row = table.get(service.name());
        let restarts = row.map_or(0, |row| row.restarts);
        services.push(match ASKED.iter().find(|(asked, _)| *asked == service) {
            Some((_, role)) => {
                let answer: Result<ServiceStatus, Problem> = suite.client(*role).get("/v1/status").await;
                let (status, problem) = match answer {
                    Ok(status) => (Some(status), None),
                    Err(problem) => (None, Some(problem.detail)),
                };
                ServiceRow {
                    service,
                    running: status.is_some(),
                    restarts,
                    status,
                    problem,
                }
            }
            None => {
                let running = match row {
                    Some(row) => row.state == State::Running,
                    // On the appliance nobody keeps a table: ask the page itself.
                    None => is_appliance && serves(CONSOLE).await,
                };
                ServiceRow {
                    service,
                    running,
                    restarts,
                    status: None,
                    problem: None,
                }
            }
        });
    }
    let status = Status {
        running: services.iter().all(|row| row.running),
        posture,
        profile: Profile::current(),
        services,
        ledger: head(suite).await,
    };
    output.value(&status)?;
    text(&status, output)?;
    Ok(match status.services.iter().filter(|row| row.running).count() {
        0 => exit::NOT_RUNNING,
        all if all == status.services.len() => exit::OK,
        _ => exit::NO,
    })
}

async fn serves(page: SocketAddr) -> bool {
    let health = tokio::time::timeout(PATIENCE, up::health(page)).await;
    matches!(health, Ok(Ok(_)))
}

fn text(status: &Status, output: Output) -> anyhow::Result<()> {
    if status.services.iter().all(|row| !row.running) {
        output.line("Holdfast does not run here. Start it with `holdfast up`.")?;
        return Ok(());
    }
    for row in &status.services {
        let state = if row.running { "runs" } else { "DOES NOT RUN" };
        let restarts = if row.restarts > 0 {
            format!(", restarted {} times", row.restarts)
        } else {
            String::new()
        };
        match &row.status {
            Some(status) => {
                output.line(format!(
                    "{:<18} {state}{restarts}: {}",
                    row.service.name(),
                    status.summary
                ))?;
                let confinement = &status.confinement;
                output.line(format!(
                    "                   Landlock ABI {}, {} system calls, {}",
                    confinement.landlock_abi,
                    confinement.syscalls,
                    if confinement.grants.is_empty() {
                        "no files".to_owned()
                    } else {
                        confinement.grants.join(", ")
                    },
                ))?;
                for missing in &confinement.missing {
                    output.line(format!("                   not in force: {missing}"))?;
                }
            }
            None => {
                let problem = row
                    .problem
                    .as_ref()
                    .map(|problem| format!(": {problem}"))
                    .unwrap_or_default();
                output.line(format!("{:<18} {state}{restarts}{problem}", row.service.name()))?;
            }
        }
    }
    output.line(format!(
        "\nProfile: {}, {}.",
        status.profile.name(),
        status.profile.meaning()
    ))?;
    if let Some(posture) = &status.posture {
        posture_text(posture, output)?;
    }
    if let Some(ledger) = &status.ledger {
        output.line(format!(
            "\nLedger: {} entries. Signed checkpoint:\n\n{}",
            ledger.size, ledger.checkpoint
        ))?;
    }
    Ok(())
}

/// What is weaker than it should be.
///
/// # Errors
///
/// When standard output is closed.
pub(super) fn posture_text(posture: &Posture, output: Output) -> anyhow::Result<()> {
    output.line(match posture.mode {
        Mode::Evaluation => "\nPosture: evaluation. Weaker than the appliance:",
        Mode::Appliance => "\nPosture: appliance. Not there yet:",
    })?;
    for weakness in &posture.weaknesses {
        output.line(format!("  - {weakness}"))?;
    }
    Ok(())
}

pub(super) fn published<T: DeserializeOwned>(suite: &Suite, name: &str) -> Option<T> {
    serde_json::from_slice(&std::fs::read(suite.published(name)).ok()?).ok()
}

async fn head(suite: &Suite) -> Option<LedgerHead> {
    let client = suite.client(role::RECORDER_READ);
    let checkpoint = client.get_text("/v1/checkpoint").await.ok()?;
    let entries: Entries = client.get("/v1/entries?limit=0").await.ok()?;
    Some(LedgerHead {
        size: entries.size,
        checkpoint,
    })
}
