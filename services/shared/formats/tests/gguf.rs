//! GGUF: what is accepted, and every single way to be wrong with the id it gets.

mod common;

use common::{findings, ids, inspect, judged};
use holdfast_contract::report::{Severity, Verdict};
use holdfast_formats::Format;
use holdfast_formats::testing::{Built, GgufBuilder, Value};

const NONE: [&str; 0] = [];

#[test]
fn an_ordinary_model_passes_without_a_word() {
    let file = GgufBuilder::llama().build();
    assert_eq!(ids(&file.bytes), NONE);
    let outcome = inspect(&file.bytes);
    assert_eq!(outcome.format, Format::Gguf);
    assert_eq!(outcome.size_bytes, file.bytes.len() as u64);
    let facts = outcome.facts.unwrap();
    assert_eq!(facts.name.as_deref(), Some("Tiny Llama"));
    assert_eq!(facts.architecture.as_deref(), Some("llama"));
    assert_eq!(facts.tensors, 3);
    assert_eq!(facts.parameters, 256 * 5 + 3 + 64 * 3);
    assert_eq!(facts.context_tokens, Some(2048));
    assert_eq!(facts.tensor_type.as_deref(), Some("Q4_K"));
    assert!(facts.chat_template);
}

#[test]
fn version_2_and_every_declared_alignment_pass() {
    assert_eq!(ids(&GgufBuilder::llama().version(2).build().bytes), NONE);
    for alignment in [8, 16, 32, 64, 128, 4096, 65536] {
        let file = GgufBuilder::llama().alignment(alignment).build();
        assert_eq!(ids(&file.bytes), NONE, "alignment {alignment}");
    }
}

#[test]
fn every_metadata_type_passes() {
    let scalars = [
        Value::U8(1),
        Value::I8(-1),
        Value::U16(1),
        Value::I16(-1),
        Value::U32(1),
        Value::I32(-1),
        Value::F32(1.0),
        Value::Bool(false),
        Value::text("Grüße"),
        Value::text(""),
        Value::U64(1),
        Value::I64(-1),
        Value::F64(1.0),
    ];
    let mut builder = GgufBuilder::llama();
    for (index, value) in scalars.into_iter().enumerate() {
        builder = builder
            .key(&format!("test.scalar.{index}"), value.clone())
            .key(
                &format!("test.array.{index}"),
                Value::Array(value.kind(), vec![value.clone(); 3]),
            )
            .key(&format!("test.empty.{index}"), Value::Array(value.kind(), vec![]));
    }
    assert_eq!(ids(&builder.build().bytes), NONE);
}

#[test]
fn every_tensor_type_passes_in_its_size() {
    // (type, elements of a block, bytes of a block) as in ggml-common.h.
    let types = [
        (0, 1, 4),
        (1, 1, 2),
        (2, 32, 18),
        (3, 32, 20),
        (6, 32, 22),
        (7, 32, 24),
        (8, 32, 34),
        (9, 32, 36),
        (10, 256, 84),
        (11, 256, 110),
        (12, 256, 144),
        (13, 256, 176),
        (14, 256, 210),
        (15, 256, 292),
        (16, 256, 66),
        (17, 256, 74),
        (18, 256, 98),
        (19, 256, 50),
        (20, 32, 18),
        (21, 256, 110),
        (22, 256, 82),
        (23, 256, 136),
        (24, 1, 1),
        (25, 1, 2),
        (26, 1, 4),
        (27, 1, 8),
        (28, 1, 8),
        (29, 256, 56),
        (30, 1, 2),
        (34, 256, 54),
        (35, 256, 66),
        (39, 32, 17),
        (40, 64, 36),
        (41, 128, 18),
        (42, 64, 18),
    ];
    let mut builder = GgufBuilder::llama();
    for (kind, block, bytes) in types {
        let name = format!("blk.{kind}.weight");
        builder = builder.tensor(&name, &[2 * block, 3], kind, usize::try_from(bytes * 6).unwrap());
    }
    assert_eq!(ids(&builder.build().bytes), NONE);
}

#[test]
fn the_last_tensor_may_lack_its_padding() {
    let file = GgufBuilder::llama().build();
    let end = file.mark("tensor/output.weight/data").end;
    assert!(end < file.bytes.len());
    for length in end..=file.bytes.len() {
        assert_eq!(ids(&file.clone().cut(length).bytes), NONE, "{length} bytes");
    }
    let [cut] = findings(&file.cut(end - 1).bytes).try_into().unwrap();
    assert_eq!(
        (cut.id.as_str(), cut.offset),
        ("HF-GGUF-027", Some(end as u64 - 1))
    );
    assert_eq!(cut.part.as_deref(), Some("output.weight"));
}

#[test]
fn a_file_of_metadata_alone_is_noted() {
    let file = GgufBuilder::llama().without_tensors().build();
    assert_eq!(ids(&file.bytes), ["HF-GGUF-031"]);
    let header = file.mark("padding").start;
    assert_eq!(ids(&file.clone().cut(header).bytes), ["HF-GGUF-031"]);
    assert_eq!(ids(&file.and(b"x").bytes), ["HF-GGUF-029", "HF-GGUF-031"]);
}

/// Id of the finding, and the field of `good` with the value that must cause it.
#[rustfmt::skip]
fn wrong_fields(good: &Built) -> Vec<(&'static str, String, Vec<u8>)> {
    let emb = |field: &str| format!("tensor/token_embd.weight/{field}");
    vec![
        ("HF-GGUF-001", "version".into(), 1_u32.to_le_bytes().to_vec()),
        ("HF-GGUF-001", "version".into(), 4_u32.to_le_bytes().to_vec()),
        ("HF-GGUF-001", "version".into(), 0_u32.to_le_bytes().to_vec()),
        ("HF-GGUF-002", "version".into(), 3_u32.to_be_bytes().to_vec()),
        ("HF-GGUF-004", "tensor-count".into(), u64::MAX.to_le_bytes().to_vec()),
        ("HF-GGUF-004", "tensor-count".into(), (1_u64 << 63).to_le_bytes().to_vec()),
        ("HF-GGUF-004", "key-count".into(), (1_u64 << 63).to_le_bytes().to_vec()),
        ("HF-GGUF-005", "key/general.name/length".into(), 0_u64.to_le_bytes().to_vec()),
        ("HF-GGUF-005", "key/general.name/length".into(), 65_536_u64.to_le_bytes().to_vec()),
        ("HF-GGUF-005", "key/general.name/key".into(), b"general\0name".to_vec()),
        ("HF-GGUF-005", "key/general.name/key".into(), b"general.n\xc3\xa4m".to_vec()),
        ("HF-GGUF-006", "key/tokenizer.ggml.bos_token_id/key".into(), b"tokenizer.ggml.eos_token_id".to_vec()),
        ("HF-GGUF-007", "key/general.name/type".into(), 13_u32.to_le_bytes().to_vec()),
        ("HF-GGUF-010", "key/general.name/value".into(), vec![0xff; 18]),
        ("HF-GGUF-012", "key/tokenizer.ggml.add_bos_token/value".into(), vec![2]),
        ("HF-GGUF-014", "key/general.alignment/value".into(), 24_u32.to_le_bytes().to_vec()),
        ("HF-GGUF-014", "key/general.alignment/value".into(), 0_u32.to_le_bytes().to_vec()),
        ("HF-GGUF-014", "key/general.alignment/type".into(), 5_u32.to_le_bytes().to_vec()),
        ("HF-GGUF-016", emb("length"), 0_u64.to_le_bytes().to_vec()),
        ("HF-GGUF-016", emb("length"), 64_u64.to_le_bytes().to_vec()),
        ("HF-GGUF-016", emb("length"), u64::MAX.to_le_bytes().to_vec()),
        ("HF-GGUF-016", emb("name"), b"token_embd\0weight".to_vec()),
        ("HF-GGUF-016", emb("name"), b"token_embd.weigh\xff".to_vec()),
        ("HF-GGUF-016", emb("name"), "token_em\u{202e}weight".into()),
        ("HF-GGUF-018", emb("dimensions"), 5_u32.to_le_bytes().to_vec()),
        ("HF-GGUF-018", emb("dimensions"), u32::MAX.to_le_bytes().to_vec()),
        ("HF-GGUF-019", emb("shape"), [256_u64.to_le_bytes(), u64::MAX.to_le_bytes()].concat()),
        ("HF-GGUF-019", emb("shape"), [(1_u64 << 40).to_le_bytes(), (1_u64 << 40).to_le_bytes()].concat()),
        ("HF-GGUF-019", emb("shape"), [(1_u64 << 33).to_le_bytes(), (1_u64 << 30).to_le_bytes()].concat()),
        ("HF-GGUF-020", emb("type"), 43_u32.to_le_bytes().to_vec()),
        ("HF-GGUF-020", emb("type"), u32::MAX.to_le_bytes().to_vec()),
        ("HF-GGUF-021", emb("type"), 4_u32.to_le_bytes().to_vec()),
        ("HF-GGUF-021", emb("type"), 31_u32.to_le_bytes().to_vec()),
        ("HF-GGUF-022", emb("shape"), [257_u64.to_le_bytes(), 5_u64.to_le_bytes()].concat()),
        ("HF-GGUF-023", "tensor/output.weight/offset".into(), 771_u64.to_le_bytes().to_vec()),
        ("HF-GGUF-024", "tensor/output.weight/offset".into(), 0_u64.to_le_bytes().to_vec()),
        ("HF-GGUF-025", "tensor/output.weight/offset".into(), 800_u64.to_le_bytes().to_vec()),
        ("HF-GGUF-027", emb("shape"), [256_u64.to_le_bytes(), 6_000_u64.to_le_bytes()].concat()),
        ("HF-GGUF-027", "tensor/output.weight/offset".into(), (1_u64 << 62).to_le_bytes().to_vec()),
        ("HF-GGUF-019", "tensor/output.weight/offset".into(), (u64::MAX - 31).to_le_bytes().to_vec()),
        ("HF-GGUF-028", "padding".into(), vec![1; good.mark("padding").len()]),
        ("HF-GGUF-028", "tensor/output_norm.weight/padding".into(), vec![b'x'; 20]),
    ]
}

/// Each field of a good file made wrong in one way.
#[test]
fn every_wrong_field_is_refused_with_its_id() {
    let good = GgufBuilder::llama().alignment(32).build();
    assert_eq!(good.mark("tensor/output.weight/offset").len(), 8);
    for (id, field, value) in wrong_fields(&good) {
        let broken = good.clone().with(&field, &value);
        let found = ids(&broken.bytes);
        assert!(
            found.iter().any(|found| found == id),
            "{field} = {value:x?}: wanted {id}, found {found:?}"
        );
        assert_eq!(
            judged(&broken.bytes).0,
            Verdict::Refuse,
            "{field} = {value:x?}: {found:?}"
        );
    }
}

#[test]
fn trailing_bytes_and_truncation_are_refused_at_every_length() {
    let good = GgufBuilder::llama().build();
    assert_eq!(ids(&good.clone().and(&[0]).bytes), ["HF-GGUF-029"]);
    let data = good.mark("tensor/token_embd.weight/data").start;
    let end = good.mark("tensor/output.weight/data").end;
    for length in 4..end {
        let found = findings(&good.clone().cut(length).bytes);
        let wanted = if length < good.mark("padding").start {
            "HF-GGUF-003"
        } else {
            "HF-GGUF-027"
        };
        assert!(
            found.iter().any(|finding| finding.id == wanted),
            "{length} of {data}: {found:?}"
        );
        assert!(
            found
                .iter()
                .all(|finding| finding.offset.is_none_or(|offset| offset <= length as u64))
        );
    }
}

#[test]
fn repeated_tensors_are_refused() {
    let file = GgufBuilder::llama()
        .tensor("output.weight", &[64, 3], 8, 6 * 34)
        .build();
    let [found] = findings(&file.bytes).try_into().unwrap();
    assert_eq!(
        (found.id.as_str(), found.part.as_deref()),
        ("HF-GGUF-017", Some("output.weight"))
    );
}

#[test]
fn tensors_stored_in_another_order_are_refused() {
    let file = GgufBuilder::llama()
        .tensor("a", &[8], 0, 32)
        .tensor("b", &[8], 0, 32)
        .build();
    let (a, b) = (file.mark("tensor/a/offset"), file.mark("tensor/b/offset"));
    let (a, b) = (file.bytes[a].to_vec(), file.bytes[b].to_vec());
    let swapped = file.with("tensor/a/offset", &b).with("tensor/b/offset", &a);
    assert_eq!(ids(&swapped.bytes), ["HF-GGUF-026"]);
}

#[test]
fn names_of_63_bytes_and_scalars_without_dimensions_pass() {
    let file = GgufBuilder::llama().tensor(&"n".repeat(63), &[], 0, 4).build();
    assert_eq!(ids(&file.bytes), NONE);
}

#[test]
fn a_thousand_defects_are_one_page() {
    let mut builder = GgufBuilder::llama();
    for _ in 0..1000 {
        builder = builder.tensor("same", &[1], 0, 4);
    }
    let (listed, omitted) = inspect(&builder.build().bytes).findings.into_parts();
    assert_eq!(listed.len() as u64 + omitted, 999);
    assert!(listed.len() < 10);
    assert!(listed.iter().all(|finding| finding.severity == Severity::High));
}
