//! What the two threads of a ledger and its handles share: entries that wait, entries that are durable but not
//! published, and how things stand.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use holdfast_contract::ledger::Appended;

use crate::entry::Draft;
use crate::hash::Hash;
use crate::ledger::Options;
use crate::reader::Reader;
use crate::storage::{Storage, Trouble};

/// Why an entry was not appended. It is not in the ledger then, unless the process died before it could say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Too many entries wait already.
    #[error("too many entries wait to be written")]
    Busy,
    /// The ledger cannot write at present. It tries again by itself.
    #[error(transparent)]
    Trouble(#[from] Trouble),
    /// The ledger was closed.
    #[error("the ledger is closed")]
    Closed,
}

/// Called once with what became of an append, on the ledger's thread: it must be quick, and must not block or panic.
pub type Done = Box<dyn FnOnce(Result<Appended, AppendError>) + Send>;
/// Called once when everything durable at the time of asking is published, or cannot be.
pub type Published = Box<dyn FnOnce(Result<(), Trouble>) + Send>;

/// The most bytes of entries that wait for their group commit.
pub(crate) const MAX_WAITING_BYTES: usize = 8 << 20;

pub(crate) struct Waiting {
    pub draft: Draft,
    pub done: Done,
}

#[derive(Default)]
pub(crate) struct Inbox {
    pub waiting: VecDeque<Waiting>,
    pub bytes: usize,
    pub closed: bool,
}

/// Durable entries, in bundle form, with their leaf hashes.
#[derive(Default)]
pub(crate) struct Durable {
    pub entries: Vec<u8>,
    pub leaves: Vec<Hash>,
    /// Since when the first of them waits.
    pub since: Option<Instant>,
}

#[derive(Default)]
pub(crate) struct Work {
    /// What the integrator has to take over.
    pub durable: Durable,
    /// Entries that are durable, taken over or not.
    pub size: u64,
    /// Entries below this are durable in full tiles; a multiple of 256.
    pub settled: u64,
    /// Somebody needs `settled` to advance.
    pub settle: bool,
    /// Who waits for a checkpoint.
    pub readers: Vec<Published>,
    pub trouble: Option<Trouble>,
    pub closing: bool,
}

pub(crate) struct Shared {
    pub storage: Arc<dyn Storage>,
    pub options: Options,
    pub reader: Reader,
    inbox: Mutex<Inbox>,
    work: Mutex<Work>,
    /// An entry arrived, or the inbox was closed.
    pub arrived: Condvar,
    /// There is work for the integrator.
    pub wanted: Condvar,
    /// The integrator got on, or into trouble.
    pub advanced: Condvar,
}

impl Shared {
    pub fn new(storage: Arc<dyn Storage>, options: Options, reader: Reader, work: Work) -> Self {
        Self {
            storage,
            options,
            reader,
            inbox: Mutex::default(),
            work: Mutex::new(work),
            arrived: Condvar::new(),
            wanted: Condvar::new(),
            advanced: Condvar::new(),
        }
    }

    pub fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an entry in the queue.
    pub fn submit(&self, waiting: Waiting) {
        let mut inbox = self.inbox();
        let bytes = waiting.draft.max_bytes();
        let full =
            inbox.waiting.len() >= self.options.queue_entries || inbox.bytes + bytes > MAX_WAITING_BYTES;
        if inbox.closed || full {
            let error = if inbox.closed {
                AppendError::Closed
            } else {
                AppendError::Busy
            };
            drop(inbox);
            return (waiting.done)(Err(error));
        }
        inbox.bytes += bytes;
        inbox.waiting.push_back(waiting);
        drop(inbox);
        self.arrived.notify_one();
    }

    /// Asks for a checkpoint over everything that is durable now.
    pub fn publish(&self, done: Published) {
        let mut work = self.work();
        if let Some(trouble) = work.trouble {
            drop(work);
            return done(Err(trouble));
        }
        if self.reader.head().checkpoint.size >= work.size {
            drop(work);
            return done(Ok(()));
        }
        work.readers.push(done);
        drop(work);
        self.wanted.notify_one();
    }

    /// Hands durable entries over to the integrator.
    pub fn hand_over(&self, entries: &[u8], leaves: &[Hash]) {
        let mut work = self.work();
        work.durable.entries.extend_from_slice(entries);
        work.durable.leaves.extend_from_slice(leaves);
        work.size += u64::try_from(leaves.len()).unwrap_or_default();
        let first = work.durable.since.is_none();
        if first {
            work.durable.since = Some(Instant::now());
        }
        let wake = first || work.durable.entries.len() >= crate::integrate::PUBLISH_BYTES;
        drop(work);
        if wake {
            self.wanted.notify_one();
        }
    }

    /// Asks that everything below `index` becomes durable in tiles, without waiting for it.
    pub fn settle(&self, index: u64) {
        let mut work = self.work();
        let wanted = work.settled < index && !work.settle;
        work.settle |= wanted;
        drop(work);
        if wanted {
            self.wanted.notify_one();
        }
    }

    /// Waits until `ready` or trouble, whichever comes first.
    pub fn wait_for(&self, ready: impl Fn(&mut Work) -> bool) -> Result<(), Trouble> {
        let mut work = self.work();
        loop {
            if ready(&mut work) {
                return Ok(());
            }
            if let Some(trouble) = work.trouble {
                return Err(trouble);
            }
            self.wanted.notify_one();
            work = self.advanced.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
