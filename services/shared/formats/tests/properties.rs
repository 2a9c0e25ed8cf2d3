//! Properties that hold for every file: valid ones pass, no cut of the bytes changes the outcome, no corruption breaks a parser.

mod common;

use common::{ids, inspect, inspect_in};
use holdfast_contract::report::{Finding, ModelFacts};
use holdfast_formats::testing::{Built, GgufBuilder, SafetensorsBuilder, Value};
use holdfast_formats::{Format, Outcome};
use proptest::collection::vec;
use proptest::prelude::*;

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u8>().prop_map(Value::U8),
        any::<i8>().prop_map(Value::I8),
        any::<u16>().prop_map(Value::U16),
        any::<i16>().prop_map(Value::I16),
        any::<u32>().prop_map(Value::U32),
        any::<i32>().prop_map(Value::I32),
        any::<f32>().prop_map(Value::F32),
        any::<bool>().prop_map(Value::Bool),
        "\\PC{0,40}".prop_map(|text| Value::text(&text)),
        any::<u64>().prop_map(Value::U64),
        any::<i64>().prop_map(Value::I64),
        any::<f64>().prop_map(Value::F64),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        scalar(),
        (scalar(), 0..20_usize).prop_map(|(value, count)| Value::Array(value.kind(), vec![value; count])),
    ]
}

/// Types with the elements and bytes of a block.
const TENSOR_TYPES: [(u32, u64, u64); 6] = [
    (0, 1, 4),
    (1, 1, 2),
    (8, 32, 34),
    (14, 256, 210),
    (24, 1, 1),
    (39, 32, 17),
];

fn gguf() -> impl Strategy<Value = Built> {
    let tensors = vec((0..TENSOR_TYPES.len(), 1..4_u64, vec(1..4_u64, 0..4)), 0..6);
    (
        vec(("[a-z_.]{1,30}", value()), 0..12),
        tensors,
        3..8_u32,
        2..=3_u32,
        any::<bool>(),
    )
        .prop_map(|(keys, tensors, power, version, aligned)| {
            let mut builder = GgufBuilder::llama().version(version);
            if aligned {
                builder = builder.alignment(1 << power);
            }
            for (index, (key, value)) in keys.into_iter().enumerate() {
                builder = builder.key(&format!("x{index}.{key}"), value);
            }
            for (index, (kind, blocks, higher)) in tensors.into_iter().enumerate() {
                let (kind, block, bytes) = TENSOR_TYPES[kind];
                let dimensions: Vec<_> = std::iter::once(blocks * block).chain(higher).take(4).collect();
                let size = dimensions.iter().product::<u64>() / block * bytes;
                builder = builder.tensor(
                    &format!("blk.{index}"),
                    &dimensions,
                    kind,
                    usize::try_from(size).unwrap_or(usize::MAX),
                );
            }
            builder.build()
        })
}

fn safetensors() -> impl Strategy<Value = Built> {
    const DTYPES: [(&str, u64); 5] = [("F64", 8), ("F32", 4), ("BF16", 2), ("F8_E4M3", 1), ("BOOL", 1)];
    let tensor = ("[a-zA-Z0-9_.]{0,30}", 0..DTYPES.len(), vec(0..5_u64, 0..4));
    (
        vec(tensor, 1..8),
        // No bar: by chance what follows it is a shell, and then the text is a command.
        vec(("[a-z]{1,8}", "[ -!#-\\[\\]-{}~]{0,20}"), 0..4),
        any::<u64>(),
    )
        .prop_map(|(mut tensors, metadata, seed)| {
            // As the library does it: the widest elements first.
            tensors.sort_by_key(|(_, dtype, _)| *dtype);
            let mut builder = SafetensorsBuilder::new();
            for (index, (key, value)) in metadata.into_iter().enumerate() {
                builder = builder.metadata(&format!("{key}{index}"), &value);
            }
            for (index, (name, dtype, shape)) in tensors.into_iter().enumerate() {
                let (dtype, bytes) = DTYPES[dtype];
                let size = shape.iter().product::<u64>() * bytes;
                builder = builder.tensor(
                    &format!("{name}{index}"),
                    dtype,
                    &shape,
                    usize::try_from(size).unwrap_or(usize::MAX),
                );
            }
            let edited = builder.edit(|entries| {
                let by = usize::try_from(seed % entries.len() as u64).unwrap_or(0);
                entries.rotate_left(by);
            });
            edited.build()
        })
}

/// Any file, mostly broken in some places.
fn broken() -> impl Strategy<Value = Vec<u8>> {
    let good = prop_oneof![gguf(), safetensors()];
    let changes = vec((any::<prop::sample::Index>(), change()), 0..6);
    let ends = (any::<prop::sample::Index>(), 0..4_u8);
    (good, changes, ends).prop_map(|(built, changes, (end, how))| {
        let mut bytes = built.bytes;
        for (index, change) in changes {
            // Most fields are in the first kilobyte.
            let at = index.index(bytes.len().min(1024));
            match change {
                Change::Byte(value) => bytes[at] = value,
                Change::Flip(bit) => bytes[at] ^= 1 << bit,
                Change::Word(value) => {
                    let end = bytes.len().min(at + 8);
                    bytes[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
                }
                Change::Insert(value) => bytes.insert(at, value),
                Change::Remove => {
                    bytes.remove(at);
                }
            }
        }
        match how {
            0 => bytes.truncate(end.index(bytes.len())),
            1 => bytes.extend_from_slice(b"more"),
            _ => {}
        }
        bytes
    })
}

#[derive(Debug, Clone)]
enum Change {
    Byte(u8),
    Flip(u8),
    Word(u64),
    Insert(u8),
    Remove,
}

fn change() -> impl Strategy<Value = Change> {
    let extreme = prop_oneof![
        Just(u64::MAX),
        Just(1 << 63),
        Just(1 << 62),
        Just((1 << 30) + 1),
        Just(1 << 30),
        0..64_u64
    ];
    prop_oneof![
        any::<u8>().prop_map(Change::Byte),
        (0..8_u8).prop_map(Change::Flip),
        extreme.prop_map(Change::Word),
        any::<u8>().prop_map(Change::Insert),
        Just(Change::Remove),
    ]
}

type Comparable = (Format, Vec<Finding>, u64, Option<ModelFacts>, u64);

fn comparable(outcome: Outcome) -> Comparable {
    let (listed, omitted) = outcome.findings.into_parts();
    (outcome.format, listed, omitted, outcome.facts, outcome.size_bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_well_formed_gguf_passes(file in gguf()) {
        prop_assert_eq!(ids(&file.bytes), Vec::<String>::new());
    }

    #[test]
    fn every_well_formed_safetensors_passes(file in safetensors()) {
        prop_assert_eq!(ids(&file.bytes), Vec::<String>::new());
    }

    #[test]
    fn the_outcome_does_not_depend_on_the_cut(bytes in broken(), size in 1..200_usize) {
        let whole = comparable(inspect(&bytes));
        for size in [1, size] {
            prop_assert_eq!(&comparable(inspect_in(&bytes, size)), &whole);
        }
    }

    #[test]
    fn findings_point_into_the_file_and_are_short(bytes in broken()) {
        for finding in comparable(inspect(&bytes)).1 {
            prop_assert!(finding.offset.is_none_or(|offset| offset <= bytes.len() as u64), "{:?}", finding);
            prop_assert!(finding.message.len() < 400 && finding.part.as_ref().is_none_or(|part| part.len() < 130));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    /// Overflow checks are on, so that an unchecked sum would fail here too.
    #[test]
    fn no_corruption_breaks_a_parser(bytes in broken()) {
        inspect(&bytes);
    }

    #[test]
    fn no_bytes_break_a_parser(head in 0..5_usize, bytes in vec(any::<u8>(), 0..600)) {
        let piece = b"\x0a\x09\x0a\x02<s\x15\0\0\0\0\x1a\xff\x7f";
        let heads: [&[u8]; 5] = [b"", b"GGUF\x03\0\0\0", b"\x20\0\0\0\0\0\0\0{\"", b"PK\x03\x04", piece];
        inspect(&[heads[head], &bytes].concat());
    }
}

/// Each byte of the header set to each of some values, one at a time.
#[test]
fn no_single_byte_breaks_a_parser() {
    for built in [GgufBuilder::llama().build(), SafetensorsBuilder::small().build()] {
        let header = built
            .marks
            .get("padding")
            .or(built.marks.get("header"))
            .unwrap()
            .end;
        for at in 0..header {
            for value in [0, 1, 0x20, 0x22, 0x30, 0x7d, 0x7f, 0x80, 0xff] {
                let mut bytes = built.bytes.clone();
                bytes[at] = value;
                inspect(&bytes);
            }
        }
    }
}
