//! The vault's state, and everything that changes it. One change at a time; each is recorded.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use holdfast_contract::ledger::{Event, Outcome, short};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::role::Service;
use holdfast_contract::status::{Confinement, ServiceStatus};
use holdfast_contract::vault::{
    Backend, Firmware, Keys, MAX_PIN_BYTES, MAX_SECRET_BYTES, MIN_PASSPHRASE_CHARS, Secret, VaultState,
    VaultStatus, Volume, VolumeRequest, VolumeState,
};
use holdfast_contract::{Problem, Timestamp};
use holdfast_daemon::Throttle;
use holdfast_ipc::{Peer, Recorder};
use serde_json::{Value, json};

use crate::config::Config;
use crate::device::Turns;
use crate::notes::Notes;
use crate::panic::Pending;
use crate::volume::{Done, VolumeClient};

/// How long the ledger is waited for where what is to be done makes things safer and must not depend on it.
pub(crate) const RECORD_PATIENCE: Duration = Duration::from_secs(2);

/// What a vault is made from.
#[derive(Debug)]
pub struct Parts {
    /// What the operator decided.
    pub config: Config,
    /// The way to the device; none in evaluation mode, where the vault is a directory.
    pub volume: Option<VolumeClient>,
    /// The daemon's own state directory.
    pub state: PathBuf,
    /// The way to the ledger.
    pub recorder: Recorder,
    /// How the daemon is confined.
    pub confinement: Confinement,
}

/// The daemon's state.
#[derive(Debug)]
pub struct Vault {
    pub(crate) config: Config,
    pub(crate) notes: Notes,
    pub(crate) pending: Mutex<Option<Pending>>,
    pub(crate) volume: Option<VolumeClient>,
    pub(crate) turns: Turns,
    recorder: Recorder,
    confinement: Confinement,
    started_at: Timestamp,
    known: Mutex<Known>,
    guesses: Mutex<Throttle>,
}

/// What was found last.
#[derive(Debug)]
pub(crate) struct Known {
    pub state: VaultState,
    pub since: Timestamp,
    pub keys: Keys,
    pub firmware: Option<Firmware>,
    pub problem: Option<String>,
}

impl Vault {
    /// A vault of which nothing is known yet.
    pub fn new(parts: Parts) -> Arc<Self> {
        let now = Timestamp::now();
        let state = if parts.volume.is_some() {
            VaultState::Preparing
        } else {
            VaultState::Open
        };
        Arc::new(Self {
            config: parts.config,
            notes: Notes::new(parts.state),
            volume: parts.volume,
            recorder: parts.recorder,
            confinement: parts.confinement,
            started_at: now,
            turns: Turns::default(),
            known: Mutex::new(Known {
                state,
                since: now,
                keys: Keys::default(),
                firmware: None,
                problem: None,
            }),
            pending: Mutex::default(),
            guesses: Mutex::default(),
        })
    }

    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the vault is, as it was found last.
    pub fn status(&self) -> VaultStatus {
        let panic = self.countdown();
        let known = self.known();
        VaultStatus {
            backend: if self.volume.is_some() {
                Backend::Luks2
            } else {
                Backend::Directory
            },
            state: known.state,
            since: known.since,
            keys: known.keys,
            firmware: known.firmware,
            lock_after_minutes: self.volume.as_ref().and(self.config.lock_after()),
            panic,
            problem: known.problem.clone(),
        }
    }

    /// What the daemon says about itself.
    pub fn service_status(&self) -> ServiceStatus {
        let status = self.status();
        let summary = match (status.backend, status.state) {
            (Backend::Directory, _) => "a directory: not encrypted, cannot be locked".to_owned(),
            (_, state) => in_words(state).to_owned(),
        };
        ServiceStatus {
            service: Service::Vault,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_at: self.started_at,
            confinement: self.confinement.clone(),
            summary,
        }
    }

    /// Says that the volume cannot be opened as it is: it is not this appliance's, unless its keys were destroyed.
    pub(crate) fn doubt_unless_erased(&self, state: VolumeState, why: &str) {
        let mut known = self.known();
        if state != VolumeState::Erased {
            known.state = VaultState::Foreign;
        }
        known.problem = Some(why.to_owned());
    }

    /// Takes the key out of the kernel. It is recorded, but does not wait for the ledger: a lock is safe either way.
    ///
    /// # Errors
    ///
    /// When the kernel still has the key.
    pub async fn lock(&self, by: &str, why: &str) -> Result<VaultStatus, Problem> {
        self.device()?;
        let locked = self.ask(VolumeRequest::Suspend).await;
        let detail = json!({ "by": by, "why": why, "state": "locked" });
        self.note(Event::VaultState, &locked, detail).await;
        locked?;
        Ok(self.status())
    }

    /// Opens the vault, or lets it go on.
    ///
    /// # Errors
    ///
    /// When the secret does not fit, the TPM refuses, or it cannot be recorded.
    pub async fn unlock(&self, by: &str, secret: Option<Secret>) -> Result<VaultStatus, Problem> {
        self.device()?;
        if let Some(secret) = &secret {
            self.admissible(secret)?;
        }
        let how = if secret.is_some() { "secret" } else { "tpm" };
        let guessed = secret.is_some();
        let request = self.open_request(secret);
        self.unlock_with(by, how, guessed, request).await
    }

    /// Asks for the vault to be opened; without a secret by the TPM, if that is no earlier copy of itself.
    pub(crate) fn open_request(&self, secret: Option<Secret>) -> VolumeRequest {
        let at_least = secret.is_none().then(|| self.notes.counter()).flatten();
        VolumeRequest::Open {
            secret,
            at_least,
            identity: self.notes.identity(),
        }
    }

    /// Opens the vault with the security key that is plugged in, or lets it go on.
    ///
    /// # Errors
    ///
    /// When the key is of no use, or it cannot be recorded.
    pub async fn unlock_with_security_key(
        &self,
        by: &str,
        pin: Option<Secret>,
    ) -> Result<VaultStatus, Problem> {
        self.device()?;
        usable_pin(pin.as_ref())?;
        if let Some(pin) = &pin {
            self.admissible(pin)?;
        }
        let guessed = pin.is_some();
        let identity = self.notes.identity();
        let request = VolumeRequest::OpenWithSecurityKey { pin, identity };
        self.unlock_with(by, "security key", guessed, request).await
    }

    async fn unlock_with(
        &self,
        by: &str,
        how: &str,
        guessed: bool,
        request: VolumeRequest,
    ) -> Result<VaultStatus, Problem> {
        self.must_record(
            Event::VaultState,
            json!({ "by": by, "with": how, "state": "unlock asked" }),
        )
        .await?;
        let opened = self.open(by, how, request).await;
        if guessed {
            self.count(&opened);
        }
        opened?;
        self.looked_after();
        Ok(self.status())
    }

    /// Opens the vault and records how that went.
    ///
    /// # Errors
    ///
    /// When the secret does not fit, or the TPM refuses.
    pub(crate) async fn open(&self, by: &str, how: &str, request: VolumeRequest) -> Result<Done, Problem> {
        let opened = self.ask(request).await;
        let detail = json!({ "by": by, "with": how, "state": "open" });
        self.note(Event::VaultState, &opened, detail).await;
        opened
    }

    /// Changes the keys: recorded before and after.
    ///
    /// # Errors
    ///
    /// When the device does not, or it cannot be recorded.
    pub async fn change_key(&self, peer: &Peer, what: &str, request: VolumeRequest) -> Result<Done, Problem> {
        self.device()?;
        let secret = match &request {
            VolumeRequest::ConfirmRecoveryKey { secret } | VolumeRequest::EnrolTpm { secret } => Some(secret),
            VolumeRequest::AddSecurityKey { pin } | VolumeRequest::EnrolTpmWithSecurityKey { pin } => {
                usable_pin(pin.as_ref())?;
                pin.as_ref()
            }
            _ => None,
        };
        let guessed = secret.is_some();
        if let Some(secret) = secret {
            self.admissible(secret)?;
        }
        let detail = json!({ "by": peer.name, "change": what });
        self.must_record(Event::VaultKey, detail.clone()).await?;
        let changed = self.ask(request).await;
        if guessed {
            self.count(&changed);
        }
        self.note(Event::VaultKey, &changed, detail).await;
        changed
    }

    /// Whether a secret may be tried now.
    fn admissible(&self, secret: &Secret) -> Result<(), Problem> {
        if secret.expose().is_empty() || secret.expose().len() > MAX_SECRET_BYTES {
            return Err(Problem::new(
                ProblemKind::Invalid,
                format!("a key or passphrase has 1 to {MAX_SECRET_BYTES} bytes"),
            ));
        }
        let guesses = self.guesses.lock().unwrap_or_else(PoisonError::into_inner);
        match guesses.wait(Instant::now()) {
            None => Ok(()),
            Some(wait) => Err(Problem::new(
                ProblemKind::Busy,
                format!("too many wrong keys: wait {} seconds", wait.as_secs() + 1),
            )),
        }
    }

    fn count(&self, tried: &Result<Done, Problem>) {
        let mut guesses = self.guesses.lock().unwrap_or_else(PoisonError::into_inner);
        match tried {
            Ok(_) => guesses.succeeded(),
            Err(problem) if problem.kind == ProblemKind::Denied => {
                guesses.failed(Instant::now());
            }
            Err(_) => {}
        }
    }

    /// Records what is about to be done.
    ///
    /// # Errors
    ///
    /// When the ledger does not take it: it must not be done then.
    pub(crate) async fn must_record(&self, event: Event, detail: Value) -> Result<(), Problem> {
        self.recorder
            .record(event, Outcome::Noted, "vault", detail)
            .await
            .map(|_| ())
    }

    /// Records how something went. That it cannot be recorded changes nothing any more.
    pub(crate) async fn note<T: Sync>(&self, event: Event, result: &Result<T, Problem>, mut detail: Value) {
        let outcome = match result {
            Ok(_) => Outcome::Allowed,
            Err(problem) => {
                detail["reason"] = short(&problem.detail).into();
                if problem.kind == ProblemKind::Denied {
                    Outcome::Denied
                } else {
                    Outcome::Failed
                }
            }
        };
        let record = self.recorder.record(event, outcome, "vault", detail.clone());
        match tokio::time::timeout(RECORD_PATIENCE, record).await {
            Ok(Ok(_)) => {}
            Ok(Err(problem)) => tracing::error!(%problem, %detail, "not recorded"),
            Err(_) => tracing::error!(%detail, "not recorded: the ledger does not answer"),
        }
    }

    /// Records what is about to be done if the ledger takes it in time, and says whether it did.
    pub(crate) async fn try_record(&self, event: Event, detail: Value) -> bool {
        let recorded = tokio::time::timeout(RECORD_PATIENCE, self.must_record(event, detail)).await;
        matches!(recorded, Ok(Ok(())))
    }
}

/// Whether a new passphrase may be taken.
///
/// # Errors
///
/// When it is too short or too long.
pub fn usable_passphrase(secret: &Secret) -> Result<(), Problem> {
    let text = secret.expose();
    if text.chars().count() < MIN_PASSPHRASE_CHARS || text.len() > MAX_SECRET_BYTES {
        return Err(Problem::new(
            ProblemKind::Invalid,
            format!("a passphrase has {MIN_PASSPHRASE_CHARS} characters or more, and at most {MAX_SECRET_BYTES} bytes"),
        )
        .next("Four or five words that do not belong together are easy to keep and hard to guess."));
    }
    Ok(())
}

/// Whether a security key could have this PIN; the key itself knows more.
///
/// # Errors
///
/// When it is empty, too long, or has a zero byte.
fn usable_pin(pin: Option<&Secret>) -> Result<(), Problem> {
    let usable = pin.is_none_or(|pin| {
        let pin = pin.expose().as_bytes();
        !pin.is_empty() && pin.len() <= MAX_PIN_BYTES && !pin.contains(&0)
    });
    if usable {
        return Ok(());
    }
    Err(Problem::new(
        ProblemKind::Invalid,
        format!("a security key's PIN has 1 to {MAX_PIN_BYTES} bytes"),
    ))
}

pub(crate) fn state_of(volume: &Volume) -> VaultState {
    match volume.state {
        VolumeState::Erased => VaultState::Erased,
        VolumeState::None | VolumeState::Unfinished => VaultState::Preparing,
        _ if volume.suspended => VaultState::Locked,
        _ if volume.active => VaultState::Open,
        VolumeState::Ready => VaultState::Shut,
        VolumeState::Foreign => VaultState::Foreign,
    }
}

pub(crate) fn in_words(state: VaultState) -> &'static str {
    match state {
        VaultState::Preparing => "being prepared",
        VaultState::Shut => "shut",
        VaultState::Open => "open",
        VaultState::Locked => "locked",
        VaultState::Erased => "erased",
        VaultState::Foreign => "not this appliance's",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(state: VolumeState, active: bool, suspended: bool) -> VaultState {
        state_of(&Volume {
            state,
            keys: Keys::default(),
            firmware: None,
            active,
            suspended,
            identity: None,
            transfers: 0,
        })
    }

    #[test]
    fn a_vault_is_open_only_where_the_kernel_has_its_key() {
        assert_eq!(volume(VolumeState::Ready, true, false), VaultState::Open);
        assert_eq!(volume(VolumeState::Ready, true, true), VaultState::Locked);
        assert_eq!(volume(VolumeState::Ready, false, false), VaultState::Shut);
        assert_eq!(
            volume(VolumeState::Unfinished, false, false),
            VaultState::Preparing
        );
        assert_eq!(volume(VolumeState::Foreign, false, false), VaultState::Foreign);
    }

    #[test]
    fn a_vault_without_keys_is_erased_whatever_the_kernel_still_has() {
        assert_eq!(volume(VolumeState::Erased, true, true), VaultState::Erased);
        assert_eq!(volume(VolumeState::Erased, true, false), VaultState::Erased);
    }

    #[test]
    fn no_key_has_an_empty_or_endless_pin() {
        let of = |text: &str| usable_pin(Some(&Secret::new(text.to_owned())));
        assert!(usable_pin(None).is_ok());
        assert!(of("1234").is_ok() && of(&"1".repeat(MAX_PIN_BYTES)).is_ok());
        for pin in ["", "12\u{0}34", &"1".repeat(MAX_PIN_BYTES + 1)] {
            assert!(of(pin).is_err(), "{pin:?}");
        }
    }

    #[test]
    fn a_short_passphrase_is_not_taken() {
        let of = |text: &str| usable_passphrase(&Secret::new(text.to_owned()));
        assert!(of("eleven char").is_err());
        assert!(of("twelve chars").is_ok());
        assert!(of(&"é".repeat(12)).is_ok());
        assert!(of(&"x".repeat(MAX_SECRET_BYTES + 1)).is_err());
    }
}
