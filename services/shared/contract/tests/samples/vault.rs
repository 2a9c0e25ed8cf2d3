//! The vault: what is asked of it, what it answers, and what it asks of the program that has the device.

use holdfast_contract::vault::{
    Backend, Confirmed, Contain, Countdown, Firmware, Given, Keys, Panic, PanicLevel, RecoveryKey, Secret,
    SecurityKey, SecurityKeyTrouble, Unlock, VaultState, VaultStatus, Volume, VolumeAnswer, VolumeRequest,
    VolumeState,
};

use super::{Sample, any, digest, moment, strict};

fn secret() -> Secret {
    Secret::new("correct horse battery".to_owned())
}

fn keys() -> Keys {
    Keys {
        tpm: true,
        recovery_key: false,
        passphrase: true,
        security_key: true,
        security_key_pin: false,
    }
}

/// Whether the key in the TPM depends on the firmware.
pub fn firmware() -> Vec<Sample> {
    vec![any(&[
        Firmware::Pinned,
        Firmware::NotAsked,
        Firmware::NoEventLog,
        Firmware::NotCovered { register: 2 },
        Firmware::ProgramFailed,
        Firmware::ProgramHung,
        Firmware::NotAccepted,
        Firmware::PolicyGone,
    ])]
}

pub fn samples() -> Vec<Sample> {
    let keys = keys();
    let countdown = Countdown {
        level: PanicLevel::Erase,
        seconds: 30,
    };
    let quiet = VaultStatus {
        backend: Backend::Directory,
        state: VaultState::Open,
        since: moment(),
        keys: Keys::default(),
        firmware: None,
        lock_after_minutes: None,
        panic: None,
        problem: None,
    };
    let full = VaultStatus {
        backend: Backend::Luks2,
        state: VaultState::Locked,
        since: moment(),
        keys,
        firmware: Some(Firmware::NotCovered { register: 2 }),
        lock_after_minutes: Some(30),
        panic: Some(countdown),
        problem: Some("the TPM does not give the key".to_owned()),
    };
    vec![
        any(&[Backend::Luks2, Backend::Directory]),
        any(&[
            VaultState::Preparing,
            VaultState::Shut,
            VaultState::Open,
            VaultState::Locked,
            VaultState::Erased,
            VaultState::Foreign,
        ]),
        any(&[secret()]),
        strict(&[keys]),
        strict(&[quiet, full]),
        strict(&[
            Unlock { secret: None },
            Unlock {
                secret: Some(secret()),
            },
        ]),
        strict(&[Given { secret: secret() }]),
        strict(&[SecurityKey { pin: None }, SecurityKey { pin: Some(secret()) }]),
        strict(&[RecoveryKey { key: secret() }]),
        strict(&[Confirmed {
            phrase: "make a new vault".to_owned(),
        }]),
        any(&PanicLevel::ALL),
        strict(&[
            Panic {
                level: PanicLevel::Lock,
                phrase: None,
            },
            Panic {
                level: PanicLevel::Erase,
                phrase: Some("erase everything".to_owned()),
            },
        ]),
        strict(&[countdown]),
        strict(&[Contain {
            reason: "a guard was changed".to_owned(),
        }]),
    ]
    .into_iter()
    .chain(device())
    .collect()
}

/// What the daemon asks of the program that has the device.
fn device() -> Vec<Sample> {
    let volume = Volume {
        state: VolumeState::Ready,
        keys: keys(),
        firmware: Some(Firmware::Pinned),
        active: true,
        suspended: false,
        identity: Some(digest(8)),
        transfers: 9,
    };
    vec![
        any(&[
            VolumeRequest::Look,
            VolumeRequest::Create {
                replace: true,
                identity: Some(digest(7)),
            },
            VolumeRequest::Open {
                secret: None,
                at_least: Some(7),
                identity: Some(digest(7)),
            },
            VolumeRequest::Open {
                secret: Some(secret()),
                at_least: None,
                identity: None,
            },
            VolumeRequest::Suspend,
            VolumeRequest::AddRecoveryKey,
            VolumeRequest::ConfirmRecoveryKey { secret: secret() },
            VolumeRequest::SetPassphrase { secret: secret() },
            VolumeRequest::RemovePassphrase,
            VolumeRequest::EnrolTpm { secret: secret() },
            VolumeRequest::OpenWithSecurityKey {
                pin: None,
                identity: None,
            },
            VolumeRequest::EnrolTpmWithSecurityKey { pin: Some(secret()) },
            VolumeRequest::AddSecurityKey { pin: Some(secret()) },
            VolumeRequest::RemoveSecurityKeys,
            VolumeRequest::RemoveTpm,
            VolumeRequest::Erase,
        ]),
        any(&[
            VolumeState::None,
            VolumeState::Unfinished,
            VolumeState::Ready,
            VolumeState::Erased,
            VolumeState::Foreign,
        ]),
        strict(&[volume]),
        any(&[
            SecurityKeyTrouble::NonePluggedIn,
            SecurityKeyTrouble::SeveralPluggedIn,
            SecurityKeyTrouble::NotCapable,
            SecurityKeyTrouble::NoneEnrolled,
            SecurityKeyTrouble::TooMany,
            SecurityKeyTrouble::OtherKey,
            SecurityKeyTrouble::PinRequired,
            SecurityKeyTrouble::NoPin,
            SecurityKeyTrouble::WrongPin,
            SecurityKeyTrouble::PinBlocked,
            SecurityKeyTrouble::NotTouched,
        ]),
        any(&[
            VolumeAnswer::Done {
                volume,
                recovery_key: Some(secret()),
                counter: Some(7),
            },
            VolumeAnswer::WrongSecret,
            VolumeAnswer::TpmRefused {
                why: "a policy does not hold".to_owned(),
            },
            VolumeAnswer::SecurityKey {
                trouble: SecurityKeyTrouble::NotTouched,
            },
            VolumeAnswer::Failed {
                why: "the disk is gone".to_owned(),
            },
        ]),
    ]
}
