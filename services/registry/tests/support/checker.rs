//! Says whether a directory is a sound model store, from the specifications alone: it shares no code with the registry.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The models of a sound store: name to digest of the file.
///
/// # Panics
///
/// When the store is not sound: something that is referred to is missing or has other content, a model has no statement, or there
/// is a blob that nothing refers to.
pub fn check(state: &Path) -> BTreeMap<String, String> {
    let layout: Value = json(&std::fs::read(state.join("oci-layout")).unwrap());
    assert_eq!(layout["imageLayoutVersion"], "1.0.0");
    let index = json(&std::fs::read(state.join("index.json")).unwrap());
    assert_eq!(index["schemaVersion"], 2);
    let mut needed = BTreeSet::from([format!("{:x}", Sha256::digest(b"{}"))]);
    let mut models = BTreeMap::new();
    let mut manifests = BTreeSet::new();
    let mut subjects = BTreeSet::new();
    for entry in index["manifests"].as_array().unwrap() {
        let manifest = json(&follow(state, entry, &mut needed));
        assert_eq!(manifest["artifactType"], entry["artifactType"]);
        follow(state, &manifest["config"], &mut needed);
        let layers = manifest["layers"].as_array().unwrap();
        assert_eq!(layers.len(), 1);
        let layer = follow(state, &layers[0], &mut needed);
        if manifest["subject"].is_null() {
            let name = entry["annotations"]["org.opencontainers.image.ref.name"]
                .as_str()
                .unwrap();
            let digest = layers[0]["digest"].as_str().unwrap();
            assert_eq!(
                models.insert(name.to_owned(), digest.to_owned()),
                None,
                "{name} is there twice"
            );
            manifests.insert(entry["digest"].as_str().unwrap().to_owned());
        } else {
            let envelope = json(&layer);
            assert_eq!(envelope["payloadType"], "application/vnd.in-toto+json");
            subjects.insert(manifest["subject"]["digest"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(
        subjects, manifests,
        "each model has one statement, each statement a model"
    );
    let there: BTreeSet<String> = names(&state.join("blobs/sha256"));
    assert_eq!(
        there, needed,
        "there is a blob that nothing refers to, or one that is missing"
    );
    let sealed: BTreeSet<String> = names(&state.join("seals"));
    let digests: BTreeSet<String> = models
        .values()
        .map(|digest| digest.replacen("sha256:", "", 1))
        .collect();
    assert!(sealed.is_subset(&digests), "there is a seal of no model");
    let root = names(state);
    let expected = ["blobs", "index.json", "oci-layout", "seals"].map(str::to_owned);
    assert_eq!(
        root,
        BTreeSet::from(expected),
        "there is something else in the store"
    );
    models
}

fn follow(state: &Path, descriptor: &Value, needed: &mut BTreeSet<String>) -> Vec<u8> {
    let hex = descriptor["digest"]
        .as_str()
        .unwrap()
        .strip_prefix("sha256:")
        .unwrap();
    let bytes = std::fs::read(state.join("blobs/sha256").join(hex)).unwrap();
    assert_eq!(descriptor["size"], bytes.len());
    assert_eq!(format!("{:x}", Sha256::digest(&bytes)), hex);
    needed.insert(hex.to_owned());
    bytes
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}
