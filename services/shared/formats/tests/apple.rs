//! What macOS keeps beside files: accepted in archives and directories, as nothing but what it is.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use holdfast_contract::report::Verdict;
use holdfast_formats::finding::verdict;
use holdfast_formats::testing::apple::{apple_double, downloaded, ds_store};
use holdfast_formats::testing::{
    Assembler, GgufBuilder, Member, archive, deflate, stowaways, tar_archive, tar_member, weights,
};
use holdfast_formats::{FileInspector, Format, Outcome};

fn named(name: &str, bytes: &[u8], size: usize) -> Outcome {
    let mut inspector = FileInspector::new(name);
    for piece in bytes.chunks(size.max(1)) {
        inspector.feed(piece);
    }
    inspector.finish()
}

#[track_caller]
fn admitted(name: &str, bytes: &[u8]) -> Outcome {
    let outcome = named(name, bytes, bytes.len());
    let (findings, _) = outcome.findings.clone().into_parts();
    assert_eq!(verdict(&findings).0, Verdict::Admit, "{name}: {findings:?}");
    for size in [1, 7, 100] {
        assert_eq!(
            named(name, bytes, size).findings,
            outcome.findings,
            "{name}: {size}"
        );
    }
    outcome
}

#[track_caller]
fn refused(name: &str, bytes: &[u8], id: &str) {
    let (findings, _) = named(name, bytes, bytes.len()).findings.into_parts();
    assert!(
        findings.iter().any(|finding| finding.id == id),
        "{name}: {id}: {findings:?}"
    );
    assert_eq!(verdict(&findings).0, Verdict::Refuse, "{name}: {findings:?}");
}

fn forms() -> Vec<Vec<u8>> {
    vec![
        downloaded(),
        apple_double(&[], b""),
        apple_double(&[], &weights(286)),
        apple_double(&[("com.apple.FinderInfo", &[0; 32]), ("a", b"")], b"a fork"),
        [downloaded(), vec![0; 4096]].concat(),
    ]
}

#[test]
fn notes_are_accepted_alone_and_in_archives() {
    let gguf = GgufBuilder::llama().build().bytes;
    for notes in forms() {
        assert_eq!(admitted("._model.gguf", &notes).format, Format::AppleDouble);
        let tar = tar_archive(&[
            tar_member("./._model.gguf", b'0', &notes),
            tar_member("./model.gguf", b'0', &gguf),
            tar_member("./.DS_Store", b'0', &ds_store()),
        ]);
        assert_eq!(admitted("a.tar", &tar).format, Format::Tar);
        let zip = archive(&[
            Member::stored("model/", b""),
            Member::stored("model/model.gguf", &gguf),
            Member::stored("model/.DS_Store", &ds_store()).packed(8, deflate(&ds_store())),
            Member::stored("__MACOSX/model/._model.gguf", &notes).packed(8, deflate(&notes)),
            Member::stored("__MACOSX/model/._.DS_Store", &downloaded()).descriptor(16),
            Member::stored("__MACOSX/._model", &downloaded()),
        ]);
        assert_eq!(admitted("a.zip", &zip.bytes).format, Format::Zip);
    }
    assert_eq!(admitted(".DS_Store", &ds_store()).format, Format::DsStore);
}

#[test]
fn other_things_under_these_names_are_refused() {
    let gguf = GgufBuilder::llama().build().bytes;
    let pickle = Assembler::protocol(2).ints(&[1]).stop();
    for name in ["._model.gguf", "__MACOSX/model.gguf", ".DS_Store", "__MACOSX/a/b"] {
        for content in [
            gguf.as_slice(),
            pickle.as_slice(),
            b"{\"model_type\": \"x\"}",
            b"a text",
        ] {
            refused(name, content, "HF-FMT-020");
            refused(
                "a.tar",
                &tar_archive(&[tar_member(name, b'0', content)]),
                "HF-FMT-020",
            );
            refused(
                "a.zip",
                &archive(&[Member::stored(name, content)]).bytes,
                "HF-FMT-020",
            );
        }
    }
    refused(".DS_Store", &downloaded(), "HF-FMT-020");
    refused("._a", &ds_store(), "HF-FMT-020");
    // And they under the name of a model.
    refused("model.gguf", &downloaded(), "HF-FMT-015");
    refused("model.onnx", &downloaded(), "HF-FMT-017");
}

#[test]
fn an_npz_with_notes_is_one_and_its_members_are_still_arrays() {
    let array = Assembler::protocol(2).ints(&[1]).stop();
    let zip = archive(&[
        Member::stored("a.npy", &array),
        Member::stored("__MACOSX/._a.npy", &downloaded()),
    ]);
    let outcome = named("a.npz", &zip.bytes, zip.bytes.len());
    assert_eq!(outcome.format, Format::Npz);
    refused("a.npz", &zip.bytes, "HF-NPY-001");
}

#[test]
fn every_broken_structure_is_refused() {
    let good = downloaded();
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = good.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    for (what, bytes) in [
        ("no entries", with(24, &[0, 0])),
        ("many entries", with(24, &[0, 200])),
        ("content", with(26, &[0, 0, 0, 1])),
        ("unknown", with(26, &[0, 0, 0, 99])),
        ("twice", with(38, &[0, 0, 0, 9])),
        ("too long", with(34, &[0, 0, 9, 0])),
        ("overlap", with(42, &[0, 0, 0, 60])),
        ("no attributes", with(84, b"XTTR")),
        ("attributes beyond", with(92, &[0, 1, 0, 0])),
        ("values beyond", with(100, &[0, 0, 9, 0])),
        ("too many attributes", with(118, &[9, 9])),
        ("value beyond", with(124, &[0, 0, 9, 0])),
        ("no name", with(130, &[0])),
        ("cut off", good[..good.len() - 1].to_vec()),
        ("cut off early", good[..30].to_vec()),
        ("followed", [good.as_slice(), b"x"].concat()),
        ("long", [good.clone(), vec![0; 1 << 20]].concat()),
        ("very long", [good.clone(), vec![0; 9 << 20]].concat()),
    ] {
        let (findings, _) = named("._a", &bytes, bytes.len()).findings.into_parts();
        assert!(
            findings.iter().any(|finding| finding.id == "HF-FMT-019"),
            "{what}: {findings:?}"
        );
    }
    let good = ds_store();
    for (what, at, byte) in [
        ("places", 11, 9),
        ("length", 14, 0),
        ("no blocks", 0x1007, 0),
        ("many blocks", 0x1004, 9),
        ("block beyond", 0x1004 + 8, 9),
        ("names", 0x1004 + 8 + 1024 + 3, 2),
        ("name", 0x1004 + 8 + 1024 + 6, b'x'),
        ("nowhere", 0x1004 + 8 + 1024 + 12, 7),
        ("height", 0x24 + 7, 99),
        ("nodes", 0x24 + 15, 99),
        ("size", 0x24 + 18, 1),
        ("top", 0x24 + 3, 77),
    ] {
        let mut changed = good.clone();
        changed[at] = byte;
        refused(".DS_Store", &changed, "HF-FMT-019");
        assert_ne!(changed, good, "{what}");
    }
    refused(".DS_Store", &good[..100], "HF-FMT-019");
}

#[test]
fn programs_in_notes_are_found() {
    for (name, id, stowaway) in stowaways() {
        let notes = apple_double(&[("com.apple.quarantine", &stowaway)], b"");
        let fork = apple_double(&[], &[vec![0; 300], stowaway.clone()].concat());
        for notes in [notes, fork] {
            let (findings, _) = named("._a", &notes, notes.len()).findings.into_parts();
            let (ids, zip) = (
                findings
                    .iter()
                    .map(|finding| finding.id.as_str())
                    .collect::<Vec<_>>(),
                archive(&[Member::stored("__MACOSX/._a", &notes)]).bytes,
            );
            assert!(ids.contains(&id), "{name}: {id} {ids:?}");
            refused("a.zip", &zip, id);
        }
    }
}

#[test]
fn an_hdf5_file_or_an_archive_at_their_end_is_a_second_file() {
    let mut fork = vec![0; 2048];
    let place = 512 - apple_double(&[], b"").len();
    fork[place..place + 8].copy_from_slice(b"\x89HDF\r\n\x1a\n");
    refused("._a", &apple_double(&[], &fork), "HF-FMT-005");
    let zip = archive(&[Member::stored("a", b"b")]).bytes;
    refused("._a", &apple_double(&[], &zip), "HF-FMT-005");
}
