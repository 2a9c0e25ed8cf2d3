//! Archives: members that are not what they say, and what ordinary programs pack.

use holdfast_formats::testing::apple::{downloaded, ds_store};
use holdfast_formats::testing::{
    Assembler, Built, Hdf5Builder, Member, SafetensorsBuilder, archive, call, deflate, tar_archive,
    tar_header, tar_member, tar_records, tuple, weights,
};

use super::Corpus;
use super::models::numpy;

fn checkpoint(pickle: &[u8], numbers: &[u8]) -> Vec<Member> {
    vec![
        Member::stored("model/data.pkl", pickle).extra(0x4246, b"ZZZZ"),
        Member::stored("model/byteorder", b"little"),
        Member::stored("model/data/0", numbers),
        Member::stored("model/version", b"3\n"),
    ]
}

fn state() -> Vec<u8> {
    Assembler::protocol(2).state_dict(&[("w", &[2, 3])]).stop()
}

pub fn add(corpus: &mut Corpus) {
    torch(corpus);
    zip(corpus);
    macos(corpus);
    tar(corpus);
}

fn torch(corpus: &mut Corpus) {
    let numbers = weights(24);
    corpus.accept("torch/plain.pt", archive(&checkpoint(&state(), &numbers)).bytes);
    let packed = |mut members: Vec<Member>| {
        members[2] = Member::stored("model/data/0", &weights(24)).packed(8, deflate(&weights(24)));
        archive(&members).bytes
    };
    corpus.accept("torch/deflated.pt", packed(checkpoint(&state(), &numbers)));
    for bytes in [12, 16, 20, 24] {
        let mut members = checkpoint(&state(), &numbers);
        members[0] = Member::stored("model/data.pkl", &state()).descriptor(bytes);
        corpus.accept(&format!("torch/descriptor-{bytes}.pt"), archive(&members).bytes);
    }
    for (name, element, size) in [
        ("half", "Half", 2),
        ("double", "Double", 8),
        ("byte", "Byte", 1),
        ("long", "Long", 8),
    ] {
        let pickle = Assembler::protocol(2)
            .raw(b"}(")
            .text("w")
            .tensor(&format!("{element}Storage"), "0", &[2, 3])
            .raw(b"u")
            .stop();
        corpus.accept(
            &format!("torch/{name}.pt"),
            archive(&checkpoint(&pickle, &weights(6 * size))).bytes,
        );
    }
    let with = |index: usize, member: Member| {
        let mut members = checkpoint(&state(), &weights(24));
        members[index] = member;
        archive(&members).bytes
    };
    for (name, bytes, id) in [
        (
            "call",
            archive(&checkpoint(&call(), &numbers)).bytes,
            "HF-PKL-001",
        ),
        (
            "call-deflated",
            with(
                0,
                Member::stored("model/data.pkl", &call()).packed(8, deflate(&call())),
            ),
            "HF-PKL-001",
        ),
        (
            "call-protocol-0",
            archive(&checkpoint(b"cos\nsystem\n(S'true'\ntR.", &numbers)).bytes,
            "HF-PKL-001",
        ),
        (
            "storage-short",
            with(2, Member::stored("model/data/0", &weights(20))),
            "HF-PT-002",
        ),
        (
            "storage-missing",
            with(2, Member::stored("model/data/1", &weights(24))),
            "HF-PT-002",
        ),
        (
            "storage-unused",
            with(1, Member::stored("model/data/9", b"hidden")),
            "HF-PT-003",
        ),
        (
            "stray-code",
            with(1, Member::stored("model/setup.py", b"x")),
            "HF-PT-001",
        ),
        (
            "stray-root",
            with(1, Member::stored("other/data.pkl", &call())),
            "HF-PT-001",
        ),
        (
            "byteorder",
            with(1, Member::stored("model/byteorder", b"big")),
            "HF-PT-004",
        ),
        (
            "skops",
            with(1, Member::stored("schema.json", b"{}")),
            "HF-PT-001",
        ),
    ] {
        corpus.refuse(&format!("torch/{name}.pt"), bytes, id);
    }
}

fn zip(corpus: &mut Corpus) {
    let arrays = [Member::stored("a.npy", &numpy("<f4", "(3,)", &[0; 12]))];
    corpus.accept("zip/arrays.npz", archive(&arrays).bytes);
    let inner = archive(&[Member::stored("a.pkl", &tuple(1))]).bytes;
    corpus.accept("zip/plain.zip", inner.clone());
    corpus.accept(
        "zip/nested.zip",
        archive(&[Member::stored("a.zip", &inner)]).bytes,
    );
    corpus.accept(
        "zip/directory.zip",
        archive(&[Member::stored("d/", b""), Member::stored("d/a.pkl", &tuple(1))]).bytes,
    );
    let one = |member: Member| archive(&[member]).bytes;
    let plain = || Member::stored("a.pkl", &tuple(1));
    for (name, path) in [
        ("parent", "../a.pkl"),
        ("root", "/etc/cron.d/a"),
        ("drive", "C:\\a"),
        ("backslash", "a\\..\\..\\b"),
        ("zero", "a\0.pkl"),
        ("hidden", "a\u{202e}lkp.pkl"),
    ] {
        corpus.refuse(
            &format!("zip/name-{name}.zip"),
            one(Member::stored(path, &tuple(1))),
            "HF-ZIP-005",
        );
    }
    for (name, mode) in [
        ("link", 0o120_777),
        ("device", 0o020_600),
        ("pipe", 0o010_600),
        ("setuid", 0o104_755),
    ] {
        corpus.refuse(&format!("zip/{name}.zip"), one(plain().mode(mode)), "HF-ZIP-007");
    }
    for (name, flags) in [
        ("encrypted", 1),
        ("strong-encryption", 1 << 6),
        ("masked", 1 << 13),
        ("patched", 1 << 5),
    ] {
        corpus.refuse(
            &format!("zip/{name}.zip"),
            one(plain().flags(flags)),
            "HF-ZIP-008",
        );
    }
    for (name, method) in [
        ("deflate64", 9),
        ("bzip2", 12),
        ("lzma", 14),
        ("zstd", 93),
        ("unknown", 77),
    ] {
        corpus.refuse(
            &format!("zip/method-{name}.zip"),
            one(plain().packed(method, vec![0])),
            "HF-ZIP-009",
        );
    }
    for (name, id) in [
        ("unicode-path", 0x7075),
        ("unicode-comment", 0x6375),
        ("aes", 0x9901),
    ] {
        corpus.refuse(
            &format!("zip/extra-{name}.zip"),
            one(plain().extra(id, b"other")),
            "HF-ZIP-012",
        );
    }
    corpus.refuse("zip/checksum.zip", one(plain().crc(1)), "HF-ZIP-010");
    corpus.refuse("zip/two-sizes.zip", one(plain().size(3)), "HF-ZIP-003");
    corpus.refuse(
        "zip/duplicate.zip",
        archive(&[plain(), plain()]).bytes,
        "HF-ZIP-006",
    );
    corpus.refuse(
        "zip/duplicate-case.zip",
        archive(&[plain(), Member::stored("A.PKL", &tuple(1))]).bytes,
        "HF-ZIP-006",
    );
    corpus.refuse("zip/empty.zip", archive(&[]).bytes, "HF-FMT-002");
    corpus.refuse(
        "zip/call.zip",
        one(Member::stored("a.pkl", &call())),
        "HF-PKL-001",
    );
    corpus.refuse(
        "zip/call-nested.zip",
        one(Member::stored("a.zip", &one(Member::stored("a.pkl", &call())))),
        "HF-PKL-001",
    );
    let array = one(Member::stored("a.npy", &numpy("|O", "(1,)", &call())));
    corpus.refuse("zip/objects.npz", array, "HF-PKL-001");
    let built = archive(&[plain(), Member::stored("b.pkl", &tuple(1))]);
    changed(corpus, &built);
}

/// What macOS adds by itself, and what only has such a name.
fn macos(corpus: &mut Corpus) {
    corpus.accept(
        "zip/macos.zip",
        archive(&[
            Member::stored("m/", b""),
            Member::stored("m/a.pkl", &tuple(1)),
            Member::stored("m/.DS_Store", &ds_store()),
            Member::stored("__MACOSX/m/._a.pkl", &downloaded()),
            Member::stored("__MACOSX/._m", &downloaded()),
        ])
        .bytes,
    );
    corpus.refuse(
        "zip/macos-call.zip",
        archive(&[
            Member::stored("a.pkl", &tuple(1)),
            Member::stored("__MACOSX/._a.pkl", &call()),
        ])
        .bytes,
        "HF-PKL-001",
    );
    corpus.refuse(
        "zip/macos-other.zip",
        archive(&[Member::stored("__MACOSX/a.pkl", &tuple(1))]).bytes,
        "HF-FMT-020",
    );
    corpus.accept(
        "tar/macos.tar",
        tar_archive(&[
            tar_member("./._a.pkl", b'0', &downloaded()),
            tar_member("./a.pkl", b'0', &tuple(1)),
            tar_member("./.DS_Store", b'0', &ds_store()),
        ]),
    );
    corpus.refuse(
        "tar/macos-other.tar",
        tar_archive(&[tar_member("./._a.pkl", b'0', &tuple(1))]),
        "HF-FMT-020",
    );
}

/// Changes to single fields of a sound archive.
fn changed(corpus: &mut Corpus, built: &Built) {
    let mut change = |name: &str, at: usize, id| {
        let mut bytes = built.bytes.clone();
        bytes[at] ^= 1;
        corpus.refuse(&format!("zip/local-{name}.zip"), bytes, id);
    };
    let local = built.mark("a.pkl/local").start;
    change("name", local + 30, "HF-ZIP-003");
    change("checksum", local + 14, "HF-ZIP-003");
    change("size", local + 22, "HF-ZIP-003");
    change("method", local + 8, "HF-ZIP-003");
    change("content", built.mark("a.pkl/data").start + 2, "HF-ZIP-010");
    let trailing = [built.bytes.as_slice(), b"more"].concat();
    corpus.refuse("zip/trailing.zip", trailing, "HF-ZIP-002");
    let gap = built.mark("b.pkl/local").start;
    let mut bytes = built.bytes.clone();
    for at in [
        built.mark("b.pkl/central").start + 42,
        built.mark("end").start + 16,
    ] {
        bytes[at] += 6;
    }
    bytes.splice(gap..gap, *b"hidden");
    corpus.refuse("zip/gap.zip", bytes, "HF-ZIP-004");
}

fn tar(corpus: &mut Corpus) {
    let hdf5 = Hdf5Builder::weights().build().bytes;
    corpus.accept("tar/hdf5.tar", tar_archive(&[tar_member("a.h5", b'0', &hdf5)]));
    let tensor = SafetensorsBuilder::new()
        .tensor("t", "U8", &[64 << 10], 64 << 10)
        .build()
        .bytes;
    let mut hidden = tensor;
    let place = 4096 - 3 * 512;
    hidden.splice(place..place + hdf5.len(), hdf5);
    let text = tar_member("a.txt", b'0', b"A text.\n");
    corpus.refuse(
        "tar/hdf5-in-tensor.tar",
        tar_archive(&[text, tar_member("b.safetensors", b'0', &hidden)]),
        "HF-FMT-005",
    );
    let file = || tar_member("a.pkl", b'0', &tuple(1));
    corpus.accept("tar/plain.tar", tar_archive(&[file()]));
    corpus.accept(
        "tar/directory.tar",
        tar_archive(&[
            tar_member("./", b'5', b""),
            tar_member("./d/a.pkl", b'0', &tuple(1)),
        ]),
    );
    let long = format!("{}/a.pkl", "d".repeat(150));
    let named = tar_member("x", b'x', &tar_records(&[("path", &long)]));
    corpus.accept("tar/long-name.tar", tar_archive(&[named, file()]));
    let gnu = tar_member("././@LongLink", b'L', format!("{long}\0").as_bytes());
    corpus.accept("tar/long-name-gnu.tar", tar_archive(&[gnu, file()]));
    for (name, path) in [("parent", "../a"), ("root", "/a"), ("inside", "a/../../b")] {
        corpus.refuse(
            &format!("tar/name-{name}.tar"),
            tar_archive(&[tar_member(path, b'0', &tuple(1))]),
            "HF-TAR-002",
        );
    }
    let elsewhere = tar_member("x", b'x', &tar_records(&[("path", "../../a")]));
    corpus.refuse(
        "tar/name-extended.tar",
        tar_archive(&[elsewhere, file()]),
        "HF-TAR-002",
    );
    for (name, kind) in [
        ("hard-link", b'1'),
        ("link", b'2'),
        ("device", b'3'),
        ("pipe", b'6'),
        ("sparse", b'S'),
    ] {
        corpus.refuse(
            &format!("tar/{name}.tar"),
            tar_archive(&[tar_member("a", kind, b"")]),
            "HF-TAR-003",
        );
    }
    corpus.refuse("tar/duplicate.tar", tar_archive(&[file(), file()]), "HF-TAR-002");
    corpus.refuse(
        "tar/number.tar",
        tar_archive(&[file(), tar_header("b", b'0', "99999999999\0")]),
        "HF-TAR-001",
    );
    corpus.refuse("tar/cut-off.tar", file(), "HF-TAR-005");
    corpus.refuse(
        "tar/after-the-end.tar",
        [tar_archive(&[file()]), vec![1; 512]].concat(),
        "HF-TAR-004",
    );
    corpus.refuse(
        "tar/call.tar",
        tar_archive(&[tar_member("a.pkl", b'0', &call())]),
        "HF-PKL-001",
    );
    let mut hidden = tar_archive(&[file()]);
    hidden[900] = 1;
    corpus.refuse("tar/padding.tar", hidden, "HF-TAR-004");
}
