//! Archives: sizes, places and checksums become those of what is there, from the innermost archive outwards.

use std::io::Read;

use crate::Random;

/// The most that is unpacked to find a checksum.
const MAX_CONTENT: u64 = 1 << 20;
const BLOCK: usize = 512;

/// Any of the kinds, as the first bytes have it, in place.
fn any(bytes: &mut [u8], random: &mut Random, depth: u8) {
    if depth > 3 || random.once_in(16) {
    } else if bytes.starts_with(b"PK\x03\x04") {
        zip_within(bytes, random, depth);
    } else if bytes.starts_with(&[0x1f, 0x8b]) {
        gzip_within(bytes);
    } else if bytes.get(257..262) == Some(b"ustar") {
        tar_within(bytes, random, depth);
    }
}

/// A zip archive.
pub fn zip(bytes: &mut Vec<u8>, random: &mut Random) {
    any(bytes, random, 0);
}

/// A tar archive, whose blocks become whole.
pub fn tar(bytes: &mut Vec<u8>, random: &mut Random) {
    if !random.once_in(16) {
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    }
    tar_within(bytes, random, 0);
}

/// A gzip or zlib stream.
pub fn gzip(bytes: &mut Vec<u8>, random: &mut Random) {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        any(bytes, random, 0);
        return;
    }
    let mut content = Vec::new();
    let Some(body) = bytes.get(2..) else { return };
    let mut reader = flate2::bufread::DeflateDecoder::new(body);
    if reader
        .by_ref()
        .take(MAX_CONTENT)
        .read_to_end(&mut content)
        .is_ok()
    {
        let end = 2 + reader.total_in() as usize;
        let (a, b) = content.iter().fold((1_u32, 0_u32), |(a, b), byte| {
            let a = (a + u32::from(*byte)) % 65_521;
            (a, (b + a) % 65_521)
        });
        put(bytes, end, &(b << 16 | a).to_be_bytes());
    }
    let header = u16::from_be_bytes([bytes[0], bytes[1] & 0xe0]);
    bytes[1] = (bytes[1] & 0xe0) | ((31 - header % 31) % 31) as u8;
}

fn gzip_within(bytes: &mut [u8]) {
    // Without optional fields; inputs with them keep their trailer.
    let Some(body) = bytes.get(10..).filter(|_| bytes[3] == 0) else {
        return;
    };
    let mut content = Vec::new();
    let mut reader = flate2::bufread::DeflateDecoder::new(body);
    if reader
        .by_ref()
        .take(MAX_CONTENT)
        .read_to_end(&mut content)
        .is_ok()
    {
        let end = 10 + reader.total_in() as usize;
        put(bytes, end, &crc32fast::hash(&content).to_le_bytes());
        put(bytes, end + 4, &(content.len() as u32).to_le_bytes());
    }
}

fn tar_within(bytes: &mut [u8], random: &mut Random, depth: u8) {
    let mut at = 0;
    while let Some(block) = bytes.get_mut(at..at + BLOCK) {
        let mut next = at + BLOCK;
        if block[257..262] == *b"ustar" && !random.once_in(32) {
            let digits: String = block[124..135].iter().map(|byte| char::from(*byte)).collect();
            let size = usize::from_str_radix(&digits, 8)
                .unwrap_or(0)
                .min(bytes.len() - next);
            any(&mut bytes[next..next + size], random, depth + 1);
            let block = &mut bytes[at..at + BLOCK];
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            next += size.next_multiple_of(BLOCK);
        }
        at = next;
    }
}

struct Local {
    at: usize,
    numbers: [u8; 12],
    open: bool,
}

fn zip_within(bytes: &mut [u8], random: &mut Random, depth: u8) {
    let mut locals = Vec::new();
    let mut at = 0;
    while bytes.get(at..at + 4) == Some(b"PK\x03\x04") {
        let Some((local, next)) = zip_member(bytes, at, random, depth) else {
            return;
        };
        locals.push(local);
        at = next;
    }
    let begins = at;
    let mut locals = locals.iter();
    let mut count = 0_u16;
    while bytes.get(at..at + 4) == Some(b"PK\x01\x02") {
        let lengths = [28, 30, 32].map(|field| read16(bytes, at + field));
        if let Some(local) = locals.next().filter(|_| !random.once_in(32)) {
            if !local.open {
                put(bytes, at + 16, &local.numbers);
            }
            put(bytes, at + 42, &(local.at as u32).to_le_bytes());
        }
        count = count.wrapping_add(1);
        at += 46 + lengths.iter().sum::<usize>();
    }
    if bytes.get(at..at + 4) == Some(b"PK\x05\x06") && !random.once_in(32) {
        put(bytes, at + 8, &count.to_le_bytes());
        put(bytes, at + 10, &count.to_le_bytes());
        put(bytes, at + 12, &((at - begins) as u32).to_le_bytes());
        put(bytes, at + 16, &(begins as u32).to_le_bytes());
        let comment = bytes.len().saturating_sub(at + 22);
        put(bytes, at + 20, &(comment as u16).to_le_bytes());
    }
}

/// Repairs the member whose local header is there, and returns where the next begins.
fn zip_member(bytes: &mut [u8], at: usize, random: &mut Random, depth: u8) -> Option<(Local, usize)> {
    let open = read16(bytes, at + 6) & 8 != 0;
    let data = at + 30 + read16(bytes, at + 26) + read16(bytes, at + 28);
    let declared = read32(bytes, at + 18);
    let fits = |end: &usize| {
        matches!(
            bytes.get(*end..*end + 4),
            Some([b'P', b'K', 1, 2] | [b'P', b'K', 3, 4])
        )
    };
    let end = Some(data + declared).filter(|end| !open && fits(end));
    let end = end.or_else(|| (data..bytes.len()).find(fits))?;
    if open || random.once_in(32) {
        let numbers = bytes.get(at + 14..at + 26)?.try_into().ok()?;
        return Some((
            Local {
                at,
                numbers,
                open: true,
            },
            end,
        ));
    }
    any(bytes.get_mut(data..end)?, random, depth + 1);
    let packed = bytes.get(data..end)?;
    let mut content = Vec::new();
    if read16(bytes, at + 8) == 8 {
        let mut reader = flate2::bufread::DeflateDecoder::new(packed).take(MAX_CONTENT);
        // What came before the error has a checksum, too.
        let _ = reader.read_to_end(&mut content);
    } else {
        content.extend_from_slice(packed);
    }
    let mut numbers = [0; 12];
    let values = [
        crc32fast::hash(&content),
        packed.len() as u32,
        content.len() as u32,
    ];
    for (place, value) in numbers.chunks_mut(4).zip(values) {
        place.copy_from_slice(&value.to_le_bytes());
    }
    put(bytes, at + 14, &numbers);
    Some((Local { at, numbers, open }, end))
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

fn read16(bytes: &[u8], at: usize) -> usize {
    bytes
        .get(at..at + 2)
        .map_or(0, |part| usize::from(part[0]) | usize::from(part[1]) << 8)
}

fn read32(bytes: &[u8], at: usize) -> usize {
    read16(bytes, at) | read16(bytes, at + 2) << 16
}
