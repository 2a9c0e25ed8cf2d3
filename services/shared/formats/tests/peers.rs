//! The public samples of other scanners, where they lie beside the checkout: what their origin calls bad is refused and what it
//! calls clean is accepted, except for the disagreements that are argued here.

use std::path::PathBuf;

use holdfast_formats::{FileInspector, Format};

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
    (
        "modelscan/clean/keras0_saved_model_safe",
        "its variables are in other files, which are not part of what was inspected; nothing else is found",
    ),
    (
        "modelscan/clean/tensorflow0_saved_model_safe",
        "its variables are in other files, which are not part of what was inspected; nothing else is found",
    ),
];

/// Whether the format is judged by an inspector.
fn is_covered(format: Format) -> bool {
    // Judged by name alone so far.
    !matches!(format, Format::SevenZip | Format::Skops)
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
        // A SavedModel is a directory, of which one file says what the model does.
        let path = path.join(file);
        let Ok(bytes) = std::fs::read(&path).or_else(|_| std::fs::read(path.join("saved_model.pb"))) else {
            continue;
        };
        let mut inspector = FileInspector::new(file);
        inspector.feed(&bytes);
        let outcome = inspector.finish();
        if !is_covered(outcome.format) || expected == "ambiguous" {
            continue;
        }
        judged += 1;
        let refused = outcome.findings.refuse();
        let argued = ARGUED.iter().find(|(name, _)| *name == file);
        if refused != (expected == "refuse") {
            match argued {
                Some((_, why)) => println!("{file}: {why}"),
                None => wrong.push((file.to_owned(), outcome.findings.into_parts().0)),
            }
        } else if argued.is_some() {
            wrong.push((format!("{file}: no longer judged otherwise"), Vec::new()));
        }
    }
    println!("{judged} samples");
    assert!(judged > 200, "{judged} samples");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
