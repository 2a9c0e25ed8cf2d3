//! The store is an OCI image layout: skopeo reads it and copies out of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::path::Path;
use std::process::Command;

use holdfast_contract::registry::ModelDetail;
use holdfast_tests::tools::program;
use serde_json::Value;
use support::daemon::Place;
use support::{admit, checker};

fn run(skopeo: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(skopeo)
        .arg("--insecure-policy")
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "skopeo {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

#[tokio::test]
async fn skopeo_reads_and_copies_a_model() {
    let Some(skopeo) = program("skopeo") else { return };
    let place = Place::new();
    let _daemon = place.start();
    let (model, _) = admit(&place.run(), "TinyLlama-1.1B.Q4_K_M.gguf", b"weights")
        .await
        .unwrap();
    admit(&place.run(), "Other (2)_.gguf", b"others").await.unwrap();
    let detail: ModelDetail = place
        .read()
        .get(&format!("/v1/models/{}", model.digest))
        .await
        .unwrap();

    let source = format!("oci:{}:{}", place.state().display(), model.name);
    let raw = run(&skopeo, &["inspect", "--raw", &source]);
    assert_eq!(support::digest_of(&raw), detail.manifest);
    let manifest: Value = serde_json::from_slice(&raw).unwrap();
    assert_eq!(
        manifest["artifactType"],
        "application/vnd.cncf.model.manifest.v1+json"
    );
    assert_eq!(manifest["layers"][0]["digest"], model.digest.to_string());

    for name in [model.name.as_str(), "Other-2"] {
        let source = format!("oci:{}:{name}", place.state().display());
        let copy = place.path().join(format!("copy-of-{name}"));
        run(
            &skopeo,
            &["copy", &source, &format!("oci:{}:{name}", copy.display())],
        );
        let again = run(
            &skopeo,
            &["inspect", "--raw", &format!("oci:{}:{name}", copy.display())],
        );
        assert_eq!(
            again,
            run(&skopeo, &["inspect", "--raw", &source]),
            "copied bit for bit"
        );
    }
    let copied = place
        .path()
        .join(format!("copy-of-{}", model.name))
        .join("blobs/sha256")
        .join(model.digest.hex());
    assert_eq!(std::fs::read(copied).unwrap(), b"weights");
    checker::check(&place.state());
}

#[tokio::test]
async fn skopeo_reads_the_statement_that_refers_to_a_model() {
    let Some(skopeo) = program("skopeo") else { return };
    let place = Place::new();
    let _daemon = place.start();
    let (model, _) = admit(&place.run(), "a.gguf", b"weights").await.unwrap();
    let detail: ModelDetail = place
        .read()
        .get(&format!("/v1/models/{}", model.digest))
        .await
        .unwrap();
    // Referrers have no name in a layout. A copy of the index that names it stands in for the registries' referrers API.
    let copy = place.path().join("named");
    let status = Command::new("cp")
        .arg("-r")
        .arg(place.state())
        .arg(&copy)
        .status()
        .unwrap();
    assert!(status.success());
    let mut index: Value = serde_json::from_slice(&std::fs::read(copy.join("index.json")).unwrap()).unwrap();
    for entry in index["manifests"].as_array_mut().unwrap() {
        if entry["artifactType"] == "application/vnd.in-toto.scan+dsse" {
            entry["annotations"] = serde_json::json!({ "org.opencontainers.image.ref.name": "statement" });
        }
    }
    std::fs::write(copy.join("index.json"), index.to_string()).unwrap();
    let raw = run(
        &skopeo,
        &["inspect", "--raw", &format!("oci:{}:statement", copy.display())],
    );
    let manifest: Value = serde_json::from_slice(&raw).unwrap();
    assert_eq!(manifest["subject"]["digest"], detail.manifest.to_string());
    assert_eq!(manifest["layers"][0]["digest"], detail.statement.to_string());
    run(
        &skopeo,
        &[
            "copy",
            &format!("oci:{}:statement", copy.display()),
            &format!("oci:{}:s", place.path().join("out").display()),
        ],
    );
}
