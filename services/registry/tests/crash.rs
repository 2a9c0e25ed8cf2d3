//! The process ends, or the file system fails, at every step of a change, and at random moments: what is left is the old state
//! or the new one, and the next start makes it clean.
//!
//! A program of its own, because it starts itself as the process that is to end.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_contract::Timestamp;
use holdfast_contract::ledger::{Event, Outcome};
use holdfast_contract::registry::{Models, Removed};
use holdfast_registry::store::{OnStep, Reconciled, Step, Store, StoreError, Trust, Watch};
use rustix::process::{Signal, getpid, kill_process};
use support::daemon::Place;
use support::{admit, artifact, blob, checker, digest_of, key, report, request};

/// What is going on when the process ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    Add,
    Remove,
    Repair,
}

const CHANGES: [Change; 3] = [Change::Add, Change::Remove, Change::Repair];
const OLD: &[u8] = b"the model that was there";
const NEW: &[u8] = b"the model that comes";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, child, state, change, step] = arguments.as_slice()
        && child == "end-at-step"
    {
        return end_at_step(Path::new(state), change.parse().unwrap(), step.parse().unwrap());
    }
    let tests: [(&str, fn()); 4] = [
        (
            "a_failure_at_any_step_leaves_the_old_state_or_the_new",
            a_failure_at_any_step,
        ),
        (
            "an_end_at_any_step_leaves_the_old_state_or_the_new",
            an_end_at_any_step,
        ),
        (
            "an_interrupted_change_is_named_at_the_next_start",
            an_interrupted_change_is_named,
        ),
        (
            "a_daemon_that_is_killed_at_random_loses_nothing_it_told",
            a_daemon_that_is_killed_at_random,
        ),
    ];
    let filter = arguments.get(1).filter(|argument| !argument.starts_with('-'));
    let mut passed = 0;
    for (name, test) in tests {
        if filter.is_none_or(|filter| name.contains(filter.as_str())) {
            test();
            println!("test {name} ... ok");
            passed += 1;
        }
    }
    println!("\ntest result: ok. {passed} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}

fn open_store(state: &Path, on_step: OnStep) -> (Arc<Store>, Reconciled) {
    let (store, reconciled) = Store::open_with_steps(state, vec![key().vkey()], on_step).unwrap();
    (Arc::new(store), reconciled)
}

fn plain(state: &Path) -> (Arc<Store>, Reconciled) {
    open_store(state, Arc::new(|_| Ok(())))
}

fn turn(store: &Arc<Store>) -> holdfast_registry::store::Turn {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(store.turn())
}

/// What the daemon does, without the ledger.
fn add(store: &Arc<Store>, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let envelope = request(name, &report(bytes)).envelope;
    let statement = holdfast_statement::verify(envelope.as_bytes(), &[key().vkey()]).unwrap();
    let received = store.receive(artifact(bytes), &statement, &Watch::default())?;
    if let Some(model) = store.model(statement.digest) {
        store.repair(&model, received)?;
        return Ok(());
    }
    store
        .prepare_addition(turn(store), received, &statement, &envelope, Timestamp::now())?
        .carry_out()?;
    Ok(())
}

fn remove(store: &Arc<Store>, bytes: &[u8]) -> Result<(), StoreError> {
    match store.prepare_removal(turn(store), digest_of(bytes))? {
        Some(removal) => removal.carry_out(),
        None => Ok(()),
    }
}

impl Change {
    /// A store in which the change can be made.
    fn prepare(self) -> tempfile::TempDir {
        let state = tempfile::tempdir().unwrap();
        let (store, _) = plain(state.path());
        add(&store, "old.gguf", OLD).unwrap();
        if self != Self::Add {
            add(&store, "new.gguf", NEW).unwrap();
        }
        if self == Self::Repair {
            let path = blob(state.path(), digest_of(NEW));
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, b"something else").unwrap();
        }
        state
    }

    fn make(self, store: &Arc<Store>) -> Result<(), StoreError> {
        match self {
            Self::Add | Self::Repair => add(store, "new.gguf", NEW),
            Self::Remove => remove(store, NEW),
        }
    }

    /// Opens the store, verifies what is not sealed, and says which models can be opened.
    fn settled(state: &Path) -> (Vec<String>, Reconciled) {
        let (store, reconciled) = plain(state);
        for model in store.unverified() {
            store.verify(&model, &Watch::default()).unwrap();
        }
        let good = |digest| store.open_model(&store.model(digest).unwrap()).is_ok();
        let names = store
            .models()
            .into_iter()
            .filter(|model| good(model.digest))
            .map(|model| model.name);
        (names.collect(), reconciled)
    }

    /// What is left is the old state or the new one; the change can be made then, and makes the new one.
    fn assert_old_or_new(self, state: &Path, step: Step) {
        let (names, _) = Self::settled(state);
        let is_old = names
            == if self == Self::Remove {
                ["new", "old"].as_slice()
            } else {
                &["old"]
            };
        let is_new = names
            == if self == Self::Remove {
                ["old"].as_slice()
            } else {
                &["new", "old"]
            };
        assert!(is_old || is_new, "{self:?} at {step:?}: {names:?}");
        if !(self == Self::Repair && is_old) {
            assert_eq!(checker::check(state).len(), names.len(), "{self:?} at {step:?}");
        }
        let (store, reconciled) = plain(state);
        assert!(
            reconciled.is_empty(),
            "the second start finds nothing to do: {reconciled:?}"
        );
        self.make(&store).unwrap();
        drop(store);
        let (names, _) = Self::settled(state);
        assert_eq!(
            names,
            if self == Self::Remove {
                ["old"].as_slice()
            } else {
                &["new", "old"]
            }
        );
        checker::check(state);
    }
}

impl std::str::FromStr for Change {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        CHANGES
            .into_iter()
            .find(|change| format!("{change:?}") == text)
            .ok_or(())
    }
}

/// A failure is told, leaves no litter at once, and leaves a store that works.
fn a_failure_at_any_step() {
    for change in CHANGES {
        let mut failures = 0;
        for at in Step::ALL {
            let state = change.prepare();
            let failing = Arc::new(AtomicBool::new(true));
            let on_step: OnStep = {
                let failing = Arc::clone(&failing);
                Arc::new(move |step| {
                    let fails = step == at && failing.load(Ordering::SeqCst);
                    if fails {
                        Err(io::ErrorKind::StorageFull.into())
                    } else {
                        Ok(())
                    }
                })
            };
            let (store, _) = open_store(state.path(), on_step);
            for model in store.unverified() {
                assert!(matches!(
                    store.verify(&model, &Watch::default()),
                    Ok(Trust::Damaged { .. })
                ));
            }
            if let Err(error) = change.make(&store) {
                failures += 1;
                assert!(error.is_full(), "{error:?}");
                let is_gone = change == Change::Remove && at == Step::RemoveBlobs;
                if change != Change::Repair && !is_gone {
                    assert_eq!(
                        checker::check(state.path()).len(),
                        store.models().len(),
                        "{change:?} at {at:?}"
                    );
                }
            }
            failing.store(false, Ordering::SeqCst);
            change.make(&store).unwrap();
            drop(store);
            change.assert_old_or_new(state.path(), at);
        }
        let expected = if change == Change::Remove { 3 } else { 5 };
        assert!(failures >= expected, "{change:?} failed at {failures} steps only");
    }
}

/// The child of the next test: makes the change and ends in the middle of it, as if the power had gone.
fn end_at_step(state: &Path, change: Change, at: usize) {
    let on_step: OnStep = Arc::new(move |step| {
        if step == Step::ALL[at] {
            kill_process(getpid(), Signal::KILL)?;
        }
        Ok(())
    });
    let (store, _) = open_store(state, on_step);
    change.make(&store).unwrap();
}

/// Whether the child was ended, or came to the end of its work because the step is not one of the change.
fn ended(state: &Path, change: Change, step: usize) -> bool {
    let status = Command::new(std::env::current_exe().unwrap())
        .arg("end-at-step")
        .arg(state)
        .arg(format!("{change:?}"))
        .arg(step.to_string())
        .status()
        .unwrap();
    assert!(status.success() || status.signal() == Some(9), "{status}");
    !status.success()
}

fn an_end_at_any_step() {
    for change in CHANGES {
        let mut ends = 0;
        for (index, step) in Step::ALL.into_iter().enumerate() {
            let state = change.prepare();
            ends += u32::from(ended(state.path(), change, index));
            change.assert_old_or_new(state.path(), step);
        }
        let expected = if change == Change::Remove { 3 } else { 5 };
        assert!(ends >= expected, "{change:?} was ended at {ends} steps only");
    }
}

fn an_interrupted_change_is_named() {
    let before_the_rename = Step::ALL
        .iter()
        .position(|step| *step == Step::ReplaceIndex)
        .unwrap();
    for (change, named) in [(Change::Add, "admission"), (Change::Remove, "removal")] {
        let state = change.prepare();
        assert!(ended(state.path(), change, before_the_rename));
        let (_, reconciled) = plain(state.path());
        let undone = reconciled.undone.as_ref().unwrap();
        assert_eq!((undone.change, undone.name.as_str()), (named, "new"));
        assert_eq!(
            reconciled.blobs_removed,
            if change == Change::Add { 5 } else { 0 }
        );
    }
}

/// Small and repeatable randomness; the seed is printed when the test fails, with everything else.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Models by the byte that they are filled with: what the daemon told last, where it told anything.
#[derive(Default)]
struct Told(std::collections::BTreeMap<u8, bool>);

fn bytes_of(fill: u8) -> Vec<u8> {
    vec![fill; 1000 + usize::from(fill) * 40_000]
}

/// Admits and removes until told to stop. A change that was not answered may have happened or not.
async fn work(place: &Place, random: &mut Random, told: &mut Told, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        let fill = u8::try_from(random.below(40)).unwrap();
        told.0.remove(&fill);
        if random.below(3) == 0 {
            let path = format!("/v1/models/{}", digest_of(&bytes_of(fill)));
            let removed = place.admin().delete::<Removed>(&path).await;
            if removed.is_ok() {
                told.0.insert(fill, false);
            }
        } else if admit(&place.run(), &format!("model-{fill}.gguf"), &bytes_of(fill))
            .await
            .is_ok()
        {
            told.0.insert(fill, true);
        }
    }
}

fn a_daemon_that_is_killed_at_random() {
    let seed = std::env::var("HOLDFAST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| Timestamp::now().as_microsecond().unsigned_abs());
    println!("HOLDFAST_SEED={seed}");
    let mut random = Random(seed);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let place = Place::new();
    let mut told = Told::default();
    let mut daemon = place.start();
    for round in 0..40 {
        let stop = AtomicBool::new(false);
        let pause = Duration::from_micros(random.below(60_000));
        let (place, mut kills) = (&place, random.below(u64::MAX >> 34));
        runtime.block_on(async {
            let mut of_worker = Random(kills.wrapping_mul(seed | 1));
            let working = work(place, &mut of_worker, &mut told, &stop);
            let killing = async {
                // Not to wait for something: this is the moment at which the power goes.
                tokio::time::sleep(pause).await;
                stop.store(true, Ordering::SeqCst);
                tokio::task::block_in_place(|| daemon.kill());
                kills += 1;
                daemon = place.start();
            };
            tokio::join!(working, killing);
            let listed: Models = place.read().get("/v1/models").await.unwrap();
            for (fill, present) in &told.0 {
                let digest = digest_of(&bytes_of(*fill));
                let there = listed.models.iter().any(|model| model.digest == digest);
                assert_eq!(
                    there, *present,
                    "round {round}: model {fill} was told to be there: {present}"
                );
            }
            for model in &listed.models {
                let entry = (Outcome::Allowed, model.digest.to_string());
                assert!(
                    place.recorder.of(Event::ModelAdmit).contains(&entry),
                    "a model without an entry"
                );
            }
            let found = checker::check(&place.state());
            assert_eq!(found.len(), listed.models.len());
        });
    }
    assert!(daemon.stop());
    let named = checker::check(&place.state());
    if let Some(skopeo) = holdfast_tests::tools::program("skopeo") {
        for (name, digest) in named {
            let source = format!("oci:{}:{name}", place.state().display());
            let output = Command::new(&skopeo)
                .args(["inspect", "--raw", &source])
                .output()
                .unwrap();
            let manifest = String::from_utf8(output.stdout).unwrap();
            assert!(manifest.contains(&digest), "{name}: {manifest}");
        }
    }
}
