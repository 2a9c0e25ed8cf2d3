//! What macOS keeps beside files, as its own programs write it.

use super::length32;

/// `._name`: the Finder's notes with these extended attributes, and a resource fork.
pub fn apple_double(attributes: &[(&str, &[u8])], fork: &[u8]) -> Vec<u8> {
    let names: usize = attributes
        .iter()
        .map(|(name, _)| (name.len() + 12).next_multiple_of(4))
        .sum();
    let values: usize = attributes.iter().map(|(_, value)| value.len()).sum();
    let data = 120 + names;
    let end = if attributes.is_empty() { 82 } else { data + values };
    let mut bytes = b"\0\x05\x16\x07\0\x02\0\0Mac OS X        \0\x02".to_vec();
    for number in [9, 50, end - 50, 2, end, fork.len()] {
        bytes.extend(length32(number).to_be_bytes());
    }
    bytes.resize(50 + 32, 0);
    if !attributes.is_empty() {
        bytes.extend([0, 0]);
        bytes.extend(b"ATTR");
        for number in [0, end, data, values, 0, 0, 0] {
            bytes.extend(length32(number).to_be_bytes());
        }
        bytes.extend([0, 0]);
        bytes.extend(u16::try_from(attributes.len()).unwrap_or(0).to_be_bytes());
        let mut at = data;
        for (name, value) in attributes {
            bytes.extend(length32(at).to_be_bytes());
            bytes.extend(length32(value.len()).to_be_bytes());
            bytes.extend([0, 0, u8::try_from(name.len() + 1).unwrap_or(0)]);
            bytes.extend(name.as_bytes());
            bytes.push(0);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            at += value.len();
        }
        for (_, value) in attributes {
            bytes.extend(*value);
        }
    }
    bytes.extend(fork);
    bytes
}

/// The notes on a file that was downloaded.
pub fn downloaded() -> Vec<u8> {
    apple_double(
        &[
            ("com.apple.quarantine", b"0081;65f00000;Safari;"),
            ("com.apple.provenance", &[1, 0, 0, 7, 3, 9, 27, 1, 5, 2, 8]),
        ],
        b"",
    )
}

/// `.DS_Store` of a directory of which the Finder knows nothing yet.
pub fn ds_store() -> Vec<u8> {
    let mut bytes = vec![0; 6148];
    let mut put = |at: usize, numbers: &[u32]| {
        let places = bytes.iter_mut().skip(at);
        for (place, byte) in places.zip(numbers.iter().flat_map(|number| number.to_be_bytes())) {
            *place = byte;
        }
    };
    let name = u32::from_be_bytes(*b"Bud1");
    put(0, &[1, name, 0x1000, 0x800, 0x1000]);
    // The tree: its topmost node, its height, how many records and nodes it has, and how large these are.
    put(0x24, &[2, 0, 0, 1, 0x1000]);
    // The table of blocks: itself, the tree, the topmost node.
    put(0x1004, &[3, 0, 0x100b, 0x25, 0x80b]);
    put(0x1004 + 8 + 1024, &[1]);
    let name = 0x1004 + 8 + 1024 + 4;
    put(name + 5, &[1]);
    put(name + 1, &[u32::from_be_bytes(*b"DSDB")]);
    if let Some(length) = bytes.get_mut(name) {
        *length = 4;
    }
    bytes
}
