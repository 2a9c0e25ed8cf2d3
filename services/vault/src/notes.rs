//! What the daemon remembers in its state directory, which is not on the vault: that a vault was made and which one it is, how far the TPM's
//! counter was, and a panic that is under way.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use holdfast_contract::Digest;
use holdfast_contract::vault::PanicLevel;
use serde::{Deserialize, Serialize};

/// Is there once a vault was made.
const MADE: &str = "made";
/// Holds the counter, as a decimal number.
const COUNTER: &str = "tpm-counter";
/// Holds a digest: see [`holdfast_contract::vault::Volume::identity`].
const IDENTITY: &str = "identity";
/// Holds a panic that destroys something, from its countdown to its end.
const PANIC: &str = "panic";

/// A panic that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    /// What is destroyed.
    pub level: PanicLevel,
    /// Whether the countdown is over: nobody can call it off any more.
    pub committed: bool,
}

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

    /// Which volume was made or opened here first; none where that was never noted.
    pub fn identity(&self) -> Option<Digest> {
        let path = self.directory.join(IDENTITY);
        let text = std::fs::read_to_string(&path).ok()?;
        // No volume has the digest that a damaged note stands for.
        Some(text.trim().parse().unwrap_or_else(|_| {
            tracing::error!(path = %path.display(), "the note of the vault's identity is damaged");
            Digest::from_bytes([0; 32])
        }))
    }

    /// Notes which volume it is.
    pub fn identified(&self, identity: Digest) {
        if let Err(error) = self.write(IDENTITY, &identity.to_string()) {
            tracing::error!(error = %format_args!("{error:#}"), "the vault's identity could not be noted");
        }
    }

    /// A panic that was under way when the daemon ended.
    pub fn panic(&self) -> Option<UnderWay> {
        let text = std::fs::read_to_string(self.directory.join(PANIC)).ok()?;
        // Nobody writes it but this program, whole: what cannot be read destroys nothing, and keeps the vault shut.
        Some(serde_json::from_str(&text).unwrap_or(UnderWay {
            level: PanicLevel::Erase,
            committed: false,
        }))
    }

    /// Notes a panic that is under way.
    pub fn panic_is(&self, under_way: UnderWay) {
        let text = serde_json::to_string(&under_way).unwrap_or_default();
        if let Err(error) = self.write(PANIC, &text) {
            tracing::error!(error = %format_args!("{error:#}"), "the panic could not be noted");
        }
    }

    /// Forgets it.
    pub fn panic_is_over(&self) {
        match std::fs::remove_file(self.directory.join(PANIC)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::error!(%error, "the note of a panic stays");
            }
            _ => {}
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
    fn a_panic_is_remembered_until_it_is_over() {
        let directory = tempfile::tempdir().unwrap();
        let notes = Notes::new(directory.path().to_owned());
        notes.panic_is_over();
        assert_eq!(notes.panic(), None);
        let under_way = UnderWay {
            level: PanicLevel::RemoveTpm,
            committed: true,
        };
        notes.panic_is(under_way);
        assert_eq!(notes.panic(), Some(under_way));
        std::fs::write(directory.path().join(PANIC), "{").unwrap();
        assert!(notes.panic().is_some_and(|panic| !panic.committed));
        notes.panic_is_over();
        assert_eq!(notes.panic(), None);
    }

    #[test]
    fn no_volume_is_the_one_of_a_damaged_note() {
        let directory = tempfile::tempdir().unwrap();
        let notes = Notes::new(directory.path().to_owned());
        assert_eq!(notes.identity(), None);
        let identity = Digest::from_bytes([7; 32]);
        notes.identified(identity);
        assert_eq!(notes.identity(), Some(identity));
        std::fs::write(directory.path().join(IDENTITY), "sha256:").unwrap();
        assert!(notes.identity().is_some_and(|found| found != identity));
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
