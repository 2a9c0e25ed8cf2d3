//! What programs that download models leave beside them. Passed over only where a file is exactly that, by its place and by each of its bytes: nothing
//! else could be in it.

use std::ffi::OsStr;
use std::io::Read as _;
use std::path::Path;

/// The largest of these files.
const MAX_BYTES: u64 = 1 << 10;
/// How the mark of a directory that backups may leave out begins: <https://bford.info/cachedir/>.
const CACHE_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55";

/// Whether the file is one of these.
pub fn is_one(path: &Path) -> bool {
    let Some(length) = path
        .symlink_metadata()
        .ok()
        .filter(std::fs::Metadata::is_file)
        .map(|metadata| metadata.len())
    else {
        return false;
    };
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let extension = path.extension().and_then(OsStr::to_str);
    if length == 0 {
        // That a repository does not have a file of this name, and that nobody else downloads this one.
        let is_lock = extension == Some("lock") && (below(path, &DOWNLOADS) || below(path, &[".locks"]));
        return is_lock || below(path, &[".no_exist"]);
    }
    let is_whole = match (name, extension) {
        ("CACHEDIR.TAG", _) => is_tag,
        (".gitignore", _)
            if path
                .parent()
                .is_some_and(|parent| parent.ends_with(".cache/huggingface")) =>
        {
            is_all
        }
        (_, Some("metadata")) if below(path, &DOWNLOADS) => is_note,
        _ if matches!(length, 40 | 41) && is_reference(path) => is_revision,
        _ => return false,
    };
    length <= MAX_BYTES && read(path).is_some_and(|text| is_whole(&text))
}

/// Where `hf download --local-dir` keeps notes.
const DOWNLOADS: [&str; 3] = [".cache", "huggingface", "download"];

/// Whether directories of these names, one in the other, are above a file.
fn below(path: &Path, names: &[&str]) -> bool {
    let above: Vec<&OsStr> = path.parent().into_iter().flat_map(Path::iter).collect();
    above
        .windows(names.len())
        .any(|window| window.iter().zip(names).all(|(part, name)| part == name))
}

/// Whether a file is below `refs` in a repository of the cache.
fn is_reference(path: &Path) -> bool {
    let Some(Ok(directory)) = path.parent().map(std::fs::canonicalize) else {
        return false;
    };
    let is_repository = |directory: &Path| {
        let name = directory.file_name().and_then(OsStr::to_str).unwrap_or_default();
        ["models--", "datasets--", "spaces--"]
            .iter()
            .any(|kind| name.starts_with(kind))
    };
    directory
        .ancestors()
        .any(|above| above.ends_with("refs") && above.parent().is_some_and(is_repository))
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).ok()?;
    (text.len() as u64 <= MAX_BYTES).then_some(text)
}

/// The mark of a cache, and remarks of one line each.
fn is_tag(text: &str) -> bool {
    let is_printable = text
        .bytes()
        .all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t'));
    let mut lines = text.lines();
    is_printable
        && lines.next() == Some(CACHE_TAG)
        && lines.all(|line| line.is_empty() || line.starts_with('#'))
}

/// That Git leaves out everything.
fn is_all(text: &str) -> bool {
    text.trim_end_matches('\n') == "*"
}

/// A revision.
fn is_revision(text: &str) -> bool {
    let revision = text.strip_suffix('\n').unwrap_or(text);
    revision.len() == 40 && is_hex(revision)
}

/// The revision of a downloaded file, its digest, and when it was.
fn is_note(text: &str) -> bool {
    let mut lines = text.split_terminator('\n');
    let (Some(revision), Some(digest), Some(time), None) =
        (lines.next(), lines.next(), lines.next(), lines.next())
    else {
        return false;
    };
    let is_time =
        time.len() <= 32 && time.parse::<f64>().is_ok_and(f64::is_finite) && !time.contains(['+', 'e', 'E']);
    is_revision(revision) && (32..=128).contains(&digest.len()) && is_hex(digest) && is_time
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
