//! Opening a ledger that may have been left at any instruction, or damaged by somebody.
//!
//! The entries come from the write-ahead log and, up to the newest checkpoint, from the bundles where the log has a
//! gap. They must lead to that checkpoint's root before anything on disk is touched. What was acknowledged is then all there;
//! what was half-written and never acknowledged is dropped. The direction of doubt is to refuse.

use std::collections::VecDeque;
use std::sync::Arc;

use holdfast_contract::Timestamp;

use crate::bundle;
use crate::checkpoint::Checkpoint;
use crate::commit::NextSegment;
use crate::edge::{Edge, Filled};
use crate::entry;
use crate::hash;
use crate::history::History;
use crate::integrate::{CHECKPOINT, Integrator, NEXT_CHECKPOINT};
use crate::ledger::{OpenError, Options};
use crate::reader::{Head, Tiles};
use crate::storage::{Storage, TEMPORARY, Trouble};
use crate::tile::{Kind, WIDTH};
use crate::wal::{self, Found};
use holdfast_signed_note::{MAX_NOTE_BYTES, Signer};

/// What start-up found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Entries in the ledger.
    pub size: u64,
    /// Durable entries that no checkpoint covered yet and that were published now.
    pub published_entries: u64,
    /// Bytes of group commits that were begun and never acknowledged, dropped.
    pub torn_bytes: u64,
    /// Bytes of a checkpoint record that was begun and never shown, dropped.
    pub torn_history_bytes: u64,
    /// Tiles on disk that had another content than they must have and were rebuilt.
    pub rebuilt_files: u64,
    /// Entries that the write-ahead log should have had and that were taken from the bundles instead.
    pub entries_from_bundles: u64,
    /// The history had lost its newest checkpoint, which was still in its own file.
    pub history_repaired: bool,
    /// The file `checkpoint` was not what it must be and was written again.
    pub checkpoint_repaired: bool,
}

impl Recovery {
    /// Whether there was nothing to reconcile.
    pub fn is_clean(&self) -> bool {
        *self
            == Self {
                size: self.size,
                ..Self::default()
            }
    }
}

/// A ledger ready to go on.
pub(crate) struct Recovered {
    pub integrator: Integrator,
    pub head: Head,
    pub next_segment: NextSegment,
    /// Time of the last entry.
    pub time: Timestamp,
    pub settled: u64,
    pub trouble: Option<Trouble>,
    pub report: Recovery,
}

fn damaged<T>(what: impl Into<String>) -> Result<T, OpenError> {
    Err(OpenError::Damaged { what: what.into() })
}

pub(crate) fn recover(
    storage: &Arc<dyn Storage>,
    signer: Signer,
    options: &Options,
) -> Result<Recovered, OpenError> {
    let disk = &**storage;
    disk.create_directory(TEMPORARY)?;
    disk.remove(NEXT_CHECKPOINT)?;
    let mut report = Recovery::default();
    let mut history = History::open(disk, signer.verifier())?;
    report.torn_history_bytes = history.torn_bytes();
    let newest = newest_checkpoint(disk, &signer, &history, &mut report)?;
    let segments = wal::read(disk)?;
    report.torn_bytes = segments.last().map_or(0, |segment| segment.torn_bytes);

    let checkpoint = newest.as_ref().map(|head| head.checkpoint);
    let mut replay = Replay::begin(disk, checkpoint, &segments)?;
    let base = replay.edge.size();
    replay.run(&segments)?;
    let Replay {
        edge,
        filled,
        last,
        from_bundles,
        ..
    } = replay;
    report.size = edge.size();
    report.published_entries = edge.size() - checkpoint.map_or(0, |checkpoint| checkpoint.size);
    report.entries_from_bundles = from_bundles;
    let time = last_time(disk, last, base);

    // The entries are those that were signed: from here on, what is on disk may be changed.
    history.drop_torn()?;
    if let Some(shown) = newest.as_ref().filter(|_| report.history_repaired) {
        history.append(shown.checkpoint, &shown.note)?;
    }
    let mut integrator = Integrator::new(Arc::clone(storage), signer, history, edge, filled);
    integrator.collect_partials(base)?;
    let (head, settled, trouble) = match (integrator.publish(), newest) {
        (Ok(head), _) => match integrator.settle() {
            Ok(settled) => (head, settled, None),
            Err(error) => (head, 0, Some(error.into())),
        },
        // The disk is full, say: what is published can be read, and the rest is tried again.
        (Err(error), Some(head)) => (head, 0, Some(error.into())),
        (Err(error), None) => return Err(error.into()),
    };
    report.rebuilt_files = integrator.rewritten;
    let next_segment = next_segment(&segments);
    prepare_slots(disk, &segments, next_segment, options);
    Ok(Recovered {
        integrator,
        head,
        next_segment,
        time,
        settled,
        trouble,
        report,
    })
}

/// The newest checkpoint that was ever shown: the last of the history, or the one in its own file where the history lost it.
fn newest_checkpoint(
    storage: &dyn Storage,
    signer: &Signer,
    history: &History,
    report: &mut Recovery,
) -> Result<Option<Head>, OpenError> {
    let recorded = history.last().map(|(checkpoint, note)| Head {
        checkpoint: *checkpoint,
        note: note.clone(),
    });
    let mut bytes = Vec::new();
    let exists = storage
        .read(CHECKPOINT, MAX_NOTE_BYTES, &mut bytes)
        .unwrap_or(true);
    let note = String::from_utf8(bytes).unwrap_or_default();
    let shown = Checkpoint::open(&note, signer.verifier()).map(|checkpoint| Head { checkpoint, note });
    match (recorded, shown) {
        (None, Err(error)) if exists => damaged(format!("its checkpoint is not accepted: {error}")),
        (None, Err(_)) => Ok(None),
        (Some(recorded), Ok(shown)) if recorded == shown => Ok(Some(recorded)),
        (Some(recorded), Ok(shown)) if recorded.checkpoint.size >= shown.checkpoint.size => {
            report.checkpoint_repaired = true;
            Ok(Some(recorded))
        }
        (Some(recorded), Err(_)) => {
            report.checkpoint_repaired = true;
            Ok(Some(recorded))
        }
        (_, Ok(shown)) => {
            report.history_repaired = true;
            Ok(Some(shown))
        }
    }
}

/// Puts the entries together again, from the last bundle boundary below which everything is durable in tiles.
struct Replay<'a> {
    storage: &'a dyn Storage,
    checkpoint: Option<Checkpoint>,
    edge: Edge,
    filled: VecDeque<Filled>,
    /// The newest entry.
    last: Option<Vec<u8>>,
    from_bundles: u64,
}

impl<'a> Replay<'a> {
    fn begin(
        storage: &'a dyn Storage,
        checkpoint: Option<Checkpoint>,
        segments: &[Found],
    ) -> Result<Self, OpenError> {
        let published = checkpoint.map_or(0, |checkpoint| checkpoint.size);
        let boundary = published - published % u64::from(WIDTH);
        let base = segments
            .iter()
            .map(|segment| segment.first)
            .min()
            .unwrap_or(boundary);
        if base > published {
            return damaged(format!(
                "the write-ahead log starts at entry {base}, the checkpoints end at {published}"
            ));
        }
        if checkpoint.is_none() && segments.is_empty() && !storage.list("tile")?.is_empty() {
            return damaged("there are tiles, and neither a checkpoint nor a write-ahead log");
        }
        if base % u64::from(WIDTH) != 0 {
            return damaged(format!(
                "the write-ahead log starts inside a bundle, at entry {base}"
            ));
        }
        let edge = Edge::load(storage, base)?;
        let replay = Self {
            storage,
            checkpoint,
            edge,
            filled: VecDeque::new(),
            last: None,
            from_bundles: 0,
        };
        replay.check()?;
        Ok(replay)
    }

    fn run(&mut self, segments: &[Found]) -> Result<(), OpenError> {
        for (place, segment) in segments.iter().enumerate() {
            // What the newer segment holds is right: the older one may end in entries that were never acknowledged.
            let newer = segments
                .get(place + 1)
                .filter(|newer| newer.batches.first().map(|b| b.first) == Some(newer.first));
            let end = newer.map_or(u64::MAX, |newer| newer.first);
            for batch in &segment.batches {
                if batch.first > self.edge.size() && batch.first < end {
                    self.fill_from_bundles(batch.first)?;
                }
                let entries = segment.entries(*batch)?;
                for (index, entry) in (batch.first..end).zip(bundle::entries(&entries).flatten()) {
                    if index == self.edge.size() {
                        self.push(entry)?;
                    }
                }
            }
        }
        let published = self.checkpoint.map_or(0, |checkpoint| checkpoint.size);
        if self.edge.size() < published {
            self.fill_from_bundles(published)?;
        }
        Ok(())
    }

    fn push(&mut self, entry: &[u8]) -> Result<(), OpenError> {
        self.edge.push(entry, hash::leaf(entry), &mut self.filled);
        self.last = Some(entry.to_vec());
        self.check()
    }

    /// At the size of the newest checkpoint, the root must be the one that was signed.
    fn check(&self) -> Result<(), OpenError> {
        let checkpoint = self
            .checkpoint
            .filter(|checkpoint| checkpoint.size == self.edge.size());
        match checkpoint {
            Some(checkpoint) if checkpoint.root != self.edge.root() => damaged(format!(
                "its first {} entries are not those that were signed",
                checkpoint.size
            )),
            _ => Ok(()),
        }
    }

    /// Takes entries that the log should have had from the published bundles.
    fn fill_from_bundles(&mut self, end: u64) -> Result<(), OpenError> {
        let published = self.checkpoint.map_or(0, |checkpoint| checkpoint.size);
        if end > published {
            let from = self.edge.size();
            return damaged(format!(
                "entries {from} to {end} were acknowledged and are missing from the write-ahead log"
            ));
        }
        while self.edge.size() < end {
            let start = self.edge.size();
            let index = start / u64::from(WIDTH);
            let bundle = Tiles::new(self.storage, published).load(Kind::Entries, index)?;
            let skip = usize::try_from(start % u64::from(WIDTH)).unwrap_or_default();
            for (_, entry) in (start..end).zip(bundle::entries(&bundle).flatten().skip(skip)) {
                self.push(entry)?;
                self.from_bundles += 1;
            }
            if self.edge.size() == start {
                return damaged(format!("bundle {index} ends before entry {start}"));
            }
        }
        Ok(())
    }
}

/// Time of the newest entry. Without any, or if it does not tell, the clock alone decides.
fn last_time(storage: &dyn Storage, last: Option<Vec<u8>>, base: u64) -> Timestamp {
    let before_base = || {
        let index = (base / u64::from(WIDTH)).checked_sub(1)?;
        let bundle = Tiles::new(storage, base).load(Kind::Entries, index).ok()?;
        bundle::entries(&bundle).flatten().last().map(<[u8]>::to_vec)
    };
    let entry = last
        .or_else(before_base)
        .and_then(|leaf| entry::decode(&leaf).ok());
    entry.map_or(Timestamp::UNIX_EPOCH, |entry| entry.time)
}

/// The slot that does not hold the newest entries, and the generation after all others.
fn next_segment(segments: &[Found]) -> NextSegment {
    let newest = segments.last();
    NextSegment {
        slot: newest.map_or(0, |newest| 1 - newest.slot),
        generation: newest.map_or(1, |newest| newest.generation + 1),
    }
}

/// Allocates slots that hold nothing, so that a disk that fills up later does not stop the log. If that fails now,
/// it is tried again when the slot is needed.
fn prepare_slots(storage: &dyn Storage, segments: &[Found], next: NextSegment, options: &Options) {
    for slot in [next.slot, 1 - next.slot] {
        if segments.iter().all(|segment| segment.slot != slot) {
            let _ = wal::prepare(storage, slot, options.segment_bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_only_counts_entries_is_clean() {
        assert!(
            Recovery {
                size: 7,
                ..Recovery::default()
            }
            .is_clean()
        );
        assert!(
            !Recovery {
                size: 7,
                torn_bytes: 1,
                ..Recovery::default()
            }
            .is_clean()
        );
    }
}
