//! Scan statements: as an envelope, and as what an envelope signs.

#![no_main]

use std::sync::LazyLock;

use holdfast_statement::{Envelope, StatementKey, Vkey, verify};
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<(StatementKey, [Vkey; 1])> = LazyLock::new(|| {
    let key = StatementKey::from_seed("holdfast/quarantine", &[7; 32]).expect("a name for a key");
    let trusted = [key.vkey()];
    (key, trusted)
});

fuzz_target!(|bytes: &[u8]| {
    let (key, trusted) = &*KEY;
    if let Ok(envelope) = Envelope::parse(bytes) {
        let again = Envelope::parse(envelope.to_text().as_bytes()).expect("what was read can be written");
        assert_eq!(again, envelope);
        let _ = envelope.open(trusted);
    }
    let envelope = Envelope::seal(bytes, key);
    assert_eq!(envelope.open(trusted).expect("what was signed opens"), bytes);
    if let Ok(statement) = verify(envelope.to_text().as_bytes(), trusted) {
        assert_eq!(statement.report.sha256.as_ref(), Some(&statement.digest));
    }
});
