//! GGUF, safetensors and NumPy files, and TensorFlow graphs: every type that is in use, and every field that can lie.

use holdfast_formats::testing::tensorflow::{graph, node, parameter, saved_model, small};
use holdfast_formats::testing::{GgufBuilder, Proto, SafetensorsBuilder, Value, weights};

use super::Corpus;

/// Number, name, elements of a block and bytes of a block, of each ggml tensor type in use.
#[rustfmt::skip]
const GGML: [(u32, &str, u64, usize); 29] = [
    (0, "F32", 1, 4), (1, "F16", 1, 2), (2, "Q4_0", 32, 18), (3, "Q4_1", 32, 20), (6, "Q5_0", 32, 22), (7, "Q5_1", 32, 24),
    (8, "Q8_0", 32, 34), (10, "Q2_K", 256, 84), (11, "Q3_K", 256, 110), (12, "Q4_K", 256, 144), (13, "Q5_K", 256, 176),
    (14, "Q6_K", 256, 210), (16, "IQ2_XXS", 256, 66), (17, "IQ2_XS", 256, 74), (18, "IQ3_XXS", 256, 98), (19, "IQ1_S", 256, 50),
    (20, "IQ4_NL", 32, 18), (21, "IQ3_S", 256, 110), (22, "IQ2_S", 256, 82), (23, "IQ4_XS", 256, 136), (24, "I8", 1, 1),
    (25, "I16", 1, 2), (26, "I32", 1, 4), (27, "I64", 1, 8), (28, "F64", 1, 8), (29, "IQ1_M", 256, 56), (30, "BF16", 1, 2),
    (34, "TQ1_0", 256, 54), (39, "MXFP4", 32, 17),
];
/// Name and bits of each safetensors type.
#[rustfmt::skip]
const SAFETENSORS: [(&str, usize); 16] = [
    ("BOOL", 8), ("U8", 8), ("I8", 8), ("F8_E5M2", 8), ("F8_E4M3", 8), ("I16", 16), ("U16", 16), ("F16", 16), ("BF16", 16), ("I32", 32),
    ("U32", 32), ("F32", 32), ("F64", 64), ("I64", 64), ("U64", 64), ("C64", 64),
];

pub fn add(corpus: &mut Corpus) {
    gguf(corpus);
    safetensors(corpus);
    npy(corpus);
    tensorflow(corpus);
}

fn gguf(corpus: &mut Corpus) {
    for (kind, name, elements, bytes) in GGML {
        let file = GgufBuilder::llama().tensor("extra.weight", &[elements * 4, 3], kind, bytes * 12);
        corpus.accept(&format!("gguf/{name}.gguf"), file.build().bytes);
    }
    for alignment in [8, 16, 64, 4096] {
        let file = GgufBuilder::llama().alignment(alignment);
        corpus.accept(&format!("gguf/alignment-{alignment}.gguf"), file.build().bytes);
    }
    corpus.accept(
        "gguf/version-2.gguf",
        GgufBuilder::llama().version(2).build().bytes,
    );
    let good = GgufBuilder::llama().build();
    let number = |value: u64| value.to_le_bytes();
    for (name, bytes, id) in [
        (
            "version-9",
            good.clone().with("version", &9_u32.to_le_bytes()).bytes,
            "HF-GGUF-001",
        ),
        ("trailing", good.clone().and(b"more").bytes, "HF-GGUF-029"),
        (
            "cut-off",
            good.clone().cut(good.bytes.len() - 40).bytes,
            "HF-GGUF-027",
        ),
        ("header-cut-off", good.clone().cut(100).bytes, "HF-GGUF-003"),
    ] {
        corpus.refuse(&format!("gguf/{name}.gguf"), bytes, id);
    }
    for (count, fields) in [("tensors", "tensor-count"), ("entries", "metadata-count")] {
        if good.marks.contains_key(fields) {
            let file = good.clone().with(fields, &number(u64::MAX));
            corpus.refuse(&format!("gguf/endless-{count}.gguf"), file.bytes, "HF-GGUF-004");
        }
    }
    for (name, template, id) in [
        ("class", "{{ ''.__class__.__mro__ }}", "HF-TPL-002"),
        ("class-in-pieces", "{{ ''['__cla' ~ 'ss__'] }}", "HF-TPL-002"),
        (
            "attribute-filter",
            "{{ messages | attr('__globals__') }}",
            "HF-TPL-002",
        ),
        (
            "globals",
            "{{ cycler.__init__.__globals__.os.popen('true') }}",
            "HF-TPL-002",
        ),
        (
            "behind-a-power",
            "{% set n = 2 ** 3 %}{{ cycler.__init__.__globals__['os']['popen']('true') }}",
            "HF-TPL-002",
        ),
        (
            "of-another-dialect",
            "{% print cycler.__init__.__globals__['os']['popen']('true')['read']() %}",
            "HF-TPL-001",
        ),
        (
            "chosen-in-the-chat",
            "{{ cycler[messages[0].content] }}",
            "HF-TPL-003",
        ),
        (
            "format-of-the-chat",
            "{{ messages[0].content.format(cycler) }}",
            "HF-TPL-003",
        ),
        ("include", "{% include '/etc/passwd' %}", "HF-TPL-004"),
        ("import", "{% import 'x' as x %}", "HF-TPL-004"),
    ] {
        let file = GgufBuilder::llama().set("tokenizer.chat_template", Value::text(template));
        corpus.refuse(&format!("template/{name}.gguf"), file.build().bytes, id);
    }
    for (name, template) in [
        (
            "chatml",
            "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        ),
        (
            "namespace",
            "{% set ns = namespace(found=false) %}{% for m in messages %}{% if m.role == 'system' %}{% set ns.found = true %}{% endif %}{{ m.content }}{% endfor %}",
        ),
        (
            "exception",
            "{% if messages | length == 0 %}{{ raise_exception('no messages') }}{% endif %}{{ messages[0].content }}",
        ),
        (
            "tools",
            "{% for t in tools or [] %}{{ t | tojson }}{% endfor %}{% for m in messages %}{{ m['content'] | trim }}{% endfor %}",
        ),
        (
            "macro",
            "{% macro say(m) %}[{{ m.role }}] {{ m.content }}{% endmacro %}{% for m in messages %}{{ say(m) }}{% endfor %}",
        ),
    ] {
        let file = GgufBuilder::llama().set("tokenizer.chat_template", Value::text(template));
        corpus.accept(&format!("template/{name}.gguf"), file.build().bytes);
    }
}

fn safetensors(corpus: &mut Corpus) {
    for (dtype, bits) in SAFETENSORS {
        let file = SafetensorsBuilder::new().tensor("t", dtype, &[4, 8], bits * 32 / 8);
        corpus.accept(&format!("safetensors/{dtype}.safetensors"), file.build().bytes);
    }
    corpus.accept(
        "safetensors/small.safetensors",
        SafetensorsBuilder::small().build().bytes,
    );
    let small = SafetensorsBuilder::small();
    let good = small.build();
    let tags = r#"{\"10_a\": {\"medieval(style)\": 12, \"hair curl - side\": 3}}"#;
    let described = small.clone().metadata("ss_tag_frequency", tags).metadata(
        "note",
        "call model.eval() after wget https://example.org/model.safetensors",
    );
    corpus.accept("safetensors/described.safetensors", described.build().bytes);
    let raw = |header: &str, data: &[u8]| SafetensorsBuilder::raw(header, data).bytes;
    for (name, bytes, id) in [
        ("trailing", good.clone().and(b"more").bytes, "HF-ST-016"),
        (
            "cut-off",
            good.clone().cut(good.bytes.len() - 1).bytes,
            "HF-ST-015",
        ),
        (
            "overlap",
            raw(
                r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#,
                &[0; 6],
            ),
            "HF-ST-013",
        ),
        (
            "gap",
            raw(
                r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[6,10]}}"#,
                &[0; 10],
            ),
            "HF-ST-014",
        ),
        (
            "size",
            raw(
                r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,4]}}"#,
                &[0; 4],
            ),
            "HF-ST-010",
        ),
        (
            "twice",
            raw(
                r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}"#,
                &[0; 4],
            ),
            "HF-ST-005",
        ),
        ("no-json", raw("{\"a\":{nonsense", &[]), "HF-ST-004"),
        (
            "metadata-number",
            raw(r#"{"__metadata__":{"a":1}}"#, &[]),
            "HF-ST-017",
        ),
        (
            "command",
            small
                .clone()
                .metadata("note", "import os; os.system('true')")
                .build()
                .bytes,
            "HF-ST-024",
        ),
        (
            "fetch",
            small
                .clone()
                .metadata("note", "curl -sL https://example.org/a -o a")
                .build()
                .bytes,
            "HF-ST-024",
        ),
        (
            "escaped-call",
            small
                .clone()
                .metadata("prompt", r#"{\"text\": \"a\\neval('true')\"}"#)
                .build()
                .bytes,
            "HF-ST-024",
        ),
        (
            "page",
            small.metadata("note", "<script>1</script>").build().bytes,
            "HF-ST-024",
        ),
    ] {
        corpus.refuse(&format!("safetensors/{name}.safetensors"), bytes, id);
    }
}

/// A NumPy file of version 1 with this description and this data.
pub fn numpy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}").into_bytes();
    header.resize((header.len() + 11).next_multiple_of(64) - 11, b' ');
    header.push(b'\n');
    let length = u16::try_from(header.len()).unwrap_or(0).to_le_bytes();
    [b"\x93NUMPY\x01\0".as_slice(), &length, &header, data].concat()
}

fn npy(corpus: &mut Corpus) {
    for (name, bytes) in [
        ("<f4", 4),
        ("<f8", 8),
        ("<f2", 2),
        ("<i8", 8),
        ("<i4", 4),
        ("|u1", 1),
        ("|b1", 1),
        ("<c8", 8),
    ] {
        let path = format!("npy/{}.npy", &name[1..]);
        corpus.accept(&path, numpy(name, "(2, 3)", &weights(6 * bytes)));
    }
    let evil = [b"\x80\x02".as_slice(), b"cos\nsystem\n\x8c\x04true\x85R."].concat();
    corpus.refuse("npy/objects.npy", numpy("|O", "(1,)", &evil), "HF-PKL-001");
    corpus.refuse(
        "npy/short.npy",
        numpy("<f4", "(2, 3)", &weights(23)),
        "HF-NPY-004",
    );
    corpus.refuse("npy/long.npy", numpy("<f4", "(2, 3)", &weights(25)), "HF-NPY-005");
    corpus.refuse("npy/type.npy", numpy("x9", "(2, 3)", &weights(24)), "HF-NPY-002");
    corpus.refuse(
        "npy/negative.npy",
        numpy("<f4", "(-2, 3)", &weights(24)),
        "HF-NPY-001",
    );
    corpus.refuse(
        "npy/call.npy",
        numpy("<f4", "__import__(\"os\")", &weights(24)),
        "HF-NPY-001",
    );
}

/// Operators that compute until a parameter of theirs names a file or a service.
fn tensorflow(corpus: &mut Corpus) {
    let text = |text: &str| Proto::new().text(2, text);
    let texts = |text: &str| Proto::new().message(1, &Proto::new().text(2, text));
    let of = |operator: &str, name: &str, value: &Proto| {
        let step = node("z", operator, &["x"]).message(5, &parameter(name, value));
        graph(&[small(), vec![step]].concat(), &[])
    };
    for (name, operator, attribute, value, id) in [
        (
            "mapped-file",
            "ImmutableConst",
            "memory_region_name",
            text("/etc/passwd"),
            "HF-TF-003",
        ),
        (
            "word-list",
            "FixedUnigramCandidateSampler",
            "vocab_file",
            text("/etc/passwd"),
            "HF-TF-003",
        ),
        (
            "word-list-of-a-caller",
            "FixedUnigramCandidateSampler",
            "vocab_file",
            Proto::new().text(9, "file"),
            "HF-TF-003",
        ),
        (
            "descriptions",
            "DecodeProtoV2",
            "descriptor_source",
            text("/etc/passwd"),
            "HF-TF-003",
        ),
        (
            "records",
            "RecordInput",
            "file_pattern",
            text("/etc/*"),
            "HF-TF-003",
        ),
        ("texts", "Skipgram", "filename", text("/etc/passwd"), "HF-TF-003"),
        (
            "mlir",
            "MlirPassthroughOp",
            "mlir_module",
            text("module {}"),
            "HF-TF-002",
        ),
        (
            "watched",
            "CopyHost",
            "debug_ops_spec",
            texts("DebugIdentity;grpc://debug.invalid:1;0"),
            "HF-TF-002",
        ),
    ] {
        let graph = of(operator, attribute, &value);
        corpus.refuse(&format!("tensorflow/{name}.pb"), graph.build(), id);
        let saved = saved_model(&graph).build();
        corpus.refuse(&format!("tensorflow/{name}-saved_model.pb"), saved, id);
    }
    for (name, operator, attribute, value) in [
        (
            "no-word-list",
            "FixedUnigramCandidateSampler",
            "vocab_file",
            text(""),
        ),
        ("built-in", "DecodeProtoV2", "descriptor_source", text("local://")),
        (
            "within",
            "EncodeProto",
            "descriptor_source",
            text("bytes://\n\u{3}a.b"),
        ),
        ("copied", "CopyHost", "debug_ops_spec", texts("")),
        ("addresses", "StaticRegexReplace", "pattern", text("https?://.*")),
        ("shown", "PrintV2", "output_stream", text("stderr")),
    ] {
        let graph = of(operator, attribute, &value);
        corpus.accept(&format!("tensorflow/{name}.pb"), graph.build());
    }
}
