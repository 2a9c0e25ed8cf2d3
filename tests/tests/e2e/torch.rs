//! Checkpoints that PyTorch itself wrote: they are accepted, and converted to what PyTorch would load.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use holdfast_contract::ledger::Event;
use holdfast_tests::run::{Exit, run};
use holdfast_tests::suite::Suite;
use holdfast_tests::tools::{say, skip};

use crate::files;

/// A Python that has PyTorch.
fn python() -> Option<PathBuf> {
    let candidates = ["python3", "/usr/bin/python3"];
    let found = candidates.iter().find(|python| {
        let import = Command::new(python).args(["-c", "import torch, numpy"]).output();
        import.is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        skip("no Python here has PyTorch: run `scripts/setup-dependencies test`");
    }
    found.map(PathBuf::from)
}

fn script(python: &Path, task: &str, directory: &Path) -> Exit {
    let script = holdfast_tests::source().join("tests/tests/e2e/torch_files.py");
    run(
        Command::new(python).arg(script).arg(task).arg(directory),
        Duration::from_mins(3),
    )
}

fn inspect(directory: &Path, arguments: &[&Path]) -> Exit {
    let mut command = holdfast_tests::suite::command(&directory.join("no-suite"));
    command.args(["--json", "inspect"]).args(arguments);
    run(&mut command, Duration::from_mins(1))
}

#[test]
fn what_pytorch_saves_is_accepted_and_converted_to_what_it_loads() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    script(&python, "write", directory).expect(0);
    let mut converted = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let target = path.with_extension("safetensors");
        let exit = inspect(directory, &[Path::new("--disarm"), &target, &path]);
        if name.starts_with("good") {
            let report = exit.expect(0).json();
            assert_eq!(report["verdict"], "admit", "{name}: {report}");
            assert_eq!(report["disarmed"]["verdict"], "admit", "{name}: {report}");
            converted += 1;
        } else if name.starts_with("odd") {
            let report = exit.expect(1).json();
            assert_eq!(report["verdict"], "admit", "{name}: {report}");
            assert!(
                report["not_disarmed"].is_string() && !target.exists(),
                "{name}: {report}"
            );
        } else {
            let report = exit.expect(1).json();
            assert_eq!(report["verdict"], "refuse", "{name}: {report}");
            assert!(
                report["disarmed"].is_null() && !target.exists(),
                "{name}: {report}"
            );
        }
    }
    let answer = script(&python, "compare", directory);
    let answer = &answer.expect(0).stdout;
    assert_eq!(answer.lines().count(), converted, "{answer}");
    for line in answer.lines() {
        assert!(line.ends_with(" same"), "{line}");
    }
    say(&format!(
        "[measured] disarm: {converted} checkpoints of PyTorch hold the same tensors as safetensors files"
    ));
}

#[test]
fn what_pytorch_saves_comes_in_as_safetensors() {
    let Some(python) = python() else { return };
    let suite = &Suite::shared().suite;
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    script(&python, "write", directory).expect(0);
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let source = files::digest(&std::fs::read(&path).unwrap());
        let exit = import(suite, &path);
        let told = exit.lines().pop().unwrap();
        if name.starts_with("good") {
            assert_eq!(told["stage"], "admitted", "{name}: {told}");
            assert_eq!(told["model"]["format"], "safetensors", "{name}: {told}");
            assert_eq!(
                told["report"]["converted_from"]["sha256"], source,
                "{name}: {told}"
            );
        } else {
            assert_eq!(
                (exit.code, &told["stage"]),
                (Some(1), &"refused".into()),
                "{name}: {told}"
            );
        }
    }
}

fn import(suite: &Suite, path: &Path) -> Exit {
    suite.cli(&[Path::new("import"), Path::new("--disarm"), path])
}

#[test]
fn a_checkpoint_comes_in_as_safetensors_and_the_ledger_names_both() {
    let suite = &Suite::shared().suite;
    let directory = tempfile::tempdir().unwrap();
    let bytes = files::checkpoint(600, 81);
    let source = files::digest(&bytes);
    let path = files::write(directory.path(), "disarmed.pt", &bytes);
    let told = import(suite, &path).expect(0).json();
    let digest = told["model"]["digest"].clone();
    assert_eq!(told["model"]["name"], "disarmed");
    assert_ne!(digest, source.as_str());
    let shown = suite.cli(&["models", "show", digest.as_str().unwrap()]);
    let shown = shown.expect(0).json();
    assert_eq!(shown["report"]["converted_from"]["sha256"], source);
    assert_eq!(shown["report"]["converted_from"]["format"], "pytorch-zip");
    let inspected: Vec<_> = suite
        .ledger()
        .into_iter()
        .filter(|one| one.entry.event == Event::IntakeInspected)
        .collect();
    assert!(inspected.iter().any(|one| one.entry.subject == source));
    let made = inspected
        .iter()
        .find(|one| digest == one.entry.subject.as_str())
        .unwrap();
    assert_eq!(made.entry.detail["converted_from"], source);
    let text = suite.cli_text(&[Path::new("import"), Path::new("--disarm"), &path]);
    assert!(
        text.expect(0)
            .stdout
            .contains(&format!("converted from {source}")),
        "{text:?}"
    );

    // What does more than hold weights is refused as ever, and its bytes are nowhere.
    let harmful = files::write(directory.path(), "harmful.pt", &files::pickle());
    let told = import(suite, &harmful).expect(1).json();
    assert_eq!(told["stage"], "refused", "{told}");
    assert!(files::ids(&told["report"]).contains(&"HF-PKL-001"), "{told}");
}

#[test]
fn a_conversion_overwrites_nothing_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let pickle = directory.join("model.pkl");
    std::fs::write(&pickle, files::pickle()).unwrap();
    let target = directory.join("new.safetensors");
    let disarm = |target: &Path, files: &[&Path]| {
        inspect(directory, &[&[Path::new("--disarm"), target], files].concat())
    };
    // Refused, so nothing is written.
    disarm(&target, &[&pickle]).expect(1);
    assert!(!target.exists());
    // What is there stays, be it a link to nowhere.
    std::fs::write(&target, "mine").unwrap();
    let exit = disarm(&target, &[&pickle]);
    assert!(format!("{:?}", exit.expect(2)).contains("exists"));
    assert_eq!(std::fs::read(&target).unwrap(), b"mine");
    let link = directory.join("link.safetensors");
    std::os::unix::fs::symlink("/nowhere", &link).unwrap();
    disarm(&link, &[&pickle]).expect(2);
    disarm(&directory.join("missing/new.safetensors"), &[&pickle]).expect(2);
    disarm(&directory.join("other.safetensors"), &[&pickle, &pickle]).expect(2);
    disarm(
        &directory.join("other.safetensors"),
        &[&directory.join("nothing.pt")],
    )
    .expect(2);
    let mut left: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["link.safetensors", "model.pkl", "new.safetensors"]);
}
