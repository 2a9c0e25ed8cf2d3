//! Directories whose files are one model together, as a person and a code-scanning site see them; and links in them.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use holdfast_formats::testing::SafetensorsBuilder;
use holdfast_tests::run::{Exit, run};
use serde_json::Value;

use crate::files::{self, digest, ids, write};

const SHARD: &str = "model-00001-of-00002.safetensors";
const OTHER: &str = "model-00002-of-00002.safetensors";
const INDEX: &str = "model.safetensors.index.json";

fn inspect(directory: &Path, arguments: &[&str]) -> Exit {
    let mut command = holdfast_tests::suite::command(&directory.join("no-suite"));
    command.arg("inspect").args(arguments).current_dir(directory);
    run(&mut command, Duration::from_mins(1))
}

fn shard(name: &str) -> Vec<u8> {
    SafetensorsBuilder::new()
        .tensor(name, "F32", &[2], 8)
        .build()
        .bytes
}

/// A model in two files, of which the index says that `a` is in the first and `other` in the second.
fn model(directory: &Path, other: &str) {
    write(directory, SHARD, &shard("a"));
    write(directory, OTHER, &shard("b"));
    let index = format!(
        r#"{{"metadata": {{"total_size": 16}}, "weight_map": {{"a": "{SHARD}", "{other}": "{OTHER}"}}}}"#
    );
    write(directory, INDEX, index.as_bytes());
}

fn set(exit: &Exit) -> Value {
    let lines = exit.lines();
    let mut sets = lines.into_iter().filter(|line| line["set"].is_string());
    let set = sets.next().unwrap_or_else(|| panic!("a set: {exit:?}"));
    assert!(sets.next().is_none(), "one set: {exit:?}");
    set
}

#[test]
fn a_set_has_a_report_and_decides_the_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    std::fs::create_dir(directory.join("m")).unwrap();
    model(&directory.join("m"), "b");
    let exit = inspect(directory, &["--json", "m"]);
    let good = set(exit.expect(0));
    assert_eq!(good["set"], format!("m/{INDEX}"));
    assert_eq!(
        (&good["verdict"], &good["format"]),
        (&"admit".into(), &"safetensors-shards".into())
    );
    // The digest is that of the list of files as `sha256sum` prints it.
    let lines = [SHARD, OTHER, INDEX].map(|name| {
        let sum = digest(&std::fs::read(directory.join("m").join(name)).unwrap());
        format!("{}  {name}\n", sum.trim_start_matches("sha256:"))
    });
    let list = lines.concat();
    assert_eq!(good["sha256"], digest(list.as_bytes()));
    assert_eq!(good["files"].as_array().unwrap().len(), 3);

    // Each file is as good as before, the index no more says what is there.
    model(&directory.join("m"), "c");
    let exit = inspect(directory, &["--json", "m"]);
    let bad = set(exit.expect(1));
    assert!(
        ids(&bad).contains(&"HF-SET-005") && ids(&bad).contains(&"HF-SET-007"),
        "{bad}"
    );
    let files = exit.lines().into_iter().filter(|line| line["path"].is_string());
    assert!(files.into_iter().all(|file| file["verdict"] == "admit"));
    let table = inspect(directory, &["m"]);
    assert!(
        table
            .expect(1)
            .stdout
            .contains("REFUSE: set m/model.safetensors.index.json"),
        "{table:?}"
    );
    // Files that are named by themselves are no set.
    let each = [SHARD, OTHER, INDEX].map(|name| format!("m/{name}"));
    let each = each.each_ref().map(String::as_str);
    let exit = inspect(directory, &[&["--json"][..], &each].concat());
    assert_eq!(exit.expect(0).lines().len(), 3);

    let sarif = inspect(directory, &["--sarif", "m"]);
    let run = &sarif.expect(1).json()["runs"][0];
    assert_eq!(run["artifacts"].as_array().unwrap().len(), 4);
    let results = run["results"].as_array().unwrap();
    let of_set = results
        .iter()
        .find(|result| result["ruleId"] == "HF-SET-005")
        .unwrap();
    let place = &of_set["locations"][0]["physicalLocation"]["artifactLocation"];
    assert_eq!(place["uri"], format!("m/{INDEX}"));

    let policy = write(
        directory,
        "policy.toml",
        b"formats = [\"safetensors\", \"json\"]\nrefuse = [\"HF-SET-009\"]\n",
    );
    let policy = policy.to_str().unwrap();
    model(&directory.join("m"), "b");
    inspect(directory, &["--policy", policy, "m"]).expect(0);
    std::fs::remove_file(directory.join("m").join(INDEX)).unwrap();
    inspect(directory, &["m"]).expect(0);
    let exit = inspect(directory, &["--json", "--policy", policy, "m"]);
    assert!(ids(&set(exit.expect(1))).contains(&"HF-POL-003"));
}

#[test]
fn a_link_is_followed_within_the_directory_and_into_its_cache_only() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let repository = directory.join("models--a--b");
    let snapshot = repository.join("snapshots/0123");
    for path in [&repository.join("blobs"), &snapshot, &directory.join("m")] {
        std::fs::create_dir_all(path).unwrap();
    }
    let shard = shard("a");
    let blob = digest(&shard).trim_start_matches("sha256:").to_owned();
    write(&repository.join("blobs"), &blob, &shard);
    symlink(format!("../../blobs/{blob}"), snapshot.join("model.safetensors")).unwrap();
    let config = br#"{"model_type": "llama"}"#;
    write(&repository.join("blobs"), &"0".repeat(40), config);
    symlink(
        format!("../../blobs/{}", "0".repeat(40)),
        snapshot.join("config.json"),
    )
    .unwrap();
    for named in ["models--a--b/snapshots/0123", "models--a--b"] {
        let exit = inspect(directory, &["--json", named]);
        let found = set(exit.expect(0));
        assert_eq!(found["format"], "snapshot", "{exit:?}");
        assert_eq!(exit.lines().len(), 3, "{exit:?}");
    }
    // A blob that is not what it is called.
    write(&repository.join("blobs"), &blob, &files::small(1));
    let exit = inspect(directory, &["--json", "models--a--b"]);
    assert!(exit.expect(1).stdout.contains("HF-SET-019"), "{exit:?}");

    // Elsewhere.
    let secret = write(directory, "secret.gguf", &files::small(2));
    symlink(&secret, directory.join("m/model.gguf")).unwrap();
    symlink(&repository, directory.join("m/repository")).unwrap();
    let exit = inspect(directory, &["--json", "m"]);
    let reports = exit.expect(1).lines();
    assert_eq!(reports.len(), 2, "{exit:?}");
    for report in &reports {
        assert_eq!(ids(report), ["HF-SET-001"], "{report}");
        assert_eq!(
            (&report["sha256"], &report["size_bytes"]),
            (&Value::Null, &0.into())
        );
    }
    // What a person names is what they mean.
    inspect(directory, &["m/model.gguf"]).expect(0);
}

#[test]
fn numbers_beside_an_onnx_model_pass_with_it_and_not_alone() {
    use holdfast_formats::testing::{onnx, weights};
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let entries = [("location", "w.data"), ("offset", "0"), ("length", "2400")];
    let entries = entries.map(|(key, value)| onnx::entry(key, value));
    let tensor = onnx::shape(1, &[600])
        .text(8, "w")
        .messages(13, &entries)
        .int(14, 1);
    let model = onnx::model(&onnx::graph(&[onnx::node("", "Relu", &["x"], &["y"])], &[tensor])).build();
    let mut data = weights(2400);
    data[0] = 0xf1;
    std::fs::create_dir(directory.join("m")).unwrap();
    write(&directory.join("m"), "model.onnx", &model);
    write(&directory.join("m"), "w.data", &data);
    let exit = inspect(directory, &["--json", "m"]);
    let reports = exit.expect(0).lines();
    let found: Vec<_> = reports
        .iter()
        .map(|report| (report["format"].as_str().unwrap(), ids(report)))
        .collect();
    assert_eq!(found[0], ("onnx", vec!["HF-SET-013"]));
    assert_eq!(found[1], ("unknown", vec!["HF-SET-014"]));
    assert_eq!(found[2].0, "onnx-external-data");
    inspect(directory, &["m/model.onnx"]).expect(1);
    inspect(directory, &["m/w.data"]).expect(1);
    // One byte more that no tensor needs.
    data.push(1);
    write(&directory.join("m"), "w.data", &data);
    let exit = inspect(directory, &["--json", "m"]);
    let reports = exit.expect(1).lines();
    assert!(ids(&set(&exit)).contains(&"HF-SET-012"));
    assert!(
        reports.iter().all(|report| report["verdict"] == "refuse"),
        "{exit:?}"
    );
}
