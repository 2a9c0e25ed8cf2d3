//! Programs, archives, pickles and scripts hidden in other files, and ordinary files that have the like for good reason.

mod common;

use common::{findings, ids, inspect, inspect_in, judged};
use holdfast_contract::report::Verdict;
use holdfast_formats::testing::{
    Assembler, GgufBuilder, Member, Random, SafetensorsBuilder, Value, archive, deflate, stowaways,
    tar_archive, tar_member, weights,
};

/// A safetensors file with this data in its one tensor.
fn safetensors(data: &[u8]) -> Vec<u8> {
    let header = format!(
        r#"{{"w":{{"dtype":"U8","shape":[{}],"data_offsets":[0,{}]}}}}"#,
        data.len(),
        data.len()
    );
    SafetensorsBuilder::raw(header, data).bytes
}

/// A GGUF file with this data in its one tensor, of bytes.
fn gguf(data: &[u8]) -> Vec<u8> {
    let empty = GgufBuilder::llama()
        .without_tensors()
        .tensor("w", &[data.len() as u64], 24, data.len())
        .build()
        .bytes;
    let (head, _) = empty.split_at(empty.len() - data.len());
    [head, data].concat()
}

/// A PyTorch checkpoint with this storage, deflated or not.
fn checkpoint(data: &[u8], packed: bool) -> Vec<u8> {
    let elements = i32::try_from(data.len() / 4).unwrap_or(i32::MAX);
    let pickle = Assembler::protocol(2).state_dict(&[("w", &[elements])]).stop();
    let storage = Member::stored("m/data/0", data);
    let storage = if packed {
        storage.packed(8, deflate(data))
    } else {
        storage
    };
    archive(&[Member::stored("m/data.pkl", &pickle), storage]).bytes
}

/// Weights with a stowaway in their middle.
fn among(stowaway: &[u8], at: usize, length: usize) -> Vec<u8> {
    let mut data = weights(length);
    data.splice(at..at + stowaway.len(), stowaway.iter().copied());
    data
}

#[test]
fn each_is_found_in_the_numbers_of_each_format() {
    for (name, id, stowaway) in stowaways() {
        for at in [0, 1, 4096, 5003] {
            let data = among(&stowaway, at, 16 << 10);
            for (format, file, exact) in [
                ("gguf", gguf(&data), true),
                ("safetensors", safetensors(&data), true),
                ("checkpoint", checkpoint(&data, false), true),
                ("packed checkpoint", checkpoint(&data, true), false),
            ] {
                // Text before a script is a text that quotes it; nothing is before it in a member of its own.
                if name.starts_with("script") && at == 0 {
                    continue;
                }
                let place = format!("{name} at {at} of a {format}");
                let found = findings(&file);
                let ours: Vec<_> = found
                    .iter()
                    .filter(|finding| finding.id.starts_with("HF-SIG-"))
                    .collect();
                assert!(ours.iter().any(|finding| finding.id == id), "{place}: {found:?}");
                if exact {
                    let begins = file.windows(stowaway.len()).position(|window| window == stowaway);
                    let offsets: Vec<_> = ours.iter().map(|finding| finding.offset).collect();
                    assert!(
                        offsets.contains(&begins.map(|at| at as u64)),
                        "{place}: {offsets:?} {begins:?}"
                    );
                }
                assert_eq!(judged(&file).0, Verdict::Refuse, "{place}");
            }
        }
    }
}

#[test]
fn the_cut_makes_no_difference() {
    let mut data = weights(40 << 10);
    for ((_, _, stowaway), at) in stowaways().into_iter().zip((500..).step_by(1490)) {
        data.splice(at..at + stowaway.len(), stowaway);
    }
    let file = safetensors(&data);
    let whole = inspect(&file).findings.into_parts();
    assert!(whole.0.len() > 15, "{whole:?}");
    for size in [1, 7, 511, 4096, 6143, 6144, 6145, 8191, 30_000] {
        assert_eq!(
            inspect_in(&file, size).findings.into_parts(),
            whole,
            "pieces of {size}"
        );
    }
}

#[test]
fn first_bytes_that_keep_no_promise_are_weights() {
    let mut random = Random::new(3);
    for (name, _, stowaway) in stowaways() {
        // What fits a magic number into four to ten bytes and is then random.
        for kept in 4..=10.min(stowaway.len() / 2) {
            for _ in 0..20 {
                let at = 300 + random.below(3000);
                let data = among(&stowaway[..kept], at, 8 << 10);
                assert_eq!(
                    ids(&safetensors(&data)),
                    ids(&safetensors(&weights(8 << 10))),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn a_field_that_the_loader_checks_makes_the_difference() {
    let find = |name: &str| {
        stowaways()
            .into_iter()
            .find(|(other, ..)| *other == name)
            .unwrap()
            .2
    };
    for (name, at, byte) in [
        ("elf", 4, 3),
        ("elf", 16, 9),
        ("elf", 18, 99),
        ("elf", 54, 57),
        ("elf", 57, 0xff),
        ("pe", 0x85, 0),
        ("pe", 0x80 + 20, 1),
        ("pe", 0x80 + 24, 0),
        ("mach-o", 4, 99),
        ("mach-o", 12, 77),
        ("java-class", 7, 3),
        ("java-class", 10, 99),
        ("wasm", 4, 2),
        ("pyc", 16, b'd'),
        ("zip", 8, 77),
        ("zip", 6, 0x10),
        ("7z", 13, 1),
        ("rar-5", 14, 2),
        ("rar-4", 16, 1),
        ("xz", 7, 1),
        ("gzip", 12, 0xff),
        ("tar", 0, b'x'),
        ("bzip2", 4, b'2'),
    ] {
        let mut stowaway = find(name);
        assert_ne!(stowaway[at], byte, "{name} {at}");
        stowaway[at] = byte;
        let found = ids(&safetensors(&among(&stowaway, 1000, 8 << 10)));
        assert!(
            !found.iter().any(|id| id.starts_with("HF-SIG-")),
            "{name} {at}: {found:?}"
        );
    }
}

#[test]
fn archives_and_what_is_in_them_are_no_stowaways() {
    let inner = archive(&[
        Member::stored("a.txt", b"a text"),
        Member::stored("b.txt", b"another"),
    ])
    .bytes;
    let tar = |files: &[(&str, &[u8])]| {
        let members: Vec<_> = files
            .iter()
            .map(|(name, content)| tar_member(name, b'0', content))
            .collect();
        tar_archive(&members)
    };
    let readme = b"# A model\n\n```sh\n#!/bin/sh\nholdfast inspect model.gguf\n```\n";
    for (name, file) in [
        (
            "zip",
            archive(&[
                Member::stored("inner.zip", &inner),
                Member::stored("README.md", readme),
            ])
            .bytes,
        ),
        (
            "tar",
            tar(&[
                ("inner.zip", &inner),
                ("README.md", readme),
                ("c.tar", &tar(&[("d.txt", b"text")])),
            ]),
        ),
        ("checkpoint", checkpoint(&weights(4096), false)),
        ("packed checkpoint", checkpoint(&weights(4096), true)),
        ("text", readme.to_vec()),
    ] {
        let found = ids(&file);
        assert!(
            !found.iter().any(|id| id.starts_with("HF-SIG-")),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn words_of_a_tokenizer_are_no_stowaways() {
    let words = [
        "#!/bin/sh",
        "#!/usr/bin/env python3\n",
        "MZ",
        "PE",
        "\u{7f}ELF",
        "PK\u{3}\u{4}",
        "cos\n",
        "system\n",
        "tR.",
        "builtins",
        "subprocess",
        "Rar!",
        "ustar",
        "#!/bin/bash\n",
        "os",
        "R.",
        "import os\nos.system('ls')\n",
        "asm",
    ];
    let builder = GgufBuilder::llama().set("tokenizer.ggml.tokens", Value::texts(words));
    let found = ids(&builder.build().bytes);
    assert!(!found.iter().any(|id| id.starts_with("HF-SIG-")), "{found:?}");

    let json = format!(
        "{{\"model\":{{\"vocab\":{{{}}}}}}}",
        words
            .iter()
            .enumerate()
            .map(|(index, word)| format!("{:?}:{index}", word.replace('\u{7f}', "")))
            .collect::<Vec<_>>()
            .join(",")
    );
    let found = ids(json.as_bytes());
    assert!(!found.iter().any(|id| id.starts_with("HF-SIG-")), "{found:?}");
}

#[test]
fn calls_that_begin_with_a_mark_are_found_behind_their_arguments() {
    let long = "x".repeat(600);
    // Marks within a text lead to the call as well, and to nothing that a reader takes.
    let text = format!("X\u{10}\0\0\0(R(R(R(R(R(R(R(RV{long}\n");
    for pickle in [
        format!("({text}ios\nsystem\n."),
        format!("(csubprocess\nPopen\n{text}o."),
        "(S'a'\n(S'b'\nliposix\nsystem\n.".to_owned(),
        "(X\u{1}\0\0\0xisubprocess\nPopen\n0N.".to_owned(),
    ] {
        let found = ids(&safetensors(&among(pickle.as_bytes(), 5000, 16 << 10)));
        assert!(found.iter().any(|id| id == "HF-SIG-003"), "{pickle:?}: {found:?}");
    }
}

#[test]
fn words_in_lines_are_no_calls() {
    for words in [
        "\nios\nandroid\nwindows\n",
        "(ios\nandroid\nwindows)\n",
        "(see also\nios\nandroid\n)",
        "os\n(nt\nposix\nsystem\n",
        "print(i)\nios\nsystem\n.",
        "(cos\nsin\ntan\no)",
    ] {
        let found = ids(&safetensors(&among(words.as_bytes(), 5000, 16 << 10)));
        assert!(!found.iter().any(|id| id == "HF-SIG-003"), "{words:?}: {found:?}");
    }
}

#[test]
fn a_member_of_an_archive_is_named() {
    let file = checkpoint(&among(&stowaways()[0].2, 100, 4096), true);
    let found = findings(&file);
    let part = found
        .iter()
        .find(|finding| finding.id == "HF-SIG-001")
        .unwrap()
        .part
        .as_deref();
    assert_eq!(part, Some("m/data/0"));
}
