//! ONNX: what is accepted, and every single way to be wrong with the id it gets.

mod common;

use common::{findings, ids, inspect, inspect_in};
use holdfast_formats::Format;
use holdfast_formats::testing::Proto;
use holdfast_formats::testing::onnx::{entry, graph, model, node, shape, small, tensor};

const ADMITTED: [&str; 1] = ["HF-ONNX-021"];

fn ids_of(proto: &Proto) -> Vec<String> {
    ids(&proto.build())
}

/// A model with one step.
fn step(node: &Proto) -> Proto {
    model(&graph(std::slice::from_ref(node), &[]))
}

/// A model with one tensor.
fn weights(tensor: Proto) -> Proto {
    model(&graph(&[], &[tensor]))
}

/// A tensor whose data is elsewhere.
fn external(entries: &[(&str, &str)]) -> Proto {
    let entries: Vec<_> = entries.iter().map(|(key, value)| entry(key, value)).collect();
    shape(1, &[2]).text(8, "w").messages(13, &entries).int(14, 1)
}

#[test]
fn an_ordinary_model_is_admitted() {
    let bytes = small().build();
    let outcome = inspect(&bytes);
    assert_eq!(outcome.format, Format::Onnx);
    let facts = outcome.facts.unwrap();
    assert_eq!((facts.tensors, facts.parameters), (3, 2 + 4 + 1));
    assert_eq!(facts.tensor_type.as_deref(), Some("FLOAT"));
    assert_eq!(facts.name.as_deref(), Some("maker 1.0"));
    assert_eq!(ids(&bytes), ADMITTED);
}

#[test]
fn every_element_type_passes_in_its_size() {
    let bits = [
        (1, 32),
        (2, 8),
        (3, 8),
        (4, 16),
        (5, 16),
        (6, 32),
        (7, 64),
        (9, 8),
        (10, 16),
        (11, 64),
        (12, 32),
        (13, 64),
        (14, 64),
        (15, 128),
        (16, 16),
        (17, 8),
        (18, 8),
        (19, 8),
        (20, 8),
        (21, 4),
        (22, 4),
        (23, 4),
        (24, 8),
        (25, 2),
        (26, 2),
        (27, 6),
        (28, 6),
    ];
    for (kind, bits) in bits {
        let bytes = |elements: usize| vec![0; (elements * bits).div_ceil(8)];
        assert_eq!(
            ids_of(&weights(tensor("w", kind, &[3, 7], &bytes(21)))),
            ADMITTED,
            "{kind}"
        );
        assert_eq!(
            ids_of(&weights(tensor("w", kind, &[3, 7], &bytes(29)))),
            ["HF-ONNX-011"],
            "{kind}"
        );
    }
}

#[test]
fn numbers_in_typed_fields_are_counted() {
    for (tensor, id) in [
        (shape(1, &[2]).bytes(4, &[0; 8]), "HF-ONNX-021"),
        (shape(1, &[2]).raw(b"\x25\0\0\0\0\x25\0\0\0\0"), "HF-ONNX-021"),
        (shape(14, &[1]).bytes(4, &[0; 8]), "HF-ONNX-021"),
        (shape(22, &[3]).packed(5, &[1, 1]), "HF-ONNX-021"),
        (shape(27, &[3]).packed(5, &[1, 1, 1]), "HF-ONNX-021"),
        (shape(7, &[2]).packed(7, &[1, u64::MAX]), "HF-ONNX-021"),
        (shape(8, &[2]).text(6, "a").text(6, "b\u{202e}"), "HF-ONNX-021"),
        (shape(11, &[1]).bytes(10, &[0; 8]), "HF-ONNX-021"),
        (shape(13, &[1]).int(11, 5), "HF-ONNX-021"),
        (shape(1, &[0]), "HF-ONNX-021"),
        (shape(1, &[2]), "HF-ONNX-011"),
        (shape(1, &[2]).bytes(4, &[0; 12]), "HF-ONNX-011"),
        (shape(1, &[1]).int(7, 5), "HF-ONNX-011"),
        (shape(1, &[1]).bytes(4, &[0; 4]).int(7, 5), "HF-ONNX-011"),
        (shape(1, &[1]).bytes(4, &[0; 4]).bytes(9, &[0; 4]), "HF-ONNX-011"),
        (shape(8, &[1]).bytes(9, b"a"), "HF-ONNX-011"),
        (
            shape(1, &[1])
                .bytes(9, &[0; 4])
                .message(3, &Proto::new().int(1, 0)),
            "HF-ONNX-011",
        ),
        (shape(0, &[1]).bytes(9, &[0; 4]), "HF-ONNX-009"),
        (shape(29, &[1]).bytes(9, &[0; 4]), "HF-ONNX-009"),
        (Proto::new().int(1, 1).bytes(9, &[0; 4]), "HF-ONNX-009"),
        (shape(1, &[u64::MAX]), "HF-ONNX-010"),
        (shape(1, &[1 << 62, 4, 0]), "HF-ONNX-010"),
        (shape(11, &[1 << 60]), "HF-ONNX-010"),
    ] {
        assert_eq!(ids_of(&weights(tensor.clone().text(8, "w"))), [id], "{tensor:?}");
    }
}

#[test]
fn external_data_is_named_and_its_path_judged() {
    let of = |entries: &[(&str, &str)]| ids_of(&weights(external(entries)));
    assert_eq!(
        of(&[("location", "w.data"), ("offset", "0"), ("length", "8")]),
        ["HF-ONNX-003"]
    );
    for location in [
        "/etc/passwd",
        "../../.ssh/id",
        "..\\x",
        "C:/x",
        "https://a/b",
        "*/_ORT_MEM_ADDR_/*",
        "",
    ] {
        assert_eq!(
            of(&[("location", location)]),
            ["HF-ONNX-002", "HF-ONNX-003"],
            "{location}"
        );
    }
    for entries in [
        [("location", "w"), ("offset", "-1")],
        [("location", "w"), ("length", "all")],
        [("location", "w"), ("location", "v")],
        [("location", "w"), ("command", "x")],
        [("offset", "1"), ("length", "1")],
    ] {
        assert_eq!(of(&entries), ["HF-ONNX-004", "HF-ONNX-003"], "{entries:?}");
    }
    let both = external(&[("location", "w")]).bytes(9, &[0; 8]);
    assert_eq!(ids_of(&weights(both)), ["HF-ONNX-004", "HF-ONNX-003"]);
    let unsaid = tensor("w", 1, &[2], &[0; 8]).message(13, &entry("location", "w"));
    assert_eq!(ids_of(&weights(unsaid)), ["HF-ONNX-004"]);
}

#[test]
fn operators_are_judged_wherever_they_stand() {
    for (domain, operator, id) in [
        ("", "Conv", "HF-ONNX-021"),
        ("ai.onnx", "Conv", "HF-ONNX-021"),
        ("ai.onnx.ml", "TreeEnsembleClassifier", "HF-ONNX-021"),
        ("ai.onnx.contrib", "PyOp", "HF-ONNX-005"),
        ("com.microsoft", "PythonOp", "HF-ONNX-005"),
        ("com.microsoft", "EPContext", "HF-ONNX-005"),
        ("com.microsoft.extensions", "OpenAIAudioToText", "HF-ONNX-005"),
        ("org.pytorch.aten", "ATen", "HF-ONNX-005"),
        ("com.example", "Thing", "HF-ONNX-006"),
        ("", "Thing", "HF-ONNX-006"),
    ] {
        let inner = node(domain, operator, &["x"], &["y"]);
        assert_eq!(ids_of(&step(&inner)), [id], "{domain} {operator}");
        let branch = Proto::new()
            .text(1, "body")
            .message(6, &graph(&[inner], &[]))
            .int(20, 5);
        assert_eq!(
            ids_of(&step(&node("", "Loop", &[], &[]).message(5, &branch))),
            [id],
            "in a loop"
        );
    }
    assert_eq!(
        ids_of(&step(&node("com.microsoft", "FusedConv", &[], &[]))),
        ["HF-ONNX-008", "HF-ONNX-021"]
    );
    assert_eq!(
        ids_of(&step(&node("\u{ff}x", "\u{0}", &[], &[]).raw(b""))),
        ["HF-ONNX-006", "HF-ONNX-017"]
    );
    assert_eq!(
        ids_of(&step(&Proto::new().bytes(4, b"\xff"))),
        ["HF-ONNX-007", "HF-ONNX-017"]
    );
}

#[test]
fn functions_of_the_model_define_operators_and_are_inspected() {
    let function = |inner: &Proto| {
        Proto::new()
            .text(1, "Thing")
            .message(7, inner)
            .text(10, "com.example")
    };
    let caller = step(&node("com.example", "Thing", &["x"], &["y"]));
    let harmless = caller
        .clone()
        .message(25, &function(&node("", "Relu", &["x"], &["y"])));
    assert_eq!(ids_of(&harmless), ADMITTED);
    let harmful = caller
        .clone()
        .message(25, &function(&node("ai.onnx.contrib", "PyOp", &["x"], &["y"])));
    assert_eq!(ids_of(&harmful), ["HF-ONNX-005"]);
    let other = Proto::new().text(1, "Other").text(10, "com.example");
    assert_eq!(ids_of(&caller.message(25, &other)), ["HF-ONNX-006"]);
}

#[test]
fn everything_else_has_its_id() {
    let good = small();
    let twice = [tensor("w", 1, &[1], &[0; 4]), tensor("w", 1, &[1], &[0; 4])];
    let sparse = Proto::new().message(1, &tensor("w", 1, &[1], &[0; 4]));
    let parameter = |parameter: Proto| step(&node("", "Relu", &[], &[]).message(5, &parameter.text(1, "a")));
    let deep = (0..30).fold(node("", "Relu", &[], &[]), |inner, _| {
        let body = Proto::new()
            .text(1, "b")
            .message(6, &graph(&[inner], &[]))
            .int(20, 5);
        node("", "If", &[], &[]).message(5, &body)
    });
    let bare = |version: u64| Proto::new().int(1, version).text(2, "maker");
    let opset = Proto::new().text(1, "").int(2, 17);
    let duplicates = model(&Proto::new().messages(5, &twice));
    let mixed = model(&Proto::new().messages(5, &twice[..1]).message(15, &sparse));
    for (proto, expected) in [
        (good.clone().raw(b"\x28"), &["HF-ONNX-001"][..]),
        (good.clone().raw(b"\x3a\x7f"), &["HF-ONNX-014", "HF-ONNX-001"]),
        (good.clone().raw(b"\x2b\x2c"), &["HF-ONNX-001"]),
        (good.clone().raw(&[0; 16]), &["HF-ONNX-001"]),
        (
            good.clone().message(14, &Proto::new().int(1, 1)),
            &["HF-ONNX-001"],
        ),
        (good.clone().raw(b"\x28\x81\x00"), &["HF-ONNX-001"]),
        (step(&deep), &["HF-ONNX-001"]),
        (duplicates, &["HF-ONNX-012"]),
        (mixed, &["HF-ONNX-012"]),
        (
            parameter(Proto::new().int(3, 1).text(4, "x").int(20, 2)),
            &["HF-ONNX-013"],
        ),
        (parameter(Proto::new().int(3, 1).int(20, 3)), &["HF-ONNX-013"]),
        (parameter(Proto::new().int(20, 5)), &["HF-ONNX-013"]),
        (parameter(Proto::new().int(20, 7)), &ADMITTED),
        (parameter(Proto::new().text(21, "outer").int(20, 2)), &ADMITTED),
        (good.clone().message(7, &graph(&[], &[])), &["HF-ONNX-014"]),
        (good.clone().int(1, 9), &["HF-ONNX-014"]),
        (good.clone().bytes(99, &[7; 40]), &["HF-ONNX-015", "HF-ONNX-021"]),
        (
            good.clone().bytes(99, &[7; 4000]),
            &["HF-ONNX-016", "HF-ONNX-015"],
        ),
        (
            good.clone().message(14, &entry("k", "a\u{202e}b")),
            &["HF-ONNX-017", "HF-ONNX-021"],
        ),
        (
            good.clone().message(14, &Proto::new().bytes(1, b"\xff")),
            &["HF-ONNX-017", "HF-ONNX-021"],
        ),
        (bare(8).message(8, &opset), &["HF-ONNX-018"]),
        (bare(8).message(7, &graph(&[], &[])), &["HF-ONNX-018"]),
        (
            Proto::new()
                .message(8, &opset)
                .text(2, "m")
                .message(7, &graph(&[], &[])),
            &["HF-ONNX-018"],
        ),
        (
            bare(15).message(8, &opset).message(7, &graph(&[], &[])),
            &["HF-ONNX-019"],
        ),
    ] {
        assert_eq!(
            ids_of(&proto),
            expected,
            "{:x?}",
            &proto.build()[..proto.build().len().min(60)]
        );
    }
}

#[test]
fn limits_hold() {
    let many: Vec<_> = (0..1100)
        .map(|index| node("com.example", &format!("T{index}"), &[], &[]))
        .collect();
    assert!(ids_of(&model(&graph(&many, &[]))).contains(&"HF-ONNX-020".to_owned()));
}

#[test]
fn names_stand_by_their_findings() {
    let file = weights(shape(1, &[2]).text(8, "layer.0.weight")).build();
    let found = findings(&file);
    assert_eq!(found[0].part.as_deref(), Some("layer.0.weight"));
    let bad = step(&node("ai.onnx.contrib", "PyOp", &[], &[]).text(3, "run"));
    assert_eq!(findings(&bad.build())[0].part.as_deref(), Some("run"));
}

#[test]
fn the_outcome_does_not_depend_on_the_cut() {
    let bytes = small()
        .message(14, &entry("k", "a\u{202e}b"))
        .bytes(99, &[7; 40])
        .build();
    let whole = inspect(&bytes).findings.into_parts();
    for size in 1..bytes.len() {
        assert_eq!(
            inspect_in(&bytes, size).findings.into_parts(),
            whole,
            "in pieces of {size}"
        );
    }
}
