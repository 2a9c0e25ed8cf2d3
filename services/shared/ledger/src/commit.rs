//! The committer: one thread that takes everything that waits, makes it durable with one sync, and says so.

use std::sync::{Arc, PoisonError};

use holdfast_contract::ledger::Appended;
use holdfast_contract::{Digest, Timestamp};

use crate::bundle::{self, PREFIX_BYTES};
use crate::entry;
use crate::hash::{self, Hash};
use crate::ledger::Clock;
use crate::shared::{AppendError, Done, Shared, Waiting};
use crate::storage::Trouble;
use crate::tile::WIDTH;
use crate::wal::{MAX_BATCH_BYTES, Segment};

/// The most entries in one group commit.
const MAX_BATCH_ENTRIES: usize = 4096;
/// Above this the committer waits for the integrator, in bytes of entries that it has not taken over.
const MAX_UNPUBLISHED_BYTES: usize = 8 << 20;

/// Which slot and generation the next segment gets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NextSegment {
    pub slot: usize,
    pub generation: u64,
}

pub(crate) struct Committer {
    shared: Arc<Shared>,
    clock: Clock,
    segment: Option<Segment>,
    next_segment: NextSegment,
    /// Index of the next entry.
    next: u64,
    /// Time of the entry before it.
    time: Timestamp,
    /// The entries of the unfinished bundle, in bundle form: what a new segment starts with.
    carry: Vec<u8>,
    entries: Vec<u8>,
    leaves: Vec<Hash>,
}

impl Committer {
    pub fn new(
        shared: Arc<Shared>,
        clock: Clock,
        next_segment: NextSegment,
        next: u64,
        time: Timestamp,
        carry: Vec<u8>,
    ) -> Self {
        let (entries, leaves) = (Vec::new(), Vec::new());
        Self {
            shared,
            clock,
            segment: None,
            next_segment,
            next,
            time,
            carry,
            entries,
            leaves,
        }
    }

    /// Runs until the inbox is closed and empty.
    pub fn run(mut self) {
        while let Some(batch) = self.take() {
            self.commit(batch);
        }
    }

    fn take(&self) -> Option<Vec<Waiting>> {
        // A segment has to hold what is carried over and some batches.
        let quarter = usize::try_from(self.shared.options.segment_bytes / 4).unwrap_or(usize::MAX);
        let max_bytes = MAX_BATCH_BYTES.min(quarter);
        let mut inbox = self.shared.inbox();
        while inbox.waiting.is_empty() {
            if inbox.closed {
                return None;
            }
            inbox = self
                .shared
                .arrived
                .wait(inbox)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(waiting) = inbox.waiting.front() {
            let length = waiting.draft.max_bytes();
            bytes += length + PREFIX_BYTES;
            if batch.len() == MAX_BATCH_ENTRIES || (bytes > max_bytes && !batch.is_empty()) {
                break;
            }
            inbox.bytes -= length;
            batch.extend(inbox.waiting.pop_front());
        }
        Some(batch)
    }

    fn commit(&mut self, batch: Vec<Waiting>) {
        let time = self.time.max(entry::microseconds((self.clock)()));
        let text = time.to_string();
        self.entries.clear();
        self.leaves.clear();
        let mut waiting: Vec<Done> = Vec::with_capacity(batch.len());
        for Waiting { draft, done } in batch {
            let leaf = draft.finish(&text);
            bundle::push(&mut self.entries, &leaf);
            self.leaves.push(hash::leaf(&leaf));
            waiting.push(done);
        }
        if let Err(trouble) = self.write() {
            for done in waiting {
                done(Err(AppendError::Trouble(trouble)));
            }
            return;
        }
        self.time = time;
        self.shared.hand_over(&self.entries, &self.leaves);
        for (done, leaf) in waiting.into_iter().zip(&self.leaves) {
            done(Ok(Appended {
                index: self.next,
                leaf: Digest::from_bytes(*leaf),
            }));
            self.next += 1;
        }
        self.keep_carry();
    }

    /// Makes `entries` durable.
    fn write(&mut self) -> Result<(), Trouble> {
        let shared = Arc::clone(&self.shared);
        // A segment is allocated in advance: without this a full disk would be noticed only when a tile cannot be written.
        if shared.storage.free_bytes()? < shared.options.min_free_bytes {
            return Err(Trouble::NoSpace);
        }
        shared
            .wait_for(|work| work.trouble.is_none() && work.durable.entries.len() <= MAX_UNPUBLISHED_BYTES)?;
        if !self
            .segment
            .as_ref()
            .is_some_and(|segment| segment.fits(self.entries.len()))
        {
            self.change_segment()?;
        }
        let segment = self
            .segment
            .as_mut()
            .ok_or(Trouble::Io(std::io::ErrorKind::NotFound))?;
        segment.append(self.next, self.leaves.len(), &self.entries)?;
        if segment.is_half_full() {
            // The other slot will be needed soon.
            shared.settle(segment.first);
        }
        Ok(())
    }

    fn change_segment(&mut self) -> Result<(), Trouble> {
        let first = self.next - self.next % u64::from(WIDTH);
        // What the other slot holds below this must be durable elsewhere before it is overwritten.
        let needed = self.segment.as_ref().map_or(first, |segment| segment.first);
        self.shared.wait_for(|work| {
            let settled = work.settled >= needed;
            work.settle |= !settled;
            settled
        })?;
        let NextSegment { slot, generation } = self.next_segment;
        let capacity = self.shared.options.segment_bytes;
        let segment = Segment::begin(
            &*self.shared.storage,
            slot,
            generation,
            first,
            &self.carry,
            capacity,
        )?;
        self.next_segment = NextSegment {
            slot: 1 - slot,
            generation: generation + 1,
        };
        self.segment = Some(segment);
        Ok(())
    }

    fn keep_carry(&mut self) {
        let count = u64::try_from(self.leaves.len()).unwrap_or_default();
        let width = u64::from(WIDTH);
        let unfinished = self.next % width;
        if unfinished >= count {
            self.carry.extend_from_slice(&self.entries);
            return;
        }
        let skip = usize::try_from(count - unfinished).unwrap_or_default();
        let done = bundle::prefix(&self.entries, skip).map_or(0, <[u8]>::len);
        self.carry.clear();
        self.carry
            .extend_from_slice(self.entries.get(done..).unwrap_or_default());
    }
}
