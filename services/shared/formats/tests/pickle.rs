//! Pickles: what a reader would import and call is seen in every disguise, and weights pass.

mod common;

use common::{findings, ids, inspect};
use holdfast_contract::report::Finding;
use holdfast_formats::pickle::{Context, Pickle, Summary};
use holdfast_formats::testing::{Assembler, legacy, weights};
use holdfast_formats::{Format, Inspector};

fn summary(bytes: &[u8]) -> Summary {
    let mut pickle = Pickle::new(Context::Member);
    pickle.feed(0, bytes);
    pickle.conclude(bytes.len() as u64).1
}

fn found(context: Context, bytes: &[u8]) -> Vec<Finding> {
    let mut pickle = Pickle::new(context);
    pickle.feed(0, bytes);
    pickle.conclude(bytes.len() as u64).0.into_parts().0
}

fn in_context(context: Context, bytes: &[u8]) -> Vec<String> {
    found(context, bytes)
        .into_iter()
        .map(|finding| finding.id)
        .collect()
}

/// The ids without the note that an admitted pickle gets.
fn only(bytes: &[u8]) -> Vec<String> {
    let mut ids = in_context(Context::File, bytes);
    ids.retain(|id| id != "HF-PKL-016");
    ids
}

fn first(bytes: &[u8]) -> String {
    let first = found(Context::File, bytes).into_iter().next();
    first.map_or_else(String::new, |first| format!("{}: {}", first.id, first.message))
}

#[test]
fn a_state_dict_is_admitted_with_a_note_and_listed() {
    let bytes = Assembler::protocol(2)
        .state_dict(&[("layer.weight", &[2, 3]), ("layer.bias", &[3])])
        .stop();
    assert_eq!(inspect(&bytes).format, Format::Pickle);
    assert_eq!(ids(&bytes), ["HF-PKL-016"]);
    let summary = summary(&bytes);
    assert!(summary.complete);
    assert_eq!(
        summary.globals,
        [
            "collections.OrderedDict",
            "torch._utils._rebuild_tensor_v2",
            "torch.FloatStorage"
        ]
    );
    let listed: Vec<_> = summary
        .tensors
        .iter()
        .map(|tensor| (tensor.name.to_string(), tensor.tensor.shape.to_vec()))
        .collect();
    assert_eq!(
        listed,
        [
            ("layer.weight".to_owned(), vec![2, 3]),
            ("layer.bias".to_owned(), vec![3])
        ]
    );
    assert_eq!(summary.storages[1].key.to_string(), "1");
    assert_eq!(summary.tensors[1].tensor.element.safetensors, Some("F32"));
}

#[test]
fn a_nested_state_dict_is_listed_with_its_path() {
    let bytes = Assembler::protocol(2)
        .raw(b"}(")
        .text("epoch")
        .int(3)
        .text("model")
        .state_dict(&[("w", &[4])])
        .text("optimizer")
        .raw(b"](")
        .tensor("HalfStorage", "7", &[2])
        .raw(b"eu")
        .stop();
    let summary = summary(&bytes);
    let names: Vec<String> = summary
        .tensors
        .iter()
        .map(|tensor| tensor.name.to_string())
        .collect();
    assert_eq!(names, ["model.w", "optimizer.0"]);
    assert!(summary.complete);
}

#[test]
fn names_the_callable_its_arguments_and_the_place() {
    let bytes = b"cos\nsystem\n(S'echo \\x68i'\ntR.";
    assert_eq!(first(bytes), "HF-PKL-001: `os.system` is called with ('echo hi')");
    assert_eq!(findings(bytes)[0].offset, Some(27));
}

#[test]
fn every_way_to_call_is_a_call() {
    let call = "is called with";
    for (name, bytes) in [
        (
            "REDUCE",
            Assembler::new()
                .global("os", "system")
                .text("id")
                .raw(b"\x85R")
                .stop(),
        ),
        ("INST", b"(S'id'\nios\nsystem\n.".to_vec()),
        ("OBJ", b"(cos\nsystem\nS'id'\no.".to_vec()),
        ("OBJ and POP", b"(cos\nsystem\nS'id'\no0N.".to_vec()),
        (
            "NEWOBJ",
            Assembler::protocol(2)
                .global("subprocess", "Popen")
                .text("id")
                .raw(b"\x85\x81")
                .stop(),
        ),
        (
            "NEWOBJ_EX",
            Assembler::protocol(4)
                .stack_global("subprocess", "Popen")
                .text("id")
                .raw(b"\x85}\x92")
                .stop(),
        ),
        (
            "list as arguments",
            Assembler::new()
                .global("os", "system")
                .raw(b"](")
                .text("id")
                .raw(b"eR")
                .stop(),
        ),
        (
            "first of two",
            Assembler::new()
                .global("os", "system")
                .text("id")
                .raw(b"\x85R0N.")
                .raw(b"N")
                .stop(),
        ),
        (
            "second of two",
            Assembler::new()
                .raw(b"N.")
                .global("os", "system")
                .text("id")
                .raw(b"\x85R")
                .stop(),
        ),
    ] {
        assert!(
            first(&bytes).starts_with("HF-PKL-001: ") && first(&bytes).contains(call),
            "{name}: {}",
            first(&bytes)
        );
    }
}

#[test]
fn an_import_alone_is_a_finding() {
    assert_eq!(
        first(&Assembler::new().global("os", "system").stop()),
        "HF-PKL-001: `os.system` is imported"
    );
    assert_eq!(
        first(&Assembler::new().global("my.code", "Net").stop()),
        "HF-PKL-002: `my.code.Net` is imported"
    );
}

#[test]
fn names_are_resolved_however_they_are_written() {
    for (how, bytes) in [
        (
            "memo",
            Assembler::protocol(4)
                .text("os")
                .put(1)
                .raw(b"0")
                .text("system")
                .put(2)
                .raw(b"0")
                .get(1)
                .get(2)
                .raw(b"\x93")
                .stop(),
        ),
        (
            "memo with a gap",
            Assembler::protocol(4)
                .text("os")
                .put(9)
                .raw(b"0")
                .text("system")
                .raw(b"\x940")
                .get(9)
                .get(1)
                .raw(b"\x93")
                .stop(),
        ),
        (
            "stored again",
            Assembler::protocol(4)
                .text("collections")
                .put(1)
                .raw(b"0")
                .text("os")
                .put(1)
                .raw(b"0")
                .get(1)
                .text("system")
                .raw(b"\x93")
                .stop(),
        ),
        (
            "escapes",
            Assembler::protocol(4)
                .raw(b"S'\\x6fs'\nV\\u0073ystem\n\x93")
                .stop(),
        ),
        (
            "other lengths",
            Assembler::protocol(4)
                .raw(b"\x8d\x02\0\0\0\0\0\0\0os\x8c\x06system\x93")
                .stop(),
        ),
        (
            "byte strings",
            Assembler::protocol(4).raw(b"U\x02osT\x06\0\0\0system\x93").stop(),
        ),
        (
            "decimal indices",
            Assembler::protocol(4)
                .text("os")
                .raw(b"p+0_5\n0g 5\n")
                .text("system")
                .raw(b"\x93")
                .stop(),
        ),
    ] {
        assert!(
            first(&bytes).starts_with("HF-PKL-001: `os.system`"),
            "{how}: {}",
            first(&bytes)
        );
    }
}

#[test]
fn a_computed_name_is_refused() {
    let bytes = Assembler::protocol(4)
        .global("builtins", "str")
        .bytes(b"os")
        .raw(b"\x85R")
        .text("system")
        .raw(b"\x93")
        .stop();
    assert_eq!(only(&bytes), ["HF-PKL-004"]);
}

#[test]
fn dotted_names_are_not_what_their_beginning_is() {
    let bytes = Assembler::protocol(4)
        .stack_global("collections", "OrderedDict.fromkeys")
        .stop();
    assert_eq!(only(&bytes), ["HF-PKL-002"]);
    let bytes = Assembler::protocol(4)
        .stack_global("numpy", "ndarray.__class__.__base__")
        .stop();
    assert_eq!(only(&bytes), ["HF-PKL-001"]);
}

#[test]
fn extension_codes_and_outside_references_are_refused() {
    assert_eq!(
        only(&Assembler::protocol(2).raw(b"\x82\x01").stop()),
        ["HF-PKL-005"]
    );
    assert_eq!(
        only(&Assembler::protocol(2).raw(b"\x84\x01\0\0\0").stop()),
        ["HF-PKL-005"]
    );
    assert_eq!(only(b"Psomething\n."), ["HF-PKL-006"]);
    assert_eq!(
        only(&Assembler::protocol(2).text("x").raw(b"Q").stop()),
        ["HF-PKL-006"]
    );
    assert_eq!(only(&Assembler::protocol(5).raw(b"\x97").stop()), ["HF-PKL-006"]);
}

#[test]
fn what_happens_before_a_break_is_found() {
    let call = || Assembler::new().global("os", "system").text("id").raw(b"\x85R");
    for (id, bytes) in [
        ("HF-PKL-010", call().cut()),
        ("HF-PKL-009", call().raw(b"\xff").stop()),
        ("HF-PKL-009", call().raw(b"0000").stop()),
        ("HF-PKL-009", call().raw(b"h\x07").stop()),
        ("HF-PKL-010", call().raw(b"X\xff\xff\xff\x7f").cut()),
    ] {
        assert_eq!(only(&bytes), ["HF-PKL-001", id], "{bytes:x?}");
    }
}

#[test]
fn a_name_without_its_end_of_line_is_still_imported() {
    // The readers drop the last byte for the end of the line that is not there.
    assert!(first(b"(S'id'\nios\nsystemX").contains("`os.system` is called with ('id')"));
    assert!(first(b"N0cosX").contains("`os.` is imported"));
}

#[test]
fn frames_must_be_where_writers_put_them() {
    let framed =
        |length: u8, body: &[u8]| [b"\x80\x04\x95", &[length, 0, 0, 0, 0, 0, 0, 0][..], body].concat();
    assert_eq!(only(&framed(3, b"K\x01.")), [""; 0]);
    for wrong in [
        framed(1, b"K\x01."),
        framed(2, b"K\x01."),
        framed(9, b"K\x01."),
        framed(14, b"K\x01\x95\x01\0\0\0\0\0\0\0N."),
    ] {
        assert_eq!(only(&wrong)[0], "HF-PKL-011", "{wrong:x?}");
    }
}

#[test]
fn bytes_after_the_end_are_refused_unless_they_are_a_pickle() {
    assert_eq!(only(b"\x80\x02K\x01.\x80\x02K\x02."), [""; 0]);
    assert_eq!(only(b"\x80\x02K\x01.\0\0\0"), ["HF-PKL-009", "HF-PKL-012"]);
    let bytes = Assembler::protocol(2).state_dict(&[("w", &[1])]).stop();
    assert_eq!(in_context(Context::Member, &bytes), [""; 0]);
    assert_eq!(
        in_context(Context::Member, &[&bytes[..], b"N."].concat()),
        ["HF-PKL-012"]
    );
    assert_eq!(in_context(Context::Array, b"\x80\x02]."), [""; 0]);
}

#[test]
fn state_and_items_only_go_to_what_has_them() {
    let build = |assembler: Assembler| assembler.raw(b"}(").text("x").int(1).raw(b"ub").stop();
    assert_eq!(
        only(&build(
            Assembler::protocol(2)
                .global("collections", "OrderedDict")
                .raw(b")R")
        )),
        [""; 0]
    );
    assert_eq!(
        only(&build(
            Assembler::protocol(2).global("collections", "OrderedDict")
        )),
        ["HF-PKL-008"]
    );
    assert_eq!(
        only(&build(
            Assembler::protocol(2).global("torch._utils", "_rebuild_tensor_v2")
        )),
        ["HF-PKL-008"]
    );
    assert_eq!(
        only(&build(Assembler::protocol(2).tensor("FloatStorage", "0", &[1]))),
        ["HF-PKL-008"]
    );
    let slots = Assembler::protocol(2)
        .global("collections", "OrderedDict")
        .raw(b")RN}\x86b")
        .stop();
    assert_eq!(only(&slots), ["HF-PKL-008"]);
    let item = Assembler::protocol(2)
        .global("torch", "FloatStorage")
        .int(0)
        .int(1)
        .raw(b"s")
        .stop();
    assert_eq!(only(&item), ["HF-PKL-008"]);
}

#[test]
fn allowed_constructors_take_only_their_arguments() {
    let call = |module: &str, name: &str, arguments: &dyn Fn(Assembler) -> Assembler| {
        only(
            &arguments(Assembler::protocol(2).global(module, name).raw(b"("))
                .raw(b"tR")
                .stop(),
        )
    };
    let refused = ["HF-PKL-003"];
    assert_eq!(call("builtins", "bytearray", &|a| a.bytes(b"abc")), [""; 0]);
    assert_eq!(call("builtins", "bytearray", &|a| a.int(i32::MAX)), refused);
    assert_eq!(
        call("_codecs", "encode", &|a| a.text("ab").text("latin1")),
        [""; 0]
    );
    assert_eq!(call("_codecs", "encode", &|a| a.text("ab").text("bz2")), refused);
    assert_eq!(call("torch", "Size", &|a| a.ints(&[1, 2])), [""; 0]);
    assert_eq!(call("torch", "Size", &|a| a.text("x")), refused);
    assert_eq!(call("torch", "FloatStorage", &|a| a.int(1 << 30)), refused);
    assert_eq!(call("numpy", "ndarray", &|a| a.ints(&[1 << 20])), refused);
    assert_eq!(
        call("collections", "defaultdict", &|a| a.global("builtins", "list")),
        [""; 0]
    );
    assert_eq!(
        call("collections", "defaultdict", &|a| a.global("_codecs", "encode")),
        refused
    );
    assert_eq!(
        call("numpy.core.multiarray", "scalar", &|a| a
            .dtype("f8")
            .bytes(&[0; 8])),
        [""; 0]
    );
    assert_eq!(
        call("numpy.core.multiarray", "scalar", &|a| a
            .dtype("f8")
            .bytes(&[0; 4])),
        refused
    );
    assert_eq!(
        call("numpy.core.multiarray", "scalar", &|a| a
            .dtype("O8")
            .bytes(&[0; 8])),
        refused
    );
    assert_eq!(call("decimal", "Decimal", &|a| a.text("1.5")), [""; 0]);
}

#[test]
fn a_tensor_must_lie_within_its_storage() {
    let tensor = |offset: i32| {
        Assembler::protocol(2)
            .global("torch._utils", "_rebuild_tensor_v2")
            .raw(b"(")
            .storage("FloatStorage", "0", 6)
            .int(offset)
            .ints(&[2, 3])
            .ints(&[3, 1])
            .raw(b"\x89}tR")
            .stop()
    };
    assert_eq!(only(&tensor(0)), [""; 0]);
    assert_eq!(only(&tensor(1)), ["HF-PKL-003"]);
    assert_eq!(only(&tensor(-1)), ["HF-PKL-003"]);
}

#[test]
fn hooks_on_a_tensor_are_refused() {
    let bytes = Assembler::protocol(2)
        .global("torch._utils", "_rebuild_tensor_v2")
        .raw(b"(")
        .storage("FloatStorage", "0", 1)
        .int(0)
        .ints(&[1])
        .ints(&[1])
        .raw(b"\x89}")
        .int(1)
        .global("torch", "Size")
        .raw(b"stR")
        .stop();
    assert_eq!(only(&bytes), ["HF-PKL-003"]);
}

#[test]
fn an_array_and_its_bytes_must_agree() {
    let array = |length: usize| {
        Assembler::protocol(4)
            .stack_global("numpy._core.multiarray", "_reconstruct")
            .stack_global("numpy", "ndarray")
            .ints(&[0])
            .bytes(b"b")
            .raw(b"\x87R(")
            .int(1)
            .ints(&[2, 3])
            .dtype("f4")
            .raw(b"\x89")
            .bytes(&vec![0; length])
            .raw(b"tb")
            .stop()
    };
    assert_eq!(only(&array(24)), [""; 0]);
    assert_eq!(only(&array(23)), ["HF-PKL-008"]);
}

#[test]
fn a_type_may_not_claim_objects() {
    let dtype = |flags: i32| {
        Assembler::protocol(4)
            .stack_global("numpy", "dtype")
            .text("f8")
            .raw(b"\x89\x88\x87R(")
            .int(3)
            .text("<")
            .raw(b"NNN")
            .int(-1)
            .int(-1)
            .int(flags)
            .raw(b"tb")
            .stop()
    };
    assert_eq!(only(&dtype(0)), [""; 0]);
    assert_eq!(only(&dtype(1)), ["HF-PKL-008"]);
}

#[test]
fn the_old_format_is_followed_through_its_storages() {
    let object = Assembler::protocol(2)
        .state_dict(&[("a", &[2]), ("b", &[3])])
        .stop();
    let (two, three) = (weights(8), weights(12));
    let good = legacy(&object, &[("1", 3, &three), ("0", 2, &two)]);
    assert_eq!(inspect(&good).format, Format::PytorchLegacy);
    assert_eq!(ids(&good), ["HF-PKL-016"]);
    let model = inspect(&good).facts.unwrap();
    assert_eq!(
        (model.tensors, model.parameters, model.tensor_type.as_deref()),
        (2, 5, Some("F32"))
    );
    assert_eq!(only(&good[..good.len() - 1]), ["HF-PKL-010"]);
    assert_eq!(only(&[&good[..], b"x"].concat()), ["HF-PKL-012"]);
    assert_eq!(only(&legacy(&object, &[("1", 3, &three)])), ["HF-PKL-017"]);
    assert_eq!(
        only(&legacy(&object, &[("1", 3, &three), ("0", 1, &two[..4])])),
        ["HF-PKL-017"]
    );
}

#[test]
fn a_magic_number_does_not_hide_what_follows() {
    let magic = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
    let bytes = [&magic[..], b"cos\nsystem\nS'id'\n\x85R."].concat();
    assert!(only(&bytes).contains(&"HF-PKL-001".to_owned()));
    let decimal = [&b"L119547037146038801333356L\n."[..], b"\x80\x02M\xe9\x03."].concat();
    assert_eq!(only(&decimal), ["HF-PKL-010"], "the other pickles are missing");
}

#[test]
fn arrays_of_joblib_lie_between_opcodes() {
    let plain = [
        Assembler::protocol(4).joblib_array(&[2, 2], false).cut(),
        weights(32),
        b".".to_vec(),
    ]
    .concat();
    assert_eq!(only(&plain), [""; 0]);
    let aligned = [
        Assembler::protocol(4).joblib_array(&[2, 2], true).cut(),
        b"\x03\xff\xff\xff".to_vec(),
        weights(32),
        b".".to_vec(),
    ];
    assert_eq!(only(&aligned.concat()), [""; 0]);
    let padded = [
        Assembler::protocol(4).joblib_array(&[2, 2], true).cut(),
        b"\x03\xff\0\xff".to_vec(),
        weights(32),
        b".".to_vec(),
    ];
    assert_eq!(only(&padded.concat()), ["HF-PKL-018"]);
    let wrong = [
        Assembler::protocol(4)
            .global("os", "system")
            .joblib_array(&[2, 2], true)
            .cut(),
        b"\x05\0\0\0\0".to_vec(),
    ]
    .concat();
    let [import, padding, truncated] = only(&wrong).try_into().unwrap();
    assert_eq!(
        [import, padding, truncated],
        ["HF-PKL-001", "HF-PKL-018", "HF-PKL-010"],
        "an import counts even if the file ends within an array"
    );
    let hidden = b"cos\nsystem\nS'id 123456789012'\n\x85R";
    let array = [
        Assembler::protocol(4).joblib_array(&[2, 2], false).cut(),
        hidden[..32].to_vec(),
        b".".to_vec(),
    ];
    assert!(first(&array.concat()).contains("for a reader that takes an array's bytes for opcodes"));
}

#[test]
fn results_that_grow_without_end_are_refused() {
    let mut lists = Assembler::protocol(2).raw(b"]").put(0);
    for index in 0..8 {
        lists = lists.raw(b"](");
        for _ in 0..16 {
            lists = lists.get(index);
        }
        lists = lists.raw(b"e").put(index + 1).raw(b"0");
    }
    assert_eq!(only(&lists.get(8).raw(b"\x86").stop()), ["HF-PKL-013"]);
    let itself = |times: usize| {
        Assembler::protocol(2)
            .raw(b"]")
            .put(0)
            .raw(&b"h\0a".repeat(times))
            .stop()
    };
    assert_eq!(only(&itself(1)), [""; 0]);
    assert_eq!(only(&itself(60)), ["HF-PKL-013"]);
}

#[test]
fn a_pickle_in_the_data_is_refused() {
    let inner = b"\x80\x04\x95\x03\0\0\0\0\0\0\0K\x01.";
    assert_eq!(only(&Assembler::protocol(3).bytes(inner).stop()), ["HF-PKL-019"]);
    assert_eq!(
        only(&Assembler::protocol(3).text("gASVAwAAAAAAAABLAS4=").stop()),
        ["HF-PKL-019"]
    );
    assert_eq!(only(&Assembler::protocol(3).bytes(&inner[..13]).stop()), [""; 0]);
}

/// A dictionary with these members, all at once or one after the other.
fn dictionary(members: &[(&str, &str)], at_once: bool) -> Assembler {
    let start = Assembler::protocol(2).raw(if at_once { b"}(" } else { b"}" });
    let filled = members.iter().fold(start, |pickle, (key, value)| {
        pickle.text(key).text(value).raw(if at_once { b"" } else { b"s" })
    });
    filled.raw(if at_once { b"u" } else { b"" })
}

#[test]
fn settings_that_name_what_runs_are_refused() {
    for members in [
        &[("_target_", "os.system"), ("command", "true")][..],
        &[("_target_", "mine.models.Net")],
        &[("_target_", "eval")],
        &[("_instantiator", "os.system")],
        &[("_instantiator", "mine.make")],
        &[
            ("_instantiator", "lightning.pytorch.cli.instantiate_module"),
            ("_class_path", "webbrowser.open"),
        ],
        &[("target", "webbrowser.open"), ("params", "{}")],
        &[("params", "{}"), ("target", "code.interact")],
        &[("anything", "subprocess.Popen")],
    ] {
        for at_once in [true, false] {
            let pickle = dictionary(members, at_once).stop();
            assert_eq!(only(&pickle), ["HF-DOC-003"], "{members:?}");
        }
    }
    let p = Assembler::protocol;
    for pickle in [
        b"(S'_target_'\nS'os.system'\nd.".to_vec(),
        b"(dS'_target_'\nS'os.system'\ns.".to_vec(),
        p(2).raw(b"}")
            .text("_target_")
            .put(0)
            .raw(b"0")
            .text("os.system")
            .put(1)
            .raw(b"0")
            .get(0)
            .get(1)
            .raw(b"s")
            .stop(),
        p(2).global("collections", "OrderedDict")
            .raw(b"]]")
            .text("_target_")
            .raw(b"a")
            .text("os.system")
            .raw(b"aa\x85R")
            .stop(),
        p(2).global("builtins", "dict")
            .raw(b"]")
            .text("_target_")
            .text("os.system")
            .raw(b"\x86a\x85R")
            .stop(),
        p(2).raw(b"}")
            .text("a")
            .raw(b"](}")
            .text("_target_")
            .text("os.system")
            .raw(b"ses")
            .stop(),
        p(2).raw(b"}")
            .text("_target_")
            .text(&"a.B".repeat(300))
            .raw(b"s")
            .stop(),
    ] {
        assert_eq!(only(&pickle), ["HF-DOC-003"], "{pickle:?}");
    }
}

#[test]
fn ordinary_settings_are_data() {
    for members in [
        &[("_target_", "torch.optim.AdamW"), ("lr", "1e-3")][..],
        &[("_target_", "transformers.BertModel")],
        &[
            ("_instantiator", "lightning.pytorch.cli.instantiate_module"),
            ("class_path", "mine.models.Net"),
        ],
        &[
            ("target", "ldm.models.diffusion.ddpm.LatentDiffusion"),
            ("params", "{}"),
        ],
        &[("target", "test.accuracy"), ("file", "test.json")],
        &[("target", "code.column"), ("script", "os.py")],
        &[("note", "run it with os.system('true')"), ("os.system", "a word")],
        &[("_target_", "")],
    ] {
        for at_once in [true, false] {
            let pickle = dictionary(members, at_once).stop();
            assert!(only(&pickle).is_empty(), "{members:?}");
        }
    }
    let p = Assembler::protocol(2);
    // A vocabulary, both ways round.
    let words = p
        .raw(b"}(")
        .text("os.system")
        .int(1)
        .text("_target_")
        .int(2)
        .int(1)
        .text("os.system")
        .int(2);
    assert!(only(&words.text("subprocess.Popen").raw(b"u").stop()).is_empty());
    let list = Assembler::protocol(2)
        .raw(b"](")
        .text("_target_")
        .text("os.system")
        .raw(b"e");
    assert!(only(&list.stop()).is_empty());
}

#[test]
fn settings_are_judged_whatever_was_forgotten() {
    // So much is on the stack that what only the memo refers to is given up.
    let mut pickle = Assembler::protocol(2).raw(b"}").text("_target_").put(0).raw(b"0");
    pickle = pickle
        .text("os.system")
        .put(1)
        .raw(b"0")
        .text("mine.Net")
        .put(2)
        .raw(b"0](");
    for index in 0..60_000 {
        pickle = pickle.text(&format!(
            "a word of some length, number {index}, and a little more"
        ));
    }
    for value in [1, 2] {
        let pickle = pickle.clone().raw(b"e0").get(0).get(value).raw(b"s").stop();
        assert_eq!(only(&pickle), ["HF-DOC-003"], "{value}");
    }
}

#[test]
fn what_is_left_over_is_refused() {
    assert_eq!(only(b"\x80\x02NN."), ["HF-PKL-020"]);
    assert_eq!(only(b"\x80\x02(N."), ["HF-PKL-020"]);
}

#[test]
fn an_index_far_away_makes_readers_allocate() {
    assert_eq!(
        only(&Assembler::protocol(2).raw(b"Nr\xff\xff\xff\xff").stop()),
        ["HF-PKL-013"]
    );
}

/// A dictionary with one entry, whose value comes after its name.
fn entry(assembler: Assembler, name: &str, value: impl Fn(Assembler) -> Assembler) -> Assembler {
    value(assembler.raw(b"}").text(name)).raw(b"s")
}

fn member(assembler: Assembler, module: &str, name: &str) -> Assembler {
    assembler.global(module, name).text("no").raw(b"\x85R")
}

#[test]
fn the_settings_of_a_training_are_plain_data() {
    let record = |module: &str, name: &str| Assembler::protocol(2).global(module, name).raw(b")\x81");
    let strategy = |assembler| member(assembler, "transformers.trainer_utils", "IntervalStrategy");
    for (module, name) in [
        ("transformers.training_args", "TrainingArguments"),
        ("transformers.training_args_seq2seq", "Seq2SeqTrainingArguments"),
        ("transformers.trainer_pt_utils", "AcceleratorConfig"),
        ("accelerate.state", "PartialState"),
    ] {
        let state = entry(record(module, name), "eval_strategy", strategy)
            .raw(b"b")
            .stop();
        assert_eq!(only(&state), Vec::<String>::new(), "{name}: {}", first(&state));
        // Its constructor would run.
        for call in [b")R".as_slice(), b"}R"] {
            let called = Assembler::protocol(2).global(module, name).raw(call).stop();
            assert_eq!(only(&called), ["HF-PKL-003"], "{name}");
        }
        let inst = Assembler::protocol(2)
            .raw(b"(")
            .raw(format!("i{module}\n{name}\n").as_bytes());
        assert_eq!(only(&inst.stop()), ["HF-PKL-003"], "{name}");
        let given = Assembler::protocol(2)
            .global(module, name)
            .text("x")
            .raw(b"\x85\x81")
            .stop();
        assert_eq!(only(&given), ["HF-PKL-003"], "{name}");
        // Attributes that are set one by one, and one that is called when a state is set.
        let pair = entry(record(module, name).raw(b"N"), "a", |value| value.int(1))
            .raw(b"\x86b")
            .stop();
        assert_eq!(only(&pair), ["HF-PKL-008"], "{name}");
        let hook = entry(record(module, name), "__setstate__", |value| {
            value.global("numpy", "dtype")
        });
        assert_eq!(only(&hook.raw(b"b").stop()), ["HF-PKL-008"], "{name}");
    }
    for (module, name) in [
        ("transformers.training_args", "OptimizerNames"),
        ("transformers.trainer_utils", "SaveStrategy"),
        ("accelerate.utils.dataclasses", "DistributedType"),
        ("torch.torch_version", "TorchVersion"),
    ] {
        let ordinary = member(Assembler::protocol(2), module, name);
        assert_eq!(only(&ordinary.clone().stop()), Vec::<String>::new(), "{name}");
        // A member is shared by the whole program: it has no state to set.
        let state = entry(ordinary, "_value_", |value| value.int(1)).raw(b"b").stop();
        assert_eq!(only(&state), ["HF-PKL-008"], "{name}");
        for arguments in [b")R".as_slice(), b"K\x01\x85R", b"]\x85R", b"U\x01aU\x01b\x86R"] {
            let wrong = Assembler::protocol(2).global(module, name).raw(arguments).stop();
            assert_eq!(only(&wrong), ["HF-PKL-003"], "{name} {arguments:x?}");
        }
    }
}

#[test]
fn a_class_of_a_library_is_unknown_and_what_fetches_is_dangerous() {
    let called = |module: &str, name: &str| only(&member(Assembler::protocol(2), module, name).stop());
    for (module, name) in [
        ("transformers.models.bert.modeling_bert", "BertModel"),
        ("transformers.trainer_utils", "FSDPOption"),
        ("torch.distributed.device_mesh", "DeviceMesh"),
        ("torch._utils", "_rebuild_nested_tensor"),
    ] {
        assert_eq!(called(module, name), ["HF-PKL-002"], "{name}");
    }
    for (module, name) in [
        (
            "transformers.models.bert.modeling_bert",
            "BertModel.from_pretrained",
        ),
        ("transformers", "pipeline"),
        ("transformers.trainer_utils", "get_last_checkpoint"),
        ("torch.distributed.launch", "main"),
    ] {
        assert_eq!(called(module, name), ["HF-PKL-001"], "{name}");
    }
}

#[test]
fn a_parameter_with_a_state_has_plain_attributes() {
    let parameter = |state: &dyn Fn(Assembler) -> Assembler| {
        let tensor = Assembler::protocol(2)
            .global("torch._utils", "_rebuild_parameter_with_state")
            .raw(b"(")
            .tensor("FloatStorage", "0", &[2])
            .raw(b"\x88")
            .global("collections", "OrderedDict")
            .raw(b")R");
        state(tensor).raw(b"tR").stop()
    };
    let set =
        |name: &'static str| parameter(&move |assembler| entry(assembler, name, |value| value.raw(b"\x88")));
    let ordinary = set("tensor_model_parallel");
    let id = |bytes: &[u8]| in_context(Context::Member, bytes);
    assert!(
        !id(&ordinary).contains(&"HF-PKL-003".to_owned()),
        "{:?}",
        id(&ordinary)
    );
    assert_eq!(summary(&ordinary).tensors.len(), 1);
    for wrong in [
        set("__class__"),
        parameter(&|assembler| entry(assembler, "a", |value| value.global("numpy", "dtype"))),
        parameter(&|assembler| entry(assembler.raw(b"N"), "a", |value| value.int(1)).raw(b"\x86")),
        parameter(&|assembler| assembler.raw(b"]")),
    ] {
        assert!(id(&wrong).contains(&"HF-PKL-003".to_owned()), "{:?}", id(&wrong));
    }
}

#[test]
fn a_tensor_of_another_device_is_made_of_an_array() {
    let tensor = |code: &str, data: &dyn Fn(Assembler) -> Assembler| {
        let array = Assembler::protocol(4)
            .global("torch._utils", "_rebuild_device_tensor_from_numpy")
            .raw(b"(")
            .global("numpy.core.multiarray", "_reconstruct")
            .global("numpy", "ndarray")
            .raw(b"K\0\x85C\x01b\x87R(K\x01K\x02\x85")
            .dtype(code)
            .raw(b"\x89");
        let array = data(array).raw(b"tb");
        array
            .global("torch", "float32")
            .text("xla:0")
            .raw(b"\x89tR")
            .stop()
    };
    let ordinary = tensor("f4", &|assembler| assembler.bytes(&[0; 8]));
    assert_eq!(only(&ordinary), Vec::<String>::new(), "{}", first(&ordinary));
    assert_eq!(summary(&ordinary).tensors[0].tensor.shape.to_vec(), [2]);
    let objects = tensor("O8", &|assembler| assembler.raw(b"](NNe"));
    assert_eq!(only(&objects), ["HF-PKL-003"]);
    let nothing = Assembler::protocol(2)
        .global("torch._utils", "_rebuild_device_tensor_from_numpy")
        .raw(b"(N")
        .global("torch", "float32")
        .text("xla:0")
        .raw(b"\x89tR")
        .stop();
    assert_eq!(only(&nothing), ["HF-PKL-003"]);
}
