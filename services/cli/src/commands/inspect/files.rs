//! Which files are meant by the paths that a person names.

mod leftovers;
mod links;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use holdfast_formats::set::{FOLDERS, SAVED_MODEL};
use links::Root;
pub use links::{Target, blob_digest};

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

/// A file to inspect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// How it is shown, and where its name comes from.
    pub path: PathBuf,
    /// What is opened.
    pub target: Target,
}

/// The named files, and everything in the named directories: sorted within each, its files before its directories, of which those that belong
/// to a `SavedModel` come first. A link is followed
/// only to what lies in the named directory, or in the cache that the directory is a snapshot of. What is neither file nor
/// directory (a pipe, a name that does not exist) stays in the list, for the inspection to say so; so does a `.git`. What programs that
/// download leave behind is passed over where it is exactly that.
///
/// # Errors
///
/// When a directory cannot be read: what was not looked at must not seem to have passed.
pub fn list(named: &[PathBuf]) -> Result<Vec<Listed>, ListError> {
    let mut files = Vec::new();
    for path in named {
        if path.is_dir() {
            let root = Root::of(path).map_err(|source| ListError::Read {
                path: path.clone(),
                source,
            })?;
            let begin = files.len();
            below(path, &root, 0, &mut files)?;
            let walked = files.split_off(begin);
            files.extend(without_linked_blobs(walked));
        } else {
            add(path.clone(), Target::Named, &mut files)?;
        }
    }
    Ok(files)
}

fn below(directory: &Path, root: &Root, depth: usize, files: &mut Vec<Listed>) -> Result<(), ListError> {
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
        let is_repository = kind.is_dir() && entry.file_name() == ".git";
        entries.push((kind.is_dir() && !is_repository, entry.path(), is_repository, kind));
    }
    let is_saved_model = entries
        .iter()
        .any(|(_, path, ..)| path.file_name().is_some_and(|name| name == SAVED_MODEL));
    let is_later = |path: &Path| !is_saved_model || !belongs_to_model(path);
    entries.sort_by(|(left_is_dir, left, ..), (right_is_dir, right, ..)| {
        (left_is_dir, is_later(left), left).cmp(&(right_is_dir, is_later(right), right))
    });
    for (is_directory, path, is_repository, kind) in entries {
        if is_repository {
            add(path, Target::Repository, files)?;
        } else if is_directory {
            below(&path, root, depth + 1, files)?;
        } else if kind.is_symlink() {
            // A directory in the same place is walked where it lies.
            if let Some(target) = root.follow(&path) {
                add(path, target, files)?;
            }
        } else if !leftovers::is_one(&path) {
            add(path, Target::Itself, files)?;
        }
    }
    Ok(())
}

/// Whether a folder is one whose files are judged with the `SavedModel` beside it.
pub fn belongs_to_model(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| FOLDERS.contains(&name))
}

/// The blobs of a cache are inspected under the names that its snapshots give them, once.
fn without_linked_blobs(files: Vec<Listed>) -> Vec<Listed> {
    let linked: BTreeSet<PathBuf> = files
        .iter()
        .filter_map(|file| match &file.target {
            Target::Linked(real) => Some(real.clone()),
            _ => None,
        })
        .collect();
    let is_blob = |path: &Path| {
        path.parent()
            .is_some_and(|parent| parent.file_name().is_some_and(|name| name == "blobs"))
    };
    let seen = |file: &Listed| {
        file.target == Target::Itself
            && is_blob(&file.path)
            && std::fs::canonicalize(&file.path).is_ok_and(|real| linked.contains(&real))
    };
    if linked.is_empty() {
        return files;
    }
    files.into_iter().filter(|file| !seen(file)).collect()
}

fn add(path: PathBuf, target: Target, files: &mut Vec<Listed>) -> Result<(), ListError> {
    if files.len() >= MAX_FILES {
        return Err(ListError::TooMany);
    }
    files.push(Listed { path, target });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn directories_are_walked_in_order_and_links_to_them_are_not() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        std::fs::create_dir_all(path("b/c")).unwrap();
        for name in ["b/z", "b/c/a", "a", "outside"] {
            std::fs::write(path(name), b"").unwrap();
        }
        symlink(path("b"), path("b/c/loop")).unwrap();
        symlink(path("b/z"), path("b/link")).unwrap();
        let listed = list(&[path("b"), path("a"), path("missing")]).unwrap();
        let wanted = [
            ("b/link", Target::Linked(path("b/z").canonicalize().unwrap())),
            ("b/z", Target::Itself),
            ("b/c/a", Target::Itself),
            ("a", Target::Named),
            ("missing", Target::Named),
        ];
        let wanted = wanted.map(|(name, target)| Listed {
            path: path(name),
            target,
        });
        assert_eq!(listed, wanted);
    }

    #[test]
    fn the_folders_of_a_saved_model_come_before_others() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for folder in ["a", "variables", "other/variables", "other/a"] {
            std::fs::create_dir_all(path(folder)).unwrap();
            std::fs::write(path(folder).join("x"), b"").unwrap();
        }
        let names = || -> Vec<String> {
            let listed = list(&[root.path().to_owned()]).unwrap();
            let shown = |file: &Listed| file.path.strip_prefix(root.path()).unwrap().display().to_string();
            listed.iter().map(shown).collect()
        };
        let rest = ["a/x", "other/a/x", "other/variables/x"];
        assert_eq!(names(), [&rest[..], &["variables/x"]].concat());
        std::fs::write(path(SAVED_MODEL), b"").unwrap();
        assert_eq!(names(), [&[SAVED_MODEL, "variables/x"][..], &rest].concat());
    }

    #[test]
    fn links_are_followed_within_the_directory_only() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        std::fs::create_dir_all(path("models/deep")).unwrap();
        std::fs::create_dir_all(path("elsewhere")).unwrap();
        for name in ["models/a", "elsewhere/secret"] {
            std::fs::write(path(name), b"").unwrap();
        }
        for (name, to) in [
            ("models/deep/in", "../a"),
            ("models/file-out", "../elsewhere/secret"),
            ("models/out", "../elsewhere"),
            ("models/gone", "nowhere"),
            ("models/deep/up", ".."),
        ] {
            symlink(to, path(name)).unwrap();
        }
        let listed = list(&[path("models")]).unwrap();
        let found: Vec<_> = listed
            .iter()
            .map(|file| {
                let name = file.path.strip_prefix(path("models")).unwrap();
                let kind = match file.target {
                    Target::Itself => "itself",
                    Target::Linked(_) => "linked",
                    Target::Away => "away",
                    Target::Repository => "repository",
                    Target::Named => "named",
                };
                (name.to_str().unwrap(), kind)
            })
            .collect();
        let wanted = [
            ("a", "itself"),
            ("file-out", "away"),
            ("gone", "itself"),
            ("out", "away"),
            ("deep/in", "linked"),
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn the_blobs_of_a_cache_are_seen_under_their_names() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join("models--a--b").join(name);
        let (used, unused) = ("ab".repeat(32), "cd".repeat(20));
        for name in ["blobs", "snapshots/0123", "refs/pr", ".no_exist/0123", "other"] {
            std::fs::create_dir_all(path(name)).unwrap();
        }
        for name in [&used, &unused, "no-digest"] {
            std::fs::write(path("blobs").join(name), b"x").unwrap();
        }
        std::fs::write(path("refs/main"), b"x").unwrap();
        std::fs::write(path("refs/pr/1"), "0a".repeat(20)).unwrap();
        std::fs::write(path("refs/pr/odd"), "0a".repeat(21)).unwrap();
        std::fs::write(path(".no_exist/0123/adapter.json"), b"").unwrap();
        symlink(format!("../../blobs/{used}"), path("snapshots/0123/model.bin")).unwrap();
        symlink("../../blobs/no-digest", path("snapshots/0123/odd")).unwrap();
        symlink(format!("../blobs/{used}"), path("other/odd")).unwrap();
        let names = |named: PathBuf| -> Vec<(String, bool)> {
            let listed = list(std::slice::from_ref(&named)).unwrap();
            let shown = |file: &Listed| {
                let name = file.path.strip_prefix(&named).unwrap();
                (name.display().to_string(), file.target == Target::Away)
            };
            listed.iter().map(shown).collect()
        };
        let snapshot = names(path("snapshots/0123"));
        assert_eq!(
            snapshot,
            [("model.bin".to_owned(), false), ("odd".to_owned(), true)]
        );
        assert_eq!(names(path("other")), [("odd".to_owned(), true)]);
        let whole: Vec<_> = names(path("")).into_iter().map(|(name, _)| name).collect();
        let wanted = [
            format!("blobs/{unused}"),
            "other/odd".to_owned(),
            "refs/main".to_owned(),
            "refs/pr/odd".to_owned(),
            "snapshots/0123/model.bin".to_owned(),
            "snapshots/0123/odd".to_owned(),
        ];
        assert_eq!(whole, wanted);
    }

    #[test]
    fn what_a_download_leaves_behind_is_passed_over_where_it_is_exactly_that() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        let cache = ".cache/huggingface";
        for name in ["download/deep", "upload"] {
            std::fs::create_dir_all(path(cache).join(name)).unwrap();
        }
        std::fs::create_dir(path("other")).unwrap();
        let note = format!("{}\n{}\n1700000000.123\n", "0".repeat(40), "ab".repeat(32));
        let tag = "Signature: 8a477f597d28d172789f06886806bc55\n# This is a cache.\n";
        for (name, content) in [
            (".gitignore", "*"),
            ("CACHEDIR.TAG", tag),
            ("download/config.json.metadata", note.as_str()),
            ("download/deep/a.metadata", note.as_str()),
            ("download/deep/a.lock", ""),
        ] {
            std::fs::write(path(cache).join(name), content).unwrap();
        }
        assert!(list(&[root.path().to_owned()]).unwrap().is_empty());
        let four = format!("{note}import os\n");
        let odd = [
            (format!("{cache}/download/.gitignore"), "*"),
            (format!("{cache}/download/four.metadata"), four.as_str()),
            (format!("{cache}/download/full.lock"), "x"),
            (format!("{cache}/download/model.bin"), ""),
            (format!("{cache}/download/time.metadata"), "0\n0\n0\n"),
            (format!("{cache}/upload/a.metadata"), note.as_str()),
            ("other/.gitignore".to_owned(), "*"),
            ("other/a.lock".to_owned(), ""),
            ("other/a.metadata".to_owned(), note.as_str()),
        ];
        for (name, content) in &odd {
            std::fs::write(path(name), content).unwrap();
        }
        std::fs::write(path(cache).join("CACHEDIR.TAG"), format!("{tag}\x7fELF")).unwrap();
        std::fs::write(path(cache).join(".gitignore"), "*\n!a").unwrap();
        let listed = list(&[root.path().to_owned()]).unwrap();
        let found: BTreeSet<_> = listed.into_iter().map(|file| file.path).collect();
        let mut wanted: BTreeSet<_> = odd.iter().map(|(name, _)| path(name)).collect();
        wanted.extend(["CACHEDIR.TAG", ".gitignore"].map(|name| path(cache).join(name)));
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_repository_is_one_entry_beside_the_files() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for name in [".git/objects", ".cache"] {
            std::fs::create_dir_all(path(name)).unwrap();
        }
        for name in [".git/HEAD", ".git/objects/a", "model", ".cache/a"] {
            std::fs::write(path(name), b"x").unwrap();
        }
        let listed = list(&[root.path().to_owned()]).unwrap();
        let wanted = [
            (".git", Target::Repository),
            ("model", Target::Itself),
            (".cache/a", Target::Itself),
        ];
        let wanted = wanted.map(|(name, target)| Listed {
            path: path(name),
            target,
        });
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
