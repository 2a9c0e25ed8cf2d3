//! Keras models: layers of Keras's own are accepted, and whatever else a description can name is refused.

mod common;

use common::{ids, inspect};
use holdfast_contract::report::Severity;
use holdfast_formats::Format;
use holdfast_formats::testing::{Hdf5Builder, Member, archive};

const METADATA: &[u8] = br#"{"keras_version": "3.9.0", "date_saved": "2025-04-01@10:00:00"}"#;

fn keras_with(description: &str, more: &[(&str, &[u8])]) -> Vec<u8> {
    let weights = Hdf5Builder::weights().build().bytes;
    let mut members = vec![
        Member::stored("metadata.json", METADATA),
        Member::stored("config.json", description.as_bytes()),
        Member::stored("model.weights.h5", &weights),
    ];
    members.extend(more.iter().map(|(name, content)| Member::stored(name, content)));
    archive(&members).bytes
}

fn keras(description: &str) -> Vec<u8> {
    keras_with(description, &[])
}

/// A model with this one layer.
fn with_layer(layer: &str) -> String {
    format!(
        r#"{{"module": "keras", "class_name": "Sequential", "config": {{"name": "m", "layers": [{layer}]}},
            "registered_name": null}}"#
    )
}

fn layer(module: &str, class: &str, config: &str) -> String {
    with_layer(&format!(
        r#"{{"module": "{module}", "class_name": "{class}", "config": {config}, "registered_name": null}}"#
    ))
}

fn dense(activation: &str) -> String {
    layer(
        "keras.layers",
        "Dense",
        &format!(r#"{{"name": "dense", "units": 4, "activation": {activation}}}"#),
    )
}

fn function(module: &str, name: &str) -> String {
    dense(&format!(
        r#"{{"module": "{module}", "class_name": "function", "config": "{name}", "registered_name": "{name}"}}"#
    ))
}

fn ordinary() -> Vec<String> {
    vec![
        dense(r#""relu""#),
        function("builtins", "gelu"),
        function("keras.activations", "tanh"),
        layer(
            "keras.layers",
            "InputLayer",
            r#"{"batch_shape": [null, 4], "dtype": "float32"}"#,
        ),
        layer("keras.src.ops.numpy", "Add", r#"{"name": "add"}"#),
        layer("tf_keras.src.layers.core.dense", "Dense", r#"{"units": 4}"#),
        layer(
            "keras.layers",
            "StringLookup",
            r#"{"vocabulary": ["a", "http://x", "c"], "idf_weights": null}"#,
        ),
        layer(
            "keras.layers",
            "TFOpLambda",
            r#"{"name": "tf.math.add", "function": "math.add"}"#,
        ),
        layer(
            "keras.layers",
            "SlicingOpLambda",
            r#"{"function": "__operators__.getitem"}"#,
        ),
        with_layer(
            r#"{"class_name": "__keras_tensor__", "config": {"shape": [null, 4], "dtype": "float32",
                "keras_history": ["a", 0, 0]}}"#,
        ),
        with_layer(r#"{"class_name": "Custom>Adam", "config": {"learning_rate": 1e-3}}"#),
        with_layer(
            r#"{"module": "tensorflow.python.framework.tensor_spec", "class_name": "__typespec__",
                "spec_name": "TensorSpec", "config": [[null, 4], "float32"], "registered_name": null}"#,
        ),
        r#"{"module": "tf_keras.src.engine.functional", "class_name": "Functional", "config": {"name": "f"},
            "registered_name": "Functional", "build_config": {"input_shape": [null]},
            "compile_config": {"optimizer": "adam", "loss": "mean_squared_error", "metrics": ["accuracy"]}}"#
            .to_owned(),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn hostile() -> Vec<(String, &'static str)> {
    let file = |class: &str, config: &str| layer("keras.layers", class, config);
    vec![
        (
            file("Lambda", r#"{"function": ["4wEA", null, null]}"#),
            "HF-KERAS-001",
        ),
        (file("L\\u0061mbda", "{}"), "HF-KERAS-001"),
        (
            file("TorchModuleWrapper", r#"{"module": "gAJ9"}"#),
            "HF-KERAS-001",
        ),
        (file("Custom>Lambda", "{}"), "HF-KERAS-001"),
        (
            dense(r#"{"class_name": "__lambda__", "config": {"value": "4wEA"}}"#),
            "HF-KERAS-001",
        ),
        (function("os", "system"), "HF-KERAS-002"),
        (function("builtins", "eval"), "HF-KERAS-002"),
        (function("builtins", "exec"), "HF-KERAS-002"),
        (function("subprocess", "run"), "HF-KERAS-002"),
        (function("tensorflow.io", "write_file"), "HF-KERAS-002"),
        (
            layer("importlib", "import_module", r#"{"name": "x"}"#),
            "HF-KERAS-002",
        ),
        (dense(r#"{"module": "os", "class": "system"}"#), "HF-KERAS-002"),
        (function("keras.utils", "get_file"), "HF-KERAS-003"),
        (function("keras.src.utils.file_utils", "get_file"), "HF-KERAS-003"),
        (
            function("keras.config", "enable_unsafe_deserialization"),
            "HF-KERAS-003",
        ),
        (
            function("builtins", "enable_unsafe_deserialization"),
            "HF-KERAS-003",
        ),
        (
            layer("keras.models", "load_model", r#"{"filepath": "x"}"#),
            "HF-KERAS-003",
        ),
        (layer("keras.callbacks", "ModelCheckpoint", "{}"), "HF-KERAS-003"),
        (
            file("TFOpLambda", r#"{"function": "io.write_file"}"#),
            "HF-KERAS-003",
        ),
        (
            file("TFOpLambda", r#"{"function": "raw_ops.WriteFile"}"#),
            "HF-KERAS-003",
        ),
        (
            file("TFOpLambda", r#"{"function": "compat.v1.py_func"}"#),
            "HF-KERAS-003",
        ),
        (file("TFOpLambda", "{}"), "HF-KERAS-007"),
        (function("builtins", "my_activation"), "HF-KERAS-004"),
        (function("my_package.layers", "swish"), "HF-KERAS-004"),
        (layer("__main__", "Dense", "{}"), "HF-KERAS-004"),
        (layer("keras_hub.src.models", "Backbone", "{}"), "HF-KERAS-004"),
        (layer("keras.layers", "Attention2000", "{}"), "HF-KERAS-004"),
        (layer("keras.layers", "JaxLayer", "{}"), "HF-KERAS-004"),
        (file("mine>Dense", "{}"), "HF-KERAS-004"),
        (
            with_layer(
                r#"{"module": "keras.layers", "class_name": "Dense", "config": {}, "registered_name": "a>B"}"#,
            ),
            "HF-KERAS-004",
        ),
        (
            with_layer(
                r#"{"module": "my.specs", "class_name": "__typespec__", "spec_name": "TensorSpec", "config": []}"#,
            ),
            "HF-KERAS-004",
        ),
        (file("TFSMLayer", r#"{"filepath": "/tmp/x"}"#), "HF-KERAS-005"),
        (
            file("StringLookup", r#"{"vocabulary": "/etc/passwd"}"#),
            "HF-KERAS-005",
        ),
        (
            file("TextVectorization", r#"{"vocabulary": "words.txt"}"#),
            "HF-KERAS-005",
        ),
        (
            file("IntegerLookup", r#"{"vocabulary": "https://example.invalid/v"}"#),
            "HF-KERAS-006",
        ),
        (file("Dense", r#"{"name": "file:///etc/passwd"}"#), "HF-KERAS-006"),
        (file("Dense", r#"{"name": ["gs://bucket/x"]}"#), "HF-KERAS-006"),
        ("{".to_owned(), "HF-KERAS-007"),
        ("[]".to_owned(), "HF-KERAS-007"),
        ("{}".to_owned(), "HF-KERAS-007"),
        (
            r#"{"class_name": "Sequential", "config": {}} x"#.to_owned(),
            "HF-KERAS-007",
        ),
        (
            r#"{"class_name": "Sequential", "config": {}, "config": {}}"#.to_owned(),
            "HF-KERAS-007",
        ),
        (
            r#"{"class_name": "Lambda", "class_name": "Dense", "config": {}}"#.to_owned(),
            "HF-KERAS-007",
        ),
        (
            r#"{"class_name": ["Lambda"], "config": {}}"#.to_owned(),
            "HF-KERAS-007",
        ),
        (file(&"x".repeat(5000), "{}"), "HF-KERAS-007"),
        (
            with_layer(r#"{"class_name": "Dense", "module": 7, "config": {}}"#),
            "HF-KERAS-007",
        ),
        (
            with_layer(r#"{"class_name": "function", "module": "builtins", "config": {}}"#),
            "HF-KERAS-007",
        ),
        (format!("{}1{}", "[".repeat(100), "]".repeat(100)), "HF-KERAS-007"),
    ]
}

fn refused(bytes: &[u8], id: &str, what: &str) {
    let outcome = inspect(bytes);
    let ids = ids(bytes);
    assert!(ids.iter().any(|found| found == id), "{ids:?}, not {id}: {what}");
    assert!(outcome.findings.refuse(), "{what}");
}

#[test]
fn layers_of_keras_are_accepted_in_both_formats() {
    for description in ordinary() {
        let archive = keras(&description);
        assert_eq!(inspect(&archive).format, Format::Keras);
        assert_eq!(ids(&archive), ["HF-H5-024", "HF-ZIP-015"], "{description}");
        let file = Hdf5Builder::model(&description).build().bytes;
        assert_eq!(ids(&file), ["HF-KERAS-010"], "{description}");
    }
    let facts = inspect(&keras(&dense("null"))).facts.unwrap();
    assert_eq!((facts.name.as_deref(), facts.tensors), (Some("m"), 2));
}

#[test]
fn what_runs_code_or_reaches_out_is_refused_in_both_formats() {
    for (description, id) in hostile() {
        refused(&keras(&description), id, &description);
        // An old file has no class around what is not a model; that is nothing for Keras to load.
        if !matches!(description.as_str(), "[]" | "{}") {
            refused(&Hdf5Builder::model(&description).build().bytes, id, &description);
        }
    }
}

#[test]
fn the_order_of_members_does_not_help() {
    let description = with_layer(
        r#"{"config": {"function": "x", "name": "l"}, "registered_name": null, "class_name": "Lambda", "module": "keras.layers"}"#,
    );
    refused(&keras(&description), "HF-KERAS-001", "the class last");
    let description = with_layer(r#"{"config": "system", "class_name": "function", "module": "os"}"#);
    refused(&keras(&description), "HF-KERAS-002", "the module last");
}

#[test]
fn descriptions_hide_nowhere_in_an_old_file() {
    let lambda = layer("keras.layers", "Lambda", "{}");
    let base = || Hdf5Builder::weights();
    for file in [
        base().text("", "model_config", &lambda),
        base().fixed("", "model_config", &lambda),
        base().fixed("layers", "model_config", &lambda),
        base().text("layers/dense/vars/0", "training_config", &lambda),
    ] {
        refused(&file.build().bytes, "HF-KERAS-001", "an attribute");
    }
    let padded = format!("{}   ", dense("null"));
    assert_eq!(
        ids(&base().fixed("", "model_config", &padded).build().bytes),
        ["HF-KERAS-010"]
    );
    let zeros = format!("{}\0\0", dense("null"));
    assert_eq!(
        ids(&base().fixed("", "model_config", &zeros).build().bytes),
        ["HF-KERAS-010"]
    );
    let after = format!("{}\0{{}}", dense("null"));
    refused(
        &base().fixed("", "model_config", &after).build().bytes,
        "HF-KERAS-007",
        "after a zero",
    );
}

#[test]
fn only_what_belongs_to_a_model_is_in_an_archive() {
    let good = dense("null");
    for (name, content) in [
        (
            "assets/layers/string_lookup/vocabulary.txt",
            &b"[UNK]\nthe\ncat\n"[..],
        ),
        ("assets/", b""),
    ] {
        assert!(
            !inspect(&keras_with(&good, &[(name, content)])).findings.refuse(),
            "{name}"
        );
    }
    for (name, content, id) in [
        ("setup.py", &b"import os\n"[..], "HF-KERAS-008"),
        ("model.pkl", b"\x80\x04N.", "HF-KERAS-008"),
        ("Config.json", b"{}", "HF-ZIP-006"),
        ("assets/run.sh", b"#!/bin/sh\ntrue\n", "HF-FMT-013"),
        (
            "assets/x.pkl",
            b"\x80\x04cos\nsystem\n(X\x04\0\0\0truetR.",
            "HF-PKL-001",
        ),
        ("assets/../../x.txt", b"a\n", "HF-ZIP-005"),
    ] {
        let bytes = keras_with(&good, &[(name, content)]);
        let found = ids(&bytes);
        assert!(inspect(&bytes).findings.refuse(), "{name}");
        assert!(found.iter().any(|found| found == id), "{name}: {found:?}");
    }
    let without = |left_out: &str| {
        let weights = Hdf5Builder::weights().build().bytes;
        let all = [
            ("metadata.json", METADATA),
            ("config.json", good.as_bytes()),
            ("model.weights.h5", &weights),
        ];
        let members: Vec<_> = all
            .iter()
            .filter(|(name, _)| *name != left_out)
            .map(|(name, content)| Member::stored(name, content))
            .collect();
        archive(&members).bytes
    };
    refused(&without("config.json"), "HF-KERAS-009", "no description");
    refused(&without("model.weights.h5"), "HF-KERAS-009", "no weights");
    assert!(!inspect(&without("metadata.json")).findings.refuse());
    let other = archive(&[
        Member::stored("config.json", good.as_bytes()),
        Member::stored("model.weights.h5", b"\x80\x04N."),
    ]);
    refused(&other.bytes, "HF-KERAS-008", "weights that are a pickle");
}

#[test]
fn keras_also_loads_what_does_not_look_like_its_archive() {
    let hostile = layer("keras.layers", "Lambda", "{}");
    let disguised = hostile.replacen('{', r#"{"model_type": "bert", "#, 1);
    let alone = archive(&[Member::stored("config.json", disguised.as_bytes())]).bytes;
    refused(&alone, "HF-KERAS-001", "an archive with a description alone");
    refused(disguised.as_bytes(), "HF-KERAS-001", "a description alone");
    let marked = format!("\u{feff}{disguised}");
    refused(
        marked.as_bytes(),
        "HF-KERAS-001",
        "a description after a byte order mark",
    );
    let within = function("os", "system").replace(r#""class_name": "Sequential""#, r#""model_type": "bert""#);
    refused(
        within.as_bytes(),
        "HF-KERAS-002",
        "an object within what names no class",
    );
    let listed = format!(r#"[{{"type": "sentence_transformers.models.Pooling"}}, {hostile}]"#);
    refused(listed.as_bytes(), "HF-KERAS-001", "an object in a list");
    for ordinary in [
        r#"{"model_type": "bert", "class_name": "Thing", "module": "os"}"#,
        r#"{"model_type": "bert", "x": {"class_name": "Thing", "config": {"path": "a"}}}"#,
    ] {
        let ids = ids(ordinary.as_bytes());
        assert!(!ids.iter().any(|id| id.contains("KERAS")), "{ids:?}");
    }
    let members = [
        ("config.json", disguised.as_bytes()),
        ("schema.json", b"{}"),
        ("x/data.pkl", b"N."),
    ];
    for count in 1..=members.len() {
        let members: Vec<_> = members
            .iter()
            .take(count)
            .map(|(name, content)| Member::stored(name, content))
            .collect();
        assert!(inspect(&archive(&members).bytes).findings.refuse());
    }
}

#[test]
fn findings_say_which_layer() {
    let bytes = keras(&layer(
        "keras.layers",
        "Lambda",
        r#"{"name": "evil", "function": "x"}"#,
    ));
    let (findings, _) = inspect(&bytes).findings.into_parts();
    let finding = findings
        .iter()
        .find(|finding| finding.id == "HF-KERAS-001")
        .unwrap();
    assert_eq!(finding.severity, Severity::Critical);
    assert_eq!(finding.part.as_deref(), Some("config.json: evil"));
    let at = usize::try_from(finding.offset.unwrap()).unwrap();
    assert!(bytes[at..].starts_with(br#"{"module": "keras.layers""#));
}
