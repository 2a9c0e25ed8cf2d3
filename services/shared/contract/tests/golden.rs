//! The wire, pinned: what each type of the contract looks like in JSON is kept in `tests/golden/*.json`.
//!
//! A difference is a change of what services, scripts and written ledgers say to each other: it needs a look in review and a line in
//! the changelog. `UPDATE_GOLDEN=1 cargo test -p holdfast-contract --test golden` writes the files anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod samples;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use samples::{MODULES, Sample};

fn manifest() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn golden(module: &str) -> PathBuf {
    manifest()
        .join("tests/golden")
        .join(module)
        .with_extension("json")
}

/// The samples as one JSON object: a type's name, and every value of it that is shown.
fn page(samples: &[Sample]) -> String {
    let types: Vec<String> = samples
        .iter()
        .map(|sample| {
            let values: Vec<String> = sample.values.iter().map(|value| format!("    {value}")).collect();
            format!("  \"{}\": [\n{}\n  ]", sample.name, values.join(",\n"))
        })
        .collect();
    format!("{{\n{}\n}}\n", types.join(",\n"))
}

#[test]
fn the_wire_is_what_it_was() {
    for (module, samples) in MODULES {
        let (path, page) = (golden(module), page(&samples()));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &page).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        for (line, (kept, made)) in kept.lines().zip(page.lines()).enumerate() {
            assert_eq!(
                kept,
                made,
                "{}:{}: the wire has changed",
                path.display(),
                line + 1
            );
        }
        assert_eq!(kept, page, "{}: the wire has changed", path.display());
    }
}

#[test]
fn what_is_written_can_be_read() {
    for (module, samples) in MODULES {
        for sample in samples() {
            for value in &sample.values {
                let again = (sample.reread)(value);
                assert_eq!(again.as_ref(), Ok(value), "{module}::{}", sample.name);
            }
        }
    }
}

/// A field that a reader does not know is something that it would not do.
#[test]
fn unknown_fields_are_refused() {
    for (module, samples) in MODULES {
        for sample in samples().iter().filter(|sample| sample.strict) {
            for value in &sample.values {
                let mut object: serde_json::Map<String, serde_json::Value> =
                    serde_json::from_str(value).unwrap();
                object.insert("sudo".to_owned(), true.into());
                let text = serde_json::to_string(&object).unwrap();
                let problem = (sample.reread)(&text).expect_err(sample.name);
                assert!(
                    problem.contains("unknown field `sudo`"),
                    "{module}::{}: {problem}",
                    sample.name
                );
            }
        }
    }
}

/// A type that is added to the contract is added here.
#[test]
fn every_type_of_the_contract_is_pinned() {
    for entry in fs::read_dir(manifest().join("src")).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let mut derives = false;
        let mut declared = BTreeSet::new();
        for line in text.lines() {
            if line.starts_with("#[derive(") {
                derives = line.contains("Serialize");
            }
            let name = line
                .strip_prefix("pub struct ")
                .or_else(|| line.strip_prefix("pub enum "));
            if let Some(name) = name.filter(|_| derives) {
                let end = name.find(|c: char| !c.is_alphanumeric()).unwrap_or(name.len());
                declared.insert(name[..end].to_owned());
            }
        }
        let pinned: BTreeSet<String> = MODULES
            .iter()
            .filter(|(name, _)| *name == module)
            .flat_map(|(_, samples)| samples())
            .map(|sample| sample.name.to_owned())
            .collect();
        assert_eq!(declared, pinned, "src/{module}.rs");
    }
}
