//! Settings in YAML: what in them makes a loader import, call or fetch something.
//!
//! There is no YAML reader here. Ordinary settings need no tags, no directives and no names of functions, so their marks are
//! searched for in the text itself, as it is and with the escapes of quoted texts resolved; what cannot be told apart is refused.
//! The values are looked at one by one besides, for what they name or call.

use super::code::{self, Away};
use super::control::is_dotted;
use super::scalars::{self, BREAKS, Scalar};
use super::{control, installs};
use crate::finding::{Findings, Place};
use crate::rules;
use crate::text;

/// Words that only stand in settings that name code.
const WORDS: [&str; 14] = [
    "_target_",
    "auto_map",
    "custom_pipeline",
    "class_path",
    "loader_module",
    "py/object",
    "py/reduce",
    "__reduce",
    "__class__",
    "__import__",
    "!!python/",
    "!python/",
    "2002:python/",
    "trust_remote_code: true",
];
/// Tags of plain values.
const TAGS: [&str; 13] = [
    "!",
    "!!str",
    "!!int",
    "!!float",
    "!!bool",
    "!!null",
    "!!map",
    "!!seq",
    "!!set",
    "!!omap",
    "!!pairs",
    "!!binary",
    "!!timestamp",
];
/// Packages of the reference code of well-known models, whose settings name their classes.
const PACKAGES: [&str; 2] = ["ldm", "sgm"];

/// Where a part of a flow ends.
const ENDS: [char; 5] = ['{', '}', '[', ']', ','];

/// Looks at the settings in `source`, a whole document.
pub fn judge(source: &str, findings: &mut Findings) {
    let resolved = resolved(source);
    for word in WORDS {
        if source.contains(word) || resolved.contains(word) {
            let place = source
                .find(word)
                .map_or(Place::whole(), |at| Place::at(at as u64));
            let message = format_args!("the settings have a loader run code: {word}");
            findings.add(&rules::DOC_CODE, place, message);
        }
    }
    let mut at = 0;
    for line in source.split_inclusive(BREAKS) {
        if line.trim_start_matches('\u{feff}').starts_with("%TAG") {
            let message =
                "the settings give names of their own to tags, which decide what a loader makes of a value";
            findings.add(&rules::DOC_CODE, Place::at(at as u64), message);
        }
        if let Some((within, tag)) = tags(line).find(|(_, tag)| !TAGS.contains(tag)) {
            let message = format_args!("the settings have a loader make an object: {}", text::shown(tag));
            findings.add(&rules::DOC_CODE, Place::at((at + within) as u64), message);
        }
        at += line.len();
    }
    scalars::each(source, |scalar| value(scalar, findings));
    for (at, value) in targets(source) {
        let message = format_args!("the settings have a loader call \"{}\"", text::shown(value));
        findings.add(&rules::DOC_CODE, Place::at(at as u64), message);
    }
    if resolved != source {
        for (_, value) in targets(&resolved) {
            let message = format_args!("the settings have a loader call \"{}\"", text::shown(value));
            findings.add(&rules::DOC_CODE, Place::whole(), message);
        }
    }
}

/// What a value says by itself, and as that of the member it is.
fn value(scalar: &Scalar<'_>, findings: &mut Findings) {
    let (names, text) = (scalar.names.as_slice(), scalar.text);
    // Quotes that do not end where they should are none to some readers.
    let bare = text.trim_matches(['"', '\'']);
    let place = || Place::at(scalar.at as u64).of(&names.join("."));
    if code::is_control(names, text) || code::is_control(names, bare) || code::is_imported(names, bare) {
        let message = format_args!("the settings have a loader call \"{}\"", text::shown(text));
        findings.add(&rules::DOC_CODE, place(), message);
    }
    // Settings of trainings name many files; those that settings are made of are opened in any case.
    if names.last() == Some(&"_BASE_") {
        let message = format_args!("the document names \"{}\"", text::shown(text));
        match code::leads_away(names, text) {
            Some(Away::Network) => findings.add(&rules::DOC_PATH, place(), message),
            Some(Away::Directory) => findings.add(&rules::DOC_ELSEWHERE, place(), message),
            None => {}
        }
    }
    if installs::of_environment(names, text) {
        installs::fetches(text, place(), findings);
    }
}

/// The tags in a line, and where they begin: an exclamation mark where a value can begin.
fn tags(line: &str) -> impl Iterator<Item = (usize, &str)> {
    line.match_indices('!').filter_map(|(at, _)| {
        let (before, rest) = line.split_at_checked(at)?;
        let trimmed = before.trim_end();
        let previous = trimmed.rsplit(char::is_whitespace).next().unwrap_or_default();
        // A colon needs no space behind it after a quoted name or a list, nor at the start of a line.
        let key = trimmed.strip_suffix(':');
        let closed = key.is_some_and(|key| {
            key.is_empty() || key.ends_with(['"', '\'', ']', '}']) || key.ends_with(char::is_whitespace)
        });
        let begins = trimmed.trim_start_matches('\u{feff}').is_empty()
            || closed
            || trimmed.ends_with(['[', '{', ','])
            || (before.len() > trimmed.len()
                && (trimmed.ends_with([':', '-', '?']) || previous.starts_with(['&', '!'])));
        let end = rest.find(|character: char| character.is_whitespace() || ",[]{}".contains(character));
        begins.then(|| (at, rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()))
    })
}

/// `target: package.Class` is how the reference code of diffusion models says what to import and call. Returns where such a
/// member is, and what it names.
fn targets(source: &str) -> Vec<(usize, &str)> {
    let is_end = |character: char| BREAKS.contains(&character) || ENDS.contains(&character);
    let mut found = Vec::new();
    let mut pending = false;
    let mut at = 0;
    for segment in source.split_inclusive(is_end) {
        let plain = segment.trim_end_matches(is_end);
        let entry = plain
            .trim_start_matches([' ', '\t', '-', '?', '\u{feff}'])
            .trim_end();
        let (key, value) = match entry.split_once(':') {
            Some((key, value)) => (unquoted(key), unquoted(value)),
            None => ("", unquoted(entry)),
        };
        // The name may be one that was given elsewhere.
        let is_target = key == "target" || key.starts_with('*') || (pending && key.is_empty());
        if is_target && is_dotted(value) && !is_class(value) {
            found.push((at, value));
        }
        // The value may stand in a line of its own.
        pending = (key == "target" || value == "target" || pending) && value_is_missing(entry, value);
        at += segment.len();
    }
    found
}

fn value_is_missing(entry: &str, value: &str) -> bool {
    value.is_empty() || entry.starts_with('#') || matches!(value, "target" | "|" | ">" | "|-" | ">-")
}

/// Without the quotes, comments, anchors and tags around it.
fn unquoted(text: &str) -> &str {
    let text = text.split(" #").next().unwrap_or(text);
    let mut words = text
        .split_whitespace()
        .filter(|word| !word.starts_with(['&', '!']));
    match (words.next(), words.next()) {
        (Some(word), None) => word.trim_matches(['"', '\'']),
        (None, _) => "",
        _ => text,
    }
}

/// Whether a name is that of a class of the reference code. What stands beside those imports and calls what it is given.
fn is_class(name: &str) -> bool {
    let root = name.split('.').next().unwrap_or(name);
    let class = name.rsplit('.').next().unwrap_or(name);
    PACKAGES.contains(&root) && class.starts_with(char::is_uppercase) && !control::names(name)
}

/// The text with the escapes of double-quoted texts resolved and its lines joined where one ends in a backslash.
fn resolved(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let mut characters = after.chars();
        let digits = match characters.next() {
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            Some('\n') => {
                rest = characters.as_str().trim_start();
                continue;
            }
            Some(other) => {
                out.push(if other == '/' { '/' } else { ' ' });
                rest = characters.as_str();
                continue;
            }
            None => break,
        };
        let code = after
            .get(1..=digits)
            .and_then(|code| u32::from_str_radix(code, 16).ok());
        match code.and_then(char::from_u32) {
            Some(character) => {
                out.push(character);
                rest = after.get(1 + digits..).unwrap_or_default();
            }
            None => rest = after,
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str) -> Vec<Option<u64>> {
        let mut findings = Findings::default();
        judge(source, &mut findings);
        findings
            .into_parts()
            .0
            .into_iter()
            .map(|finding| finding.offset)
            .collect()
    }

    #[test]
    fn ordinary_settings_pass() {
        for source in [
            "model_type: llama\nhidden_size: 4096\nlayers: [1, 2, 3]\n",
            "name: \"It is great!\"\nnote: wow !important\nwhat: !!str 12\n",
            "target: 0.5\ntarget_modules: [q_proj, v_proj]\ntarget: accuracy\nmetric:\n  target: loss # a.b\n",
            "model:\n  target: ldm.models.diffusion.ddpm.LatentDiffusion\n",
            "path: C:\\models\\x\nlib: /usr/lib/python/x\nurl: https://example.org/python/a\n",
            "layers: [{kind: target}, {kind: mlp.gate}]\ncheck: \"a\" # wow: !\n",
        ] {
            assert_eq!(found(source), [], "{source}");
        }
    }

    #[test]
    fn each_way_to_name_code_is_found() {
        for (source, at) in [
            ("a: !!python/object/apply:os.system [x]\n", Some(3)),
            (
                "%TAG !p! tag:yaml.org,2002:pyt\n---\na: !p!hon/object/apply:os.system [x]\n",
                Some(0),
            ),
            ("a: !!py%74hon/object/apply:os.system [x]\n", Some(3)),
            ("a: !<tag:yaml.org,2002:pyt%68on/name:os.system> ''\n", Some(3)),
            ("- !apply:os.system [x]\n", Some(2)),
            ("a: [1,!new:os.system {}]\n", Some(6)),
            ("a: &x !new:os.system {}\n", Some(6)),
            ("!new:x\n", Some(0)),
            ("\"_target_\" : os.system\n", Some(1)),
            ("\"\\x5ftarget_\": os.system\n", None),
            ("? \"_tar\\\n  get_\"\n: os.system\n", None),
            ("a:\n  target: os.system\n", Some(3)),
            ("a: {target: os.system}\n", Some(4)),
            ("target:\n  os.system\n", Some(8)),
            ("target: >-\n  os.system\n", Some(11)),
            ("? target\n: os.system\n", Some(9)),
            ("\"target\": \"os.system\"\n", Some(0)),
            ("target: &a os.system\n", Some(0)),
            ("\"tar\\x67et\": os.system\n", None),
            ("target: \"os\\x2esystem\"\n", None),
            ("a: &k target\n*k : os.system\n", Some(13)),
            ("{\"a\":!!py%74hon/name:os.system ''}\n", Some(5)),
            ("{\"a\"\n:!!py%74hon/name:os.system ''}\n", Some(6)),
            ("a: 1\u{2028}!apply:os.system []\n", Some(7)),
            ("a: 1\r!apply:os.system []\r", Some(5)),
            ("a: 1\r%TAG !p! tag:x\n", Some(5)),
            ("\u{feff}%TAG !p! tag:x\n", Some(0)),
            ("a: 1\rtarget: os.system\r", Some(5)),
            ("x: {trust_remote_code: true}\n", Some(4)),
        ] {
            assert!(found(source).contains(&at), "{source}: {:?}", found(source));
        }
    }
}
