//! Entries of the ledger and bundles of them: what is canonical is written again as it was read, and nothing else is canonical.

#![no_main]

use holdfast_ledger::bundle;
use holdfast_ledger::entry::{decode, decode_canonical, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match (decode(bytes), decode_canonical(bytes)) {
        (Ok(entry), Ok(canonical)) => {
            assert_eq!(entry, canonical);
            if let Ok(written) = encode(&entry) {
                assert_eq!(written, bytes);
            }
        }
        (Ok(entry), Err(_)) => {
            if let Ok(written) = encode(&entry) {
                assert_ne!(written, bytes);
                assert_eq!(decode_canonical(&written).ok(), Some(entry));
            }
        }
        (Err(_), canonical) => assert!(canonical.is_err()),
    }
    let mut again = Vec::new();
    let entries: Result<Vec<_>, _> = bundle::entries(bytes).collect();
    if let Ok(entries) = &entries {
        for entry in entries {
            assert!(bundle::push(&mut again, entry));
        }
        assert_eq!(again, bytes);
        assert_eq!(bundle::prefix(bytes, entries.len()), Some(bytes));
        assert_eq!(bundle::prefix(bytes, entries.len() + 1), None);
    }
});
