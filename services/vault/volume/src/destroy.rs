//! What a panic destroys: the TPM's key, or every key.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, ensure};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::volume::{Result, Volume, ensure_that};

impl Volume {
    /// Removes the TPM's keys, and looks whether they are gone.
    ///
    /// # Errors
    ///
    /// When the header cannot be written, or something still opens it without a secret.
    pub fn remove_tpm(&self) -> Result<()> {
        let mut header = self.ready()?;
        let keys = header.keys();
        ensure_that(
            keys.recovery_key || keys.passphrase || keys.security_key,
            "nothing else opens the vault: there is no confirmed recovery key, no passphrase and no security key",
        )?;
        header.remove_tpm(None).context("remove the TPM's key")?;
        let mut header = self.ready()?;
        ensure_that(
            !header.keys().tpm && header.tpm_tokens().is_empty(),
            "the TPM's key is still there",
        )?;
        Ok(ensure_that(
            !header.tpm_opens(None),
            "the TPM still opens the volume",
        )?)
    }

    /// Destroys every key, and looks whether the bytes of the keyslots are others than before. From the first step on nothing opens the volume any
    /// more, wherever it is interrupted; every keyslot is tried, whatever became of the one before it.
    ///
    /// # Errors
    ///
    /// When a keyslot cannot be destroyed, or its bytes are still there or cannot be read.
    pub fn erase(&self) -> Result<()> {
        let mut header = self.header()?.context("the partition holds no LUKS2 header")?;
        let mut failures = Vec::new();
        let mut before = Vec::new();
        for slot in header.slots() {
            let area = header.area(slot).context("find a keyslot");
            before.push((slot, area.and_then(|area| Ok((area, self.digest(area)?)))));
        }
        if let Err(error) = header.set_state("erased") {
            failures.push(format!("note that the keys are gone: {error}"));
        }
        for (slot, _) in &before {
            if let Err(error) = header.destroy(*slot) {
                failures.push(format!("destroy keyslot {slot}: {error}"));
            }
        }
        let left = self.header()?.context("the header is gone")?.slots();
        if !left.is_empty() {
            failures.push(format!("keyslots are still there: {left:?}"));
        }
        for (slot, before) in before {
            let same = before.and_then(|(area, digest)| Ok(self.digest(area)? == digest));
            match same {
                Ok(false) => {}
                Ok(true) => failures.push(format!("the bytes of keyslot {slot} are still there")),
                Err(error) => failures.push(format!("keyslot {slot} cannot be read back: {error:#}")),
            }
        }
        if failures.is_empty() {
            return Ok(());
        }
        Err(anyhow::anyhow!("{}", failures.join("; ")).into())
    }

    /// Of a part of the partition, read from the disk and not from memory as far as that can be asked for.
    fn digest(&self, (offset, length): (u64, u64)) -> anyhow::Result<[u8; 32]> {
        let file = File::open(&self.device).context("open the partition")?;
        let _ = rustix::fs::fadvise(
            &file,
            offset,
            std::num::NonZeroU64::new(length),
            rustix::fs::Advice::DontNeed,
        );
        let mut hasher = Sha256::new();
        let mut buffer = Zeroizing::new(vec![0; 64 << 10]);
        let mut done = 0;
        while done < length {
            let want = usize::try_from(length - done)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let read = file
                .read_at(&mut buffer[..want], offset + done)
                .context("read a keyslot")?;
            ensure!(read > 0, "the partition ends inside a keyslot");
            hasher.update(&buffer[..read]);
            done += read as u64;
        }
        Ok(hasher.finalize().into())
    }
}
