//! The panic levels: a countdown that can be called off, then the deed, each looked at afterwards.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use holdfast_contract::Problem;
use holdfast_contract::ledger::Event;
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::vault::{Countdown, Keys, PanicLevel, VaultStatus, VolumeRequest};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::service::Vault;

/// A panic that is being counted down, or carried out once nobody can call it off any more.
#[derive(Debug)]
pub struct Pending {
    level: PanicLevel,
    at: Instant,
    call_off: Option<oneshot::Sender<String>>,
}

/// Whether a level may be begun.
///
/// # Errors
///
/// When its phrase was not typed, or level 2 would leave nothing that opens the vault.
fn permitted(level: PanicLevel, phrase: Option<&str>, keys: Keys) -> Result<(), Problem> {
    if let Some(wanted) = level.phrase()
        && phrase.map(str::trim) != Some(wanted)
    {
        return Err(Problem::new(
            ProblemKind::Invalid,
            format!(
                "panic level {} destroys something: it needs the phrase \"{wanted}\"",
                level.number()
            ),
        ));
    }
    if level == PanicLevel::RemoveTpm && !keys.recovery_key && !keys.passphrase && !keys.security_key {
        return Err(Problem::new(
            ProblemKind::Conflict,
            "without the TPM's key nothing would open the vault again: there is no confirmed recovery key, no passphrase and no security key",
        )
        .next("Make a recovery key first, lock with level 1, or destroy every key with level 3."));
    }
    Ok(())
}

impl Vault {
    /// The countdown that runs.
    pub fn countdown(&self) -> Option<Countdown> {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.as_ref().map(|pending| {
            let left = pending.at.saturating_duration_since(Instant::now());
            // Rounded up: 0 means that it is being done.
            let seconds = u32::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
            Countdown {
                level: pending.level,
                seconds,
            }
        })
    }

    /// Begins the countdown. What is asked for is recorded first; a ledger that does not answer stops nobody who panics.
    ///
    /// # Errors
    ///
    /// When the phrase is missing, a countdown runs already, or nothing would open the vault after level 2.
    pub async fn panic(
        self: &Arc<Self>,
        by: &str,
        level: PanicLevel,
        phrase: Option<&str>,
    ) -> Result<VaultStatus, Problem> {
        if !self.is_encrypted() {
            self.ask(VolumeRequest::Look).await?;
        }
        permitted(level, phrase, self.status().keys)?;
        let after = self.config.countdown(level);
        let (call_off, called_off) = oneshot::channel();
        {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            // A graver level takes the place of a milder one; the milder would only be in its way.
            if let Some(running) = pending.as_ref()
                && (running.level >= level || running.call_off.is_none())
            {
                return Err(Problem::new(
                    ProblemKind::Conflict,
                    format!("panic level {} is on its way already", running.level.number()),
                ));
            }
            *pending = Some(Pending {
                level,
                at: Instant::now() + after,
                call_off: Some(call_off),
            });
        }
        let detail = json!({ "by": by, "level": level.number(), "after_seconds": after.as_secs() });
        let recorded = self.try_record(Event::VaultPanic, detail).await;
        tokio::spawn(count_down(
            Arc::clone(self),
            level,
            after,
            called_off,
            recorded,
            by.to_owned(),
        ));
        Ok(self.status())
    }

    /// Calls the countdown off.
    ///
    /// # Errors
    ///
    /// When none runs, or it is being carried out.
    pub fn call_off(&self, by: &str) -> Result<VaultStatus, Problem> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(call_off) = pending.as_mut().and_then(|pending| pending.call_off.take()) else {
            let detail = if pending.is_some() {
                "it is too late"
            } else {
                "no panic is on its way"
            };
            return Err(Problem::new(ProblemKind::Conflict, detail));
        };
        *pending = None;
        drop(pending);
        // Nobody hears it any more only when a graver level took its place.
        let _ = call_off.send(by.to_owned());
        Ok(self.status())
    }

    /// From now on nobody can call it off. False when somebody has, or a graver level took its place.
    fn commit(&self, level: PanicLevel) -> bool {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        match pending.as_mut() {
            Some(pending) if pending.level == level => pending.call_off.take().is_some(),
            _ => false,
        }
    }

    fn over(&self) {
        *self.pending.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

async fn count_down(
    vault: Arc<Vault>,
    level: PanicLevel,
    after: Duration,
    called_off: oneshot::Receiver<String>,
    recorded: bool,
    by: String,
) {
    tokio::select! {
        biased;
        stopped = called_off => {
            let detail = json!({ "by": stopped.unwrap_or_default(), "level": level.number(), "called_off": true });
            if let Err(problem) = vault.must_record(Event::VaultPanic, detail).await {
                tracing::error!(%problem, "that a panic was called off is not recorded");
            }
            return;
        }
        () = tokio::time::sleep(after) => {}
    }
    if !vault.commit(level) {
        return;
    }
    tracing::warn!(level = level.number(), by, "panic");
    let done = carry_out(&vault, level).await;
    let detail = json!({
        "by": by, "level": level.number(), "done": done.is_ok(), "recorded_before": recorded,
    });
    vault.note(Event::VaultPanic, &done, detail).await;
    if let Err(problem) = &done {
        tracing::error!(%problem, level = level.number(), "the panic was not carried out whole");
    }
    if level == PanicLevel::Erase {
        // What was decrypted is still in memory, and no key will ever be needed again.
        if let Err(problem) = vault.ask(VolumeRequest::TurnOff).await {
            tracing::error!(%problem, "the machine could not be turned off");
        }
    }
    vault.over();
}

/// Every step is tried, whatever became of the one before it; the first failure is returned.
async fn carry_out(vault: &Vault, level: PanicLevel) -> Result<(), Problem> {
    let steps: &[VolumeRequest] = match level {
        PanicLevel::Lock => &[],
        PanicLevel::RemoveTpm => &[VolumeRequest::RemoveTpm],
        PanicLevel::Erase => &[VolumeRequest::Erase],
    };
    let mut first = match vault.lock("panic", "panic").await {
        Ok(_) => Ok(()),
        Err(problem) => Err(problem),
    };
    for step in steps {
        let done = vault.ask(step.clone()).await;
        first = first.and(done.map(|_| ()));
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECOVERABLE: Keys = Keys {
        tpm: true,
        recovery_key: true,
        passphrase: false,
        security_key: false,
        security_key_pin: false,
    };

    #[test]
    fn what_destroys_needs_its_own_phrase() {
        assert!(permitted(PanicLevel::Lock, None, Keys::default()).is_ok());
        assert!(permitted(PanicLevel::RemoveTpm, None, RECOVERABLE).is_err());
        assert!(permitted(PanicLevel::RemoveTpm, Some("erase everything"), RECOVERABLE).is_err());
        assert!(permitted(PanicLevel::RemoveTpm, Some(" remove the tpm key\n"), RECOVERABLE).is_ok());
        assert!(permitted(PanicLevel::Erase, Some("remove the tpm key"), RECOVERABLE).is_err());
        assert!(permitted(PanicLevel::Erase, Some("erase everything"), Keys::default()).is_ok());
    }

    #[test]
    fn the_tpms_key_is_not_removed_where_it_is_the_only_one() {
        let only_tpm = Keys {
            tpm: true,
            ..Keys::default()
        };
        let refused = permitted(PanicLevel::RemoveTpm, Some("remove the tpm key"), only_tpm).unwrap_err();
        assert_eq!(refused.kind, ProblemKind::Conflict);
        let passphrase = Keys {
            passphrase: true,
            ..only_tpm
        };
        assert!(permitted(PanicLevel::RemoveTpm, Some("remove the tpm key"), passphrase).is_ok());
        let security_key = Keys {
            security_key: true,
            ..only_tpm
        };
        assert!(permitted(PanicLevel::RemoveTpm, Some("remove the tpm key"), security_key).is_ok());
    }
}
