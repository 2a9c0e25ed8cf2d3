//! Scripts for an interpreter of this machine: the line that names it, and text after it, where before it there is none.

use super::view::View;
use super::{Class, Seen, Signature};

/// The scripts.
pub const ALL: &[Signature] = &[Signature {
    atoms: || vec![*b"#!/b", *b"#!/u", *b"#!/s", *b"#!/o", *b"#! /"],
    check: script,
}];

/// Where interpreters are.
const PLACES: &[&[u8]] = &[
    b"/bin/",
    b"/usr/bin/",
    b"/usr/local/bin/",
    b"/sbin/",
    b"/usr/sbin/",
    b"/opt/",
];
/// What they are called, up to a version.
const NAMES: &[&[u8]] = &[
    b"sh",
    b"bash",
    b"dash",
    b"ash",
    b"zsh",
    b"ksh",
    b"csh",
    b"tcsh",
    b"fish",
    b"env",
    b"python",
    b"perl",
    b"ruby",
    b"node",
    b"nodejs",
    b"php",
    b"lua",
    b"awk",
    b"gawk",
    b"sed",
    b"tclsh",
    b"expect",
    b"make",
    b"busybox",
    b"pwsh",
    b"osascript",
    b"openrc-run",
    b"pypy",
];
/// The longest first line: what Linux reads of it.
const MAX_LINE_BYTES: usize = 256;
/// So much text follows the first line of anything that does something.
const TEXT_BYTES: usize = 8;
/// So much of what is before tells whether this is a text that quotes a script.
const CONTEXT_BYTES: usize = 64;

fn script(view: View<'_>) -> Option<Seen> {
    let (before, _) = view.before.as_rchunks::<CONTEXT_BYTES>();
    let context = view
        .before
        .get(view.before.len().saturating_sub(CONTEXT_BYTES)..)
        .unwrap_or(before);
    // At the start of the bytes it is a script as a whole, which the format says.
    if context.is_empty() || is_text(context) {
        return None;
    }
    let path = view.bytes.get(2..)?;
    let path = path.trim_ascii_start();
    let after = PLACES.iter().find_map(|place| path.strip_prefix(*place))?;
    let line = after
        .iter()
        .take(MAX_LINE_BYTES)
        .position(|byte| *byte == b'\n')?;
    let (line, rest) = after.split_at(line);
    let name = line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r')).next()?;
    let name = name.rsplit(|byte| *byte == b'/').next()?;
    let name = name.trim_ascii_end();
    let stem = name
        .iter()
        .rposition(|byte| !matches!(byte, b'0'..=b'9' | b'.'))
        .map_or(&[][..], |end| name.get(..=end).unwrap_or_default());
    let right = NAMES.contains(&stem)
        && line
            .iter()
            .all(|byte| matches!(byte, 0x20..=0x7e | b'\t' | b'\r'))
        && is_text(rest.get(..rest.len().min(TEXT_BYTES))?)
        && rest.len() >= TEXT_BYTES;
    right.then_some(Seen {
        class: Class::Script,
        what: "a script",
        before: 0,
    })
}

/// Whether the bytes can be the middle of a text: UTF-8 but for a character that is cut off at an end, and no controls.
fn is_text(bytes: &[u8]) -> bool {
    let start = bytes
        .iter()
        .take(3)
        .take_while(|byte| **byte & 0xc0 == 0x80)
        .count();
    let bytes = bytes.get(start..).unwrap_or_default();
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(bytes.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or("\0")
        }
        Err(_) => return false,
    };
    text.chars()
        .all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
}
