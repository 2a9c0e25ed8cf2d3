//! What is done at the start: the volume is made where there has never been one, and opened where there is.

use std::sync::Arc;
use std::time::Duration;

use holdfast_contract::ledger::Event;
use holdfast_contract::vault::{Keys, PanicLevel, VolumeRequest, VolumeState};
use serde_json::json;

use crate::service::Vault;

/// The longest pause before the device is asked again.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// What the start has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Create,
    Open,
    Leave(&'static str),
}

/// A header that is gone is not an empty disk: once a volume was made, nothing takes its place by itself.
fn decide(state: VolumeState, made: bool) -> Start {
    match (state, made) {
        (VolumeState::None | VolumeState::Unfinished, false) => Start::Create,
        (VolumeState::Ready, _) => Start::Open,
        (VolumeState::Erased, _) => Start::Leave("its keys were destroyed; a new vault can be made"),
        (VolumeState::None | VolumeState::Unfinished, true) => {
            Start::Leave("the vault's header is gone from the disk: put its backup back, or make a new vault")
        }
        (VolumeState::Foreign, _) => {
            Start::Leave("the vault's partition holds an encrypted volume that Holdfast did not make")
        }
    }
}

/// Settles the vault.
pub async fn settle(vault: Arc<Vault>) {
    if !vault.is_encrypted() {
        let detail = json!({ "version": env!("CARGO_PKG_VERSION"), "backend": "directory" });
        vault.note(Event::ServiceStarted, &Ok(()), detail).await;
        return;
    }
    let mut looked = vault.ask(VolumeRequest::Look).await;
    let detail = json!({ "version": env!("CARGO_PKG_VERSION") });
    vault.note(Event::ServiceStarted, &looked, detail).await;
    let mut pause = Duration::from_secs(1);
    let done = loop {
        match looked {
            Ok(done) => break done,
            Err(problem) => tracing::error!(%problem, "the vault cannot be looked at yet"),
        }
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(LONGEST_PAUSE);
        looked = vault.ask(VolumeRequest::Look).await;
    };
    if vault.resume_panic().await {
        return;
    }
    if done.volume.state == VolumeState::Erased && done.volume.keys != Keys::default() {
        // Power was lost while the keys were being destroyed.
        let erased = vault.ask(VolumeRequest::Erase).await;
        let detail = json!({ "by": "start", "level": PanicLevel::Erase.number(), "done": erased.is_ok() });
        vault.note(Event::VaultPanic, &erased, detail).await;
        return;
    }
    match decide(done.volume.state, vault.notes.was_made()) {
        Start::Open if vault.is_foreign(&done.volume) => {
            let why = "another volume lies in the vault's place: put the disk back, or make a new vault";
            tracing::error!(why, "the vault stays shut");
            vault.doubt_unless_erased(done.volume.state, why);
        }
        Start::Create => create(&vault).await,
        Start::Open if done.volume.active => {}
        Start::Open => {
            if let Err(problem) = vault.open("start", "tpm", vault.open_request(None)).await {
                tracing::error!(%problem, "the vault stays shut");
            }
        }
        Start::Leave(why) => {
            tracing::error!(why, "the vault stays shut");
            vault.doubt_unless_erased(done.volume.state, why);
        }
    }
}

/// Makes the volume and opens it.
async fn create(vault: &Vault) {
    let begun = json!({ "by": "start", "state": "being made" });
    vault.try_record(Event::VaultState, begun).await;
    let made = vault
        .ask(VolumeRequest::Create {
            replace: false,
            identity: None,
        })
        .await;
    if let Err(problem) = &made {
        tracing::error!(%problem, "the vault could not be made");
    }
    let detail = json!({ "by": "start", "state": "made and open" });
    vault.note(Event::VaultState, &made, detail).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_disk_that_never_had_a_vault_is_given_one() {
        assert_eq!(decide(VolumeState::None, false), Start::Create);
        assert_eq!(decide(VolumeState::Unfinished, false), Start::Create);
        for state in [
            VolumeState::None,
            VolumeState::Unfinished,
            VolumeState::Erased,
            VolumeState::Foreign,
        ] {
            assert!(matches!(decide(state, true), Start::Leave(_)), "{state:?}");
        }
        assert!(matches!(decide(VolumeState::Foreign, false), Start::Leave(_)));
        assert!(matches!(decide(VolumeState::Erased, false), Start::Leave(_)));
    }

    #[test]
    fn a_whole_volume_is_opened_even_where_the_note_is_missing() {
        assert_eq!(decide(VolumeState::Ready, false), Start::Open);
        assert_eq!(decide(VolumeState::Ready, true), Start::Open);
    }
}
