//! Zip archives, PyTorch checkpoints and `.npz`: what is accepted, and every way to make an archive say two things.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{findings, ids, inspect, inspect_in, judged};
use holdfast_contract::report::Verdict;
use holdfast_formats::bytes::in_memory;
use holdfast_formats::testing::{Assembler, Built, Member, archive, deflate, weights};
use holdfast_formats::{FileInspector, Format, Outcome};

fn pickle() -> Vec<u8> {
    Assembler::protocol(2).state_dict(&[("w", &[2, 3])]).stop()
}

fn checkpoint() -> Vec<Member> {
    vec![
        Member::stored("m/data.pkl", &pickle()).extra(0x4246, b"ZZZZZ"),
        Member::stored("m/byteorder", b"little"),
        Member::stored("m/data/0", &weights(24)),
        Member::stored("m/version", b"3\n"),
        Member::stored("m/.data/serialization_id", b"0123456789"),
    ]
}

fn npy() -> Vec<u8> {
    let mut header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }".to_vec();
    header.resize(117, b' ');
    header.push(b'\n');
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\0".as_slice(), &length, &header, &[0; 12]].concat()
}

/// The verdict is a refusal that gives this id.
#[track_caller]
fn refused(built: &Built, id: &str) {
    let found = ids(&built.bytes);
    assert!(found.iter().any(|found| found == id), "{id}: {found:?}");
    assert_eq!(judged(&built.bytes).0, Verdict::Refuse);
}

/// As the worker does it: the directory first.
fn ahead(bytes: &[u8], piece: usize) -> Outcome {
    let mut inspector = FileInspector::new("m.pt").looking_ahead(bytes.len() as u64, &mut in_memory(bytes));
    for piece in bytes.chunks(piece) {
        inspector.feed(piece);
    }
    inspector.finish()
}

#[test]
fn a_checkpoint_is_admitted_and_its_tensors_are_counted() {
    let built = archive(&checkpoint());
    let outcome = inspect(&built.bytes);
    assert_eq!(outcome.format, Format::PytorchZip);
    assert_eq!(ids(&built.bytes), ["HF-ZIP-015"]);
    let facts = outcome.facts.unwrap();
    assert_eq!((facts.tensors, facts.parameters), (1, 6));
    assert_eq!(facts.tensor_type.as_deref(), Some("F32"));
}

#[test]
fn the_outcome_does_not_depend_on_the_cut_nor_on_when_the_directory_is_read() {
    let mut members = checkpoint();
    members[2] = Member::stored("m/data/0", &weights(24)).packed(8, deflate(&weights(24)));
    members[1] = Member::stored("m/byteorder", b"little").descriptor(24);
    let built = archive(&members);
    let whole = inspect(&built.bytes);
    assert!(!whole.findings.refuse(), "{:?}", whole.findings);
    for piece in [1, 2, 7, 31, 64, 1000] {
        for outcome in [inspect_in(&built.bytes, piece), ahead(&built.bytes, piece)] {
            assert_eq!(outcome.findings, whole.findings, "{piece}");
            assert_eq!(outcome.facts, whole.facts);
            assert_eq!(outcome.format, whole.format);
        }
    }
}

#[test]
fn what_the_pickle_imports_is_found_at_its_place_in_the_archive() {
    let evil = Assembler::protocol(2)
        .global("os", "system")
        .text("true")
        .raw(b"\x85R")
        .stop();
    let mut members = checkpoint();
    members[0] = Member::stored("m/data.pkl", &evil);
    let built = archive(&members);
    refused(&built, "HF-PKL-001");
    let data = built.mark("m/data.pkl/data");
    let findings = findings(&built.bytes);
    let finding = findings
        .iter()
        .find(|finding| finding.id == "HF-PKL-001")
        .unwrap();
    assert!(data.contains(&usize::try_from(finding.offset.unwrap()).unwrap()));
    assert!(
        finding.part.as_ref().unwrap().starts_with("m/data.pkl"),
        "{finding:?}"
    );
    // Compressed, the member is what can be pointed at.
    members[0] = Member::stored("m/data.pkl", &evil).packed(8, deflate(&evil));
    refused(&archive(&members), "HF-PKL-001");
}

#[test]
fn numbers_and_pickle_must_fit_each_other() {
    let with = |index: usize, member: Member| {
        let mut members = checkpoint();
        members[index] = member;
        archive(&members)
    };
    refused(&with(2, Member::stored("m/data/0", &weights(20))), "HF-PT-002");
    refused(&with(2, Member::stored("m/data/0", &weights(28))), "HF-PT-002");
    refused(&with(2, Member::stored("m/data/1", &weights(24))), "HF-PT-002");
    refused(&with(1, Member::stored("m/data/1", b"more")), "HF-PT-003");
    refused(&with(1, Member::stored("m/byteorder", b"big")), "HF-PT-004");
    refused(&with(3, Member::stored("m/version", b"\x80\x02}.")), "HF-PT-004");
    refused(&with(3, Member::stored("m/version", &[b'3'; 65])), "HF-PT-004");
    refused(&with(3, Member::stored("other/version", b"3")), "HF-PT-001");
    refused(&with(3, Member::stored("m/extra/run", b"3")), "HF-PT-001");
    refused(&with(3, Member::stored("m/data/a/b", b"3")), "HF-PT-001");
}

#[test]
fn an_npz_is_judged_array_by_array() {
    let built = archive(&[
        Member::stored("a.npy", &npy()),
        Member::stored("b.npy", &npy()).packed(8, deflate(&npy())),
    ]);
    let outcome = inspect(&built.bytes);
    assert_eq!(outcome.format, Format::Npz);
    assert!(!outcome.findings.refuse(), "{:?}", outcome.findings);
    assert_eq!(outcome.facts.unwrap().parameters, 6);
    refused(&archive(&[Member::stored("a.npy", &npy()[..100])]), "HF-NPY-004");
    refused(
        &archive(&[Member::stored("a.npy", b"cos\nsystem\n(S'x'\ntR.")]),
        "HF-NPY-001",
    );
}

#[test]
fn a_plain_archive_is_what_its_members_are() {
    let good = Assembler::protocol(2).ints(&[1]).stop();
    let inner = archive(&[Member::stored("a.pkl", &good)]);
    assert_eq!(
        judged(&inner.bytes).0,
        Verdict::Admit,
        "{:?}",
        findings(&inner.bytes)
    );
    refused(
        &archive(&[Member::stored("a.pkl", b"cos\nsystem\n(S'x'\ntR.")]),
        "HF-PKL-001",
    );
    refused(&archive(&[Member::stored("a.bin", &weights(100))]), "HF-FMT-001");
    refused(&archive(&[]), "HF-FMT-002");
    // Archives within archives, up to a depth.
    let mut nested = inner;
    for depth in 2..=3 {
        nested = archive(&[Member::stored("a.zip", &nested.bytes)]);
        assert_eq!(
            judged(&nested.bytes).0,
            Verdict::Admit,
            "{depth}: {:?}",
            findings(&nested.bytes)
        );
    }
    refused(&archive(&[Member::stored("a.zip", &nested.bytes)]), "HF-ZIP-013");
    let mut evil = archive(&[Member::stored("a.pkl", b"cos\nsystem\n(S'x'\ntR.")]);
    for _ in 0..2 {
        evil = archive(&[Member::stored("a.zip", &evil.bytes).packed(8, deflate(&evil.bytes))]);
        refused(&evil, "HF-PKL-001");
    }
}

#[test]
fn a_large_archive_needs_its_directory_first() {
    let tensor = weights(9 << 20);
    let shape = i32::try_from(tensor.len() / 4).unwrap();
    let pickle = Assembler::protocol(2).state_dict(&[("w", &[shape])]).stop();
    let built = archive(&[
        Member::stored("m/data.pkl", &pickle),
        Member::stored("m/data/0", &tensor),
    ]);
    assert!(!ahead(&built.bytes, 1 << 20).findings.refuse());
    refused(&built, "HF-ZIP-013");
}

#[test]
fn a_directory_that_changes_meanwhile_is_seen() {
    let built = archive(&checkpoint());
    let mut changed = built.bytes.clone();
    let place = built.mark("m/version/central").end - 1;
    changed[place] ^= 1;
    let mut inspector =
        FileInspector::new("m.pt").looking_ahead(built.bytes.len() as u64, &mut |at, buffer| {
            let at = usize::try_from(at).unwrap();
            buffer.copy_from_slice(&built.bytes[at..at + buffer.len()]);
            true
        });
    inspector.feed(&changed);
    let (findings, _) = inspector.finish().findings.into_parts();
    assert_eq!(findings[0].id, "HF-ZIP-014");
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for name in [
        "../a",
        "a/../../b",
        "/etc/passwd",
        "C:a",
        "c:/a",
        "a\\b",
        "a/./b",
        "a//b",
        "",
        "a\u{202e}b",
        "a\nb",
        "a\0b",
        "ä",
    ] {
        refused(&archive(&[Member::stored(name, b"")]), "HF-ZIP-005");
    }
    let unicode = archive(&[Member::stored("ä", b"").flags(1 << 11)]);
    assert!(!ids(&unicode.bytes).contains(&"HF-ZIP-005".to_owned()));
}

#[test]
fn two_members_of_one_name_are_refused() {
    for (a, b) in [("a", "a"), ("Model/a", "model/A"), ("a", "a/")] {
        refused(
            &archive(&[Member::stored(a, b""), Member::stored(b, b"")]),
            "HF-ZIP-006",
        );
    }
}

#[test]
fn members_that_are_no_files_are_refused() {
    for mode in [
        0o120_777, 0o020_600, 0o060_600, 0o010_600, 0o140_600, 0o104_755, 0o050_000,
    ] {
        refused(&archive(&[Member::stored("a", b"").mode(mode)]), "HF-ZIP-007");
    }
    let plain = archive(&[Member::stored("a", b"").mode(0o100_644)]);
    assert!(!ids(&plain.bytes).contains(&"HF-ZIP-007".to_owned()));
}

#[test]
fn ciphers_and_unknown_methods_are_refused() {
    for flags in [1, 1 << 5, 1 << 6, 1 << 13] {
        refused(&archive(&[Member::stored("a", b"x").flags(flags)]), "HF-ZIP-008");
    }
    for flags in [1 << 4, 1 << 7, 1 << 12, 1 << 15] {
        refused(&archive(&[Member::stored("a", b"x").flags(flags)]), "HF-ZIP-009");
    }
    for method in [1, 6, 9, 12, 14, 93, 95, 99] {
        refused(
            &archive(&[Member::stored("a", b"x").packed(method, vec![1])]),
            "HF-ZIP-009",
        );
    }
}

#[test]
fn a_second_description_in_extra_fields_is_refused() {
    for id in [0x7075, 0x6375, 0x9901, 0x0017] {
        refused(
            &archive(&[Member::stored("a", b"x").extra(id, b"other")]),
            "HF-ZIP-012",
        );
    }
    // Two wide sizes, and a field that is longer than all of them.
    refused(
        &archive(&[Member::stored("a", b"x").extra(1, b"").extra(1, b"")]),
        "HF-ZIP-001",
    );
    let built = archive(&[Member::stored("a", b"x").extra(0x5455, b"abc")]);
    let at = built.mark("a/central").end - 5;
    let mut bytes = built.bytes.clone();
    bytes[at] = 9;
    assert_eq!(judged(&bytes).0, Verdict::Refuse);
}

#[test]
fn content_must_be_what_the_directory_says() {
    let content = weights(1000);
    let member = || Member::stored("a", &content);
    refused(&archive(&[member().crc(1)]), "HF-ZIP-010");
    refused(&archive(&[member().size(999)]), "HF-ZIP-003");
    let packed = || member().packed(8, deflate(&content));
    refused(&archive(&[packed().crc(1)]), "HF-ZIP-010");
    refused(&archive(&[packed().size(999)]), "HF-ZIP-010");
    refused(&archive(&[packed().size(1001)]), "HF-ZIP-010");
    let mut more = deflate(&content);
    more.push(0);
    refused(&archive(&[member().packed(8, more)]), "HF-ZIP-010");
    let mut less = deflate(&content);
    less.pop();
    refused(&archive(&[member().packed(8, less)]), "HF-ZIP-010");
    refused(&archive(&[member().packed(8, vec![7, 7, 7])]), "HF-ZIP-010");
    refused(&archive(&[member().packed(8, vec![])]), "HF-ZIP-010");
}

#[test]
fn the_two_descriptions_of_a_member_must_agree() {
    let built = archive(&[Member::stored("abc", &[7; 100]), Member::stored("d", b"")]);
    let local = built.mark("abc/local").start;
    // Flags, method, checksum, both sizes, lengths of name and extra fields, the name, the signature.
    for at in [6, 8, 14, 18, 22, 30, 32] {
        let mut bytes = built.bytes.clone();
        bytes[local + at] ^= 2;
        let found = ids(&bytes);
        assert!(found.iter().any(|id| id == "HF-ZIP-003"), "{at}: {found:?}");
    }
    for at in [0, 3, 26, 28] {
        let mut bytes = built.bytes.clone();
        bytes[local + at] ^= 1;
        assert_eq!(judged(&bytes).0, Verdict::Refuse, "{at}");
    }
    for bytes in [12, 16, 20, 24] {
        let members = [Member::stored("a.pkl", &pickle_alone()).descriptor(bytes)];
        let built = archive(&members);
        assert_eq!(
            judged(&built.bytes).0,
            Verdict::Admit,
            "{:?}",
            findings(&built.bytes)
        );
        for at in built.mark("a.pkl/descriptor") {
            let mut wrong = built.bytes.clone();
            wrong[at] ^= 0x40;
            assert_eq!(judged(&wrong).0, Verdict::Refuse, "{at}");
        }
    }
}

fn pickle_alone() -> Vec<u8> {
    Assembler::protocol(2).ints(&[1]).stop()
}

#[test]
fn nothing_lies_before_between_or_after_members() {
    let members = [Member::stored("a", &[1; 50]), Member::stored("b", &[2; 50])];
    let built = archive(&members);
    for (at, id) in [
        (0, "HF-FMT-001"),
        (built.mark("b/local").start, "HF-ZIP-001"),
        (built.mark("a/central").start, "HF-ZIP-001"),
        (built.mark("end").start, "HF-ZIP-001"),
        (built.bytes.len(), "HF-ZIP-002"),
    ] {
        let mut bytes = built.bytes.clone();
        bytes.splice(at..at, *b"hidden");
        let found = ids(&bytes);
        assert!(found.iter().any(|found| found == id), "{at}: {found:?}");
    }
    // The same with the directory moved along, so that only the gap is wrong.
    let gap = built.mark("b/local").start;
    let mut bytes = built.bytes.clone();
    let offset = built.mark("b/central").start + 42;
    let directory = built.mark("end").start + 16;
    for at in [offset, directory] {
        let value = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) + 6;
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    bytes.splice(gap..gap, *b"hidden");
    let found = ids(&bytes);
    assert!(found.contains(&"HF-ZIP-004".to_owned()), "{found:?}");
    // Two members over the same bytes.
    let mut overlap = built.clone();
    let first = overlap.mark("a/local").start;
    let place = overlap.mark("b/central").start + 42;
    overlap.bytes[place..place + 4].copy_from_slice(&u32::try_from(first).unwrap().to_le_bytes());
    refused(&overlap, "HF-ZIP-004");
}

#[test]
fn a_bomb_is_refused_before_it_goes_off() {
    // A megabyte of zeros in a block that stands for itself, twelve hundred times, and the end of the stream.
    let zeros = vec![0; 1 << 20];
    let mut encoder = flate2::Compress::new(flate2::Compression::best(), false);
    let mut block = Vec::with_capacity(1 << 20);
    encoder
        .compress_vec(&zeros, &mut block, flate2::FlushCompress::Full)
        .unwrap();
    let mut packed = block.repeat(1200);
    packed.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
    let size = u32::try_from(zeros.len() * 1200).unwrap();
    let member = |name: &str| Member::stored(name, b"").packed(8, packed.clone()).size(size);
    let built = archive(&[member("a"), member("b")]);
    let begun = std::time::Instant::now();
    let (findings, _) = ahead(&built.bytes, 1 << 20).findings.into_parts();
    assert!(
        findings.iter().any(|finding| finding.id == "HF-ZIP-011"),
        "{findings:?}"
    );
    println!(
        "[measured] a bomb of 2.4 GB in {} bytes is refused after {:?}",
        built.bytes.len(),
        begun.elapsed()
    );
}

#[test]
fn every_cut_and_every_changed_byte_is_survived() {
    let built = archive(&checkpoint());
    for length in 0..built.bytes.len() {
        assert_eq!(judged(&built.bytes[..length]).0, Verdict::Refuse, "{length}");
    }
    for at in 0..built.bytes.len() {
        for bit in [1, 0x80, 0xff] {
            let mut bytes = built.bytes.clone();
            bytes[at] ^= bit;
            let _ = judged(&bytes);
        }
    }
}
