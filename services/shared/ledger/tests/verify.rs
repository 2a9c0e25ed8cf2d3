//! Offline verification: whatever is done to a ledger's files, the public key shows it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use common::{fill_fast, open, signer};
use holdfast_ledger::verify::{FindingKind, Progress, VerifyError, VerifyOptions, VerifyReport, verify};
use holdfast_ledger::{Checkpoint, Signer};

const SIZE: u64 = 66_100;

/// One ledger for all tests, so large that it has three levels of tiles; published a dozen times and more on the way.
fn ledger() -> &'static Path {
    static DIRECTORY: Mutex<Option<&'static Path>> = Mutex::new(None);
    let mut directory = DIRECTORY.lock().unwrap();
    directory.get_or_insert_with(|| {
        let made = Box::leak(Box::new(tempfile::tempdir().unwrap())).path();
        let options = holdfast_ledger::Options {
            segment_bytes: 8 << 20,
            ..common::options()
        };
        let (ledger, _) = holdfast_ledger::Ledger::open(made, signer(), common::clock(), options).unwrap();
        let mut next = 0;
        for end in [1, 2, 255, 256, 257, 1000, 20_000, 40_000, 65_536, 65_537, SIZE] {
            fill_fast(&ledger, next..end);
            ledger.publish_and_wait().unwrap();
            next = end;
        }
        ledger.close();
        made
    })
}

fn report(directory: &Path, witness: Option<&str>) -> VerifyReport {
    verify(
        directory,
        signer().verifier(),
        &VerifyOptions {
            witness,
            ..VerifyOptions::default()
        },
    )
    .unwrap()
}

/// A copy whose files are the same ones until they are written to: large and cheap.
fn copy() -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    link_into(ledger(), to.path());
    to
}

fn link_into(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            link_into(&entry.path(), &target);
        } else if entry.path().parent().unwrap().ends_with("wal") {
            // Not needed to verify.
        } else {
            fs::hard_link(entry.path(), target).unwrap();
        }
    }
}

/// Replaces a file, leaving the one it was linked to alone.
fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

fn change(directory: &Path, file: &str, place: usize) {
    let path = directory.join(file);
    let mut bytes = fs::read(&path).unwrap();
    bytes[place] ^= 4;
    replace(&path, &bytes);
}

fn records(directory: &Path) -> Vec<String> {
    let text = fs::read_to_string(directory.join("checkpoints")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    lines
        .chunks(6)
        .map(|record| record[..5].join("\n") + "\n")
        .collect()
}

fn history(notes: &[String]) -> String {
    notes.iter().flat_map(|note| [note.as_str(), "\n"]).collect()
}

#[test]
fn an_untouched_ledger_verifies_with_every_checkpoint() {
    let seen = Mutex::new(Vec::new());
    let progress = |progress: Progress| seen.lock().unwrap().push(progress);
    let options = VerifyOptions {
        progress: Some(&progress),
        ..VerifyOptions::default()
    };
    let report = verify(ledger(), signer().verifier(), &options).unwrap();
    assert!(report.ok, "{report:?}");
    assert_eq!((report.size, report.uncovered_entries), (SIZE, 0));
    assert_eq!(report.checkpoints, records(ledger()).len() as u64);
    assert_eq!(report.findings, []);
    let seen = seen.into_inner().unwrap();
    assert_eq!(
        seen.last(),
        Some(&Progress {
            done: SIZE,
            size: SIZE
        })
    );
    assert!(seen.len() > 1 && seen.is_sorted_by_key(|progress| progress.done));
    let copy = copy();
    assert!(
        self::report(copy.path(), None).ok,
        "the copy that the other tests change verifies"
    );
    for threads in [1, 3] {
        let options = VerifyOptions {
            threads: Some(threads),
            ..VerifyOptions::default()
        };
        assert!(verify(ledger(), signer().verifier(), &options).unwrap().ok);
    }
}

#[test]
fn a_changed_byte_in_any_kind_of_file_is_found() {
    use FindingKind::{CheckpointInvalid, EntryChanged, HistoryInvalid, TileChanged};
    for (file, places, kind) in [
        ("tile/entries/000", vec![2, 100, 5000], EntryChanged),
        ("tile/entries/258.p/52", vec![2, 400], EntryChanged),
        ("tile/0/000", vec![0, 8191], EntryChanged),
        ("tile/0/258.p/52", vec![0, 52 * 32 - 1], EntryChanged),
        ("tile/1/000", vec![0, 31, 8191], TileChanged),
        ("tile/1/001.p/2", vec![0, 63], TileChanged),
        ("tile/2/000.p/1", vec![0, 31], TileChanged),
        ("checkpoint", vec![0, 20, 30, 90, 150], CheckpointInvalid),
        ("checkpoints", vec![200, 500], HistoryInvalid),
    ] {
        for place in places {
            let directory = copy();
            change(directory.path(), file, place);
            let report = report(directory.path(), None);
            assert!(!report.ok && report.has(kind), "{file} byte {place}: {report:?}");
        }
    }
}

#[test]
fn every_byte_of_a_small_ledger_counts() {
    let original = tempfile::tempdir().unwrap();
    let (small, _) = open(original.path());
    for range in [0..1, 1..3] {
        fill_fast(&small, range);
        small.publish_and_wait().unwrap();
    }
    small.close();
    assert!(report(original.path(), None).ok);
    let mut files: Vec<PathBuf> = vec!["checkpoint".into(), "checkpoints".into()];
    files.extend(["tile/0/000.p/3", "tile/entries/000.p/3"].map(PathBuf::from));
    for file in files {
        let path = original.path().join(&file);
        let whole = fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            fs::write(&path, bytes).unwrap();
            assert!(
                !report(original.path(), None).ok,
                "{} byte {place} changed",
                file.display()
            );
            fs::write(&path, &whole[..place]).unwrap();
            assert!(
                !report(original.path(), None).ok,
                "{} cut at {place}",
                file.display()
            );
        }
        fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
        let longer = report(original.path(), None);
        // Bytes after the last whole record are what a crash leaves; they are no record and vouch for nothing.
        assert_eq!(
            longer.ok,
            file.ends_with("checkpoints"),
            "{} with a byte more: {longer:?}",
            file.display()
        );
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn a_missing_or_shortened_file_is_found() {
    for file in [
        "tile/entries/100",
        "tile/0/100",
        "tile/1/000",
        "tile/2/000.p/1",
        "tile/entries/258.p/52",
    ] {
        let directory = copy();
        fs::remove_file(directory.path().join(file)).unwrap();
        let missing = report(directory.path(), None);
        assert!(missing.has(FindingKind::Missing), "{file}: {missing:?}");
        assert_eq!(missing.findings[0].place, file);
        let directory = copy();
        let bytes = fs::read(directory.path().join(file)).unwrap();
        replace(&directory.path().join(file), &bytes[..bytes.len() - 1]);
        let cut = report(directory.path(), None);
        assert!(cut.has(FindingKind::Malformed), "{file}: {cut:?}");
    }
    let directory = copy();
    fs::remove_file(directory.path().join("checkpoints")).unwrap();
    assert!(report(directory.path(), None).has(FindingKind::HistoryIncomplete));
    let directory = copy();
    fs::remove_file(directory.path().join("checkpoint")).unwrap();
    assert!(report(directory.path(), None).has(FindingKind::CheckpointMissing));
}

/// An attacker who can hash but not sign: an entry is changed and everything above it is made to fit.
#[test]
fn a_consistent_rewrite_is_found_and_placed_between_two_checkpoints() {
    let forged = tempfile::tempdir().unwrap();
    let wrong = Signer::from_seed(holdfast_ledger::KEY_NAME, &[8; 32]).unwrap();
    let options = holdfast_ledger::Options {
        segment_bytes: 8 << 20,
        ..common::options()
    };
    let (ledger, _) = holdfast_ledger::Ledger::open(forged.path(), wrong, common::clock(), options).unwrap();
    let genuine = copy();
    // The same entries, but for one, with the times of the original.
    let original = genuine.path().join("tile/entries/003");
    fill_fast(&ledger, 0..SIZE);
    ledger.close();
    assert!(original.exists());
    let directory = copy();
    fs::remove_dir_all(directory.path().join("tile")).unwrap();
    fs::create_dir(directory.path().join("tile")).unwrap();
    link_into(&forged.path().join("tile"), &directory.path().join("tile"));
    let report = report(directory.path(), None);
    assert!(report.has(FindingKind::Rewritten), "{report:?}");
    assert_eq!(report.findings.len(), 1, "the tiles fit each other: {report:?}");
    assert_eq!(report.findings[0].place, "entries 0 to 0");
}

#[test]
fn the_first_checkpoint_that_a_rewrite_contradicts_says_where_it_is() {
    let directory = copy();
    let sizes: Vec<u64> = records(directory.path())
        .iter()
        .map(|note| note.lines().nth(1).unwrap().parse().unwrap())
        .collect();
    let after = sizes.partition_point(|size| *size <= 30_000);
    let between = format!("entries {} to {}", sizes[after - 1], sizes[after] - 1);
    let file = directory.path().join("tile/entries/117");
    let text = fs::read(&file).unwrap();
    let place = text
        .windows(13)
        .position(|window| window == b"subject 30000")
        .unwrap();
    change(directory.path(), "tile/entries/117", place + 12);
    let report = report(directory.path(), None);
    let kinds: Vec<(FindingKind, &str)> = report
        .findings
        .iter()
        .map(|finding| (finding.kind, finding.place.as_str()))
        .collect();
    assert_eq!(kinds[0], (FindingKind::EntryChanged, "entry 30000"));
    assert_eq!(kinds[1], (FindingKind::Rewritten, between.as_str()));
}

#[test]
fn a_fork_is_found() {
    // Two ledgers under one key: the recorder's key was used twice.
    let other = tempfile::tempdir().unwrap();
    let (second, _) = open(other.path());
    fill_fast(&second, 0..1000);
    second.publish_and_wait().unwrap();
    let branch = second.reader().head().note.clone();
    second.close();
    // Recorded one after the other.
    let directory = copy();
    let mut all = records(directory.path());
    let at = all
        .iter()
        .position(|note| note.starts_with("holdfast/ledger\n1000\n"))
        .unwrap();
    all.insert(at, branch.clone());
    let text = history(&all);
    replace(&directory.path().join("checkpoints"), text.as_bytes());
    assert!(report(directory.path(), None).has(FindingKind::Fork));
    // In place of the genuine one.
    all.remove(at + 1);
    let text = history(&all);
    replace(&directory.path().join("checkpoints"), text.as_bytes());
    assert!(report(directory.path(), None).has(FindingKind::Rewritten));
    // Kept elsewhere.
    let found = report(ledger(), Some(&branch));
    assert!(found.has(FindingKind::WitnessContradicted), "{found:?}");
    // And shown instead of the newest.
    let directory = copy();
    let text = history(&records(directory.path())[..=at]);
    replace(&directory.path().join("checkpoints"), text.as_bytes());
    replace(&directory.path().join("checkpoint"), branch.as_bytes());
    assert!(report(directory.path(), None).has(FindingKind::Fork));
}

#[test]
fn an_old_checkpoint_in_place_of_the_newest_is_found_without_a_witness() {
    let directory = copy();
    for old in records(directory.path()).iter().rev().skip(1) {
        replace(&directory.path().join("checkpoint"), old.as_bytes());
        let report = report(directory.path(), None);
        assert!(report.has(FindingKind::CheckpointOutdated), "{report:?}");
        assert_eq!(report.size, SIZE, "the history says how large the ledger is");
    }
}

#[test]
fn a_whole_directory_put_back_is_found_with_a_witness_only() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, _) = open(directory.path());
    fill_fast(&ledger, 0..500);
    ledger.publish_and_wait().unwrap();
    let earlier = ledger.reader().head().note.clone();
    ledger.close();
    let (ledger, _) = open(directory.path());
    fill_fast(&ledger, 500..700);
    ledger.publish_and_wait().unwrap();
    let later = ledger.reader().head().note.clone();
    ledger.close();
    for witness in [&earlier, &later] {
        assert!(report(directory.path(), Some(witness)).ok);
    }
    let rolled_back = tempfile::tempdir().unwrap();
    let (ledger, _) = open(rolled_back.path());
    fill_fast(&ledger, 0..500);
    ledger.close();
    assert!(
        report(rolled_back.path(), None).ok,
        "by itself an old state is a good one"
    );
    let found = report(rolled_back.path(), Some(&later));
    assert!(found.has(FindingKind::Rollback), "{found:?}");
}

#[test]
fn a_witness_must_be_signed_by_the_key() {
    let other = Signer::from_seed(holdfast_ledger::KEY_NAME, &[8; 32]).unwrap();
    let note = Checkpoint {
        size: 1,
        root: [0; 32],
    }
    .sign(&other);
    assert!(report(ledger(), Some(&note)).has(FindingKind::WitnessInvalid));
    assert!(report(ledger(), Some("nothing")).has(FindingKind::WitnessInvalid));
    let genuine = records(ledger());
    assert!(genuine.iter().all(|note| report(ledger(), Some(note)).ok));
}

#[test]
fn another_key_vouches_for_nothing() {
    let other = Signer::from_seed(holdfast_ledger::KEY_NAME, &[8; 32]).unwrap();
    let report = verify(ledger(), other.verifier(), &VerifyOptions::default()).unwrap();
    assert!(
        !report.ok && report.has(FindingKind::CheckpointInvalid),
        "{report:?}"
    );
}

#[test]
fn what_is_no_ledger_is_an_error_and_not_a_clean_one() {
    let empty = tempfile::tempdir().unwrap();
    let key = signer();
    let nothing = verify(empty.path(), key.verifier(), &VerifyOptions::default());
    assert!(matches!(nothing, Err(VerifyError::Nothing)));
    let missing = verify(
        &empty.path().join("none"),
        key.verifier(),
        &VerifyOptions::default(),
    );
    assert!(matches!(missing, Err(VerifyError::Read(_))));
    let directory = copy();
    fs::remove_file(directory.path().join("checkpoint")).unwrap();
    fs::remove_file(directory.path().join("checkpoints")).unwrap();
    assert!(report(directory.path(), None).has(FindingKind::CheckpointMissing));
}

#[test]
fn a_signed_size_without_entries_is_not_counted_up_to() {
    let directory = tempfile::tempdir().unwrap();
    let note = Checkpoint {
        size: holdfast_ledger::checkpoint::MAX_SIZE,
        root: [0; 32],
    }
    .sign(&signer());
    fs::write(directory.path().join("checkpoint"), &note).unwrap();
    fs::write(
        directory.path().join("checkpoints"),
        history(std::slice::from_ref(&note)),
    )
    .unwrap();
    let report = report(directory.path(), None);
    assert!(
        report.has(FindingKind::Missing) && report.findings.len() <= 64,
        "{report:?}"
    );
    assert!(
        report
            .remarks
            .iter()
            .any(|remark| remark.starts_with("the verification ended"))
    );
}

#[test]
fn a_ledger_that_is_being_written_verifies_all_the_time() {
    let directory = tempfile::tempdir().unwrap();
    let options = holdfast_ledger::Options {
        checkpoint_interval: std::time::Duration::from_millis(1),
        ..common::options()
    };
    let (ledger, _) =
        holdfast_ledger::Ledger::open(directory.path(), signer(), common::clock(), options).unwrap();
    fill_fast(&ledger, 0..100);
    ledger.publish_and_wait().unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| fill_fast(&ledger, 100..6000));
        let mut runs = 0;
        while !writer.is_finished() || runs < 3 {
            let report = report(directory.path(), None);
            assert!(report.ok, "{report:?}");
            runs += 1;
        }
        println!("verified {runs} times while it was written");
    });
}
