//! A text that a model file carries for people: nothing in it may deceive, be a key to something, or be a program.

use super::Secrets;
use super::characters::{self, Unseen};
use crate::finding::{Findings, Place};
use crate::format::Format;
use crate::inspector::Inspector as _;
use crate::rules;
use crate::scan::{Own, Scan, Scanner};

/// Looks at the text of the part `part` that stands `at` bytes into the file.
pub fn look(text: &str, at: u64, part: &str, findings: &mut Findings) {
    let place = || Place::at(at).of(part);
    if let Some((character, unseen)) = characters::first(text) {
        let rule = match unseen {
            Unseen::Deceives => &rules::DOC_HIDDEN,
            Unseen::Odd => &rules::DOC_INVISIBLE,
        };
        let message = format_args!("the text holds the character U+{:04X}", u32::from(character));
        findings.add(rule, place(), message);
    }
    let mut secrets = Box::new(Secrets::default());
    secrets.feed(0, text.as_bytes());
    // Escapes make places within the text meaningless.
    findings.append(secrets.finish(text.len() as u64).findings.within(part, |_| at));
    // Every program and every archive has bytes that no text has; escaped, they are not among those of the file.
    let is_binary = |byte: u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r');
    if text.bytes().any(is_binary) {
        let mut scan = Scan::new(&Scanner::plain());
        scan.feed(text.as_bytes());
        findings.append(scan.finish(Format::Text, &Own::Nothing).within(part, |_| at));
    }
}
