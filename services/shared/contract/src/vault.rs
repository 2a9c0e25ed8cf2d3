//! The vault: opening and shutting the encrypted volume, its keys, and the panic levels.
//!
//! `operate`: `GET /v1/vault` ([`VaultStatus`]), `POST /v1/lock`, `POST /v1/unlock` ([`Unlock`]), `POST /v1/recovery-key`
//! ([`RecoveryKey`]), `POST /v1/recovery-key/confirm` ([`Given`]), `POST /v1/passphrase` ([`Given`]), `DELETE /v1/passphrase`,
//! `POST /v1/security-key`, `POST /v1/security-key/unlock` and `POST /v1/security-key/seal` ([`SecurityKey`]), `DELETE /v1/security-key`,
//! `POST /v1/tpm` ([`Given`]), `POST /v1/create` ([`Confirmed`]), `POST /v1/panic` ([`Panic`]), `DELETE /v1/panic`, `GET /v1/status`.
//! Each that changes something answers the [`VaultStatus`] after it, except the recovery key, which is shown once.
//! `contain`: `POST /v1/contain` ([`Contain`]) locks at once and answers the [`VaultStatus`] that was read back.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::Digest;
pub use crate::firmware::{FIRMWARE_POLICY, Firmware};

/// The longest passphrase or recovery key that is taken, in bytes.
pub const MAX_SECRET_BYTES: usize = 1024;
/// The shortest passphrase that is taken, in characters.
pub const MIN_PASSPHRASE_CHARS: usize = 12;
/// The longest PIN of a security key, in bytes (CTAP 2.1, section 6.5.1).
pub const MAX_PIN_BYTES: usize = 63;
/// How many security keys may be enrolled.
pub const MAX_SECURITY_KEYS: usize = 4;

/// A passphrase or recovery key on its way. Wiped when dropped, and never shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret over.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What the vault is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// A LUKS2 volume.
    Luks2,
    /// A directory, in evaluation mode: nothing is encrypted, and nothing can be locked.
    Directory,
}

/// How the vault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VaultState {
    /// It is being made, or it is not known yet.
    Preparing,
    /// Encrypted, and its key is not in the kernel: it has not been opened since the machine started.
    Shut,
    /// In use.
    Open,
    /// It was open; its key was taken out of the kernel. Who works with files in it waits.
    Locked,
    /// Its keys were destroyed: nobody can read it again.
    Erased,
    /// What is on the disk is not what this appliance put there.
    Foreign,
}

/// What there is to open the vault with.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says of another key whether it is there"
)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// This machine's TPM.
    pub tpm: bool,
    /// A recovery key of which somebody proved that they have it.
    pub recovery_key: bool,
    /// A passphrase.
    pub passphrase: bool,
    /// A FIDO2 security key, or several.
    pub security_key: bool,
    /// Whether a security key asks for its PIN besides the touch.
    pub security_key_pin: bool,
}

/// Answer of `GET /v1/vault`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultStatus {
    /// What it is made of.
    pub backend: Backend,
    /// How it is.
    pub state: VaultState,
    /// Since when.
    pub since: Timestamp,
    /// What opens it.
    pub keys: Keys,
    /// Whether the TPM's key depends on the firmware too; none where there is no such key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<Firmware>,
    /// After how many minutes without use it is locked; none for never.
    pub lock_after_minutes: Option<u32>,
    /// A panic level that is being counted down.
    pub panic: Option<Countdown>,
    /// Why it is not open, where that is known: a sentence for a person.
    pub problem: Option<String>,
}

/// Body of `POST /v1/unlock`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unlock {
    /// Recovery key or passphrase; without one the TPM is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
}

/// A body that is one secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// The secret.
    pub secret: Secret,
}

/// The security key that is plugged in. Whatever is done with it waits until somebody touches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityKey {
    /// Its PIN. Enrolled with one, it asks for it each time; enrolled without, the touch is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Secret>,
}

/// Answer of `POST /v1/recovery-key`. It is not kept anywhere, and counts only when it was confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveryKey {
    /// 64 letters in groups of eight.
    pub key: Secret,
}

/// Body of `POST /v1/create`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmed {
    /// [`CREATE_PHRASE`].
    pub phrase: String,
}

/// What has to be typed before a new vault takes the place of one that cannot be opened.
pub const CREATE_PHRASE: &str = "make a new vault";

/// How far a panic goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PanicLevel {
    /// Level 1: the key leaves the kernel. The TPM gives it back.
    Lock,
    /// Level 2: and the TPM's key is removed. The recovery key, the passphrase or a security key opens the vault.
    RemoveTpm,
    /// Level 3: every key is destroyed, and the machine turns itself off. Nothing opens the vault again.
    Erase,
}

impl PanicLevel {
    /// Every level, mildest first.
    pub const ALL: [Self; 3] = [Self::Lock, Self::RemoveTpm, Self::Erase];

    /// 1 to 3.
    pub const fn number(self) -> u8 {
        match self {
            Self::Lock => 1,
            Self::RemoveTpm => 2,
            Self::Erase => 3,
        }
    }

    /// What has to be typed for the levels that destroy something.
    pub const fn phrase(self) -> Option<&'static str> {
        match self {
            Self::Lock => None,
            Self::RemoveTpm => Some("remove the tpm key"),
            Self::Erase => Some("erase everything"),
        }
    }
}

impl fmt::Display for PanicLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lock => "lock",
            Self::RemoveTpm => "remove-tpm",
            Self::Erase => "erase",
        })
    }
}

/// Body of `POST /v1/panic`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panic {
    /// How far.
    pub level: PanicLevel,
    /// [`PanicLevel::phrase`], for the levels that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phrase: Option<String>,
}

/// A panic level on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Countdown {
    /// Which.
    pub level: PanicLevel,
    /// Seconds until it is carried out; 0 when it is being carried out.
    pub seconds: u32,
}

/// Body of `POST /v1/contain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contain {
    /// Why, in one sentence.
    pub reason: String,
}

/// What is written to the socket of the program that turns the machine off, and nothing else. It answers only where it could not: with the
/// reason, as text.
pub const TURN_OFF: &str = "turn-off";

/// What the daemon asks of the privileged program that has the device: one request, one answer, end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum VolumeRequest {
    /// Say how the volume is. Changes nothing.
    Look,
    /// Make the volume on a partition that holds none, and open it.
    Create {
        /// Whether a volume that is there may be overwritten: one whose keys were destroyed, or one that was not made here.
        replace: bool,
        /// Which volume was made here, and is not overwritten for as long as it is whole.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<Digest>,
    },
    /// Open it, with the TPM if there is no secret. A volume that is locked goes on where it was.
    Open {
        /// Recovery key or passphrase.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<Secret>,
        /// How far the TPM's counter was when it opened the volume last. The TPM must not be behind that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_least: Option<u64>,
        /// Which volume it has to be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<Digest>,
    },
    /// Open it, or let it go on, with the security key.
    OpenWithSecurityKey {
        /// Its PIN.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pin: Option<Secret>,
        /// Which volume it has to be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<Digest>,
    },
    /// Take its key out of the kernel.
    Suspend,
    /// Add a recovery key, not confirmed yet; it takes the place of one that was never confirmed.
    AddRecoveryKey,
    /// Confirm the recovery key; a confirmed one from before is removed.
    ConfirmRecoveryKey {
        /// The key.
        secret: Secret,
    },
    /// Set the passphrase, in place of one from before.
    SetPassphrase {
        /// The passphrase.
        secret: Secret,
    },
    /// Remove the passphrase.
    RemovePassphrase,
    /// Seal the volume to the TPM anew.
    EnrolTpm {
        /// Recovery key or passphrase.
        secret: Secret,
    },
    /// Seal the volume to the TPM anew, with the security key.
    EnrolTpmWithSecurityKey {
        /// Its PIN.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pin: Option<Secret>,
    },
    /// Enrol the security key that is plugged in, besides those from before.
    AddSecurityKey {
        /// Its PIN, if it is to ask for it each time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pin: Option<Secret>,
    },
    /// Remove every security key.
    RemoveSecurityKeys,
    /// Remove the TPM's key.
    RemoveTpm,
    /// Destroy every key.
    Erase,
}

impl VolumeRequest {
    /// Whether a person has to touch a security key for it.
    pub fn waits_for_a_touch(&self) -> bool {
        matches!(
            self,
            Self::OpenWithSecurityKey { .. }
                | Self::EnrolTpmWithSecurityKey { .. }
                | Self::AddSecurityKey { .. }
        )
    }

    /// Whether whoever asked may call it off by hanging up: until the key was touched, and until the new key of the TPM is in the header. After
    /// that it is done whatever they do.
    pub fn can_be_called_off(&self) -> bool {
        self.waits_for_a_touch() || matches!(self, Self::EnrolTpm { .. })
    }
}

/// How the volume is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeState {
    /// The partition holds no LUKS header.
    None,
    /// Making it was begun and not finished.
    Unfinished,
    /// Whole.
    Ready,
    /// Its keys were destroyed.
    Erased,
    /// A LUKS volume that Holdfast did not make.
    Foreign,
}

/// What [`VolumeRequest::Look`] finds; every other request answers it too, read back after the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// How it is on the disk.
    pub state: VolumeState,
    /// What opens it.
    pub keys: Keys,
    /// Whether the TPM's key depends on the firmware too; none where there is no such key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<Firmware>,
    /// Which volume it is: stays the same for as long as its volume key does; none where there is no header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Digest>,
    /// Whether it is mapped.
    pub active: bool,
    /// Whether it is mapped and its key was taken out of the kernel.
    pub suspended: bool,
    /// Reads and writes that the volume has served since it was opened.
    pub transfers: u64,
}

/// Why a security key was of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecurityKeyTrouble {
    /// None is plugged in.
    NonePluggedIn,
    /// More than one is plugged in, where one has to be chosen.
    SeveralPluggedIn,
    /// It lacks the extension `hmac-secret`, or does not know when it is touched.
    NotCapable,
    /// No security key opens this volume.
    NoneEnrolled,
    /// As many as there may be are enrolled.
    TooMany,
    /// What is plugged in was never enrolled.
    OtherKey,
    /// It asks for its PIN.
    PinRequired,
    /// It has no PIN yet.
    NoPin,
    /// The PIN is wrong.
    WrongPin,
    /// It takes no PIN any more until it was without power, or never again.
    PinBlocked,
    /// Nobody touched it in time.
    NotTouched,
}

/// Answer to a [`VolumeRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum VolumeAnswer {
    /// Done.
    Done {
        /// How it is now.
        volume: Volume,
        /// The recovery key that was made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recovery_key: Option<Secret>,
        /// How far the TPM's counter is, where the request moved it on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        counter: Option<u64>,
    },
    /// The secret does not fit.
    WrongSecret,
    /// The TPM does not give the key.
    TpmRefused {
        /// Why, as far as it says.
        why: String,
    },
    /// The security key was of no use.
    SecurityKey {
        /// Why.
        trouble: SecurityKeyTrouble,
    },
    /// It could not be done.
    Failed {
        /// Why: a sentence.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let given = Given {
            secret: Secret::new("correct horse".to_owned()),
        };
        assert!(!format!("{given:?}").contains("horse"));
    }

    #[test]
    fn what_destroys_has_a_phrase_of_its_own() {
        assert_eq!(PanicLevel::Lock.phrase(), None);
        let phrases: Vec<_> = PanicLevel::ALL
            .iter()
            .filter_map(|level| level.phrase())
            .collect();
        assert_eq!(phrases.len(), 2);
        assert_ne!(phrases[0], phrases[1]);
    }
}
