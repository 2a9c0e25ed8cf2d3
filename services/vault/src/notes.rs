//! What the daemon remembers in its state directory, which is not on the vault: that a vault was made, and how far the TPM's counter was.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;

/// Is there once a vault was made.
const MADE: &str = "made";
/// Holds the counter, as a decimal number.
const COUNTER: &str = "tpm-counter";

/// The notes.
#[derive(Debug)]
pub struct Notes {
    directory: PathBuf,
}

impl Notes {
    /// The notes in this directory.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Whether a vault was made once.
    pub fn was_made(&self) -> bool {
        self.directory.join(MADE).exists()
    }

    /// Notes that there is a vault.
    pub fn made(&self) {
        if !self.was_made()
            && let Err(error) = self.write(MADE, "")
        {
            tracing::error!(error = %format_args!("{error:#}"), "that the vault was made could not be noted");
        }
    }

    /// How far the TPM's counter was; none where that was never noted. A note that cannot be read means that nothing is far enough.
    pub fn counter(&self) -> Option<u64> {
        let path = self.directory.join(COUNTER);
        match std::fs::read_to_string(&path) {
            Ok(text) => Some(text.trim().parse().unwrap_or_else(|_| {
                tracing::error!(path = %path.display(), "the note of the TPM's counter is damaged");
                u64::MAX
            })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::error!(%error, path = %path.display(), "the note of the TPM's counter cannot be read");
                Some(u64::MAX)
            }
        }
    }

    /// Notes how far the TPM's counter is.
    pub fn counted(&self, counter: u64) {
        if let Err(error) = self.write(COUNTER, &counter.to_string()) {
            tracing::error!(error = %format_args!("{error:#}"), "the TPM's counter could not be noted");
        }
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.directory.join(name);
        let new = self.directory.join(format!("{name}.new"));
        let mut file = File::create(&new).with_context(|| format!("create {}", new.display()))?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .with_context(|| format!("write {}", new.display()))?;
        std::fs::rename(&new, &path).with_context(|| format!("replace {}", path.display()))?;
        File::open(&self.directory)
            .and_then(|directory| directory.sync_all())
            .context("sync the state directory")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_last() {
        let directory = tempfile::tempdir().unwrap();
        let notes = Notes::new(directory.path().to_owned());
        assert!(!notes.was_made());
        assert_eq!(notes.counter(), None);
        notes.made();
        notes.made();
        notes.counted(41);
        notes.counted(42);
        let again = Notes::new(directory.path().to_owned());
        assert!(again.was_made());
        assert_eq!(again.counter(), Some(42));
    }

    #[test]
    fn no_counter_is_as_far_as_a_damaged_note() {
        let directory = tempfile::tempdir().unwrap();
        let notes = Notes::new(directory.path().to_owned());
        for damage in ["", "-1", "4\u{0}2", "18446744073709551616"] {
            std::fs::write(directory.path().join(COUNTER), damage).unwrap();
            assert_eq!(notes.counter(), Some(u64::MAX), "{damage:?}");
        }
    }
}
