//! What can be said against files before a byte of them is read: names and kinds.

use super::header::File;
use crate::budget::Budget;
use crate::finding::{Findings, Place};
use crate::inspector::FileInspector;
use crate::paths::{self, Seen};
use crate::rules;
use crate::text;

// What Windows notes of a file, in the lower half of the attributes.
const DIRECTORY: u32 = 0x10;
const DEVICE: u32 = 0x40;
const REPARSE_POINT: u32 = 0x400;
// Kinds of files in a Unix mode.
const KINDS: u16 = 0o170_000;
const REGULAR: u16 = 0o100_000;
const DIRECTORY_KIND: u16 = 0o040_000;

/// Adds what is wrong with the files. Those without content are inspected here.
pub fn judge(files: &[File], budget: &Budget, findings: &mut Findings) {
    let mut names = Seen::default();
    for file in files {
        let name = text::shown(&file.name);
        let place = || Place::whole().of(&name);
        if let Some(why) = paths::bad(file.name.as_bytes(), false) {
            findings.add(
                &rules::SEVENZIP_NAME,
                place(),
                format_args!("a file's name {why}"),
            );
        }
        if !names.insert(file.name.as_bytes()) {
            let message = "two files have the same name, or differ in upper and lower case only";
            findings.add(&rules::SEVENZIP_NAME, place(), message);
        }
        if let Some(what) = special(file) {
            findings.add(&rules::SEVENZIP_LINK, place(), format_args!("a file is {what}"));
        } else if !is_said(file) {
            let message = "a directory to some programs and an empty file to others, by its attributes";
            findings.add(&rules::SEVENZIP_DIRECTORY, place(), message);
        }
        if !file.has_content && !file.is_directory {
            let outcome = FileInspector::within(&file.name, budget).finish();
            findings.append(outcome.findings.within(&name, |_| 0));
        }
    }
}

/// What a file is, besides a file or a directory. Some writers have a Unix mode in the upper half of the attributes without saying that it is
/// one, and some readers take it for one.
fn special(file: &File) -> Option<&'static str> {
    if file.attributes & REPARSE_POINT != 0 {
        Some("a link of Windows")
    } else if file.attributes & DEVICE != 0 {
        Some("a device")
    } else {
        paths::special(mode(file))
    }
}

/// Whether the attributes say as well whether it is a directory: 7-Zip tells one by its having no content, py7zr by the attributes.
fn is_said(file: &File) -> bool {
    let says_directory = file.attributes & DIRECTORY != 0;
    let contrary = if file.is_directory {
        REGULAR
    } else {
        DIRECTORY_KIND
    };
    says_directory == file.is_directory && mode(file) & KINDS != contrary
}

fn mode(file: &File) -> u16 {
    let [_, _, low, high] = file.attributes.to_le_bytes();
    u16::from_le_bytes([low, high])
}
