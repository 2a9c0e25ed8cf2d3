//! Why a model's file can be handed out without reading it: what the kernel said about it when its digest was last verified.
//!
//! With fs-verity the kernel itself answers for every byte that is read, for ever. Elsewhere the seal is the file's device,
//! inode, size, link count, modification time and change time. Any of them different, and the file is read anew. The change
//! time is the one that a program cannot set, so an edit in place shows even when its modification time was put back.

use std::os::fd::AsFd;
use std::time::{Duration, SystemTime};

use composefs_ioctls::fsverity::{
    EnableVerityError, MeasureVerityError, fs_ioc_enable_verity, fs_ioc_measure_verity,
};
use holdfast_contract::Digest;
use rustix::fs::{Stat, fstat};
use serde::{Deserialize, Serialize};

/// Hash algorithm 1 of fs-verity.
const SHA256: u8 = 1;
/// Merkle tree block size that every fs-verity file system accepts.
const BLOCK_BYTES: u32 = 4096;
/// The largest seal file, in bytes.
pub const MAX_SEAL_BYTES: usize = 4096;

/// What the kernel says about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size_bytes: u64,
    links: u64,
    modified_seconds: i64,
    modified_nanoseconds: u64,
    changed_seconds: i64,
    changed_nanoseconds: u64,
}

impl Stamp {
    /// Of an open file.
    ///
    /// # Errors
    ///
    /// When the kernel does not say.
    pub fn of(file: impl AsFd) -> std::io::Result<Self> {
        Ok(Self::from(&fstat(file)?))
    }

    /// Length, in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// When the file was last changed, by the kernel's clock.
    pub fn changed_at(&self) -> Option<SystemTime> {
        let since = Duration::new(
            self.changed_seconds.try_into().ok()?,
            self.changed_nanoseconds.try_into().ok()?,
        );
        SystemTime::UNIX_EPOCH.checked_add(since)
    }

    /// Whether the file has one name only. Under another name it could be changed without this store's directory.
    pub fn has_one_name(&self) -> bool {
        self.links == 1
    }
}

impl From<&Stat> for Stamp {
    #[allow(
        clippy::useless_conversion,
        clippy::unnecessary_fallible_conversions,
        reason = "the fields have other types on other architectures"
    )]
    fn from(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev.into(),
            inode: stat.st_ino.into(),
            size_bytes: u64::try_from(stat.st_size).unwrap_or(0),
            links: stat.st_nlink.into(),
            modified_seconds: stat.st_mtime.into(),
            modified_nanoseconds: stat.st_mtime_nsec.into(),
            changed_seconds: stat.st_ctime.into(),
            changed_nanoseconds: stat.st_ctime_nsec.into(),
        }
    }
}

/// Says that a file had `digest` when it looked like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    digest: Digest,
    stamp: Stamp,
    /// Root of the fs-verity Merkle tree, where the file system has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verity: Option<Digest>,
}

impl Seal {
    /// Seals a file that was just found to have `digest`.
    ///
    /// # Errors
    ///
    /// When the kernel does not say what the file looks like.
    pub fn new(file: impl AsFd, digest: Digest) -> std::io::Result<Self> {
        Ok(Self {
            digest,
            stamp: Stamp::of(&file)?,
            verity: measure(&file),
        })
    }

    /// Whether `file` is still what it was when it had the digest `digest`.
    ///
    /// # Errors
    ///
    /// When the kernel does not say what the file looks like.
    pub fn holds(&self, file: impl AsFd, digest: Digest) -> std::io::Result<bool> {
        if self.digest != digest {
            return Ok(false);
        }
        Ok(match self.verity {
            Some(root) => measure(&file) == Some(root),
            None => Stamp::of(&file)? == self.stamp,
        })
    }

    /// Whether the file looked like `stamp` when it was sealed.
    pub fn has(&self, stamp: &Stamp) -> bool {
        self.stamp == *stamp
    }

    /// Whether the kernel answers for the file's bytes.
    pub fn is_verity(&self) -> bool {
        self.verity.is_some()
    }
}

/// Turns on fs-verity where the file system has it. The file must be open for reading, and nobody may have it open for writing.
pub fn enable_verity(file: impl AsFd) {
    match fs_ioc_enable_verity(file, SHA256, BLOCK_BYTES) {
        Ok(()) | Err(EnableVerityError::AlreadyEnabled | EnableVerityError::FilesystemNotSupported) => {}
        // The stamp seals the file then.
        Err(error) => tracing::warn!(%error, "fs-verity not enabled"),
    }
}

fn measure(file: impl AsFd) -> Option<Digest> {
    match fs_ioc_measure_verity::<32>(file, SHA256) {
        Ok(root) => Some(Digest::from_bytes(root)),
        Err(MeasureVerityError::VerityMissing | MeasureVerityError::FilesystemNotSupported) => None,
        Err(error) => {
            tracing::warn!(%error, "fs-verity not measured");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, FileTimes};
    use std::io::Write as _;
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};
    use std::path::Path;

    fn digest() -> Digest {
        Digest::from_bytes([1; 32])
    }

    fn sealed(path: &Path) -> Seal {
        std::fs::write(path, b"content").unwrap();
        let seal = Seal::new(File::open(path).unwrap(), digest()).unwrap();
        // Kernels before 6.13 keep time in ticks: a change in the same tick could look like none.
        let changed = std::fs::metadata(path).unwrap();
        loop {
            let probe = tempfile::NamedTempFile::new_in(path.parent().unwrap()).unwrap();
            let now = probe.as_file().metadata().unwrap();
            if (now.ctime(), now.ctime_nsec()) > (changed.ctime(), changed.ctime_nsec()) {
                return seal;
            }
        }
    }

    fn holds(seal: &Seal, path: &Path) -> bool {
        seal.holds(File::open(path).unwrap(), digest()).unwrap()
    }

    #[test]
    fn holds_while_nothing_happens_to_the_file() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a");
        let seal = sealed(&path);
        assert_eq!(std::fs::read(&path).unwrap(), b"content");
        assert!(holds(&seal, &path));
        assert!(
            !seal
                .holds(File::open(&path).unwrap(), Digest::from_bytes([2; 32]))
                .unwrap()
        );
    }

    #[test]
    fn an_appended_byte_breaks_it() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a");
        let seal = sealed(&path);
        File::options()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"!")
            .unwrap();
        assert!(!holds(&seal, &path));
    }

    #[test]
    fn an_edit_of_the_same_size_with_its_time_put_back_breaks_it() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a");
        let seal = sealed(&path);
        let file = File::options().write(true).open(&path).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        file.write_all_at(b"C", 0).unwrap();
        file.set_times(FileTimes::new().set_modified(modified)).unwrap();
        assert_eq!(file.metadata().unwrap().modified().unwrap(), modified);
        assert!(!holds(&seal, &path));
    }

    #[test]
    fn another_file_with_the_same_content_breaks_it() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a");
        let seal = sealed(&path);
        std::fs::write(temp.path().join("b"), b"content").unwrap();
        std::fs::rename(temp.path().join("b"), &path).unwrap();
        assert!(!holds(&seal, &path));
    }

    #[test]
    fn a_second_name_breaks_it() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a");
        let seal = sealed(&path);
        std::fs::hard_link(&path, temp.path().join("b")).unwrap();
        assert!(!holds(&seal, &path));
        assert!(!Stamp::of(File::open(&path).unwrap()).unwrap().has_one_name());
    }

    #[test]
    fn survives_being_written_down() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a");
        let seal = sealed(&path);
        let json = serde_json::to_vec(&seal).unwrap();
        assert!(json.len() < MAX_SEAL_BYTES);
        assert_eq!(serde_json::from_slice::<Seal>(&json).unwrap(), seal);
    }

    #[test]
    fn fs_verity_is_used_where_the_file_system_has_it() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a");
        std::fs::write(&path, b"content").unwrap();
        let file = File::open(&path).unwrap();
        enable_verity(&file);
        let seal = Seal::new(&file, digest()).unwrap();
        if !seal.is_verity() {
            holdfast_tests::tools::skip("the file system for temporary files has no fs-verity");
            return;
        }
        assert!(File::options().write(true).open(&path).is_err());
        std::fs::hard_link(&path, temp.path().join("b")).unwrap();
        assert!(
            holds(&seal, &path),
            "fs-verity seals the content, whatever happens to the names"
        );
    }
}
