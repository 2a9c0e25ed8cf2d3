//! Names of members of archives: where unpacking them would lead, and whether two of them are one.

use std::collections::BTreeSet;

use crate::text::{self, Fingerprint};

/// Why a member must not have this name, if so.
pub fn bad(name: &[u8]) -> Option<&'static str> {
    let Ok(name) = std::str::from_utf8(name) else {
        return Some("is not UTF-8");
    };
    let mut parts = name.strip_suffix('/').unwrap_or(name).split('/');
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
