//! What everything in one file shares: how much may come out of what is compressed and how much memory that may take, since a
//! few bytes can stand for more than anybody has room or time for; and what it is searched for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::scan::Scanner;

/// What may come out in any case: arrays of zeros are ordinary, and a thousand times smaller when compressed.
const FREE_BYTES: u64 = 1 << 30;
/// How many bytes more may come out for each byte of the file.
const RATIO: u64 = 20;
/// What a file within an archive counts, beyond its bytes: as much as can be inspected in the time that it takes to begin and to end it.
const FILE_BYTES: usize = 4 << 10;
/// The most archives within archives.
pub const MAX_DEPTH: u8 = 3;
/// The memory for the windows of all compressed files that lie in each other.
const MEMORY_BYTES: u64 = 36 << 20;

/// What is left of the allowance.
#[derive(Debug, Clone)]
pub struct Budget {
    left: Arc<AtomicU64>,
    memory: Arc<AtomicU64>,
    depth: u8,
    scanner: Arc<Scanner>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            left: Arc::new(AtomicU64::new(FREE_BYTES)),
            memory: Arc::new(AtomicU64::new(MEMORY_BYTES)),
            depth: 0,
            scanner: Scanner::plain(),
        }
    }
}

impl Budget {
    /// What every file and member that shares the allowance is searched for.
    pub fn scanner(&self) -> &Arc<Scanner> {
        &self.scanner
    }

    /// The same allowance, with other things to search for.
    #[must_use]
    pub fn scanning(self, scanner: Arc<Scanner>) -> Self {
        Self { scanner, ..self }
    }

    /// So many bytes of the file itself went by.
    pub fn earn(&self, bytes: usize) {
        let more = (bytes as u64).saturating_mul(RATIO);
        // One thread has it; the atomic makes it shareable, not shared.
        self.left.store(
            self.left.load(Ordering::Relaxed).saturating_add(more),
            Ordering::Relaxed,
        );
    }

    /// Takes what came out; false when that was too much.
    pub fn spend(&self, bytes: usize) -> bool {
        let left = self.left.load(Ordering::Relaxed).checked_sub(bytes as u64);
        self.left.store(left.unwrap_or(0), Ordering::Relaxed);
        left.is_some()
    }

    /// A file within an archive begins. What was too much shows at what comes out next.
    pub fn spend_file(&self) {
        self.spend(FILE_BYTES);
    }

    /// The same allowance, one archive deeper; `None` if that is too deep.
    pub fn deeper(&self) -> Option<Self> {
        (self.depth < MAX_DEPTH).then(|| Self {
            left: Arc::clone(&self.left),
            memory: Arc::clone(&self.memory),
            depth: self.depth + 1,
            scanner: Arc::clone(&self.scanner),
        })
    }

    /// Sets memory aside until what is returned is dropped; `None` if there is not so much left.
    pub fn memory(&self, bytes: u64) -> Option<Memory> {
        let left = self.memory.load(Ordering::Relaxed).checked_sub(bytes)?;
        self.memory.store(left, Ordering::Relaxed);
        Some(Memory {
            left: Arc::clone(&self.memory),
            bytes,
        })
    }

    /// Whether this is within an archive.
    pub fn is_nested(&self) -> bool {
        self.depth > 0
    }
}

/// Memory that was set aside.
#[derive(Debug)]
pub struct Memory {
    left: Arc<AtomicU64>,
    bytes: u64,
}

impl Memory {
    /// How much.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let left = self.left.load(Ordering::Relaxed).saturating_add(self.bytes);
        self.left.store(left, Ordering::Relaxed);
    }
}
