//! TensorFlow graphs: what is accepted, and every single way to be wrong with the id it gets.

mod common;

use common::{findings, ids, inspect, inspect_in};
use holdfast_formats::Format;
use holdfast_formats::testing::Proto;
use holdfast_formats::testing::tensorflow::{
    call, constant, function, graph, node, parameter, saved_model, saver, small, text,
};

const ADMITTED: [&str; 1] = ["HF-TF-017"];

fn ids_of(proto: &Proto) -> Vec<String> {
    ids(&proto.build())
}

/// A graph with these steps beside ordinary ones.
fn steps(more: &[Proto]) -> Proto {
    graph(&[small(), more.to_vec()].concat(), &[])
}

#[test]
fn ordinary_graphs_are_admitted() {
    let bytes = steps(&[]).build();
    let outcome = inspect(&bytes);
    assert_eq!(outcome.format, Format::TensorflowGraph);
    let facts = outcome.facts.unwrap();
    assert_eq!((facts.tensors, facts.parameters), (1, 4));
    assert_eq!(facts.tensor_type.as_deref(), Some("FLOAT"));
    assert_eq!(ids(&bytes), ADMITTED);
    let saved = saved_model(&steps(&[])).build();
    assert_eq!(inspect(&saved).format, Format::SavedModel);
    assert_eq!(ids(&saved), ADMITTED);
}

#[test]
fn operators_are_judged_in_graphs_and_functions() {
    for (operator, id) in [
        ("MatMul", "HF-TF-017"),
        ("WriteFile", "HF-TF-002"),
        ("ReadFile", "HF-TF-002"),
        ("MatchingFiles", "HF-TF-002"),
        ("PyFunc", "HF-TF-002"),
        ("EagerPyFunc", "HF-TF-002"),
        ("_Send", "HF-TF-002"),
        ("RpcClient", "HF-TF-002"),
        ("DebugIdentityV2", "HF-TF-002"),
        ("XlaCustomCall", "HF-TF-002"),
        ("TextLineDataset", "HF-TF-003"),
        ("InitializeTableFromTextFileV2", "HF-TF-003"),
        ("ShellExecute", "HF-TF-005"),
        ("VarHandleOp", "HF-TF-006"),
    ] {
        let step = node("z", operator, &["x"]);
        assert_eq!(ids_of(&steps(std::slice::from_ref(&step))), [id], "{operator}");
        assert_eq!(
            ids_of(&saved_model(&steps(std::slice::from_ref(&step)))),
            [id],
            "{operator}"
        );
        let within = graph(&small(), &[function("f", &["x"], &[step])]);
        assert_eq!(ids_of(&saved_model(&within)), [id], "{operator} in a function");
    }
    let print = |stream: &str| {
        let stream = parameter("output_stream", &Proto::new().text(2, stream));
        ids_of(&steps(&[node("p", "PrintV2", &["x"]).message(5, &stream)]))
    };
    assert_eq!(print("stderr"), ADMITTED);
    assert_eq!(print("file:///root/.profile"), ["HF-TF-002"]);
}

/// A step with one parameter, whose `AttrValue` this is.
fn with(operator: &str, name: &str, value: &Proto) -> Vec<String> {
    let step = node("z", operator, &["x"]).message(5, &parameter(name, value));
    ids_of(&steps(&[step]))
}

#[test]
fn parameters_that_name_files_are_judged() {
    let path = Proto::new().text(2, "/etc/passwd");
    for (operator, name, id) in [
        ("ImmutableConst", "memory_region_name", "HF-TF-003"),
        ("Skipgram", "filename", "HF-TF-003"),
        ("RecordInput", "file_pattern", "HF-TF-003"),
        ("FixedUnigramCandidateSampler", "vocab_file", "HF-TF-003"),
        ("DecodeProtoV2", "descriptor_source", "HF-TF-003"),
        ("EncodeProto", "descriptor_source", "HF-TF-003"),
        ("MlirPassthroughOp", "mlir_module", "HF-TF-002"),
    ] {
        assert_eq!(with(operator, name, &path), [id], "{operator}");
    }
    let texts = |texts: &[&str]| Proto::new().message(1, &Proto::new().texts(2, texts));
    for (operator, name, value) in [
        (
            "FixedUnigramCandidateSampler",
            "vocab_file",
            Proto::new().text(2, ""),
        ),
        (
            "FixedUnigramCandidateSampler",
            "unigrams",
            Proto::new().message(1, &Proto::new()),
        ),
        ("DecodeProtoV2", "descriptor_source", Proto::new().text(2, "")),
        (
            "DecodeProtoV2",
            "descriptor_source",
            Proto::new().text(2, "local://"),
        ),
        (
            "EncodeProto",
            "descriptor_source",
            Proto::new().text(2, &format!("bytes://{}", "x".repeat(1000))),
        ),
        (
            "CopyHost",
            "debug_ops_spec",
            Proto::new().message(1, &Proto::new()),
        ),
        ("Copy", "debug_ops_spec", texts(&["DebugIdentity;;0"])),
        (
            "HashTableV2",
            "shared_name",
            Proto::new().text(2, "/hash_table_1"),
        ),
        (
            "StaticRegexReplace",
            "pattern",
            Proto::new().text(2, "https://[^ ]+"),
        ),
        ("StringJoin", "separator", Proto::new().text(2, "/..")),
        ("Identity", "_class", texts(&["loc:@x"])),
        ("Relu", "vocab_size", Proto::new().text(9, "T")),
    ] {
        assert_eq!(with(operator, name, &value), ADMITTED, "{operator} {name}");
    }
    for url in ["grpc://evil:1", "file:///tmp/x"] {
        let spec = format!("DebugIdentity;{url};0");
        let specs = texts(&["DebugNanCount;;0", &spec]);
        assert_eq!(with("CopyHost", "debug_ops_spec", &specs), ["HF-TF-002"]);
    }
}

#[test]
fn parameters_are_judged_in_whatever_order_they_come_and_when_a_caller_gives_them() {
    let path = Proto::new().text(2, "/etc/passwd");
    let open = Proto::new().text(9, "file");
    for (operator, name, id) in [
        ("FixedUnigramCandidateSampler", "vocab_file", "HF-TF-003"),
        ("DecodeProtoV2", "descriptor_source", "HF-TF-003"),
        ("PrintV2", "output_stream", "HF-TF-002"),
    ] {
        let backwards = Proto::new().message(2, &path).text(1, name);
        let step = Proto::new().message(5, &backwards).text(2, operator).text(1, "z");
        assert_eq!(ids_of(&steps(&[step])), [id], "{operator}");
        assert_eq!(with(operator, name, &open), [id], "{operator}");
    }
}

#[test]
fn functions_are_known_as_operators_by_their_name() {
    let functions = [function("mine", &["a"], &[node("b", "Relu", &["a"])])];
    let of = |operator: &str| {
        ids_of(&graph(
            &[small(), vec![node("z", operator, &["x"])]].concat(),
            &functions,
        ))
    };
    assert_eq!(of("mine"), ADMITTED);
    assert_eq!(of("yours"), ["HF-TF-005"]);
}

/// A `SavedModel` with these steps beside ordinary ones, and functions.
fn run(nodes: &[Proto], functions: &[Proto]) -> Vec<String> {
    ids_of(&saved_model(&graph(
        &[small(), nodes.to_vec()].concat(),
        functions,
    )))
}

/// A function that calls the function `save` with its second argument.
fn between() -> Proto {
    function("between", &["other", "name"], &[call("c", "save", &["name"])])
}

fn given() -> Proto {
    node("saver_filename", "Placeholder", &[])
}

#[test]
fn savers_get_their_file_from_whoever_runs_the_graph() {
    let given = given();
    // As TensorFlow 2 writes it.
    assert_eq!(
        run(
            &[given.clone(), call("s", "save", &["saver_filename", "w"])],
            &[saver("save")]
        ),
        ADMITTED
    );
    // As TensorFlow 1 writes it.
    let first = [
        text("save/filename/input", "model"),
        node(
            "save/filename",
            "PlaceholderWithDefault",
            &["save/filename/input"],
        ),
        text("part", "_temp/part"),
        node("join", "StringJoin", &["save/filename", "part"]),
        node("save", "SaveV2", &["join", "x", "x", "w"]),
        node("restore", "RestoreV2", &["save/filename", "x", "x"]),
    ];
    assert_eq!(run(&first, &[]), ADMITTED);
    // Through another function.
    let both = [saver("save"), between()];
    assert_eq!(
        run(
            &[given.clone(), call("s", "between", &["w", "saver_filename"])],
            &both
        ),
        ADMITTED
    );
}

#[test]
fn savers_with_a_file_of_their_own_are_refused() {
    let given = given();
    let both = [saver("save"), between()];
    let path = text("path", "/etc/cron.d/x");
    for (nodes, functions) in [
        (
            vec![path.clone(), node("s", "SaveV2", &["path", "x", "x", "w"])],
            vec![],
        ),
        (
            vec![path.clone(), node("s", "RestoreV2", &["path", "x", "x"])],
            vec![],
        ),
        (vec![node("s", "SaveV2", &[])], vec![]),
        (
            vec![node("d", "DecodeBase64", &["x"]), node("s", "SaveV2", &["d"])],
            vec![],
        ),
        (
            vec![
                given.clone(),
                path.clone(),
                node("m", "MergeV2Checkpoints", &["saver_filename", "path"]),
            ],
            vec![],
        ),
        (
            vec![
                given.clone(),
                path.clone(),
                node("j", "StringJoin", &["path", "saver_filename"]),
                node("s", "SaveV2", &["j"]),
            ],
            vec![],
        ),
        (
            vec![path.clone(), call("s", "save", &["path"])],
            vec![saver("save")],
        ),
        (
            vec![
                given.clone(),
                path.clone(),
                call("s", "between", &["saver_filename", "path"]),
            ],
            both.to_vec(),
        ),
        (
            vec![path.clone(), node("s", "save", &["path"])],
            vec![saver("save")],
        ),
        (
            vec![node("s", "MapDefun", &["x"]).message(
                5,
                &parameter("f", &Proto::new().message(10, &Proto::new().text(1, "save"))),
            )],
            vec![saver("save")],
        ),
        (
            vec![],
            vec![function(
                "f",
                &["a"],
                &[path.clone(), node("s", "SaveV2", &["path:output:0"])],
            )],
        ),
    ] {
        assert_eq!(run(&nodes, &functions), ["HF-TF-004"], "{nodes:?}");
    }
}

#[test]
fn constants_fit_their_shape() {
    let dimension = |size: u64| Proto::new().message(2, &Proto::new().int(1, size));
    let of = |tensor: &Proto| ids_of(&steps(&[constant("c", tensor)]));
    let typed = |kind: u64, size: u64| Proto::new().int(1, kind).message(2, &dimension(size));
    for (tensor, id) in [
        (typed(3, 4).packed(7, &[1]), "HF-TF-017"),
        (typed(3, 4).packed(7, &[1, 2, 3, 4]), "HF-TF-017"),
        (typed(1, 0), "HF-TF-017"),
        (
            Proto::new()
                .int(1, 3)
                .message(2, &Proto::new().message(2, &Proto::new()))
                .packed(7, &[1]),
            "HF-TF-010",
        ),
        (typed(3, 4).packed(7, &[1, 2, 3, 4, 5]), "HF-TF-010"),
        (typed(3, 4).bytes(4, &[0; 15]), "HF-TF-010"),
        (typed(3, 4).bytes(4, &[0; 16]).packed(7, &[1]), "HF-TF-010"),
        (typed(3, 4).packed(10, &[1]), "HF-TF-010"),
        (typed(3, 4).packed(7, &[1]).packed(10, &[1]), "HF-TF-010"),
        (typed(7, 4).bytes(4, &[0; 4]), "HF-TF-010"),
        (typed(99, 4).bytes(4, &[0; 4]), "HF-TF-010"),
        (typed(3, u64::MAX), "HF-TF-010"),
        (
            Proto::new().int(1, 3).message(2, &Proto::new().int(3, 1)),
            "HF-TF-010",
        ),
    ] {
        assert_eq!(of(&tensor), [id], "{tensor:?}");
    }
}

#[test]
fn everything_else_has_its_id() {
    let good = steps(&[]);
    let meta = |more: &Proto| {
        let information = Proto::new().texts(4, &["serve"]);
        let meta = Proto::new()
            .message(1, &information)
            .message(2, &steps(&[]))
            .raw(&more.build());
        Proto::new().int(1, 1).message(2, &meta)
    };
    let asset = |name: &str| meta(&Proto::new().message(6, &Proto::new().text(2, name)));
    let user = |note: &str| {
        let object = Proto::new().message(4, &Proto::new().text(1, "_tf_keras_layer").text(3, note));
        meta(&Proto::new().message(7, &Proto::new().message(1, &object)))
    };
    let variable = Proto::new().message(7, &Proto::new().int(1, 1));
    for (proto, expected) in [
        (good.clone().raw(b"\x08"), &["HF-TF-001"][..]),
        (good.clone().raw(&[0; 16]), &["HF-TF-001"]),
        (good.clone().raw(b"\x0a\x7f"), &["HF-TF-001"]),
        (asset("vocab.txt"), &["HF-TF-006"]),
        (asset("../../etc/passwd"), &["HF-TF-006", "HF-TF-007"]),
        (
            meta(&Proto::new().message(4, &Proto::new().text(1, "saved_model_assets"))),
            &["HF-TF-007"],
        ),
        (
            meta(&Proto::new().message(4, &Proto::new().text(1, "variables"))),
            &ADMITTED,
        ),
        (
            meta(&Proto::new().message(7, &Proto::new().message(1, &variable))),
            &["HF-TF-006"],
        ),
        (user(r#"{"class_name":"Dense"}"#), &ADMITTED),
        (
            user(r#"{"class_name":"Lambda","config":{}}"#),
            &["HF-TF-008", "HF-KERAS-001"],
        ),
        (user("{"), &["HF-TF-009"]),
        (steps(&[node("y", "Relu", &["x"])]), &["HF-TF-011"]),
        (
            graph(&small(), &[function("f", &[], &[]), function("f", &[], &[])]),
            &["HF-TF-011"],
        ),
        (good.clone().message(4, &Proto::new()), &["HF-TF-012"]),
        (good.clone().bytes(99, &[1; 40]), &["HF-TF-013", "HF-TF-017"]),
        (good.clone().bytes(99, &[1; 4000]), &["HF-TF-014", "HF-TF-013"]),
        (
            steps(&[node("a\u{200b}", "Relu", &["x"])]),
            &["HF-TF-015", "HF-TF-017"],
        ),
    ] {
        assert_eq!(ids_of(&proto), expected, "{proto:?}");
    }
    let many: Vec<_> = (0..1100)
        .map(|index| node(&format!("n{index}"), &format!("T{index}"), &[]))
        .collect();
    assert!(ids_of(&steps(&many)).contains(&"HF-TF-016".to_owned()));
}

#[test]
fn names_stand_by_their_findings() {
    let found = findings(&steps(&[node("block/write", "WriteFile", &["x"])]).build());
    assert_eq!(found[0].part.as_deref(), Some("block/write"));
}

#[test]
fn the_outcome_does_not_depend_on_the_cut() {
    let nodes = [
        small(),
        vec![
            text("t", "/a"),
            node("s", "SaveV2", &["t"]),
            call("c", "save", &["t"]),
        ],
    ]
    .concat();
    let bytes = saved_model(&graph(&nodes, &[saver("save")])).build();
    let whole = inspect(&bytes).findings.into_parts();
    for size in 1..bytes.len() {
        assert_eq!(
            inspect_in(&bytes, size).findings.into_parts(),
            whole,
            "in pieces of {size}"
        );
    }
}
