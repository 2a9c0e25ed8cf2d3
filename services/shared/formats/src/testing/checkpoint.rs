//! A writer for sorted tables and for the index of a TensorFlow checkpoint, which is one.

use super::Proto;

/// A table of entries in ascending order, so many in a block, with every so many names written in full.
pub fn table(entries: &[(&[u8], &[u8])], per_block: usize, interval: usize) -> Vec<u8> {
    let mut file = Vec::new();
    let mut index: Vec<(&[u8], Vec<u8>)> = Vec::new();
    for entries in entries.chunks(per_block.max(1)) {
        let handle = append(&mut file, &block(entries, interval));
        let last = entries.last().map_or(&b""[..], |(name, _)| name);
        index.push((last, handle));
    }
    let metadata = append(&mut file, &block(&[], 1));
    let index: Vec<(&[u8], &[u8])> = index
        .iter()
        .map(|(name, handle)| (*name, handle.as_slice()))
        .collect();
    let index = append(&mut file, &block(&index, 1));
    let mut footer = [metadata, index].concat();
    footer.resize(40, 0);
    file.extend_from_slice(&footer);
    file.extend_from_slice(&0xdb47_7524_8b80_fb57_u64.to_le_bytes());
    file
}

/// What the index says of one variable: its type (1 is `FLOAT`, 7 `STRING`), shape, and where it is in the file of this number.
pub fn variable(kind: u64, dimensions: &[u64], shard: u64, begin: u64, bytes: u64) -> Proto {
    let shape = dimensions.iter().fold(Proto::new(), |shape, dimension| {
        // What is 0 is not written.
        let size = Some(*dimension).filter(|size| *size > 0);
        shape.message(2, &size.map_or_else(Proto::new, |size| Proto::new().int(1, size)))
    });
    let entry = Proto::new().int(1, kind).message(2, &shape);
    let entry = [(3, shard), (4, begin), (5, bytes)]
        .into_iter()
        .filter(|(_, value)| *value > 0)
        .fold(entry, |entry, (field, value)| entry.int(field, value));
    entry.raw(b"\x35\0\0\0\0")
}

/// The index of a checkpoint with so many files.
pub fn index(shards: u64, variables: &[(&str, Proto)]) -> Vec<u8> {
    let header = Proto::new()
        .int(1, shards)
        .message(3, &Proto::new().int(1, 1))
        .build();
    let variables: Vec<(&[u8], Vec<u8>)> = variables
        .iter()
        .map(|(name, variable)| (name.as_bytes(), variable.build()))
        .collect();
    let mut entries: Vec<(&[u8], &[u8])> = vec![(b"", &header)];
    entries.extend(variables.iter().map(|(name, value)| (*name, value.as_slice())));
    table(&entries, 64, 16)
}

/// Adds a block, and says where.
fn append(file: &mut Vec<u8>, block: &[u8]) -> Vec<u8> {
    let mut handle = varint(file.len());
    handle.extend(varint(block.len()));
    file.extend_from_slice(block);
    file.push(0);
    let sum = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI).checksum(&[block, &[0]].concat());
    let masked = sum.rotate_right(15).wrapping_add(0xa282_ead8);
    file.extend_from_slice(&masked.to_le_bytes());
    handle
}

fn block(entries: &[(&[u8], &[u8])], interval: usize) -> Vec<u8> {
    let (mut block, mut restarts, mut before) = (Vec::new(), Vec::new(), &b""[..]);
    for (number, (name, value)) in entries.iter().enumerate() {
        let whole = number % interval.max(1) == 0;
        if whole {
            restarts.push(block.len());
        }
        let common = before.iter().zip(*name).take_while(|(a, b)| a == b).count();
        let shared = if whole { 0 } else { common };
        let (_, rest) = name.split_at(shared);
        for number in [shared, rest.len(), value.len()] {
            block.extend(varint(number));
        }
        block.extend_from_slice(rest);
        block.extend_from_slice(value);
        before = name;
    }
    if restarts.is_empty() {
        restarts.push(0);
    }
    for number in restarts.iter().copied().chain([restarts.len()]) {
        block.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
    }
    block
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap_or(0));
    bytes
}
