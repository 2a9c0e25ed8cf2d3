//! The ledger: what is in it, what is not, and that nobody changes it unseen.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_contract::ledger::{Event, IndexedEntry, Outcome};
use holdfast_contract::role;
use holdfast_tests::http::Request;
use holdfast_tests::page::{PASSPHRASE, Person, post};
use holdfast_tests::run::{Exit, run};
use holdfast_tests::store;
use holdfast_tests::suite::{Options, Suite, command};
use serde_json::json;

use crate::files;

/// What must be nowhere but where it was typed.
const PROMPT: &str = "the confidential walrus sings at noon";
const WRONG: &str = "this is no passphrase of anybody";

fn copy(from: &Path, to: &Path) {
    for file in store::files(from) {
        let target = to.join(&file);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(from.join(&file), target).unwrap();
    }
}

fn verify(directory: &Path, key: &Path, since: Option<&Path>) -> Exit {
    // Away from any suite: the public key and the files are all there is.
    let mut verify = command(Path::new("/nonexistent/state"));
    verify
        .args(["--json", "ledger", "verify", "--directory"])
        .arg(directory)
        .arg("--public-key")
        .arg(key);
    if let Some(since) = since {
        verify.arg("--since").arg(since);
    }
    run(&mut verify, Duration::from_mins(1))
}

#[test]
fn log_checkpoint_proof_and_verification_work_on_a_running_suite() {
    let suite = &Suite::shared().suite;
    let log = suite.cli(&["ledger", "log", "--limit", "5"]).expect(0).json();
    let entries = log["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 5);
    let size = log["size"].as_u64().unwrap();
    assert_eq!(
        entries[4]["index"].as_u64(),
        Some(size - 1),
        "the most recent are shown"
    );
    let first = suite
        .cli(&["ledger", "log", "--from", "0", "--limit", "1"])
        .expect(0)
        .json();
    assert_eq!(first["entries"][0]["index"], 0);

    let checkpoint = suite.cli(&["ledger", "checkpoint"]).expect(0).json();
    let checkpoint = checkpoint["checkpoint"].as_str().unwrap();
    assert!(
        checkpoint.contains("\n\n\u{2014} "),
        "a signed note: {checkpoint:?}"
    );
    let proof = suite.cli(&["ledger", "proof", "0"]).expect(0).json();
    let hashes = proof["hashes"].as_array().unwrap().len();
    let size = proof["size"].as_u64().unwrap();
    assert_eq!(hashes as u32, u64::BITS - (size - 1).leading_zeros(), "{proof}");
    suite.cli(&["ledger", "proof", "999999999"]).expect(2);

    suite.cli(&["ledger", "verify"]).expect(0);
    let text = suite.cli_text(&["ledger", "verify"]).expect(0).stdout.clone();
    assert!(text.contains("entries"), "{text}");
    let text = suite.cli_text(&["ledger", "log"]).expect(0).stdout.clone();
    assert!(text.contains("service.started"), "{text}");
}

/// What the ledger says about each submission, by digest or id.
fn about<'a>(entries: &'a [IndexedEntry], words: &[&str]) -> Vec<&'a IndexedEntry> {
    let is_about = |one: &&IndexedEntry| {
        let text = serde_json::to_string(&one.entry).unwrap();
        words.iter().any(|word| text.contains(word))
    };
    entries.iter().filter(is_about).collect()
}

#[test]
fn every_file_and_every_decision_is_in_the_ledger_and_no_secret_is() {
    let mut suite = Suite::start();
    let directory = tempfile::tempdir().unwrap();
    let setup_token = suite.setup_token().unwrap().to_owned();
    let person = Person::set_up(&suite);
    let api_token = person.api_token("laptop");
    post(&suite, "/sign-in", &[("passphrase", WRONG)]).expect(403);
    let cookie = person.cookie().split_once('=').unwrap().1.to_owned();
    let form_token = person.form_token();

    let good = files::write(directory.path(), "good.gguf", &files::small(40));
    let bad = files::write(directory.path(), "bad.gguf", &files::pickle());
    let admitted = suite.import(&good).expect(0).json();
    let refused = suite.import(&bad).expect(1).json();
    let guide = suite.model("guide");
    person.say(&guide.digest.to_string(), PROMPT).events();
    let body =
        json!({ "model": "guide", "messages": [{ "role": "user", "content": PROMPT }], "max_tokens": 5 });
    Request::json("/v1/chat/completions", &body)
        .header("Authorization", &format!("Bearer {api_token}"))
        .ask(&suite.page())
        .expect(200);
    suite.cli(&["chat", "--max-tokens", "5", PROMPT]).expect(0);
    person.post("/chat/delete-all", &[]).expect(303);

    let entries = suite.ledger();
    for (at, one) in entries.iter().enumerate() {
        assert_eq!(one.index, at as u64);
    }
    assert!(
        entries
            .windows(2)
            .all(|pair| pair[0].entry.time <= pair[1].entry.time)
    );
    let names = |submission: &serde_json::Value| -> BTreeSet<String> {
        let words = [&submission["id"], &submission["report"]["sha256"]].map(|word| word.as_str().unwrap());
        let entries = about(&entries, &words).into_iter();
        entries
            .map(|one| {
                let event = serde_json::to_value(one.entry.event).unwrap();
                format!("{} {:?}", event.as_str().unwrap(), one.entry.outcome)
            })
            .collect()
    };
    let admitted = names(&admitted);
    for expected in ["intake.inspected Allowed", "model.admit Allowed"] {
        assert!(admitted.contains(expected), "{expected} in {admitted:?}");
    }
    assert!(
        admitted.iter().any(|one| one.starts_with("intake.received")),
        "{admitted:?}"
    );
    let refused = names(&refused);
    assert!(refused.contains("intake.inspected Denied"), "{refused:?}");
    assert!(
        refused.iter().any(|one| one.starts_with("intake.received")),
        "{refused:?}"
    );
    assert!(!refused.contains("model.admit Allowed"), "{refused:?}");

    let all: BTreeSet<String> = entries
        .iter()
        .map(|one| {
            format!(
                "{:?} {:?} by {}",
                one.entry.event, one.entry.outcome, one.entry.source
            )
        })
        .collect();
    let sources: BTreeSet<&str> = entries.iter().map(|one| one.entry.source.as_str()).collect();
    for (event, outcome) in [
        (Event::ServiceStarted, Outcome::Noted),
        (Event::ModelOpen, Outcome::Allowed),
        (Event::EngineLifecycle, Outcome::Noted),
        (Event::EngineGenerate, Outcome::Allowed),
        (Event::ConsoleSignIn, Outcome::Allowed),
        (Event::ConsoleSignIn, Outcome::Denied),
        (Event::ConsoleToken, Outcome::Allowed),
        (Event::ConsoleHistory, Outcome::Allowed),
    ] {
        let found = entries.iter().any(|one| {
            one.entry.event == event && (one.entry.outcome == outcome || outcome == Outcome::Noted)
        });
        assert!(found, "{event:?} {outcome:?} in {all:?}");
    }
    if rustix::process::geteuid().is_root() {
        // Named by the kernel.
        for source in [
            "quarantine",
            "registry",
            "inference",
            "console",
            "incident-recorder",
        ] {
            assert!(sources.contains(source), "{source} in {sources:?}");
        }
    }

    suite.stop();
    let state = suite.state();
    let places: Vec<PathBuf> = ["lib/incident-recorder", "log", "lib/quarantine"]
        .iter()
        .flat_map(|place| {
            store::files(&state.join(place))
                .into_iter()
                .map(move |file| Path::new(place).join(file))
        })
        .collect();
    assert!(places.len() > 2, "{places:?}");
    let secrets = [
        ("the passphrase", PASSPHRASE),
        ("a wrong passphrase", WRONG),
        ("the set-up token", setup_token.as_str()),
        ("an API token", api_token.trim_start_matches("hf_")),
        ("a session", cookie.as_str()),
        ("a form token", form_token.as_str()),
        ("a prompt", PROMPT),
    ];
    for place in places {
        let content = fs::read(state.join(&place)).unwrap();
        let content = String::from_utf8_lossy(&content);
        for (what, secret) in secrets {
            assert!(!content.contains(secret), "{what} is in {}", place.display());
        }
    }
}

#[test]
fn every_change_of_the_files_is_seen_with_the_public_key_alone() {
    let mut suite = Suite::start();
    let directory = tempfile::tempdir().unwrap();
    let early = suite.cli(&["ledger", "checkpoint"]).expect(0).json();
    let early = early["checkpoint"].as_str().unwrap().to_owned();
    let early = files::write(directory.path(), "early", early.as_bytes());
    for seed in 50..54 {
        let name = format!("model-{seed}.gguf");
        suite
            .import(&files::write(directory.path(), &name, &files::small(seed)))
            .expect(0);
    }
    suite.stop();
    let (ledger, key) = (
        suite.state().join("lib/incident-recorder"),
        suite.state().join("ledger.pub"),
    );
    let original = directory.path().join("original");
    copy(&ledger, &original);
    verify(&original, &key, None).expect(0);
    verify(&original, &key, Some(&early)).expect(0);

    let fails = |what: &str, change: &dyn Fn(&Path)| {
        let changed = directory.path().join("changed");
        let _ = fs::remove_dir_all(&changed);
        copy(&original, &changed);
        change(&changed);
        let exit = verify(&changed, &key, Some(&early));
        assert_eq!(exit.code, Some(1), "{what}: {exit:?}");
        assert!(exit.stdout.len() > 20, "it says why: {exit:?}");
    };
    let covered: Vec<PathBuf> = store::files(&original)
        .into_iter()
        .filter(|file| {
            file.starts_with("tile") || file.starts_with("checkpoint") || file.starts_with("checkpoints")
        })
        .collect();
    assert!(covered.len() >= 3, "{covered:?}");
    for file in &covered {
        let name = file.display().to_string();
        let length = fs::metadata(original.join(file)).unwrap().len() as usize;
        for at in [0, length / 2, length - 1] {
            fails(&format!("bit {at} of {name}"), &|changed| {
                let mut bytes = fs::read(changed.join(file)).unwrap();
                bytes[at] ^= 1;
                fs::write(changed.join(file), bytes).unwrap();
            });
        }
        fails(&format!("{name} cut"), &|changed| {
            let bytes = fs::read(changed.join(file)).unwrap();
            fs::write(changed.join(file), &bytes[..length / 2]).unwrap();
        });
        fails(&format!("{name} gone"), &|changed| {
            fs::remove_file(changed.join(file)).unwrap();
        });
        fails(&format!("{name} replaced"), &|changed| {
            fs::write(changed.join(file), vec![b'x'; length]).unwrap();
        });
    }

    // Another ledger, whole in itself and of the same machine's making, is not this one.
    let mut other = Suite::start();
    other.stop();
    let foreign = other.state().join("lib/incident-recorder");
    let exit = verify(&foreign, &key, None);
    assert_eq!(exit.code, Some(1), "a key that signed nothing of it: {exit:?}");
    let exit = verify(&foreign, &other.state().join("ledger.pub"), None);
    assert_eq!(exit.code, Some(0), "{exit:?}");
    let exit = verify(&foreign, &other.state().join("ledger.pub"), Some(&early));
    assert_eq!(exit.code, Some(1), "it does not extend the checkpoint: {exit:?}");

    // An old state that is whole in itself: only somebody who kept a checkpoint sees it.
    let late = directory.path().join("late");
    fs::copy(original.join("checkpoint"), &late).unwrap();
    let mut young = Suite::start_in(suite.state());
    young.stop();
    verify(&ledger, &key, Some(&late)).expect(0);
    let newest = directory.path().join("newest");
    fs::copy(ledger.join("checkpoint"), &newest).unwrap();
    let exit = verify(&original, &key, Some(&newest));
    assert_eq!(exit.code, Some(1), "rolled back: {exit:?}");
}

#[test]
fn a_suite_mends_its_ledger_where_it_can_and_does_not_go_on_with_one_that_it_cannot() {
    let mut suite = Suite::start();
    let before = suite.ledger();
    let directory = tempfile::tempdir().unwrap();
    let checkpoint = suite.cli(&["ledger", "checkpoint"]).expect(0).json();
    let checkpoint = checkpoint["checkpoint"].as_str().unwrap().as_bytes();
    let early = files::write(directory.path(), "early", checkpoint);
    suite.stop();
    let ledger = suite.state().join("lib/incident-recorder");
    let spoil = |part: &str| {
        let spoilt: Vec<_> = store::files(&ledger)
            .into_iter()
            .filter(|file| file.starts_with(part))
            .collect();
        assert!(!spoilt.is_empty());
        for file in spoilt {
            let mut bytes = fs::read(ledger.join(&file)).unwrap();
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
            for at in [0, used / 3, used / 2, used] {
                bytes[at] ^= 1;
            }
            fs::write(ledger.join(&file), bytes).unwrap();
        }
    };
    // The write-ahead log still has everything: what is shown is what was signed.
    spoil("tile/entries");
    suite.start_again();
    assert_eq!(suite.ledger()[..before.len()], before[..]);
    suite
        .cli(&["ledger", "verify", "--since", early.to_str().unwrap()])
        .expect(0);
    suite.stop();
    // Now nothing has.
    spoil("tile/entries");
    spoil("wal");
    let options = Options {
        state: Some(suite.state().to_owned()),
        ..Options::default()
    };
    let exit = Suite::try_start(&options).map(|_| "it started").unwrap_err();
    assert_eq!(exit.code, Some(2), "{exit:?}");
    let said = format!("{}{}", exit.stdout, exit.stderr);
    assert!(said.contains("incident-recorder"), "{said}");
}

#[test]
fn entries_come_from_daemons_only_and_hold_what_the_contract_says() {
    let suite = &Suite::shared().suite;
    let address = suite.role(role::RECORDER_APPEND);
    let before = suite.ledger().len();
    for body in [
        json!({}),
        json!({ "event": "made.up", "outcome": "allowed", "subject": "x" }),
        json!({ "event": "model.admit", "outcome": "allowed", "subject": "x", "source": "registry" }),
        json!({ "event": "model.admit", "outcome": "allowed", "subject": "x".repeat(100_000) }),
    ] {
        let answer = Request::json("/v1/entries", &body).ask(&address);
        assert!(
            (400..500).contains(&answer.status),
            "{body}: {} {}",
            answer.status,
            answer.text()
        );
        assert!(
            answer.value()["type"]
                .as_str()
                .unwrap()
                .starts_with("urn:holdfast:problem:")
        );
    }
    let added = suite.ledger();
    let forged = added[before..]
        .iter()
        .any(|one| one.entry.subject.starts_with('x'));
    assert!(!forged, "{added:?}");
}
