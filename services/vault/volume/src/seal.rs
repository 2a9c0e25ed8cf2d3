//! Sealing to the TPM: to the firmware too, where what it will measure can be said in advance.

use std::path::Path;

use anyhow::{Context as _, bail};
use holdfast_contract::vault::{Firmware, Secret};
use libcryptsetup_rs::LibcryptErr;

use crate::volume::{Result, Volume, VolumeError, ensure_that, first, variants};
use crate::{measured, programs, raw};

/// Secure Boot's keys and state, what was added to the boot by credentials or command line, extensions, and the volumes opened before this
/// one. Together with PCR 11 by signature.
const LITERAL_REGISTERS: &str = "7+12+13+15";

impl Volume {
    /// Seals the volume to the TPM anew, with what opens it now; the sealed keys from before are removed. Returns how far the TPM's counter is.
    ///
    /// # Errors
    ///
    /// When the secret does not fit, or the TPM measured nothing.
    pub fn enrol_tpm(&self, secret: &Secret) -> Result<Option<u64>> {
        if let Some(objection) = measured::objection(Path::new(measured::REGISTERS)) {
            return Err(VolumeError::TpmRefused(objection));
        }
        let mut header = self.ready()?;
        let old = header.tpm_tokens();
        first(&variants(secret.expose()), |secret| {
            header.slot_of(secret)?;
            self.seal(secret)
                .map_err(|error| LibcryptErr::Other(format!("{error:#}")))
        })?;
        // As it is on the disk now. Where nothing has changed `systemd-cryptenroll` adds nothing, and what there is must stay.
        let mut header = self.ready()?;
        if header.tpm_tokens().iter().any(|token| !old.contains(token)) {
            header
                .remove_tpm(Some(&old))
                .context("remove the TPM's old key")?;
        }
        ensure_that(header.keys().tpm, "the volume is not sealed to the TPM")?;
        let counter = self.advance().context("move the TPM's counter on")?;
        Ok(Some(counter))
    }

    /// Seals the volume to the TPM: bound to the firmware too where that can be said in advance, and without it otherwise. Whoever hangs up before
    /// it is done calls it off.
    ///
    /// # Errors
    ///
    /// When `systemd-cryptenroll` fails, the header cannot be written, or it was called off.
    pub(crate) fn seal(&self, key: &[u8]) -> Result<()> {
        self.asker.wait(|| Ok(self.seal_now(key)?))
    }

    fn seal_now(&self, key: &[u8]) -> anyhow::Result<()> {
        let mut header = self.header()?.context("the header is gone")?;
        let before = header.tpm_tokens();
        let mut firmware = self.firmware.ask();
        if firmware.is_pinned()
            && let Err(error) = self.seal_pinned(key, &before)
        {
            tracing::warn!(error = %format_args!("{error:#}"), "sealed without the firmware");
            firmware = Firmware::NotAccepted;
        }
        if !firmware.is_pinned() {
            self.enrol(key, None)?;
        }
        let mut header = self.header()?.context("the header is gone")?;
        header
            .set_firmware(firmware)
            .context("note whether the firmware is pinned")
    }

    /// Seals the volume to the firmware too, and looks whether the TPM gives that key now: one that it never gives is removed again.
    fn seal_pinned(&self, key: &[u8], before: &[u32]) -> anyhow::Result<()> {
        self.enrol(key, Some(&self.firmware.policy))?;
        let mut header = self.header()?.context("the header is gone")?;
        let new: Vec<_> = header
            .tpm_tokens()
            .into_iter()
            .filter(|token| !before.contains(token))
            .collect();
        let opens = !new.is_empty() && new.iter().all(|token| header.tpm_opens(Some(*token)));
        if !opens {
            let said = raw::last_error();
            header.remove_tpm(Some(&new)).context("remove a key of no use")?;
            bail!("the TPM does not give the key that is bound to the firmware: {said}");
        }
        Ok(())
    }

    fn enrol(&self, key: &[u8], pcrlock: Option<&Path>) -> anyhow::Result<()> {
        programs::enrol(
            &self.device,
            key,
            LITERAL_REGISTERS,
            &self.public_key,
            &self.signature,
            pcrlock,
            &self.asker,
        )
        .context("seal the volume to the TPM")
    }

    /// Adds what of the firmware differs, where the key depends on it.
    pub(crate) fn explain(&self, error: VolumeError, pinned: bool) -> VolumeError {
        match (error, pinned.then(|| self.firmware.difference()).flatten()) {
            (VolumeError::TpmRefused(why), Some(difference)) => {
                VolumeError::TpmRefused(format!("{difference}; it said: {why}"))
            }
            (error, _) => error,
        }
    }
}

#[cfg(test)]
#[path = "seal_tests.rs"]
#[allow(clippy::unwrap_used, reason = "these are tests")]
mod tests;
