//! Bringing files in by command line: what is admitted, what is refused and why, and what hostile files and names achieve.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use holdfast_contract::ledger::{Event, Outcome};
use holdfast_contract::role;
use holdfast_formats::testing::{GgufBuilder, SafetensorsBuilder, zip};
use holdfast_tests::http::{Request, encoded};
use holdfast_tests::process::Process;
use holdfast_tests::run::{Exit, run};
use holdfast_tests::store;
use holdfast_tests::suite::{Options, Suite};
use holdfast_tests::tools::{say, skip};
use serde_json::Value;

use crate::files::{self, digest, ids, write};

/// The longest that a refusal may take which does not have to read a large file.
const QUICK: Duration = Duration::from_secs(10);

#[test]
fn well_formed_models_are_admitted() {
    let suite = &Suite::shared().suite;
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes, format) in [
        ("fine.gguf", files::small(10), "gguf"),
        (
            "fine.safetensors",
            SafetensorsBuilder::small().build().bytes,
            "safetensors",
        ),
        // The content decides, not the name.
        ("no-extension", files::small(11), "gguf"),
    ] {
        let exit = suite.import(&write(directory.path(), name, &bytes));
        let submission = exit.expect(0).json();
        assert_eq!(submission["stage"], "admitted", "{submission}");
        assert_eq!(submission["name"], name);
        let (report, model) = (&submission["report"], &submission["model"]);
        assert_eq!(report["format"], format);
        assert_eq!(report["verdict"], "admit");
        assert_eq!(report["sha256"], digest(&bytes));
        assert_eq!(report["size_bytes"], bytes.len());
        assert_eq!(model["digest"], digest(&bytes));
        let shown = suite.cli(&["models", "show", &digest(&bytes)]).expect(0).json();
        assert_eq!(shown["report"], *report);
        assert_eq!(shown["summary"], *model);
    }
}

#[test]
fn a_model_with_an_unusable_template_is_admitted_on_a_condition() {
    let suite = &Suite::shared().suite;
    let directory = tempfile::tempdir().unwrap();
    let template = holdfast_formats::testing::Value::String(b"{{ \xff }}".to_vec());
    let bytes = GgufBuilder::llama()
        .set("tokenizer.chat_template", template)
        .build()
        .bytes;
    let submission = suite
        .import(&write(directory.path(), "conditional.gguf", &bytes))
        .expect(0)
        .json();
    assert_eq!(submission["report"]["verdict"], "conditional", "{submission}");
    assert_eq!(submission["model"]["conditions"][0], "no-chat-template");
}

/// A source tree with this one's units and guide model, and a configuration of its own.
fn tree_with(configuration: &[(&str, &str)]) -> tempfile::TempDir {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let tree = tempfile::tempdir().unwrap();
    // The daemons, which are other users, read rules where they lie.
    std::fs::set_permissions(tree.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let source = holdfast_tests::source();
    let (units, configured) = (tree.path().join("systemd"), tree.path().join("systemd/etc"));
    std::fs::create_dir_all(&configured).unwrap();
    symlink(source.join("services"), tree.path().join("services")).unwrap();
    for (from, to) in [("systemd", &units), ("systemd/etc", &configured)] {
        for entry in std::fs::read_dir(source.join(from)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "etc" {
                symlink(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
    for (name, text) in configuration {
        let path = configured.join(name);
        if path.is_symlink() {
            std::fs::remove_file(&path).unwrap();
        }
        std::fs::write(&path, text).unwrap();
    }
    tree
}

#[test]
fn rules_of_the_site_refuse_what_they_name() {
    let rule =
        "rule internal { meta: severity = \"critical\" strings: $a = \"not for outside\" condition: $a }";
    let tree = tree_with(&[("site.yar", rule)]);
    let rules = tree.path().join("systemd/etc/site.yar");
    let configuration = tree.path().join("systemd/etc/quarantine.toml");
    std::fs::remove_file(&configuration).unwrap();
    std::fs::write(&configuration, format!("rules = [{rules:?}]\n")).unwrap();
    let suite = Suite::start_with(&Options {
        root: tree.path().to_owned(),
        ..Options::default()
    });
    let directory = tempfile::tempdir().unwrap();
    let bytes = |about: &str| {
        GgufBuilder::llama()
            .set(
                "general.description",
                holdfast_formats::testing::Value::String(about.as_bytes().to_vec()),
            )
            .build()
            .bytes
    };
    let named = write(directory.path(), "named.gguf", &bytes("this is not for outside"));
    let submission = suite.import(&named).expect(1).json();
    assert!(ids(&submission["report"]).contains(&"HF-YAR-001"), "{submission}");
    let other = write(directory.path(), "other.gguf", &bytes("this is for everybody"));
    suite.import(&other).expect(0);
}

#[test]
fn what_goes_with_a_model_passes_the_inspection_and_is_not_kept_as_one() {
    let shared = Suite::shared();
    let suite = &shared.suite;
    let directory = tempfile::tempdir().unwrap();
    let archive = zip(&[("config.json", br#"{"model_type": "llama"}"#)], b"");
    for (name, bytes) in [
        ("config.json", br#"{"model_type": "llama"}"#.to_vec()),
        ("README.md", b"# A model\n".to_vec()),
        ("snapshot.zip", archive),
    ] {
        let path = write(directory.path(), name, &bytes);
        let mut command = holdfast_tests::suite::command(&directory.path().join("no-suite"));
        let report = run(
            command.args(["--json", "inspect"]).arg(&path),
            Duration::from_mins(1),
        );
        assert_eq!(report.expect(0).json()["verdict"], "admit", "{name}");
        let exit = suite.import(&path);
        let told = exit.expect(1).json();
        assert_eq!(told["stage"], "refused", "{told}");
        assert!(
            told["problem"]["detail"]
                .as_str()
                .unwrap()
                .contains("is no model"),
            "{told}"
        );
        assert!(suite.models().iter().all(|model| model.name != name), "{name}");
    }
}

#[test]
fn a_policy_refuses_more_and_a_wrong_one_inspects_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let model = write(directory.path(), "model.gguf", &files::small(3));
    let inspect = |policy: &str| {
        let policy = write(directory.path(), "policy.toml", policy.as_bytes());
        let mut command = holdfast_tests::suite::command(&directory.path().join("no-suite"));
        command
            .args(["--json", "inspect", "--policy"])
            .arg(policy)
            .arg(&model);
        run(&mut command, Duration::from_mins(1))
    };
    let shipped = std::fs::read_to_string(holdfast_tests::source().join("policies/inspect.toml")).unwrap();
    for policy in ["", &shipped] {
        assert_eq!(inspect(policy).expect(0).json()["verdict"], "admit");
    }
    let refused = inspect("formats = [\"safetensors\"]").expect(1).json();
    assert_eq!(refused["verdict"], "refuse");
    assert!(ids(&refused).contains(&"HF-POL-001"), "{refused}");
    for wrong in ["formats = [\"gguff\"]", "nonsense"] {
        let exit = inspect(wrong);
        assert!(
            exit.expect(2).stdout.is_empty() || exit.stdout.contains("error"),
            "{exit:?}"
        );
    }
}

/// A file, how it is called, the format it is recognised as, the finding that refuses it, and where.
type Bad = (&'static str, Vec<u8>, &'static str, &'static str, Option<u64>);

fn bad() -> Vec<Bad> {
    let good = GgufBuilder::llama().build();
    let version = good.mark("version").start as u64;
    let header_end = good.mark("padding").start;
    let cut_in_data = good.bytes.len() - 40;
    vec![
        ("empty.gguf", Vec::new(), "empty", "HF-FMT-002", None),
        (
            "cut-in-header.gguf",
            good.bytes[..header_end - 3].to_vec(),
            "gguf",
            "HF-GGUF-003",
            Some(header_end as u64 - 3),
        ),
        (
            "cut-in-data.gguf",
            good.bytes[..cut_in_data].to_vec(),
            "gguf",
            "HF-GGUF-027",
            Some(cut_in_data as u64),
        ),
        (
            "version.gguf",
            good.clone().with("version", &9_u32.to_le_bytes()).bytes,
            "gguf",
            "HF-GGUF-001",
            Some(version),
        ),
        (
            "trailing.gguf",
            good.clone().and(&[7; 100]).bytes,
            "gguf",
            "HF-GGUF-029",
            Some(good.bytes.len() as u64),
        ),
        ("pickle.gguf", files::pickle(), "pickle", "HF-PKL-001", Some(30)),
        ("program.gguf", files::program(), "elf", "HF-FMT-013", None),
        (
            "archive.safetensors",
            zip(&[("model/data.pkl", &files::pickle())], b""),
            "pytorch-zip",
            "HF-PKL-001",
            Some(74),
        ),
        (
            "archive.gguf",
            zip(&[("../a.txt", b"hello")], b""),
            "zip",
            "HF-ZIP-005",
            Some(0),
        ),
        (
            "text.gguf",
            b"Not a model at all.\n".repeat(9),
            "text",
            "HF-FMT-015",
            None,
        ),
        (
            "page.gguf",
            b"<!DOCTYPE html><html><body>Please log in</body></html>".to_vec(),
            "html",
            "HF-FMT-015",
            None,
        ),
        ("noise.gguf", vec![0xab; 4096], "unknown", "HF-FMT-001", None),
        (
            "cut.safetensors",
            SafetensorsBuilder::small().build().cut(100).bytes,
            "safetensors",
            "HF-ST-001",
            None,
        ),
    ]
}

#[test]
fn everything_else_is_refused_by_its_right_name_with_a_reason() {
    let suite = &Suite::shared().suite;
    let directory = tempfile::tempdir().unwrap();
    let models = suite.models().len();
    for (name, bytes, format, finding, offset) in bad() {
        let exit = suite.import(&write(directory.path(), name, &bytes));
        assert_eq!(exit.code, Some(1), "{name}: {exit:?}");
        let submission = exit.json();
        let report = &submission["report"];
        assert_eq!(submission["stage"], "refused", "{name}: {submission}");
        assert!(submission["model"].is_null(), "{name}");
        assert_eq!(report["verdict"], "refuse", "{name}");
        assert_eq!(report["format"], format, "{name}: {report}");
        assert_eq!(report["sha256"], digest(&bytes), "{name}");
        let findings = report["findings"].as_array().unwrap();
        let found = findings
            .iter()
            .find(|one| one["id"] == finding)
            .unwrap_or_else(|| panic!("{name}: no {finding} in {:?}", ids(report)));
        if let Some(offset) = offset {
            assert_eq!(found["offset"], offset, "{name}: {found}");
        }
        let offset = found["offset"].as_u64().unwrap_or(0);
        assert!(offset <= bytes.len() as u64, "{name}: {found}");
        for part in ["message", "advice"] {
            let text = found[part].as_str().unwrap();
            assert!(text.len() > 10 && text.len() < 1000, "{name}: {text}");
        }
        // The findings' page explains each.
        let page = std::fs::read_to_string(holdfast_tests::source().join("docs/findings.md")).unwrap();
        for id in ids(report) {
            assert!(page.contains(&format!("### {id}:")), "{id} is not explained");
        }
    }
    // Still refused the second time, and in words for people.
    let again = directory.path().join("pickle.gguf");
    let text = suite.cli_text(&[std::ffi::OsStr::new("import"), again.as_os_str()]);
    assert_eq!(text.code, Some(1), "{text:?}");
    assert!(
        text.stdout.contains("refused") && text.stdout.contains("HF-PKL-001"),
        "{text:?}"
    );
    assert!(suite.models().len() >= models);
    let admitted: Vec<String> = suite.models().into_iter().map(|model| model.name).collect();
    for (name, ..) in bad() {
        let stem = name.split('.').next().unwrap();
        assert!(
            !admitted.iter().any(|admitted| admitted == stem),
            "{name} came in"
        );
    }
}

#[test]
fn inspection_without_a_suite_gives_the_same_reports() {
    let directory = tempfile::tempdir().unwrap();
    let mut files: Vec<_> = bad();
    files.push(("good.gguf", files::small(1), "gguf", "", None));
    let paths: Vec<_> = files
        .iter()
        .map(|(name, bytes, ..)| write(directory.path(), name, bytes))
        .collect();
    let mut command = holdfast_tests::suite::command(&directory.path().join("no-suite"));
    let exit = run(
        command.args(["--json", "inspect"]).args(&paths),
        Duration::from_mins(1),
    );
    assert_eq!(exit.code, Some(1), "{exit:?}");
    let reports = exit.lines();
    assert_eq!(reports.len(), files.len(), "{exit:?}");
    for ((name, bytes, format, finding, _), report) in files.iter().zip(&reports) {
        assert_eq!(
            report["path"],
            paths[0].with_file_name(name).display().to_string()
        );
        assert_eq!(report["sha256"], digest(bytes), "{name}");
        assert_eq!(report["format"], *format, "{name}");
        let refused = !finding.is_empty();
        assert_eq!(
            report["verdict"],
            if refused { "refuse" } else { "admit" },
            "{name}"
        );
        assert!(!refused || ids(report).contains(finding), "{name}: {report}");
    }
    let mut good = holdfast_tests::suite::command(&directory.path().join("no-suite"));
    let exit = run(
        good.args(["--json", "inspect"]).arg(paths.last().unwrap()),
        Duration::from_mins(1),
    );
    exit.expect(0);
}

#[test]
fn a_directory_is_inspected_whole_and_code_scanning_sites_can_read_it() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("a/b");
    std::fs::create_dir_all(&inner).unwrap();
    write(&inner, "good.gguf", &files::small(1));
    write(directory.path(), "script.gguf", b"#!/bin/sh\n");
    let inspect = |arguments: &[&str]| {
        let mut command = holdfast_tests::suite::command(&directory.path().join("no-suite"));
        run(
            command
                .arg("inspect")
                .args(arguments)
                .current_dir(directory.path()),
            Duration::from_mins(1),
        )
    };
    let lines = inspect(&["--json", "a", "script.gguf"]).lines();
    let paths: Vec<_> = lines.iter().map(|line| line["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["a/b/good.gguf", "script.gguf"]);
    assert_eq!(inspect(&["a"]).code, Some(0));

    let exit = inspect(&["--sarif", "a", "script.gguf"]);
    assert_eq!(exit.code, Some(1));
    let run = &exit.json()["runs"][0];
    assert_eq!(run["artifacts"].as_array().unwrap().len(), 2);
    let errors: Vec<_> = run["results"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|result| result["level"] == "error")
        .collect();
    let place = &errors[0]["locations"][0]["physicalLocation"]["artifactLocation"];
    assert_eq!(place["uri"], "script.gguf");

    let id = errors[0]["ruleId"].as_str().unwrap();
    assert!(
        inspect(&["--explain", id])
            .expect(0)
            .stdout
            .contains("What to do:")
    );
    assert_eq!(inspect(&["--explain", "HF-NONE-001"]).code, Some(2));
    assert_eq!(inspect(&["--sarif", "--json", "a"]).code, Some(2));
    assert_eq!(inspect(&["missing"]).code, Some(2));
}

/// An error before anything was handed in: exit code 2, and a sentence that names what it is about.
#[track_caller]
fn clear_error(exit: &Exit, about: &str) {
    assert_eq!(exit.code, Some(2), "{exit:?}");
    let error = exit.json();
    let text = error["error"].as_str().unwrap();
    assert!(text.contains(about), "{text}");
    assert!(exit.took < QUICK, "{exit:?}");
}

#[test]
fn directories_pipes_devices_and_nothing_are_clear_errors() {
    let suite = &Suite::shared().suite;
    let directory = tempfile::tempdir().unwrap();
    clear_error(&suite.import(directory.path()), "not a regular file");
    clear_error(&suite.import(Path::new("/dev/zero")), "not a regular file");
    let fifo = directory.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    clear_error(&suite.import(&fifo), "not a regular file");
    clear_error(&suite.import(&directory.path().join("absent")), "absent");
}

#[test]
fn a_sparse_file_of_100_gigabytes_is_refused_at_once() {
    let suite = &Suite::shared().suite;
    let directory = tempfile::tempdir().unwrap();
    let path = files::large(directory.path(), "sparse.gguf", 100_000_000_000, 1);
    let exit = suite.import(&path);
    assert_ne!(exit.code, Some(0), "{exit:?}");
    assert!(exit.took < QUICK, "{exit:?}");
    let answer = exit.json().to_string();
    assert!(
        answer.contains("64 GiB") || answer.contains("HF-IO-001") || answer.contains("too-large"),
        "{answer}"
    );
    suite.cli(&["status"]).expect(0);
}

#[test]
fn a_file_that_grows_while_it_is_read_is_taken_as_it_was_or_refused() {
    let suite = &Suite::shared().suite;
    let directory = tempfile::tempdir().unwrap();
    let path = files::large(directory.path(), "growing.gguf", 200 << 20, 2);
    let before = std::fs::metadata(&path).unwrap().len();
    let growing = path.clone();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = std::sync::Arc::clone(&stop);
    let writer = std::thread::spawn(move || {
        let mut file = File::options().append(true).open(growing).unwrap();
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            file.write_all(&[7; 4096]).unwrap();
            std::thread::yield_now();
        }
    });
    let exit = suite.import(&path);
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
    let answer = exit.json();
    match exit.code {
        // What was announced came in; it is what was inspected, and the registry holds exactly that.
        Some(0) => {
            let size = answer["report"]["size_bytes"].as_u64().unwrap();
            assert!(size >= before, "{answer}");
            assert_eq!(answer["model"]["size_bytes"].as_u64(), Some(size));
        }
        Some(1 | 2) => assert!(answer["stage"] != "admitted", "{answer}"),
        _ => panic!("{exit:?}"),
    }
    suite.cli(&["status"]).expect(0);
}

#[test]
fn hostile_names_are_harmless() {
    let mut suite = Suite::start();
    let directory = tempfile::tempdir().unwrap();
    let before = store::files(suite.state());
    let outside = directory.path().join("pwned");
    let long = "x".repeat(4096);
    let traversal = format!("../../../../../../..{}", outside.display());
    let names = [
        traversal.as_str(),
        "/etc/holdfast-pwned",
        "..",
        ".",
        "a\u{0}b",
        "a\nb\r\nX-Injected: yes",
        "\u{1b}[2J\u{1b}]0;pwned\u{7}",
        "safe\u{202e}fugg.exe",
        "\u{200b}",
        "index.json",
        "<img src=x onerror=alert(1)>.gguf",
        "'; rm -rf ~ #.gguf",
        "%2e%2e%2f%2e%2e%2fpwned",
        long.as_str(),
    ];
    for (at, name) in names.iter().enumerate() {
        let bytes = files::small(100 + u32::try_from(at).unwrap());
        let path = format!("/v1/submissions?name={}", encoded(name));
        let request = Request::post(&path, "application/octet-stream", bytes);
        let answer = request.open(&suite.role(role::QUARANTINE_SUBMIT)).unwrap();
        // Either a clear refusal of the name, or the file comes in under a harmless one.
        if answer.status != 200 {
            let problem = answer.whole().unwrap().value();
            assert_eq!(
                problem["type"], "urn:holdfast:problem:invalid",
                "{name:?}: {problem}"
            );
            continue;
        }
        let events = answer.events();
        let submission = &events.last().unwrap()["submission"];
        for name in [&submission["name"], &submission["model"]["name"]] {
            let Some(name) = name.as_str() else { continue };
            assert!(name.len() <= 255, "{name:?}");
            assert!(!name.chars().any(char::is_control), "{name:?}");
        }
        if let Some(name) = submission["model"]["name"].as_str() {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            assert!(name.bytes().all(plain) && !name.starts_with('.'), "{name:?}");
        }
    }
    assert!(!outside.exists() && !Path::new("/etc/holdfast-pwned").exists());
    // By command line too, where the name is the file's own.
    let odd = directory
        .path()
        .join(std::ffi::OsStr::from_bytes(b"od\xffd\x1b[31m\n.gguf"));
    std::fs::write(&odd, files::small(200)).unwrap();
    let exit = suite.cli_text(&[std::ffi::OsStr::new("import"), odd.as_os_str()]);
    assert!(matches!(exit.code, Some(0 | 2)), "{exit:?}");
    assert!(
        !exit.stdout.contains('\u{1b}') && !exit.stderr.contains('\u{1b}'),
        "{exit:?}"
    );
    let listed = suite.cli_text(&["models"]).expect(0).stdout.clone();
    assert!(
        !listed.contains('\u{1b}') && !listed.contains('\u{202e}'),
        "{listed:?}"
    );

    suite.stop();
    store::check(&store::of(suite.state()));
    // New files are the store's blobs and seals, the ledger's, the intake's records and the log: nothing with a name from outside.
    let fresh = store::files(suite.state());
    for file in fresh.iter().filter(|file| !before.contains(file)) {
        let text = file.to_string_lossy();
        let plain = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
        assert!(plain && !text.contains("pwned") && !text.contains("rm"), "{text}");
    }
}

#[test]
fn two_imports_of_one_file_at_once_give_one_artifact_and_two_entries() {
    let suite = Suite::start();
    let directory = tempfile::tempdir().unwrap();
    let path = files::large(directory.path(), "twice.gguf", 64 << 20, 3);
    let models = suite.models().len();
    let submissions: Vec<Value> = std::thread::scope(|scope| {
        let imports = [0; 2].map(|_| scope.spawn(|| suite.import(&path).expect(0).json()));
        imports.map(|import| import.join().unwrap()).into()
    });
    assert_ne!(submissions[0]["id"], submissions[1]["id"]);
    assert_eq!(
        submissions[0]["model"]["digest"],
        submissions[1]["model"]["digest"]
    );
    assert_eq!(suite.models().len(), models + 1);
    let digest = submissions[0]["report"]["sha256"].as_str().unwrap();
    let entries = suite.ledger();
    let count = |event: Event| {
        let is_it = |one: &&holdfast_contract::ledger::IndexedEntry| {
            one.entry.event == event
                && (one.entry.subject == digest
                    || serde_json::to_string(&one.entry.detail).unwrap().contains(digest)
                    || submissions
                        .iter()
                        .any(|submission| submission["id"] == one.entry.subject))
        };
        entries.iter().filter(is_it).count()
    };
    assert_eq!(count(Event::IntakeReceived), 2);
    assert_eq!(count(Event::IntakeInspected), 2);
    assert_eq!(count(Event::ModelAdmit), 2);
    store::check(&store::of(suite.state()));
}

#[test]
fn a_removed_model_is_gone_and_can_come_back() {
    let suite = Suite::start();
    let directory = tempfile::tempdir().unwrap();
    let file = write(directory.path(), "there-and-back.gguf", &files::small(20));
    suite.import(&file).expect(0);
    let refused = suite.cli(&["models", "remove", "there-and-back"]);
    assert_eq!(refused.code, Some(2), "nobody was asked: {refused:?}");
    let name = "there-and-back";
    suite.cli(&["models", "remove", "--yes", name]).expect(0);
    assert!(suite.models().iter().all(|model| model.name != name));
    store::check(&store::of(suite.state()));
    suite.cli(&["models", "show", name]).expect(2);
    suite.import(&file).expect(0);
    suite.cli(&["models", "show", name]).expect(0);
    let removed = |one: &holdfast_contract::ledger::IndexedEntry| {
        one.entry.event == Event::ModelRemove && one.entry.outcome == Outcome::Allowed
    };
    assert!(suite.ledger().iter().any(removed));
}

/// A small file system of its own; none where this process may not make one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(bytes: u64) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new(holdfast_tests::tools::find("mount")?);
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=0755"), "tmpfs"])
            .arg(directory.path());
        let exit = run(&mut mount, QUICK);
        (exit.code == Some(0)).then_some(Self(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let mut unmount = std::process::Command::new("umount");
        let _ = run(unmount.arg("-l").arg(self.0.path()), QUICK);
    }
}

#[test]
fn a_full_disk_is_a_clear_error_that_leaves_no_litter() {
    let Some(disk) = SmallDisk::new(640 << 20) else {
        skip("this process may not mount a small file system");
        return;
    };
    let suite = Suite::start_with(&Options {
        state: Some(disk.0.path().join("state")),
        ..Options::default()
    });
    let free = || {
        let stat = rustix::fs::statvfs(disk.0.path()).unwrap();
        stat.f_bavail * stat.f_frsize
    };
    let directory = tempfile::tempdir().unwrap();
    let intake = suite.state().join("lib/quarantine");
    let before = (store::files(&intake), free());
    // Larger than what is left: it does not even fit into the intake.
    let larger = files::large(directory.path(), "larger.gguf", before.1 + (8 << 20), 5);
    // Fits there, but not into the store as well.
    let half = files::large(directory.path(), "half.gguf", before.1 * 2 / 3, 6);
    for file in [&larger, &half] {
        let exit = suite.import(file);
        assert_eq!(exit.code, Some(2), "{exit:?}");
        let answer = exit.json();
        let problem = match &answer["problem"] {
            Value::Null => answer["type"].clone(),
            problem => problem["type"].clone(),
        };
        assert_eq!(problem, "urn:holdfast:problem:no-space", "{answer}");
        assert!(
            answer.to_string().contains("space") || answer.to_string().contains("full"),
            "{answer}"
        );
        store::check(&store::of(suite.state()));
    }
    let left: Vec<_> = store::files(&intake)
        .into_iter()
        .filter(|file| !before.0.contains(file))
        .filter(|file| std::fs::metadata(intake.join(file)).unwrap().len() > 64 << 10)
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(
        free() + (4 << 20) > before.1,
        "{} of {} bytes are free",
        free(),
        before.1
    );
    // Everything is up, and what fits comes in.
    suite.cli(&["status"]).expect(0);
    let small = write(directory.path(), "fits.gguf", &files::small(30));
    suite.import(&small).expect(0);
    suite.cli(&["ledger", "verify"]).expect(0);
}

#[test]
fn a_large_file_is_not_held_in_memory() {
    let suite = Suite::start();
    let directory = tempfile::tempdir().unwrap();
    let size = 512 << 20;
    let path = files::large(directory.path(), "large.gguf", size, 7);
    let quarantine = suite.process(role::Service::Quarantine);
    let registry = suite.process(role::Service::Registry);
    let done = std::sync::atomic::AtomicBool::new(false);
    let (exit, peak) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut peak = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let workers = quarantine.descendants();
                let together = [quarantine, registry].into_iter().chain(workers);
                peak = peak.max(together.map(Process::resident_bytes).sum::<u64>());
                std::thread::sleep(Duration::from_millis(5));
            }
            peak
        });
        let exit = suite.import(&path);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        (exit, watch.join().unwrap())
    });
    exit.expect(0);
    say(&format!(
        "[measured] import: {} MiB in {:.1} s ({:.0} MB/s), quarantine, its worker and the registry take {:.1} MiB at most",
        size >> 20,
        exit.took.as_secs_f64(),
        size as f64 / exit.took.as_secs_f64() / 1e6,
        peak as f64 / 1024.0 / 1024.0,
    ));
    assert!(peak < 96 << 20, "{peak}");
}
