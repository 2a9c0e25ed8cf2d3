//! HDF5: what models have is accepted, and each guard refuses what it is there for.

mod common;

use common::{findings, ids, inspect, inspect_in};
use holdfast_formats::bytes::in_memory;
use holdfast_formats::testing::{
    Dataset, Hdf5Builder, Member, Storage, archive, deflate, fixed_text, variable_text, weights,
};
use holdfast_formats::{FileInspector, Format, Outcome};

/// The inspection of a file that can be looked into first.
fn ahead(bytes: &[u8], piece: usize) -> Outcome {
    let mut inspector = FileInspector::new("model").looking_ahead(bytes.len() as u64, &mut in_memory(bytes));
    for piece in bytes.chunks(piece) {
        inspector.feed(piece);
    }
    inspector.finish()
}

fn refused(bytes: &[u8], id: &str) {
    let ids = ids(bytes);
    assert!(ids.iter().any(|found| found == id), "{ids:?}, not {id}");
    assert!(inspect(bytes).findings.refuse(), "{ids:?}");
    let found = |outcome: Outcome| outcome.findings.into_parts();
    assert_eq!(found(ahead(bytes, 64 << 10)), found(inspect(bytes)));
}

fn accepted(bytes: &[u8]) -> Outcome {
    let outcome = inspect(bytes);
    assert_eq!(outcome.format, Format::Hdf5);
    assert!(!outcome.findings.refuse(), "{:?}", outcome.findings);
    outcome
}

/// All ways to store a dataset, links by name, attributes, and more members than a symbol table holds.
fn rich() -> Hdf5Builder {
    let many = (0..20).fold(
        Hdf5Builder::model(r#"{"class_name": "Sequential", "config": []}"#),
        |file, index| file.dataset(&format!("many/{index}"), Dataset::floats(&[index])),
    );
    many.dataset("a", Dataset::floats(&[3]).stored(Storage::Compact))
        .dataset(
            "b",
            Dataset::floats(&[9, 5]).stored(Storage::Chunked(vec![4, 5], false)),
        )
        .dataset(
            "c",
            Dataset::floats(&[9, 5]).stored(Storage::Chunked(vec![4, 2], true)),
        )
        .group("empty")
        .soft("link", "many/3")
        .soft("many/up", "/a")
        .fixed("a", "text", "abc")
}

#[test]
fn what_models_have_is_accepted_and_counted() {
    let facts = accepted(&Hdf5Builder::weights().build().bytes).facts.unwrap();
    assert_eq!((facts.tensors, facts.parameters), (2, 36));
    assert_eq!(facts.tensor_type.as_deref(), Some("float32"));
    let facts = accepted(&rich().build().bytes).facts.unwrap();
    assert_eq!((facts.tensors, facts.parameters), (24, 3 + 90 + 32 + 190));
    assert_eq!(ids(&Hdf5Builder::weights().build().bytes), ["HF-H5-024"]);
    assert_eq!(ids(&rich().build().bytes), ["HF-KERAS-010"]);
    assert_eq!(ids(&Hdf5Builder::default().build().bytes), ["HF-H5-024"]);
}

#[test]
fn the_cut_and_the_way_of_reading_change_nothing() {
    let good = rich().build();
    let end = good.mark("end");
    let start = good.mark("/a:header").start;
    let mut gap = good.bytes.clone();
    gap.splice(end.clone(), (good.bytes.len() as u64 + 8).to_le_bytes());
    gap.extend_from_slice(b"left-ove");
    let mut changed = good.bytes.clone();
    changed[start] = 9;
    for bytes in [good.bytes, gap, changed] {
        let whole = inspect(&bytes);
        for outcome in [
            inspect_in(&bytes, 1),
            inspect_in(&bytes, 13),
            ahead(&bytes, 1),
            ahead(&bytes, 64 << 10),
        ] {
            assert_eq!(outcome.findings, whole.findings);
            assert_eq!(outcome.facts, whole.facts);
        }
    }
}

#[test]
fn structure_that_lies_is_refused() {
    let good = Hdf5Builder::weights().build();
    let kernel = "/layers/dense/vars/0";
    let field = |name: &str| format!("{kernel}:{name}");
    let beyond = (good.bytes.len() as u64).to_le_bytes();
    let root = good.mark("root");
    for (bytes, id) in [
        (good.clone().with("version", &[9]).bytes, "HF-H5-003"),
        (good.clone().with("sizes", &[4, 4]).bytes, "HF-H5-003"),
        (
            good.clone().with("base", &512_u64.to_le_bytes()).bytes,
            "HF-H5-003",
        ),
        (
            good.clone().with("driver", &96_u64.to_le_bytes()).bytes,
            "HF-H5-003",
        ),
        (good.clone().with("flags", &[1, 0, 0, 0]).bytes, "HF-H5-001"),
        (good.clone().with("root", &beyond).bytes, "HF-H5-001"),
        (good.clone().with("root", &4_u64.to_le_bytes()).bytes, "HF-H5-001"),
        ([vec![0; 512], good.bytes.clone()].concat(), "HF-H5-002"),
        (good.clone().cut(good.bytes.len() - 1).bytes, "HF-H5-004"),
        (good.clone().cut(60).bytes, "HF-H5-001"),
        (good.clone().and(b"x").bytes, "HF-H5-005"),
    ] {
        refused(&bytes, id);
    }
    // Where a link is noted twice, both must say the same.
    let mut other = good.bytes.clone();
    other[root.end + 8] ^= 8;
    refused(&other, "HF-H5-001");
    // The tensor's data over its own header, and beyond the end.
    let layout = good.mark(&field("layout")).start;
    for (at, id) in [
        (good.mark(&field("header")).start as u64, "HF-H5-006"),
        (good.mark("/layers/dense/vars/1:data").start as u64, "HF-H5-006"),
        (good.bytes.len() as u64 - 8, "HF-H5-004"),
        (u64::MAX - 8, "HF-H5-004"),
        (u64::MAX, "HF-H5-015"),
    ] {
        let mut bytes = good.bytes.clone();
        bytes.splice(layout + 2..layout + 10, at.to_le_bytes());
        refused(&bytes, id);
    }
    // Shapes that need other bytes than there are.
    let shape = good.mark(&field("dataspace")).start + 8;
    for (dimension, id) in [
        (9_u64, "HF-H5-015"),
        (7, "HF-H5-015"),
        (u64::MAX, "HF-H5-014"),
        (1 << 61, "HF-H5-014"),
    ] {
        let mut bytes = good.bytes.clone();
        bytes.splice(shape..shape + 8, dimension.to_le_bytes());
        refused(&bytes, id);
    }
    for version in [1, 2, 9] {
        let mut bytes = good.bytes.clone();
        bytes[layout] = version;
        refused(&bytes, "HF-H5-003");
    }
}

#[test]
fn features_that_reach_elsewhere_are_refused() {
    let base = Hdf5Builder::weights;
    let floats = || Dataset::floats(&[4]);
    let external_link = [&[1, 8, 64, 1][..], b"x", &[6, 0], b"\0a\0b\0\0"].concat();
    for (file, id) in [
        // An external file list.
        (
            base().message("layers/dense/vars/0", 7, &[1, 0, 0, 0, 1, 0, 1, 0]),
            "HF-H5-009",
        ),
        (base().message("layers", 6, &external_link), "HF-H5-009"),
        (
            base().message("layers", 6, &[1, 8, 65, 1, b'x', 0, 0]),
            "HF-H5-009",
        ),
        (
            base().dataset("x", floats().stored(Storage::Missing)),
            "HF-H5-015",
        ),
        (base().soft("x", "/nowhere"), "HF-H5-010"),
        (base().soft("x", "x"), "HF-H5-010"),
        (base().soft("x", "../../etc"), "HF-H5-010"),
        // References to objects, lists of any length, times, a type that came later.
        (
            base().dataset("x", floats().typed(vec![0x17, 0, 0, 0, 4, 0, 0, 0])),
            "HF-H5-011",
        ),
        (
            base().dataset(
                "x",
                floats().typed([&[0x19, 0, 0, 0, 16, 0, 0, 0][..], &fixed_text(1)].concat()),
            ),
            "HF-H5-011",
        ),
        (
            base().dataset("x", floats().typed(vec![0x12, 0, 0, 0, 4, 0, 0, 0, 32, 0])),
            "HF-H5-012",
        ),
        (
            base().dataset("x", floats().typed(vec![0x1b, 0, 0, 0, 4, 0, 0, 0])),
            "HF-H5-012",
        ),
        (
            base().dataset("x", floats().typed(vec![0x15, 0, 0, 0, 99, 0, 0, 0])),
            "HF-H5-012",
        ),
        // A type of its own, for others to use.
        (base().message("layers", 3, &fixed_text(4)), "HF-H5-012"),
        // Filters: a plug-in, one of HDF5's own that is not followed, one twice.
        (
            base().message("layers/dense/vars/0", 11, &[2, 1, 0, 125, 0, 0, 0, 0, 0, 0]),
            "HF-H5-013",
        ),
        (
            base().message("layers/dense/vars/0", 11, &[2, 1, 4, 0, 0, 0, 0, 0]),
            "HF-H5-013",
        ),
        // Unknown messages, and ones that an object cannot have.
        (base().message("layers", 99, &[0; 8]), "HF-H5-003"),
        (base().message("layers", 20, &[0; 8]), "HF-H5-001"),
        (base().message("layers", 17, &[0; 16]), "HF-H5-018"),
        (
            base().dataset("x", floats()).message("x", 8, &[4, 3]),
            "HF-H5-018",
        ),
        (
            base().fixed("layers", "a", "x").fixed("layers", "a", "y"),
            "HF-H5-018",
        ),
        (
            base()
                .fixed("layers/dense/vars/0", "a", "x")
                .text("layers/dense/vars/0", "a", "y"),
            "HF-H5-018",
        ),
    ] {
        refused(&file.build().bytes, id);
    }
    let good = base().dataset("x", floats()).build();
    let mut bytes = good.bytes.clone();
    let layout = good.mark("/x:layout").start;
    bytes.splice(layout..layout + 2, [4, 3]);
    refused(&bytes, "HF-H5-009");
}

#[test]
fn groups_that_lead_in_circles_are_refused() {
    let good = Hdf5Builder::weights().group("other").build();
    let root = good.bytes[good.mark("root")].to_vec();
    // The second entry of the root's symbols is the group `other`.
    let entry = good.mark(":symbols").start + 8 + 40;
    let mut bytes = good.bytes.clone();
    bytes.splice(entry + 8..entry + 16, root);
    bytes.splice(entry + 16..entry + 40, [0; 24]);
    let ids = ids(&bytes);
    assert!(ids.contains(&"HF-H5-010".to_owned()), "{ids:?}");
    // Names out of order, and one that is there twice.
    let mut swapped = good.bytes.clone();
    let (one, other) = (entry - 40, entry);
    let first = good.bytes[one..one + 8].to_vec();
    swapped.splice(other..other + 8, first);
    refused(&swapped, "HF-H5-018");
    let names = good.mark(":names").start;
    let mut slash = good.bytes.clone();
    slash[names + 8] = b'/';
    refused(&slash, "HF-H5-001");
    let mut hidden = good.bytes;
    hidden.splice(names + 16..names + 19, "\u{202e}".bytes());
    let ids = common::ids(&hidden);
    assert_eq!(ids, ["HF-H5-019", "HF-H5-024"]);
}

#[test]
fn pieces_must_be_the_dataset() {
    let file = |packed| {
        let pieces = Dataset::floats(&[9, 4]).stored(Storage::Chunked(vec![4, 4], packed));
        Hdf5Builder::default().dataset("x", pieces).build()
    };
    let plain = file(false);
    accepted(&plain.bytes);
    accepted(&file(true).bytes);
    let tree = plain.mark("/x:pieces").start;
    let key = 40;
    let change = |built: &holdfast_formats::testing::Built, at: usize, new: &[u8]| {
        let mut bytes = built.bytes.clone();
        bytes.splice(at..at + new.len(), new.iter().copied());
        bytes
    };
    for (at, new, id) in [
        // One piece fewer, one at the wrong place, one over another, one beyond.
        (tree + 6, &[2][..], "HF-H5-015"),
        (tree + 24 + key + 8, &[0], "HF-H5-015"),
        (tree + 24 + key + 8, &[5], "HF-H5-015"),
        (tree + 24 + 2 * key + 8, &[12], "HF-H5-015"),
        (tree + 24, &[63], "HF-H5-015"),
        (tree + 5, &[1], "HF-H5-001"),
        (tree + 5, &[99], "HF-H5-001"),
        (tree + 6, &[200], "HF-H5-001"),
        (tree + 4, &[0], "HF-H5-001"),
    ] {
        refused(&change(&plain, at, new), id);
    }
    let packed = file(true);
    let piece = packed.mark("/x:piece/1").start;
    for (at, new) in [
        (piece, &[0x79][..]),
        (piece + 2, &[0]),
        (piece + 2, &[7]),
        (piece + 3, &[60]),
    ] {
        refused(&change(&packed, at, new), "HF-H5-016");
    }
    // The same piece as another one.
    let tree = packed.mark("/x:pieces").start;
    let first = packed.bytes[tree + 24 + key - 8..tree + 24 + key].to_vec();
    refused(&change(&packed, tree + 24 + 2 * key - 8, &first), "HF-H5-006");
    let filtered = [2, 1, 1, 0, 0, 0, 1, 0, 6, 0, 0, 0];
    let contiguous = Hdf5Builder::weights().message("layers/dense/vars/0", 11, &filtered);
    refused(&contiguous.build().bytes, "HF-H5-015");
}

#[test]
fn packed_data_that_grows_without_end_is_refused() {
    use std::io::Write as _;
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..1100 {
        zlib.write_all(&zeros).unwrap();
    }
    let packed = zlib.finish().unwrap();
    // A piece of a hundred megabytes that is said to be small: it is not unpacked to its end.
    let small = Dataset::floats(&[4, 4]).stored(Storage::Chunked(vec![4, 4], true));
    let good = Hdf5Builder::default().dataset("x", small).build();
    let tree = good.mark("/x:pieces").start;
    let place = (good.bytes.len() as u64).to_le_bytes();
    let mut bytes = good.bytes.clone();
    bytes.splice(
        tree + 24..tree + 28,
        u32::try_from(packed.len()).unwrap().to_le_bytes(),
    );
    bytes.splice(tree + 24 + 32..tree + 24 + 40, place);
    let end = good.mark("end");
    bytes.splice(end, (good.bytes.len() as u64 + packed.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&packed);
    refused(&bytes, "HF-H5-016");
    // The same with a shape that promises as much.
    let (shape, layout) = (good.mark("/x:dataspace").start + 8, good.mark("/x:layout").start);
    let elements = 1100_u64 << 18;
    bytes.splice(
        shape..shape + 16,
        [elements.to_le_bytes(), 1_u64.to_le_bytes()].concat(),
    );
    bytes.splice(
        layout + 11..layout + 19,
        [
            u32::try_from(elements).unwrap().to_le_bytes(),
            1_u32.to_le_bytes(),
        ]
        .concat(),
    );
    let (findings, _) = ahead(&bytes, 1 << 20).findings.into_parts();
    assert_eq!(findings[0].id, "HF-H5-017");
}

#[test]
fn what_belongs_to_nothing_is_measured() {
    let with = |left_over: &[u8]| {
        let good = Hdf5Builder::weights().build();
        let end = (good.bytes.len() + left_over.len()) as u64;
        good.with("end", &end.to_le_bytes()).and(left_over).bytes
    };
    assert_eq!(ids(&with(&[0; 4096])), ["HF-H5-024"]);
    assert_eq!(ids(&with(b"\0\0deleted")), ["HF-H5-007", "HF-H5-024"]);
    refused(&with(&weights(100_000)), "HF-H5-008");
}

#[test]
fn texts_are_found_wherever_they_lie() {
    let good = Hdf5Builder::weights().text("", "note", "hello").build();
    accepted(&good.bytes);
    let heap = good.mark("@note").start;
    for (at, new, id) in [
        (heap, &b"X"[..], "HF-H5-001"),
        (heap + 16, &[2], "HF-H5-001"),
        (heap + 24, &[4], "HF-H5-001"),
        (heap + 8, &[0xff; 4], "HF-H5-004"),
    ] {
        let mut bytes = good.bytes.clone();
        bytes.splice(at..at + new.len(), new.iter().copied());
        refused(&bytes, id);
    }
    let references = Dataset::floats(&[4]).typed(variable_text());
    refused(
        &Hdf5Builder::default().dataset("x", references).build().bytes,
        "HF-H5-015",
    );
    let mut texts = Dataset::floats(&[1]).typed(variable_text());
    texts.data = vec![0; 16];
    assert_eq!(
        ids(&Hdf5Builder::default().dataset("x", texts).build().bytes),
        ["HF-H5-023", "HF-H5-024"]
    );
}

#[test]
fn texts_that_pytables_would_load_as_pickles_are_judged() {
    for (pickle, id) in [
        (&b"(S'true'\nios\nsystem\n."[..], "HF-PKL-001"),
        (b"(cposix\nsystem\nS'true'\no.", "HF-PKL-001"),
        (b"cposix\nsystem\np0\n0g0\n(S'true'\ntR.", "HF-PKL-001"),
        (b"cos\nsystem\n(S'true'\ntRand then no opcode.", "HF-PKL-001"),
        (b"cevil_module\nEvil\n(S'x'\ntR.", "HF-PKL-002"),
        (b"(S'x'\nievil_module\nEvil\n.", "HF-PKL-002"),
        (b"cevil_module\nEvil\n.", "HF-PKL-002"),
        (b"c__builtin__\nbytearray\n(I1\nI2\nI3\nI4\ntR.", "HF-PKL-003"),
    ] {
        let padded = [pickle, b"\0\0"].concat();
        let ended = [pickle, b"\0more"].concat();
        for text in [pickle, &padded, &ended] {
            let file = Hdf5Builder::weights().fixed("layers/dense", "pandas_type", text);
            refused(&file.build().bytes, id);
        }
        let file = Hdf5Builder::weights().text("", "TITLE", pickle);
        refused(&file.build().bytes, id);
    }
}

#[test]
fn prose_and_plain_pickles_are_ordinary_attributes() {
    for text in [
        &b"Weights of a small model."[..],
        b"N.B. these weights are not trained. See the notes.",
        b"(c) 2020 Somebody\nAll rights reserved\nFor research only.",
        b"cat\ndog\nbird.",
        b"copyright\nSomebody\nDo not copy.",
        b".",
        b"0.",
        b"N.",
        b"I1\n.",
        b"(dp1\nS'index'\np2\n(dp3\nS'name'\np4\nNss.",
        b"\x80\x04}\x94.",
        b"ccollections\nOrderedDict\n(tR.",
    ] {
        accepted(&Hdf5Builder::weights().fixed("", "info", text).build().bytes);
        accepted(&Hdf5Builder::weights().text("", "info", text).build().bytes);
    }
}

#[test]
fn a_file_in_an_archive_is_read_like_one_alone() {
    let good = Hdf5Builder::weights().build().bytes;
    let bad = Hdf5Builder::weights().soft("x", "/nowhere").build().bytes;
    let packed = |bytes: &[u8]| archive(&[Member::stored("m/w.h5", bytes).packed(8, deflate(bytes))]).bytes;
    let stored = |bytes: &[u8]| archive(&[Member::stored("m/w.h5", bytes)]).bytes;
    for bytes in [stored(&good), packed(&good)] {
        for outcome in [inspect(&bytes), ahead(&bytes, 1000)] {
            assert!(!outcome.findings.refuse(), "{:?}", outcome.findings);
            assert_eq!(outcome.facts.unwrap().tensors, 2);
        }
    }
    for bytes in [stored(&bad), packed(&bad)] {
        refused(&bytes, "HF-H5-010");
    }
}

#[test]
fn a_large_file_in_an_archive_needs_no_memory_where_it_is_stored() {
    let large = Hdf5Builder::default()
        .dataset("x", Dataset::floats(&[3 << 20]))
        .build()
        .bytes;
    let stored = archive(&[Member::stored("w.h5", &large)]).bytes;
    assert!(!ahead(&stored, 1 << 20).findings.refuse());
    let packed = archive(&[Member::stored("w.h5", &large).packed(8, deflate(&large))]).bytes;
    assert!(
        ahead(&packed, 1 << 20)
            .findings
            .into_parts()
            .0
            .iter()
            .any(|finding| finding.id == "HF-H5-021")
    );
    let stream = findings(&large);
    assert!(
        stream.iter().any(|finding| finding.id == "HF-H5-021"),
        "{stream:?}"
    );
    assert!(!ahead(&large, 1 << 20).findings.refuse());
}

#[test]
fn a_file_that_changes_while_it_is_read_is_refused() {
    let good = Hdf5Builder::weights().build();
    let mut changed = good.bytes.clone();
    let time = good.mark("/layers:names").start + 8;
    changed[time] ^= 1;
    let mut inspector = FileInspector::new("x").looking_ahead(good.bytes.len() as u64, &mut |at, buffer| {
        let at = usize::try_from(at).unwrap();
        buffer.copy_from_slice(&good.bytes[at..at + buffer.len()]);
        true
    });
    inspector.feed(&changed);
    let (findings, _) = inspector.finish().findings.into_parts();
    assert_eq!(findings[0].id, "HF-H5-022", "{findings:?}");
}

#[test]
fn a_cut_file_is_refused_wherever_it_is_cut() {
    let good = rich().build().bytes;
    for length in (9..good.len()).step_by(37) {
        let outcome = inspect(&good[..length]);
        assert!(outcome.findings.refuse(), "{length}");
    }
}

#[test]
fn many_links_and_attributes_are_followed_and_summed() {
    let seed = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/hdf5/many");
    let seed = std::fs::read(seed).unwrap();
    let good = [b"\x89HDF\r\n\x1a\n", &seed[2..]].concat();
    assert_eq!(accepted(&good).facts.unwrap().tensors, 9);
    for signature in [b"OHDR", b"FRHP", b"FHDB", b"BTHD", b"BTLF"] {
        let places: Vec<_> = good
            .windows(4)
            .enumerate()
            .filter(|(_, window)| window == signature)
            .map(|(at, _)| at)
            .collect();
        assert!(!places.is_empty());
        for place in places {
            for distance in [0, 4, 16] {
                let mut bytes = good.clone();
                bytes[place + distance] ^= 1;
                refused(&bytes, "HF-H5-001");
            }
        }
    }
}
