//! Where things are kept: the account and the API tokens outside the vault, so that somebody can sign in and open it; the conversations in it.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_contract::status::Mode;
use holdfast_ipc::{Surroundings, SurroundingsError};

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
        Ok(Self {
            in_vault: conversations != account
                && posture.is_some_and(|posture| posture.mode == Mode::Appliance),
            account,
            conversations,
        })
    }

    /// Whether the vault is not mounted: then what the supervisor made in its place lies on another volume, and nothing may be written there.
    pub fn vault_is_shut(&self) -> bool {
        self.in_vault
            && match (self.conversations.parent().map(device), device(&self.account)) {
                (Some(Some(vault)), Some(account)) => vault == account,
                _ => true,
            }
    }

    /// Ends when the vault was mounted; never, where it is mounted already.
    pub async fn opened(&self) {
        if !self.vault_is_shut() {
            std::future::pending::<()>().await;
        }
        let mut looks = tokio::time::interval(LOOK_EVERY);
        while self.vault_is_shut() {
            looks.tick().await;
        }
    }
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
        }
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
