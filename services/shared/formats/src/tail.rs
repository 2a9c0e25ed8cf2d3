//! The end of a file, where archives keep their directory.

use crate::bytes::{half, word};

/// How much of the end is kept: a zip archive's end record and the longest comment after it, and some directory before it.
const KEPT_BYTES: usize = 128 << 10;
/// `end of central directory` (APPNOTE 4.3.16).
const END_RECORD: &[u8; 4] = b"PK\x05\x06";
const END_RECORD_BYTES: usize = 22;
/// `central directory header` (APPNOTE 4.3.12).
const ENTRY: &[u8; 4] = b"PK\x01\x02";
const ENTRY_BYTES: usize = 46;
/// The most names that are read off a directory to tell what the archive is.
const MAX_NAMES: usize = 4096;

/// The last bytes of what went by.
#[derive(Debug, Default)]
pub struct Tail {
    bytes: Vec<u8>,
}

/// The directory of a zip archive.
#[derive(Debug, PartialEq, Eq)]
pub struct ZipDirectory {
    /// Where its end record is in the file.
    pub at: u64,
    /// Names of members, as far as they could be read.
    pub names: Vec<String>,
}

impl Tail {
    /// Takes the next bytes.
    pub fn feed(&mut self, chunk: &[u8]) {
        let chunk = chunk
            .get(chunk.len().saturating_sub(KEPT_BYTES)..)
            .unwrap_or(chunk);
        // Twice as much is held before the older half is dropped, so that small chunks do not move it each time.
        if self.bytes.len() + chunk.len() > 2 * KEPT_BYTES {
            let keep = KEPT_BYTES.saturating_sub(chunk.len());
            let drop = self.bytes.len().saturating_sub(keep);
            self.bytes.drain(..drop);
        }
        self.bytes.extend_from_slice(chunk);
    }

    /// The zip directory at the end of a file of `size` bytes, where zip readers would find it. Random bytes do not pass: counts,
    /// sizes and the comment's length must fit each other and the end of the file.
    pub fn zip_directory(&self, size: u64) -> Option<ZipDirectory> {
        let kept = self
            .bytes
            .get(self.bytes.len().saturating_sub(KEPT_BYTES)..)
            .unwrap_or_default();
        let newest = kept.len().checked_sub(END_RECORD_BYTES)?;
        let oldest = newest.saturating_sub(usize::from(u16::MAX));
        (oldest..=newest).rev().find_map(|position| {
            let (before, record) = kept.split_at_checked(position)?;
            record.starts_with(END_RECORD).then_some(())?;
            let at = size.checked_sub(record.len() as u64)?;
            let names = directory(before, record, at)?;
            Some(ZipDirectory { at, names })
        })
    }
}

/// Reads the directory that ends where `record` begins, `at` bytes into the file.
fn directory(before: &[u8], record: &[u8], at: u64) -> Option<Vec<String>> {
    let disks = [half(record, 4)?, half(record, 6)?];
    let entries = half(record, 10)?;
    let bytes = word(record, 12)?;
    let comment = usize::from(half(record, 20)?);
    let zip64 = before
        .len()
        .checked_sub(20)
        .and_then(|start| before.get(start..))
        .is_some_and(|locator| locator.starts_with(b"PK\x06\x07"));
    let whole = END_RECORD_BYTES + comment == record.len();
    let one_disk = disks.iter().all(|disk| *disk == 0 || *disk == u16::MAX);
    if !whole || !one_disk {
        return None;
    }
    if zip64 {
        // Directory and end record of zip64 lie before; the locator is proof enough that this is an archive.
        return Some(names(before, entries));
    }
    let fits = entries > 0
        && entries == half(record, 8)?
        && u64::from(bytes) >= u64::from(entries) * ENTRY_BYTES as u64
        && u64::from(bytes) <= at;
    if !fits {
        return None;
    }
    match usize::try_from(bytes)
        .ok()
        .and_then(|bytes| before.len().checked_sub(bytes))
    {
        Some(start) => {
            let directory = before
                .get(start..)
                .filter(|directory| directory.starts_with(ENTRY))?;
            Some(names(directory, entries))
        }
        // The directory begins before what is kept.
        None => Some(names(before, entries)),
    }
}

/// The names in a directory, or in the part of it that begins with the first whole entry.
fn names(directory: &[u8], entries: u16) -> Vec<String> {
    let first = directory.windows(ENTRY.len()).position(|window| window == ENTRY);
    let mut rest = first.and_then(|first| directory.get(first..)).unwrap_or_default();
    let mut names = Vec::new();
    while names.len() < MAX_NAMES.min(entries.into()) && rest.starts_with(ENTRY) {
        let lengths = [28, 30, 32].map(|place| half(rest, place).map_or(0, usize::from));
        let [name, extra, comment] = lengths;
        let Some(bytes) = rest.get(ENTRY_BYTES..ENTRY_BYTES + name) else {
            break;
        };
        names.push(String::from_utf8_lossy(bytes).into_owned());
        rest = rest
            .get(ENTRY_BYTES + name + extra + comment..)
            .unwrap_or_default();
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::zip;

    fn find(bytes: &[u8], cut: usize) -> Option<ZipDirectory> {
        let mut tail = Tail::default();
        for chunk in bytes.chunks(cut) {
            tail.feed(chunk);
        }
        tail.zip_directory(bytes.len() as u64)
    }

    #[test]
    fn finds_an_archive_at_the_end_whatever_is_before_it() {
        let archive = zip(
            &[("archive/data.pkl", b"x"), ("archive/version", b"3")],
            b"a comment",
        );
        for before in [0, 1, 1000, KEPT_BYTES, 3 * KEPT_BYTES + 7] {
            let file = [vec![0x55; before], archive.clone()].concat();
            let found = find(&file, 4093).unwrap();
            assert_eq!(found.names, ["archive/data.pkl", "archive/version"]);
            assert_eq!(found.at, (file.len() - 22 - 9) as u64);
            assert_eq!(find(&file, 97), Some(found));
        }
    }

    #[test]
    fn a_signature_alone_is_no_archive() {
        let archive = zip(&[("a", b"x")], b"");
        let end = archive.len() - END_RECORD_BYTES;
        for (place, value) in [(4, 1), (8, 9), (10, 9), (12, 1), (13, 0x7f), (20, 1)] {
            let mut broken = archive.clone();
            broken[end + place] = value;
            assert_eq!(find(&broken, 1000), None, "byte {place}");
        }
        assert_eq!(find(&[archive.as_slice(), b"trailing"].concat(), 1000), None);
        assert_eq!(find(&archive[end..], 1000), None);
        assert_eq!(find(b"PK\x05\x06", 1), None);
    }
}
