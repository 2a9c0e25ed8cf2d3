//! Where links lead. Repositories that were downloaded into a cache are directories of links to files named by digest.

use std::path::{Path, PathBuf};

/// What is opened for a file in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The path that a person named, wherever it leads.
    Named,
    /// The file itself, found in a named directory.
    Itself,
    /// What a link in a named directory leads to.
    Linked(PathBuf),
    /// Nothing: a link that leads out of the named directory.
    Away,
    /// Nothing: the directory in which Git keeps everything.
    Repository,
}

/// A named directory.
#[derive(Debug)]
pub struct Root(PathBuf);

impl Root {
    /// The directory at `path`, wherever it really is.
    pub fn of(path: &Path) -> std::io::Result<Self> {
        std::fs::canonicalize(path).map(Self)
    }

    /// Where the link at `path`, below this directory, leads. `None` for a directory that is walked anyway.
    pub fn follow(&self, path: &Path) -> Option<Target> {
        let Ok(real) = std::fs::canonicalize(path) else {
            // It leads nowhere, or in a circle: opening it says so.
            return Some(Target::Itself);
        };
        let is_within = real.starts_with(&self.0);
        match (real.is_dir(), is_within) {
            (true, true) => None,
            (false, true) => Some(Target::Linked(real)),
            (false, false) if is_cached(path, &real) => Some(Target::Linked(real)),
            (_, false) => Some(Target::Away),
        }
    }
}

/// Whether `link` is in a snapshot of the Hugging Face cache and leads to a blob of the same repository.
fn is_cached(link: &Path, real: &Path) -> bool {
    let Some(Ok(directory)) = link.parent().map(std::fs::canonicalize) else {
        return false;
    };
    // `<repository>/snapshots/<revision>`, and perhaps directories of the repository below.
    let snapshots = directory.ancestors().skip(1);
    let mut repositories = snapshots
        .filter(|directory| directory.file_name().is_some_and(|name| name == "snapshots"))
        .filter_map(Path::parent);
    repositories.any(|repository| real.parent() == Some(&repository.join("blobs")))
        && blob_digest(real).is_some()
}

/// The digest that a blob of the cache has for its name: the SHA-256 of large files, and what Git calls others.
pub fn blob_digest(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    let is_hex = name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_hex && matches!(name.len(), 40 | 64)).then_some(name)
}
