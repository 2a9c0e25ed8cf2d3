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

/// Reads from bytes in memory as a file is read ahead: fills the buffer with what begins there; false if there
/// is not so much.
pub fn in_memory(bytes: &[u8]) -> impl FnMut(u64, &mut [u8]) -> bool {
    move |at, buffer| {
        let part = usize::try_from(at)
            .ok()
            .and_then(|at| bytes.get(at..)?.get(..buffer.len()));
        part.map(|part| buffer.copy_from_slice(part)).is_some()
    }
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

    #[test]
    fn a_slice_is_read_as_a_file_is() {
        let mut read = in_memory(b"abcdef");
        let mut buffer = [0; 4];
        assert!(read(2, &mut buffer));
        assert_eq!(&buffer, b"cdef");
        assert!(!read(3, &mut buffer) && !read(u64::MAX, &mut buffer));
        assert!(read(6, &mut []));
    }
}
