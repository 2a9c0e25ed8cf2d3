//! 7z archives: every file in one is judged as if it had come alone, and an archive that programs could read in two ways is refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::io::Write as _;

use common::{findings, ids, inspect, inspect_in, judged};
use holdfast_contract::report::Verdict;
use holdfast_formats::bytes::in_memory;
use holdfast_formats::finding::verdict;
use holdfast_formats::testing::compressed::HARMLESS;
use holdfast_formats::testing::sevenzip::{Packing, SevenZipBuilder, number, seven_zip};
use holdfast_formats::testing::{
    Dataset, GgufBuilder, Hdf5Builder, Member, archive, call, stowaways, tar_archive, tar_member, tuple,
    weights,
};
use holdfast_formats::{FileInspector, Format, Outcome};

const LINK: u32 = 0o120_777 << 16;

/// Two files, a directory and a file without content.
fn small(packing: Packing) -> SevenZipBuilder {
    SevenZipBuilder::new(packing)
        .directory("d")
        .file("d/a.pkl", &tuple(1))
        .file("d/.gitkeep", b"")
        .file("b.pkl", &tuple(2))
}

/// With its header read first, as a file's is.
fn ahead(bytes: &[u8]) -> FileInspector {
    FileInspector::new("model").looking_ahead(bytes.len() as u64, &mut in_memory(bytes))
}

fn fed(mut inspector: FileInspector, bytes: &[u8], piece: usize) -> Outcome {
    for piece in bytes.chunks(piece) {
        inspector.feed(piece);
    }
    inspector.finish()
}

#[track_caller]
fn admitted(bytes: &[u8]) {
    assert_eq!(judged(bytes).0, Verdict::Admit, "{:?}", findings(bytes));
    let outcome = inspect(bytes);
    assert_eq!(outcome.format, Format::SevenZip);
    for piece in [1, 3, 31, 200] {
        assert_eq!(inspect_in(bytes, piece).findings, outcome.findings);
        assert_eq!(
            fed(ahead(bytes).probing(8), bytes, piece).findings,
            outcome.findings
        );
    }
}

#[track_caller]
fn refused(bytes: &[u8], id: &str) {
    let found = findings(bytes);
    assert!(found.iter().any(|finding| finding.id == id), "{id}: {found:?}");
    assert_eq!(judged(bytes).0, Verdict::Refuse);
    // A tar archive is told by more than its first bytes.
    if bytes.starts_with(b"7z") {
        let outcome = inspect(bytes);
        for piece in [1, 31] {
            assert_eq!(
                fed(ahead(bytes).probing(8), bytes, piece).findings,
                outcome.findings
            );
        }
    }
}

/// Both ways to write the header.
fn both(builder: &SevenZipBuilder) -> [Vec<u8>; 2] {
    [builder.build(), builder.build_packed()]
}

/// An archive of one file whose description of streams is this, up to where it says how they are divided.
fn described(streams: &[u8], description: &[u8]) -> Vec<u8> {
    let files = [0x05, 1, 0x11, 5, 0, b'a', 0, 0, 0, 0, 0];
    seven_zip(streams, &[&[1, 4], description, &files].concat())
}

#[test]
fn files_are_judged_whatever_they_are_packed_with() {
    for packing in Packing::ALL {
        for builder in [small(packing), small(packing).solid()] {
            for bytes in both(&builder) {
                admitted(&bytes);
                let parts: Vec<_> = findings(&bytes)
                    .into_iter()
                    .filter(|finding| finding.id == "HF-PKL-016")
                    .map(|finding| finding.part.unwrap())
                    .collect();
                assert_eq!(parts, ["d/a.pkl", "b.pkl"]);
            }
            for bytes in both(&builder.file("x.pkl", &call())) {
                refused(&bytes, "HF-PKL-001");
            }
        }
    }
}

/// Readers of 7z stop at the end of the first stream, and do not want anything behind it.
#[test]
fn a_stream_is_one_stream() {
    let (_, bzip2) = HARMLESS.iter().find(|(name, _)| *name == "bz2").unwrap();
    let (_, lzma) = HARMLESS.iter().find(|(name, _)| *name == "lzma").unwrap();
    // What comes out of each of them.
    let content = b"\x80\x02(J\x01\0\0\0t.";
    let archive = |folder: &[u8], packed: &[u8], content: &[u8]| {
        let description = [
            vec![6, 0, 1, 9],
            number(packed.len()),
            vec![0, 7, 0x0b, 1, 0],
            folder.to_vec(),
            vec![0x0c],
            number(content.len()),
            vec![0, 8, 0x0a, 1],
            crc32fast::hash(content).to_le_bytes().to_vec(),
            vec![0, 0],
        ];
        described(packed, &description.concat())
    };
    let bz2 = &[1, 3, 4, 2, 2];
    admitted(&archive(bz2, bzip2, content));
    refused(&archive(bz2, &bzip2.repeat(2), &content.repeat(2)), "HF-7Z-007");
    refused(&archive(bz2, &[bzip2, &b"x"[..]].concat(), content), "HF-7Z-007");
    // Its size is known, and its end is marked all the same; or something else follows.
    let properties = [&[1, 0x23, 3, 1, 1, 5], &lzma[..5]].concat();
    refused(&archive(&properties, &lzma[13..], content), "HF-7Z-003");
    let changed = [&lzma[13..lzma.len() - 2], b"xx"].concat();
    refused(&archive(&properties, &changed, content), "HF-7Z-003");
}

/// The place is that of the stream, not of the one before.
#[test]
fn a_stream_that_cannot_be_begun_is_where_it_is() {
    let good = tuple(1);
    let length = good.len();
    let description = [
        vec![6, 0, 2, 9],
        number(length),
        number(length),
        vec![
            0, 7, 0x0b, 2, 0, 1, 1, 0, 1, 0x23, 3, 1, 1, 5, 0x62, 0, 0, 1, 0, 0x0c,
        ],
        number(length),
        number(length),
        vec![0, 8, 0x0a, 1],
        crc32fast::hash(&good).to_le_bytes().repeat(2),
        vec![0, 0],
    ];
    let files = [0x05, 2, 0x11, 9, 0, b'a', 0, 0, 0, b'b', 0, 0, 0, 0, 0];
    let bytes = seven_zip(
        &good.repeat(2),
        &[&[1, 4], &description.concat()[..], &files].concat(),
    );
    refused(&bytes, "HF-7Z-003");
    assert_eq!(findings(&bytes)[0].offset, Some(32 + length as u64));
}

#[test]
fn a_model_in_an_archive_tells_what_it_is() {
    let model = GgufBuilder::llama().build().bytes;
    // The model has bytes that the filter would take for a call; the writer of this test does not filter.
    for packing in [Packing::Copy, Packing::Lzma2, Packing::Deflate] {
        let bytes = SevenZipBuilder::new(packing).file("model.gguf", &model).build();
        assert!(inspect(&bytes).facts.unwrap().tensors > 0);
        admitted(&bytes);
    }
    refused(
        &SevenZipBuilder::new(Packing::Filtered)
            .file("model.gguf", &model)
            .build(),
        "HF-7Z-007",
    );
}

#[test]
fn what_is_cut_off_changed_or_followed_by_something_is_refused() {
    for packing in Packing::ALL {
        for whole in both(&small(packing).solid()) {
            for length in 1..whole.len() {
                assert_eq!(
                    judged(&whole[..length]).0,
                    Verdict::Refuse,
                    "{packing:?} of {length}"
                );
            }
            for more in [&b"x"[..], b"\0", &whole] {
                refused(&[&whole, more].concat(), "HF-7Z-001");
            }
            // Deflate has bits that stand for nothing.
            if packing == Packing::Deflate {
                continue;
            }
            // The minor version says nothing either.
            for at in (0..whole.len()).filter(|at| *at != 7) {
                let mut changed = whole.clone();
                changed[at] ^= 0x40;
                assert_eq!(judged(&changed).0, Verdict::Refuse, "{packing:?} at {at}");
            }
        }
    }
    let mut version = small(Packing::Copy).build();
    version[6] = 1;
    refused(&version, "HF-7Z-001");
}

#[test]
fn an_archive_without_a_file_is_empty() {
    refused(&seven_zip(b"", b""), "HF-FMT-002");
    for bytes in both(&SevenZipBuilder::new(Packing::Copy)) {
        refused(&bytes, "HF-FMT-002");
    }
    refused(&seven_zip(b"x", b""), "HF-7Z-001");
    refused(
        &SevenZipBuilder::new(Packing::Copy).directory("d").build(),
        "HF-FMT-002",
    );
    refused(
        &SevenZipBuilder::new(Packing::Copy).file("a.gguf", b"").build(),
        "HF-FMT-002",
    );
}

/// How far a decoder comes before it gives up depends on how the bytes were cut.
#[test]
fn nothing_is_told_of_what_is_in_a_stream_that_is_damaged() {
    for packing in [Packing::Lzma2, Packing::Filtered] {
        let builder = SevenZipBuilder::new(packing)
            .file("a.pkl", &call())
            .file("b.pkl", &tuple(1))
            .solid();
        let mut streams = builder.streams();
        let last = streams.len() - 1;
        streams[last] = 5;
        let bytes = seven_zip(&streams, &builder.header());
        refused(&bytes, "HF-7Z-007");
        assert_eq!(findings(&bytes).len(), 1, "{:?}", findings(&bytes));
    }
}

#[test]
fn names_that_lead_elsewhere_or_are_there_twice_are_refused() {
    let named = |name: &str| SevenZipBuilder::new(Packing::Copy).file(name, &tuple(1)).build();
    for name in [
        "../a.pkl",
        "a/../../b.pkl",
        "/etc/passwd",
        "C:/a.pkl",
        "..\\a.pkl",
        "a//b.pkl",
        "./a.pkl",
        // 7-Zip puts it into a directory of that name, py7zr makes a file without the slash.
        "w.h5/",
        "",
        "a\u{202e}.pkl",
    ] {
        refused(&named(name), "HF-7Z-005");
    }
    for (first, second) in [("a.pkl", "a.pkl"), ("a.pkl", "A.PKL"), ("ä.pkl", "Ä.pkl")] {
        let bytes = SevenZipBuilder::new(Packing::Copy)
            .file(first, &tuple(1))
            .file(second, &tuple(2));
        refused(&bytes.build(), "HF-7Z-005");
    }
    let both = SevenZipBuilder::new(Packing::Copy)
        .directory("a.pkl")
        .file("a.pkl", &tuple(1));
    refused(&both.build(), "HF-7Z-005");
    // Half a character of UTF-16.
    let header = small(Packing::Copy).header();
    let at = header.windows(2).position(|pair| pair == b"d\0").unwrap();
    let mut broken = header;
    broken[at..at + 2].copy_from_slice(&0xd800_u16.to_le_bytes());
    refused(&seven_zip(&small(Packing::Copy).streams(), &broken), "HF-7Z-001");
}

#[test]
fn what_is_no_ordinary_file_is_refused() {
    let with = |attributes| {
        SevenZipBuilder::new(Packing::Copy)
            .file("a.pkl", &tuple(1))
            .attributes(attributes)
            .build()
    };
    for plain in [0, 0x20, 0x81, 0x8000 | 0o100_755 << 16, 0x01a4_0000] {
        admitted(&with(plain));
    }
    for special in [
        0x8000 | LINK,
        // A mode without the bit that says that it is one.
        LINK,
        0x8000 | 0o060_644 << 16,
        0x8000 | 0o020_644 << 16,
        0x8000 | 0o010_644 << 16,
        0x8000 | 0o140_644 << 16,
        0x8000 | 0o104_755 << 16,
        // A device and a link of Windows.
        0x40,
        0x400,
    ] {
        refused(&with(special), "HF-7Z-006");
    }
    for directory in [0x10, 0x8000 | 0o040_755 << 16] {
        refused(&with(directory), "HF-7Z-010");
    }
    let directory = |attributes| {
        SevenZipBuilder::new(Packing::Copy)
            .directory("d")
            .attributes(attributes)
            .file("a.pkl", &tuple(1))
            .build()
    };
    admitted(&directory(0x10));
    for special in [0x8010 | LINK, 0x410] {
        refused(&directory(special), "HF-7Z-006");
    }
    for no_directory in [0, 0x8000 | 0o040_755 << 16, 0x8010 | 0o100_644 << 16] {
        refused(&directory(no_directory), "HF-7Z-010");
    }
}

#[test]
fn streams_and_header_lie_without_a_gap() {
    let builder = small(Packing::Copy);
    let (streams, header) = (builder.streams(), builder.header());
    refused(&seven_zip(&[&streams[..], b"x"].concat(), &header), "HF-7Z-001");
    refused(&seven_zip(&streams[1..], &header), "HF-7Z-001");
    refused(&seven_zip(&streams, &[&header[..], b"\0"].concat()), "HF-7Z-001");
    // Before and behind a packed header, whose place is in the header that describes it.
    let packed = builder.build_packed();
    let described_at = packed.iter().rposition(|byte| *byte == 0x17).unwrap();
    let (front, end) = packed.split_at(described_at);
    let front = &front[32..];
    let shifted = |by: usize| {
        let mut end = end.to_vec();
        end[2] = u8::try_from(streams.len() + by).unwrap();
        end
    };
    admitted(&seven_zip(front, end));
    let (before, rest) = front.split_at(streams.len());
    refused(
        &seven_zip(&[before, b"x", rest].concat(), &shifted(1)),
        "HF-7Z-001",
    );
    refused(&seven_zip(&[front, b"x"].concat(), end), "HF-7Z-001");
    // What is packed must be a header, and not once more a packed one.
    let twice = [vec![0x17, 6, 0, 1, 9], number(end.len())].concat();
    let twice = [
        twice,
        vec![0, 7, 0x0b, 1, 0, 1, 1, 0, 0x0c],
        number(end.len()),
        vec![0, 0],
    ]
    .concat();
    refused(&seven_zip(end, &twice), "HF-7Z-001");
}

#[test]
fn what_the_header_says_of_contents_is_held_against_them() {
    let content = tuple(1);
    let length = u8::try_from(content.len()).unwrap();
    let sum = crc32fast::hash(&content).to_le_bytes();
    let sums = [&[8, 0x0a, 1], &sum[..], &[0, 0]].concat();
    let copy = |packed: u8, unpacked: u8, rest: &[u8]| {
        let start = [6, 0, 1, 9, packed, 0, 7, 0x0b, 1, 0, 1, 1, 0, 0x0c, unpacked, 0];
        described(&content, &[&start, rest].concat())
    };
    admitted(&copy(length, length, &sums));
    refused(&copy(length, length - 1, &sums), "HF-7Z-007");
    refused(&copy(length, length + 1, &sums), "HF-7Z-007");
    refused(&copy(length - 1, length, &sums), "HF-7Z-001");
    refused(
        &copy(length, length, &[8, 0x0a, 1, 1, 2, 3, 4, 0, 0]),
        "HF-7Z-007",
    );
    // Without checksums, a reader cannot tell what is damaged.
    refused(&copy(length, length, &[8, 0, 0]), "HF-7Z-003");
    refused(&copy(length, length, &[0]), "HF-7Z-003");
    refused(
        &copy(length, length, &[&[8, 0x0a, 0], &sum[..], &[0, 0]].concat()),
        "HF-7Z-003",
    );
    // The sum of a stream is that of its one content; of several it says nothing about each.
    let start = [
        6, 0, 1, 9, length, 0, 7, 0x0b, 1, 0, 1, 1, 0, 0x0c, length, 0x0a, 1,
    ];
    admitted(&described(&content, &[&start, &sum[..], &[0, 0]].concat()));
    let two = [&start, &sum[..], &[0, 8, 0x0d, 2, 9, 1, 0, 0]].concat();
    refused(&described(&content, &two), "HF-7Z-003");
    // Two contents for one file, and none for it.
    let halves = |at: usize| {
        let (first, second) = content.split_at(at);
        [
            crc32fast::hash(first).to_le_bytes(),
            crc32fast::hash(second).to_le_bytes(),
        ]
        .concat()
    };
    let two = [&[8, 0x0d, 2, 9, 1, 0x0a, 1], &halves(1)[..], &[0, 0]].concat();
    refused(&copy(length, length, &two), "HF-7Z-001");
    refused(&copy(length, length, &[8, 0x0d, 0, 0, 0]), "HF-7Z-001");
    let larger = [&[8, 0x0d, 2, 9, length + 1, 0x0a, 1], &halves(1)[..], &[0, 0]].concat();
    refused(&copy(length, length, &larger), "HF-7Z-001");
    let none = seven_zip(b"", &[1, 5, 1, 0x11, 5, 0, b'a', 0, 0, 0, 0, 0]);
    refused(&none, "HF-7Z-001");
    // A stream without bytes.
    let empty = [
        6, 0, 1, 9, 0, 0, 7, 0x0b, 1, 0, 1, 1, 0, 0x0c, 0, 0, 8, 0x0a, 1, 0, 0, 0, 0, 0, 0,
    ];
    refused(&described(b"", &empty), "HF-7Z-001");
}

#[test]
fn what_is_not_followed_is_refused_by_name() {
    let content = tuple(1);
    let length = u8::try_from(content.len()).unwrap();
    let folder = |folder: &[u8], sizes: usize| {
        let start = [6, 0, 1, 9, length, 0, 7, 0x0b, 1, 0];
        let sums = [
            &[0, 8, 0x0a, 1],
            &crc32fast::hash(&content).to_le_bytes()[..],
            &[0, 0],
        ]
        .concat();
        described(
            &content,
            &[&start, folder, &[0x0c], &vec![length; sizes], &sums].concat(),
        )
    };
    admitted(&folder(&[1, 1, 0], 1));
    // The filter as all writers have it, around what is not packed at all.
    admitted(&folder(&[2, 1, 0, 4, 3, 3, 1, 3, 1, 0], 2));
    for (coder, what) in [
        (&[1, 0x24, 6, 0xf1, 7, 1, 2, 0, 0][..], "encrypted"),
        (&[1, 3, 3, 4, 1], "PPMd"),
        (&[1, 3, 4, 1, 9], "Deflate64"),
        (&[1, 4, 4, 0xf7, 0x11, 1], "Zstandard"),
        (&[1, 4, 3, 3, 1, 0x1b], "machine code"),
        (&[1, 0x21, 3, 1, 3], "delta"),
        (&[1, 2, 9, 9], "not known"),
        (&[1, 4, 3, 3, 1, 3], "several"),
        (&[1, 1, 4], "machine code"),
        // In the other order, with other ends tied together, two filters, two coders.
        (&[2, 4, 3, 3, 1, 3, 1, 0, 0, 1], "several"),
        (&[2, 1, 0, 4, 3, 3, 1, 3, 0, 1], "several"),
        (&[2, 1, 0, 4, 3, 3, 1, 3, 0, 0], "several"),
        (&[2, 4, 3, 3, 1, 3, 4, 3, 3, 1, 3, 1, 0], "several"),
        (&[2, 1, 0, 1, 0, 1, 0], "several"),
        (&[3, 1, 0, 1, 0, 1, 0], "several"),
        (&[0], "several"),
        (&[1, 0x11, 0, 1, 2], "several"),
    ] {
        let bytes = folder(coder, 1);
        assert!(
            findings(&bytes)[0].message.contains(what),
            "{:?}",
            findings(&bytes)
        );
        let id = if what == "encrypted" {
            "HF-7Z-004"
        } else {
            "HF-7Z-003"
        };
        refused(&bytes, id);
    }
    refused(&folder(&[200], 1), "HF-7Z-002");
    refused(&folder(&[1, 0x81, 0], 1), "HF-7Z-001");
    // LZMA2 with a window that does not exist, LZMA with properties that do not.
    refused(&folder(&[1, 0x21, 0x21, 1, 41], 1), "HF-7Z-007");
    refused(&folder(&[1, 0x23, 3, 1, 1, 5, 0xff, 0, 0, 1, 0], 1), "HF-7Z-003");
    refused(&folder(&[1, 0x23, 3, 1, 1, 4, 0x5d, 0, 0, 1], 1), "HF-7Z-001");
}

/// A byte says whether something is known of all files or bits say of which; readers take every byte but 0 for the former.
#[test]
fn what_is_known_of_files_is_marked_in_one_of_two_ways() {
    let builder = small(Packing::Copy);
    let (streams, header) = (builder.streams(), builder.header());
    let at = header
        .windows(4)
        .position(|part| part == [0x15, 18, 1, 0])
        .unwrap();
    for mark in [2, 3, 0x80, 0xff] {
        let mut marked = header.clone();
        marked[at + 2] = mark;
        refused(&seven_zip(&streams, &marked), "HF-7Z-001");
    }
    // So many files, and so many of them unknown, that both ways to read take the same bytes: as bits, or as the attributes of a link.
    let builder = (0..2048).fold(SevenZipBuilder::new(Packing::Copy), |builder, index| {
        builder.file(&format!("{index}/.gitkeep"), b"")
    });
    let header = builder.header();
    let at = header.len() - 2 - 2 - 4 * 2048;
    assert_eq!(header[at..at + 2], [1, 0]);
    let mut bits = vec![0xff; 256];
    bits[..8].fill(0);
    let content = [&[2][..], &bits, &[0], &[0; 4 * (2048 - 64)]].concat();
    assert_eq!(content.len(), 2 + 4 * 2048);
    refused(
        &seven_zip(b"", &[&header[..at], &content, &[0, 0]].concat()),
        "HF-7Z-001",
    );
}

/// A header has room for bytes that mean nothing to a reader, such as times, and is mostly packed.
#[test]
fn a_program_among_the_times_of_files_is_found() {
    for (name, id, program) in stowaways() {
        if id != "HF-SIG-001" {
            continue;
        }
        let program = [vec![0; 40], program].concat();
        let files = program.len().div_ceil(8);
        let mut times = program;
        times.resize(8 * files, 0);
        for packing in Packing::ALL {
            let builder = (0..files).fold(SevenZipBuilder::new(packing), |builder, index| {
                builder.file(&format!("{index}/.gitkeep"), b"")
            });
            for bytes in both(&builder.clone().times(&vec![1; times.len()])) {
                admitted(&bytes);
            }
            for bytes in both(&builder.times(&times)) {
                assert!(
                    ids(&bytes).iter().any(|found| found == id),
                    "{name}: {:?}",
                    findings(&bytes)
                );
            }
        }
    }
}

#[test]
fn properties_of_files_are_there_once_and_hold_what_they_are_for() {
    let builder = small(Packing::Copy);
    let (streams, header) = (builder.streams(), builder.header());
    let names_at = header.windows(2).position(|pair| pair == [0x11, 55]).unwrap();
    let with = |property: &[u8]| {
        let (before, after) = header.split_at(names_at);
        seven_zip(&streams, &[before, property, after].concat())
    };
    admitted(&with(&[]));
    // When the files were made; of which of them that is known; nothing.
    let time = [0x77; 8];
    let all = [&[0x14, 34, 1, 0], &time.repeat(4)[..]].concat();
    admitted(&with(&all));
    admitted(&with(&[&[0x12, 11, 0, 0x40, 0], &time[..]].concat()));
    admitted(&with(&[0x19, 3, 0, 0, 0]));
    for (property, id) in [
        ([&all[..], &all].concat(), "HF-7Z-001"),
        (
            [&[0x14, 35, 1, 0], &time.repeat(4)[..], &[0]].concat(),
            "HF-7Z-001",
        ),
        ([&[0x14, 26, 1, 0], &time.repeat(3)[..]].concat(), "HF-7Z-001"),
        // Elsewhere in the archive.
        ([&[0x14, 34, 1, 1], &time.repeat(4)[..]].concat(), "HF-7Z-001"),
        // Bits for files that do not exist.
        ([&[0x12, 11, 0, 0x48, 0], &time[..]].concat(), "HF-7Z-001"),
        (vec![0x19, 3, 0, 1, 0], "HF-7Z-001"),
        // Files that are to be deleted, a comment, where to start.
        (vec![0x10, 1, 0], "HF-7Z-003"),
        (vec![0x16, 1, 0], "HF-7Z-003"),
        (vec![0x18, 1, 0], "HF-7Z-003"),
        (vec![0x31, 0], "HF-7Z-001"),
        (vec![0x11, 200, 0], "HF-7Z-001"),
    ] {
        refused(&with(&property), id);
    }
}

#[test]
fn counts_are_held_against_what_is_there() {
    let files = |count: usize| seven_zip(b"", &[vec![1, 5], number(count), vec![0, 0]].concat());
    refused(&files(3), "HF-7Z-003");
    refused(&files(1 << 20), "HF-7Z-002");
    refused(&files(usize::MAX), "HF-7Z-002");
    let streams = [vec![1, 4, 6, 0], number(usize::MAX), vec![9]].concat();
    refused(&seven_zip(b"", &streams), "HF-7Z-002");
    let streams = [vec![1, 4, 6, 0, 1, 9], number(usize::MAX), vec![0]].concat();
    refused(&seven_zip(b"", &streams), "HF-7Z-001");
    let long = SevenZipBuilder::new(Packing::Copy).file(&"a".repeat(1025), &tuple(1));
    refused(&long.build(), "HF-7Z-002");
    admitted(
        &SevenZipBuilder::new(Packing::Copy)
            .file(&"a".repeat(1024), &tuple(1))
            .build(),
    );
    // A header of more bytes than are read, packed and not.
    let large = [vec![1, 5, 1, 0x19], number(5 << 20), vec![0; 5 << 20], vec![0, 0]].concat();
    assert_eq!(ids(&seven_zip(b"", &large)), ["HF-7Z-002"]);
    let packed = [
        vec![0x17, 6, 0, 1, 9, 1, 0, 7, 0x0b, 1, 0, 1, 1, 0, 0x0c],
        number(5 << 20),
        vec![0, 0],
    ];
    refused(&seven_zip(b"x", &packed.concat()), "HF-7Z-002");
    // Less than that is read, but not beside what takes memory already.
    let padded = |builder: SevenZipBuilder, bytes: usize| {
        let header = builder.header();
        let (most, end) = header.split_at(header.len() - 2);
        let padding = [vec![0x19], number(bytes), vec![0; bytes]].concat();
        seven_zip(&builder.streams(), &[most, &padding, end].concat())
    };
    let plain = || SevenZipBuilder::new(Packing::Copy).file("a.pkl", &tuple(1));
    assert_eq!(judged(&padded(plain(), 3 << 20)).0, Verdict::Admit);
    let within = |bytes: usize| {
        let inner = padded(plain(), bytes);
        padded(SevenZipBuilder::new(Packing::Copy).file("a.7z", &inner), bytes)
    };
    assert_eq!(judged(&within(2 << 20)).0, Verdict::Admit);
    let three = padded(
        SevenZipBuilder::new(Packing::Copy).file("a.7z", &within(3 << 20)),
        3 << 20,
    );
    let outcome = fed(ahead(&three), &three, three.len());
    assert_eq!(outcome.findings.into_parts().0[0].id, "HF-CMP-003");
}

/// Files cost time even when they have no bytes.
#[test]
fn the_files_of_all_archives_in_one_are_counted() {
    let many = (0..3000).fold(SevenZipBuilder::new(Packing::Deflate), |builder, index| {
        builder.file(&format!("{index}/.gitkeep"), b"")
    });
    let inner = many.file("a.pkl", &tuple(1)).build();
    let outer = |count: usize| {
        let builder = (0..count).fold(SevenZipBuilder::new(Packing::Copy), |builder, index| {
            builder.file(&format!("{index}.7z"), &inner)
        });
        // Packed, all of them are hardly more than one.
        let (streams, header) = (builder.clone().solid().streams(), builder.solid().header());
        (streams, header)
    };
    let packed = |count: usize| {
        let (streams, header) = outer(count);
        let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        deflate.write_all(&streams).unwrap();
        let packed = deflate.finish().unwrap();
        // The same header, for what is packed now.
        let old = [vec![9], number(streams.len()), vec![0, 7, 0x0b, 1, 0, 1, 1, 0]].concat();
        let new = [
            vec![9],
            number(packed.len()),
            vec![0, 7, 0x0b, 1, 0, 1, 3, 4, 1, 8],
        ]
        .concat();
        let at = header.windows(old.len()).position(|part| part == old).unwrap();
        let header = [&header[..at], &new, &header[at + old.len()..]].concat();
        seven_zip(&packed, &header)
    };
    let found = |bytes: &[u8]| fed(ahead(bytes), bytes, bytes.len()).findings.into_parts().0;
    assert_eq!(verdict(&found(&packed(5))).0, Verdict::Admit);
    let many = found(&packed(120));
    assert!(many.iter().any(|finding| finding.id == "HF-ZIP-011"), "{many:?}");
}

/// Deflate of `mebibytes` times 1 MiB of zeros.
fn zeros(mebibytes: usize) -> Vec<u8> {
    let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&vec![0; 1 << 20]).unwrap();
    packed.flush().unwrap();
    let one = packed.get_ref().clone();
    [one.repeat(mebibytes), vec![3, 0]].concat()
}

fn deflated(packed: &[u8], unpacked: usize, sum: u32) -> Vec<u8> {
    let description = [
        vec![6, 0, 1, 9],
        number(packed.len()),
        vec![0, 7, 0x0b, 1, 0, 1, 3, 4, 1, 8, 0x0c],
        number(unpacked),
        vec![0, 8, 0x0a, 1],
        sum.to_le_bytes().to_vec(),
        vec![0, 0],
    ];
    described(packed, &description.concat())
}

#[test]
fn more_than_an_archive_can_explain_is_not_unpacked() {
    let some = zeros(2);
    let sum = crc32fast::hash(&vec![0; 2 << 20]);
    let found = ids(&deflated(&some, 2 << 20, sum));
    assert!(!found.contains(&"HF-ZIP-011".to_owned()) && !found.contains(&"HF-7Z-007".to_owned()));
    assert!(ids(&deflated(&zeros(1100), 1100 << 20, 0)).contains(&"HF-ZIP-011".to_owned()));
    // The same that says it were little.
    assert!(ids(&deflated(&zeros(1100), 5, 0)).contains(&"HF-ZIP-011".to_owned()));
    refused(&deflated(&zeros(1), 5, 0), "HF-7Z-007");
}

#[test]
fn archives_within_archives_are_looked_into() {
    let seven = |name: &str, content: &[u8]| SevenZipBuilder::new(Packing::Lzma2).file(name, content).build();
    let inner = seven("a.pkl", &call());
    refused(&seven("a.7z", &inner), "HF-PKL-001");
    refused(&archive(&[Member::stored("a.7z", &inner)]).bytes, "HF-PKL-001");
    refused(&tar_archive(&[tar_member("a.7z", b'0', &inner)]), "HF-PKL-001");
    refused(
        &seven("a.zip", &archive(&[Member::stored("a.pkl", &call())]).bytes),
        "HF-PKL-001",
    );
    refused(
        &seven("a.tar", &tar_archive(&[tar_member("a.pkl", b'0', &call())])),
        "HF-PKL-001",
    );
    let good = seven("a.pkl", &tuple(1));
    admitted(&seven("a.7z", &seven("a.7z", &good)));
    refused(
        &seven("a.7z", &seven("a.7z", &seven("a.7z", &good))),
        "HF-ZIP-013",
    );
    // Its header is at its end, and what comes out of another archive cannot be read from there.
    let large = seven("a.7z", &seven("a.bin", &weights(9 << 20)));
    let outcome = fed(ahead(&large), &large, 1 << 16);
    assert_eq!(outcome.findings.into_parts().0[0].id, "HF-ZIP-013");
}

#[test]
fn a_file_of_hdf5_in_an_archive_is_where_programs_find_it() {
    let hdf5 = Hdf5Builder::default()
        .dataset("w", Dataset::floats(&[2]))
        .build()
        .bytes;
    let before = vec![b'x'; 512 - 32];
    let builder = SevenZipBuilder::new(Packing::Copy)
        .file("a.txt", &before)
        .file("w.h5", &hdf5);
    // Programs find a file at 512, which is the one that was inspected.
    let found = ids(&builder.build());
    assert!(!found.contains(&"HF-FMT-005".to_owned()), "{found:?}");
    // The same as a part of another file is one that nobody has looked at.
    let hidden = SevenZipBuilder::new(Packing::Copy).file("a.txt", &[before, hdf5].concat());
    refused(&hidden.build(), "HF-FMT-005");
}

#[test]
fn an_archive_that_changes_while_it_is_inspected_is_refused() {
    let bytes = small(Packing::Lzma2).build_packed();
    let other = SevenZipBuilder::new(Packing::Lzma2)
        .file("a.pkl", &tuple(3))
        .build();
    let found = |fed_bytes: &[u8], piece: usize| {
        let outcome = fed(ahead(&bytes).probing(8), fed_bytes, piece);
        assert!(outcome.findings.refuse());
        outcome
            .findings
            .into_parts()
            .0
            .into_iter()
            .map(|finding| finding.id)
            .collect::<Vec<_>>()
    };
    for piece in [1, 100, 1000] {
        assert!(found(&other, piece).contains(&"HF-7Z-008".to_owned()));
        for at in [20, bytes.len() - 1, bytes.len() - 60] {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(found(&changed, piece).contains(&"HF-7Z-008".to_owned()), "{at}");
        }
        assert!(found(&bytes[..bytes.len() - 1], piece).contains(&"HF-7Z-008".to_owned()));
        assert!(found(&bytes[..40], piece).contains(&"HF-7Z-008".to_owned()));
        assert!(found(&[&bytes[..], b"x"].concat(), piece).contains(&"HF-7Z-008".to_owned()));
    }
}
