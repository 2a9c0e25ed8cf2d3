//! The seeds: what the writers for tests and the corpus of hostile and ordinary files make, as far as it is small.

#[path = "../../../../../tests/corpus/cases.rs"]
#[expect(dead_code, reason = "what is expected of a file does not matter here")]
mod cases;
#[path = "templates.rs"]
mod templates;

use std::collections::BTreeMap;
use std::io::Write as _;

use holdfast_formats::testing::{
    Assembler, DOCUMENT_NAMES, GgufBuilder, Member, Proto, SafetensorsBuilder, Value, archive, checkpoint,
    deflate, legacy, onnx, tar_archive, tar_member, tar_records, tensorflow, weights,
};
use holdfast_formats::{Format, detect};

/// The longest seed, in bytes: mutations of short inputs are quick and easily understood.
const MAX_SEED_BYTES: usize = 4 << 10;

/// Seeds by target and name.
#[derive(Default)]
struct Seeds(BTreeMap<(&'static str, String), Vec<u8>>);

impl Seeds {
    fn add(&mut self, target: &'static str, name: &str, bytes: &[u8]) {
        let known = self
            .0
            .iter()
            .any(|((other, _), seed)| *other == target && seed == bytes);
        if bytes.len() <= MAX_SEED_BYTES && !known {
            self.0.insert((target, name.to_owned()), bytes.to_vec());
        }
    }

    /// Where a file of the corpus belongs by its content.
    fn sort(&mut self, path: &str, bytes: &[u8]) {
        let name = path.replace(['/', '.', ' '], "-");
        let file = path.rsplit('/').next().unwrap_or(path);
        let format = detect::detect(bytes);
        match format {
            Format::Gguf => self.add("gguf", &name, bytes),
            Format::Safetensors => self.add("safetensors", &name, bytes),
            Format::Pickle | Format::PytorchLegacy => {
                self.add("pickle", &name, &[&[0], bytes].concat());
                self.add("disarm", &name, bytes);
            }
            Format::Npy => self.add("npy", &name, bytes),
            Format::Png => self.add("picture", &name, &[&[0], bytes].concat()),
            Format::Jpeg => self.add("picture", &name, &[&[1], bytes].concat()),
            Format::Zip => {
                self.add("zip", &name, bytes);
                if name.contains("torch") && name.contains("accepted") {
                    self.add("disarm", &name, bytes);
                }
            }
            Format::Tar => self.add("tar", &name, bytes),
            Format::SevenZip => self.add("sevenzip", &name, bytes),
            Format::Gzip | Format::Zlib => self.add("gzip", &name, bytes),
            Format::Onnx => self.add("onnx", &name, bytes),
            Format::Sentencepiece => self.add("sentencepiece", &name, bytes),
            Format::SavedModel
            | Format::TensorflowGraph
            | Format::TensorflowFingerprint
            | Format::KerasMetadata => self.add("tensorflow", &name, bytes),
            Format::CheckpointIndex => self.add("checkpoint", &name, bytes),
            Format::Json | Format::Text => {
                if format == Format::Json {
                    self.add("json", &name, bytes);
                }
                let kind = DOCUMENT_NAMES.iter().position(|known| *known == file);
                let kind = kind.unwrap_or(usize::from(format == Format::Text));
                self.add(
                    "document",
                    &name,
                    &[&[u8::try_from(kind).unwrap_or(0)], bytes].concat(),
                );
            }
            _ => {}
        }
        // One file of each format for the target that detects, besides those that are of no known one.
        let first = !self
            .0
            .keys()
            .any(|(target, known)| *target == "any" && known.starts_with(format.name()));
        if first || matches!(format, Format::Unknown) {
            let seed = [file.as_bytes(), b"\n", bytes].concat();
            self.add("any", &format!("{}-{name}", format.name()), &seed);
        }
    }
}

/// Every seed with its target and name.
pub fn all() -> BTreeMap<(&'static str, String), Vec<u8>> {
    let mut seeds = Seeds::default();
    for case in cases::Corpus::all().cases {
        seeds.sort(&case.path, &case.bytes);
    }
    models(&mut seeds);
    pickles(&mut seeds);
    archives(&mut seeds);
    graphs(&mut seeds);
    saved_models(&mut seeds);
    for (name, source) in templates::ALL {
        seeds.add("template", name, source.as_bytes());
        seeds.add("document", name, &[&[2], source.as_bytes()].concat());
    }
    seeds.0
}

fn models(seeds: &mut Seeds) {
    seeds.add("gguf", "llama", &GgufBuilder::llama().build().bytes);
    seeds.add(
        "gguf",
        "aligned",
        &GgufBuilder::llama().alignment(64).build().bytes,
    );
    seeds.add("safetensors", "small", &SafetensorsBuilder::small().build().bytes);
    let deep = (0..9).fold(Value::texts(["x"]), |inner, _| Value::Array(9, vec![inner]));
    let charsmap = [9, 0, 0, 0, 1, 2].map(Value::U8).to_vec();
    for (name, key, value) in [
        ("deep", "test.deep", deep),
        (
            "charsmap",
            "tokenizer.ggml.precompiled_charsmap",
            Value::Array(0, charsmap),
        ),
        (
            "scores",
            "tokenizer.ggml.scores",
            Value::Array(6, vec![Value::F32(0.0); 4]),
        ),
        ("no-tokens", "tokenizer.ggml.tokens", Value::Array(8, Vec::new())),
        ("part", "split.count", Value::U16(4)),
    ] {
        seeds.add(
            "gguf",
            name,
            &GgufBuilder::llama().key(key, value.clone()).build().bytes,
        );
        seeds.add(
            "gguf",
            &format!("{name}-alone"),
            &GgufBuilder::new().key(key, value).build().bytes,
        );
    }
}

fn pickles(seeds: &mut Seeds) {
    let zero = Assembler::new()
        .raw(b"(dp0\nS'a'\np1\nI1\nsV\\u0061\np2\nL3L\ns.")
        .cut();
    let state = Assembler::protocol(2)
        .state_dict(&[("w", &[2, 3]), ("b", &[3])])
        .stop();
    let two = [state.clone(), Assembler::protocol(4).text("x").stop()].concat();
    let bomb = (0..40)
        .fold(Assembler::protocol(2).raw(b"]q\0"), |pickle, _| {
            pickle.raw(b"(h\0h\0tq\0")
        })
        .stop();
    let array = Assembler::protocol(4)
        .joblib_array(&[2], true)
        .raw(&[3, 0, 0, 0])
        .raw(&[0; 16])
        .stop();
    let objects = Assembler::protocol(4).dtype("O8").stop();
    let calls = Assembler::protocol(2)
        .raw(b"cos\nsystem\nX\x04\0\0\0true\x85R0(cos\nsystem\nX\x01\0\0\0aoS'a'\nios\nsystem\n(b")
        .stop();
    let odd = Assembler::protocol(5)
        .raw(b"\x95\x10\0\0\0\0\0\0\0\x8c\x02os\x94\x8c\x06sy\x94\x93\x81\x92\x97\x98\x96\x01\0\0\0\0\0\0\0x")
        .stop();
    for (name, bytes) in [
        ("protocol-0", zero),
        ("state-dict", state.clone()),
        ("two", two),
        ("bomb", bomb),
        ("joblib", array),
        ("objects", objects),
        ("calls", calls),
        ("odd", odd),
        (
            "stack-global",
            Assembler::protocol(4)
                .stack_global("os", "system")
                .raw(b")R")
                .stop(),
        ),
        (
            "legacy",
            legacy(&state, &[("0", 6, &weights(24)), ("1", 3, &weights(12))]),
        ),
    ] {
        for context in 0..3 {
            seeds.add(
                "pickle",
                &format!("{name}-{context}"),
                &[&[context], &bytes[..]].concat(),
            );
        }
        seeds.add("disarm", name, &bytes);
    }
}

fn archives(seeds: &mut Seeds) {
    let pickle = Assembler::protocol(2).state_dict(&[("w", &[2, 3])]).stop();
    let torch = archive(&[
        Member::stored("m/data.pkl", &pickle),
        Member::stored("m/byteorder", b"little").descriptor(16),
        Member::stored("m/data/0", &weights(24)).packed(8, deflate(&weights(24))),
    ])
    .bytes;
    let tar = tar_archive(&[
        tar_member("x", b'x', &tar_records(&[("path", "a.pkl")])),
        tar_member("a.pkl", b'0', &pickle),
        tar_member("b/", b'5', b""),
    ]);
    let gzip = gzip(&pickle);
    seeds.add("zip", "torch", &torch);
    seeds.add("disarm", "torch-packed", &torch);
    seeds.add("tar", "pickle", &tar);
    seeds.add("gzip", "pickle", &gzip);
    seeds.add("gzip", "tar", &self::gzip(&tar));
    seeds.add("gzip", "two", &[gzip.clone(), gzip.clone()].concat());
    seeds.add("gzip", "zip", &self::gzip(&torch));
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    // Writing to memory does not fail.
    let _ = zlib.write_all(&pickle);
    seeds.add("gzip", "zlib", &zlib.finish().unwrap_or_default());
    let numbers = [
        b"\x93NUMPY\x01\0\x36\0{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}\n",
        &[0; 16][..],
    ]
    .concat();
    for (name, members) in [
        ("npz", vec![Member::stored("a.npy", &numbers)]),
        (
            "nested",
            vec![
                Member::stored("a.zip", &torch),
                Member::stored("b.tar.gz", &self::gzip(&tar)),
            ],
        ),
        (
            "documents",
            vec![
                Member::stored("config.json", br#"{"model_type": "x"}"#),
                Member::stored("README.md", b"# A model\n"),
            ],
        ),
        (
            "gguf",
            vec![Member::stored("m.gguf", &GgufBuilder::new().build().bytes)],
        ),
        (
            "safetensors",
            vec![Member::stored(
                "m.safetensors",
                &SafetensorsBuilder::small().build().bytes,
            )],
        ),
        ("onnx", vec![Member::stored("m.onnx", &onnx::small().build())]),
    ] {
        seeds.add("zip", name, &archive(&members).bytes);
    }
    seeds.add(
        "tar",
        "nested",
        &tar_archive(&[tar_member("a.zip", b'0', &torch)]),
    );
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    // Writing to memory does not fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// What lies beside a `SavedModel`.
fn saved_models(seeds: &mut Seeds) {
    let (bias, kernel) = (
        checkpoint::variable(1, &[4], 0, 0, 16),
        checkpoint::variable(1, &[2, 4], 1, 16, 32),
    );
    let slice = Proto::new().message(1, &Proto::new().int(1, 2).int(2, 2));
    let parts = checkpoint::variable(1, &[8], 0, 0, 0).message(7, &slice);
    for (name, shards, variables) in [
        ("one", 1, vec![("bias", bias.clone())]),
        (
            "two",
            2,
            vec![("layer/bias", bias.clone()), ("layer/kernel", kernel)],
        ),
        ("parts", 1, vec![("\0part", bias), ("whole", parts)]),
        (
            "texts",
            1,
            vec![("names", checkpoint::variable(7, &[2], 0, 0, 20))],
        ),
        (
            "object",
            1,
            vec![("table", checkpoint::variable(21, &[], 0, 0, 9))],
        ),
    ] {
        seeds.add("checkpoint", name, &checkpoint::index(shards, &variables));
    }
    let sums = (1..=5).fold(Proto::new(), |file, field| file.int(field, u64::MAX));
    let sums = sums.message(6, &Proto::new().int(1, 1)).text(7, "12");
    seeds.add("tensorflow", "fingerprint", &sums.build());
    for (name, note) in [
        ("dense", r#"{"class_name": "Dense", "config": {"units": 2}}"#),
        (
            "lambda",
            r#"{"class_name": "Lambda", "config": {"function": ["4wEA", null, null]}}"#,
        ),
        (
            "import",
            r#"{"class_name": "D", "config": {"x": {"module": "os", "class_name": "system", "config": {}}}}"#,
        ),
    ] {
        let object = Proto::new()
            .text(3, "root")
            .text(4, "_tf_keras_network")
            .text(5, note);
        let file = Proto::new().message(1, &object).build();
        seeds.add("tensorflow", &format!("metadata-{name}"), &file);
    }
}

fn graphs(seeds: &mut Seeds) {
    let external = onnx::shape(1, &[2])
        .text(8, "w")
        .message(13, &onnx::entry("location", "a/b"))
        .int(14, 1);
    let function = Proto::new()
        .text(1, "F")
        .message(7, &onnx::node("", "Relu", &["a"], &["b"]))
        .text(10, "mine");
    let custom = onnx::graph(&[onnx::node("mine", "F", &["x"], &["y"])], &[external]);
    seeds.add("onnx", "small", &onnx::small().build());
    seeds.add(
        "onnx",
        "function",
        &onnx::model(&custom).message(25, &function).build(),
    );
    for (name, nodes) in [
        ("small", tensorflow::small()),
        (
            "saver",
            vec![
                tensorflow::node("saver_filename", "Placeholder", &[]),
                tensorflow::call("s", "save", &["saver_filename"]),
            ],
        ),
        (
            "code",
            vec![
                tensorflow::node("a", "PyFunc", &[]),
                tensorflow::text("name", "/etc/passwd"),
                tensorflow::node("b", "ReadFile", &["name"]),
            ],
        ),
    ] {
        let graph = tensorflow::graph(&nodes, &[tensorflow::saver("save")]);
        seeds.add("tensorflow", name, &graph.build());
        seeds.add(
            "tensorflow",
            &format!("saved-{name}"),
            &tensorflow::saved_model(&graph).build(),
        );
    }
    for (domain, operator) in [
        ("ai.onnx.contrib", "PyOp"),
        ("com.microsoft", "FusedConv"),
        ("com.microsoft", "EPContext"),
        ("ai.onnx.ml", "TreeEnsembleClassifier"),
        ("org.pytorch.aten", "ATen"),
    ] {
        let graph = onnx::graph(&[onnx::node(domain, operator, &["x"], &["y"])], &[]);
        seeds.add("onnx", operator, &onnx::model(&graph).build());
    }
    for operator in [
        "TextLineDataset",
        "VarHandleOp",
        "XlaCustomCall",
        "ShellExecute",
        "While",
    ] {
        let graph = tensorflow::graph(&[tensorflow::node("n", operator, &["x"])], &[]);
        seeds.add("tensorflow", operator, &graph.build());
    }
    let meta = |more: &Proto| {
        let meta = Proto::new().message(2, &tensorflow::graph(&tensorflow::small(), &[]));
        Proto::new().int(1, 1).message(2, &meta.raw(&more.build()))
    };
    for (name, note) in [
        ("keras-layer", r#"{"class_name":"Dense"}"#),
        ("keras-lambda", r#"{"class_name":"Lambda","config":{}}"#),
        ("keras-broken", "{"),
    ] {
        let object = Proto::new().message(4, &Proto::new().text(1, "_tf_keras_layer").text(3, note));
        let seed = meta(&Proto::new().message(7, &Proto::new().message(1, &object)));
        seeds.add("tensorflow", name, &seed.build());
    }
    let asset = meta(&Proto::new().message(6, &Proto::new().text(2, "../../etc/passwd")));
    seeds.add("tensorflow", "asset", &asset.build());
    let inner = Proto::new()
        .int(1, 7)
        .packed(2, &[1, 300])
        .text(7, "a")
        .texts(8, &["b", "c"]);
    let outer = Proto::new()
        .raw(b"\x1d\x01\x02\x03\x04\x29\x01\x02\x03\x04\x05\x06\x07\x08")
        .message(9, &inner);
    seeds.add("protobuf", "fields", &outer.build());
    seeds.add(
        "protobuf",
        "nested",
        &(0..20)
            .fold(inner, |inside, _| Proto::new().message(9, &inside))
            .build(),
    );
    seeds.add("protobuf", "onnx", &onnx::small().build());
}
