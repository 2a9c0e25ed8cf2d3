//! Directories whose files are one model together: whole ones, and ones whose files contradict each other.

use std::fmt::Write as _;

use holdfast_formats::testing::apple::{downloaded, ds_store};
use holdfast_formats::testing::checkpoint::{index as variables, variable};
use holdfast_formats::testing::tensorflow::{graph, node, saved_model, small};
use holdfast_formats::testing::{
    Assembler, GgufBuilder, Proto, SafetensorsBuilder, Value, onnx, sentencepiece, weights, zip,
};

use super::{Corpus, Directory};

type Files = Vec<(&'static str, Vec<u8>)>;

const CONFIG: &str = r#"{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}"#;
const FIRST: &str = "model-00001-of-00002.safetensors";
const SECOND: &str = "model-00002-of-00002.safetensors";
const INDEX: &str = "model.safetensors.index.json";

pub fn add(corpus: &mut Corpus) {
    shards(corpus);
    pytorch(corpus);
    gguf(corpus);
    external(corpus);
    saved_models(corpus);
    folders(corpus);
    snapshots(corpus);
}

impl Corpus {
    fn whole(&mut self, name: &str, files: Files) {
        self.directory(&format!("accepted/set/{name}"), files, None);
    }

    fn contradictory(&mut self, name: &str, files: Files, finding: &'static str) {
        self.directory(&format!("refused/set/{name}"), files, Some(finding));
    }

    fn directory(&mut self, path: &str, files: Files, finding: Option<&'static str>) {
        self.directories.push(Directory {
            path: path.to_owned(),
            files: files
                .into_iter()
                .map(|(name, bytes)| (name.to_owned(), bytes))
                .collect(),
            finding,
        });
    }
}

/// A shard with tensors of eight bytes.
fn shard(names: &[&str]) -> Vec<u8> {
    let tensors = names.iter().fold(SafetensorsBuilder::new(), |file, name| {
        file.tensor(name, "F32", &[2], 8)
    });
    tensors.build().bytes
}

fn index(total: u64, entries: &[(&str, &str)]) -> Vec<u8> {
    let mut map = String::new();
    for (name, file) in entries {
        let _ = write!(
            map,
            "{}\"{name}\": \"{file}\"",
            if map.is_empty() { "" } else { ", " }
        );
    }
    format!("{{\"metadata\": {{\"total_size\": {total}}}, \"weight_map\": {{{map}}}}}").into_bytes()
}

fn shards(corpus: &mut Corpus) {
    let map = [("a", FIRST), ("b", FIRST), ("c", SECOND)];
    let whole = |first: &[&str], second: &[&str], index: Vec<u8>| -> Files {
        vec![(FIRST, shard(first)), (SECOND, shard(second)), (INDEX, index)]
    };
    corpus.whole("safetensors", whole(&["a", "b"], &["c"], index(24, &map)));
    corpus.whole("safetensors-old-size", whole(&["a", "b"], &["c"], index(7, &map)));
    corpus.whole("no-index", vec![(FIRST, shard(&["a"])), (SECOND, shard(&["b"]))]);
    let wide = "model-00001-of-000001.safetensors";
    corpus.whole(
        "other-digits",
        vec![(wide, shard(&["a"])), (INDEX, index(8, &[("a", wide)]))],
    );
    from_zero(corpus);
    let mut beside = whole(&["a", "b"], &["c"], index(24, &map));
    beside.push(("consolidated.safetensors", shard(&["a", "b", "c"])));
    beside.push(("config.json", CONFIG.into()));
    corpus.whole("another-file-beside", beside);
    let without = |name: &str| -> Files {
        let mut files = whole(&["a", "b"], &["c"], index(24, &map));
        files.retain(|(known, _)| *known != name);
        files
    };
    corpus.contradictory("shard-missing", without(SECOND), "HF-SET-003");
    let mut loose = without(SECOND);
    loose.retain(|(known, _)| *known != INDEX);
    corpus.contradictory("numbered-missing", loose, "HF-SET-004");
    corpus.contradictory(
        "index-counts-fewer",
        vec![(FIRST, shard(&["a"])), (INDEX, index(8, &[("a", FIRST)]))],
        "HF-SET-004",
    );
    let other = "model-00002-of-00003.safetensors";
    corpus.contradictory(
        "counts-differ",
        vec![
            (FIRST, shard(&["a"])),
            (other, shard(&["b"])),
            (INDEX, index(16, &[("a", FIRST), ("b", other)])),
        ],
        "HF-SET-004",
    );
    for (name, first, second, id) in [
        ("tensor-misplaced", &["a"][..], &["b", "c"][..], "HF-SET-005"),
        ("tensor-missing", &["a"], &["c"], "HF-SET-005"),
        ("tensor-twice", &["a", "b"], &["b", "c"], "HF-SET-006"),
        ("tensor-unlisted", &["a", "b"], &["c", "d"], "HF-SET-007"),
    ] {
        corpus.contradictory(name, whole(first, second, index(24, &map)), id);
    }
    let nested = index(24, &[("a", FIRST), ("b", FIRST), ("c", "sub/c.safetensors")]);
    corpus.contradictory(
        "shard-in-directory",
        whole(&["a", "b"], &["c"], nested),
        "HF-SET-003",
    );
    let mut broken = whole(&["a", "b"], &["c"], index(24, &map));
    broken[1].1.push(0);
    corpus.contradictory("shard-refused", broken, "HF-SET-002");
    let long = "n".repeat(600);
    let named = index(8, &[(long.as_str(), wide)]);
    corpus.contradictory(
        "name-too-long",
        vec![(wide, shard(&[&long])), (INDEX, named)],
        "HF-SET-017",
    );
}

/// Shards that are numbered from 0, as gpt-oss has them: up to how many there are, or to one less.
fn from_zero(corpus: &mut Corpus) {
    const NAMES: [&str; 3] = [
        "model-00000-of-00002.safetensors",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ];
    let files = |there: &[usize], listed: &[usize]| -> Files {
        let tensors = ["a", "b", "c"];
        let mut files: Files = there
            .iter()
            .map(|number| (NAMES[*number], shard(&[tensors[*number]])))
            .collect();
        let map: Vec<_> = listed
            .iter()
            .map(|number| (tensors[*number], NAMES[*number]))
            .collect();
        files.push((INDEX, index(8 * map.len() as u64, &map)));
        files
    };
    corpus.whole("from-zero", files(&[0, 1, 2], &[0, 1, 2]));
    corpus.whole("from-zero-to-one-less", files(&[0, 1], &[0, 1]));
    corpus.contradictory("from-zero-gap", files(&[0, 2], &[0, 2]), "HF-SET-004");
    corpus.contradictory("from-zero-missing", files(&[0, 1], &[0, 1, 2]), "HF-SET-003");
    corpus.contradictory("from-zero-one-more", files(&[0, 1, 2], &[0, 1]), "HF-SET-004");
    let mut loose = files(&[0, 1, 2], &[]);
    loose.pop();
    corpus.contradictory("from-zero-no-index", loose, "HF-SET-004");
}

/// A checkpoint with tensors of eight bytes.
fn checkpoint(names: &[&str]) -> Vec<u8> {
    let tensors: Vec<(&str, &[i32])> = names.iter().map(|name| (*name, &[2][..])).collect();
    let pickle = Assembler::protocol(2).state_dict(&tensors).stop();
    let storages: Vec<String> = (0..names.len()).map(|key| format!("m/data/{key}")).collect();
    let numbers = weights(8);
    let mut members: Vec<(&str, &[u8])> = vec![("m/data.pkl", &pickle)];
    members.extend(storages.iter().map(|name| (name.as_str(), numbers.as_slice())));
    members.push(("m/version", b"3\n"));
    zip(&members, b"")
}

fn pytorch(corpus: &mut Corpus) {
    const ONE: &str = "pytorch_model-00001-of-00002.bin";
    const TWO: &str = "pytorch_model-00002-of-00002.bin";
    const MAP: &str = "pytorch_model.bin.index.json";
    let map = index(24, &[("a", ONE), ("b", ONE), ("c", TWO)]);
    let files = |one: &[&str], two: &[&str]| -> Files {
        vec![(ONE, checkpoint(one)), (TWO, checkpoint(two)), (MAP, map.clone())]
    };
    corpus.whole("pytorch", files(&["a", "b"], &["c"]));
    corpus.contradictory("pytorch-misplaced", files(&["a"], &["b", "c"]), "HF-SET-005");
    corpus.contradictory("pytorch-twice", files(&["a", "b"], &["c", "a"]), "HF-SET-006");
    let mut harmful = files(&["a", "b"], &["c"]);
    harmful[1].1 = Assembler::protocol(2)
        .global("os", "system")
        .text("true")
        .raw(b"\x85R")
        .stop();
    corpus.contradictory("pytorch-harmful", harmful, "HF-SET-002");
}

/// A part of a split model with tensors of eight bytes.
fn part(number: u16, count: u16, tensors: i32, names: &[&str]) -> GgufBuilder {
    let head = if number == 0 {
        GgufBuilder::llama().without_tensors()
    } else {
        GgufBuilder::new()
    };
    let head = head
        .set("split.no", Value::U16(number))
        .set("split.count", Value::U16(count))
        .set("split.tensors.count", Value::I32(tensors));
    names
        .iter()
        .fold(head, |file, name| file.tensor(name, &[2], 0, 8))
}

fn gguf(corpus: &mut Corpus) {
    const ONE: &str = "m-00001-of-00002.gguf";
    const TWO: &str = "m-00002-of-00002.gguf";
    let files = |one: GgufBuilder, two: GgufBuilder| -> Files {
        vec![(ONE, one.build().bytes), (TWO, two.build().bytes)]
    };
    let (one, two) = (part(0, 2, 3, &["a", "b"]), part(1, 2, 3, &["c"]));
    corpus.whole("gguf", files(one.clone(), two.clone()));
    corpus.whole(
        "gguf-first-without-tensors",
        files(part(0, 2, 1, &[]), part(1, 2, 1, &["c"])),
    );
    corpus.whole(
        "gguf-single",
        vec![("m-00001-of-00001.gguf", part(0, 1, 1, &["a"]).build().bytes)],
    );
    corpus.contradictory("gguf-missing", vec![(ONE, one.build().bytes)], "HF-SET-004");
    corpus.contradictory(
        "gguf-unnumbered",
        vec![("m.gguf", one.build().bytes)],
        "HF-SET-004",
    );
    corpus.contradictory("gguf-swapped", files(two.clone(), one.clone()), "HF-SET-010");
    corpus.contradictory(
        "gguf-twice",
        files(one.clone(), part(1, 2, 3, &["a"])),
        "HF-SET-006",
    );
    corpus.contradictory(
        "gguf-too-few",
        files(one.clone(), part(1, 2, 3, &[])),
        "HF-SET-010",
    );
    corpus.contradictory(
        "gguf-totals-differ",
        files(one.clone(), part(1, 2, 2, &["c"])),
        "HF-SET-010",
    );
    corpus.contradictory(
        "gguf-no-part",
        files(one.clone(), GgufBuilder::llama()),
        "HF-SET-010",
    );
    let other = two.set("general.architecture", Value::text("gpt2"));
    corpus.contradictory("gguf-other-model", files(one, other), "HF-SET-010");
}

/// A model of two tensors with 600 numbers each, at these places of a file.
fn model(file: &str, places: &[(u64, Option<u64>)]) -> Vec<u8> {
    let tensors: Vec<Proto> = places
        .iter()
        .enumerate()
        .map(|(number, (at, length))| {
            let mut entries = vec![
                onnx::entry("location", file),
                onnx::entry("offset", &at.to_string()),
            ];
            entries.extend(length.map(|length| onnx::entry("length", &length.to_string())));
            onnx::shape(1, &[600])
                .text(8, &format!("w{number}"))
                .messages(13, &entries)
                .int(14, 1)
        })
        .collect();
    onnx::model(&onnx::graph(&[onnx::node("", "Relu", &["x"], &["y"])], &tensors)).build()
}

fn external(corpus: &mut Corpus) {
    const DATA: &str = "model.onnx_data";
    let both = [(0, Some(2400)), (4096, Some(2400))];
    // Numbers as they look: a first byte that no format begins with.
    let data = |gap: u8, more: usize| {
        let mut bytes = weights(2400);
        bytes[0] = 0xf1;
        bytes.resize(4096, gap);
        bytes.extend(weights(2400));
        bytes.resize(bytes.len() + more, 0);
        bytes
    };
    let files = |model: Vec<u8>, data: Vec<u8>| -> Files { vec![("model.onnx", model), (DATA, data)] };
    corpus.whole("onnx", files(model(DATA, &both), data(0, 0)));
    corpus.whole("onnx-padded", files(model(DATA, &both), data(0, 4000)));
    corpus.whole(
        "onnx-no-length",
        files(model(DATA, &[(0, None), (4096, None)]), data(0, 0)),
    );
    corpus.whole("onnx-shared", {
        let mut files = files(model(DATA, &both), data(0, 0));
        files.push(("second.onnx", model("./model.onnx_data", &both)));
        files
    });
    let own = [(0, Some(2400)), (0, Some(2400))];
    let mut first = weights(2400);
    first[0] = 0xf1;
    corpus.whole("onnx-tied-weights", files(model(DATA, &own), first));
    for (name, places, gap, more, id) in [
        ("onnx-gap", both, 7, 0, "HF-SET-012"),
        ("onnx-large-gap", both, 0, 70_000, "HF-SET-012"),
        (
            "onnx-overlap",
            [(0, Some(2400)), (2000, Some(2400))],
            0,
            0,
            "HF-SET-012",
        ),
        (
            "onnx-beyond",
            [(0, Some(2400)), (5000, Some(2400))],
            0,
            0,
            "HF-SET-011",
        ),
        (
            "onnx-far-beyond",
            [(0, Some(2400)), (u64::MAX, Some(2400))],
            0,
            0,
            "HF-SET-011",
        ),
        (
            "onnx-length",
            [(0, Some(2400)), (4096, Some(2000))],
            0,
            0,
            "HF-SET-011",
        ),
    ] {
        corpus.contradictory(name, files(model(DATA, &places), data(gap, more)), id);
    }
    corpus.contradictory(
        "onnx-missing",
        vec![("model.onnx", model(DATA, &both))],
        "HF-SET-003",
    );
    let deeper = model("sub/data", &both);
    corpus.contradictory("onnx-elsewhere", files(deeper, data(0, 0)), "HF-SET-003");
    let mut program = data(0, 0);
    program[..4].copy_from_slice(b"\x7fELF");
    corpus.contradictory("onnx-program", files(model(DATA, &both), program), "HF-SET-002");
}

const MODEL: &str = "saved_model.pb";
const VARIABLES: &str = "variables/variables.index";
const NUMBERS: &str = "variables/variables.data-00000-of-00001";

/// A `SavedModel` with a variable of 2400 bytes and a text, and what Keras and TensorFlow note beside it.
fn with_variables(note: &str) -> Files {
    let steps = [small(), vec![node("v", "VarHandleOp", &[])]].concat();
    let sums = (1..=5).fold(Proto::new(), |file, field| {
        file.int(field, u64::MAX / u64::from(field))
    });
    let object = Proto::new()
        .text(3, "root")
        .text(4, "_tf_keras_network")
        .text(5, note);
    let mut numbers = weights(2409);
    numbers[0] = 0xf1;
    vec![
        ("fingerprint.pb", sums.build()),
        ("keras_metadata.pb", Proto::new().message(1, &object).build()),
        (MODEL, saved_model(&graph(&steps, &[])).build()),
        (NUMBERS, numbers),
        (VARIABLES, places(&[(0, 2400), (2400, 9)])),
    ]
}

/// The index of a variable and a text at these places.
fn places(of: &[(u64, u64); 2]) -> Vec<u8> {
    let [(numbers, bytes), (text, length)] = *of;
    variables(
        1,
        &[
            ("kernel", variable(1, &[bytes / 4], 0, numbers, bytes)),
            ("names", variable(7, &[], 0, text, length)),
        ],
    )
}

fn saved_models(corpus: &mut Corpus) {
    const DENSE: &str = r#"{"class_name": "Dense", "config": {"units": 2}}"#;
    const LAMBDA: &str = r#"{"class_name": "Lambda", "config": {"function": ["4wEA", null, null]}}"#;
    let without = |name: &str| -> Files {
        let mut files = with_variables(DENSE);
        files.retain(|(known, _)| *known != name);
        files
    };
    let replace = |name: &'static str, bytes: Vec<u8>| -> Files {
        let mut files = without(name);
        files.push((name, bytes));
        files
    };
    corpus.whole("saved-model", with_variables(DENSE));
    let mut deeper = with_variables(DENSE);
    deeper.push(("a-folder-that-comes-first/notes.md", b"# Notes\n".to_vec()));
    corpus.whole("saved-model-beside-a-folder", deeper);
    let mut sorted = with_variables(DENSE);
    sorted.push(("assets/sub/words.txt", b"one\ntwo\n".to_vec()));
    corpus.whole("saved-model-with-a-folder-of-words", sorted);
    let mut program = with_variables(DENSE);
    program.push(("variables/sub/notes.py", b"import os\n".to_vec()));
    corpus.contradictory("saved-model-with-a-program-below", program, "HF-SET-002");
    let bare: Files = vec![
        ("checkpoint", b"model_checkpoint_path: \"model.ckpt\"\n".to_vec()),
        ("model.ckpt.data-00000-of-00001", {
            let mut numbers = weights(2409);
            numbers[0] = 0xf1;
            numbers
        }),
        ("model.ckpt.index", places(&[(0, 2400), (2400, 9)])),
    ];
    corpus.whole("checkpoint", bare);
    for (name, files, id) in [
        ("saved-model-no-variables", without(VARIABLES), "HF-SET-003"),
        ("saved-model-no-numbers", without(NUMBERS), "HF-SET-003"),
        (
            "saved-model-gap",
            replace(VARIABLES, places(&[(0, 2392), (2400, 9)])),
            "HF-SET-012",
        ),
        (
            "saved-model-overlap",
            replace(VARIABLES, places(&[(0, 2400), (2399, 10)])),
            "HF-SET-012",
        ),
        (
            "saved-model-beyond",
            replace(VARIABLES, places(&[(0, 2400), (2400, 10)])),
            "HF-SET-011",
        ),
        ("saved-model-lambda", with_variables(LAMBDA), "HF-SET-002"),
        (
            "saved-model-program",
            {
                let mut program = weights(2409);
                program[..4].copy_from_slice(b"\x7fELF");
                replace(NUMBERS, program)
            },
            "HF-SET-002",
        ),
        (
            "saved-model-broken-index",
            {
                let mut index = places(&[(0, 2400), (2400, 9)]);
                index[20] ^= 1;
                replace(VARIABLES, index)
            },
            "HF-SET-002",
        ),
    ] {
        corpus.contradictory(name, files, id);
    }
    // A model in the folder of the variables means the files in that folder, not those above it.
    let mut inner = with_variables(DENSE);
    let mut numbers = weights(4800);
    numbers[0] = 0xf1;
    inner.push(("data", numbers));
    let model = model("data", &[(0, Some(2400)), (2400, Some(2400))]);
    inner.push(("variables/inner.onnx", model));
    corpus.contradictory("saved-model-with-a-model-in-a-folder", inner, "HF-SET-003");
}

fn folders(corpus: &mut Corpus) {
    corpus.whole(
        "macos",
        vec![
            ("config.json", CONFIG.into()),
            ("model.safetensors", shard(&["a"])),
            ("._model.safetensors", downloaded()),
            (".DS_Store", ds_store()),
        ],
    );
    corpus.contradictory(
        "macos-other",
        vec![
            ("config.json", CONFIG.into()),
            ("model.safetensors", shard(&["a"])),
            ("._model.safetensors", shard(&["b"])),
        ],
        "HF-SET-002",
    );
    let adapter = br#"{"peft_type": "LORA", "r": 8, "base_model_name_or_path": "a/b"}"#.to_vec();
    let lora = shard(&[
        "base_model.model.q.lora_A.weight",
        "base_model.model.q.lora_B.weight",
    ]);
    corpus.whole(
        "adapter",
        vec![
            ("adapter_config.json", adapter.clone()),
            ("adapter_model.safetensors", lora),
        ],
    );
    corpus.whole(
        "adapter-config-only",
        vec![("adapter_config.json", adapter.clone())],
    );
    let mut broken = shard(&["a"]);
    broken.push(1);
    corpus.contradictory(
        "adapter-broken",
        vec![
            ("adapter_config.json", adapter),
            ("adapter_model.safetensors", broken),
        ],
        "HF-SET-002",
    );

    let pipeline = |unet: &str| -> Vec<u8> {
        format!(
            "{{\"_class_name\": \"StableDiffusionPipeline\", \"_diffusers_version\": \"0.30.0\", \
             \"safety_checker\": [null, null], \"scheduler\": [\"diffusers\", \"DDIMScheduler\"], {unet}}}"
        )
        .into_bytes()
    };
    let net = r#""unet": ["diffusers", "UNet2DConditionModel"]"#;
    let scheduler = br#"{"_class_name": "DDIMScheduler", "_diffusers_version": "0.30.0"}"#.to_vec();
    let unet = br#"{"_class_name": "UNet2DConditionModel", "_diffusers_version": "0.30.0"}"#.to_vec();
    let files = |description: Vec<u8>| -> Files {
        vec![
            ("model_index.json", description),
            ("scheduler/scheduler_config.json", scheduler.clone()),
            ("unet/config.json", unet.clone()),
            ("unet/diffusion_pytorch_model.safetensors", shard(&["a"])),
        ]
    };
    corpus.whole("diffusers", files(pipeline(net)));
    let mut absent = files(pipeline(net));
    absent.truncate(2);
    corpus.contradictory("diffusers-part-missing", absent, "HF-SET-003");
    let mut empty = files(pipeline(net));
    empty.truncate(3);
    corpus.contradictory("diffusers-no-weights", empty, "HF-SET-003");
    let mut broken = files(pipeline(net));
    broken[3].1.push(1);
    corpus.contradictory("diffusers-part-refused", broken, "HF-SET-002");
    let up = r#""../unet": ["diffusers", "UNet2DConditionModel"]"#;
    corpus.contradictory("diffusers-part-elsewhere", files(pipeline(up)), "HF-SET-015");
    let call = r#""unet": ["diffusers", "utils.load"]"#;
    corpus.contradictory("diffusers-no-class", files(pipeline(call)), "HF-SET-015");
}

fn snapshots(corpus: &mut Corpus) {
    let snapshot = |config: &str| -> Files {
        vec![
            ("config.json", config.into()),
            ("model.safetensors", shard(&["a"])),
            ("README.md", b"# A model\n".to_vec()),
        ]
    };
    corpus.whole("snapshot", snapshot(CONFIG));
    let with_tokenizer = |tokenizer: Proto| -> Files {
        let mut files = snapshot(CONFIG);
        files.push(("tokenizer.model", tokenizer.build()));
        files
    };
    corpus.whole("snapshot-with-tokenizer", with_tokenizer(sentencepiece::small()));
    corpus.contradictory(
        "snapshot-with-tokenizer-refused",
        with_tokenizer(sentencepiece::small().text(200, "hidden")),
        "HF-SET-002",
    );
    let mut code = snapshot(r#"{"model_type": "x", "auto_map": {"AutoModel": "modeling_x.Model"}}"#);
    code.push(("modeling_x.py", b"import os\n".to_vec()));
    corpus.contradictory("snapshot-with-code", code, "HF-SET-016");
    let mut script = snapshot(CONFIG);
    script.push(("modeling_x.py", b"import os\n".to_vec()));
    corpus.contradictory("snapshot-with-script", script, "HF-SET-002");
}
