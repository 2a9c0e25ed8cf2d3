//! Crashes at every step: nothing acknowledged is lost, nothing that was signed is contradicted, and the ledger
//! goes on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod common;

use std::sync::Arc;

use common::memory::{Crash, Memory, Random};
use common::{draft, fill, fill_fast, numbered, signer, subjects, try_open_on};
use holdfast_ledger::storage::Storage;
use holdfast_ledger::verify::{VerifyOptions, verify_on};
use holdfast_ledger::{Checkpoint, Ledger};

/// What a run knows to be promised when it dies.
#[derive(Debug, Default, Clone, PartialEq)]
struct Promised {
    acknowledged: u64,
    checkpoint: Option<Checkpoint>,
}

/// Entries in each of several rounds: bundles fill, segments change, and both ends of a bundle are met.
const ROUNDS: [u64; 7] = [1, 254, 1, 1, 300, 211, 600];

fn publish(ledger: &Ledger, promised: &mut Promised) -> bool {
    let published = ledger.publish_and_wait().is_ok();
    // Whatever can be read was shown, also when publishing went wrong afterwards.
    promised.checkpoint = Some(ledger.reader().head().checkpoint);
    published
}

/// Appends in rounds, publishing after each, until all is done or the storage is dead.
fn run(storage: &Memory) -> Promised {
    let mut promised = Promised::default();
    let Ok((ledger, _)) = try_open_on(Arc::new(storage.clone())) else {
        return promised;
    };
    promised.checkpoint = Some(ledger.reader().head().checkpoint);
    'rounds: for round in ROUNDS {
        let (sender, receiver) = std::sync::mpsc::channel();
        for number in promised.acknowledged..promised.acknowledged + round {
            let sender = sender.clone();
            let done = Box::new(move |result| _ = sender.send(result));
            ledger.append(draft(&format!("subject {number}")), done);
        }
        drop(sender);
        for result in receiver {
            match result {
                Ok(appended) => {
                    assert_eq!(appended.index, promised.acknowledged);
                    promised.acknowledged += 1;
                }
                Err(_) => break 'rounds,
            }
        }
        if !publish(&ledger, &mut promised) {
            break;
        }
    }
    ledger.close();
    promised
}

/// Opens what a crash left and checks that every promise is kept, then that the ledger can go on.
fn check(left: &Memory, promised: &Promised, what: &str) {
    let (ledger, recovery) = match try_open_on(Arc::new(left.clone())) {
        Ok(opened) => opened,
        Err(error) => panic!(
            "{what}: {error}: {:?}",
            std::error::Error::source(&error).map(ToString::to_string)
        ),
    };
    assert!(
        recovery.size >= promised.acknowledged,
        "{what}: {recovery:?} {promised:?}"
    );
    assert_eq!(ledger.trouble(), None, "{what}");
    let head = ledger.reader().head();
    assert_eq!(head.checkpoint.size, recovery.size, "{what}");
    if let Some(shown) = promised.checkpoint {
        assert!(shown.size <= recovery.size, "{what}");
        let proof = ledger
            .reader()
            .consistency(shown.size, recovery.size)
            .unwrap()
            .unwrap();
        let (root, size) = (&head.checkpoint.root, recovery.size);
        holdfast_ledger::proof::verify_consistency(shown.size, &shown.root, size, root, &proof).expect(what);
    }
    // An entry that was not acknowledged may be there, but only as the next one that was submitted.
    let read = subjects(&ledger);
    assert_eq!(read, numbered(recovery.size), "{what}");
    fill(&ledger, recovery.size..recovery.size + 3);
    ledger.publish_and_wait().unwrap();
    ledger.close();
    verify(left, what);
    let (ledger, recovery) = try_open_on(Arc::new(left.clone())).expect(what);
    assert!(recovery.is_clean(), "{what}: {recovery:?}");
    assert_eq!(subjects(&ledger), numbered(recovery.size), "{what}");
}

fn verify(storage: &dyn Storage, what: &str) {
    let options = VerifyOptions {
        threads: Some(1),
        ..VerifyOptions::default()
    };
    let report = verify_on(storage, signer().verifier(), &options).expect(what);
    assert!(report.ok, "{what}: {report:?}");
    assert_eq!(report.uncovered_entries, 0, "{what}");
}

fn every_step(crash: Crash, stride: u64) {
    let complete = Memory::default();
    let promised = run(&complete);
    assert_eq!(promised.acknowledged, ROUNDS.iter().sum::<u64>());
    // The threads do not always take the same steps: group commits are larger or smaller.
    let again = (0..4).map(|_| {
        let storage = Memory::default();
        run(&storage);
        storage.steps()
    });
    let steps = again.fold(complete.steps(), u64::min);
    assert!(steps > 100, "the run has {steps} steps");
    check(
        &complete.after(Crash::Killed, &mut Random(1)),
        &promised,
        "complete run",
    );
    let mut died = 0;
    for step in (1..=steps).step_by(usize::try_from(stride).unwrap()) {
        let storage = Memory::default();
        storage.die_at(step);
        let promised = run(&storage);
        died += u64::from(storage.is_dead());
        let seeds = if crash == Crash::PowerLostPartly { 4 } else { 1 };
        for seed in 1..=seeds {
            let left = storage.after(crash, &mut Random(step * 1000 + seed));
            check(
                &left,
                &promised,
                &format!("{crash:?} at step {step} of {steps}, seed {seed}"),
            );
        }
    }
    // Most of the places must have been reached.
    assert!(died * 10 > steps / stride * 9, "only {died} crashes happened");
}

#[test]
fn a_kill_at_every_step_loses_nothing_acknowledged() {
    every_step(Crash::Killed, 1);
}

#[test]
fn a_power_failure_at_every_step_loses_nothing_acknowledged() {
    every_step(Crash::PowerLost, 1);
}

#[test]
fn a_power_failure_that_wrote_back_in_any_order_loses_nothing_acknowledged() {
    every_step(Crash::PowerLostPartly, 1);
}

#[test]
fn a_crash_during_recovery_is_recovered_from() {
    let complete = Memory::default();
    run(&complete);
    // How many steps a run takes depends on how the entries happen to be taken together.
    let died = (1..5).rev().find_map(|fifths| {
        let storage = Memory::default();
        storage.die_at(complete.steps() / 5 * fifths);
        let promised = run(&storage);
        (storage.is_dead() && promised.acknowledged > 0).then_some((storage, promised))
    });
    let (storage, promised) = died.unwrap();
    let left = storage.after(Crash::PowerLost, &mut Random(1));
    let opened = left.after(Crash::Killed, &mut Random(1));
    drop(try_open_on(Arc::new(opened.clone())).unwrap());
    for step in 1..opened.steps() {
        let again = left.after(Crash::Killed, &mut Random(1));
        again.die_at(step);
        drop(try_open_on(Arc::new(again.clone())));
        for crash in [Crash::Killed, Crash::PowerLost, Crash::PowerLostPartly] {
            let what = format!("{crash:?} at step {step} of recovery");
            check(&again.after(crash, &mut Random(step)), &promised, &what);
        }
    }
}

#[test]
fn a_full_disk_refuses_appends_keeps_what_it_has_and_recovers_when_there_is_space() {
    let storage = Memory::default();
    let (ledger, _) = try_open_on(Arc::new(storage.clone())).unwrap();
    fill_fast(&ledger, 0..300);
    ledger.publish_and_wait().unwrap();
    storage.set_space(Some(2_000));
    // The log is allocated in advance, so this is durable; but it cannot be turned into tiles.
    fill(&ledger, 300..310);
    assert_eq!(ledger.publish_and_wait(), Err(holdfast_ledger::Trouble::NoSpace));
    let refused = ledger.append_and_wait(draft("refused"));
    assert_eq!(
        refused,
        Err(holdfast_ledger::AppendError::Trouble(
            holdfast_ledger::Trouble::NoSpace
        ))
    );
    assert_eq!(subjects(&ledger), numbered(300), "what was published can be read");
    // Killed in this state, and started while the disk is still full.
    let left = storage.after(Crash::Killed, &mut Random(1));
    left.set_space(Some(2_000));
    let (other, recovery) = try_open_on(Arc::new(left.clone())).unwrap();
    assert_eq!(
        (recovery.size, other.trouble()),
        (310, Some(holdfast_ledger::Trouble::NoSpace))
    );
    assert_eq!(subjects(&other), numbered(300));
    for (ledger, storage) in [(ledger, storage), (other, left)] {
        storage.set_space(None);
        // It tries again by itself: nobody has to ask.
        while ledger.trouble().is_some() {
            std::thread::yield_now();
        }
        fill(&ledger, 310..900);
        ledger.publish_and_wait().unwrap();
        assert_eq!(subjects(&ledger), numbered(900));
        ledger.close();
        verify(&storage, "after the disk was full");
    }
}

#[test]
fn the_reserve_is_kept_free() {
    let storage = Memory::default();
    let options = holdfast_ledger::Options {
        min_free_bytes: 1 << 20,
        ..common::options()
    };
    let (ledger, _) = Ledger::open_on(Arc::new(storage.clone()), signer(), common::clock(), options).unwrap();
    storage.set_space(Some(1 << 20));
    fill(&ledger, 0..1);
    storage.set_space(Some((1 << 20) - 1));
    let refused = ledger.append_and_wait(draft("refused"));
    assert_eq!(
        refused,
        Err(holdfast_ledger::AppendError::Trouble(
            holdfast_ledger::Trouble::NoSpace
        ))
    );
    ledger.publish_and_wait().unwrap();
    storage.set_space(None);
    fill(&ledger, 1..2);
}
