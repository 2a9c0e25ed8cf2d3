//! What the integration tests share: entries that can be told apart, a ledger to put them in, and checks.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod memory;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use holdfast_contract::Timestamp;
use holdfast_contract::ledger::{Append, Event, Outcome};
use holdfast_ledger::storage::Storage;
use holdfast_ledger::{Clock, Draft, Ledger, OpenError, Options, Recovery, Signer};

pub fn signer() -> Signer {
    Signer::from_seed(holdfast_ledger::KEY_NAME, &[7; 32]).unwrap()
}

/// A clock that goes on by a millisecond whenever it is looked at.
pub fn clock() -> Clock {
    static NOW: AtomicI64 = AtomicI64::new(1_767_225_600_000);
    Arc::new(|| Timestamp::from_millisecond(NOW.fetch_add(1, Ordering::Relaxed)).unwrap())
}

/// Small segments, so that they change often, and checkpoints only when a test asks for them.
pub fn options() -> Options {
    Options {
        checkpoint_interval: Duration::from_hours(1),
        segment_bytes: 96 << 10,
        min_free_bytes: 0,
        queue_entries: 4096,
    }
}

pub fn append(subject: &str) -> Append {
    Append {
        event: Event::ModelOpen,
        outcome: Outcome::Allowed,
        subject: subject.to_owned(),
        detail: serde_json::Map::new(),
    }
}

pub fn draft(subject: &str) -> Draft {
    Draft::new("holdfast-test", &append(subject)).unwrap()
}

pub fn open(directory: &Path) -> (Ledger, Recovery) {
    Ledger::open(directory, signer(), clock(), options()).unwrap()
}

pub fn try_open_on(storage: Arc<dyn Storage>) -> Result<(Ledger, Recovery), OpenError> {
    Ledger::open_on(storage, signer(), clock(), options())
}

/// Appends entries called `from..to` one after the other.
pub fn fill(ledger: &Ledger, range: std::ops::Range<u64>) {
    for number in range {
        let appended = ledger
            .append_and_wait(draft(&format!("subject {number}")))
            .unwrap();
        assert_eq!(appended.index, number);
    }
}

/// Appends `range` in group commits of many.
pub fn fill_fast(ledger: &Ledger, range: std::ops::Range<u64>) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut number = range.start;
    while number < range.end {
        let end = range.end.min(number + 1000);
        for number in number..end {
            let sender = sender.clone();
            let done = Box::new(move |result| sender.send((number, result)).unwrap());
            ledger.append(draft(&format!("subject {number}")), done);
        }
        for _ in number..end {
            let (number, result): (u64, Result<holdfast_contract::ledger::Appended, _>) =
                receiver.recv().unwrap();
            assert_eq!(result.unwrap().index, number);
        }
        number = end;
    }
}

/// The subjects of all published entries.
pub fn subjects(ledger: &Ledger) -> Vec<String> {
    let reader = ledger.reader();
    let size = reader.head().checkpoint.size;
    let entries = reader.entries(0, size, usize::MAX).unwrap();
    assert_eq!(entries.len() as u64, size);
    assert!(entries.is_sorted_by_key(|entry| entry.entry.time));
    entries.into_iter().map(|entry| entry.entry.subject).collect()
}

pub fn numbered(count: u64) -> Vec<String> {
    (0..count).map(|number| format!("subject {number}")).collect()
}
