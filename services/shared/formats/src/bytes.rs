//! Numbers in little-endian order, and slices that are read as files are.

/// The number in the two bytes from there; `None` if they are not there.
pub(crate) fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
}

/// The number in the four bytes from there; `None` if they are not there.
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

/// The number in the eight bytes from there; `None` if they are not there.
pub(crate) fn long(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_there_and_no_more() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!(half(&bytes, 7), Some(0x0908));
        assert_eq!(word(&bytes, 0), Some(0x0403_0201));
        assert_eq!(long(&bytes, 1), Some(0x0908_0706_0504_0302));
        assert_eq!(
            (half(&bytes, 8), word(&bytes, 6), long(&bytes, 2)),
            (None, None, None)
        );
        assert_eq!(half(&bytes, usize::MAX), None);
    }
}
