//! Members of archives in the file system: where unpacking them would lead, whether two of them are one, and what they are.

use std::collections::BTreeSet;

use crate::text::{self, Fingerprint};

/// Why a member must not have this name, if so. Only a directory may have a slash at its end: some readers drop it, others put a file into a
/// directory of that name.
pub fn bad(name: &[u8], is_directory: bool) -> Option<&'static str> {
    let Ok(name) = std::str::from_utf8(name) else {
        return Some("is not UTF-8");
    };
    let whole = name.strip_suffix('/').filter(|_| is_directory);
    let mut parts = whole.unwrap_or(name).split('/');
    let drive = matches!(name.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    if name.is_empty() {
        Some("is empty")
    } else if name.starts_with('/') || drive {
        Some("begins at the root of the file system")
    } else if name.contains('\\') {
        Some("holds a backslash, which some programs take for a directory")
    } else if parts.any(|part| matches!(part, ".." | "." | "")) {
        Some("leads out of the archive's directory or says nothing")
    } else if name.chars().any(text::is_hidden) {
        Some("has characters that do not show")
    } else {
        None
    }
}

/// What a member is, besides a file or a directory, by its Unix mode, of which nothing may be known (0).
pub fn special(mode: u16) -> Option<&'static str> {
    match mode & 0o170_000 {
        0 | 0o100_000 | 0o040_000 => (mode & 0o6000 != 0).then_some("a program with somebody else's rights"),
        0o120_000 => Some("a symbolic link"),
        0o020_000 | 0o060_000 => Some("a device"),
        0o010_000 => Some("a pipe"),
        0o140_000 => Some("a socket"),
        _ => Some("of an unknown kind"),
    }
}

/// The names that were seen.
#[derive(Debug, Default)]
pub struct Seen(BTreeSet<Fingerprint>);

impl Seen {
    /// Takes a name; false if it is there already. Some file systems do not tell upper from lower case, nor a directory from a
    /// file of that name.
    pub fn insert(&mut self, name: &[u8]) -> bool {
        let folded = String::from_utf8_lossy(name).to_lowercase();
        self.0
            .insert(Fingerprint::of(folded.trim_end_matches('/').as_bytes()))
    }
}
