//! The panic levels: a countdown that can be called off, then the deed, each looked at afterwards.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use holdfast_contract::Problem;
use holdfast_contract::ledger::Event;
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::vault::{Countdown, Keys, PanicLevel, VaultState, VaultStatus, VolumeRequest};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::device::Turn;
use crate::notes::UnderWay;
use crate::service::{RECORD_PATIENCE, Vault};

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
            // A graver level takes the place of a milder one, which would only be in its way; one that is being carried out is waited for.
            if let Some(running) = pending.as_ref()
                && running.level >= level
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
        self.note_panic(level, false).await;
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
        self.notes.panic_is_over();
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

    /// Forgets what was noted, unless a graver level has taken its place meanwhile.
    fn forget(&self, level: PanicLevel) {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.as_ref().is_none_or(|pending| pending.level == level) {
            self.notes.panic_is_over();
        }
    }

    /// Somebody has opened the vault, and so has looked after a panic that was under way when the machine went off. One that is under way now
    /// stays noted.
    pub(crate) fn looked_after(&self) {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.is_none() {
            self.notes.panic_is_over();
        }
    }

    /// Unless a graver level has taken its place meanwhile.
    fn over(&self, level: PanicLevel) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.as_ref().is_some_and(|pending| pending.level == level) {
            *pending = None;
        }
    }

    /// What destroys something is done even where the machine goes off before the end. A disk that does not answer stops nobody who panics.
    async fn note_panic(self: &Arc<Self>, level: PanicLevel, committed: bool) {
        if level == PanicLevel::Lock {
            return;
        }
        let vault = Arc::clone(self);
        let noting = tokio::task::spawn_blocking(move || vault.notes.panic_is(UnderWay { level, committed }));
        if tokio::time::timeout(RECORD_PATIENCE, noting).await.is_err() {
            tracing::error!("the panic is not noted: the disk does not answer");
        }
    }

    /// Carries out at the start what the machine going off has interrupted, and says whether there was anything. A countdown that was
    /// interrupted destroys nothing, but the vault is not opened by itself then.
    pub(crate) async fn resume_panic(self: &Arc<Self>) -> bool {
        let Some(panic) = self.notes.panic() else {
            return false;
        };
        if panic.committed {
            // Nothing was opened since the machine started, so that there is nothing to turn it off for.
            if finish(self, &self.turns.panic().await, panic.level, false, "start").await {
                self.notes.panic_is_over();
            }
        } else {
            let why = "a panic was being counted down when the machine went off: it is not opened by itself";
            tracing::error!(why, "the vault stays shut");
            self.known().problem = Some(why.to_owned());
        }
        true
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
            let detail = match stopped {
                Ok(by) => json!({ "by": by, "level": level.number(), "called_off": true }),
                Err(_) => json!({ "level": level.number(), "replaced": true }),
            };
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
    vault.note_panic(level, true).await;
    tracing::warn!(level = level.number(), by, "panic");
    let turn = vault.turns.panic().await;
    if finish(&vault, &turn, level, recorded, &by).await {
        // Before the machine goes off: the next start must not begin with it again.
        vault.forget(level);
    }
    if level == PanicLevel::Erase {
        // What was decrypted is still in memory, and no key will ever be needed again.
        let off = match vault.device() {
            Ok(device) => device.turn_off().await,
            Err(problem) => Err(problem),
        };
        if let Err(problem) = &off {
            tracing::error!(%problem, "the machine could not be turned off");
            let detail = json!({ "by": by, "level": level.number(), "turned_off": false });
            vault.note(Event::VaultPanic, &off, detail).await;
        }
    }
    drop(turn);
    vault.over(level);
}

/// Carries it out, records how that went, and says whether it was carried out whole.
async fn finish(vault: &Vault, turn: &Turn<'_>, level: PanicLevel, recorded: bool, by: &str) -> bool {
    let done = carry_out(vault, turn, level).await;
    let detail = json!({
        "by": by, "level": level.number(), "done": done.is_ok(), "recorded_before": recorded,
    });
    vault.note(Event::VaultPanic, &done, detail).await;
    if let Err(problem) = &done {
        tracing::error!(%problem, level = level.number(), "the panic was not carried out whole");
    }
    done.is_ok()
}

/// Every step is tried, whatever became of the one before it; the first failure is returned.
async fn carry_out(vault: &Vault, turn: &Turn<'_>, level: PanicLevel) -> Result<(), Problem> {
    let deed = match level {
        PanicLevel::Lock => None,
        PanicLevel::RemoveTpm => Some(VolumeRequest::RemoveTpm),
        PanicLevel::Erase => Some(VolumeRequest::Erase),
    };
    let mut first = Ok(());
    for step in [VolumeRequest::Suspend].into_iter().chain(deed) {
        let done = vault.ask_in(turn, step).await;
        first = first.and(done.map(|_| ()));
    }
    // Read back after the last step.
    if first.is_ok() && vault.status().state == VaultState::Open {
        first = Err(Problem::new(
            ProblemKind::Internal,
            "the vault is open all the same",
        ));
    }
    first
}

#[cfg(test)]
mod tests;
