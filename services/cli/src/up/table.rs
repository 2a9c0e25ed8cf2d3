//! What runs, for people and for the other parts: `run/services.json`, rewritten at every change.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use holdfast_contract::Timestamp;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// The file, relative to the state directory.
pub const FILE: &str = "run/services.json";

/// How a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Started, not ready yet.
    Starting,
    /// Ready.
    Running,
    /// Failed, waiting to be started again.
    Restarting,
    /// Asked to stop.
    Stopping,
    /// Stopped because it was asked to.
    Stopped,
    /// Failed, and not to be started again.
    Failed,
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// How it is.
    pub state: State,
    /// Its process, while it has one.
    pub pid: Option<i32>,
    /// Since when it is so.
    pub since: Timestamp,
    /// How often it was started again.
    pub restarts: u32,
}

/// The table of all services. Clones are the same table.
#[derive(Clone, Default)]
pub struct Table {
    rows: Rc<RefCell<BTreeMap<String, Row>>>,
    changed: watch::Sender<u64>,
}

impl Table {
    /// Notes how a service is.
    pub fn set(&self, service: &str, state: State, pid: Option<Pid>) {
        self.change(service, |row| {
            row.state = state;
            row.pid = pid.map(|pid| pid.as_raw_nonzero().get());
        });
    }

    /// Notes that a service failed and will be started again.
    pub fn failed(&self, service: &str) {
        self.change(service, |row| {
            row.state = State::Restarting;
            row.pid = None;
            row.restarts += 1;
        });
    }

    fn change(&self, service: &str, change: impl FnOnce(&mut Row)) {
        let now = Timestamp::now();
        let mut rows = self.rows.borrow_mut();
        let row = rows.entry(service.to_owned()).or_insert(Row {
            state: State::Starting,
            pid: None,
            since: now,
            restarts: 0,
        });
        change(row);
        row.since = now;
        let text = serde_json::to_vec(&*rows).unwrap_or_default();
        drop(rows);
        // For readers only; the supervisor itself does not depend on it.
        let temporary = Path::new(FILE).with_extension("new");
        let _ = std::fs::write(&temporary, text)
            .and_then(|()| super::layout::readable(&temporary))
            .and_then(|()| std::fs::rename(&temporary, FILE));
        self.changed.send_modify(|count| *count += 1);
    }

    /// The rows now.
    pub fn rows(&self) -> BTreeMap<String, Row> {
        self.rows.borrow().clone()
    }

    /// Waits until every service runs.
    ///
    /// # Errors
    ///
    /// The name of one that failed for good, or failed `patience` times, first.
    pub async fn all_running(&self, services: usize, patience: u32) -> Result<(), String> {
        let mut changes = self.changed.subscribe();
        loop {
            let rows = self.rows();
            if let Some((name, _)) = rows
                .iter()
                .find(|(_, row)| row.state == State::Failed || row.restarts >= patience)
            {
                return Err(name.clone());
            }
            if rows.len() == services && rows.values().all(|row| row.state == State::Running) {
                return Ok(());
            }
            if changes.changed().await.is_err() {
                return Err("supervisor".to_owned());
            }
        }
    }
}
