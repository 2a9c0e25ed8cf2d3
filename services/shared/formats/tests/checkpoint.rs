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
    const STATE: &str = "model_checkpoint_path: \"ckpt-2\"\nall_model_checkpoint_paths: \"ckpt-1\"\n\
                         all_model_checkpoint_timestamps: 1700000000.25\n";
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

/// The file is of this format and has these findings, however it is cut.
fn judged_as(format: Format, wanted: &[&str], proto: &Proto) {
    let bytes = proto.build();
    assert_eq!(inspect(&bytes).format, format, "{proto:?}");
    assert_eq!(ids(&bytes), wanted, "{proto:?}");
    let whole = inspect(&bytes).findings.into_parts();
    for size in 1..bytes.len() {
        let found = inspect_in(&bytes, size).findings.into_parts();
        assert_eq!(found, whole, "{proto:?}, in pieces of {size}");
    }
}

#[test]
fn a_fingerprint_is_sums_and_a_name() {
    let sums = (1..=3).fold(Proto::new(), |file, field| file.int(field, u64::MAX));
    for (proto, wanted) in [
        (fingerprint(), "HF-DOC-009"),
        (fingerprint().text(7, "x"), "HF-TF-012"),
        (sums.text(7, "<script>"), "HF-TF-001"),
        (fingerprint().bytes(9, b"x"), "HF-TF-014"),
        (fingerprint().raw(b"\x40"), "HF-TF-001"),
    ] {
        judged_as(Format::TensorflowFingerprint, &[wanted], &proto);
    }
}

#[test]
#[rustfmt::skip]
fn notes_of_keras_are_judged_by_what_they_have_it_do() {
    const DENSE: &str = r#"{"name": "d", "class_name": "Dense", "config": {"name": "d", "units": 2}}"#;
    for (note, wanted) in [
        (DENSE, &["HF-DOC-009"][..]),
        (r#"{"name": "m", "class_name": "MyModel", "config": {"layers": []}}"#, &["HF-DOC-009"]),
        (r#"{"class_name": "Masking", "config": {"mask_value": NaN, "above": -Infinity}}"#, &["HF-DOC-009"]),
        (r#"{"class_name": "Lambda", "config": {"function": ["4wEA", null, null]}}"#, &["HF-TF-008", "HF-KERAS-001"]),
        (r#"{"class_name": "StringLookup", "config": {"name": "l", "vocabulary": "/etc/passwd"}}"#, &["HF-KERAS-005"]),
        (r#"{"class_name": "Any", "config": {"from": "gs://bucket/words"}}"#, &["HF-KERAS-006"]),
        (r#"{"class_name": "ClassMethod", "config": {"cls_symbol": "data.Dataset", "method_name": "load"}}"#, &["HF-KERAS-003"]),
        (r#"{"class_name": "D", "config": {"x": {"module": "os", "class_name": "system", "config": {}}}}"#, &["HF-KERAS-002"]),
        ("{", &["HF-TF-009"]),
    ] {
        judged_as(Format::KerasMetadata, wanted, &metadata(note));
    }
    judged_as(Format::KerasMetadata, &["HF-TF-014"], &metadata(DENSE).bytes(9, &[1; 4]));
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
