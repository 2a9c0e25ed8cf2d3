//! Which files are meant by the paths that a person names.

use std::path::{Path, PathBuf};

/// The deepest directory below a named one.
const MAX_DEPTH: usize = 64;
/// The most files of one run.
const MAX_FILES: usize = 1 << 20;

/// Why the files could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// A directory could not be read.
    #[error("read the directory {}", path.display())]
    Read {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// There are more files than a run takes.
    #[error("there are more than {MAX_FILES} files; name fewer directories at once")]
    TooMany,
    /// Directories lie deeper in each other than is followed.
    #[error("{} lies more than {MAX_DEPTH} directories deep", .0.display())]
    TooDeep(PathBuf),
}

/// The named files, and everything in the named directories: sorted within each, links to directories not followed. What is neither
/// (a pipe, a name that does not exist) stays in the list, for the inspection to say so.
///
/// # Errors
///
/// When a directory cannot be read: what was not looked at must not seem to have passed.
pub fn list(named: &[PathBuf]) -> Result<Vec<PathBuf>, ListError> {
    let mut files = Vec::new();
    for path in named {
        if path.is_dir() {
            below(path, 0, &mut files)?;
        } else {
            add(path.clone(), &mut files)?;
        }
    }
    Ok(files)
}

fn below(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), ListError> {
    if depth > MAX_DEPTH {
        return Err(ListError::TooDeep(directory.to_owned()));
    }
    let unreadable = |source| ListError::Read {
        path: directory.to_owned(),
        source,
    };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let kind = entry.file_type().map_err(unreadable)?;
        entries.push((entry.path(), kind));
    }
    entries.sort_by(|(left, _), (right, _)| left.cmp(right));
    for (path, kind) in entries {
        if kind.is_dir() {
            below(&path, depth + 1, files)?;
        } else if !(kind.is_symlink() && path.is_dir()) {
            add(path, files)?;
        }
    }
    Ok(())
}

fn add(path: PathBuf, files: &mut Vec<PathBuf>) -> Result<(), ListError> {
    if files.len() >= MAX_FILES {
        return Err(ListError::TooMany);
    }
    files.push(path);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_walked_in_order_and_links_to_them_are_not() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        std::fs::create_dir_all(path("b/c")).unwrap();
        for name in ["b/z", "b/c/a", "a", "outside"] {
            std::fs::write(path(name), b"").unwrap();
        }
        std::os::unix::fs::symlink(path("b"), path("b/c/loop")).unwrap();
        std::os::unix::fs::symlink(path("a"), path("b/link")).unwrap();
        let listed = list(&[path("b"), path("a"), path("missing")]).unwrap();
        let wanted = ["b/c/a", "b/link", "b/z", "a", "missing"].map(path);
        assert_eq!(listed, wanted);
    }

    #[test]
    fn a_directory_that_cannot_be_walked_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let mut deep = root.path().to_owned();
        for _ in 0..=MAX_DEPTH {
            deep.push("d");
        }
        std::fs::create_dir_all(&deep).unwrap();
        assert!(matches!(
            list(&[root.path().to_owned()]),
            Err(ListError::TooDeep(_))
        ));
    }
}
