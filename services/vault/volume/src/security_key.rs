//! FIDO2 security keys: enrolling the one that is plugged in, and opening the volume with it.
//!
//! Enrolling is `systemd-cryptenroll`'s, opening its plug-in's for libcryptsetup. What is decided here is which token is tried, that a
//! wrong PIN is tried once and no more (a key counts them, and blocks itself), and what went wrong, in a closed list.

use anyhow::Context as _;
use holdfast_contract::Digest;
use holdfast_contract::vault::{MAX_SECURITY_KEYS, Secret, SecurityKeyTrouble as Trouble};
use libcryptsetup_rs::LibcryptErr;
use zeroize::Zeroizing;

use crate::header::{Header, SecurityKey};
use crate::raw::{self, Key};
use crate::volume::{Opening, Result, Volume, VolumeError, code, ensure_that, random_key};
use crate::{hid, programs};

/// Where the kernel shows raw HID devices.
pub const DEVICES: &str = "/sys/class/hidraw";

impl Volume {
    /// Enrols the security key that is plugged in. The TPM opens the volume for it.
    ///
    /// # Errors
    ///
    /// When none or several are plugged in, it is of no use, nobody touches it, its PIN is wrong, or the TPM refuses.
    pub fn add_security_key(&self, pin: Option<&Secret>) -> Result<()> {
        let before = self.ready()?.security_keys();
        if before.len() >= MAX_SECURITY_KEYS {
            return Err(Trouble::TooMany.into());
        }
        match hid::security_keys(&self.hid_devices) {
            0 => return Err(Trouble::NonePluggedIn.into()),
            1 => {}
            _ => return Err(Trouble::SeveralPluggedIn.into()),
        }
        self.asker
            .wait(|| programs::enrol_security_key(&self.device, pin, &self.asker))?;
        let mut header = self.ready()?;
        let added = header
            .security_keys()
            .into_iter()
            .find(|key| !before.iter().any(|old| old.token == key.token))
            .context("systemd-cryptenroll enrolled nothing")?;
        let wanting = usable(added, pin.is_some());
        if wanting.is_err() {
            header
                .remove_security_keys(Some(added.token))
                .context("remove a security key that asks for too little")?;
        }
        Ok(wanting?)
    }

    /// Removes every security key.
    ///
    /// # Errors
    ///
    /// When nothing else would open the volume, or the header cannot be written.
    pub fn remove_security_keys(&self) -> Result<()> {
        let mut header = self.ready()?;
        let keys = header.keys();
        ensure_that(
            keys.recovery_key || keys.passphrase || header.tpm_opens(None),
            "nothing else opens the vault now: make a recovery key first, or seal the vault to the TPM",
        )?;
        Ok(header
            .remove_security_keys(None)
            .context("remove the security keys")?)
    }

    /// Opens the volume with the security key that is plugged in, or lets it go on where it was suspended.
    ///
    /// # Errors
    ///
    /// When it is none of this volume's, nobody touches it, or its PIN is wrong.
    pub fn open_with_security_key(&self, pin: Option<&Secret>, identity: Option<Digest>) -> Result<()> {
        let Some(Opening { mut header, how }) = self.opening(identity)? else {
            return Ok(());
        };
        let keys = header.security_keys();
        let key = self.volume_key(&mut header, &keys, pin)?;
        how.attempt(&mut header, Key::Volume(&key))
            .context("open the vault with the key that the security key gave")?;
        Ok(())
    }

    /// Seals the volume to the TPM anew, with the security key that is plugged in. Returns how far the TPM's counter is.
    ///
    /// # Errors
    ///
    /// As [`Self::open_with_security_key`], and when the TPM measured nothing.
    pub fn enrol_tpm_with_security_key(&self, pin: Option<&Secret>) -> Result<Option<u64>> {
        let mut header = self.ready()?;
        let keys = header.security_keys();
        // What seals it takes a key file, and a security key gives none: a random key stands in for it until that is done.
        let temporary = random_key()?;
        let key = self.volume_key(&mut header, &keys, pin)?;
        let slot = header
            .add_temporary(Key::Volume(&key), temporary.as_bytes())
            .context("add a temporary key")?;
        drop(key);
        let sealed = self.enrol_tpm(&Secret::new((*temporary).clone()));
        let mut header: Header = self.ready()?;
        header.destroy(slot).context("remove the temporary key")?;
        sealed
    }

    /// The volume's key, from the security key that is plugged in, unless whoever asked hangs up while it waits to be touched.
    fn volume_key(
        &self,
        header: &mut Header,
        keys: &[SecurityKey],
        pin: Option<&Secret>,
    ) -> Result<Zeroizing<Vec<u8>>> {
        self.asker
            .wait(|| self.with_security_key(keys, pin, |token, pin| header.device.volume_key(token, pin)))
    }

    /// Tries each enrolled key, until one is the one that is plugged in.
    fn with_security_key<T>(
        &self,
        keys: &[SecurityKey],
        pin: Option<&Secret>,
        mut attempt: impl FnMut(u32, Option<&[u8]>) -> std::result::Result<T, LibcryptErr>,
    ) -> Result<T> {
        if keys.is_empty() {
            return Err(Trouble::NoneEnrolled.into());
        }
        if hid::security_keys(&self.hid_devices) == 0 {
            return Err(Trouble::NonePluggedIn.into());
        }
        let mut without_pin = false;
        for key in keys {
            let pin = pin.filter(|_| key.pin).map(|pin| pin.expose().as_bytes());
            if key.pin && pin.is_none() {
                without_pin = true;
                continue;
            }
            match attempt(key.token, pin) {
                Ok(opened) => return Ok(opened),
                Err(error) => match verdict(code(&error), pin.is_some()) {
                    Verdict::Next => {}
                    Verdict::Trouble(trouble) => return Err(trouble.into()),
                    Verdict::Unknown => {
                        return Err(anyhow::anyhow!(
                            "the security key was not touched in time, is blocked, or is out of order; the log of holdfast-vault-volume \
                             has its answer ({error}; {})",
                            raw::last_error()
                        )
                        .into());
                    }
                },
            }
        }
        Err(if without_pin {
            Trouble::PinRequired
        } else {
            Trouble::OtherKey
        }
        .into())
    }
}

/// Whether a key that was enrolled asks for all that it has to ask for: a key that opens the volume without a touch opens it for whoever
/// takes over the machine while it is plugged in.
fn usable(key: SecurityKey, with_pin: bool) -> std::result::Result<(), Trouble> {
    if !key.touch {
        return Err(Trouble::NotCapable);
    }
    if with_pin && !key.pin {
        return Err(Trouble::NoPin);
    }
    Ok(())
}

/// What to make of an attempt that failed.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It is another key; the next may be the one.
    Next,
    /// It is this one, and the reason is known.
    Trouble(Trouble),
    /// Its reason is in the log.
    Unknown,
}

/// As systemd's plug-in has its errors. A wrong PIN ends it: another token may be of the same key, which counts what it is given.
fn verdict(code: Option<i32>, with_pin: bool) -> Verdict {
    match code {
        Some(libc::EAGAIN) => Verdict::Next,
        Some(libc::ENOANO) if with_pin => Verdict::Trouble(Trouble::WrongPin),
        Some(libc::ENOANO) => Verdict::Trouble(Trouble::PinRequired),
        Some(libc::EOWNERDEAD) => Verdict::Trouble(Trouble::PinBlocked),
        Some(libc::ENOSTR) => Verdict::Trouble(Trouble::NotTouched),
        Some(libc::EHWPOISON) => Verdict::Trouble(Trouble::NotCapable),
        _ => Verdict::Unknown,
    }
}

/// What `systemd-cryptenroll` said, as a reason. It prints sentences and has one exit code for all; what is not known is passed on as it is.
pub fn reason(said: &str) -> Option<VolumeError> {
    const SENTENCES: [(&str, Trouble); 14] = [
        ("PIN may not be empty", Trouble::PinRequired),
        ("PIN incorrect", Trouble::WrongPin),
        ("No FIDO devices found", Trouble::NonePluggedIn),
        ("More than one FIDO device found", Trouble::SeveralPluggedIn),
        ("hmac-secret", Trouble::NotCapable),
        ("HMAC-SECRET extension", Trouble::NotCapable),
        ("is not a FIDO2 device", Trouble::NotCapable),
        (
            "Locking with user presence test requested, but",
            Trouble::NotCapable,
        ),
        ("Requested to lock with PIN, but", Trouble::NoPin),
        ("currently blocked", Trouble::PinBlocked),
        ("FIDO_ERR_PIN_BLOCKED", Trouble::PinBlocked),
        ("FIDO_ERR_USER_ACTION_TIMEOUT", Trouble::NotTouched),
        ("Token action timeout", Trouble::NotTouched),
        ("Failed to acquire user PIN", Trouble::PinRequired),
    ];
    if said.contains("via TPM2") || said.contains("No TPM2 metadata") {
        return Some(VolumeError::TpmRefused(
            said.lines().last().unwrap_or_default().to_owned(),
        ));
    }
    SENTENCES
        .iter()
        .find(|(sentence, _)| said.contains(sentence))
        .map(|(_, trouble)| (*trouble).into())
}

/// Whether there is no sense in letting `systemd-cryptenroll` go on after this line: a wrong PIN, which it would ask for again, and what it
/// leaves out where the key lacks it.
pub fn ends(line: &str) -> bool {
    [
        "PIN may not be empty",
        "PIN incorrect",
        "Requested to lock with PIN, but",
        "Locking with user presence test requested, but",
    ]
    .iter()
    .any(|sentence| line.contains(sentence))
}

#[cfg(test)]
#[path = "security_key_tests.rs"]
#[allow(clippy::unwrap_used, reason = "these are tests")]
mod tests;
