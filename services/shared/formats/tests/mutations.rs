//! A bounded stand-in for the fuzz targets of pickles, NumPy arrays, archives, documents, ONNX, TensorFlow and Keras models, and tokenizers: changes to
//! their seeds break nothing, and no cut of the bytes changes the outcome. `HOLDFAST_FUZZ_SECONDS` makes it run longer.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use holdfast_contract::report::Finding;
use holdfast_formats::bytes::in_memory;
use holdfast_formats::document::{Configuration, Prose, Secrets};
use holdfast_formats::onnx::Onnx;
use holdfast_formats::pickle::{Context, Pickle, Summary};
use holdfast_formats::sentencepiece::Sentencepiece;
use holdfast_formats::tensorflow::{CheckpointIndex, Fingerprint, KerasMetadata, Tensorflow};
use holdfast_formats::testing::sevenzip::{Packing, SevenZipBuilder, seven_zip};
use holdfast_formats::testing::{
    Assembler, Dataset, Hdf5Builder, Member, Proto, Random, Storage, archive, checkpoint, compressed,
    deflate, mutate, onnx, sentencepiece, tar_archive, tar_member, tar_records, tensorflow, torch, weights,
};
use holdfast_formats::torchscript::{Code, Source};
use holdfast_formats::{FileInspector, Inspector};

/// Rounds without a time limit.
const ROUNDS: u64 = 6_000;

#[rustfmt::skip]
const WORDS: &[&[u8]] = &[
    b"cos\nsystem\n", b"(", b")R", b"t", b"o", b"b", b"0", b"1", b"2", b"\x94", b"h\0", b"q\0", b"\x93", b"\x81", b"\x92",
    b"\x80\x04", b"\x95\x04\0\0\0\0\0\0\0", b"\x8c\x02os", b"}", b"]", b"u", b"s", b"e", b"a", b"Q", b".", b"K\x01", b"N",
    b"r\xff\xff\xff\xff", b"ccollections\nOrderedDict\n", b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", b"\x85", b"\x86", b"\x87",
];

const CONTEXTS: [Context; 8] = [
    Context::File,
    Context::Member,
    Context::Array,
    Context::Script,
    Context::Bytecode,
    Context::TarObject,
    Context::TarStorages,
    Context::TarTensors,
];

/// The seeds of a fuzz target without their first bytes, which choose among what the target does.
fn seeds(target: &str, prefix: usize) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no seeds for {target}");
    let seed = |path| std::fs::read(path).ok()?.get(prefix..).map(<[u8]>::to_vec);
    files.into_iter().filter_map(seed).collect()
}

fn rounds(mut round: impl FnMut(&mut Random)) {
    let seconds = std::env::var("HOLDFAST_FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut count = 0;
    while end.map_or(count < ROUNDS, |end| Instant::now() < end) {
        count += 1;
        round(&mut Random::new(count));
    }
    println!("{count} rounds");
}

fn pickle(context: Context, pieces: &[&[u8]]) -> (Vec<Finding>, Summary) {
    let mut pickle = Pickle::new(context);
    let mut at = 0;
    for piece in pieces {
        pickle.feed(at, piece);
        at += piece.len() as u64;
    }
    let (findings, summary) = pickle.conclude(at);
    let findings = findings.into_parts().0;
    for finding in &findings {
        assert!(finding.offset.is_none_or(|offset| offset <= at), "{finding:?}");
        assert!(finding.message.len() < 600, "{finding:?}");
    }
    (findings, summary)
}

#[test]
fn no_change_breaks_the_pickle_inspector() {
    let seeds = seeds("pickle", 1);
    rounds(|random| {
        let bytes = mutate(&seeds, WORDS, random);
        let context = CONTEXTS[random.below(CONTEXTS.len())];
        let whole = pickle(context, &[&bytes]);
        let (head, tail) = bytes.split_at(random.below(bytes.len() + 1));
        assert_eq!(pickle(context, &[head, tail]), whole, "{bytes:x?}");
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(pickle(context, &single), whole, "{bytes:x?}");
    });
}

#[test]
fn no_change_breaks_the_numpy_inspector() {
    let seeds = seeds("npy", 0);
    let words: &[&[u8]] = &[
        b"(",
        b")",
        b"[",
        b"'",
        b"{",
        b"}",
        b"'|O'",
        b"99999999999",
        b",",
        b"\x93NUMPY\x01\0",
        b"'<f8'",
    ];
    let run = |pieces: &[&[u8]]| {
        let mut inspector = FileInspector::new("a.npy");
        for piece in pieces {
            inspector.feed(piece);
        }
        let outcome = inspector.finish();
        (outcome.findings.into_parts(), outcome.facts)
    };
    rounds(|random| {
        let bytes = mutate(&seeds, words, random);
        let (head, tail) = bytes.split_at(random.below(bytes.len() + 1));
        assert_eq!(run(&[head, tail]), run(&[&bytes]), "{bytes:x?}");
    });
}

/// The whole inspection in pieces; the directory of an archive is read first or not.
fn inspect(name: &str, pieces: &[&[u8]], ahead: Option<&[u8]>) -> (String, Vec<Finding>) {
    let mut inspector = FileInspector::new(name);
    if let Some(bytes) = ahead {
        inspector = inspector.looking_ahead(bytes.len() as u64, &mut in_memory(bytes));
    }
    for piece in pieces {
        inspector.feed(piece);
    }
    let outcome = inspector.finish();
    (outcome.format.name().to_owned(), outcome.findings.into_parts().0)
}

fn no_cut_changes_the_outcome(name: &str, seeds: &[Vec<u8>], words: &[&[u8]]) {
    rounds(|random| {
        let bytes = mutate(seeds, words, random);
        let (head, tail) = bytes.split_at(random.below(bytes.len() + 1));
        let whole = inspect(name, &[&bytes], None);
        assert_eq!(inspect(name, &[head, tail], None), whole, "{bytes:x?}");
        assert_eq!(inspect(name, &[head, tail], Some(&bytes)), whole, "{bytes:x?}");
    });
}

#[test]
#[rustfmt::skip]
fn no_change_breaks_the_inspectors_of_archives() {
    let pickle = Assembler::protocol(2).state_dict(&[("w", &[2, 3])]).stop();
    let zip = archive(&[
        Member::stored("m/data.pkl", &pickle),
        Member::stored("m/byteorder", b"little").descriptor(16),
        Member::stored("m/data/0", &weights(24)).packed(8, deflate(&weights(24))),
    ]);
    let tar = tar_archive(&[
        tar_member("x", b'x', &tar_records(&[("path", "a.pkl")])),
        tar_member("a.pkl", b'0', &pickle),
        tar_member("b/", b'5', b""),
    ]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&pickle).unwrap();
    let nested = archive(&[Member::stored("a.zip", &zip.bytes), Member::stored("b.tar", &tar)]);
    let seeds = [zip.bytes, tar, gzip.finish().unwrap(), nested.bytes];
    let words: &[&[u8]] = &[
        b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x07", b"PK\x07\x08", b"../", b"/", b"\0\0", b"\xff\xff\xff\xff", b"\x08\0",
        b"data.pkl", b"\x1f\x8b\x08", b"ustar\0", b"0000000\0", b"x", b"L",
    ];
    no_cut_changes_the_outcome("a", &seeds, words);
}

#[test]
fn no_change_breaks_the_inspector_of_7z_archives() {
    let pickle = Assembler::protocol(2).state_dict(&[("w", &[2, 3])]).stop();
    let headers: Vec<(Vec<u8>, Vec<u8>)> = Packing::ALL
        .into_iter()
        .map(|packing| {
            let archive = SevenZipBuilder::new(packing)
                .directory("d")
                .file("d/a.pkl", &pickle)
                .file("b.txt", b"text")
                .solid();
            (archive.streams(), archive.header())
        })
        .collect();
    let words: &[&[u8]] = &[
        &[6, 0, 1, 9],
        &[7, 0x0b, 1, 0],
        &[0x0a, 1],
        &[8, 0x0d, 2, 9],
        &[0x21, 0x21, 1, 24],
        &[0x14, 2, 1, 0],
        &[0x15, 6, 1, 0],
        b"a\0\0\0",
        b"\0",
        b"\xff\xff\xff\xff",
    ];
    rounds(|random| {
        let (streams, header) = &headers[random.below(headers.len())];
        // With checksums that are right, so that the change is read.
        let header = mutate(std::slice::from_ref(header), words, random);
        let bytes = seven_zip(streams, &header);
        let (head, tail) = bytes.split_at(random.below(bytes.len() + 1));
        let whole = inspect("a.7z", &[&bytes], None);
        assert_eq!(inspect("a.7z", &[head, tail], None), whole, "{bytes:x?}");
        assert_eq!(inspect("a.7z", &[head, tail], Some(&bytes)), whole, "{bytes:x?}");
    });
}

#[test]
fn no_change_breaks_what_unpacks_compressed_files() {
    let pickle = Assembler::protocol(2).state_dict(&[("w", &[2, 3])]).stop();
    let mut seeds: Vec<Vec<u8>> = compressed::HARMLESS
        .iter()
        .chain(compressed::CALL)
        .map(|(_, bytes)| bytes.to_vec())
        .collect();
    seeds.extend([
        compressed::xz(&pickle),
        compressed::zstd(&pickle, 10),
        compressed::lz4(&pickle),
    ]);
    let words: &[&[u8]] = &[
        b"\xfd7zXZ\0",
        b"YZ",
        b"\x28\xb5\x2f\xfd",
        b"\x04\x22\x4d\x18",
        b"BZh9",
        b"1AY&SY",
        b"\x17rE8P\x90",
        b"\0\0\0\0",
        b"\xff\xff\xff\xff",
        b"\x5d\0\0\x80\0",
        b"\x50\x2a\x4d\x18",
    ];
    no_cut_changes_the_outcome("a.joblib", &seeds, words);
}

#[test]
fn no_change_breaks_the_inspectors_of_other_containers_of_pytorch() {
    let seeds = [
        archive(&torch::torchscript(torch::SOURCE)).bytes,
        torch::tar(
            &torch::tar_object(),
            &torch::tar_storages(),
            &torch::tar_tensors(),
        ),
    ];
    let words: &[&[u8]] = &[
        b"torch.save",
        b"ops.",
        b"getattr(",
        b"\"",
        b"'",
        b"\\",
        b"#",
        b".",
        b"(",
        b")",
        b"\n",
        b"1.5e-3",
        b"__torch__",
        b"\0\0",
        b"\x80\x02",
    ];
    no_cut_changes_the_outcome("a.pt", &seeds, words);
    // The source by itself, which within an archive has a checksum.
    rounds(|random| {
        let source = mutate(&[torch::SOURCE.as_bytes().to_vec()], words, random);
        let run = |pieces: &[&[u8]]| {
            let mut code = Code::default();
            let mut read = Source::new("a.py");
            for piece in pieces {
                read.feed(piece, &mut code);
            }
            read.finish(&mut code);
            code.conclude().into_parts()
        };
        let whole = run(&[&source]);
        let (head, tail) = source.split_at(random.below(source.len() + 1));
        assert_eq!(
            run(&[head, tail]),
            whole,
            "{:?}",
            String::from_utf8_lossy(&source)
        );
    });
}

#[test]
#[rustfmt::skip]
fn no_change_breaks_the_inspector_of_documents() {
    let seeds: Vec<Vec<u8>> = [
        r#"{"model_type": "x", "auto_map": {"A": "m.X"}, "a": [1, true, null, "\u0061"]}"#,
        r#"{"weight_map": {"t": "../x"}, "chat_template": [{"name": "a", "template": "{{ x.__class__ }}"}]}"#,
        r#"{"unet": ["my", "Net"], "_diffusers_version": "1", "a": "AKIAABCDEFGHIJKLMNOP"}"#,
        r#"{"a": 0, "\u202eb": 1}"#,
        r#"[{"type": "sentence_transformers.models.Pooling"}, {"type": "x.Y"}]"#,
        "a: !!py%74hon/name:os.system ''\n\"\\x5ftarget_\": {target: os.system}\n",
        "\u{feff}{\"model_type\": \"x\"} \n",
        "key: hf_A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7 -----BEGIN PRIVATE KEY-----",
        "numpy\n-i https://x/\n\u{1f3f4}\u{e0067}\u{e0062}\u{200b}\u{fe0f}\u{fe0f}",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    let words: &[&[u8]] = &[
        b"{", b"}", b"[", b"]", b"\"", b":", b",", b"\\u202e", b"\xe2\x80\xae", b"true", b"{{", b"%}", b"hf_", b"\"auto_map\":", b"\xff",
        b"\n", b"!", b"\\x5f", b"target:", b"[\"a\", \"B\"]", b"\xf3\xa0\x81\xa7", b"\xc2\x85", b"\x1b", b"\xef\xbb\xbf",
    ];
    for name in ["config.json", "README.md", "a.jinja", "a.yaml", "requirements.txt", "vocab.txt", "model_index.json"] {
        no_cut_changes_the_outcome(name, &seeds, words);
        no_cut_changes_what_inspectors_find(name, &seeds, words);
    }
}

/// The same without the first bytes being collected, so that even short documents come in pieces.
fn no_cut_changes_what_inspectors_find(name: &str, seeds: &[Vec<u8>], words: &[&[u8]]) {
    let run = |pieces: &[&[u8]]| {
        let inspectors: [Box<dyn Inspector>; 3] = [
            Box::new(Configuration::new(name)),
            Box::new(Prose::new(name)),
            Box::new(Secrets::default()),
        ];
        inspectors.map(|mut inspector| {
            let mut at = 0;
            for piece in pieces {
                inspector.feed(at, piece);
                at += piece.len() as u64;
            }
            let findings = inspector.finish(at).findings.into_parts().0;
            for finding in &findings {
                assert!(finding.offset.is_none_or(|offset| offset <= at), "{finding:?}");
                assert!(finding.message.len() < 600, "{finding:?}");
            }
            findings
        })
    };
    rounds(|random| {
        let bytes = mutate(seeds, words, random);
        let whole = run(&[&bytes]);
        let (head, tail) = bytes.split_at(random.below(bytes.len() + 1));
        assert_eq!(run(&[head, tail]), whole, "{bytes:x?}");
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(run(&single), whole, "{bytes:x?}");
    });
}

/// The findings of an inspector, which point into the file and are short.
fn inspected(mut inspector: Box<dyn Inspector>, pieces: &[&[u8]]) -> (Vec<Finding>, u64) {
    let mut at = 0;
    for piece in pieces {
        inspector.feed(at, piece);
        at += piece.len() as u64;
    }
    let (findings, omitted) = inspector.finish(at).findings.into_parts();
    for finding in &findings {
        assert!(finding.offset.is_none_or(|offset| offset <= at), "{finding:?}");
        assert!(finding.message.len() < 500, "{finding:?}");
    }
    (findings, omitted)
}

/// Whole, in two pieces and byte by byte, a changed file has the same outcome.
fn changes_break_nothing(seeds: &[Proto], inspector: impl Fn() -> Box<dyn Inspector>) {
    let seeds: Vec<_> = seeds.iter().map(Proto::build).collect();
    let words: &[&[u8]] = &[
        b"\x0a",
        b"\x12",
        b"\x1a",
        b"\x2a\x00",
        b"\x3a\x02\x0a\x00",
        b"\x08\x01",
        b"\x80\x01",
        b"\xff\xff\xff\xff\x0f",
        b"\x6a\x00",
        b"\x70\x01",
        b"../",
        b"PyOp",
        b"\xe2\x80\xae",
        b"\x52\x02\x0a\x00",
        b"\x42\x00",
    ];
    let mut admitted = 0;
    rounds(|random| {
        let bytes = mutate(&seeds, words, random);
        let whole = inspected(inspector(), &[&bytes]);
        admitted += u32::from(whole.0.iter().any(|finding| {
            ["HF-ONNX-021", "HF-TF-017", "HF-TF-018", "HF-DOC-009"].contains(&finding.id.as_str())
        }));
        let (head, tail) = bytes.split_at(random.below(bytes.len() + 1));
        assert_eq!(inspected(inspector(), &[head, tail]), whole, "{bytes:x?}");
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(inspected(inspector(), &single), whole, "{bytes:x?}");
    });
    assert!(admitted > 100, "{admitted} admitted");
}

#[test]
fn no_change_breaks_the_onnx_inspector() {
    let external = onnx::shape(1, &[2])
        .text(8, "w")
        .message(13, &onnx::entry("location", "a/b"))
        .int(14, 1);
    let function = Proto::new()
        .text(1, "F")
        .message(7, &onnx::node("", "Relu", &["a"], &["b"]))
        .text(10, "mine");
    let custom = onnx::graph(&[onnx::node("mine", "F", &["x"], &["y"])], &[external]);
    changes_break_nothing(
        &[onnx::small(), onnx::model(&custom).message(25, &function)],
        || Box::new(Onnx::default()),
    );
}

#[test]
fn no_change_breaks_the_sentencepiece_inspector() {
    let sample = sentencepiece::small().message(4, &Proto::new().message(1, &Proto::new().texts(1, &["a"])));
    changes_break_nothing(&[sentencepiece::small(), sample], || {
        Box::new(Sentencepiece::default())
    });
}

#[test]
fn no_change_breaks_the_tensorflow_inspector() {
    let nodes = [
        tensorflow::small(),
        vec![
            tensorflow::node("saver_filename", "Placeholder", &[]),
            tensorflow::call("s", "save", &["saver_filename"]),
        ],
    ]
    .concat();
    let graph = tensorflow::graph(&nodes, &[tensorflow::saver("save")]);
    changes_break_nothing(std::slice::from_ref(&graph), || Box::new(Tensorflow::graph()));
    changes_break_nothing(&[tensorflow::saved_model(&graph)], || {
        Box::new(Tensorflow::saved_model())
    });
}

#[test]
fn no_change_breaks_the_inspectors_of_what_lies_beside_a_saved_model() {
    let variables = [
        ("bias", checkpoint::variable(1, &[4], 0, 0, 16)),
        ("kernel", checkpoint::variable(1, &[2, 4], 0, 16, 32)),
    ];
    let index = Proto::new().raw(&checkpoint::index(1, &variables));
    changes_break_nothing(&[index], || Box::new(CheckpointIndex::default()));
    let sums = (1..=5).fold(Proto::new(), |file, field| file.int(field, u64::MAX));
    changes_break_nothing(&[sums.text(7, "12")], || Box::new(Fingerprint::default()));
    let object = Proto::new()
        .text(3, "root")
        .text(4, "_tf_keras_network")
        .text(5, r#"{"class_name": "Dense", "config": {"units": 2}}"#);
    changes_break_nothing(&[Proto::new().message(1, &object)], || {
        Box::new(KerasMetadata::default())
    });
}

/// Small changes at any place, so that lengths and places of other parts stay as they were.
fn overwritten(file: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        let value = [0, 1, 2, 8, 16, 96, 127, 128, 254, 255, random.below(256)][random.below(11)];
        if let Some(byte) = bytes.get_mut(at) {
            *byte = u8::try_from(value).unwrap_or(0);
        }
    }
    bytes
}

#[test]
fn no_change_breaks_the_inspectors_of_hdf5_and_keras() {
    let description = r#"{"module": "keras", "class_name": "Sequential", "config": {"name": "m", "layers": [{"module": "keras.layers",
        "class_name": "Dense", "config": {"activation": {"module": "builtins", "class_name": "function", "config": "relu"}},
        "registered_name": null}]}}"#;
    let mut files = vec![
        Hdf5Builder::model(description)
            .soft("link", "/model_weights")
            .fixed("", "layer_names", "dense")
            .build()
            .bytes,
        Hdf5Builder::weights()
            .dataset(
                "a",
                Dataset::floats(&[5, 3]).stored(Storage::Chunked(vec![2, 2], true)),
            )
            .dataset("b", Dataset::floats(&[4]).stored(Storage::Compact))
            .build()
            .bytes,
    ];
    let seeds = seeds("hdf5", 2).into_iter();
    files.extend(seeds.map(|seed| [b"\x89HDF\r\n\x1a\n", &seed[..]].concat()));
    let keras = archive(&[
        Member::stored("metadata.json", b"{}"),
        Member::stored("config.json", description.as_bytes()),
        Member::stored("model.weights.h5", &files[1]),
    ]);
    let (mut admitted, mut refused) = (0, 0);
    rounds(|random| {
        let file = &files[random.below(files.len())];
        let bytes = if random.below(4) == 0 {
            mutate(
                &files,
                &[
                    b"TREE",
                    b"SNOD",
                    b"\x11\0",
                    b"GCOL",
                    b"\xff\xff\xff\xff\xff\xff\xff\xff",
                ],
                random,
            )
        } else {
            overwritten(file, random)
        };
        let whole = inspect("x.h5", &[&bytes], None);
        if whole
            .1
            .iter()
            .any(|finding| matches!(finding.id.as_str(), "HF-H5-024" | "HF-KERAS-010"))
        {
            admitted += 1;
        } else {
            refused += 1;
        }
        let (head, tail) = bytes.split_at(random.below(bytes.len() + 1));
        assert_eq!(inspect("x.h5", &[head, tail], None), whole);
        assert_eq!(inspect("x.h5", &[head, tail], Some(&bytes)), whole);
        let bytes = overwritten(&keras.bytes, random);
        let whole = inspect("x.keras", &[&bytes], None);
        assert_eq!(inspect("x.keras", &[&bytes], Some(&bytes)), whole);
    });
    assert!(
        admitted > 500 && refused > 500,
        "{admitted} admitted, {refused} refused"
    );
}
