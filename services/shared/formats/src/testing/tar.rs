//! Tar archives, block by block.

const BLOCK: usize = 512;

/// One member's blocks: its header, in the POSIX format, and its content.
pub fn tar_member(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = tar_header(name, kind, &format!("{:011o}\0", content.len()));
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

/// A header block whose size field is `size`.
pub fn tar_header(name: &str, kind: u8, size: &str) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        for (place, byte) in block.iter_mut().skip(at).zip(bytes) {
            *place = *byte;
        }
    };
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, size.as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    for (place, byte) in block.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").bytes()) {
        *place = byte;
    }
    block
}

/// The records of an extended header.
pub fn tar_records(records: &[(&str, &str)]) -> Vec<u8> {
    let record = |(key, value): &(&str, &str)| {
        let rest = key.len() + value.len() + 3;
        // The length counts its own digits.
        let length = (1..9)
            .map(|digits| rest + digits)
            .find(|length| length.to_string().len() + rest == *length);
        format!("{} {key}={value}\n", length.unwrap_or(rest)).into_bytes()
    };
    records.iter().flat_map(record).collect()
}

/// An archive of these members, with its end.
pub fn tar_archive(members: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = members.concat();
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    bytes
}
