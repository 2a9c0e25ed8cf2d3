//! Archives beside Python's own readers: whatever is accepted here, they unpack without complaint.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use holdfast_formats::FileInspector;
use holdfast_formats::testing::{
    Assembler, Member, Random, archive, ask, deflate, hex, mutate, reader_cases, tar_archive, tar_member,
    tar_records,
};

/// Changed archives of each kind; `HOLDFAST_READER_CASES` sets another number.
const CASES: u64 = 3000;

fn data(number: i32) -> Vec<u8> {
    Assembler::protocol(2).ints(&[number]).stop()
}

fn zips() -> Vec<Vec<u8>> {
    let plain = |name: &str, number| Member::stored(name, &data(number));
    vec![
        archive(&[plain("a.pkl", 1), plain("d/b.pkl", 2)]).bytes,
        archive(&[plain("a.pkl", 1).descriptor(16), plain("b.pkl", 2).descriptor(24)]).bytes,
        archive(&[
            plain("a.pkl", 1).packed(8, deflate(&data(1))),
            Member::stored("d/", b""),
        ])
        .bytes,
        archive(&[
            plain("a.pkl", 3).extra(0x4246, b"ZZ"),
            plain("b.pkl", 4).mode(0o100_644),
        ])
        .bytes,
    ]
}

fn tars() -> Vec<Vec<u8>> {
    let plain = |name: &str, number| tar_member(name, b'0', &data(number));
    let long = format!("{}/a.pkl", "d".repeat(120));
    vec![
        tar_archive(&[plain("a.pkl", 1), plain("d/b.pkl", 2)]),
        tar_archive(&[tar_member("d/", b'5', b""), plain("d/b.pkl", 2)]),
        tar_archive(&[
            tar_member("x", b'x', &tar_records(&[("path", &long)])),
            plain("a.pkl", 1),
        ]),
        tar_archive(&[
            tar_member("././@LongLink", b'L', long.as_bytes()),
            plain("a.pkl", 1),
        ]),
    ]
}

fn is_accepted(bytes: &[u8]) -> bool {
    let mut inspector = FileInspector::new("a");
    inspector.feed(bytes);
    !inspector.finish().findings.refuse()
}

#[test]
fn what_is_accepted_python_unpacks_without_complaint() {
    let count = reader_cases(CASES);
    let words: &[&[u8]] = &[
        b"PK\x01\x02",
        b"a.pkl",
        b"b.pkl",
        b"\0\0",
        b"\x01",
        b"/",
        b"0000000\0",
        b"ustar\0",
        b"K\x02",
    ];
    let mut archives = Vec::new();
    for (kind, seeds) in [("zip", zips()), ("tar", tars())] {
        for seed in &seeds {
            assert!(is_accepted(seed), "{kind}");
            archives.push((kind, seed.clone()));
        }
        // Most changes refuse an archive; those of single bytes that do not matter are what is looked for.
        let changed = (0..count).flat_map(|seed| {
            let mut random = Random::new(seed);
            let mut bytes = seeds[random.below(seeds.len())].clone();
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
            [bytes, mutate(&seeds, words, &mut random)]
        });
        archives.extend(
            changed
                .filter(|bytes| is_accepted(bytes))
                .map(|bytes| (kind, bytes)),
        );
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/archive_readers.py");
    let lines = archives
        .iter()
        .map(|(kind, bytes)| format!("{kind} {}", hex(bytes)));
    let Ok((answers, _)) = ask("python3", &script, &[], lines) else {
        println!("[skipped] what_is_accepted_python_unpacks_without_complaint: there is no python3");
        return;
    };
    assert_eq!(answers.len(), archives.len());
    for ((kind, bytes), answer) in archives.iter().zip(&answers) {
        // Mutations may make what is no archive at all, which Python then refuses to open as one.
        let is_archive = match *kind {
            "zip" => bytes.starts_with(b"PK"),
            _ => holdfast_formats::detect::is_tar(bytes),
        };
        assert!(!is_archive || answer != "refused", "{kind} {bytes:x?}");
    }
    println!("{} archives accepted here and by Python", archives.len());
    assert!(archives.len() > 500, "{}", archives.len());
}
