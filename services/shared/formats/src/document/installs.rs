//! Lists of software for an installer, such as `requirements.txt`.

use crate::finding::{Findings, Place};
use crate::rules;
use crate::text;

/// Options that name another place to fetch from. pip takes their beginnings for them.
const PLACES: [&str; 6] = [
    "--index-url",
    "--extra-index-url",
    "--find-links",
    "--trusted-host",
    "--editable",
    "--pypi-url",
];
/// Their short forms, behind which the place may follow at once.
const SHORT: [&str; 3] = ["-i", "-f", "-e"];
/// Options that name another list.
const LISTS: [&str; 4] = ["--requirement", "--constraint", "-r", "-c"];
/// What stands in an address, a path or what is put in from the environment.
const MARKS: [&str; 5] = ["://", "git+", "file:", "@ ", "${"];
/// How the names of what pip installs end.
const ARCHIVES: [&str; 10] = [
    ".whl",
    ".zip",
    ".tar",
    ".tar.gz",
    ".tgz",
    ".tar.bz2",
    ".tbz",
    ".tar.xz",
    ".txz",
    ".tar.lzma",
];
/// Where Python ends a line.
const BREAKS: [char; 10] = [
    '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}',
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
    let mut judge = |at: u64, line: &str| {
        let entry = without_comment(line);
        if is_elsewhere(entry) {
            fetches(entry, Place::at(at), findings);
        }
    };
    let mut at = 0;
    // A line that ends in a backslash goes on in the next one.
    let mut joined: Option<(u64, String)> = None;
    for line in source.split_inclusive(BREAKS) {
        let plain = line.trim_end_matches(BREAKS);
        let is_comment = plain.trim_start().starts_with('#');
        if plain.ends_with('\\') && !is_comment {
            let (_, text) = joined.get_or_insert((at, String::new()));
            text.push_str(plain.trim_matches('\\'));
        } else if let Some((begins, mut text)) = joined.take() {
            text.push_str(if is_comment { " " } else { "" });
            text.push_str(plain);
            judge(begins, &text);
        } else {
            judge(at, plain);
        }
        at += line.len() as u64;
    }
    if let Some((begins, text)) = joined {
        judge(begins, &text);
    }
}

/// An entry of a list has software fetched from a place of its own.
pub fn fetches(entry: &str, place: Place, findings: &mut Findings) {
    let message = format_args!("the list has software fetched from \"{}\"", text::shown(entry));
    findings.add(&rules::DOC_FETCHES, place, message);
}

fn without_comment(line: &str) -> &str {
    let begins = line.match_indices('#').map(|(at, _)| at).find(|at| {
        let before = line.get(..*at).unwrap_or_default();
        before.is_empty() || before.ends_with(char::is_whitespace)
    });
    line.get(..begins.unwrap_or(line.len())).unwrap_or(line).trim()
}

/// Whether an entry names something that does not come from the usual index.
pub fn is_elsewhere(entry: &str) -> bool {
    let lower = entry.to_ascii_lowercase();
    if MARKS.iter().any(|mark| lower.contains(mark)) {
        return true;
    }
    let is_end = |character: char| character.is_whitespace() || character == '=';
    let (option, value) = lower.split_once(is_end).unwrap_or((&lower, ""));
    if let Some(list) = LISTS
        .iter()
        .find_map(|list| short_value(&lower, option, value, list))
    {
        return leads_away(list.trim().trim_matches(['"', '\'']));
    }
    if option.starts_with('-') {
        let is_place = option.len() > 2 && PLACES.iter().any(|known| known.starts_with(option));
        return is_place || SHORT.iter().any(|short| is_short(option, short));
    }
    // A name with conditions has no directories, and is not that of an archive.
    let name = lower.split([';', ' ', '\t']).next().unwrap_or_default();
    name.contains(['/', '\\'])
        || name.starts_with(['.', '~'])
        || ARCHIVES.iter().any(|ending| name.ends_with(ending))
}

fn is_short(option: &str, short: &str) -> bool {
    !option.starts_with("--") && option.starts_with(short)
}

/// What an option says, if it is `known`.
fn short_value<'a>(entry: &'a str, option: &str, value: &'a str, known: &str) -> Option<&'a str> {
    if known.starts_with("--") {
        (option.len() > 2 && known.starts_with(option)).then_some(value)
    } else {
        is_short(option, known).then(|| entry.get(2..).unwrap_or_default().trim_start_matches('='))
    }
}

/// Whether a path leads out of the directory that the list lies in.
fn leads_away(path: &str) -> bool {
    path.starts_with(['/', '\\', '~'])
        || path.get(1..2) == Some(":")
        || path.split(['/', '\\']).any(|part| part == "..")
}

/// Hosts that are the usual index of conda.
const CHANNELS: [&str; 3] = [
    "https://conda.anaconda.org/",
    "https://repo.anaconda.com/",
    "https://repo.continuum.io/",
];

/// Whether an entry of an environment's settings, in the member that `names` lead to, has software fetched from a place of its own.
pub fn of_environment(names: &[&str], entry: &str) -> bool {
    match names {
        ["channels"] => entry.contains("://") && !CHANNELS.iter().any(|channel| entry.starts_with(channel)),
        ["dependencies"] => {
            // conda writes the channel before the name.
            let name = entry
                .split_once("::")
                .filter(|(channel, _)| !channel.contains(':'));
            is_elsewhere(name.map_or(entry, |(_, name)| name))
        }
        ["dependencies", "pip"] | ["build_dependencies"] => is_elsewhere(entry),
        _ => false,
    }
}
