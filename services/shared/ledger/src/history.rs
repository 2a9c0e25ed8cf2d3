//! Every checkpoint that was ever signed, one after the other in the file `checkpoints`.
//!
//! The file only grows. A record is the signed note and an empty line. A checkpoint is durable here before it is shown to
//! anybody, so a fork of the log cannot hide: one of its branches contradicts a record.

use std::io;

use crate::checkpoint::Checkpoint;
use crate::storage::{RandomAccess, Storage};
use holdfast_signed_note::Vkey;

/// The file's name.
pub const PATH: &str = "checkpoints";
/// Lines of a record: origin, size, root, empty, signature, empty.
const LINES: usize = 6;
/// No record is larger: three short lines and a signature.
const MAX_RECORD_BYTES: usize = 1 << 10;
/// How much is read at once.
const BLOCK_BYTES: usize = 64 << 10;
/// How far back a last record is looked for.
const TAIL_BYTES: u64 = 4 << 10;

/// The writer's view.
pub(crate) struct History {
    file: Box<dyn RandomAccess>,
    end: u64,
    torn: u64,
    last: Option<(Checkpoint, String)>,
}

/// Why the history cannot be continued.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// It cannot be read.
    #[error("read the history of checkpoints")]
    Read(#[from] io::Error),
    /// There are records, and none of the last ones is a checkpoint signed by this key.
    #[error("the history of checkpoints ends in nothing that {key} signed")]
    Foreign {
        /// The key's text form.
        key: String,
    },
}

impl History {
    /// Opens the history and finds its last record. Changes nothing that is there.
    pub fn open(storage: &dyn Storage, key: &Vkey) -> Result<Self, HistoryError> {
        let file = match storage.open(PATH, false)? {
            Some(file) => file,
            None => {
                let file = storage
                    .open(PATH, true)?
                    .ok_or(io::ErrorKind::NotFound)
                    .map_err(io::Error::from)?;
                file.sync()?;
                storage.sync_directory("")?;
                file
            }
        };
        let (tail, start) = tail(&*file)?;
        let size = start + u64::try_from(tail.len()).unwrap_or_default();
        let (last, end) = match last_record(&tail, start == 0, key) {
            Some((found, end)) => (Some(found), start + u64::try_from(end).unwrap_or_default()),
            // Nothing but a first record that was begun. A whole one is somebody else's.
            None if start == 0 && record_end(&tail).is_none() => (None, 0),
            None => return Err(HistoryError::Foreign { key: key.to_string() }),
        };
        Ok(Self {
            file,
            end,
            torn: size - end,
            last,
        })
    }

    /// Bytes after the last record: one that was begun and not finished.
    pub const fn torn_bytes(&self) -> u64 {
        self.torn
    }

    /// Removes what is after the last record.
    pub fn drop_torn(&mut self) -> io::Result<()> {
        if self.torn > 0 {
            self.file.set_size(self.end)?;
            self.torn = 0;
        }
        Ok(())
    }

    /// The newest checkpoint and its note.
    pub fn last(&self) -> Option<&(Checkpoint, String)> {
        self.last.as_ref()
    }

    /// Adds a signed checkpoint and makes it durable. After an error the record does not count as written.
    pub fn append(&mut self, checkpoint: Checkpoint, note: &str) -> io::Result<()> {
        self.drop_torn()?;
        let record = format!("{note}\n");
        self.file.write_at(self.end, record.as_bytes())?;
        self.file.sync()?;
        self.end += u64::try_from(record.len()).unwrap_or_default();
        self.last = Some((checkpoint, note.to_owned()));
        Ok(())
    }
}

/// The newest checkpoint in the history that `key` signed, with its note. Changes nothing.
///
/// # Errors
/// When the file cannot be read.
pub fn newest(storage: &dyn Storage, key: &Vkey) -> io::Result<Option<(Checkpoint, String)>> {
    let Some(file) = storage.open(PATH, false)? else {
        return Ok(None);
    };
    let (tail, start) = tail(&*file)?;
    Ok(last_record(&tail, start == 0, key).map(|(last, _)| last))
}

/// The end of the file, and where it begins.
fn tail(file: &dyn RandomAccess) -> io::Result<(Vec<u8>, u64)> {
    let size = file.size()?;
    let start = size.saturating_sub(TAIL_BYTES);
    let mut tail = vec![0; usize::try_from(size - start).unwrap_or_default()];
    let read = file.read_at(start, &mut tail)?;
    tail.truncate(read);
    Ok((tail, start))
}

/// The last whole record that `key` signed, and where it ends.
fn last_record(tail: &[u8], from_start: bool, key: &Vkey) -> Option<((Checkpoint, String), usize)> {
    let begins = |place: usize| {
        let (before, record) = tail.split_at(place);
        let separated = if place == 0 {
            from_start
        } else {
            before.ends_with(b"\n\n")
        };
        separated
            && record
                .strip_prefix(key.name().as_bytes())
                .is_some_and(|rest| rest.starts_with(b"\n"))
    };
    (0..tail.len())
        .rev()
        .filter(|place| begins(*place))
        .find_map(|place| {
            let record = tail.get(place..)?;
            let record = record.get(..record_end(record)?)?;
            let note = note_of(record)?;
            let checkpoint = Checkpoint::open(note, key).ok()?;
            Some(((checkpoint, note.to_owned()), place + record.len()))
        })
}

/// Where the record that `bytes` starts with ends.
fn record_end(bytes: &[u8]) -> Option<usize> {
    let newline = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .nth(LINES - 1)?;
    Some(newline.0 + 1)
}

/// The note in a record.
fn note_of(record: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(record).ok()?;
    // The record's own empty line is the second of two newlines.
    text.strip_suffix('\n').filter(|note| note.ends_with('\n'))
}

/// A record as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// The note; `None` when the bytes are not built like a record.
    pub note: Option<String>,
}

/// Reads the history from its beginning, in bounded memory.
pub struct Records {
    file: Option<Box<dyn RandomAccess>>,
    offset: u64,
    buffer: Vec<u8>,
    used: usize,
}

impl Records {
    /// From the first record on.
    ///
    /// # Errors
    /// When the file cannot be opened. One that does not exist has no records.
    pub fn open(storage: &dyn Storage) -> io::Result<Self> {
        Ok(Self {
            file: storage.open(PATH, false)?,
            offset: 0,
            buffer: Vec::new(),
            used: 0,
        })
    }

    /// The next record. `Ok(None)` at the end of the file; more may be there later.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_next(&mut self) -> io::Result<Option<Record>> {
        let mut at_end = false;
        loop {
            let rest = self.buffer.get(self.used..).unwrap_or_default();
            let length = match record_end(rest) {
                Some(length) => length,
                None if rest.len() > MAX_RECORD_BYTES => rest.len(),
                None if at_end => return Ok(None),
                None => {
                    at_end = !self.fill()?;
                    continue;
                }
            };
            let record = rest.get(..length).unwrap_or_default();
            let note = if length > MAX_RECORD_BYTES {
                None
            } else {
                note_of(record).map(str::to_owned)
            };
            let offset = self.offset;
            self.offset += u64::try_from(length).unwrap_or_default();
            self.used += length;
            return Ok(Some(Record { offset, note }));
        }
    }

    /// Bytes at the end of the file that are not a whole record.
    pub fn unfinished(&self) -> usize {
        self.buffer.len() - self.used
    }

    /// Reads on; `false` when there is nothing more.
    fn fill(&mut self) -> io::Result<bool> {
        let Some(file) = &self.file else { return Ok(false) };
        self.buffer.drain(..self.used);
        self.used = 0;
        let filled = self.buffer.len();
        self.buffer.resize(filled + BLOCK_BYTES, 0);
        let from = self.offset + u64::try_from(filled).unwrap_or_default();
        let read = self
            .buffer
            .get_mut(filled..)
            .map_or(Ok(0), |free| file.read_at(from, free))?;
        self.buffer.truncate(filled + read);
        Ok(read > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Disk;
    use holdfast_signed_note::Signer;

    fn signer() -> Signer {
        Signer::from_seed("holdfast/ledger", &[7; 32]).unwrap()
    }

    fn checkpoint(size: u64) -> Checkpoint {
        Checkpoint {
            size,
            root: [u8::try_from(size % 251).unwrap(); 32],
        }
    }

    fn fill(disk: &Disk, sizes: std::ops::Range<u64>) {
        let mut history = History::open(disk, signer().verifier()).unwrap();
        for size in sizes {
            history
                .append(checkpoint(size), &checkpoint(size).sign(&signer()))
                .unwrap();
        }
    }

    fn sizes(disk: &Disk) -> Vec<u64> {
        let mut records = Records::open(disk).unwrap();
        let mut sizes = Vec::new();
        while let Some(record) = records.read_next().unwrap() {
            let note = record.note.expect("a whole record");
            sizes.push(Checkpoint::open(&note, signer().verifier()).unwrap().size);
        }
        sizes
    }

    #[test]
    fn keeps_every_checkpoint_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let (disk, _lock) = Disk::exclusive(directory.path()).unwrap();
        fill(&disk, 0..1000);
        fill(&disk, 1000..1003);
        assert_eq!(sizes(&disk), (0..1003).collect::<Vec<u64>>());
    }

    #[test]
    fn drops_a_record_torn_at_any_byte_and_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let (disk, _lock) = Disk::exclusive(directory.path()).unwrap();
        fill(&disk, 1..4);
        let path = directory.path().join(PATH);
        let whole = std::fs::read(&path).unwrap();
        let before_last = whole.len() / 3 * 2;
        for length in before_last..whole.len() {
            for garbage in [&b""[..], b"\0\0\0", b"\n\n"] {
                std::fs::write(&path, [&whole[..length], garbage].concat()).unwrap();
                let mut history = History::open(&disk, signer().verifier()).unwrap();
                let last = history.last().unwrap().0;
                // The record's separator may come from the garbage.
                let completed = length + 2 >= whole.len() && garbage == b"\n\n";
                assert_eq!(last.size, if completed { 3 } else { 2 }, "cut at {length}");
                let size = std::fs::metadata(&path).unwrap().len();
                assert_eq!(size, (length + garbage.len()) as u64, "opening changes nothing");
                let torn = history.torn_bytes();
                history.drop_torn().unwrap();
                assert_eq!(std::fs::metadata(&path).unwrap().len(), size - torn);
                drop(history);
                if !completed {
                    fill(&disk, 3..5);
                    assert_eq!(sizes(&disk), [1, 2, 3, 4]);
                }
            }
        }
    }

    #[test]
    fn refuses_to_continue_what_another_key_signed() {
        let directory = tempfile::tempdir().unwrap();
        let (disk, _lock) = Disk::exclusive(directory.path()).unwrap();
        fill(&disk, 0..100);
        let other = Signer::from_seed("holdfast/ledger", &[8; 32]).unwrap();
        assert!(matches!(
            History::open(&disk, other.verifier()),
            Err(HistoryError::Foreign { .. })
        ));
        assert!(History::open(&disk, signer().verifier()).is_ok());
    }

    #[test]
    fn a_first_record_that_was_only_begun_is_written_over_and_a_whole_one_of_another_key_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let (disk, _lock) = Disk::exclusive(directory.path()).unwrap();
        let path = directory.path().join(PATH);
        let other = Signer::from_seed("holdfast/ledger", &[8; 32]).unwrap();
        let record = format!("{}\n", checkpoint(7).sign(&other));
        for length in 0..record.len() {
            std::fs::write(&path, &record.as_bytes()[..length]).unwrap();
            fill(&disk, 1..3);
            assert_eq!(sizes(&disk), [1, 2], "cut at {length}");
        }
        std::fs::write(&path, &record).unwrap();
        let opened = History::open(&disk, signer().verifier());
        assert!(matches!(opened, Err(HistoryError::Foreign { .. })));
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            record,
            "it is left as it is"
        );
    }

    #[test]
    fn a_file_of_anything_is_read_in_bounded_pieces() {
        let directory = tempfile::tempdir().unwrap();
        let (disk, _lock) = Disk::exclusive(directory.path()).unwrap();
        std::fs::write(directory.path().join(PATH), vec![b'x'; 300_000]).unwrap();
        let mut records = Records::open(&disk).unwrap();
        while let Some(record) = records.read_next().unwrap() {
            assert_eq!(record.note, None);
            assert!(records.buffer.len() <= BLOCK_BYTES + MAX_RECORD_BYTES);
        }
    }
}
