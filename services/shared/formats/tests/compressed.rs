//! Compressed files: what is in them is judged as if it had come alone, whatever the compression, and no more is unpacked than
//! there is room for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::process::{Command, Stdio};

use common::{findings, ids, inspect, inspect_in, judged};
use holdfast_contract::report::Verdict;
use holdfast_formats::testing::compressed::{CALL, HARMLESS, lz4, xz, zstd};
use holdfast_formats::testing::{
    Assembler, GgufBuilder, Member, archive, call, python_with, tar_archive, tar_member, weights,
};
use holdfast_formats::{FileInspector, Format};

const FORMATS: [(&str, Format); 5] = [
    ("bz2", Format::Bzip2),
    ("xz", Format::Xz),
    ("lzma", Format::Lzma),
    ("zst", Format::Zstd),
    ("lz4", Format::Lz4),
];

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

/// Writers that keep content as it is.
fn stored(content: &[u8]) -> [Vec<u8>; 3] {
    [xz(content), zstd(content, 10), lz4(content)]
}

#[test]
fn a_pickle_is_judged_through_every_compression() {
    for ((name, format), ((_, harmless), (_, call))) in FORMATS.iter().zip(HARMLESS.iter().zip(CALL)) {
        let outcome = inspect(harmless);
        assert_eq!(outcome.format, *format, "{name}");
        admitted(harmless);
        refused(call, "HF-PKL-001");
        for piece in [1, 2, 7, 30] {
            assert_eq!(
                inspect_in(harmless, piece).findings,
                outcome.findings,
                "{name} by {piece}"
            );
            assert_eq!(
                inspect_in(call, piece).findings,
                inspect(call).findings,
                "{name} by {piece}"
            );
        }
    }
}

#[test]
fn what_is_cut_off_changed_or_followed_by_something_is_refused() {
    for (name, harmless) in HARMLESS {
        for length in 1..harmless.len() {
            let cut = &harmless[..length];
            assert_eq!(judged(cut).0, Verdict::Refuse, "{name} of {length}");
        }
        refused(&[harmless, b"x".as_slice()].concat(), "HF-CMP-001");
        refused(&[harmless, b"\0\0\0".as_slice()].concat(), "HF-CMP-001");
    }
    // Checksums are compared. LZMA alone has none, and bzip2 can say one thing in several ways.
    for (name, harmless) in HARMLESS
        .iter()
        .filter(|(name, _)| !matches!(*name, "lzma" | "bz2"))
    {
        for at in 14..harmless.len() {
            let mut changed = harmless.to_vec();
            changed[at] ^= 4;
            assert_eq!(judged(&changed).0, Verdict::Refuse, "{name} at {at}");
        }
    }
}

#[test]
fn streams_after_each_other_are_one_file() {
    let content = GgufBuilder::llama().build().bytes;
    let (first, second) = content.split_at(content.len() / 2);
    for (first, second) in stored(first).into_iter().zip(stored(second)) {
        let both = [first, second].concat();
        admitted(&both);
        assert!(inspect(&both).facts.unwrap().tensors > 0);
    }
    // A pickle that calls something may be split anywhere.
    let evil = call();
    for at in 1..evil.len() {
        let (first, second) = evil.split_at(at);
        for (first, second) in stored(first).into_iter().zip(stored(second)) {
            refused(&[first, second].concat(), "HF-PKL-001");
        }
    }
    // Zeros between streams of xz, four by four.
    let padded = |zeros: usize| [xz(&content), vec![0; zeros], xz(b"")].concat();
    admitted(&padded(8));
    refused(&padded(6), "HF-CMP-001");
}

#[test]
fn compressed_archives_are_looked_into() {
    let tar = |pickle: &[u8]| tar_archive(&[tar_member("a.pkl", b'0', pickle)]);
    let good = Assembler::protocol(2).ints(&[1]).stop();
    for packed in stored(&tar(&good)) {
        admitted(&packed);
    }
    for packed in stored(&tar(&call())) {
        refused(&packed, "HF-PKL-001");
    }
    for [first, second, third] in [stored(&call())] {
        let member = |name: &str, content: &[u8]| archive(&[Member::stored(name, content)]).bytes;
        for inner in [first, second, third] {
            refused(&member("a.joblib", &inner), "HF-PKL-001");
            refused(&xz(&member("a.joblib", &inner)), "HF-PKL-001");
            refused(&xz(&zstd(&lz4(&xz(&inner)), 10)), "HF-ZIP-013");
        }
    }
}

#[test]
fn a_name_says_what_is_inside() {
    let named = |name: &str, content: &[u8]| {
        let mut inspector = FileInspector::new(name);
        inspector.feed(content);
        let found = inspector.finish().findings.into_parts().0;
        found.into_iter().map(|finding| finding.id).collect::<Vec<_>>()
    };
    let tar = tar_archive(&[tar_member(
        "a.pkl",
        b'0',
        &Assembler::protocol(2).ints(&[1]).stop(),
    )]);
    for name in ["a.tar.xz", "a.txz", "a.TXZ", "model.joblib"] {
        assert!(
            !named(name, &xz(&tar)).contains(&"HF-FMT-003".to_owned()),
            "{name}"
        );
    }
    for name in ["a.gguf.xz", "a.tar.zst"] {
        assert!(
            named(name, &xz(&tar)).contains(&"HF-FMT-003".to_owned()),
            "{name}"
        );
    }
}

#[test]
fn memory_for_windows_is_bounded() {
    let content = GgufBuilder::llama().build().bytes;
    admitted(&zstd(&content, 23));
    refused(&zstd(&content, 24), "HF-CMP-003");
    refused(&zstd(&content, 41), "HF-CMP-003");
    // Windows within each other share what there is: 16 MiB, 8 MiB and 16 MiB are too much.
    admitted(&zstd(&xz(&zstd(&content, 20)), 23));
    let within = |window| zstd(&xz(&zstd(&weights(200_000), window)), 23);
    refused(&within(23), "HF-CMP-003");
    refused(&within(20), "HF-FMT-001");
}

#[test]
fn parts_that_readers_skip_or_have_elsewhere_are_refused() {
    let harmless = Assembler::protocol(2).ints(&[1]).stop();
    let skipped = |file: Vec<u8>| [file, b"\x50\x2a\x4d\x18\x04\0\0\0evil".to_vec()].concat();
    refused(&skipped(zstd(&harmless, 10)), "HF-CMP-004");
    refused(&skipped(lz4(&harmless)), "HF-CMP-004");
    let mut dictionary = zstd(&harmless, 10);
    dictionary[4] |= 1;
    refused(&dictionary, "HF-CMP-004");
    // A filter before LZMA2.
    let mut filtered = xz(&harmless);
    filtered[13] = 1;
    let sum = !filtered[12..20].iter().fold(u32::MAX, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
        crc
    });
    filtered[20..24].copy_from_slice(&sum.to_le_bytes());
    refused(&filtered, "HF-CMP-004");
}

#[test]
fn more_than_a_file_can_explain_is_not_unpacked() {
    // A block of Zstandard that is one byte 128 Ki times takes four bytes.
    let mut bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 80];
    for _ in 0..9000 {
        bomb.extend([2, 0, 0x10, 0]);
    }
    bomb.extend([3, 0, 0x10, 0]);
    refused(&bomb, "HF-ZIP-011");
}

#[test]
fn files_of_joblib_are_judged_as_their_pickles() {
    const NAME: &str = "files_of_joblib_are_judged_as_their_pickles";
    let Some(python) = python_with("joblib, numpy", NAME) else {
        return;
    };
    let script = "
import io, joblib, numpy, sys
arrays = {'w': numpy.arange(6, dtype='f4').reshape(2, 3), 'o': numpy.array(['a', {}], dtype=object), 'n': [1, 'x']}
class Model:
    pass
Model.__module__ = 'mine'
import types; sys.modules['mine'] = types.ModuleType('mine'); sys.modules['mine'].Model = Model
for content in (arrays, arrays['w'], Model()):
    for compress in (0, ('zlib', 3), ('gzip', 3), ('bz2', 3), ('lzma', 3), ('xz', 3), ('xz', 9), ('lz4', 3)):
        file = io.BytesIO()
        try:
            joblib.dump(content, file, compress=compress)
        except ValueError:
            continue
        print(type(content).__name__, compress, file.getvalue().hex(), sep='/')
";
    let output = Command::new(&python)
        .args(["-c", script])
        .stderr(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    for line in lines.lines() {
        let [content, compress, hex] = line.split('/').collect::<Vec<_>>().try_into().unwrap();
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let expected = if content == "Model" {
            Verdict::Refuse
        } else {
            Verdict::Admit
        };
        assert_eq!(
            judged(&bytes).0,
            expected,
            "{content} {compress}: {:?}",
            findings(&bytes)
        );
        assert_eq!(inspect_in(&bytes, 11).findings, inspect(&bytes).findings);
    }
    assert!(lines.lines().count() >= 20);
}

#[test]
fn noise_behind_a_signature_is_damaged() {
    for start in [
        &b"BZh91AY&SY"[..],
        b"\xfd7zXZ\0",
        b"\x28\xb5\x2f\xfd",
        b"\x04\x22\x4d\x18",
    ] {
        let file = [start, &weights(5000)].concat();
        assert!(
            ids(&file).iter().any(|id| id.starts_with("HF-CMP-00")),
            "{:?}",
            ids(&file)
        );
    }
}
