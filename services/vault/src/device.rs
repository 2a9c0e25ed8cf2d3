//! Asking the device: one change at a time, a panic before everything that waits, and what was found is kept.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holdfast_contract::problem::ProblemKind;
use holdfast_contract::vault::{VaultState, Volume, VolumeRequest, VolumeState};
use holdfast_contract::{Problem, Timestamp};
use tokio::sync::{MutexGuard, watch};

use crate::service::{Vault, in_words, state_of};
use crate::volume::{Done, VolumeClient};

/// How long what makes things safer waits for the change before it.
const URGENT_PATIENCE: Duration = Duration::from_secs(5);

/// Who may change the volume.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    turn: tokio::sync::Mutex<()>,
    /// How many panics were carried out so far.
    panics: AtomicU64,
    /// How many locks and panics were asked for so far.
    locks: watch::Sender<u64>,
}

/// A turn of one's own; none where it was not to be waited for any longer.
pub(crate) type Turn<'a> = Option<MutexGuard<'a, ()>>;

impl Turns {
    async fn urgent(&self) -> Turn<'_> {
        self.locks.send_modify(|locks| *locks += 1);
        let turn = tokio::time::timeout(URGENT_PATIENCE, self.turn.lock()).await.ok();
        if turn.is_none() {
            tracing::warn!("the change before this one is not done; not waiting for it");
        }
        turn
    }

    /// For all the steps of a panic. What was asked for before, and waits, is not done any more: it might undo them.
    pub async fn panic(&self) -> Turn<'_> {
        self.panics.fetch_add(1, Ordering::SeqCst);
        self.urgent().await
    }

    async fn ordinary(&self, request: &VolumeRequest) -> Result<Turn<'_>, Problem> {
        if *request == VolumeRequest::Suspend {
            return Ok(self.urgent().await);
        }
        let before = self.panics.load(Ordering::SeqCst);
        let turn = self.turn.lock().await;
        if *request != VolumeRequest::Look && self.panics.load(Ordering::SeqCst) != before {
            return Err(Problem::new(
                ProblemKind::Conflict,
                "a panic came first; nothing was done",
            ));
        }
        Ok(Some(turn))
    }
}

impl Vault {
    /// The way to the device.
    ///
    /// # Errors
    ///
    /// In evaluation mode.
    pub(crate) fn device(&self) -> Result<&VolumeClient, Problem> {
        self.volume.as_ref().ok_or_else(|| {
            Problem::new(
                ProblemKind::Conflict,
                "in evaluation mode the vault is a directory: nothing is encrypted, so nothing can be locked or destroyed",
            )
            .next("Install the appliance to have an encrypted vault.")
        })
    }

    /// Whether there is a device.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.volume.is_some()
    }

    /// Asks the device for one change, after the one before it, and keeps what was found.
    ///
    /// # Errors
    ///
    /// As the device has it. The state is looked at anew then.
    pub(crate) async fn ask(&self, request: VolumeRequest) -> Result<Done, Problem> {
        self.device()?;
        if !request.can_be_called_off() {
            let turn = self.turns.ordinary(&request).await?;
            return self.ask_in(&turn, request).await;
        }
        // A key can be touched half a minute later, and sealing takes as long: it would give the TPM a key after a panic has removed it. Not waiting
        // any more hangs up, and the device does nothing then.
        let mut locked = self.turns.locks.subscribe();
        let called_off = called_off(&request);
        let answer = async {
            let turn = self.turns.ordinary(&request).await?;
            self.ask_in(&turn, request).await
        };
        tokio::select! {
            biased;
            answer = answer => answer,
            _ = locked.changed() => Err(called_off),
        }
    }

    /// The same in a turn that the caller has.
    ///
    /// # Errors
    ///
    /// Like [`Vault::ask`].
    pub(crate) async fn ask_in(&self, _turn: &Turn<'_>, request: VolumeRequest) -> Result<Done, Problem> {
        let device = self.device()?;
        let answer = device.ask(&request).await;
        match &answer {
            Ok(done) => self.keep(&request, done),
            Err(problem) => {
                let problem = problem.detail.clone();
                if request != VolumeRequest::Look
                    && let Ok(done) = device.ask(&VolumeRequest::Look).await
                {
                    let opening = opens(&request) || matches!(request, VolumeRequest::Create { .. });
                    self.found(&done.volume, opening.then_some(problem));
                } else {
                    self.known().problem = Some(problem);
                }
            }
        }
        answer
    }

    /// What makes a new vault where there is none that could be opened.
    pub fn replacement(&self) -> VolumeRequest {
        VolumeRequest::Create {
            replace: true,
            identity: self.notes.identity(),
        }
    }

    fn keep(&self, request: &VolumeRequest, done: &Done) {
        if let Some(counter) = done.counter {
            self.notes.counted(counter);
        }
        let made = matches!(request, VolumeRequest::Create { .. });
        let opened = opens(request);
        if let Some(identity) = done.volume.identity
            && (made || opened && self.notes.identity().is_none())
        {
            self.notes.identified(identity);
        }
        self.found(&done.volume, None);
    }

    /// Whether the volume is another one than that which was made here.
    pub(crate) fn is_foreign(&self, volume: &Volume) -> bool {
        let wanted = self.notes.identity();
        volume.state == VolumeState::Ready && wanted.is_some() && volume.identity != wanted
    }

    fn found(&self, volume: &Volume, problem: Option<String>) {
        let state = if self.is_foreign(volume) && !volume.active {
            VaultState::Foreign
        } else {
            state_of(volume)
        };
        if volume.state == VolumeState::Ready {
            self.notes.made();
        }
        let mut known = self.known();
        if known.state != state {
            known.state = state;
            known.since = Timestamp::now();
            tracing::info!(state = in_words(state), "the vault changed");
        }
        known.keys = volume.keys;
        if known.firmware != volume.firmware
            && let Some(firmware) = volume.firmware
        {
            tracing::info!(%firmware, "the vault's key in the TPM");
        }
        known.firmware = volume.firmware;
        known.problem = if state == VaultState::Open {
            None
        } else {
            problem.or_else(|| known.problem.take())
        };
    }
}

/// What whoever asked is told.
fn called_off(request: &VolumeRequest) -> Problem {
    if matches!(
        request,
        VolumeRequest::EnrolTpm { .. } | VolumeRequest::EnrolTpmWithSecurityKey { .. }
    ) {
        return Problem::new(
            ProblemKind::Conflict,
            "the vault was locked meanwhile; it is not being sealed any longer",
        )
        .next("Seal it again. Until then the TPM may not open it: use the recovery key, the passphrase or the security key.");
    }
    Problem::new(
        ProblemKind::Conflict,
        "the vault was locked meanwhile; the security key is not waited for any longer",
    )
}

fn opens(request: &VolumeRequest) -> bool {
    matches!(
        request,
        VolumeRequest::Open { .. } | VolumeRequest::OpenWithSecurityKey { .. }
    )
}
