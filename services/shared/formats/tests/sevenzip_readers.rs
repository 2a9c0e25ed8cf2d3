//! 7z archives beside 7-Zip and py7zr: what they write is judged by what is in it, and what is admitted they unpack to the same files.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use holdfast_contract::report::Verdict;
use holdfast_formats::bytes::in_memory;
use holdfast_formats::finding::verdict;
use holdfast_formats::testing::sevenzip::{Packing, SevenZipBuilder, seven_zip};
use holdfast_formats::testing::{
    GgufBuilder, Random, ask, call, hex, mutate, python_with, reader_cases, tuple, weights,
};
use holdfast_formats::{FileInspector, Format, Outcome, text};

/// How many changed archives are tried, unless `HOLDFAST_READER_CASES` says otherwise.
const CASES: u64 = 2500;

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sevenzip_readers.py")
}

/// 7-Zip, if it is there.
fn program(test: &str) -> Option<&'static str> {
    let is_there = |name: &&str| {
        let run = Command::new(name)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        run.is_ok_and(|status| status.success())
    };
    let found = ["7zz", "7z"].iter().find(|name| is_there(name)).copied();
    if found.is_none() {
        println!("[skipped] {test}: there is no 7-Zip (7zz or 7z) beside py7zr");
    }
    found
}

fn inspect(bytes: &[u8]) -> Outcome {
    let mut inspector = FileInspector::new("a.7z").looking_ahead(bytes.len() as u64, &mut in_memory(bytes));
    inspector.feed(bytes);
    inspector.finish()
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digit = |index| u8::from_str_radix(&hexadecimal[index..index + 2], 16).unwrap();
    (0..hexadecimal.len()).step_by(2).map(digit).collect()
}

/// What writers make of a directory of these files: the writer and its setting, and the archive.
fn written(python: &str, program: Option<&str>, files: &[(&str, Vec<u8>)]) -> Vec<(String, String, Vec<u8>)> {
    let directory = std::env::temp_dir().join(format!("holdfast-7z-{}-{}", std::process::id(), files.len()));
    for (name, content) in files {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let mut command = Command::new(python);
    command.arg(script()).arg("make").arg(&directory).args(program);
    let output = command.output().unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = String::from_utf8(output.stdout).unwrap();
    let archive = |line: &str| {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap().to_owned();
        (word(), word(), bytes(&word()))
    };
    lines.lines().map(archive).collect()
}

#[test]
fn what_7_zip_and_py7zr_write_is_judged_by_what_it_is() {
    const NAME: &str = "what_7_zip_and_py7zr_write_is_judged_by_what_it_is";
    let Some(python) = python_with("py7zr", NAME) else {
        return;
    };
    let program = program(NAME);
    // Calls and jumps of machine code among numbers, which the filter changes.
    let mut numbers = weights(200_000);
    for at in (0..numbers.len()).step_by(97) {
        numbers[at] = if at % 2 == 0 { 0xe8 } else { 0xe9 };
    }
    let good = [
        ("README.md", b"What is said three times is true.\n".repeat(3)),
        ("d/.gitkeep", Vec::new()),
        ("d/list.pkl", tuple(1)),
        ("model.gguf", GgufBuilder::llama().build().bytes),
    ];
    let bad: Vec<_> = good.iter().cloned().chain([("zz.pkl", call())]).collect();
    let noise = [("a.bin", numbers)];
    let mut tried = 0;
    for (writer, setting, archive) in written(&python, program, &good) {
        let outcome = inspect(&archive);
        assert_eq!(outcome.format, Format::SevenZip);
        let findings = outcome.findings.into_parts().0;
        let ids: Vec<_> = findings.iter().map(|finding| finding.id.as_str()).collect();
        if setting.starts_with("other") {
            assert!(ids.contains(&"HF-7Z-003"), "{writer} {setting}: {findings:?}");
        } else if setting.starts_with("encrypted") {
            assert!(ids.contains(&"HF-7Z-004"), "{writer} {setting}: {findings:?}");
        } else {
            assert_eq!(
                verdict(&findings).0,
                Verdict::Admit,
                "{writer} {setting}: {findings:?}"
            );
            assert!(outcome.facts.unwrap().tensors > 0, "{writer} {setting}");
            tried += 1;
        }
    }
    for (writer, setting, archive) in written(&python, program, &bad) {
        let findings = inspect(&archive).findings.into_parts().0;
        let followed = !setting.starts_with("other") && !setting.starts_with("encrypted");
        let is_found = findings.iter().any(|finding| finding.id == "HF-PKL-001");
        assert!(is_found || !followed, "{writer} {setting}: {findings:?}");
    }
    // What comes out is what went in: otherwise the checksum would be wrong.
    for (writer, setting, archive) in written(&python, program, &noise) {
        let findings = inspect(&archive).findings.into_parts().0;
        let followed = !setting.starts_with("other") && !setting.starts_with("encrypted");
        let ids: Vec<_> = findings.iter().map(|finding| finding.id.as_str()).collect();
        assert!(
            !followed || !ids.contains(&"HF-7Z-007"),
            "{writer} {setting}: {findings:?}"
        );
        assert!(
            !followed || ids.contains(&"HF-FMT-001"),
            "{writer} {setting}: {findings:?}"
        );
    }
    assert!(tried >= if program.is_some() { 17 } else { 5 }, "{tried}");
}

/// Archives whose headers were changed and have the checksums that belong to them, and unchanged ones; of these, the ones that are admitted,
/// with the names of the lists that were found in them.
fn admitted() -> Vec<(Vec<u8>, Vec<String>)> {
    let builders: Vec<SevenZipBuilder> = Packing::ALL
        .into_iter()
        .flat_map(|packing| {
            let builder = SevenZipBuilder::new(packing)
                .directory("d")
                .file("d/a.pkl", &tuple(1))
                .file("d/b.pkl", &tuple(2))
                .file(".gitkeep", b"")
                .file("e.pkl", &tuple(3));
            [builder.clone(), builder.solid()]
        })
        .collect();
    let words: &[&[u8]] = &[
        &[0x0a, 1],
        &[0x0e, 1, 0x90],
        &[0x0f, 1, 0x40],
        &[0x11, 5, 0],
        &[0x14, 10, 1, 0],
        &[0x19, 2, 0, 0],
        b"a\0",
        b"/\0",
        b"\0\0",
        &[0x80, 0],
    ];
    let headers: Vec<Vec<u8>> = builders.iter().map(SevenZipBuilder::header).collect();
    let changed = (0..reader_cases(CASES)).flat_map(|seed| {
        let mut random = Random::new(seed);
        let which = random.below(builders.len());
        let (streams, header) = (builders[which].streams(), &headers[which]);
        let mut one = header.clone();
        let at = random.below(one.len());
        one[at] ^= 1 << random.below(8);
        let several = mutate(std::slice::from_ref(header), words, &mut random);
        [seven_zip(&streams, &one), seven_zip(&streams, &several)]
    });
    let whole = builders
        .iter()
        .flat_map(|builder| [builder.build(), builder.build_packed()]);
    let mut cases = Vec::new();
    for archive in whole.chain(changed) {
        let outcome = inspect(&archive);
        if outcome.format == Format::SevenZip && !outcome.findings.refuse() {
            let findings = outcome.findings.into_parts().0.into_iter();
            let lists = findings.filter(|finding| finding.id == "HF-PKL-016");
            let mut names: Vec<String> = lists.filter_map(|finding| finding.part).collect();
            names.sort();
            cases.push((archive, names));
        }
    }
    cases
}

/// The names of files that are not empty, as findings show them, and the checksums of what is in them.
fn files(found: &str) -> BTreeMap<String, u32> {
    found
        .split(',')
        .filter_map(|file| file.split_once(':'))
        .map(|(name, sum)| {
            let name = String::from_utf8(bytes(name)).unwrap();
            (text::shown(&name), u32::from_str_radix(sum, 16).unwrap())
        })
        .filter(|(_, sum)| *sum != 0)
        .collect()
}

#[test]
fn what_is_admitted_is_unpacked_alike() {
    const NAME: &str = "what_is_admitted_is_unpacked_alike";
    let Some(python) = python_with("py7zr", NAME) else {
        return;
    };
    let cases = admitted();
    // A line for each: what py7zr finds and what 7-Zip does.
    let arguments: Vec<&str> = ["read"].into_iter().chain(program(NAME)).collect();
    let lines = cases.iter().map(|(archive, _)| hex(archive));
    let (answers, _) = ask(&python, &script(), &arguments, lines).unwrap();
    assert_eq!(answers.len(), cases.len());
    let lists = [1, 2, 3].map(|number| crc32fast::hash(&tuple(number)));
    let mut alike = 0;
    for ((archive, names), answer) in cases.iter().zip(&answers) {
        let (py7zr, seven) = answer.split_once(' ').unwrap();
        for (reader, found) in [("py7zr", py7zr), ("7-Zip", seven)] {
            if found == "-" {
                continue;
            }
            assert_ne!(found, "refused", "{reader}: {archive:x?}");
            let read = files(found);
            let read_names: Vec<String> = read.keys().cloned().collect();
            assert_eq!(read_names, *names, "{reader}: {archive:x?}");
            assert!(
                read.values().all(|sum| lists.contains(sum)),
                "{reader}: {archive:x?}"
            );
            alike += 1;
        }
    }
    println!(
        "{} archives admitted, {alike} unpacked alike by other readers",
        cases.len()
    );
    assert!(cases.len() > 200, "{}", cases.len());
}
