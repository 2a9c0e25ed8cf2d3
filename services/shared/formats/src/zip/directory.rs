//! The directory at the end of an archive: read before the archive itself, so that each member's place and length are known
//! when its bytes go by.
//!
//! Readers find it in different ways and forgive different things. This one wants what they all understand alike: nothing
//! after the end record, one disk, and numbers that fit each other exactly. Source: APPNOTE.TXT 6.3.10, section 4.3.

use super::entry::Entry;
use crate::ahead::{Peek, Wrong};
use crate::bytes::{half, in_memory, long, word};
use crate::rules;

/// The largest directory that is held, with the records after it; some hundred thousand members.
pub const MAX_DIRECTORY_BYTES: u64 = 9 << 20;
/// The most members.
const MAX_MEMBERS: u64 = 128 << 10;
/// `end of central directory record`, without a comment.
const END: &[u8; 4] = b"PK\x05\x06";
const END_BYTES: u64 = 22;
/// `zip64 end of central directory locator`.
const LOCATOR: &[u8; 4] = b"PK\x06\x07";
const LOCATOR_BYTES: u64 = 20;
/// `zip64 end of central directory record`, without an extensible part.
const END64: &[u8; 4] = b"PK\x06\x06";
const END64_BYTES: u64 = 56;

/// A directory, as it is written. Entries are read from it when they are asked for: there can be very many.
#[derive(Debug, Clone)]
pub struct Directory {
    /// Where the entries begin in `bytes`, in the order in which the members lie in the archive.
    order: Box<[u32]>,
    /// Where the directory begins.
    pub at: u64,
    /// Everything from there to the end of the file.
    pub bytes: Box<[u8]>,
}

/// What the end records say.
struct Ends {
    count: u64,
    bytes: u64,
    at: u64,
}

impl Directory {
    /// Reads the directory of an archive of `size` bytes.
    ///
    /// # Errors
    ///
    /// The finding to report when there is none that all readers understand alike.
    pub fn read(size: u64, peek: Peek<'_>) -> Result<Self, Wrong> {
        let ends = ends(size, peek)?;
        let rest = size.saturating_sub(ends.at);
        if rest > MAX_DIRECTORY_BYTES {
            let message = format!("its directory takes {rest} bytes, the limit is {MAX_DIRECTORY_BYTES}");
            return Err(unreadable(ends.at, message));
        }
        if ends.count > MAX_MEMBERS {
            let message = format!("it has {} members, the limit is {MAX_MEMBERS}", ends.count);
            return Err(unreadable(ends.at, message));
        }
        let bytes = take(ends.at, rest, peek)?;
        let length = usize::try_from(ends.bytes).unwrap_or(usize::MAX);
        let mut left = bytes.get(..length).unwrap_or_default();
        let mut order: Vec<(u64, u32)> = Vec::new();
        while !left.is_empty() {
            let here = ends.at + (length - left.len()) as u64;
            let Some((entry, taken)) = Entry::central(left) else {
                return Err(unreadable(here, "an entry of its directory is malformed"));
            };
            let begins = u32::try_from(length - left.len()).unwrap_or(u32::MAX);
            order.push((entry.at, begins));
            if order.len() as u64 > ends.count {
                break;
            }
            left = left.get(taken..).unwrap_or_default();
        }
        if order.len() as u64 != ends.count {
            let message = format!(
                "its directory has {} entries, its end record says {}",
                order.len(),
                ends.count
            );
            return Err(unreadable(ends.at, message));
        }
        order.sort_by_key(|(at, _)| *at);
        Ok(Self {
            order: order.into_iter().map(|(_, begins)| begins).collect(),
            at: ends.at,
            bytes,
        })
    }

    /// How many members there are.
    pub fn members(&self) -> usize {
        self.order.len()
    }

    /// The member of this number, in the order in which they lie in the archive.
    pub fn entry(&self, index: usize) -> Option<Entry> {
        let begins = usize::try_from(*self.order.get(index)?).ok()?;
        Entry::central(self.bytes.get(begins..)?).map(|(entry, _)| entry)
    }

    /// Every member, in that order.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        (0..self.members()).filter_map(|index| self.entry(index))
    }

    /// [`Directory::read`] of an archive in memory.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn of(archive: &[u8]) -> Result<Self, Wrong> {
        Self::read(archive.len() as u64, &mut in_memory(archive))
    }
}

fn ends(size: u64, peek: Peek<'_>) -> Result<Ends, Wrong> {
    let Some(end_at) = size.checked_sub(END_BYTES) else {
        return Err(unreadable(0, "it is too short for a zip archive"));
    };
    let end = take(end_at, END_BYTES, peek)?;
    if !end.starts_with(END) || half(&end, 20) != Some(0) {
        let message =
            "it does not end in the end record of a zip archive: it is cut off, or something follows";
        return Err(Wrong {
            rule: &rules::ZIP_END,
            at: end_at,
            message: message.to_owned(),
        });
    }
    let number = |at| half(&end, at).unwrap_or_default();
    let (disk, first_disk, here, count) = (number(4), number(6), number(8), number(10));
    let small = Ends {
        count: count.into(),
        bytes: word(&end, 12).unwrap_or_default().into(),
        at: word(&end, 16).unwrap_or_default().into(),
    };
    let (ends, ended_by) = match locator(end_at, peek)? {
        None => {
            if (disk, first_disk, here) != (0, 0, count) {
                return Err(unreadable(end_at, "it is one of several disks"));
            }
            (small, end_at)
        }
        Some((large, at)) => {
            // Where the small numbers are not left open, they must be the same.
            let same = |small: u64, open: u64, large: u64| small == open || small == large;
            let agree = same(small.count, u16::MAX.into(), large.count)
                && same(here.into(), u16::MAX.into(), large.count)
                && same(small.bytes, u32::MAX.into(), large.bytes)
                && same(small.at, u32::MAX.into(), large.at)
                && [disk, first_disk]
                    .iter()
                    .all(|disk| matches!(*disk, 0 | u16::MAX));
            if !agree {
                return Err(unreadable(end_at, "its two end records contradict each other"));
            }
            (large, at)
        }
    };
    if ends.at.checked_add(ends.bytes) != Some(ended_by) {
        let message = format!(
            "its directory of {} bytes at {} does not end where the end record begins",
            ends.bytes, ends.at
        );
        return Err(unreadable(end_at, message));
    }
    Ok(ends)
}

/// The end record for large archives and where it is, if there is a locator that points to it.
fn locator(end_at: u64, peek: Peek<'_>) -> Result<Option<(Ends, u64)>, Wrong> {
    let Some(at) = end_at.checked_sub(LOCATOR_BYTES) else {
        return Ok(None);
    };
    let locator = take(at, LOCATOR_BYTES, peek)?;
    if !locator.starts_with(LOCATOR) {
        return Ok(None);
    }
    let wrong = || unreadable(at, "its end record for large archives is malformed");
    let end_at = at.checked_sub(END64_BYTES).ok_or_else(wrong)?;
    let end = take(end_at, END64_BYTES, peek)?;
    let numbers = (|| {
        Some((
            [word(&locator, 4)?, word(&end, 16)?, word(&end, 20)?],
            [word(&locator, 16)?.into(), long(&end, 4)?, long(&locator, 8)?],
            [long(&end, 24)?, long(&end, 32)?],
            Ends {
                count: long(&end, 32)?,
                bytes: long(&end, 40)?,
                at: long(&end, 48)?,
            },
        ))
    })();
    let (disks, places, counts, ends) = numbers.ok_or_else(wrong)?;
    // Some writers say that there is no disk, some that there is one.
    let well_formed = end.starts_with(END64)
        && disks == [0; 3]
        && matches!(places[0], 0 | 1)
        && places[1] == END64_BYTES - 12
        && places[2] == end_at
        && counts[0] == counts[1];
    if well_formed {
        Ok(Some((ends, end_at)))
    } else {
        Err(wrong())
    }
}

fn take(at: u64, length: u64, peek: Peek<'_>) -> Result<Box<[u8]>, Wrong> {
    let length = usize::try_from(length).unwrap_or_default();
    let mut bytes = vec![0; length].into_boxed_slice();
    if peek(at, &mut bytes) {
        Ok(bytes)
    } else {
        Err(unreadable(at, "its end could not be read before the rest"))
    }
}

fn unreadable(at: u64, message: impl Into<String>) -> Wrong {
    Wrong {
        rule: &rules::ZIP_DIRECTORY,
        at,
        message: message.into(),
    }
}
