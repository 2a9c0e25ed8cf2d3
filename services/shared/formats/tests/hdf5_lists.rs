//! Lists that grow and newer trees of pieces, as h5py writes them: what they name must be the dataset, whatever their checksums say.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{ids, inspect, inspect_in};

/// A file that h5py has written: a seed of the fuzz target, which has two bytes in the place of the signature.
fn sample(name: &str) -> Vec<u8> {
    let seed = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds/hdf5")
        .join(name);
    [b"\x89HDF\r\n\x1a\n", &std::fs::read(seed).unwrap()[2..]].concat()
}

/// Where structures with this signature begin.
fn places(bytes: &[u8], signature: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(4).enumerate();
    windows
        .filter(|(_, window)| *window == signature)
        .map(|(at, _)| at)
        .collect()
}

/// `lookup3` by Bob Jenkins.
fn checksum(bytes: &[u8]) -> u32 {
    let word = |bytes: &[u8]| {
        let mut word = [0; 4];
        word[..bytes.len()].copy_from_slice(bytes);
        u32::from_le_bytes(word)
    };
    let start = 0xdead_beef_u32.wrapping_add(u32::try_from(bytes.len()).unwrap());
    let (mut a, mut b, mut c) = (start, start, start);
    let blocks: Vec<&[u8]> = bytes.chunks(12).collect();
    for (index, block) in blocks.iter().enumerate() {
        let mut words = block.chunks(4).map(word);
        a = a.wrapping_add(words.next().unwrap_or(0));
        b = b.wrapping_add(words.next().unwrap_or(0));
        c = c.wrapping_add(words.next().unwrap_or(0));
        if index + 1 < blocks.len() {
            a = a.wrapping_sub(c) ^ c.rotate_left(4);
            c = c.wrapping_add(b);
            b = b.wrapping_sub(a) ^ a.rotate_left(6);
            a = a.wrapping_add(c);
            c = c.wrapping_sub(b) ^ b.rotate_left(8);
            b = b.wrapping_add(a);
            a = a.wrapping_sub(c) ^ c.rotate_left(16);
            c = c.wrapping_add(b);
            b = b.wrapping_sub(a) ^ a.rotate_left(19);
            a = a.wrapping_add(c);
            c = c.wrapping_sub(b) ^ b.rotate_left(4);
            b = b.wrapping_add(a);
        } else {
            c = (c ^ b).wrapping_sub(b.rotate_left(14));
            a = (a ^ c).wrapping_sub(c.rotate_left(11));
            b = (b ^ a).wrapping_sub(a.rotate_left(25));
            c = (c ^ b).wrapping_sub(b.rotate_left(16));
            a = (a ^ c).wrapping_sub(c.rotate_left(4));
            b = (b ^ a).wrapping_sub(a.rotate_left(14));
            c = (c ^ b).wrapping_sub(b.rotate_left(24));
        }
    }
    c
}

/// The file with other bytes in a structure of this length, whose checksum is made right again.
fn changed(good: &[u8], structure: usize, length: usize, at: usize, new: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    let sum = structure + length - 4;
    let of = |bytes: &[u8]| checksum(&bytes[structure..sum]).to_le_bytes();
    assert_eq!(good[sum..sum + 4], of(good), "the structure has another length");
    bytes.splice(structure + at..structure + at + new.len(), new.iter().copied());
    let right = of(&bytes);
    bytes.splice(sum..sum + 4, right);
    bytes
}

fn refused(bytes: &[u8], id: &str) {
    let found = ids(bytes);
    assert!(found.iter().any(|found| found == id), "{found:?}, not {id}");
    assert!(inspect(bytes).findings.refuse());
}

/// Lengths of a list's header, of its index block, of a super block with four blocks, and of the first data block.
const HEAD: usize = 72;
const INDEX: usize = 14 + 4 * 8 + (6 + 25) * 8 + 4;
const SUPER: usize = 14 + 4 + 4 * 8 + 4;
const DATA: usize = 14 + 4 + 16 * 8 + 4;

#[test]
fn what_h5py_writes_is_accepted_however_it_is_cut() {
    for (name, elements) in [("growing", 250), ("tree", 60)] {
        let good = sample(name);
        let outcome = inspect(&good);
        assert!(!outcome.findings.refuse(), "{name}: {:?}", outcome.findings);
        let facts = outcome.facts.as_ref().unwrap();
        assert_eq!((facts.tensors, facts.parameters), (1, elements));
        for piece in [1, 13] {
            assert_eq!(inspect_in(&good, piece).findings, outcome.findings);
        }
    }
}

#[test]
fn a_changed_byte_breaks_a_checksum() {
    for (name, signatures) in [
        ("growing", &[b"EAHD", b"EAIB", b"EASB", b"EADB"][..]),
        ("tree", &[b"BTHD", b"BTLF"]),
    ] {
        let good = sample(name);
        for signature in signatures {
            let places = places(&good, *signature);
            assert!(!places.is_empty());
            for place in places {
                for distance in [0, 4, 6, 16, 24] {
                    let mut bytes = good.clone();
                    bytes[place + distance] ^= 1;
                    refused(&bytes, "HF-H5-001");
                }
            }
        }
    }
}

#[test]
fn a_list_must_name_every_piece_once() {
    let good = sample("growing");
    let [head, index] = [b"EAHD", b"EAIB"].map(|signature| places(&good, signature)[0]);
    let data = places(&good, b"EADB");
    let above = places(&good, b"EASB")[0];
    let entry = |at: usize| good[at..at + 8].to_vec();
    let second = entry(index + 14 + 8);
    let blocks = index + 14 + 4 * 8;
    let first_block = usize::try_from(u64::from_le_bytes(entry(blocks).try_into().unwrap())).unwrap();
    assert!(data.contains(&first_block));
    let beyond = (good.len() as u64).to_le_bytes();
    let nowhere = [0xff; 8];
    for (structure, length, at, new, id) in [
        // Readers look at fewer entries than there are.
        (head, HEAD, 44, &5_u64.to_le_bytes()[..], "HF-H5-015"),
        (head, HEAD, 60, &nowhere, "HF-H5-015"),
        (head, HEAD, 60, &beyond, "HF-H5-004"),
        (head, HEAD, 7, &[31], "HF-H5-001"),
        (head, HEAD, 5, &[1], "HF-H5-001"),
        (head, HEAD, 6, &[20], "HF-H5-001"),
        (index, INDEX, 14, &nowhere, "HF-H5-015"),
        (index, INDEX, 14, &second, "HF-H5-006"),
        (index, INDEX, 14, &beyond, "HF-H5-004"),
        (index, INDEX, 6, &beyond, "HF-H5-001"),
        (index, INDEX, 14 + 32, &nowhere, "HF-H5-015"),
        // One block in the place of another.
        (index, INDEX, 14 + 32, &entry(blocks + 8), "HF-H5-001"),
        (index, INDEX, 14 + 32 + 6 * 8, &nowhere, "HF-H5-015"),
        (above, SUPER, 14, &[0], "HF-H5-001"),
        (above, SUPER, 18, &nowhere, "HF-H5-015"),
        (first_block, DATA, 14, &[7], "HF-H5-001"),
        (first_block, DATA, 18, &second, "HF-H5-006"),
    ] {
        refused(&changed(&good, structure, length, at, new), id);
    }
    // A piece more than the dataset has.
    let last = usize::try_from(u64::from_le_bytes(entry(above + 18).try_into().unwrap())).unwrap();
    let length = 14 + 4 + 64 * 8 + 4;
    refused(&changed(&good, last, length, 18 + 63 * 8, &second), "HF-H5-015");
}

#[test]
fn a_tree_must_name_every_piece_once_and_in_order() {
    let good = sample("tree");
    let leaf = places(&good, b"BTLF")[0];
    // A record: where, how long, filters left out, row and column.
    let record = 8 + 2 + 4 + 16;
    let length = 6 + 15 * record + 4;
    let of = |index: usize| good[leaf + 6 + index * record..leaf + 6 + (index + 1) * record].to_vec();
    let swapped = [of(1), of(0)].concat();
    let place = |index: usize| 6 + index * record;
    for (at, new, id) in [
        (place(0), &swapped[..], "HF-H5-015"),
        (place(0), &of(1), "HF-H5-015"),
        (place(3), &of(2)[..8], "HF-H5-006"),
        (place(14) + 14, &[3], "HF-H5-015"),
        (place(14) + 22, &[5], "HF-H5-015"),
        (place(0), &[0xff; 8], "HF-H5-004"),
        (place(0) + 8, &[200], "HF-H5-006"),
        // The filter is left out, so that the piece would be of another length.
        (place(0) + 10, &[1], "HF-H5-015"),
        (place(0) + 8, &[3], "HF-H5-016"),
    ] {
        refused(&changed(&good, leaf, length, at, new), id);
    }
    let head = places(&good, b"BTHD")[0];
    for (at, new) in [(5, &[10][..]), (10, &[31]), (12, &[1]), (24, &[14]), (26, &[14])] {
        refused(&changed(&good, head, 38, at, new), "HF-H5-001");
    }
}
