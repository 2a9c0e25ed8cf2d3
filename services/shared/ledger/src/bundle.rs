//! Entry bundles of C2SP tlog-tiles: entries one after the other, each with its length as a big-endian `u16`.
//!
//! The write-ahead log keeps entries in the same form, so that they move from one to the other unchanged.

use holdfast_contract::limits::MAX_ENTRY_BYTES;

/// Bytes that a length takes.
pub(crate) const PREFIX_BYTES: usize = 2;
/// The largest bundle, in bytes.
pub const MAX_BUNDLE_BYTES: usize = (MAX_ENTRY_BYTES + PREFIX_BYTES) * crate::tile::WIDTH as usize;

/// The bytes do not divide into entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entry bundle is cut off or has an entry over the limit")]
pub struct BundleError;

/// Appends an entry; `false` and nothing done when it is over [`MAX_ENTRY_BYTES`].
pub fn push(bundle: &mut Vec<u8>, entry: &[u8]) -> bool {
    match u16::try_from(entry.len()) {
        Ok(length) if entry.len() <= MAX_ENTRY_BYTES => {
            bundle.extend_from_slice(&length.to_be_bytes());
            bundle.extend_from_slice(entry);
            true
        }
        _ => false,
    }
}

/// The entries of a bundle, in order. After an error there are no more.
pub fn entries(bundle: &[u8]) -> Entries<'_> {
    Entries { rest: bundle }
}

/// Iterator over the entries of a bundle.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    rest: &'a [u8],
}

impl<'a> Entries<'a> {
    /// What has not been read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn split(&self) -> Option<(&'a [u8], &'a [u8])> {
        let (length, rest) = self.rest.split_first_chunk::<PREFIX_BYTES>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        (length <= MAX_ENTRY_BYTES)
            .then(|| rest.split_at_checked(length))
            .flatten()
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<&'a [u8], BundleError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let split = self.split();
        self.rest = split.map_or(&[], |(_, rest)| rest);
        Some(split.map(|(entry, _)| entry).ok_or(BundleError))
    }
}

/// The first `count` entries of a bundle, still as a bundle; `None` when it has fewer.
pub fn prefix(bundle: &[u8], count: usize) -> Option<&[u8]> {
    let mut entries = entries(bundle);
    for _ in 0..count {
        entries.next()?.ok()?;
    }
    bundle.get(..bundle.len() - entries.rest().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_in_order_whatever_they_hold() {
        let mut bundle = Vec::new();
        let largest = vec![7; MAX_ENTRY_BYTES];
        for entry in [b"one".as_slice(), b"", &largest, b"\0\x01"] {
            assert!(push(&mut bundle, entry));
        }
        let read: Result<Vec<&[u8]>, _> = entries(&bundle).collect();
        assert_eq!(read.unwrap(), [b"one".as_slice(), b"", &largest, b"\0\x01"]);
        assert_eq!(prefix(&bundle, 2), Some(&b"\0\x03one\0\0"[..]));
        assert_eq!(prefix(&bundle, 4), Some(&bundle[..]));
        assert_eq!(prefix(&bundle, 5), None);
    }

    #[test]
    fn refuses_an_entry_over_the_limit() {
        let mut bundle = Vec::new();
        assert!(!push(&mut bundle, &vec![0; MAX_ENTRY_BYTES + 1]));
        assert!(bundle.is_empty());
        let length = u16::try_from(MAX_ENTRY_BYTES + 1).unwrap();
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.resize(2 + usize::from(length), 0);
        assert_eq!(entries(&bundle).next(), Some(Err(BundleError)));
    }

    #[test]
    fn refuses_a_bundle_cut_off_at_any_byte() {
        let mut bundle = Vec::new();
        push(&mut bundle, b"first");
        let boundary = bundle.len();
        push(&mut bundle, b"second");
        for length in boundary + 1..bundle.len() {
            let read: Vec<_> = entries(&bundle[..length]).collect();
            assert_eq!(read, [Ok(&b"first"[..]), Err(BundleError)], "cut at {length}");
        }
    }
}
