//! GGUF metadata: what is refused, what is noted, and what is learnt from it.

mod common;

use common::{ids, inspect, judged};
use holdfast_contract::report::{Condition, Verdict};
use holdfast_formats::testing::{GgufBuilder, Value};

const NONE: [&str; 0] = [];

#[test]
fn oddities_that_harm_nobody_are_noted_and_admitted() {
    let llama = GgufBuilder::llama;
    let nested = Value::Array(
        9,
        vec![
            Value::Array(9, vec![Value::texts(["a", "b"])]),
            Value::Array(5, vec![]),
        ],
    );
    let cases = [
        ("HF-GGUF-008", llama().key("test.nested", nested)),
        (
            "HF-GGUF-013",
            llama().key("test.bytes", Value::String(b"caf\xe9".to_vec())),
        ),
        (
            "HF-GGUF-013",
            llama().key(
                "test.list",
                Value::Array(8, vec![Value::String(b"\xff".to_vec()); 20]),
            ),
        ),
        ("HF-GGUF-015", llama().alignment(1)),
        ("HF-GGUF-015", llama().alignment(4)),
        ("HF-GGUF-030", llama().tensor("none", &[0, 4], 0, 0)),
        ("HF-GGUF-032", llama().without("general.architecture")),
        (
            "HF-GGUF-036",
            llama().set("tokenizer.ggml.tokens", Value::texts(["a", "b", "c", "d", "a"])),
        ),
        (
            "HF-GGUF-037",
            llama().set("tokenizer.ggml.eos_token_id", Value::U32(5)),
        ),
        (
            "HF-GGUF-038",
            llama().set("tokenizer.ggml.scores", Value::Array(6, vec![Value::F32(0.0); 6])),
        ),
        ("HF-GGUF-039", llama().set("llama.block_count", Value::U32(513))),
        (
            "HF-GGUF-039",
            llama().set("llama.context_length", Value::U64(1 << 40)),
        ),
        (
            "HF-GGUF-039",
            llama().key("llama.expert_used_count", Value::U32(2)),
        ),
    ];
    for (id, builder) in cases {
        let file = builder.build();
        assert_eq!(ids(&file.bytes), [id]);
        assert_eq!(judged(&file.bytes).0, Verdict::Admit, "{id}");
    }
}

#[test]
fn the_nearest_ordinary_values_are_not_noted() {
    for builder in [
        GgufBuilder::llama().set("tokenizer.ggml.eos_token_id", Value::U32(4)),
        GgufBuilder::llama().set("llama.block_count", Value::U32(512)),
        GgufBuilder::llama().set("tokenizer.ggml.tokens", Value::texts(["", "", "c", "d", "e"])),
        GgufBuilder::llama()
            .key("llama.expert_count", Value::U32(8))
            .key("llama.expert_used_count", Value::U32(2)),
        GgufBuilder::llama().key("clip.vision.block_count", Value::U32(0)),
    ] {
        assert_eq!(ids(&builder.build().bytes), NONE);
    }
}

#[test]
fn metadata_that_contradicts_itself_is_refused() {
    let llama = GgufBuilder::llama;
    let deep = (0..9).fold(Value::texts(["x"]), |inner, _| Value::Array(9, vec![inner]));
    let cases = [
        ("HF-GGUF-009", llama().key("test.deep", deep)),
        ("HF-GGUF-007", llama().key("test.odd", Value::Array(13, vec![]))),
        (
            "HF-GGUF-012",
            llama().key(
                "test.flags",
                Value::Array(7, vec![Value::U8(1), Value::U8(0), Value::U8(3)]),
            ),
        ),
        ("HF-GGUF-033", llama().set("general.architecture", Value::U32(7))),
        (
            "HF-GGUF-033",
            llama().set("tokenizer.ggml.tokens", Value::Array(5, vec![Value::I32(1); 5])),
        ),
        (
            "HF-GGUF-033",
            llama().set("tokenizer.ggml.scores", Value::Array(8, vec![])),
        ),
        (
            "HF-GGUF-033",
            llama().set("tokenizer.ggml.token_type", Value::I32(5)),
        ),
        (
            "HF-GGUF-034",
            llama().set("tokenizer.ggml.scores", Value::Array(6, vec![Value::F32(0.0); 4])),
        ),
        (
            "HF-GGUF-034",
            llama().set(
                "tokenizer.ggml.token_type",
                Value::Array(5, vec![Value::I32(1); 1]),
            ),
        ),
        (
            "HF-GGUF-035",
            llama().set("tokenizer.ggml.tokens", Value::Array(8, vec![])),
        ),
        (
            "HF-GGUF-043",
            llama().key("tokenizer.ggml.precompiled_charsmap", bytes(&[9, 0, 0, 0, 1, 2])),
        ),
        (
            "HF-GGUF-043",
            llama().key("tokenizer.ggml.precompiled_charsmap", bytes(&[0, 0, 0])),
        ),
    ];
    for (id, builder) in cases {
        let file = builder.build();
        assert!(
            ids(&file.bytes).contains(&id.to_owned()),
            "{id}: {:?}",
            ids(&file.bytes)
        );
        assert_eq!(judged(&file.bytes).0, Verdict::Refuse, "{id}");
    }
    let charsmap = llama().key("tokenizer.ggml.precompiled_charsmap", bytes(&[1, 0, 0, 0, 7, 0]));
    assert_eq!(ids(&charsmap.build().bytes), NONE);
}

fn bytes(bytes: &[u8]) -> Value {
    Value::Array(0, bytes.iter().map(|byte| Value::U8(*byte)).collect())
}

#[test]
fn an_array_longer_than_any_file_is_refused_by_its_declared_length() {
    let file = GgufBuilder::llama()
        .key("test.list", Value::Array(0, vec![Value::U8(1)]))
        .build();
    let mut value = file.bytes[file.mark("key/test.list/value")].to_vec();
    value[4..12].copy_from_slice(&((1_u64 << 30) + 1).to_le_bytes());
    assert_eq!(
        ids(&file.clone().with("key/test.list/value", &value).bytes),
        ["HF-GGUF-011"]
    );
    value[4..12].copy_from_slice(&(1_u64 << 30).to_le_bytes());
    assert_eq!(
        ids(&file.with("key/test.list/value", &value).bytes),
        ["HF-GGUF-003"]
    );
}

#[test]
fn parts_of_a_split_model_are_understood() {
    let part = |number, count, total| {
        GgufBuilder::llama()
            .key("split.no", Value::U16(number))
            .key("split.count", Value::U16(count))
            .key("split.tensors.count", Value::I32(total))
    };
    for (builder, wanted) in [
        (part(0, 0, 3), vec![]),
        (part(0, 1, 3), vec![]),
        (part(0, 4, 30), vec!["HF-GGUF-040"]),
        (
            part(3, 4, 30).without("general.architecture"),
            vec!["HF-GGUF-040"],
        ),
        (part(4, 4, 30), vec!["HF-GGUF-041"]),
        (part(0, 4, 2), vec!["HF-GGUF-041"]),
        (part(0, 1, 4), vec!["HF-GGUF-041"]),
        (part(0, 4, 30).without("split.no"), vec!["HF-GGUF-041"]),
        (part(0, 4, 30).set("split.no", Value::U32(0)), vec!["HF-GGUF-033"]),
    ] {
        assert_eq!(ids(&builder.build().bytes), wanted);
    }
}

#[test]
fn an_unusable_chat_template_is_a_condition() {
    let with = |value| GgufBuilder::llama().set("tokenizer.chat_template", value).build();
    for (value, id) in [
        (Value::String(b"{{ \xff }}".to_vec()), "HF-GGUF-042"),
        (Value::texts(["a", "b"]), "HF-GGUF-042"),
        (Value::text("{{ 2 ** 9 }}"), "HF-TPL-012"),
        (
            Value::text("{{ 'x' if 'invoice' in messages[-1].content }}"),
            "HF-TPL-006",
        ),
    ] {
        let file = with(value);
        assert_eq!(ids(&file.bytes), [id]);
        assert_eq!(
            judged(&file.bytes),
            (Verdict::Conditional, vec![Condition::NoChatTemplate])
        );
    }
    assert_eq!(ids(&with(Value::String(vec![b'x'; 256 << 10])).bytes), NONE);
}

#[test]
fn a_chat_template_that_nobody_can_judge_refuses_the_model() {
    for value in [
        Value::String(vec![b'x'; (256 << 10) + 1]),
        Value::text("{{ messages"),
    ] {
        let file = GgufBuilder::llama().set("tokenizer.chat_template", value).build();
        assert_eq!(ids(&file.bytes), ["HF-TPL-001"]);
        assert_eq!(judged(&file.bytes).0, Verdict::Refuse);
    }
}

#[test]
fn a_chat_template_that_reaches_out_refuses_the_model_wherever_it_stands() {
    for key in ["tokenizer.chat_template", "tokenizer.chat_template.tool_use"] {
        let source = "{% for m in messages %}{{ m.content }}{% endfor %}{{ ''['__cla' ~ 'ss__'] }}";
        let file = GgufBuilder::llama().set(key, Value::text(source)).build();
        assert_eq!(ids(&file.bytes), ["HF-TPL-002"], "{key}");
        assert_eq!(judged(&file.bytes).0, Verdict::Refuse);
        let offset = inspect(&file.bytes).findings.into_parts().0[0].offset.unwrap();
        let offset = usize::try_from(offset).unwrap();
        assert!(file.bytes[offset..].starts_with(b"''['__cla'"), "{key}");
    }
}

#[test]
fn text_from_the_file_is_sanitised() {
    let hostile = "Nice\u{202e}Model\u{0}\u{1b}[31m\n\n<b>";
    let file = GgufBuilder::llama()
        .set("general.name", Value::text(hostile))
        .build();
    let facts = inspect(&file.bytes).facts.unwrap();
    assert_eq!(facts.name.as_deref(), Some("NiceModel[31m <b>"));
    let long = GgufBuilder::llama()
        .set("general.name", Value::text(&"n".repeat(10_000)))
        .build();
    assert!(inspect(&long.bytes).facts.unwrap().name.unwrap().len() < 200);
}
