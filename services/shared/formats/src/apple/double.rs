//! `AppleDouble`: a list of entries, of which macOS writes two, the Finder's notes with the extended attributes and the resource fork.

use super::{half, word};

/// Bytes of the mark, the version, a filler and the number of entries.
const HEADER_BYTES: usize = 26;
/// Bytes of an entry in the list: what it is, where it begins, how long it is.
const ENTRY_BYTES: usize = 12;
/// The most entries: there are 15 kinds, and each is there once.
const MAX_ENTRIES: usize = 15;
/// The entry that holds a file's own content. Only the format's sister, which is a file in itself, has it.
const CONTENT: usize = 1;
/// The Finder's notes.
const FINDER: usize = 9;
/// Their length without extended attributes, and with the two bytes after which these follow.
const FINDER_BYTES: usize = 32;
const ATTRIBUTES_AT: usize = FINDER_BYTES + 2;
/// The bytes of the head of the extended attributes, and of one of them without its name.
const ATTRIBUTES_BYTES: usize = 36;
const ATTRIBUTE_BYTES: usize = 11;
/// The most extended attributes of a file.
const MAX_ATTRIBUTES: usize = 1024;

/// Follows all entries: they lie one after the other, and nothing lies outside of them.
pub fn check(bytes: &[u8]) -> Result<(), &'static str> {
    let entries = half(bytes, 24).ok_or("it ends in its header")?;
    if !(1..=MAX_ENTRIES).contains(&entries) {
        return Err("it has no entries, or too many");
    }
    let mut parts: Vec<(usize, usize, usize)> = Vec::new();
    for entry in 0..entries {
        let place = HEADER_BYTES + entry * ENTRY_BYTES;
        let [Some(kind), Some(begin), Some(length)] = [0, 4, 8].map(|field| word(bytes, place + field))
        else {
            return Err("it ends in its header");
        };
        if kind == CONTENT || !(1..=MAX_ENTRIES).contains(&kind) {
            return Err("it has an entry that such notes do not have");
        }
        if parts.iter().any(|(other, ..)| *other == kind) {
            return Err("it has an entry twice");
        }
        let end = begin.checked_add(length).filter(|end| *end <= bytes.len());
        parts.push((kind, begin, end.ok_or("an entry reaches beyond its end")?));
    }
    for (kind, begin, end) in &parts {
        if *kind == FINDER {
            finder(bytes, *begin, *end)?;
        }
    }
    parts.sort_by_key(|(_, begin, end)| (*begin, *end));
    let mut covered = HEADER_BYTES + entries * ENTRY_BYTES;
    for (_, begin, end) in parts {
        let gap = bytes.get(covered..begin).ok_or("its entries overlap")?;
        if gap.iter().any(|byte| *byte != 0) {
            return Err("something is written between its entries");
        }
        covered = end;
    }
    let rest = bytes.get(covered..).unwrap_or_default();
    if rest.iter().any(|byte| *byte != 0) {
        return Err("something follows its entries");
    }
    Ok(())
}

/// The Finder's notes, and the extended attributes behind them. Their places count from the start of the file.
fn finder(bytes: &[u8], begin: usize, end: usize) -> Result<(), &'static str> {
    if end - begin < FINDER_BYTES {
        return Err("the Finder's notes are cut off");
    }
    // All places so far are within the file, whose length is bounded.
    let head = begin + ATTRIBUTES_AT;
    if end < head + ATTRIBUTES_BYTES {
        let rest = bytes.get(begin + FINDER_BYTES..end).unwrap_or_default();
        return if rest.iter().all(|byte| *byte == 0) {
            Ok(())
        } else {
            Err("something follows the Finder's notes")
        };
    }
    if !bytes.get(head..).is_some_and(|head| head.starts_with(b"ATTR")) {
        return Err("what follows the Finder's notes are no extended attributes");
    }
    let [Some(total), Some(data), Some(length)] = [8, 12, 16].map(|field| word(bytes, head + field)) else {
        return Err("the extended attributes are cut off");
    };
    let Some(count) = half(bytes, head + 34).filter(|count| *count <= MAX_ATTRIBUTES) else {
        return Err("there are too many extended attributes");
    };
    if total > end || data < head || data.checked_add(length).is_none_or(|last| last > total) {
        return Err("the extended attributes reach beyond their entry");
    }
    let mut place = head + ATTRIBUTES_BYTES;
    for _ in 0..count {
        let name = bytes.get(place + 10).copied().map(usize::from);
        let [Some(at), Some(size), name] = [word(bytes, place), word(bytes, place + 4), name] else {
            return Err("the extended attributes are cut off");
        };
        let name = name.unwrap_or(0);
        let names = bytes.get(place + ATTRIBUTE_BYTES..place + ATTRIBUTE_BYTES + name);
        let is_name = names
            .and_then(|name| name.split_last())
            .is_some_and(|(last, name)| *last == 0 && !name.is_empty() && std::str::from_utf8(name).is_ok());
        if !is_name {
            return Err("an extended attribute has no name");
        }
        if at < data || at.checked_add(size).is_none_or(|last| last > end) {
            return Err("an extended attribute reaches beyond its entry");
        }
        // Each begins at a multiple of four.
        place = (place + ATTRIBUTE_BYTES + name).next_multiple_of(4);
    }
    if place > data.max(head + ATTRIBUTES_BYTES) && count > 0 {
        return Err("the extended attributes overlap their values");
    }
    Ok(())
}
