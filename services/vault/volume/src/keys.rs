//! The keys that people have: recovery key and passphrase.

use anyhow::Context as _;
use holdfast_contract::vault::Secret;

use crate::header;
use crate::raw::Key;
use crate::recovery;
use crate::volume::{Result, Volume, VolumeError, ensure_that, refused, wrong};

impl Volume {
    /// Adds a recovery key and returns it.
    ///
    /// # Errors
    ///
    /// When the TPM does not open the volume.
    pub fn add_recovery_key(&self) -> Result<Secret> {
        let mut header = self.ready()?;
        let key = recovery::generate().map_err(|error| anyhow::anyhow!("read random bytes: {error}"))?;
        let added = header.add_recovery(Key::Token(header::TPM_C), key.as_bytes());
        added.map_err(|error| refused(&error))?;
        Ok(Secret::new((*key).clone()))
    }

    /// Confirms a recovery key.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn confirm_recovery_key(&self, secret: &Secret) -> Result<()> {
        let mut header = self.ready()?;
        let key = recovery::normalize(secret.expose()).ok_or(VolumeError::WrongSecret)?;
        header
            .confirm_recovery(key.as_bytes())
            .map_err(|error| wrong(&error))
    }

    /// Sets the passphrase.
    ///
    /// # Errors
    ///
    /// When the TPM does not open the volume.
    pub fn set_passphrase(&self, secret: &Secret) -> Result<()> {
        let mut header = self.ready()?;
        let set = header.set_passphrase(Key::Token(header::TPM_C), secret.expose().as_bytes());
        set.map_err(|error| refused(&error))
    }

    /// Removes the passphrase.
    ///
    /// # Errors
    ///
    /// When the header cannot be written.
    pub fn remove_passphrase(&self) -> Result<()> {
        let mut header = self.ready()?;
        // A key in the TPM is worth nothing unless the TPM gives it.
        ensure_that(
            header.keys().recovery_key || header.keys().security_key || header.tpm_opens(None),
            "nothing else opens the vault now: make a recovery key first, or seal the vault to the TPM",
        )?;
        Ok(header.remove_passphrase().context("remove the passphrase")?)
    }
}
