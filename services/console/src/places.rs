//! Where things are kept: the account and the API tokens outside the vault, so that somebody can sign in and open it; the conversations in it.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_contract::Problem;
use holdfast_contract::status::Mode;
use holdfast_contract::vault::{VaultState, VaultStatus};
use holdfast_ipc::{Client, Surroundings, SurroundingsError};

use crate::neighbours::Neighbours;

/// How often a shut vault is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The two directories.
#[derive(Debug, Clone)]
pub struct Places {
    /// For the account and the API tokens.
    pub account: PathBuf,
    /// For the conversations.
    pub conversations: PathBuf,
    in_vault: bool,
    /// Whether the vault was locked when this was found out: mounted, and whoever reads or writes waits.
    locked: bool,
}

impl Places {
    /// The directories that the supervisor made. In evaluation mode there is no volume that could be shut.
    ///
    /// # Errors
    ///
    /// When it made none.
    pub fn of(surroundings: &Surroundings) -> Result<Self, SurroundingsError> {
        let account = surroundings.state_directory()?.to_owned();
        let conversations = surroundings.state.get(1).unwrap_or(&account).clone();
        let posture = Neighbours::new(surroundings).posture();
        let in_vault =
            conversations != account && posture.is_some_and(|posture| posture.mode == Mode::Appliance);
        Ok(Self {
            in_vault,
            locked: in_vault && conversations.parent().is_some_and(is_locked),
            account,
            conversations,
        })
    }

    /// Whether the vault cannot be used: it was locked at the start, or it is not mounted, and what lies in its place is on another volume, where
    /// nothing may be written.
    pub fn vault_is_shut(&self) -> bool {
        self.in_vault && (self.locked || !self.is_mounted())
    }

    fn is_mounted(&self) -> bool {
        match (self.conversations.parent().map(device), device(&self.account)) {
            (Some(Some(vault)), Some(account)) => vault != account,
            _ => false,
        }
    }

    /// Ends when the vault, which could not be used at the start, can be; never, where it could. A vault that is locked later is waited for by
    /// those who read and write.
    pub async fn opened(&self, vault: &Client) {
        if !self.vault_is_shut() {
            std::future::pending::<()>().await;
        }
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            looks.tick().await;
            if self.is_mounted() && (!self.locked || is_open(vault).await) {
                return;
            }
        }
    }
}

async fn is_open(vault: &Client) -> bool {
    let status: Result<VaultStatus, Problem> = vault.get("/v1/vault").await;
    status.is_ok_and(|status| status.state == VaultState::Open)
}

/// Whether the mapped device under `path` is suspended, as the kernel shows it. Asking the vault instead would have to wait for it.
fn is_locked(path: &Path) -> bool {
    let Some(device) = device(path) else { return false };
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let suspended = format!("/sys/dev/block/{major}:{minor}/dm/suspended");
    std::fs::read_to_string(suspended).is_ok_and(|text| text.trim() == "1")
}

fn device(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|metadata| metadata.dev())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(account: &str, conversations: &str, in_vault: bool) -> Places {
        Places {
            account: account.into(),
            conversations: conversations.into(),
            in_vault,
            locked: false,
        }
    }

    #[test]
    fn a_vault_that_was_locked_at_the_start_cannot_be_used_though_it_is_mounted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap();
        let locked = Places {
            locked: true,
            ..places(path, "/proc/self/console", true)
        };
        assert!(locked.vault_is_shut());
        assert!(!is_locked(directory.path()));
    }

    #[test]
    fn a_vault_on_the_same_volume_as_the_account_is_not_mounted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap();
        assert!(places(path, &format!("{path}/vault/console"), true).vault_is_shut());
        assert!(!places(path, &format!("{path}/vault/console"), false).vault_is_shut());
        // Another file system, as a mounted vault is.
        assert!(!places(path, "/proc/self/console", true).vault_is_shut());
    }

    #[test]
    fn a_place_that_cannot_be_seen_counts_as_shut() {
        assert!(places("/nonexistent", "/nonexistent/vault/console", true).vault_is_shut());
    }
}
