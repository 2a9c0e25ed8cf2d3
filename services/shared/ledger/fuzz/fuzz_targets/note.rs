//! Signed notes, verifier keys and checkpoints. The input is tried as each of them, and signed, so that what is behind a signature is
//! reached too.

#![no_main]

use std::sync::LazyLock;

use holdfast_ledger::checkpoint::{Checkpoint, MAX_SIZE};
use holdfast_signed_note::{Signer, Vkey, open};
use libfuzzer_sys::fuzz_target;

static SIGNER: LazyLock<Signer> =
    LazyLock::new(|| Signer::from_seed("holdfast/ledger", &[7; 32]).expect("a name for a key"));

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let key = SIGNER.verifier();
    if let Ok(other) = text.parse::<Vkey>() {
        assert_eq!(other.to_string(), text);
    }
    // No input can be validly signed by a key that it has not.
    if let Ok(signed) = open(text, key) {
        assert_eq!(
            SIGNER.sign(signed),
            text.split_inclusive('\n').collect::<String>()
        );
    }
    let message = format!("{text}\n");
    let note = SIGNER.sign(&message);
    if let Ok(opened) = open(&note, key) {
        assert_eq!(opened, message);
    }
    if let Ok(checkpoint) = Checkpoint::open(&note, key) {
        assert!(checkpoint.size <= MAX_SIZE);
        assert_eq!(checkpoint.sign(&SIGNER), note);
    }
});
