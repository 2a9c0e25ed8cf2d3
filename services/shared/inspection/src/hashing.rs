//! SHA-256 on a thread of its own, so that hashing and inspecting the same chunk take two processors.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use holdfast_contract::Digest;
use sha2::{Digest as _, Sha256};

/// How many chunks may wait for the hash.
const WAITING: usize = 3;
/// The hash needs little stack.
const STACK_BYTES: usize = 256 << 10;

/// A buffer that is read into, then looked at by several.
#[derive(Debug)]
pub struct Chunk {
    bytes: Box<[u8]>,
    filled: usize,
}

impl Chunk {
    /// An empty chunk with room for `bytes`.
    pub fn new(bytes: usize) -> Self {
        Self {
            bytes: vec![0; bytes].into_boxed_slice(),
            filled: 0,
        }
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.filled = 0;
    }

    /// The room that is left.
    pub fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.filled..).unwrap_or_default()
    }

    /// Marks the first `bytes` of the room as filled.
    pub fn fill(&mut self, bytes: usize) {
        self.filled = self.filled.saturating_add(bytes).min(self.bytes.len());
    }

    /// What was filled.
    pub fn filled(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }
}

/// Where chunks go to be hashed.
pub enum Hasher<'scope> {
    /// In the calling thread.
    Here(Box<Sha256>),
    /// In another thread, which gives the chunks back.
    There {
        /// To the thread.
        chunks: SyncSender<Arc<Chunk>>,
        /// From it.
        done: Receiver<Arc<Chunk>>,
        /// The thread.
        thread: ScopedJoinHandle<'scope, Digest>,
    },
}

impl<'scope> Hasher<'scope> {
    /// A hasher in the calling thread.
    pub fn here() -> Self {
        Self::Here(Box::default())
    }

    /// A hasher in a thread of its own, or in the calling thread where none can be had.
    pub fn there<'env>(scope: &'scope Scope<'scope, 'env>) -> Self {
        let (chunks, inbox) = sync_channel(WAITING);
        let (outbox, done) = channel();
        let thread = Builder::new()
            .name("sha256".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, move || hash_all(&inbox, &outbox));
        match thread {
            Ok(thread) => Self::There { chunks, done, thread },
            Err(_) => Self::here(),
        }
    }

    /// Takes a chunk. It comes back from [`Hasher::returned`] once hashed.
    pub fn feed(&mut self, chunk: &Arc<Chunk>) {
        match self {
            Self::Here(sha256) => sha256.update(chunk.filled()),
            // The thread ends only after this sender is dropped, so the chunk arrives.
            Self::There { chunks, .. } => drop(chunks.send(Arc::clone(chunk))),
        }
    }

    /// A chunk that is hashed, if one is ready or `wait` says to wait for it.
    pub fn returned(&self, wait: bool) -> Option<Chunk> {
        match self {
            Self::Here(_) => None,
            Self::There { done, .. } => {
                let chunk = if wait {
                    done.recv().ok()
                } else {
                    done.try_recv().ok()
                };
                chunk.and_then(Arc::into_inner)
            }
        }
    }

    /// The digest of everything fed; `None` if the thread failed.
    pub fn finish(self) -> Option<Digest> {
        match self {
            Self::Here(sha256) => Some(Digest::from_bytes(sha256.finalize().into())),
            Self::There { chunks, done, thread } => {
                drop((chunks, done));
                thread.join().ok()
            }
        }
    }
}

fn hash_all(inbox: &Receiver<Arc<Chunk>>, outbox: &Sender<Arc<Chunk>>) -> Digest {
    let mut sha256 = Sha256::new();
    while let Ok(chunk) = inbox.recv() {
        sha256.update(chunk.filled());
        // Nobody waits for the last chunks.
        drop(outbox.send(chunk));
    }
    Digest::from_bytes(sha256.finalize().into())
}
