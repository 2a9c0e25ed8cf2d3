//! The write-ahead log: where an entry is durable first.
//!
//! Two preallocated segments take turns, so that a sync writes data blocks and no metadata. A segment starts with a
//! header block; after it come batches, each on a block of its own, so that a torn write cannot reach an earlier batch. A batch is
//! one group commit: a header with a SHA-256 over everything, then the entries in bundle form. The first entry of a segment is
//! always the first of a bundle: entries of an unfinished bundle are carried over, because its tile may not be durable.

use std::io;

use sha2::{Digest as _, Sha256};

use crate::bundle::{self, PREFIX_BYTES};
use crate::storage::{RandomAccess, Storage, parent};

/// What writes are aligned to.
pub(crate) const BLOCK_BYTES: usize = 4096;
/// The largest segment. What is behind it in a file is not looked at.
pub(crate) const MAX_SEGMENT_BYTES: u64 = 64 << 20;
/// The most bytes of entries in a batch.
pub(crate) const MAX_BATCH_BYTES: usize = 1 << 20;
const HEADER_BYTES: usize = 64;
/// Starts with a byte that no JSON text has, so no entry can look like a header.
const SEGMENT_MAGIC: [u8; 8] = *b"\xffHFSEG1\n";
const BATCH_MAGIC: [u8; 8] = *b"\xffHFBAT1\n";

/// The two files.
pub(crate) const SLOTS: [&str; 2] = ["wal/0", "wal/1"];

/// The segment that is written to.
pub(crate) struct Segment {
    file: Box<dyn RandomAccess>,
    generation: u64,
    pub first: u64,
    offset: u64,
    capacity: u64,
    buffer: Vec<u8>,
}

fn header(magic: [u8; 8], numbers: [u64; 3], content: &[u8]) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let (head, digest) = header.split_at_mut(32);
    let fields = [u64::from_be_bytes(magic), numbers[0], numbers[1], numbers[2]];
    for (place, field) in head.chunks_exact_mut(8).zip(fields) {
        place.copy_from_slice(&field.to_be_bytes());
    }
    digest.copy_from_slice(&Sha256::new_with_prefix(&*head).chain_update(content).finalize());
    header
}

/// The three numbers of a header with this magic; what they claim is not checked yet.
fn numbers(magic: [u8; 8], header: &[u8]) -> Option<[u64; 3]> {
    let mut fields = header
        .get(..32)?
        .chunks_exact(8)
        .map(|field| field.try_into().map(u64::from_be_bytes));
    let mut next = || fields.next()?.ok();
    (next()? == u64::from_be_bytes(magic)).then_some(())?;
    Some([next()?, next()?, next()?])
}

/// A count and a length in one number.
fn pack(count: usize, length: usize) -> io::Result<u64> {
    let half = |n: usize| u32::try_from(n).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    Ok(u64::from(half(count)?) << 32 | u64::from(half(length)?))
}

fn unpack(packed: u64) -> (u64, usize) {
    let length = usize::try_from(packed & u64::from(u32::MAX)).unwrap_or(usize::MAX);
    (packed >> 32, length)
}

/// Bytes that a batch of `length` bytes of entries takes in a segment.
fn batch_bytes(length: usize) -> u64 {
    let blocks = (HEADER_BYTES + length).div_ceil(BLOCK_BYTES) * BLOCK_BYTES;
    u64::try_from(blocks).unwrap_or(u64::MAX)
}

impl Segment {
    /// Starts generation `generation` in a slot with the entries of an unfinished bundle, `carry`, of which the first
    /// has index `first`. What the slot held before is gone; the other slot stays as it is.
    pub fn begin(
        storage: &dyn Storage,
        slot: usize,
        generation: u64,
        first: u64,
        carry: &[u8],
        capacity: u64,
    ) -> io::Result<Self> {
        let file = prepare(storage, slot, capacity)?;
        let block = u64::try_from(BLOCK_BYTES).unwrap_or_default();
        let mut segment = Self {
            file,
            generation,
            first,
            offset: block,
            capacity,
            buffer: Vec::new(),
        };
        let mut start = vec![0; BLOCK_BYTES];
        let head = header(SEGMENT_MAGIC, [generation, first, capacity], &[]);
        start.splice(..HEADER_BYTES, head);
        segment.file.write_at(0, &start)?;
        let mut index = first;
        let mut rest = carry;
        while !rest.is_empty() {
            let (count, piece) = piece(rest)?;
            segment.write(index, count, piece)?;
            index += u64::try_from(count).unwrap_or_default();
            rest = rest.get(piece.len()..).unwrap_or_default();
        }
        segment.file.sync()?;
        Ok(segment)
    }

    /// Whether a batch of `length` bytes of entries still has room.
    pub fn fits(&self, length: usize) -> bool {
        self.offset.saturating_add(batch_bytes(length)) <= self.capacity
    }

    /// Whether more than half of it is used.
    pub const fn is_half_full(&self) -> bool {
        self.offset > self.capacity / 2
    }

    /// Writes a batch and makes it durable. After an error it does not count: the next one is written over it.
    pub fn append(&mut self, first: u64, count: usize, entries: &[u8]) -> io::Result<()> {
        let before = self.offset;
        let result = self.write(first, count, entries).and_then(|()| self.file.sync());
        if result.is_err() {
            self.offset = before;
        }
        result
    }

    fn write(&mut self, first: u64, count: usize, entries: &[u8]) -> io::Result<()> {
        if !self.fits(entries.len()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a batch does not fit into a segment",
            ));
        }
        let length = batch_bytes(entries.len());
        self.buffer.clear();
        let numbers = [self.generation, first, pack(count, entries.len())?];
        self.buffer
            .extend_from_slice(&header(BATCH_MAGIC, numbers, entries));
        self.buffer.extend_from_slice(entries);
        self.buffer.resize(usize::try_from(length).unwrap_or_default(), 0);
        self.file.write_at(self.offset, &self.buffer)?;
        self.offset += length;
        Ok(())
    }
}

/// As many whole entries as go into one batch.
fn piece(entries: &[u8]) -> io::Result<(usize, &[u8])> {
    let mut rest = bundle::entries(entries);
    let (mut count, mut length) = (0, 0);
    while let Some(entry) = rest.next() {
        entry.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let end = entries.len() - rest.rest().len();
        if end > MAX_BATCH_BYTES {
            break;
        }
        (count, length) = (count + 1, end);
    }
    Ok((count, entries.get(..length).unwrap_or_default()))
}

/// Opens a slot's file with all its blocks allocated and written, so that a sync need not write metadata.
pub(crate) fn prepare(
    storage: &dyn Storage,
    slot: usize,
    capacity: u64,
) -> io::Result<Box<dyn RandomAccess>> {
    let path = SLOTS
        .get(slot)
        .filter(|_| capacity <= MAX_SEGMENT_BYTES)
        .ok_or(io::ErrorKind::InvalidInput)?;
    storage.create_directory(parent(path))?;
    let file = storage.open(path, true)?.ok_or(io::ErrorKind::NotFound)?;
    if file.size()? != capacity {
        // Whatever it held is not needed any more when a slot is prepared.
        file.set_size(0)?;
        let zeros = vec![0; 256 << 10];
        let mut offset = 0;
        while offset < capacity {
            let length = usize::try_from(capacity - offset)
                .unwrap_or(usize::MAX)
                .min(zeros.len());
            file.write_at(offset, zeros.get(..length).unwrap_or_default())?;
            offset += u64::try_from(length).unwrap_or_default();
        }
        file.sync()?;
        storage.sync_directory(parent(path))?;
        storage.sync_directory("")?;
    }
    Ok(file)
}

/// A batch found in a segment, whole and with the right digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Index of its first entry.
    pub first: u64,
    /// How many entries.
    pub count: u64,
    offset: u64,
    length: usize,
}

/// What a segment holds.
pub(crate) struct Found {
    file: Box<dyn RandomAccess>,
    pub slot: usize,
    pub generation: u64,
    /// Index of its first entry.
    pub first: u64,
    /// Its batches in order of their place. After damage they may not follow on each other.
    pub batches: Vec<Batch>,
    /// Bytes of a batch that was begun and not finished, at the end.
    pub torn_bytes: u64,
}

impl Found {
    /// The entries of a batch, in bundle form.
    pub fn entries(&self, batch: Batch) -> io::Result<Vec<u8>> {
        let mut entries = vec![0; batch.length];
        let read = self.file.read_at(batch.offset, &mut entries)?;
        entries.truncate(read);
        Ok(entries)
    }
}

/// Reads both segments, the older one first. A slot without a valid header holds nothing.
pub(crate) fn read(storage: &dyn Storage) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for (slot, path) in SLOTS.iter().enumerate() {
        if let Some(file) = storage.open(path, false)? {
            found.extend(scan(file, slot)?);
        }
    }
    found.sort_by_key(|segment| segment.generation);
    Ok(found)
}

fn scan(file: Box<dyn RandomAccess>, slot: usize) -> io::Result<Option<Found>> {
    let mut start = [0; HEADER_BYTES];
    if file.read_at(0, &mut start)? < HEADER_BYTES {
        return Ok(None);
    }
    let Some([generation, first, capacity]) = numbers(SEGMENT_MAGIC, &start) else {
        return Ok(None);
    };
    if header(SEGMENT_MAGIC, [generation, first, capacity], &[]) != start {
        return Ok(None);
    }
    let end = file.size()?.min(MAX_SEGMENT_BYTES);
    let mut found = Found {
        file,
        slot,
        generation,
        first,
        batches: Vec::new(),
        torn_bytes: 0,
    };
    let block = u64::try_from(BLOCK_BYTES).unwrap_or_default();
    let (mut offset, mut torn) = (block, None);
    while offset < end {
        match batch(&found, offset)? {
            Read::Whole(batch) => {
                offset += batch_bytes(batch.length);
                found.batches.push(batch);
                torn = None;
            }
            // Every block is looked at: a whole batch after a broken one means damage, not a torn write.
            Read::Broken(bytes) => {
                torn = torn.or(Some(bytes));
                offset += block;
            }
            Read::Nothing => offset += block,
        }
    }
    found.torn_bytes = torn.unwrap_or(0);
    Ok(Some(found))
}

enum Read {
    Whole(Batch),
    Broken(u64),
    Nothing,
}

fn batch(segment: &Found, offset: u64) -> io::Result<Read> {
    let mut head = [0; HEADER_BYTES];
    let read = segment.file.read_at(offset, &mut head)?;
    let Some([generation, first, packed]) = numbers(BATCH_MAGIC, head.get(..read).unwrap_or_default()) else {
        return Ok(Read::Nothing);
    };
    if generation != segment.generation {
        return Ok(Read::Nothing);
    }
    let (count, length) = unpack(packed);
    let batch = Batch {
        first,
        count,
        offset: offset + HEADER_BYTES as u64,
        length,
    };
    if length > MAX_BATCH_BYTES || count > u64::try_from(length / PREFIX_BYTES).unwrap_or_default() {
        return Ok(Read::Broken(HEADER_BYTES as u64));
    }
    let entries = segment.entries(batch)?;
    let whole = entries.len() == length && header(BATCH_MAGIC, [generation, first, packed], &entries) == head;
    Ok(if whole {
        Read::Whole(batch)
    } else {
        Read::Broken(batch_bytes(length))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Disk;

    const CAPACITY: u64 = 48 << 10;

    fn entries(range: std::ops::Range<u64>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for index in range {
            bundle::push(&mut bytes, format!("entry {index} {}", "x".repeat(40)).as_bytes());
        }
        bytes
    }

    fn indices(storage: &dyn Storage) -> Vec<(u64, u64, Vec<u64>)> {
        let found = read(storage).unwrap();
        found
            .iter()
            .map(|segment| {
                let mut read = Vec::new();
                for batch in &segment.batches {
                    let bytes = segment.entries(*batch).unwrap();
                    assert_eq!(bytes, entries(batch.first..batch.first + batch.count));
                    read.extend(batch.first..batch.first + batch.count);
                }
                (segment.generation, segment.first, read)
            })
            .collect()
    }

    #[test]
    fn whatever_a_segment_holds_is_read_without_harm() {
        let (directory, disk) = disk();
        let path = directory.path().join(SLOTS[0]);
        let mut segment = Segment::begin(&disk, 0, 1, 0, &[], CAPACITY).unwrap();
        append(&mut segment, 0..3);
        let whole = std::fs::read(&path).unwrap();
        // Headers that claim anything, in the second batch's place.
        for numbers in [
            [1, 3, u64::MAX],
            [1, u64::MAX, 1 << 32],
            [1, 3, 1 << 32 | 2],
            [2, 3, 1 << 32],
            [1, 3, 0],
        ] {
            let mut bytes = whole.clone();
            let header = header(BATCH_MAGIC, numbers, b"\0\0");
            bytes.splice(2 * BLOCK_BYTES..2 * BLOCK_BYTES + HEADER_BYTES, header);
            std::fs::write(&path, bytes).unwrap();
            let found = read(&disk).unwrap();
            for batch in &found[0].batches {
                assert!(found[0].entries(*batch).unwrap().len() <= MAX_BATCH_BYTES);
            }
        }
    }

    fn disk() -> (tempfile::TempDir, Disk) {
        let directory = tempfile::tempdir().unwrap();
        let (disk, _lock) = Disk::exclusive(directory.path()).unwrap();
        (directory, disk)
    }

    fn append(segment: &mut Segment, range: std::ops::Range<u64>) {
        let count = usize::try_from(range.end - range.start).unwrap();
        segment.append(range.start, count, &entries(range)).unwrap();
    }

    #[test]
    fn reads_back_both_segments_with_what_was_carried_over() {
        let (_directory, disk) = disk();
        let mut older = Segment::begin(&disk, 0, 1, 0, &[], CAPACITY).unwrap();
        append(&mut older, 0..3);
        append(&mut older, 3..300);
        let mut newer = Segment::begin(&disk, 1, 2, 256, &entries(256..300), CAPACITY).unwrap();
        append(&mut newer, 300..301);
        let expected = [(1, 0, (0..300).collect()), (2, 256, (256..301).collect())];
        assert_eq!(indices(&disk), expected);
        // The older slot is used again: nothing of its former content counts.
        drop(Segment::begin(&disk, 0, 3, 256, &entries(256..301), CAPACITY).unwrap());
        assert_eq!(
            indices(&disk),
            [(2, 256, (256..301).collect()), (3, 256, (256..301).collect())]
        );
    }

    #[test]
    fn a_carry_larger_than_a_batch_is_divided() {
        let (_directory, disk) = disk();
        let mut carry = Vec::new();
        for _ in 0..255 {
            bundle::push(&mut carry, &[b'x'; 16 << 10]);
        }
        drop(Segment::begin(&disk, 0, 1, 512, &carry, 8 << 20).unwrap());
        let found = read(&disk).unwrap();
        let counts: Vec<u64> = found[0].batches.iter().map(|batch| batch.count).collect();
        assert_eq!(counts, [63, 63, 63, 63, 3]);
        let read: Vec<u8> = found[0]
            .batches
            .iter()
            .flat_map(|batch| found[0].entries(*batch).unwrap())
            .collect();
        assert_eq!(read, carry);
        assert!(
            Segment::begin(&disk, 1, 2, 512, &carry, 1 << 20).is_err(),
            "a carry that does not fit is refused"
        );
    }

    #[test]
    fn a_last_batch_cut_off_or_changed_at_any_byte_is_dropped_and_nothing_else() {
        let (directory, disk) = disk();
        let mut segment = Segment::begin(&disk, 0, 1, 0, &[], CAPACITY).unwrap();
        append(&mut segment, 0..2);
        let start = usize::try_from(segment.offset).unwrap();
        append(&mut segment, 2..40);
        let end = start + HEADER_BYTES + entries(2..40).len();
        let path = directory.path().join(SLOTS[0]);
        let whole = std::fs::read(&path).unwrap();
        for place in start..end {
            let mut changed = whole.clone();
            changed[place] ^= 0x10;
            std::fs::write(&path, &changed).unwrap();
            assert_eq!(indices(&disk), [(1, 0, vec![0, 1])], "changed at {place}");
            std::fs::write(&path, &whole[..place]).unwrap();
            assert_eq!(indices(&disk), [(1, 0, vec![0, 1])], "cut at {place}");
            let mut torn = whole.clone();
            torn[place..].fill(0);
            std::fs::write(&path, &torn).unwrap();
            // What was to be zero anyway is not missed.
            let unchanged = torn == whole;
            assert_eq!(
                indices(&disk)[0].2.len(),
                if unchanged { 40 } else { 2 },
                "torn at {place}"
            );
        }
    }

    #[test]
    fn a_broken_batch_before_a_whole_one_leaves_a_gap_that_is_seen() {
        let (directory, disk) = disk();
        let mut segment = Segment::begin(&disk, 0, 1, 0, &[], CAPACITY).unwrap();
        append(&mut segment, 0..2);
        append(&mut segment, 2..4);
        append(&mut segment, 4..6);
        let path = directory.path().join(SLOTS[0]);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[2 * BLOCK_BYTES + 100] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(indices(&disk), [(1, 0, vec![0, 1, 4, 5])]);
    }

    #[test]
    fn a_damaged_header_hides_the_segment_and_not_the_other_one() {
        let (directory, disk) = disk();
        drop(Segment::begin(&disk, 0, 1, 0, &entries(0..3), CAPACITY).unwrap());
        drop(Segment::begin(&disk, 1, 2, 0, &entries(0..3), CAPACITY).unwrap());
        let path = directory.path().join(SLOTS[1]);
        let whole = std::fs::read(&path).unwrap();
        for place in 0..HEADER_BYTES {
            let mut bytes = whole.clone();
            bytes[place] ^= 0x80;
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(indices(&disk), [(1, 0, vec![0, 1, 2])], "header byte {place}");
        }
    }

    #[test]
    fn refuses_a_batch_that_does_not_fit() {
        let (_directory, disk) = disk();
        let mut segment = Segment::begin(&disk, 0, 1, 0, &[], 3 * BLOCK_BYTES as u64).unwrap();
        append(&mut segment, 0..1);
        assert!(segment.fits(BLOCK_BYTES - HEADER_BYTES));
        assert!(!segment.fits(BLOCK_BYTES - HEADER_BYTES + 1));
        append(&mut segment, 1..2);
        assert!(!segment.fits(0));
        assert!(segment.append(2, 1, &entries(2..3)).is_err());
    }
}
