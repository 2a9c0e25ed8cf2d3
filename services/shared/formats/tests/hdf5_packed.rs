//! What comes out of packed pieces of HDF5 datasets is searched as a program would read it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::io::Write as _;

use common::{findings, ids, inspect, inspect_in};
use holdfast_formats::testing::{Dataset, Hdf5Builder, Storage, put_apart, stowaways, weights};

const DEFLATE: u16 = 1;
const SHUFFLE: u16 = 2;
const FLETCHER: u16 = 3;

/// How pieces are filtered: the filters with their settings, and what they make of a piece.
type Way = (Vec<(u16, Vec<u32>)>, fn(&[u8]) -> Vec<u8>);

/// Numbers of 32 bits in pieces of so many bytes, stored in this way.
fn file(data: &[u8], piece: usize, (filters, store): &Way) -> Vec<u8> {
    let pieces = data.chunks(piece).map(|piece| (0, store(piece))).collect();
    of(data.len(), piece, filters, pieces)
}

fn of(length: usize, piece: usize, filters: &[(u16, Vec<u32>)], pieces: Vec<(u32, Vec<u8>)>) -> Vec<u8> {
    let chunk = vec![piece as u64 / 4];
    let dataset =
        Dataset::floats(&[length as u64 / 4]).stored(Storage::Filtered(chunk, filters.to_vec(), pieces));
    Hdf5Builder::default().dataset("x", dataset).build().bytes
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    zlib.write_all(bytes).unwrap();
    zlib.finish().unwrap()
}

/// The checksum is for the library: here it is only known to be there.
fn summed(bytes: &[u8]) -> Vec<u8> {
    [bytes, &[0x55; 4]].concat()
}

/// Every order of filters that is read.
fn ways() -> Vec<Way> {
    let deflate = || (DEFLATE, vec![6]);
    let apart = |bytes| (SHUFFLE, vec![bytes]);
    let fletcher = || (FLETCHER, Vec::new());
    vec![
        (vec![deflate()], zlib),
        (vec![apart(4), deflate()], |piece| zlib(&put_apart(piece, 4))),
        (vec![apart(4), deflate(), fletcher()], |piece| {
            summed(&zlib(&put_apart(piece, 4)))
        }),
        (vec![apart(4), fletcher(), deflate()], |piece| {
            zlib(&summed(&put_apart(piece, 4)))
        }),
        (vec![fletcher(), apart(4), deflate()], |piece| {
            zlib(&put_apart(&summed(piece), 4))
        }),
        (vec![fletcher(), deflate()], |piece| zlib(&summed(piece))),
        (vec![apart(4)], |piece| put_apart(piece, 4)),
        // The setting decides, not the type, and what is less than an element stays where it is.
        (vec![apart(7), deflate()], |piece| zlib(&put_apart(piece, 7))),
        (vec![apart(1), deflate()], zlib),
        (vec![apart(1 << 30), deflate()], zlib),
        (vec![fletcher()], summed),
    ]
}

#[test]
fn each_stowaway_is_found_however_it_is_packed() {
    for (name, id, stowaway) in stowaways() {
        let mut data = weights(16 << 10);
        data.splice(5003..5003 + stowaway.len(), stowaway.iter().copied());
        for (index, way) in ways().iter().enumerate() {
            // In one piece, and across the borders of several.
            for piece in [16 << 10, 4 << 10, 256] {
                let found = findings(&file(&data, piece, way));
                assert!(
                    found
                        .iter()
                        .any(|found| found.id == id && found.part.as_deref() == Some("packed data")),
                    "{name} in way {index}, pieces of {piece}: {found:?}"
                );
            }
        }
    }
}

#[test]
fn ordinary_packed_numbers_are_accepted() {
    let data = weights(16 << 10);
    for way in ways() {
        for piece in [16 << 10, 4 << 10] {
            assert_eq!(ids(&file(&data, piece, &way)), ["HF-H5-024"]);
        }
    }
}

#[test]
fn a_finding_names_the_piece_and_does_not_depend_on_the_cut() {
    let (_, id, script) = stowaways().into_iter().find(|(name, ..)| *name == "elf").unwrap();
    let mut data = weights(4096);
    data.splice(2100..2100 + script.len(), script.iter().copied());
    for way in ways() {
        let bytes = file(&data, 1024, &way);
        let pieces = data.chunks(1024).map(|piece| (0, (way.1)(piece))).collect();
        let dataset = Dataset::floats(&[1024]).stored(Storage::Filtered(vec![256], way.0.clone(), pieces));
        let built = Hdf5Builder::default().dataset("x", dataset).build();
        assert_eq!(built.bytes, bytes);
        let third = built.mark("/x:piece/2").start as u64;
        let found = findings(&bytes);
        let finding = found
            .iter()
            .find(|finding| finding.id == id && finding.part.is_some())
            .unwrap();
        assert_eq!(
            (finding.offset, finding.part.as_deref()),
            (Some(third), Some("packed data"))
        );
        for piece in [1, 13, 1000] {
            assert_eq!(inspect_in(&bytes, piece).findings, inspect(&bytes).findings);
        }
    }
}

#[test]
fn pieces_that_leave_filters_out_are_read_with_the_others() {
    let (_, id, program) = stowaways().into_iter().find(|(name, ..)| *name == "elf").unwrap();
    let mut data = weights(4096);
    data.splice(1000..1000 + program.len(), program.iter().copied());
    let filters = [(SHUFFLE, vec![4]), (DEFLATE, vec![6])];
    // Every other piece leaves out the first filter, the second, or both.
    for mask in 1..4_u32 {
        let store = |(index, piece): (usize, &[u8])| {
            let mask = if index % 2 == 0 { mask } else { 0 };
            let apart = if mask & 1 == 0 {
                put_apart(piece, 4)
            } else {
                piece.to_vec()
            };
            (mask, if mask & 2 == 0 { zlib(&apart) } else { apart })
        };
        let pieces = data.chunks(32).enumerate().map(store).take(64).collect();
        let found = ids(&of(2048, 32, &filters, pieces));
        assert!(found.iter().any(|found| found == id), "{mask}: {found:?}");
    }
}

#[test]
fn filters_in_an_order_that_no_writer_has_are_refused() {
    let plain = weights(1024);
    let refused = |filters: &[(u16, Vec<u32>)], piece: &[u8], id: &str| {
        let bytes = of(1024, 1024, filters, vec![(0, piece.to_vec())]);
        let found = ids(&bytes);
        assert!(found.iter().any(|found| found == id), "{found:?}, not {id}");
        assert!(inspect(&bytes).findings.refuse());
    };
    let (deflate, apart) = ((DEFLATE, vec![6]), (SHUFFLE, vec![4]));
    refused(
        &[deflate.clone(), apart.clone()],
        &put_apart(&zlib(&plain), 4),
        "HF-H5-013",
    );
    refused(
        &[apart.clone(), apart.clone()],
        &put_apart(&put_apart(&plain, 4), 4),
        "HF-H5-013",
    );
    refused(
        &[deflate.clone(), deflate.clone()],
        &zlib(&zlib(&plain)),
        "HF-H5-013",
    );
    for settings in [vec![], vec![0], vec![4, 4]] {
        refused(&[(SHUFFLE, settings)], &plain, "HF-H5-001");
    }
    let many = vec![(FLETCHER, Vec::new()); 33];
    refused(&many, &plain, "HF-H5-001");
    let most = vec![(FLETCHER, Vec::new()); 32];
    let sums = [plain.as_slice(), &[0x55; 128]].concat();
    assert_eq!(ids(&of(1024, 1024, &most, vec![(0, sums)])), ["HF-H5-024"]);
}

#[test]
fn a_piece_that_is_too_large_to_be_put_in_order_is_refused() {
    let zeros = vec![0; (8 << 20) + 4];
    let filters = [(SHUFFLE, vec![4]), (DEFLATE, vec![6])];
    let large = |length: usize| of(length, length, &filters, vec![(0, zlib(&zeros[..length]))]);
    assert_eq!(ids(&large(8 << 20)), ["HF-H5-024"]);
    assert_eq!(ids(&large((8 << 20) + 4)), ["HF-H5-025"]);
    // Without it, size does not matter.
    let bytes = of(zeros.len(), zeros.len(), &filters[1..], vec![(0, zlib(&zeros))]);
    assert_eq!(ids(&bytes), ["HF-H5-024"]);
}
