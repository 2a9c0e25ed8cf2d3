//! The ledger as its one writer holds it.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use holdfast_contract::Timestamp;
use holdfast_contract::ledger::Appended;

use crate::commit::Committer;
use crate::entry::Draft;
use crate::history::HistoryError;
use crate::integrate;
use crate::reader::{ReadError, Reader};
use crate::recover::{self, Recovered, Recovery};
use crate::shared::{AppendError, Done, Published, Shared, Waiting, Work};
use crate::storage::{Disk, Lock, Storage, Trouble};
use holdfast_signed_note::Signer;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How a ledger works. [`Options::default`] is what the recorder uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// A durable entry is under a signed checkpoint after this time, or as soon as a reader asks.
    pub checkpoint_interval: Duration,
    /// Size of each of the two write-ahead segments. Has to hold the entries of an unfinished bundle, at most 4 MiB, and
    /// more; at most 64 MiB.
    pub segment_bytes: u64,
    /// Appends are refused when the file system has less than this left, so that what was accepted can always be
    /// turned into tiles.
    pub min_free_bytes: u64,
    /// The most entries that wait for their group commit.
    pub queue_entries: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            checkpoint_interval: Duration::from_secs(1),
            segment_bytes: 8 << 20,
            min_free_bytes: 32 << 20,
            queue_entries: 4096,
        }
    }
}

/// Why a ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process writes to it.
    #[error("the ledger is in use by another process")]
    Locked,
    /// The file system failed.
    #[error("open the ledger")]
    Io(#[from] io::Error),
    /// The history of checkpoints cannot be continued.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// What is on disk cannot be brought to what the newest checkpoint says. Nothing was changed.
    #[error("the ledger is damaged: {what}")]
    Damaged {
        /// What does not fit.
        what: String,
    },
    /// A tile that is needed cannot be read.
    #[error("the ledger is damaged")]
    Tile(#[from] ReadError),
}

/// A ledger that is open for writing. Dropping it writes what was submitted and publishes it, as [`Ledger::close`] does.
pub struct Ledger {
    shared: Arc<Shared>,
    threads: Mutex<Option<[JoinHandle<()>; 2]>>,
    lock: Mutex<Option<Lock>>,
}

impl Ledger {
    /// Opens the ledger in `directory`, creating it if there is none, and reconciles what an earlier run left undone.
    ///
    /// # Errors
    /// [`OpenError`] when it is in use, cannot be read, or is damaged.
    pub fn open(
        directory: &Path,
        signer: Signer,
        clock: Clock,
        options: Options,
    ) -> Result<(Self, Recovery), OpenError> {
        let (disk, lock) = Disk::exclusive(directory).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::Locked,
            _ => OpenError::Io(error),
        })?;
        let (ledger, recovery) = Self::open_on(Arc::new(disk), signer, clock, options)?;
        *ledger.lock.lock().unwrap_or_else(PoisonError::into_inner) = Some(lock);
        Ok((ledger, recovery))
    }

    /// Opens the ledger on another kind of storage.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn open_on(
        storage: Arc<dyn Storage>,
        signer: Signer,
        clock: Clock,
        options: Options,
    ) -> Result<(Self, Recovery), OpenError> {
        let Recovered {
            integrator,
            head,
            next_segment,
            time,
            settled,
            trouble,
            report,
        } = recover::recover(&storage, signer, &options)?;
        let (size, carry) = (integrator.edge().size(), integrator.edge().bundle().to_vec());
        let work = Work {
            size,
            settled,
            trouble,
            ..Work::default()
        };
        let reader = Reader::new(Arc::clone(&storage), head);
        let shared = Arc::new(Shared::new(storage, options, reader, work));
        let committer = Committer::new(Arc::clone(&shared), clock, next_segment, size, time, carry);
        let on_end = EndGuard(Arc::clone(&shared));
        let committing = std::thread::Builder::new()
            .name("ledger-commit".to_owned())
            .spawn(move || {
                let _guard = on_end;
                committer.run();
            })?;
        let on_end = EndGuard(Arc::clone(&shared));
        let integrating = std::thread::Builder::new()
            .name("ledger-tiles".to_owned())
            .spawn(move || {
                integrate::run(&on_end.0, integrator);
                drop(on_end);
            })?;
        Ok((
            Self {
                shared,
                threads: Mutex::new(Some([committing, integrating])),
                lock: Mutex::default(),
            },
            report,
        ))
    }

    /// Submits an entry. `done` is called once it is durable, or will not be.
    pub fn append(&self, draft: Draft, done: Done) {
        self.shared.submit(Waiting { draft, done });
    }

    /// Appends an entry and waits until it is durable.
    ///
    /// # Errors
    /// [`AppendError`] when it is not.
    pub fn append_and_wait(&self, draft: Draft) -> Result<Appended, AppendError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.append(draft, Box::new(move |result| _ = sender.send(result)));
        receiver.recv().unwrap_or(Err(AppendError::Closed))
    }

    /// Calls `done` when a checkpoint covers everything that is durable now, or cannot be signed.
    pub fn publish(&self, done: Published) {
        self.shared.publish(done);
    }

    /// Waits until a checkpoint covers everything that is durable now.
    ///
    /// # Errors
    /// [`Trouble`] when it cannot be written at present.
    pub fn publish_and_wait(&self) -> Result<(), Trouble> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.publish(Box::new(move |result| _ = sender.send(result)));
        receiver
            .recv()
            .unwrap_or(Err(Trouble::Io(io::ErrorKind::BrokenPipe)))
    }

    /// Reads what is published.
    pub fn reader(&self) -> Reader {
        self.shared.reader.clone()
    }

    /// What keeps the ledger from writing at present.
    pub fn trouble(&self) -> Option<Trouble> {
        self.shared.work().trouble
    }

    /// Writes what was submitted, publishes it and ends. Later appends fail with [`AppendError::Closed`].
    pub fn close(&self) {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some([committing, integrating]) = threads else {
            return;
        };
        self.shared.inbox().closed = true;
        self.shared.arrived.notify_all();
        let _ = committing.join();
        self.shared.work().closing = true;
        self.shared.wanted.notify_all();
        let _ = integrating.join();
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.close();
    }
}

/// Ends what waits for a thread that ended, for whatever reason: nobody is left waiting.
struct EndGuard(Arc<Shared>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        let left = {
            let mut inbox = self.0.inbox();
            inbox.closed = true;
            inbox.bytes = 0;
            std::mem::take(&mut inbox.waiting)
        };
        for waiting in left {
            (waiting.done)(Err(AppendError::Closed));
        }
        let readers = {
            let mut work = self.0.work();
            work.trouble.get_or_insert(Trouble::Io(io::ErrorKind::BrokenPipe));
            std::mem::take(&mut work.readers)
        };
        self.0.advanced.notify_all();
        self.0.arrived.notify_all();
        for reader in readers {
            reader(Err(Trouble::Io(io::ErrorKind::BrokenPipe)));
        }
    }
}
