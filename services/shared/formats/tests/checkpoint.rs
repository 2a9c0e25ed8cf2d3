//! The index of a TensorFlow checkpoint and what lies beside a `SavedModel`: every single way to be wrong with the id it gets.

mod common;

use common::{ids, inspect, inspect_in};
use holdfast_formats::testing::checkpoint::{index, table, variable};
use holdfast_formats::testing::{Proto, tensorflow};
use holdfast_formats::{FileInspector, Format, rules};

/// Two variables that follow each other, and a text.
fn small() -> Vec<(&'static str, Proto)> {
    vec![
        ("bias", variable(1, &[4], 0, 0, 16)),
        ("kernel", variable(1, &[2, 4], 0, 16, 32)),
        ("names", variable(7, &[], 0, 48, 9)),
    ]
}

#[test]
fn an_index_says_where_its_variables_are_and_is_refused_alone() {
    let bytes = index(1, &small());
    let outcome = inspect(&bytes);
    assert_eq!(outcome.format, Format::CheckpointIndex);
    assert_eq!(ids(&bytes), ["HF-TF-018"]);
    let facts = outcome.facts.unwrap();
    assert_eq!((facts.tensors, facts.parameters), (3, 13));
    assert_eq!(facts.tensor_type.as_deref(), Some("FLOAT"));
    let mut inspector = FileInspector::new("variables.index").tying();
    inspector.feed(&bytes);
    let ties = inspector.finish().ties;
    assert_eq!(ties.files, [".data-00000-of-00001"]);
    let places: Vec<(u64, u64)> = ties
        .external
        .iter()
        .map(|external| (external.at, external.needed))
        .collect();
    assert_eq!(places, [(0, 16), (16, 32), (48, 9)]);
}

#[test]
fn a_variable_in_parts_has_no_place_of_its_own() {
    let slice = Proto::new().message(1, &Proto::new().int(1, 2).int(2, 2));
    let whole = |elements: u64, bytes: u64| variable(1, &[elements], 0, 0, bytes).message(7, &slice);
    let parts = ["\0a", "\0b"].map(|name| (name, variable(1, &[2], 1, 8, 8)));
    let of = |whole: Proto| index(2, &[parts.as_slice(), &[("w", whole)]].concat());
    assert_eq!(ids(&of(whole(4, 0))), ["HF-TF-018"]);
    for wrong in [whole(4, 16), whole(1 << 40, 0), whole(1 << 63, 0)] {
        assert_eq!(ids(&of(wrong)), ["HF-TF-010"]);
    }
}

/// What is 0 is not written, so that a dimension of size 0 is one without a size.
#[test]
fn a_variable_may_be_empty() {
    let empty = [
        ("a", variable(1, &[0], 0, 0, 0)),
        ("b", variable(7, &[0, 3], 0, 0, 0)),
    ];
    assert_eq!(ids(&index(1, &empty)), ["HF-TF-018"]);
    assert_eq!(
        ids(&index(1, &[("a", variable(1, &[0], 0, 0, 4))])),
        ["HF-TF-010"]
    );
}

#[test]
fn every_way_to_be_wrong_has_its_id() {
    let one = |entry: Proto| index(1, &[("w", entry)]);
    let good = variable(1, &[4], 0, 0, 16);
    let header = Proto::new().int(1, 1);
    let of_header = |header: &Proto| table(&[(b"", &header.build())], 8, 8);
    let end = |bytes: &[u8]| [index(1, &small()).as_slice(), bytes].concat();
    for (what, bytes, id) in [
        (
            "a number of bytes that does not fit",
            one(variable(1, &[4], 0, 0, 15)),
            "HF-TF-010",
        ),
        (
            "a shape beyond all numbers",
            one(variable(1, &[1 << 40, 1 << 40], 0, 0, 16)),
            "HF-TF-010",
        ),
        (
            "a negative size",
            one(variable(1, &[u64::MAX], 0, 0, 16)),
            "HF-TF-010",
        ),
        (
            "more texts than bytes",
            one(variable(7, &[10], 0, 0, 9)),
            "HF-TF-010",
        ),
        ("an object", one(variable(20, &[], 0, 0, 0)), "HF-TF-010"),
        ("a variant", one(variable(21, &[], 0, 0, 8)), "HF-TF-010"),
        ("no type", one(variable(99, &[4], 0, 0, 16)), "HF-TF-010"),
        (
            "a file that is not there",
            one(variable(1, &[4], 1, 0, 16)),
            "HF-TF-010",
        ),
        (
            "a field that is not known",
            one(good.clone().int(9, 1)),
            "HF-TF-001",
        ),
        ("the same field twice", one(good.clone().int(5, 16)), "HF-TF-001"),
        ("no message", one(good.raw(b"\x08")), "HF-TF-001"),
        (
            "another byte order",
            of_header(&header.clone().int(2, 1)),
            "HF-TF-001",
        ),
        ("too many files", index(5000, &small()), "HF-TF-001"),
        ("something behind the end", end(b"\0"), "HF-TF-001"),
        ("cut off", index(1, &small())[..90].to_vec(), "HF-TF-001"),
    ] {
        assert_eq!(inspect(&bytes).format, Format::CheckpointIndex, "{what}");
        assert_eq!(ids(&bytes), [id], "{what}");
    }
    let long = [index(1, &small()), vec![0; 16 << 20]].concat();
    assert_eq!(ids(&long), ["HF-TF-016"]);
}

/// TensorFlow finds the parts of an index from its end, whatever it begins with.
#[test]
fn another_file_does_not_pass_as_an_index() {
    let hidden = [&b"words and words\n"[..], &index(1, &small())].concat();
    let mut inspector = FileInspector::new("variables.index");
    inspector.feed(&hidden);
    assert!(inspector.finish().findings.refuse());
    let mut inspector = FileInspector::new("variables.index");
    inspector.feed(br#"{"model_type": "llama"}"#);
    let found = inspector.finish().findings.into_parts().0;
    assert!(
        found.iter().any(|finding| finding.id == "HF-FMT-017"),
        "{found:?}"
    );
}

/// A graph that only computes, but whose bytes are a model with another graph to whoever reads them as a `SavedModel`: the name of a gradient
/// is a step there.
#[test]
fn what_is_sought_by_its_name_is_what_the_name_says() {
    let hidden = tensorflow::node("w", "WriteFile", &[]).build();
    let gradient = Proto::new().bytes(1, &hidden);
    let library = Proto::new().message(2, &gradient);
    let both = tensorflow::graph(&tensorflow::small(), &[]).message(2, &library);
    let saved = tensorflow::saved_model(&tensorflow::graph(&tensorflow::small(), &[]));
    let of = |name: &str, proto: &Proto| -> Vec<String> {
        let mut inspector = FileInspector::new(name);
        inspector.feed(&proto.build());
        let found = inspector.finish().findings.into_parts().0;
        found.into_iter().map(|finding| finding.id).collect()
    };
    assert_eq!(of("frozen.pb", &both), ["HF-TF-017"]);
    for (name, proto) in [
        ("saved_model.pb", &both),
        ("model/SAVED_MODEL.PB", &both),
        ("model/keras_metadata.pb", &both),
        ("fingerprint.pb", &saved),
        ("keras_metadata.pb", &fingerprint()),
    ] {
        assert_eq!(of(name, proto)[0], "HF-FMT-017", "{name}");
    }
    for name in [
        "saved_model.pb.",
        "saved_model.pb .",
        "\u{17f}aved_model.pb",
        "\u{212a}eras_metadata.pb",
    ] {
        assert_eq!(of(name, &both)[0], "HF-FMT-017", "{name}");
    }
    assert_eq!(of("a/saved_model.pb", &saved), ["HF-TF-017"]);
    assert_eq!(of("a/fingerprint.pb", &fingerprint()), ["HF-DOC-009"]);
}

/// A model in words begins with a remark, which can be the begin of another file.
#[test]
fn forms_that_are_not_inspected_are_refused_by_name() {
    let mut header = br#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#.to_vec();
    header.resize(0x123, b' ');
    let file = [&0x123_u64.to_le_bytes()[..], &header, b"\n\n"].concat();
    let refused = |name: &str, bytes: &[u8]| {
        let mut inspector = FileInspector::new(name);
        inspector.feed(bytes);
        let findings = inspector.finish().findings;
        (findings.refuse(), findings.has(&rules::FMT_READ_AS))
    };
    assert_eq!(refused("a.safetensors", &file), (false, false));
    for name in [
        "saved_model.pbtxt",
        "saved_model.cpb",
        "checkpoint",
        "run/Checkpoint",
    ] {
        assert_eq!(refused(name, &file), (true, true), "{name}");
    }
    const STATE: &str = "model_checkpoint_path: \"ckpt-2\"\nall_model_checkpoint_paths: \"ckpt-1\"\n\
                         all_model_checkpoint_timestamps: 1700000000.25\n";
    assert_eq!(refused("checkpoint", STATE.as_bytes()), (false, false));
    for other in [
        "model_checkpoint_path: \"/tmp/evil\"\n",
        "model_checkpoint_path: \"..\"\n",
        "model_checkpoint_path: \"a/b\"\n",
        "model_checkpoint_path: \"a\\057b\"\n",
        "model_checkpoint_path: 'a'\n",
        "# a remark\n",
        "last_preserved_timestamp: now\n",
    ] {
        assert!(refused("checkpoint", other.as_bytes()).0, "{other}");
    }
}

fn fingerprint() -> Proto {
    let sums = (1..=5).fold(Proto::new(), |file, field| {
        file.int(field, u64::MAX / u64::from(field))
    });
    sums.message(6, &Proto::new().int(1, 1))
        .text(7, "1351151976539930488")
}

fn metadata(note: &str) -> Proto {
    let object = Proto::new()
        .int(2, 1)
        .text(3, "root.layer-0")
        .text(4, "_tf_keras_layer")
        .text(5, note)
        .message(6, &Proto::new().int(1, 2));
    Proto::new().message(1, &object)
}

#[test]
fn what_lies_beside_a_saved_model_is_told_and_judged() {
    const DENSE: &str = r#"{"name": "d", "class_name": "Dense", "config": {"name": "d", "units": 2}}"#;
    const OWN: &str = r#"{"name": "m", "class_name": "MyModel", "config": {"layers": []}}"#;
    const LAMBDA: &str =
        r#"{"name": "l", "class_name": "Lambda", "config": {"function": ["4wEA", null, null]}}"#;
    const WORDS: &str =
        r#"{"class_name": "StringLookup", "config": {"name": "l", "vocabulary": "/etc/passwd"}}"#;
    const FETCHED: &str = r#"{"class_name": "Any", "config": {"from": "gs://bucket/words"}}"#;
    const METHOD: &str =
        r#"{"class_name": "ClassMethod", "config": {"cls_symbol": "data.Dataset", "method_name": "load"}}"#;
    const NAN: &str = r#"{"class_name": "Masking", "config": {"mask_value": NaN, "above": -Infinity}}"#;
    const IMPORT: &str = r#"{"class_name": "Dense", "config": {"activation": {"module": "os", "class_name": "system", "config": {}}}}"#;
    let hidden = metadata(DENSE).bytes(9, &[1; 4]);
    for (what, proto, format, wanted) in [
        (
            "a fingerprint",
            fingerprint(),
            Format::TensorflowFingerprint,
            &["HF-DOC-009"][..],
        ),
        (
            "a long name",
            fingerprint().text(7, "x"),
            Format::TensorflowFingerprint,
            &["HF-TF-012"],
        ),
        (
            "a name that is none",
            {
                let sums = (1..=3).fold(Proto::new(), |file, field| file.int(field, u64::MAX));
                sums.text(7, "<script>")
            },
            Format::TensorflowFingerprint,
            &["HF-TF-001"],
        ),
        (
            "more than sums",
            fingerprint().bytes(9, b"x"),
            Format::TensorflowFingerprint,
            &["HF-TF-014"],
        ),
        (
            "half a fingerprint",
            fingerprint().raw(b"\x40"),
            Format::TensorflowFingerprint,
            &["HF-TF-001"],
        ),
        ("a layer", metadata(DENSE), Format::KerasMetadata, &["HF-DOC-009"]),
        (
            "a class of one's own",
            metadata(OWN),
            Format::KerasMetadata,
            &["HF-DOC-009"],
        ),
        (
            "code",
            metadata(LAMBDA),
            Format::KerasMetadata,
            &["HF-TF-008", "HF-KERAS-001"],
        ),
        (
            "a list of words elsewhere",
            metadata(WORDS),
            Format::KerasMetadata,
            &["HF-KERAS-005"],
        ),
        (
            "an address",
            metadata(FETCHED),
            Format::KerasMetadata,
            &["HF-KERAS-006"],
        ),
        (
            "a method by its name",
            metadata(METHOD),
            Format::KerasMetadata,
            &["HF-KERAS-003"],
        ),
        (
            "numbers that are none",
            metadata(NAN),
            Format::KerasMetadata,
            &["HF-DOC-009"],
        ),
        (
            "an import",
            metadata(IMPORT),
            Format::KerasMetadata,
            &["HF-KERAS-002"],
        ),
        ("no JSON", metadata("{"), Format::KerasMetadata, &["HF-TF-009"]),
        ("something hidden", hidden, Format::KerasMetadata, &["HF-TF-014"]),
    ] {
        let bytes = proto.build();
        assert_eq!(inspect(&bytes).format, format, "{what}");
        assert_eq!(ids(&bytes), wanted, "{what}");
        let whole = inspect(&bytes).findings.into_parts();
        for size in 1..bytes.len() {
            let found = inspect_in(&bytes, size).findings.into_parts();
            assert_eq!(found, whole, "{what}, in pieces of {size}");
        }
    }
}

#[test]
fn the_outcome_of_an_index_does_not_depend_on_the_cut() {
    let bytes = index(1, &small());
    let whole = inspect(&bytes).findings.into_parts();
    for size in 1..bytes.len() {
        assert_eq!(
            inspect_in(&bytes, size).findings.into_parts(),
            whole,
            "in pieces of {size}"
        );
    }
}
