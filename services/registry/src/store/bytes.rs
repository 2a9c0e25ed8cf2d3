//! Reading every byte of a file once: copied and hashed, or hashed alone.
//!
//! One thread reads and writes, another hashes; a few buffers go round between them, so that memory does not grow with the
//! file. The digest is that of the bytes that were written.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use holdfast_contract::Digest;
use sha2::{Digest as _, Sha256};

/// Bytes read at once.
const CHUNK_BYTES: usize = 1 << 20;
/// Buffers: one being filled, one being hashed, two on their way.
const BUFFERS: usize = 4;

/// Why a file was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BytesError {
    /// The source cannot be read.
    #[error("read the artifact")]
    Read(#[source] io::Error),
    /// The target cannot be written.
    #[error("write the copy")]
    Write(#[source] io::Error),
    /// The source is shorter than it was said to be.
    #[error("the artifact ends after {at} of {expected} bytes")]
    Shorter {
        /// Where it ended.
        at: u64,
        /// Where it should have ended.
        expected: u64,
    },
    /// The source is longer than it was said to be.
    #[error("the artifact goes on after its {expected} bytes")]
    Longer {
        /// Where it should have ended.
        expected: u64,
    },
    /// Somebody asked to stop.
    #[error("stopped before the end")]
    Cancelled,
    /// No thread for hashing.
    #[error("start a thread")]
    Thread(#[source] io::Error),
}

/// How far reading is, seen from another thread, and the way to stop it.
#[derive(Debug, Default)]
pub struct Watch {
    done: AtomicU64,
    cancelled: AtomicBool,
}

impl Watch {
    /// Bytes done.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Asks to stop at the next buffer.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

/// Copies the first `size` bytes of `source`, which must be all of it, to the start of `target`, and returns their digest.
///
/// # Errors
///
/// When a file fails, `source` has another length, or `watch` says to stop.
pub fn copy(source: &File, target: &File, size: u64, watch: &Watch) -> Result<Digest, BytesError> {
    run(source, Some(target), size, watch)
}

/// The digest of the first `size` bytes of `source`, which must be all of it.
///
/// # Errors
///
/// Like [`copy`].
pub fn digest(source: &File, size: u64, watch: &Watch) -> Result<Digest, BytesError> {
    run(source, None, size, watch)
}

fn run(source: &File, target: Option<&File>, size: u64, watch: &Watch) -> Result<Digest, BytesError> {
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<Arc<Vec<u8>>>(BUFFERS - 2);
        let hasher = std::thread::Builder::new()
            .name("sha256".to_owned())
            .spawn_scoped(scope, move || hash(&receiver))
            .map_err(BytesError::Thread)?;
        let mut buffers: [Arc<Vec<u8>>; BUFFERS] = std::array::from_fn(|_| Arc::default());
        let mut at = 0;
        for turn in (0..BUFFERS).cycle() {
            if at == size {
                break;
            }
            if watch.cancelled.load(Ordering::Relaxed) {
                return Err(BytesError::Cancelled);
            }
            // The hasher took three buffers since this one was sent, so it has let go of it.
            let mut buffer = std::mem::take(&mut buffers[turn]);
            let bytes = Arc::make_mut(&mut buffer);
            bytes.resize(chunk_at(at, size), 0);
            let length = read_at(source, bytes, at).map_err(BytesError::Read)?;
            if length == 0 {
                return Err(BytesError::Shorter { at, expected: size });
            }
            bytes.truncate(length);
            if sender.send(Arc::clone(&buffer)).is_err() {
                return Err(BytesError::Cancelled);
            }
            if let Some(target) = target {
                target.write_all_at(&buffer, at).map_err(BytesError::Write)?;
            }
            at += length as u64;
            watch.done.store(at, Ordering::Relaxed);
            buffers[turn] = buffer;
        }
        if read_at(source, &mut [0], size).map_err(BytesError::Read)? != 0 {
            return Err(BytesError::Longer { expected: size });
        }
        drop(sender);
        hasher.join().map_err(|_| BytesError::Cancelled)
    })
}

fn chunk_at(at: u64, size: u64) -> usize {
    usize::try_from(size - at).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES))
}

fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn hash(buffers: &Receiver<Arc<Vec<u8>>>) -> Digest {
    let mut hash = Sha256::new();
    // Each buffer is dropped before the next is waited for.
    while let Ok(buffer) = buffers.recv() {
        hash.update(buffer.as_slice());
    }
    Digest::from_bytes(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file
    }

    fn expected(bytes: &[u8]) -> Digest {
        Digest::from_bytes(Sha256::digest(bytes).into())
    }

    #[test]
    fn copies_and_hashes_every_byte_at_every_length() {
        for length in [
            0,
            1,
            CHUNK_BYTES - 1,
            CHUNK_BYTES,
            CHUNK_BYTES + 1,
            7 * CHUNK_BYTES + 3,
        ] {
            let bytes: Vec<u8> = (0..length).map(|i| u8::try_from(i * 31 % 251).unwrap()).collect();
            let (source, target, watch) = (file(&bytes), file(&[]), Watch::default());
            assert_eq!(
                copy(&source, &target, length as u64, &watch).unwrap(),
                expected(&bytes)
            );
            let mut copied = vec![0; length];
            target.read_exact_at(&mut copied, 0).unwrap();
            assert_eq!(copied, bytes);
            assert_eq!(watch.done(), length as u64);
            assert_eq!(
                digest(&source, length as u64, &Watch::default()).unwrap(),
                expected(&bytes)
            );
        }
    }

    #[test]
    fn tells_a_shorter_from_a_longer_file() {
        let source = file(b"12345");
        let watch = Watch::default();
        assert!(matches!(
            digest(&source, 6, &watch),
            Err(BytesError::Shorter { at: 5, expected: 6 })
        ));
        assert!(matches!(
            digest(&source, 4, &watch),
            Err(BytesError::Longer { expected: 4 })
        ));
        assert!(digest(&source, 5, &watch).is_ok());
    }

    #[test]
    fn stops_when_asked() {
        let watch = Watch::default();
        watch.cancel();
        assert!(matches!(
            digest(&file(b"1"), 1, &watch),
            Err(BytesError::Cancelled)
        ));
    }

    #[test]
    fn says_which_side_failed() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("a"), b"1").unwrap();
        let write_only = File::options().write(true).open(temp.path().join("a")).unwrap();
        let read_only = File::open(temp.path().join("a")).unwrap();
        let watch = Watch::default();
        assert!(matches!(
            copy(&write_only, &file(b""), 1, &watch),
            Err(BytesError::Read(_))
        ));
        assert!(matches!(
            copy(&file(b"1"), &read_only, 1, &watch),
            Err(BytesError::Write(_))
        ));
    }
}
