//! The public samples of other scanners, where they lie beside the checkout: what their origin calls bad is refused and what it
//! calls clean is accepted, except for the disagreements that are argued here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use holdfast_contract::report::{Finding, Verdict};
use holdfast_formats::finding::verdict;
use holdfast_formats::set::{self, Directory, Member};
use holdfast_formats::{FileInspector, Format, Outcome};

/// Samples that are judged otherwise than their origin does, and why.
const ARGUED: &[(&str, &str)] = &[
    (
        "fickling/clean/test_private_stdlib_allowlist__c1b6cd976d95.pkl",
        "imports a name from `__future__`, which is harmless and which no weights have: the list is of what they need",
    ),
    (
        "fickling/clean/test_safe_builtins_not_flagged__d77249cf2ff2.pkl",
        "calls `len`, which is harmless and which no weights have",
    ),
    (
        "fickling/clean/test_variable_used_only_inside_a_tuple__de180e1de99d.pkl",
        "sets the state of a list, at which every reader gives up",
    ),
    (
        "modelaudit/bad/suspicious_url.safetensors",
        "has addresses of web pages in its metadata, as ordinary models do; nothing fetches them",
    ),
    (
        "modelaudit/clean/safe_config.json",
        "is of no kind that comes with models: what is not known is not passed",
    ),
    (
        "modelaudit/clean/safe_model.pt",
        "has no directory around its members, so that PyTorch does not load it",
    ),
];

/// Whether the format is judged by an inspector.
fn is_covered(format: Format) -> bool {
    // Judged by name alone so far.
    format != Format::Skops
}

fn samples() -> Option<PathBuf> {
    let path = std::env::var_os("HOLDFAST_PEER_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/peer-data"),
        PathBuf::from,
    );
    path.join("manifest.json").is_file().then_some(path)
}

/// The value of a key in one flat entry of the manifest.
fn field<'a>(entry: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = entry.split_once(&format!("\"{key}\""))?;
    rest.split('"').nth(1)
}

/// What is found in a file, if it is of a format that is inspected.
fn one_file(name: &str, path: &Path) -> Option<Vec<Finding>> {
    let outcome = inspected(name, path)?;
    is_covered(outcome.format).then(|| outcome.findings.into_parts().0)
}

fn inspected(name: &str, path: &Path) -> Option<Outcome> {
    let mut inspector = FileInspector::new(name).tying();
    inspector.feed(&std::fs::read(path).ok()?);
    Some(inspector.finish())
}

/// What is left of what is found in a `SavedModel` and about it, once its files are compared with each other.
fn saved_model(root: &Path) -> Vec<Finding> {
    let mut names = Vec::new();
    for folder in ["", "assets", "variables"] {
        for entry in std::fs::read_dir(root.join(folder))
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_file() {
                names.push(format!("{folder}/{name}").trim_start_matches('/').to_owned());
            }
        }
    }
    let files: Vec<_> = names
        .iter()
        .filter_map(|name| inspected(name, &root.join(name)))
        .map(|outcome| {
            (
                outcome.format,
                outcome.size_bytes,
                outcome.ties,
                outcome.findings.into_parts().0,
            )
        })
        .collect();
    let members: Vec<Member<'_>> = names
        .iter()
        .zip(&files)
        .map(|(name, (format, size_bytes, ties, findings))| Member {
            name,
            format: *format,
            size_bytes: *size_bytes,
            findings,
            architecture: None,
            ties,
        })
        .collect();
    let folders = BTreeMap::new();
    let directory = Directory {
        files: &members,
        folders: &folders,
    };
    let zeros = &mut |place: usize, begin, end| {
        let bytes = std::fs::read(root.join(&names[place])).ok()?;
        let range = usize::try_from(begin).ok()?..usize::try_from(end).ok()?;
        Some(bytes.get(range)?.iter().all(|byte| *byte == 0))
    };
    let sets = set::judge(&directory, zeros);
    let eased: Vec<_> = sets
        .iter()
        .flat_map(|set| &set.eased)
        .map(|eased| (eased.member, eased.instead_of.id))
        .collect();
    let mut left = Vec::new();
    for (place, member) in members.iter().enumerate() {
        let findings = member.findings.iter().cloned();
        left.extend(findings.filter(|finding| !eased.contains(&(place, finding.id.as_str()))));
    }
    left.extend(sets.into_iter().flat_map(|set| set.findings.into_parts().0));
    left
}

#[test]
fn samples_of_other_scanners_are_judged_as_their_origin_does() {
    let Some(path) = samples() else {
        println!(
            "[skipped] samples_of_other_scanners_are_judged_as_their_origin_does: no manifest.json in HOLDFAST_PEER_DATA"
        );
        return;
    };
    let manifest = std::fs::read_to_string(path.join("manifest.json")).unwrap();
    let (mut judged, mut wrong) = (0, Vec::new());
    for entry in manifest.split('}') {
        let (Some(file), Some(expected)) = (field(entry, "file"), field(entry, "expected")) else {
            continue;
        };
        let path = path.join(file);
        let found = if path.is_dir() {
            Some(saved_model(&path))
        } else {
            one_file(file, &path)
        };
        let Some(findings) = found.filter(|_| expected != "ambiguous") else {
            continue;
        };
        judged += 1;
        let refused = verdict(&findings).0 == Verdict::Refuse;
        let argued = ARGUED.iter().find(|(name, _)| *name == file);
        if refused != (expected == "refuse") {
            match argued {
                Some((_, why)) => println!("{file}: {why}"),
                None => wrong.push((file.to_owned(), findings)),
            }
        } else if argued.is_some() {
            wrong.push((format!("{file}: no longer judged otherwise"), Vec::new()));
        }
    }
    println!("{judged} samples");
    assert!(judged > 200, "{judged} samples");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
