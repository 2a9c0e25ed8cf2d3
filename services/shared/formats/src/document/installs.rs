//! Lists of software for an installer, such as `requirements.txt`.

use crate::finding::{Findings, Place};
use crate::rules;
use crate::text;

/// Options that name another place to fetch from.
const OPTIONS: [&str; 7] = [
    "--index-url",
    "--extra-index-url",
    "--find-links",
    "--trusted-host",
    "-i ",
    "-f ",
    "-e ",
];

/// Whether a file of this name, in lower case and without its directory, is such a list.
pub fn is_list(name: &str) -> bool {
    let stem = name.strip_suffix(".txt");
    stem.is_some_and(|stem| {
        stem.starts_with("requirements") || stem.ends_with("requirements") || stem == "constraints"
    })
}

/// Looks at a list that is there as a whole.
pub fn judge(source: &str, findings: &mut Findings) {
    let message = "an installer fetches and runs what this list names";
    findings.add(&rules::DOC_INSTALLS, Place::whole(), message);
    let mut at = 0;
    for line in source.split_inclusive('\n') {
        let entry = line.split(" #").next().unwrap_or(line).trim();
        let lower = entry.to_ascii_lowercase();
        let elsewhere = OPTIONS.iter().any(|option| lower.starts_with(option))
            || ["://", "git+", "file:", "@ "]
                .iter()
                .any(|mark| lower.contains(mark));
        if elsewhere && !lower.starts_with('#') {
            let message = format_args!("the list has software fetched from \"{}\"", text::shown(entry));
            findings.add(&rules::DOC_FETCHES, Place::at(at), message);
        }
        at += line.len() as u64;
    }
}
