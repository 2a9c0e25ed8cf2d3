//! Locks the vault when nobody has read or written it for a while.

use std::sync::Arc;
use std::time::Duration;

use holdfast_contract::vault::{VaultState, VolumeRequest};

use crate::service::Vault;

/// How often the device is looked at.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// Counts minutes in which nothing was read or written.
#[derive(Debug, Default)]
struct Quiet {
    transfers: Option<u64>,
    minutes: u32,
}

impl Quiet {
    /// Takes a look into account and returns for how many minutes it has been quiet.
    fn look(&mut self, transfers: u64) -> u32 {
        if self.transfers.replace(transfers) == Some(transfers) {
            self.minutes += 1;
        } else {
            self.minutes = 0;
        }
        self.minutes
    }
}

/// Watches until the daemon ends. Does nothing where the operator wants no lock.
pub async fn watch(vault: Arc<Vault>) {
    let Some(limit) = vault.config.lock_after().filter(|_| vault.is_encrypted()) else {
        return;
    };
    let mut quiet = Quiet::default();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        if vault.status().state != VaultState::Open {
            quiet = Quiet::default();
            continue;
        }
        let Ok(done) = vault.ask(VolumeRequest::Look).await else {
            continue;
        };
        if quiet.look(done.volume.transfers) < limit {
            continue;
        }
        quiet = Quiet::default();
        let why = format!("nothing was read or written for {limit} minutes");
        if let Err(problem) = vault.lock("idle", &why).await {
            tracing::error!(%problem, "the vault could not be locked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_transfer_begins_the_count_anew() {
        let mut quiet = Quiet::default();
        assert_eq!(
            [7, 7, 7, 8, 8].map(|transfers| quiet.look(transfers)),
            [0, 1, 2, 0, 1]
        );
    }
}
