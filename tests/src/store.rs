//! The model store, looked at from outside as any OCI tool would: is it whole, and is there nothing else in it?

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test whose store is not whole has failed"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use holdfast_contract::Digest;
use serde_json::Value;
use sha2::Digest as _;

/// Where a suite keeps its store.
pub fn of(state: &Path) -> PathBuf {
    state.join("lib/vault/registry")
}

fn read(store: &Path, digest: &str) -> Vec<u8> {
    let hex = digest.strip_prefix("sha256:").unwrap();
    let path = store.join("blobs/sha256").join(hex);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Checks that every blob is what its name says, that everything the index leads to is there with its length, and that nothing
/// else is. Returns the names of the models.
///
/// # Panics
///
/// When something of that is not so.
#[track_caller]
pub fn check(store: &Path) -> BTreeSet<String> {
    let blobs: BTreeSet<String> = std::fs::read_dir(store.join("blobs/sha256"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for blob in &blobs {
        let mut hash = sha2::Sha256::new();
        let mut file = std::fs::File::open(store.join("blobs/sha256").join(blob)).unwrap();
        std::io::copy(&mut file, &mut hash).unwrap();
        let digest = Digest::from_bytes(hash.finalize().into());
        assert_eq!(&digest.hex(), blob, "a blob is not what its name says");
    }
    let index: Value = serde_json::from_slice(&std::fs::read(store.join("index.json")).unwrap()).unwrap();
    let mut names = BTreeSet::new();
    let mut reached = BTreeSet::new();
    let mut reach = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap().to_owned();
        let blob = store
            .join("blobs/sha256")
            .join(digest.trim_start_matches("sha256:"));
        let length = std::fs::metadata(&blob)
            .unwrap_or_else(|error| panic!("{}: {error}", blob.display()))
            .len();
        assert_eq!(descriptor["size"].as_u64(), Some(length), "{digest}");
        reached.insert(digest.trim_start_matches("sha256:").to_owned());
        digest
    };
    for entry in index["manifests"].as_array().unwrap() {
        let manifest: Value = serde_json::from_slice(&read(store, &reach(entry))).unwrap();
        reach(&manifest["config"]);
        for layer in manifest["layers"].as_array().unwrap() {
            reach(layer);
        }
        if manifest["subject"].is_object() {
            reach(&manifest["subject"]);
        }
        let name = &entry["annotations"]["org.opencontainers.image.ref.name"];
        names.extend(name.as_str().map(str::to_owned));
    }
    // The empty descriptor's blob may be there before a manifest leads to it.
    let empty = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a".to_owned();
    reached.insert(empty);
    let litter: Vec<_> = blobs.difference(&reached).collect();
    assert!(litter.is_empty(), "nothing leads to {litter:?}");
    let known = BTreeSet::from(["blobs", "index.json", "oci-layout", "seals"].map(str::to_owned));
    let root: BTreeSet<String> = std::fs::read_dir(store)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(root.is_subset(&known), "litter in the store: {root:?}");
    names
}

/// The files below a directory, the hidden ones too, relative to it.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(&at).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
                open.push(path);
            } else {
                found.push(path.strip_prefix(directory).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}
