//! The model store as other tools read it.

use std::time::Duration;

use holdfast_tests::run::run;
use holdfast_tests::store;
use holdfast_tests::suite::Suite;
use holdfast_tests::tools;
use serde_json::Value;

#[test]
fn skopeo_reads_a_model_and_copies_it_out() {
    let Some(skopeo) = tools::program("skopeo") else {
        return;
    };
    let suite = &Suite::shared().suite;
    let guide = suite.model("guide");
    let layout = format!("oci:{}:guide", store::of(suite.state()).display());
    let mut inspect = std::process::Command::new(&skopeo);
    let exit = run(
        inspect.args(["inspect", "--raw", &layout]),
        Duration::from_secs(30),
    );
    let manifest: Value = serde_json::from_str(&exit.expect(0).stdout).unwrap();
    assert_eq!(manifest["schemaVersion"], 2);
    assert_eq!(manifest["layers"][0]["digest"], guide.digest.to_string());
    assert_eq!(manifest["layers"][0]["size"], guide.size_bytes);
    assert!(manifest["artifactType"].as_str().unwrap().contains("model"));

    let copy = tempfile::tempdir().unwrap();
    let mut copying = std::process::Command::new(&skopeo);
    copying
        .args(["copy", "--insecure-policy", &layout])
        .arg(format!("dir:{}", copy.path().display()));
    run(&mut copying, Duration::from_mins(1)).expect(0);
    let blob = copy.path().join(guide.digest.hex());
    assert_eq!(
        std::fs::read(blob).unwrap(),
        std::fs::read(crate::files::guide()).unwrap()
    );
}

#[test]
fn every_blob_is_what_its_name_says_and_nothing_else_is_there() {
    let suite = Suite::start();
    let names = store::check(&store::of(suite.state()));
    assert!(names.contains("guide"), "{names:?}");
}
