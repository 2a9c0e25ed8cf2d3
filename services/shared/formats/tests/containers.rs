//! Tar archives and compressed files: what is in them is found, and what they do to the file system is refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::io::Write as _;

use common::{findings, ids, inspect, inspect_in, judged};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use holdfast_contract::report::Verdict;
use holdfast_formats::Format;
use holdfast_formats::testing::torch;
use holdfast_formats::testing::{
    Assembler, GgufBuilder, Hdf5Builder, Member, SafetensorsBuilder, archive, tar_archive, tar_header,
    tar_member, tar_records, weights,
};

const EVIL: &[u8] = b"cos\nsystem\n(S'true'\ntR.";

fn good() -> Vec<u8> {
    Assembler::protocol(2).ints(&[1]).stop()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[track_caller]
fn admitted(bytes: &[u8]) {
    assert_eq!(judged(bytes).0, Verdict::Admit, "{:?}", findings(bytes));
}

#[track_caller]
fn refused(bytes: &[u8], id: &str) {
    let found = ids(bytes);
    assert!(found.iter().any(|found| found == id), "{id}: {found:?}");
    assert_eq!(judged(bytes).0, Verdict::Refuse);
}

#[test]
fn a_tar_archive_is_what_its_members_are() {
    let gguf = GgufBuilder::llama().build().bytes;
    let built = tar_archive(&[
        tar_member("./", b'5', b""),
        tar_member("./model.gguf", b'0', &gguf),
        tar_member("model/", b'5', b""),
        tar_member("model/list.pkl", 0, &good()),
    ]);
    let outcome = inspect(&built);
    assert_eq!(outcome.format, Format::Tar);
    admitted(&built);
    assert!(outcome.facts.unwrap().tensors > 0);
    for piece in [1, 100, 511, 512, 513] {
        assert_eq!(inspect_in(&built, piece).findings, outcome.findings, "{piece}");
    }
    // Any number of empty blocks may follow; nothing else.
    admitted(&[built.clone(), vec![0; 9 * 512]].concat());
    refused(&[built.clone(), vec![0; 100]].concat(), "HF-TAR-005");
    refused(
        &[built.clone(), vec![0; 512], b"x".to_vec()].concat(),
        "HF-TAR-004",
    );
    refused(&built[..built.len() - 512], "HF-TAR-005");
    refused(&built[..built.len() - 1500], "HF-TAR-005");
}

#[test]
fn what_is_in_a_tar_archive_is_found_at_its_place() {
    let built = tar_archive(&[
        tar_member("a.pkl", b'0', &good()),
        tar_member("b.pkl", b'0', EVIL),
    ]);
    refused(&built, "HF-PKL-001");
    let findings = findings(&built);
    let finding = findings
        .iter()
        .find(|finding| finding.id == "HF-PKL-001")
        .unwrap();
    assert!(
        (1536..1536 + 30).contains(&finding.offset.unwrap()),
        "{finding:?}"
    );
    assert_eq!(finding.part.as_deref(), Some("b.pkl"));
    refused(
        &tar_archive(&[tar_member("a", b'0', &weights(100))]),
        "HF-FMT-001",
    );
    refused(&tar_archive(&[tar_member("./", b'5', b"")]), "HF-FMT-002");
}

#[test]
fn names_and_kinds_that_reach_elsewhere_are_refused() {
    // A slash at the end of a file: some programs make a directory of it, others a file without the slash.
    for name in [
        "../a",
        "/a",
        "a/../b",
        "C:\\a",
        "a\\b",
        "a\u{202e}b",
        "a//b",
        "w.h5/",
    ] {
        refused(&tar_archive(&[tar_member(name, b'0', &good())]), "HF-TAR-002");
    }
    let twice = [
        tar_member("a.pkl", b'0', &good()),
        tar_member("./A.pkl", b'0', &good()),
    ];
    refused(&tar_archive(&twice), "HF-TAR-002");
    for kind in *b"123456SVMDN9" {
        if kind == b'5' {
            continue;
        }
        refused(&tar_archive(&[tar_member("a", kind, b"")]), "HF-TAR-003");
    }
    refused(
        &tar_archive(&[tar_member("g", b'g', &tar_records(&[("path", "x")]))]),
        "HF-TAR-001",
    );
}

#[test]
fn long_names_of_both_kinds_are_the_name() {
    let long = format!("{}/list.pkl", "d".repeat(200));
    let posix = tar_member("x", b'x', &tar_records(&[("path", &long), ("mtime", "1.5")]));
    let gnu = tar_member("././@LongLink", b'L', format!("{long}\0").as_bytes());
    for note in [&posix, &gnu] {
        admitted(&tar_archive(&[note.clone(), tar_member("cut", b'0', &good())]));
    }
    refused(
        &tar_archive(&[posix.clone(), gnu.clone(), tar_member("cut", b'0', &good())]),
        "HF-TAR-001",
    );
    refused(
        &tar_archive(&[posix.clone(), posix.clone(), tar_member("cut", b'0', &good())]),
        "HF-TAR-001",
    );
    refused(
        &tar_archive(&[gnu.clone(), gnu, tar_member("cut", b'0', &good())]),
        "HF-TAR-001",
    );
    refused(&tar_archive(&[posix]), "HF-TAR-001");
    let elsewhere = tar_member("x", b'x', &tar_records(&[("path", "../../etc/cron.d/x")]));
    refused(
        &tar_archive(&[elsewhere, tar_member("a", b'0', &good())]),
        "HF-TAR-002",
    );
    for key in ["linkpath", "GNU.sparse.map", "hdrcharset"] {
        let changed = tar_member("x", b'x', &tar_records(&[(key, "x")]));
        refused(
            &tar_archive(&[changed, tar_member("a", b'0', &good())]),
            "HF-TAR-003",
        );
    }
    for records in [
        &b"8 path=x\n"[..],
        b"11 path=x\n",
        b"x",
        b"10 path:xy\n",
        b"99999999999999999999 path=x\n",
    ] {
        refused(
            &tar_archive(&[tar_member("x", b'x', records), tar_member("a", b'0', &good())]),
            "HF-TAR-001",
        );
    }
}

#[test]
fn a_size_in_an_extended_header_is_the_size() {
    // The content is a header block of another archive: read as content, it is no known file.
    let inner = tar_header("hidden", b'0', "00000000000\0");
    let note = tar_member("x", b'x', &tar_records(&[("size", "512")]));
    let built = tar_archive(&[note, tar_header("a", b'0', "00000000000\0"), inner]);
    refused(&built, "HF-TAR-005");
}

#[test]
fn numbers_and_padding_must_be_as_tools_write_them() {
    for size in ["0000000008\0", "zzzzzzzzzzz", "-0000000001\0"] {
        refused(
            &tar_archive(&[tar_member("b.pkl", b'0', &good()), tar_header("a", b'0', size)]),
            "HF-TAR-001",
        );
    }
    let mut large = tar_header("a", b'0', "");
    large[124] = 0x80;
    large[134] = 0xff;
    assert_eq!(judged(&large).0, Verdict::Refuse);
    let mut hidden = tar_archive(&[tar_member("a.pkl", b'0', &good())]);
    hidden[1000] = 1;
    refused(&hidden, "HF-TAR-004");
    let mut changed = tar_archive(&[
        tar_member("a.pkl", b'0', &good()),
        tar_member("b.pkl", b'0', &good()),
    ]);
    changed[1024 + 50] ^= 1;
    refused(&changed, "HF-TAR-001");
}

#[test]
fn compressed_files_are_what_is_inside() {
    for pack in [gzip, zlib] {
        let packed = pack(&good());
        admitted(&packed);
        for piece in [1, 3, 10] {
            assert_eq!(inspect_in(&packed, piece).findings, inspect(&packed).findings);
        }
        refused(&pack(EVIL), "HF-PKL-001");
        refused(&pack(&weights(3000)), "HF-FMT-001");
        refused(&[packed.clone(), b"more".to_vec()].concat(), "HF-CMP-001");
        for length in 3..packed.len() {
            assert_eq!(judged(&packed[..length]).0, Verdict::Refuse, "{length}");
        }
        let mut changed = packed.clone();
        let at = changed.len() - 3;
        changed[at] ^= 1;
        refused(&changed, "HF-CMP-001");
    }
    assert_eq!(inspect(&gzip(&good())).format, Format::Gzip);
    // Several streams in one file are one content.
    let (head, rest) = EVIL.split_at(9);
    refused(&[gzip(head), gzip(rest)].concat(), "HF-PKL-001");
}

#[test]
fn layers_are_opened_up_to_a_depth() {
    let tgz = gzip(&tar_archive(&[tar_member("a.pkl", b'0', EVIL)]));
    refused(&tgz, "HF-PKL-001");
    let zip = archive(&[Member::stored("a.tgz", &tgz)]).bytes;
    refused(&zip, "HF-PKL-001");
    refused(&gzip(&zip), "HF-ZIP-013");
}

#[test]
fn a_compressed_bomb_is_refused() {
    let megabyte = vec![0; 1 << 20];
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..1200 {
        encoder.write_all(&megabyte).unwrap();
    }
    refused(&encoder.finish().unwrap(), "HF-ZIP-011");
}

#[test]
fn the_tar_archives_of_pytorch_are_followed_part_by_part() {
    let built = torch::tar(
        &torch::tar_object(),
        &torch::tar_storages(),
        &torch::tar_tensors(),
    );
    let outcome = inspect(&built);
    assert_eq!(outcome.format, Format::PytorchTar);
    admitted(&built);
    assert_eq!(outcome.facts.unwrap().tensors, 1);
    for piece in [1, 100, 511, 513] {
        assert_eq!(inspect_in(&built, piece).findings, outcome.findings, "{piece}");
    }
    let with = |object: &[u8], storages: &[u8], tensors: &[u8]| torch::tar(object, storages, tensors);
    let (object, storages, tensors) = (torch::tar_object(), torch::tar_storages(), torch::tar_tensors());
    refused(&with(EVIL, &storages, &tensors), "HF-PKL-001");
    refused(&with(&object, EVIL, &tensors), "HF-PKL-001");
    refused(&with(&object, &storages, EVIL), "HF-PKL-001");
    // What follows the numbers is a pickle again.
    let more = [storages.as_slice(), EVIL].concat();
    refused(&with(&object, &more, &tensors), "HF-PKL-012");
    let within = [&storages[..storages.len() - 4], EVIL].concat();
    refused(&with(&object, &within, &tensors), "HF-PKL-001");
    let class = torch::instance("mine", "Model");
    refused(&with(&class, &storages, &tensors), "HF-PKL-002");
    // Numbers that are cut off, more dimensions or elements than there can be, counts that are wrong.
    refused(
        &with(&object, &storages[..storages.len() - 10], &tensors),
        "HF-PKL-010",
    );
    refused(
        &with(&object, &storages, &tensors[..tensors.len() - 8]),
        "HF-PKL-010",
    );
    let counted =
        |count: i32, rest: &[u8]| [Assembler::protocol(2).int(count).stop(), rest.to_vec()].concat();
    let rest = |part: &[u8]| part[8..].to_vec();
    refused(
        &with(&object, &counted(2, &rest(&storages)), &tensors),
        "HF-PKL-017",
    );
    refused(
        &with(&object, &counted(-1, &rest(&storages)), &tensors),
        "HF-PKL-017",
    );
    refused(
        &with(&object, &counted(0, &rest(&storages)), &tensors),
        "HF-PKL-017",
    );
    refused(
        &with(&object, &storages, &counted(2, &rest(&tensors))),
        "HF-PKL-010",
    );
    refused(
        &with(&object, &storages, &counted(1 << 30, &rest(&tensors))),
        "HF-PKL-017",
    );
    let mut dimensions = tensors.clone();
    let at = tensors.len() - 48;
    dimensions[at] = 99;
    refused(&with(&object, &storages, &dimensions), "HF-PKL-017");
    // Elsewhere a number stands for nothing.
    refused(&tar_archive(&[tar_member("a.pkl", b'0', &object)]), "HF-PKL-006");
}

#[test]
fn an_ordinary_archive_may_have_members_of_such_names() {
    let built = tar_archive(&[
        tar_member("pickle", b'0', &good()),
        tar_member("tensors", b'0', &GgufBuilder::llama().build().bytes),
    ]);
    admitted(&built);
    assert_eq!(inspect(&built).format, Format::Tar);
}

#[test]
fn an_hdf5_file_that_programs_find_in_an_archive_is_one_of_its_members() {
    let hdf5 = Hdf5Builder::weights().build().bytes;
    // A tar archive whose first member it is begins, for programs that read HDF5, with a block of the user's.
    let first = tar_archive(&[
        tar_member("a.h5", b'0', &hdf5),
        tar_member("b.pkl", b'0', &good()),
    ]);
    admitted(&first);
    let nested = tar_archive(&[tar_member(
        "a.tar",
        b'0',
        &tar_archive(&[tar_member("a.h5", b'0', &hdf5)]),
    )]);
    admitted(&nested);
    let text = |length: usize| {
        b"A text. "
            .iter()
            .copied()
            .cycle()
            .take(length)
            .collect::<Vec<_>>()
    };
    // In a tensor of a member: its own readers see numbers, programs that read HDF5 the second model.
    let mut numbers = weights(64 << 10);
    let tensors = SafetensorsBuilder::new()
        .tensor("t", "U8", &[64 << 10], 64 << 10)
        .build()
        .bytes;
    let header = tensors.len() - numbers.len();
    let index = 4096 - 3 * 512 - header;
    numbers[index..index + hdf5.len()].copy_from_slice(&hdf5);
    let tensors = [&tensors[..header], &numbers].concat();
    let is_at = |bytes: &[u8], place: usize| bytes[place..].starts_with(b"\x89HDF\r\n\x1a\n");
    admitted(&tensors);
    let tar = |text: &[u8]| {
        tar_archive(&[
            tar_member("a.txt", b'0', text),
            tar_member("b.safetensors", b'0', &tensors),
        ])
    };
    assert!(is_at(&tar(&text(10)), 4096));
    refused(&tar(&text(10)), "HF-FMT-005");
    admitted(&tar(&text(513)));
    let zip = |text: &[u8]| {
        archive(&[
            Member::stored("a.txt", text),
            Member::stored("b.safetensors", &tensors),
        ])
        .bytes
    };
    let at = (0..8192).find(|place| is_at(&zip(&text(10)), *place)).unwrap();
    let long = text(10 + 4096 - at);
    assert!(is_at(&zip(&long), 4096));
    refused(&zip(&long), "HF-FMT-005");
    admitted(&zip(&text(11 + 4096 - at)));
}
