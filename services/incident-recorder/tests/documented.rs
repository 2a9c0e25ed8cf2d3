//! The commands that `docs/services/incident-recorder.md` gives for checking a ledger with OpenSSL alone do what it says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::process::Command;

use holdfast_contract::ledger::Appended;
use holdfast_tests::tools::program;
use support::{Place, entry, signer};

const PAGE: &str = include_str!("../../../docs/services/incident-recorder.md");

#[tokio::test]
async fn the_openssl_recipe_accepts_a_ledger_and_refuses_a_changed_checkpoint() {
    if program("openssl").is_none() {
        return;
    }
    let place = Place::new();
    let daemon = place.start();
    let client = place.appends();
    for number in 0..300 {
        client
            .post::<_, Appended>("/v1/entries", &entry(&number.to_string()))
            .await
            .unwrap();
    }
    assert!(daemon.stop());
    std::fs::write(
        place.state().join("ledger.pub"),
        format!("{}\n", signer().verifier()),
    )
    .unwrap();
    let recipe = PAGE.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let run = || {
        let output = Command::new("sh")
            .arg("-ec")
            .arg(recipe)
            .current_dir(place.state())
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (accepted, text) = run();
    assert!(
        accepted && text.contains("Signature Verified Successfully"),
        "{text}"
    );
    let hashes: Vec<String> = text
        .lines()
        .skip(1)
        .map(|line| line.replace([' ', '-'], ""))
        .collect();
    // `sha256sum` prints one line, `od` two.
    assert_eq!(hashes[0], hashes[1..].concat(), "{text}");
    let checkpoint = place.state().join("checkpoint");
    let changed = std::fs::read_to_string(&checkpoint)
        .unwrap()
        .replacen("301", "302", 1);
    std::fs::write(&checkpoint, changed).unwrap();
    assert!(!run().0);
}
