//! A write-ahead log that is cut off or damaged at any byte, and directories that somebody tampered with.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod common;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::memory::{Crash, Memory, Random};
use common::{clock, draft, fill, fill_fast, numbered, open, options, signer, subjects, try_open_on};
use holdfast_ledger::verify::{VerifyOptions, verify};
use holdfast_ledger::{Ledger, OpenError, Recovery, Signer};

/// A copy of a directory tree.
fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    copy_into(from, to.path());
    to
}

fn copy_into(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_into(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory.join("wal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// The file that holds the last batch, and where that batch is: from its block to the last byte that is not zero.
fn last_batch(directory: &Path, text: &str) -> (PathBuf, Range<usize>) {
    for file in segments(directory) {
        let bytes = fs::read(&file).unwrap();
        if let Some(place) = bytes
            .windows(text.len())
            .rposition(|window| window == text.as_bytes())
        {
            let end = place + bytes[place..].iter().position(|byte| *byte == 0).unwrap();
            return (file, place / 4096 * 4096..end);
        }
    }
    panic!("{text} is in no segment");
}

fn verified(directory: &Path) {
    let report = verify(directory, signer().verifier(), &VerifyOptions::default()).unwrap();
    assert!(report.ok, "{report:?}");
}

/// A directory as a killed recorder leaves it: 260 published entries and 3 that no checkpoint covers, of which the
/// last is the batch that the tests tear.
fn killed() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, _) = open(directory.path());
    fill_fast(&ledger, 0..260);
    ledger.publish_and_wait().unwrap();
    fill(&ledger, 260..263);
    // The ledger is still open: nothing after the acknowledgement is done.
    let copied = copy(directory.path());
    drop(ledger);
    copied
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill_and_said_to_be_reconciled() {
    let directory = killed();
    let (ledger, recovery) = open(directory.path());
    assert_eq!(
        recovery,
        Recovery {
            size: 263,
            published_entries: 3,
            ..Recovery::default()
        }
    );
    assert_eq!(subjects(&ledger), numbered(263));
    ledger.close();
    verified(directory.path());
}

/// A ledger whose last batch is a group commit of several entries, as `fill_fast` makes one: all of them are there, or none.
struct LastBatch {
    /// Open: when it is dropped it publishes what it has.
    ledger: Ledger,
    storage: Memory,
    slot: &'static str,
    /// The file of the log that the batch is in.
    whole: Vec<u8>,
    /// Where in it the batch is.
    place: Range<usize>,
    /// The entries without it.
    kept: u64,
}

impl LastBatch {
    /// `None` where the threads happened to begin a new file of the log meanwhile, so that it is not one batch in one file.
    fn make() -> Option<Self> {
        let storage = Memory::default();
        let (ledger, _) = try_open_on(Arc::new(storage.clone())).unwrap();
        fill_fast(&ledger, 0..260);
        ledger.publish_and_wait().unwrap();
        fill(&ledger, 260..262);
        let slots = ["wal/0", "wal/1"];
        let before = slots.map(|slot| storage.content(slot));
        fill_fast(&ledger, 262..300);
        let mut changed = slots
            .into_iter()
            .zip(before)
            .map(|(slot, before)| (slot, before, storage.content(slot)))
            .filter(|(_, before, whole)| before != whole);
        let (slot, before, whole) = changed.next()?;
        if changed.next().is_some() {
            return None;
        }
        // Beyond what was written now there may still be batches of the entries that are published.
        let changed = |place: &usize| before.get(*place) != whole.get(*place);
        let start = (0..whole.len()).find(changed)? / 4096 * 4096;
        let end = (0..whole.len()).rfind(changed)? + 1;
        let last = (start..end)
            .step_by(4096)
            .rfind(|block| whole[*block..].starts_with(b"\xffHFBAT1\n"))?;
        let torn = storage.after(Crash::Killed, &mut Random(1));
        torn.set_content(slot, &whole[..last]);
        let kept = try_open_on(Arc::new(torn)).unwrap().1.size;
        let place = last..end;
        (262..300).contains(&kept).then_some(Self {
            ledger,
            storage,
            slot,
            whole,
            place,
            kept,
        })
    }
}

#[test]
fn a_torn_last_batch_is_dropped_at_whatever_byte_it_was_torn() {
    let LastBatch {
        ledger: _ledger,
        storage,
        slot,
        whole,
        place: Range { start: last, end },
        kept,
    } = (0..50)
        .find_map(|_| LastBatch::make())
        .expect("one of many ledgers has its last batch in one file");
    let killed = || storage.after(Crash::Killed, &mut Random(1));
    for place in last..end {
        let mut zeros = whole.clone();
        zeros[place..].fill(0);
        let mut changed = whole.clone();
        changed[place] ^= 0x40;
        let cut = whole[..place].to_vec();
        for (variant, content) in [("cut off", cut), ("zeros from", zeros), ("changed", changed)] {
            let torn = killed();
            torn.set_content(slot, &content);
            let (ledger, recovery) = try_open_on(Arc::new(torn)).unwrap();
            let expected = if content == whole { 300 } else { kept };
            assert_eq!(recovery.size, expected, "{variant} {place}");
            assert_eq!(recovery.published_entries, expected - 260);
            assert_eq!(ledger.reader().head().checkpoint.size, expected);
        }
    }
}

#[test]
fn a_torn_batch_is_reported_and_the_next_entry_takes_its_place() {
    let directory = killed();
    let (file, batch) = last_batch(directory.path(), "subject 262");
    let mut bytes = fs::read(&file).unwrap();
    bytes[batch.end - 1] ^= 1;
    fs::write(&file, bytes).unwrap();
    let (ledger, recovery) = open(directory.path());
    assert_eq!(
        recovery,
        Recovery {
            size: 262,
            published_entries: 2,
            torn_bytes: 4096,
            ..Recovery::default()
        }
    );
    fill(&ledger, 262..270);
    ledger.publish_and_wait().unwrap();
    assert_eq!(subjects(&ledger), numbered(270));
    ledger.close();
    verified(directory.path());
}

#[test]
fn damage_before_an_acknowledged_batch_refuses_to_start_instead_of_losing_it() {
    let directory = killed();
    let (file, batch) = last_batch(directory.path(), "subject 261");
    let mut bytes = fs::read(&file).unwrap();
    bytes[batch.start + 80] ^= 1;
    fs::write(&file, bytes).unwrap();
    let error = Ledger::open(directory.path(), signer(), clock(), options())
        .err()
        .unwrap();
    assert!(
        matches!(&error, OpenError::Damaged { what } if what.contains("entries 261 to 262")),
        "{error}"
    );
    // No entry was dropped: with the byte put right, everything is there.
    let mut bytes = fs::read(&file).unwrap();
    bytes[batch.start + 80] ^= 1;
    fs::write(&file, bytes).unwrap();
    assert_eq!(open(directory.path()).1.size, 263);
}

#[test]
fn damage_to_published_entries_in_the_log_is_made_good_from_the_bundles() {
    let directory = killed();
    let (file, batch) = last_batch(directory.path(), "subject 257");
    let mut bytes = fs::read(&file).unwrap();
    bytes[batch.start + 80] ^= 1;
    fs::write(&file, bytes).unwrap();
    let (ledger, recovery) = open(directory.path());
    assert_eq!((recovery.size, recovery.published_entries), (263, 3));
    assert!(recovery.entries_from_bundles > 0);
    assert_eq!(subjects(&ledger), numbered(263));
    ledger.close();
    verified(directory.path());
}

#[test]
fn without_its_log_a_ledger_goes_on_from_its_checkpoint() {
    let directory = killed();
    fs::remove_dir_all(directory.path().join("wal")).unwrap();
    let (ledger, recovery) = open(directory.path());
    assert_eq!(
        (
            recovery.size,
            recovery.published_entries,
            recovery.entries_from_bundles
        ),
        (260, 0, 4)
    );
    fill(&ledger, 260..600);
    ledger.publish_and_wait().unwrap();
    assert_eq!(subjects(&ledger), numbered(600));
    ledger.close();
    verified(directory.path());
}

#[test]
fn missing_and_changed_tiles_are_rebuilt_from_the_log() {
    let directory = killed();
    fs::write(directory.path().join("tile/0/000"), [0; 8192]).unwrap();
    fs::write(directory.path().join("tile/entries/000"), b"").unwrap();
    fs::remove_file(directory.path().join("tile/entries/001.p/4")).unwrap();
    let (ledger, recovery) = open(directory.path());
    assert_eq!((recovery.size, recovery.rebuilt_files), (263, 2));
    assert_eq!(subjects(&ledger), numbered(263));
    ledger.close();
    verified(directory.path());
}

#[test]
fn a_lost_history_is_continued_from_the_checkpoint_and_a_lost_checkpoint_from_the_history() {
    let directory = killed();
    fs::write(directory.path().join("checkpoints"), b"").unwrap();
    let (ledger, recovery) = open(directory.path());
    assert!(recovery.history_repaired && !recovery.checkpoint_repaired);
    ledger.close();
    fs::remove_file(directory.path().join("checkpoint")).unwrap();
    let (ledger, recovery) = open(directory.path());
    assert!(!recovery.history_repaired && recovery.checkpoint_repaired);
    assert_eq!(subjects(&ledger), numbered(263));
    ledger.close();
    verified(directory.path());
}

#[test]
fn refuses_entries_that_are_not_those_that_were_signed() {
    let directory = killed();
    let shorter = tempfile::tempdir().unwrap();
    // Another ledger under the same key, with other entries in the same places.
    let (ledger, _) = open(shorter.path());
    fill(&ledger, 0..5);
    ledger.append_and_wait(draft("something else")).unwrap();
    fill(&ledger, 6..270);
    ledger.close();
    fs::remove_dir_all(directory.path().join("wal")).unwrap();
    fs::remove_dir_all(directory.path().join("tile")).unwrap();
    for part in ["wal", "tile"] {
        fs::create_dir(directory.path().join(part)).unwrap();
        copy_into(&shorter.path().join(part), &directory.path().join(part));
    }
    let error = Ledger::open(directory.path(), signer(), clock(), options())
        .err()
        .unwrap();
    assert!(
        matches!(&error, OpenError::Damaged { what } if what.contains("not those that were signed")),
        "{error}"
    );
}

#[test]
fn refuses_a_ledger_of_another_key_and_one_that_is_in_use() {
    let directory = killed();
    let other = Signer::from_seed(holdfast_ledger::KEY_NAME, &[8; 32]).unwrap();
    let mut before = Vec::new();
    contents(directory.path(), &mut before);
    let error = Ledger::open(directory.path(), other, clock(), options())
        .err()
        .unwrap();
    assert!(matches!(error, OpenError::History(_)), "{error}");
    let mut after = Vec::new();
    contents(directory.path(), &mut after);
    assert!(before == after, "a start with the wrong key changed something");
    let (ledger, _) = open(directory.path());
    let error = Ledger::open(directory.path(), signer(), clock(), options())
        .err()
        .unwrap();
    assert!(matches!(error, OpenError::Locked), "{error}");
    ledger.close();
}

#[test]
fn refuses_tiles_without_any_checkpoint_or_log() {
    let directory = killed();
    fs::remove_dir_all(directory.path().join("wal")).unwrap();
    fs::remove_file(directory.path().join("checkpoint")).unwrap();
    fs::remove_file(directory.path().join("checkpoints")).unwrap();
    let error = Ledger::open(directory.path(), signer(), clock(), options())
        .err()
        .unwrap();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[test]
fn times_never_go_back_even_when_the_clock_does() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, _) = open(directory.path());
    fill(&ledger, 0..2);
    ledger.close();
    let past: holdfast_ledger::Clock = Arc::new(|| "2001-01-01T00:00:00Z".parse().unwrap());
    let (ledger, _) = Ledger::open(directory.path(), signer(), past, options()).unwrap();
    fill(&ledger, 2..4);
    ledger.publish_and_wait().unwrap();
    let entries = ledger.reader().entries(0, 4, usize::MAX).unwrap();
    assert_eq!(entries[3].entry.time, entries[1].entry.time);
    assert!(entries[1].entry.time > "2020-01-01T00:00:00Z".parse().unwrap());
}

#[test]
fn nothing_is_left_behind_but_the_tree_of_the_newest_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, _) = open(directory.path());
    let mut next = 0;
    for step in [1, 5, 200, 60, 300, 7, 1500] {
        fill_fast(&ledger, next..next + step);
        next += step;
        ledger.publish_and_wait().unwrap();
    }
    ledger.close();
    let mut expected: Vec<String> = Vec::new();
    for kind in ["0", "entries"] {
        expected.extend((0..next / 256).map(|index| format!("tile/{kind}/{index:03}")));
        expected.push(format!("tile/{kind}/{:03}.p/{}", next / 256, next % 256));
    }
    expected.push(format!("tile/1/000.p/{}", next / 256));
    expected.sort();
    let mut found = Vec::new();
    files(directory.path(), directory.path(), &mut found);
    found.retain(|path| path.starts_with("tile/") || path.starts_with("tmp/"));
    found.sort();
    assert_eq!(found, expected);
    let count = |path: &str| fs::read_dir(directory.path().join(path)).unwrap().count();
    assert_eq!(
        count("tile/0"),
        usize::try_from(next / 256).unwrap() + 1,
        "no empty directories are left"
    );
}

/// Every file below a directory with its content.
fn contents(directory: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            contents(&path, found);
        } else {
            let content = fs::read(&path).unwrap();
            found.push((path, content));
        }
    }
}

fn files(root: &Path, directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(root, &path, found);
        } else {
            found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
}
