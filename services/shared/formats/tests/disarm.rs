//! Conversion to safetensors: what comes out is what the checkpoint holds, and what cannot be said in safetensors is not said.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{ids, inspect};
use holdfast_formats::bytes::in_memory;
use holdfast_formats::disarm::{Cannot, Plan};
use holdfast_formats::testing::{Assembler, Member, archive, deflate, legacy, weights};

fn plan(bytes: &[u8]) -> Result<Plan, Cannot> {
    inspect(bytes).weights.unwrap().plan()
}

fn convert(bytes: &[u8]) -> Vec<u8> {
    let plan = plan(bytes).unwrap();
    let mut out = Vec::new();
    let mut peek = in_memory(bytes);
    plan.write(&mut peek, &mut out).unwrap();
    assert_eq!(out.len() as u64, plan.bytes());
    out
}

/// The header and the numbers.
fn parts(file: &[u8]) -> (String, &[u8]) {
    let length = usize::try_from(u64::from_le_bytes(file[..8].try_into().unwrap())).unwrap();
    let (header, numbers) = file[8..].split_at(length);
    (
        std::str::from_utf8(header).unwrap().trim_end().to_owned(),
        numbers,
    )
}

fn checkpoint(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let mut members = vec![Member::stored("m/data.pkl", pickle)];
    for (key, bytes) in storages {
        members.push(Member::stored(&format!("m/data/{key}"), bytes));
    }
    archive(&members).bytes
}

fn two() -> Assembler {
    Assembler::protocol(2).state_dict(&[("layer.weight", &[2, 3]), ("layer.bias", &[3])])
}

const HEADER: &str = r#"{"__metadata__":{"format":"pt"},"layer.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"layer.bias":{"dtype":"F32","shape":[3],"data_offsets":[24,36]}}"#;

#[test]
fn both_kinds_of_checkpoint_become_the_same_safetensors_file() {
    let numbers = weights(36);
    let (weight, bias) = numbers.split_at(24);
    let zip = checkpoint(&two().stop(), &[("0", weight), ("1", bias)]);
    let old = legacy(&two().stop(), &[("0", 6, weight), ("1", 3, bias)]);
    for file in [zip, old] {
        let converted = convert(&file);
        let (header, data) = parts(&converted);
        assert_eq!(header, HEADER);
        assert_eq!(data, numbers);
        assert_eq!(inspect(&converted).format.name(), "safetensors");
        assert_eq!(ids(&converted), [""; 0], "the new file has no findings");
    }
}

#[test]
fn what_safetensors_cannot_hold_is_not_converted() {
    let numbers = weights(24);
    let one = |name: &str, class: &str, shape: &[i32]| {
        let pickle = Assembler::protocol(2)
            .raw(b"}(")
            .text(name)
            .tensor(class, "0", shape)
            .raw(b"u")
            .stop();
        checkpoint(&pickle, &[("0", &numbers)])
    };
    assert!(plan(&one("a", "FloatStorage", &[2, 3])).is_ok());
    assert!(matches!(
        plan(&one("__metadata__", "FloatStorage", &[6])),
        Err(Cannot::Name(_))
    ));
    assert!(matches!(
        plan(&one("a", "ComplexHalfStorage", &[6])),
        Err(Cannot::Type(_, "complex32"))
    ));
    // Numbers that are compressed are not at any place in the file.
    let members = [
        Member::stored(
            "m/data.pkl",
            &Assembler::protocol(2).state_dict(&[("a", &[6])]).stop(),
        ),
        Member::stored("m/data/0", &numbers).packed(8, deflate(&numbers)),
    ];
    assert!(matches!(plan(&archive(&members).bytes), Err(Cannot::Place(_))));
    // Two entries of one name: `a.b` and `b` within `a`.
    let pickle = Assembler::protocol(2)
        .raw(b"}(")
        .text("a.b")
        .tensor("FloatStorage", "0", &[6])
        .text("a")
        .raw(b"}(")
        .text("b")
        .tensor("FloatStorage", "0", &[6])
        .raw(b"uu")
        .stop();
    assert!(matches!(
        plan(&checkpoint(&pickle, &[("0", &numbers)])),
        Err(Cannot::Name(_))
    ));
    // A refused checkpoint is never asked: the caller has its report. Without tensors there is nothing to ask for.
    assert!(
        inspect(&Assembler::protocol(2).ints(&[1]).stop())
            .weights
            .is_none()
    );
}

#[test]
fn names_are_written_as_json_writes_them() {
    let pickle = Assembler::protocol(2)
        .raw(b"}(")
        .text("a\"b\\c\u{1}\u{e4}")
        .tensor("FloatStorage", "0", &[6])
        .raw(b"u")
        .stop();
    let converted = convert(&checkpoint(&pickle, &[("0", &weights(24))]));
    assert!(parts(&converted).0.contains("\"a\\\"b\\\\c\\u0001\u{e4}\":{"));
}
