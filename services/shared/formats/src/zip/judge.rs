//! What can be said against members before a byte of them is read: names, kinds, ciphers, and how they lie in the archive.

use super::directory::Directory;
use super::entry::{DESCRIPTOR, EFFORT, ENCRYPTED, Entry, LOCAL_BYTES, UTF8};
use crate::finding::{Findings, Place};
use crate::paths::{self, Seen};
use crate::rules;
use crate::text;

/// Methods of compression that are understood.
pub const STORED: u16 = 0;
/// Deflate, RFC 1951.
pub const DEFLATED: u16 = 8;

/// The newest version of the format that readers know, times ten.
pub const NEWEST: u16 = 63;

/// Adds what is wrong with the members, and says whether their content can be read all the same.
pub fn judge(directory: &Directory, findings: &mut Findings) -> bool {
    let mut legible = true;
    let mut names = Seen::default();
    for entry in directory.entries() {
        let place = || place(directory, &entry);
        if let Some(why) = bad_name(&entry) {
            findings.add(&rules::ZIP_NAME, place(), format_args!("a member's name {why}"));
        }
        if !names.insert(&entry.name) {
            let message = "two members have the same name, or differ in upper and lower case only";
            findings.add(&rules::ZIP_DUPLICATE, place(), message);
        }
        if let Some(what) = paths::special(entry.mode) {
            findings.add(&rules::ZIP_LINK, place(), format_args!("a member is {what}"));
        }
        if entry.flags & ENCRYPTED != 0 {
            legible = false;
            findings.add(&rules::ZIP_ENCRYPTED, place(), "a member is encrypted");
        } else if entry.flags & !(EFFORT | DESCRIPTOR | UTF8) != 0 {
            legible = false;
            let message = format_args!("a member has the unknown flags {:#06x}", entry.flags);
            findings.add(&rules::ZIP_METHOD, place(), message);
        }
        if entry.needs > NEWEST {
            legible = false;
            let message = format_args!("a member needs version {} of the format", entry.needs);
            findings.add(&rules::ZIP_METHOD, place(), message);
        }
        if !matches!(entry.method, STORED | DEFLATED) {
            legible = false;
            let message = format_args!(
                "a member is compressed by method {}{}",
                entry.method,
                known(entry.method)
            );
            findings.add(&rules::ZIP_METHOD, place(), message);
        }
        if entry.method == STORED && entry.packed != entry.size {
            legible = false;
            let message = "a member that is not compressed has two sizes";
            findings.add(&rules::ZIP_DISAGREES, place(), message);
        }
        if entry.is_directory() && (entry.packed, entry.size) != (0, 0) {
            findings.add(&rules::ZIP_DISAGREES, place(), "a directory has content");
        }
        if entry.changed {
            let message = "a member has a second name, a second comment or a cipher in its extra fields";
            findings.add(&rules::ZIP_EXTRA, place(), message);
        }
        if entry.commented {
            findings.add(&rules::ZIP_EXTRA, place(), "a member has a comment");
        }
    }
    layout(directory, findings) && legible
}

/// Where a member is. One that claims to begin where no member can is where the claim is, in the directory.
fn place(directory: &Directory, entry: &Entry) -> Place {
    Place::at(entry.at.min(directory.at)).of(&text::shown_bytes(&entry.name))
}

/// Members must follow each other from the first byte up to the directory, each with room for what it claims.
fn layout(directory: &Directory, findings: &mut Findings) -> bool {
    let mut sound = true;
    let places = directory.entries().map(|entry| entry.at);
    let mut ends = places.skip(1).chain([directory.at]);
    if let Some(first) = directory.entry(0).filter(|first| first.at != 0) {
        sound = false;
        let message = format_args!("the first member begins at {}, something is before it", first.at);
        findings.add(&rules::ZIP_LAYOUT, Place::at(0), message);
    }
    for entry in directory.entries() {
        let end = ends.next().unwrap_or(directory.at);
        let least = (LOCAL_BYTES + entry.name.len()) as u64;
        let fits = entry
            .at
            .checked_add(least)
            .and_then(|at| at.checked_add(entry.packed))
            .is_some_and(|least_end| least_end <= end);
        if !fits {
            sound = false;
            let place = place(directory, &entry);
            let message = format_args!(
                "a member of {} bytes at {} overlaps what begins at {end}",
                entry.packed, entry.at
            );
            findings.add(&rules::ZIP_LAYOUT, place, message);
        }
    }
    sound
}

impl Entry {
    /// Whether it stands for a directory.
    pub fn is_directory(&self) -> bool {
        self.name.ends_with(b"/")
    }
}

fn bad_name(entry: &Entry) -> Option<&'static str> {
    let unclear = !entry.name.is_ascii() && entry.flags & UTF8 == 0;
    paths::bad(&entry.name, entry.is_directory())
        .or_else(|| unclear.then_some("has letters beyond ASCII without saying in which encoding"))
}

fn known(method: u16) -> &'static str {
    match method {
        9 => " (Deflate64)",
        12 => " (bzip2)",
        14 => " (LZMA)",
        93 => " (Zstandard)",
        95 => " (xz)",
        _ => "",
    }
}
