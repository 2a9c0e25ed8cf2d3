//! Verification of a ledger's directory with nothing but its files and the public key.
//!
//! Every entry and every tile is hashed again, and the root is compared at the size of every checkpoint that was ever signed.
//! A changed byte, a missing file, a shortened tree and a fork show. That the whole directory was put back to an earlier state
//! shows only with a checkpoint that was kept elsewhere. Nothing is changed, and memory does not grow with the ledger.

mod checkpoints;
mod leaves;
mod report;
mod tiles;

use std::io;
use std::path::Path;
use std::time::Duration;

use holdfast_contract::{Digest, Timestamp};

use self::checkpoints::{Checkpoints, Stop};
use self::leaves::{Outcome, Task};
pub use self::report::{Finding, FindingKind, VerifyReport};
use self::tiles::Levels;
use crate::checkpoint::Checkpoint;
use crate::hash;
use crate::history;
use crate::integrate::{CHECKPOINT, NEXT_CHECKPOINT};
use crate::storage::{Disk, Storage};
use crate::tile::WIDTH;
use crate::wal;
use holdfast_signed_note::{MAX_NOTE_BYTES, Vkey};

/// Bundles that each thread gets at a time.
const BUNDLES_PER_THREAD: u64 = 32;
/// How often, and how long apart, a running recorder is given the chance to finish a checkpoint.
const LOOKS: u32 = 5;
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(2);

/// How far a verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Entries verified.
    pub done: u64,
    /// Entries to verify.
    pub size: u64,
}

/// What to verify, and how.
#[derive(Default)]
pub struct VerifyOptions<'a> {
    /// A signed checkpoint that was kept elsewhere: the ledger must continue it.
    pub witness: Option<&'a str>,
    /// Threads to use; one for each processor if not given.
    pub threads: Option<usize>,
    /// Leaves out whether each entry is canonical JSON of an entry, and in the order of time.
    pub skip_entry_form: bool,
    /// Called now and then.
    pub progress: Option<&'a (dyn Fn(Progress) + Sync)>,
}

impl VerifyOptions<'_> {
    fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or_else(all).clamp(1, 64)
    }
}

/// Why nothing could be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The directory or a file in it cannot be read.
    #[error("read the ledger")]
    Read(#[from] io::Error),
    /// There is no ledger.
    #[error("there is no ledger here: neither checkpoints nor tiles")]
    Nothing,
}

/// Verifies the ledger in `directory` against the public key `key`.
///
/// # Errors
/// [`VerifyError`] when there is nothing to verify or it cannot be read. What is wrong with the ledger is in the report.
pub fn verify(
    directory: &Path,
    key: &Vkey,
    options: &VerifyOptions<'_>,
) -> Result<VerifyReport, VerifyError> {
    // A directory that cannot be read must not look like an empty one.
    std::fs::read_dir(directory)?;
    verify_on(&Disk::shared(directory), key, options)
}

/// Verifies a ledger on another kind of storage.
///
/// # Errors
/// As [`verify`].
pub fn verify_on(
    storage: &dyn Storage,
    key: &Vkey,
    options: &VerifyOptions<'_>,
) -> Result<VerifyReport, VerifyError> {
    let mut report = VerifyReport::new();
    let Some(newest) = newest(storage, key, &mut report)? else {
        return Ok(report);
    };
    report.size = newest.size;
    report.root = Some(Digest::from_bytes(newest.root));
    let checkpoints = Checkpoints::open(storage, key, options, newest, &mut report)?;
    Walk {
        storage,
        options,
        newest,
        checkpoints,
        levels: Levels::default(),
        last_time: None,
        agreed: Some(0),
    }
    .run(&mut report)?;
    report.uncovered_entries = uncovered(storage, newest.size)?;
    Ok(report)
}

/// The newest signed checkpoint, from the history and the checkpoint's own file, which must agree.
fn newest(
    storage: &dyn Storage,
    key: &Vkey,
    report: &mut VerifyReport,
) -> Result<Option<Checkpoint>, VerifyError> {
    let mut bytes = Vec::new();
    let mut read = |path: &str| -> io::Result<Option<String>> {
        let exists = match storage.read(path, MAX_NOTE_BYTES, &mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => true,
            result => result?,
        };
        Ok(exists.then(|| String::from_utf8(std::mem::take(&mut bytes)).unwrap_or_default()))
    };
    let mut look = || -> io::Result<_> {
        Ok((
            history::newest(storage, key)?,
            read(CHECKPOINT)?,
            read(NEXT_CHECKPOINT)?,
        ))
    };
    let (mut recorded, mut shown, mut next) = look()?;
    for _ in 1..LOOKS {
        let newest = recorded.as_ref().map(|(_, note)| note);
        if newest == shown.as_ref() || newest == next.as_ref() {
            break;
        }
        // A running recorder may have gone on between two of the looks.
        std::thread::sleep(LOOK_AGAIN_AFTER);
        (recorded, shown, next) = look()?;
    }
    let opened = shown.as_deref().map(|note| Checkpoint::open(note, key));
    match (recorded, opened) {
        (None, None) => {
            if storage.list("tile")?.is_empty() {
                return Err(VerifyError::Nothing);
            }
            report.find(
                FindingKind::CheckpointMissing,
                CHECKPOINT,
                "there are tiles, but no checkpoint vouches for them",
            );
            Ok(None)
        }
        (None, Some(Err(error))) => {
            report.find(FindingKind::CheckpointInvalid, CHECKPOINT, error.to_string());
            Ok(None)
        }
        (None, Some(Ok(shown))) => {
            report.find(
                FindingKind::HistoryIncomplete,
                history::PATH,
                "the newest checkpoint is not in the history",
            );
            Ok(Some(shown))
        }
        (Some((recorded, _)), None) => {
            report.find(FindingKind::CheckpointMissing, CHECKPOINT, "it is missing");
            Ok(Some(recorded))
        }
        (Some((recorded, _)), Some(Err(error))) => {
            report.find(FindingKind::CheckpointInvalid, CHECKPOINT, error.to_string());
            Ok(Some(recorded))
        }
        (Some((recorded, note)), Some(Ok(opened))) => {
            if opened.size > recorded.size {
                report.find(
                    FindingKind::HistoryIncomplete,
                    history::PATH,
                    "the newest checkpoint is not in the history",
                );
                return Ok(Some(opened));
            }
            if shown.as_ref() == Some(&note) {
                return Ok(Some(recorded));
            }
            if opened.size == recorded.size && opened.root != recorded.root {
                let message = format!("two different ledgers of {} entries were signed", opened.size);
                report.find(FindingKind::Fork, CHECKPOINT, message);
            } else if next.as_ref() == Some(&note) {
                report
                    .remarks
                    .push("the newest checkpoint is in the history and not in its place yet: the recorder is at it, or was stopped".to_owned());
            } else {
                let message = format!(
                    "it covers {} entries, but {} were signed already",
                    opened.size, recorded.size
                );
                report.find(FindingKind::CheckpointOutdated, CHECKPOINT, message);
            }
            Ok(Some(recorded))
        }
    }
}

/// Entries of the write-ahead log after the newest checkpoint.
fn uncovered(storage: &dyn Storage, size: u64) -> io::Result<u64> {
    let segments = wal::read(storage)?;
    let ends = segments
        .iter()
        .flat_map(|segment| &segment.batches)
        .map(|batch| batch.first + batch.count);
    Ok(ends.max().unwrap_or(0).saturating_sub(size))
}

/// The way along the leaves.
struct Walk<'a> {
    storage: &'a dyn Storage,
    options: &'a VerifyOptions<'a>,
    newest: Checkpoint,
    checkpoints: Checkpoints<'a>,
    levels: Levels,
    last_time: Option<Timestamp>,
    /// The largest checkpoint that agreed with the entries; none after the first that did not.
    agreed: Option<u64>,
}

impl Walk<'_> {
    fn run(mut self, report: &mut VerifyReport) -> io::Result<()> {
        let width = u64::from(WIDTH);
        let bundles = self.newest.size.div_ceil(width);
        let threads = self.options.threads();
        let step = BUNDLES_PER_THREAD * u64::try_from(threads).unwrap_or(1);
        for stop in self.checkpoints.up_to(0, report)? {
            self.compare(&stop, Some(hash::empty()), report);
        }
        let mut start = 0;
        while start < bundles {
            let end = bundles.min(start + step);
            let done = self.newest.size.min(end * width);
            let stops = self.checkpoints.up_to(done, report)?;
            let tasks = self.tasks(start..end, &stops);
            let check_entries = !self.options.skip_entry_form;
            let outcomes = in_parallel(&tasks, threads, |task| {
                leaves::check(self.storage, task, check_entries)
            });
            let mut stops = stops.into_iter();
            for (task, outcome) in tasks.iter().zip(outcomes) {
                self.advance(task, outcome, stops.by_ref().take(task.stops.len()), report);
            }
            if let Some(progress) = self.options.progress {
                progress(Progress {
                    done,
                    size: self.newest.size,
                });
            }
            start = end;
            if self.levels.is_blind() && report.findings_omitted > 0 {
                // Nothing after this can be compared, and whoever reads this knows enough.
                report
                    .remarks
                    .push(format!("the verification ended after {done} entries"));
                break;
            }
        }
        self.levels.finish(self.storage, self.newest.size, report);
        Ok(())
    }

    fn tasks(&self, range: std::ops::Range<u64>, stops: &[Stop]) -> Vec<Task> {
        let width = u64::from(WIDTH);
        let mut stops = stops.iter().map(|stop| stop.checkpoint.size).peekable();
        let narrow = |n: u64| u16::try_from(n).unwrap_or(WIDTH);
        range
            .map(|index| {
                let start = index * width;
                let mut task = Task {
                    index,
                    width: narrow(width.min(self.newest.size - start)),
                    stops: Vec::new(),
                };
                while let Some(size) = stops.next_if(|size| *size <= start + width) {
                    task.stops.push(narrow(size - start));
                }
                task
            })
            .collect()
    }

    fn advance(
        &mut self,
        task: &Task,
        outcome: Outcome,
        stops: impl Iterator<Item = Stop>,
        report: &mut VerifyReport,
    ) {
        report.add(outcome.findings);
        let mut roots = outcome.stop_roots.into_iter();
        for stop in stops {
            let root = roots.next().and_then(|root| self.levels.root_with(root));
            self.compare(&stop, root, report);
        }
        if let Some((first, last)) = outcome.times {
            if self.last_time.is_some_and(|before| first < before) {
                let place = format!("entry {}", task.index * u64::from(WIDTH));
                report.find(
                    FindingKind::EntryInvalid,
                    place,
                    "its time is before that of the entry before it",
                );
            }
            self.last_time = Some(last);
        }
        if task.width == WIDTH {
            self.levels.push(self.storage, outcome.root, report);
        }
    }

    fn compare(&mut self, stop: &Stop, root: Option<hash::Hash>, report: &mut VerifyReport) {
        let Checkpoint { size, root: signed } = stop.checkpoint;
        if root == Some(signed) {
            self.agreed = self.agreed.map(|_| size);
        } else if stop.is_witness {
            let message = format!("the first {size} entries are not those that it was signed for");
            report.find(
                FindingKind::WitnessContradicted,
                "the checkpoint kept elsewhere",
                message,
            );
        } else if let Some(agreed) = self.agreed.take() {
            // All later ones will differ as well: the first says where.
            let place = format!("entries {agreed} to {}", size.saturating_sub(1));
            let message = format!("the first {size} entries are not those that were signed");
            report.find(FindingKind::Rewritten, place, message);
        }
    }
}

/// Applies `check` to each item, on several threads, keeping the order.
fn in_parallel<T: Sync, R: Send>(items: &[T], threads: usize, check: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let share = items.len().div_ceil(threads).max(1);
    if items.len() <= 1 || threads == 1 {
        return items.iter().map(check).collect();
    }
    std::thread::scope(|scope| {
        let check = &check;
        let workers: Vec<_> = items
            .chunks(share)
            .map(|chunk| scope.spawn(move || chunk.iter().map(check).collect::<Vec<R>>()))
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    })
}
