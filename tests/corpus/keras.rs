//! Keras models and HDF5 files: layers that run code in each way that is known, files that reach elsewhere, and what Keras saves.

use holdfast_formats::testing::{
    Dataset, Hdf5Builder, Member, Storage, archive, deflate, fixed_text, put_apart, stowaways, variable_text,
    weights,
};

use super::Corpus;

const NOTES: &[u8] = br#"{"keras_version": "3.9.0", "date_saved": "2025-04-01@10:00:00"}"#;

fn members(description: &str) -> Vec<Member> {
    vec![
        Member::stored("metadata.json", NOTES),
        Member::stored("config.json", description.as_bytes()),
        Member::stored("model.weights.h5", &Hdf5Builder::weights().build().bytes),
    ]
}

fn model(layer: &str) -> String {
    format!(
        r#"{{"module": "keras", "class_name": "Sequential", "config": {{"name": "m", "layers": [{layer}]}}, "registered_name": null}}"#
    )
}

fn layer(module: &str, class: &str, config: &str) -> String {
    model(&format!(
        r#"{{"module": "{module}", "class_name": "{class}", "config": {config}, "registered_name": null}}"#
    ))
}

fn ours(class: &str, config: &str) -> String {
    layer("keras.layers", class, config)
}

fn function(module: &str, name: &str) -> String {
    let activation = format!(
        r#"{{"module": "{module}", "class_name": "function", "config": "{name}", "registered_name": "{name}"}}"#
    );
    ours("Dense", &format!(r#"{{"units": 1, "activation": {activation}}}"#))
}

pub fn add(corpus: &mut Corpus) {
    descriptions(corpus);
    archives(corpus);
    files(corpus);
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn descriptions(corpus: &mut Corpus) {
    let hostile = [
        (
            "lambda",
            ours("Lambda", r#"{"function": ["4wEA", null, null]}"#),
            "HF-KERAS-001",
        ),
        ("lambda-escaped", ours("\\u004cambda", "{}"), "HF-KERAS-001"),
        ("lambda-as-custom", ours("Custom>Lambda", "{}"), "HF-KERAS-001"),
        (
            "lambda-in-a-loss",
            ours(
                "Dense",
                r#"{"loss": {"class_name": "__lambda__", "config": {"value": "4wEA"}}}"#,
            ),
            "HF-KERAS-001",
        ),
        (
            "torch-module",
            ours("TorchModuleWrapper", r#"{"module": "gAJ9"}"#),
            "HF-KERAS-001",
        ),
        ("os-system", function("os", "system"), "HF-KERAS-002"),
        ("eval", function("builtins", "eval"), "HF-KERAS-002"),
        (
            "subprocess",
            layer("subprocess", "Popen", r#"{"args": "true"}"#),
            "HF-KERAS-002",
        ),
        ("get-file", function("keras.utils", "get_file"), "HF-KERAS-003"),
        (
            "get-file-deep",
            function("keras.src.utils.file_utils", "get_file"),
            "HF-KERAS-003",
        ),
        (
            "unsafe-deserialization",
            function("keras.config", "enable_unsafe_deserialization"),
            "HF-KERAS-003",
        ),
        (
            "write-file",
            ours("TFOpLambda", r#"{"function": "io.write_file"}"#),
            "HF-KERAS-003",
        ),
        (
            "load-model",
            layer("keras.models", "load_model", r#"{"filepath": "x"}"#),
            "HF-KERAS-003",
        ),
        (
            "custom-layer",
            layer("mine.layers", "Wonder", "{}"),
            "HF-KERAS-004",
        ),
        ("custom-function", function("builtins", "wonder"), "HF-KERAS-004"),
        (
            "saved-model",
            ours("TFSMLayer", r#"{"filepath": "/srv/model"}"#),
            "HF-KERAS-005",
        ),
        (
            "vocabulary-path",
            ours("StringLookup", r#"{"vocabulary": "/etc/passwd"}"#),
            "HF-KERAS-005",
        ),
        (
            "vocabulary-address",
            ours(
                "TextVectorization",
                r#"{"vocabulary": "https://example.invalid/words"}"#,
            ),
            "HF-KERAS-006",
        ),
        (
            "file-address",
            ours("Dense", r#"{"path": ["file:///etc/passwd"]}"#),
            "HF-KERAS-006",
        ),
        (
            "class-twice",
            model(r#"{"class_name": "Lambda", "class_name": "Dense", "config": {}}"#),
            "HF-KERAS-007",
        ),
    ];
    for (name, description, id) in hostile {
        corpus.refuse(
            &format!("keras/{name}.keras"),
            archive(&members(&description)).bytes,
            id,
        );
        let old = Hdf5Builder::model(&description).build().bytes;
        corpus.refuse(&format!("keras/{name}.h5"), old, id);
    }
    for (name, description) in [
        ("dense", ours("Dense", r#"{"units": 4, "activation": "relu"}"#)),
        ("function", function("keras.activations", "gelu")),
        (
            "operation",
            layer("keras.src.ops.numpy", "Add", r#"{"name": "add"}"#),
        ),
        (
            "words",
            ours("StringLookup", r#"{"vocabulary": ["a", "https://b", "c"]}"#),
        ),
        ("operator", ours("TFOpLambda", r#"{"function": "math.add"}"#)),
        (
            "lstm",
            ours(
                "Bidirectional",
                r#"{"layer": {"class_name": "LSTM", "config": {"units": 4}}}"#,
            ),
        ),
    ] {
        corpus.accept(
            &format!("keras/{name}.keras"),
            archive(&members(&description)).bytes,
        );
        let old = Hdf5Builder::model(&description).build().bytes;
        corpus.accept(&format!("keras/{name}.h5"), old);
    }
}

fn archives(corpus: &mut Corpus) {
    let good = ours("Dense", r#"{"units": 4}"#);
    let with = |name: &str, content: &[u8]| {
        let mut members = members(&good);
        members.push(Member::stored(name, content));
        archive(&members).bytes
    };
    corpus.accept(
        "keras/asset.keras",
        with("assets/layers/string_lookup/vocabulary.txt", b"[UNK]\nthe\ncat\n"),
    );
    let mut packed = members(&good);
    let file = Hdf5Builder::weights().build().bytes;
    packed[2] = Member::stored("model.weights.h5", &file).packed(8, deflate(&file));
    corpus.accept("keras/deflated.keras", archive(&packed).bytes);
    for (name, member, content, id) in [
        ("program", "setup.py", &b"import os\n"[..], "HF-KERAS-008"),
        (
            "pickle",
            "assets/x.pkl",
            b"\x80\x04cos\nsystem\n(X\x04\0\0\0truetR.",
            "HF-PKL-001",
        ),
        ("path", "assets/../../x.txt", b"x\n", "HF-ZIP-005"),
    ] {
        corpus.refuse(&format!("keras/stray-{name}.keras"), with(member, content), id);
    }
    let mut other = members(&good);
    other[2] = Member::stored("model.weights.h5", b"\x80\x04N.");
    corpus.refuse(
        "keras/weights-are-a-pickle.keras",
        archive(&other).bytes,
        "HF-KERAS-008",
    );
    corpus.refuse(
        "keras/no-description.keras",
        archive(&[other.remove(0), members(&good).remove(2)]).bytes,
        "HF-KERAS-009",
    );
    let disguised = ours("Lambda", "{}").replacen('{', r#"{"model_type": "bert", "#, 1);
    let alone = archive(&[Member::stored("config.json", disguised.as_bytes())]).bytes;
    corpus.refuse("keras/description-alone.keras", alone, "HF-KERAS-001");
    corpus.refuse("keras/config.json", disguised, "HF-KERAS-001");
}

/// Numbers whose bytes were put apart: a program among them shows only when they are put back in order.
fn apart(corpus: &mut Corpus) {
    let numbers = weights(4096);
    let mut program = numbers.clone();
    let (_, id, elf) = stowaways().swap_remove(0);
    program.splice(1001..1001 + elf.len(), elf);
    let file = |data: &[u8]| {
        let pieces = data.chunks(1024).map(|piece| (0, put_apart(piece, 4)));
        let storage = Storage::Filtered(vec![256], vec![(2, vec![4])], pieces.collect());
        let dataset = Dataset::floats(&[1024]).stored(storage);
        Hdf5Builder::weights().dataset("x", dataset).build().bytes
    };
    corpus.accept("hdf5/apart.h5", file(&numbers));
    corpus.refuse("hdf5/program-apart.h5", file(&program), id);
}

/// Texts that end in a full stop, which `PyTables` takes for pickles.
fn pickles(corpus: &mut Corpus) {
    let with = |text: &[u8]| {
        Hdf5Builder::weights()
            .fixed("", "pandas_type", text)
            .build()
            .bytes
    };
    for (name, text, id) in [
        ("inst", &b"(S'true'\nios\nsystem\n."[..], "HF-PKL-001"),
        ("obj", b"(cposix\nsystem\nS'true'\no.", "HF-PKL-001"),
        ("of-a-module", b"cno_such_module\nThing\n(S'x'\ntR.", "HF-PKL-002"),
    ] {
        corpus.refuse(&format!("hdf5/pickle-{name}.h5"), with(text), id);
    }
    for (name, text) in [
        ("prose", &b"N.B. These weights are not trained."[..]),
        (
            "copyright",
            b"(c) 2020 Somebody\nAll rights reserved\nFor research only.",
        ),
        ("words", b"cat\ndog\nbird."),
        ("plain-pickle", b"(dp1\nS'name'\np2\nNs."),
    ] {
        corpus.accept(&format!("hdf5/{name}-attribute.h5"), with(text));
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn files(corpus: &mut Corpus) {
    let base = Hdf5Builder::weights;
    let floats = || Dataset::floats(&[9, 4]);
    for (name, file) in [
        ("weights", base()),
        ("empty", Hdf5Builder::default()),
        (
            "pieces",
            base().dataset("x", floats().stored(Storage::Chunked(vec![4, 4], false))),
        ),
        (
            "packed",
            base().dataset("x", floats().stored(Storage::Chunked(vec![4, 3], true))),
        ),
        ("compact", base().dataset("x", floats().stored(Storage::Compact))),
        ("link", base().soft("x", "/layers/dense")),
        (
            "attributes",
            base().text("", "note", "hello").fixed("layers", "backend", "jax"),
        ),
    ] {
        corpus.accept(&format!("hdf5/{name}.h5"), file.build().bytes);
    }
    apart(corpus);
    pickles(corpus);
    let external = [&[1, 8, 64, 1][..], b"x", &[6, 0], b"\0a\0b\0\0"].concat();
    let lists = [&[0x19, 0, 0, 0, 16, 0, 0, 0][..], &fixed_text(1)].concat();
    for (name, file, id) in [
        (
            "external-link",
            base().message("layers", 6, &external),
            "HF-H5-009",
        ),
        (
            "external-data",
            base().message("layers/dense/vars/0", 7, &[1, 0, 0, 0, 1, 0, 1, 0]),
            "HF-H5-009",
        ),
        ("link-to-nothing", base().soft("x", "/nowhere"), "HF-H5-010"),
        (
            "references",
            base().dataset("x", floats().typed(vec![0x17, 0, 0, 0, 4, 0, 0, 0])),
            "HF-H5-011",
        ),
        ("lists", base().dataset("x", floats().typed(lists)), "HF-H5-011"),
        (
            "named-type",
            base().message("layers", 3, &fixed_text(4)),
            "HF-H5-012",
        ),
        (
            "plug-in",
            base().message("layers/dense/vars/0", 11, &[2, 1, 0, 125, 0, 0, 0, 0, 0, 0]),
            "HF-H5-013",
        ),
        (
            "no-numbers",
            base().dataset("x", floats().stored(Storage::Missing)),
            "HF-H5-015",
        ),
        (
            "texts-of-no-length",
            base().dataset("x", floats().typed(variable_text())),
            "HF-H5-015",
        ),
        (
            "attribute-twice",
            base().fixed("", "a", "x").fixed("", "a", "y"),
            "HF-H5-018",
        ),
        (
            "unknown-message",
            base().message("layers", 99, &[0; 8]),
            "HF-H5-003",
        ),
    ] {
        corpus.refuse(&format!("hdf5/{name}.h5"), file.build().bytes, id);
    }
    let good = base().build();
    let left_over = weights(100_000);
    let end = ((good.bytes.len() + left_over.len()) as u64).to_le_bytes();
    for (name, bytes, id) in [
        ("trailing", good.clone().and(b"more").bytes, "HF-H5-005"),
        (
            "cut-off",
            good.clone().cut(good.bytes.len() - 40).bytes,
            "HF-H5-004",
        ),
        (
            "user-block",
            [vec![0; 512], good.bytes.clone()].concat(),
            "HF-H5-002",
        ),
        (
            "not-closed",
            good.clone().with("flags", &[1, 0, 0, 0]).bytes,
            "HF-H5-001",
        ),
        ("version-9", good.clone().with("version", &[9]).bytes, "HF-H5-003"),
        (
            "hidden",
            good.clone().with("end", &end).and(&left_over).bytes,
            "HF-H5-008",
        ),
    ] {
        corpus.refuse(&format!("hdf5/{name}.h5"), bytes, id);
    }
    let layout = good.mark("/layers/dense/vars/0:layout").start + 2;
    for (name, at, id) in [
        (
            "overlap",
            good.mark("/layers/dense/vars/1:data").start as u64,
            "HF-H5-006",
        ),
        ("beyond", good.bytes.len() as u64, "HF-H5-004"),
    ] {
        let mut bytes = good.bytes.clone();
        bytes.splice(layout..layout + 8, at.to_le_bytes());
        corpus.refuse(&format!("hdf5/{name}.h5"), bytes, id);
    }
    let shape = good.mark("/layers/dense/vars/0:dataspace").start + 8;
    for (name, dimension, id) in [
        ("huge", 1_u64 << 61, "HF-H5-014"),
        ("larger", 1 << 40, "HF-H5-015"),
    ] {
        let mut bytes = good.bytes.clone();
        bytes.splice(shape..shape + 8, dimension.to_le_bytes());
        corpus.refuse(&format!("hdf5/{name}.h5"), bytes, id);
    }
}
