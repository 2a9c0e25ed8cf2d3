//! One pass: each chunk is read once, hashed and inspected.
//!
//! Buffers are few and fixed, so memory does not depend on the file. The size that was known before is a bound: what is longer or
//! shorter has changed under the inspection and is refused.

use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::thread;

use holdfast_contract::Digest;
use holdfast_contract::limits::MAX_ARTIFACT_BYTES;
use holdfast_contract::report::Report;
use holdfast_formats::disarm::Weights;
use holdfast_formats::set::Ties;
use holdfast_formats::{FileInspector, Rule, rules};

use crate::hashing::{Chunk, Hasher};
use crate::report::{complete, refusal};
use crate::rules::shipped;

/// Bytes of a chunk. Measured: below 256 KiB the wake-ups of the other thread cost more than they bring, above 1 MiB nothing is won.
pub const CHUNK_BYTES: usize = 1 << 20;
/// Chunks in use at once: one being read, one or two waiting, one being hashed.
const CHUNKS: usize = 5;
/// Files up to this size are not worth a second thread.
const SMALL_BYTES: u64 = CHUNK_BYTES as u64;

/// Inspects everything that `reader` gives. `size` is what is known of its length, `name` what the person calls it (only
/// suspicion is drawn from it). `progress` hears how many bytes are done, after each chunk.
pub fn inspect(reader: impl Read, size: Option<u64>, name: &str, progress: impl FnMut(u64)) -> Report {
    let inspector = FileInspector::new(name).scanning(&shipped());
    inspect_with(reader, size, inspector, progress)
}

/// [`inspect`] with further inspectors over the same bytes.
pub fn inspect_with(
    reader: impl Read,
    size: Option<u64>,
    inspector: FileInspector,
    progress: impl FnMut(u64),
) -> Report {
    inspect_whole(reader, size, inspector, progress).report
}

/// Everything that one pass tells.
#[derive(Debug)]
pub struct Whole {
    /// The report.
    pub report: Report,
    /// Where the numbers are, if it is a checkpoint.
    pub weights: Option<Weights>,
    /// What ties the file to others, if the inspector collects that.
    pub ties: Ties,
}

impl From<Report> for Whole {
    fn from(report: Report) -> Self {
        Self {
            report,
            weights: None,
            ties: Ties::default(),
        }
    }
}

/// [`inspect_with`], and what else the pass tells.
pub fn inspect_whole(
    reader: impl Read,
    size: Option<u64>,
    inspector: FileInspector,
    progress: impl FnMut(u64),
) -> Whole {
    if let Some(size) = size.filter(|size| *size > MAX_ARTIFACT_BYTES) {
        return too_large(&inspector, size).into();
    }
    let pass = Pass {
        reader,
        size,
        inspector,
        progress,
    };
    if size.is_some_and(|size| size <= SMALL_BYTES) {
        pass.run(Hasher::here())
    } else {
        thread::scope(|scope| pass.run(Hasher::there(scope)))
    }
}

fn too_large(inspector: &FileInspector, size: u64) -> Report {
    let message = format!("the file has {size} bytes, the limit is {MAX_ARTIFACT_BYTES}");
    refusal(&rules::IO_TOO_LARGE, inspector.format(), size, &message)
}

struct Pass<R, P> {
    reader: R,
    size: Option<u64>,
    inspector: FileInspector,
    progress: P,
}

impl<R: Read, P: FnMut(u64)> Pass<R, P> {
    fn run(mut self, hasher: Hasher<'_>) -> Whole {
        match self.read_all(hasher) {
            Ok(sha256) => {
                let mut outcome = self.inspector.finish();
                let weights = outcome.weights.take();
                let ties = std::mem::take(&mut outcome.ties);
                Whole {
                    report: complete(outcome, sha256),
                    weights,
                    ties,
                }
            }
            Err(report) => Whole::from(*report),
        }
    }

    fn read_all(&mut self, mut hasher: Hasher<'_>) -> Result<Digest, Box<Report>> {
        // One chunk holds a small file and shows that nothing follows it.
        let room = match self.size {
            Some(size) if size <= SMALL_BYTES => usize::try_from(size).unwrap_or(CHUNK_BYTES) + 1,
            _ => CHUNK_BYTES,
        };
        let mut free = vec![Chunk::new(room)];
        let mut made = 1;
        let mut done: u64 = 0;
        loop {
            let mut chunk = match free.pop().or_else(|| hasher.returned(made == CHUNKS)) {
                Some(chunk) => chunk,
                None => {
                    made += 1;
                    Chunk::new(room)
                }
            };
            chunk.clear();
            if let Err(error) = self.read(&mut chunk) {
                let message = format!("reading failed after {done} bytes: {error}");
                return Err(self.stopped(&rules::IO_READ, done, &message));
            }
            let read = chunk.filled().len() as u64;
            if read == 0 {
                break;
            }
            done += read;
            if let Some(size) = self.size.filter(|size| done > *size) {
                let message = format!("the file had {size} bytes at first, now it has more");
                return Err(self.stopped(&rules::IO_GREW, done, &message));
            }
            if done > MAX_ARTIFACT_BYTES {
                return Err(Box::new(too_large(&self.inspector, done)));
            }
            let chunk = Arc::new(chunk);
            hasher.feed(&chunk);
            self.inspector.feed(chunk.filled());
            // Into the pool, unless the hash still has it and gives it back later.
            free.extend(Arc::into_inner(chunk));
            (self.progress)(done);
        }
        if let Some(size) = self.size.filter(|size| done < *size) {
            let message = format!("the file had {size} bytes at first, only {done} could be read");
            return Err(self.stopped(&rules::IO_SHRANK, done, &message));
        }
        hasher
            .finish()
            .ok_or_else(|| self.stopped(&rules::IO_WORKER_DIED, done, "the digest could not be computed"))
    }

    /// Fills the chunk, or reads to the end of the file.
    fn read(&mut self, chunk: &mut Chunk) -> std::io::Result<()> {
        loop {
            let room = chunk.room();
            if room.is_empty() {
                return Ok(());
            }
            match self.reader.read(room) {
                Ok(0) => return Ok(()),
                Ok(bytes) => chunk.fill(bytes),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn stopped(&self, rule: &'static Rule, done: u64, message: &str) -> Box<Report> {
        let size = self.size.unwrap_or(done);
        Box::new(refusal(rule, self.inspector.format(), size, message))
    }
}
