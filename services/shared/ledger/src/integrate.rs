//! The integrator: one thread that turns durable entries into tiles and signs checkpoints over them.
//!
//! It is never ahead of the write-ahead log, so a checkpoint covers durable entries only. Tiles are not synced when a
//! checkpoint is signed, because the log can rebuild them; they are *settled* (synced) before the log forgets their entries.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::bundle;
use crate::checkpoint::Checkpoint;
use crate::edge::{Edge, Filled};
use crate::history::History;
use crate::reader::Head;
use crate::shared::{Durable, Published, Shared, Work};
use crate::storage::{self, Storage, Trouble, parent};
use crate::tile::{self, Tile, WIDTH};
use holdfast_signed_note::Signer;

/// A checkpoint is signed without waiting any longer when this many bytes of entries are unpublished.
pub(crate) const PUBLISH_BYTES: usize = 2 << 20;
/// How long to wait before what failed is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// The newest checkpoint, where tlog-tiles wants it.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// Where it is written before the history has it.
pub(crate) const NEXT_CHECKPOINT: &str = "tmp/checkpoint";

/// The tiles and checkpoints on disk, as far as the writer has to know them.
pub(crate) struct Integrator {
    storage: Arc<dyn Storage>,
    signer: Signer,
    history: History,
    edge: Edge,
    /// Full tiles that are not written yet.
    filled: VecDeque<Filled>,
    /// Full tiles that are written and not synced.
    unsynced: BTreeSet<Tile>,
    /// Partial tiles that may be on disk.
    partials: BTreeSet<Tile>,
    /// Files that had to be written although they existed with other content.
    pub rewritten: u64,
}

impl Integrator {
    /// Continues from `edge`, with full tiles that are still to be written.
    pub fn new(
        storage: Arc<dyn Storage>,
        signer: Signer,
        history: History,
        edge: Edge,
        filled: VecDeque<Filled>,
    ) -> Self {
        let (unsynced, partials) = (BTreeSet::new(), BTreeSet::new());
        Self {
            storage,
            signer,
            history,
            edge,
            filled,
            unsynced,
            partials,
            rewritten: 0,
        }
    }

    pub fn edge(&self) -> &Edge {
        &self.edge
    }

    fn push_all(&mut self, durable: &Durable) {
        for (entry, leaf) in bundle::entries(&durable.entries).flatten().zip(&durable.leaves) {
            self.edge.push(entry, *leaf, &mut self.filled);
        }
    }

    /// Writes the full tiles. What is on disk as it must be is left alone.
    fn write_full_tiles(&mut self) -> io::Result<()> {
        while let Some(filled) = self.filled.front() {
            self.rewritten += u64::from(put(&*self.storage, filled)?);
            self.unsynced.insert(filled.tile);
            self.filled.pop_front();
        }
        Ok(())
    }

    /// Brings disk and checkpoint up to the tree in memory and returns the newest checkpoint.
    pub fn publish(&mut self) -> io::Result<Head> {
        self.write_full_tiles()?;
        for partial in self.edge.partials() {
            self.partials.insert(partial.tile);
            self.rewritten += u64::from(put(&*self.storage, &partial)?);
        }
        let checkpoint = Checkpoint {
            size: self.edge.size(),
            root: self.edge.root(),
        };
        let recorded = self.history.last().filter(|(last, _)| *last == checkpoint);
        let note = recorded.map_or_else(|| checkpoint.sign(&self.signer), |(_, note)| note.clone());
        let is_recorded = recorded.is_some();
        if !is_recorded || !self.is_current(&note) {
            self.storage.write(NEXT_CHECKPOINT, note.as_bytes())?;
            self.storage.sync(NEXT_CHECKPOINT)?;
            if !is_recorded {
                self.history.append(checkpoint, &note)?;
            }
            self.storage.rename(NEXT_CHECKPOINT, CHECKPOINT)?;
            self.storage.sync_directory("")?;
        }
        self.remove_old_partials();
        Ok(Head { checkpoint, note })
    }

    fn is_current(&self, note: &str) -> bool {
        let mut bytes = Vec::new();
        let exists = self.storage.read(CHECKPOINT, note.len(), &mut bytes);
        exists.unwrap_or(false) && bytes == note.as_bytes()
    }

    /// A partial tile is the start of the one that replaced it, so nothing is lost with it. Litter is not worth a
    /// failure: what cannot be removed now is looked at again at the next start.
    fn remove_old_partials(&mut self) {
        let current: BTreeSet<Tile> = tile::partials(self.edge.size()).collect();
        for old in self.partials.difference(&current) {
            let _ = self.storage.remove(&old.path());
            let directory = format!("{}.p", old.full().path());
            if Tile::of(old.kind, old.index, self.edge.size()).is_some_and(Tile::is_full) {
                let _ = self.storage.remove_directory(&directory);
            }
        }
        self.partials = current;
    }

    /// Finds the partial tiles that an earlier run left behind at places from `from` to the edge.
    pub fn collect_partials(&mut self, from: u64) -> io::Result<()> {
        for kind in (0..tile::LEVELS)
            .map(|level| tile::Kind::Hashes { level })
            .chain([tile::Kind::Entries])
        {
            let (first, _) = tile::extent(kind.level(), from);
            let (last, _) = tile::extent(kind.level(), self.edge.size());
            for index in first..=last {
                let full = Tile {
                    kind,
                    index,
                    width: WIDTH,
                };
                for name in self.storage.list(&format!("{}.p", full.path()))? {
                    let width = name.parse().ok().filter(|width| (1..WIDTH).contains(width));
                    self.partials.extend(width.map(|width| Tile { width, ..full }));
                }
            }
        }
        Ok(())
    }

    /// Makes the full tiles durable. Entries below the returned index need the write-ahead log no more.
    pub fn settle(&mut self) -> io::Result<u64> {
        let mut directories = BTreeSet::new();
        for tile in &self.unsynced {
            let path = tile.path();
            self.storage.sync(&path)?;
            let mut directory = parent(&path);
            while directories.insert(directory.to_owned()) && !directory.is_empty() {
                directory = parent(directory);
            }
        }
        for directory in directories {
            self.storage.sync_directory(&directory)?;
        }
        self.unsynced.clear();
        Ok(self.edge.size() - self.edge.size() % u64::from(WIDTH))
    }
}

/// Puts a tile in place unless it is there already; `true` when another content was replaced.
fn put(storage: &dyn Storage, filled: &Filled) -> io::Result<bool> {
    let path = filled.tile.path();
    let mut present = Vec::new();
    let limit = filled.bytes.len();
    let differs = match storage.read(&path, limit, &mut present) {
        Ok(true) if present == filled.bytes => return Ok(false),
        Ok(exists) => exists,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => true,
        Err(error) => return Err(error),
    };
    storage::place(storage, &path, &filled.bytes)?;
    Ok(differs)
}

/// What the integrator's thread has to do next.
struct Job {
    durable: Durable,
    readers: Vec<Published>,
    settle: bool,
    closing: bool,
}

/// Runs until the ledger is closed.
pub(crate) fn run(shared: &Shared, mut integrator: Integrator) {
    loop {
        let job = next_job(shared);
        integrator.push_all(&job.durable);
        drop(job.durable);
        let result = work(shared, &mut integrator, job.settle);
        let mut work = shared.work();
        work.trouble = result.err();
        if let Ok(settled) = result {
            work.settled = work.settled.max(settled);
            // A wish that came while this job was done is for the next one.
            work.settle &= !job.settle;
        }
        drop(work);
        shared.advanced.notify_all();
        let told = result.map(drop);
        job.readers.into_iter().for_each(|reader| reader(told));
        if job.closing {
            return;
        }
    }
}

fn work(shared: &Shared, integrator: &mut Integrator, settle: bool) -> Result<u64, Trouble> {
    let head = integrator.publish()?;
    shared.reader.advance(head);
    Ok(if settle { integrator.settle()? } else { 0 })
}

fn next_job(shared: &Shared) -> Job {
    let mut work = shared.work();
    // After a failure, wait before the next attempt; otherwise until the oldest entry has waited long enough.
    let retry_at = work.trouble.map(|_| Instant::now() + RETRY_AFTER);
    loop {
        let now = Instant::now();
        let due = retry_at.or_else(|| due(&work, shared.options.checkpoint_interval, now));
        match due {
            _ if work.closing => break,
            Some(time) if time <= now => break,
            Some(time) => {
                let wait = shared.wanted.wait_timeout(work, time - now);
                work = wait.unwrap_or_else(PoisonError::into_inner).0;
            }
            None => work = shared.wanted.wait(work).unwrap_or_else(PoisonError::into_inner),
        }
    }
    Job {
        durable: std::mem::take(&mut work.durable),
        readers: std::mem::take(&mut work.readers),
        settle: work.settle,
        closing: work.closing,
    }
}

fn due(work: &Work, interval: Duration, now: Instant) -> Option<Instant> {
    if !work.readers.is_empty() || work.settle || work.durable.entries.len() >= PUBLISH_BYTES {
        return Some(now);
    }
    work.durable.since.map(|since| since + interval)
}
