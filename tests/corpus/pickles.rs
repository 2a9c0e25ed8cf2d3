//! Pickles: calls in every disguise, and the weights and data that ordinary programs write.

use holdfast_formats::testing::{Assembler, Member, archive, legacy, weights};

use super::Corpus;

/// Callables that take control when they are called, or lead to those that do.
const GADGETS: [(&str, &str); 40] = [
    ("os", "system"),
    ("posix", "system"),
    ("nt", "system"),
    ("os", "popen"),
    ("os", "execv"),
    ("os", "remove"),
    ("subprocess", "Popen"),
    ("subprocess", "check_output"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "compile"),
    ("builtins", "open"),
    ("builtins", "__import__"),
    ("builtins", "getattr"),
    ("__builtin__", "eval"),
    ("__builtin__", "apply"),
    ("runpy", "run_path"),
    ("code", "interact"),
    ("pty", "spawn"),
    ("commands", "getoutput"),
    ("webbrowser", "open"),
    ("socket", "create_connection"),
    ("urllib.request", "urlopen"),
    ("requests", "get"),
    ("shutil", "rmtree"),
    ("ctypes", "CDLL"),
    ("importlib", "import_module"),
    ("pkgutil", "resolve_name"),
    ("operator", "attrgetter"),
    ("functools", "partial"),
    ("types", "FunctionType"),
    ("marshal", "loads"),
    ("pickle", "loads"),
    ("torch", "load"),
    ("torch.hub", "load"),
    ("torch.serialization", "load"),
    ("numpy", "load"),
    ("numpy.testing._private.utils", "runstring"),
    ("asyncio.subprocess", "create_subprocess_shell"),
    ("cProfile", "run"),
];

fn call(assembler: Assembler) -> Vec<u8> {
    assembler.text("true").raw(b"\x85R").stop()
}

/// A type of eight bytes with a field at its start for each of these codes, and a number that says it holds objects.
fn overlapping(codes: &[&str]) -> Vec<u8> {
    let mut pickle = Assembler::protocol(4)
        .stack_global("numpy", "dtype")
        .text("V8")
        .raw(b"\x89\x88\x87R(")
        .int(3)
        .text("|")
        .raw(b"N(");
    for code in codes {
        pickle = pickle.text(code);
    }
    pickle = pickle.raw(b"t}(");
    for code in codes {
        pickle = pickle.text(code).dtype(code).int(0).raw(b"\x86");
    }
    pickle.raw(b"u").int(8).int(1).int(63).raw(b"tb").stop()
}

#[rustfmt::skip]
pub fn add(corpus: &mut Corpus) {
    corpus.accept("pickle/structured-type.pkl", overlapping(&["O8"]));
    corpus.refuse("pickle/number-as-pointer.pkl", overlapping(&["O8", "i8"]), "HF-PKL-008");
    let builtin = |name: &str| Assembler::protocol(4).stack_global("builtins", name);
    let range = |kind: &str| builtin(kind).stack_global("builtins", "range").raw(b"\x8a\x05\0\0\0\0\x10\x85R\x85R").stop();
    corpus.refuse("pickle/list-of-a-range.pkl", range("list"), "HF-PKL-003");
    let fraction = |text: &str| Assembler::protocol(4).stack_global("fractions", "Fraction").text(text).raw(b"\x85R").stop();
    corpus.accept("pickle/fraction.pkl", fraction("1/3"));
    let training = |end: &[u8]| {
        Assembler::protocol(2)
            .global("transformers.training_args", "TrainingArguments")
            .raw(end)
            .text("lr_scheduler_type")
            .global("transformers.trainer_utils", "SchedulerType")
            .text("linear")
            .raw(b"\x85Rsb")
            .stop()
    };
    corpus.accept("pickle/training_args.bin", training(b")\x81}"));
    corpus.refuse("pickle/training_args-called.bin", training(b")R}"), "HF-PKL-003");
    corpus.refuse("pickle/training_args-slots.bin", training(b")\x81N}\x86}"), "HF-PKL-008");
    corpus.refuse("pickle/fraction-of-a-power.pkl", fraction("1e99999999"), "HF-PKL-003");
    let doubled = |pickle: Assembler, index: u8| pickle.raw(b"0").get(index).get(index).raw(b"\x86").put(index + 1);
    let tuple = (0..60).fold(Assembler::protocol(4).int(1).put(0), doubled);
    corpus.refuse("pickle/long-to-hash.pkl", tuple.raw(b"0}").get(60).raw(b"Ns0N").stop(), "HF-PKL-013");
    for (module, name) in GADGETS {
        let path = format!("pickle/call-{module}.{name}.pkl");
        corpus.refuse(&path, call(Assembler::protocol(2).global(module, name)), "HF-PKL-001");
    }
    disguises(corpus);
    settings(corpus);
    broken(corpus);
    ordinary(corpus);
}

#[rustfmt::skip]
fn disguises(corpus: &mut Corpus) {
    let p = Assembler::protocol;
    let mut evil = |name: &str, bytes: Vec<u8>, id| corpus.refuse(&format!("pickle/{name}"), bytes, id);
    evil("stack-global.pkl", call(p(4).stack_global("os", "system")), "HF-PKL-001");
    evil("no-protocol.pkl", call(Assembler::new().global("os", "system")), "HF-PKL-001");
    evil("inst.pkl", b"(S'true'\nios\nsystem\n.".to_vec(), "HF-PKL-001");
    evil("obj.pkl", p(2).raw(b"(").global("os", "system").text("true").raw(b"o").stop(), "HF-PKL-001");
    evil("obj-popped.pkl", p(2).raw(b"(").global("os", "system").text("true").raw(b"o0N").stop(), "HF-PKL-001");
    evil("newobj.pkl", p(2).global("subprocess", "Popen").text("true").raw(b"\x85\x81").stop(), "HF-PKL-001");
    evil("newobj-ex.pkl", p(4).stack_global("subprocess", "Popen").text("true").raw(b"\x85}\x92").stop(), "HF-PKL-001");
    evil("import-alone.pkl", p(2).global("os", "system").raw(b"0N").stop(), "HF-PKL-001");
    evil("names-from-memo.pkl", p(4).text("os").raw(b"\x94").text("system").raw(b"\x9400h\x00h\x01\x93").text("true").raw(b"\x85R").stop(), "HF-PKL-001");
    evil("memo-overwritten.pkl", p(4).text("collections").raw(b"q\0").text("os").raw(b"q\x000h\x00").text("system").raw(b"\x93").text("true").raw(b"\x85R").stop(), "HF-PKL-001");
    evil("unicode-opcodes.pkl", [&b"\x80\x04V\\u006fs\nVsystem\n\x93"[..], b"\x8c\x04true\x85R."].concat(), "HF-PKL-001");
    evil("dotted-name.pkl", call(p(4).stack_global("collections", "OrderedDict.__init__.__globals__")), "HF-PKL-001");
    evil("computed-name.pkl", p(4).text("os").global("builtins", "str").text("system").raw(b"\x85R\x93").stop(), "HF-PKL-004");
    evil("extension.pkl", p(2).raw(b"\x82\x01").text("true").raw(b"\x85R").stop(), "HF-PKL-005");
    evil("persistent-id.pkl", p(2).raw(b"(").text("storage").global("os", "system").raw(b"tQ").stop(), "HF-PKL-001");
    evil("persistent-text.pkl", b"\x80\x02Pthe-first\n.".to_vec(), "HF-PKL-006");
    evil("after-stop.pkl", [p(2).ints(&[1]).stop(), call(p(2).global("os", "system"))].concat(), "HF-PKL-001");
    evil("third-pickle.pkl", [p(2).ints(&[1]).stop(), p(4).ints(&[2]).stop(), call(p(0).global("os", "system"))].concat(), "HF-PKL-001");
    evil("before-break.pkl", [call(p(2).global("os", "system")).strip_suffix(b".").unwrap_or_default(), b"\xff"].concat(), "HF-PKL-001");
    evil("cut-off.pkl", p(2).global("os", "system").text("true").raw(b"\x85R").cut(), "HF-PKL-001");
    evil("build-setattr.pkl", p(2).global("collections", "OrderedDict").raw(b")R}").text("__class__").global("os", "system").raw(b"sb").stop(), "HF-PKL-001");
    evil("in-dict-key.pkl", p(2).raw(b"}").global("os", "system").raw(b"K\x01s").stop(), "HF-PKL-001");
    evil("in-list.pkl", p(2).raw(b"](").global("os", "system").raw(b"e").stop(), "HF-PKL-001");
    evil("call-of-a-result.pkl", p(2).global("collections", "OrderedDict").raw(b")R)R").stop(), "HF-PKL-007");
    evil("arguments.pkl", p(2).global("torch", "Size").text("true").raw(b"\x85R").stop(), "HF-PKL-003");
    evil("misleading-extension.txt", call(p(2).global("os", "system")), "HF-PKL-001");
    evil("model.safetensors", call(p(2).global("os", "system")), "HF-PKL-001");
    evil("legacy-checkpoint.pt", legacy(&call(p(2).global("os", "system")), &[]), "HF-PKL-001");
}

/// Checkpoints of plain data whose settings name what a program then calls.
fn settings(corpus: &mut Corpus) {
    let of = |members: &[(&str, &str)]| {
        let start = Assembler::protocol(2)
            .raw(b"}")
            .text("hyper_parameters")
            .raw(b"}(");
        let filled = members
            .iter()
            .fold(start, |pickle, (key, value)| pickle.text(key).text(value));
        let pickle = filled.raw(b"us").stop();
        let archive = archive(&[
            Member::stored("m/data.pkl", &pickle),
            Member::stored("m/version", b"3\n"),
        ]);
        (pickle, archive.bytes)
    };
    let mut evil = |name: &str, members: &[(&str, &str)]| {
        let (pickle, archive) = of(members);
        corpus.refuse(&format!("pickle/settings-{name}.pkl"), pickle, "HF-DOC-003");
        corpus.refuse(&format!("pickle/settings-{name}.ckpt"), archive, "HF-DOC-003");
    };
    evil("lightning", &[("_instantiator", "os.system"), ("lr", "1")]);
    evil("hydra", &[("_target_", "os.system"), ("command", "true")]);
    evil("hydra-unknown", &[("_target_", "no_such_module.Thing")]);
    evil("diffusion", &[("target", "webbrowser.open"), ("params", "{}")]);
    evil(
        "lightning-class",
        &[
            ("_instantiator", "lightning.pytorch.cli.instantiate_module"),
            ("class_path", "subprocess.Popen"),
        ],
    );
    evil("command", &[("callback", "os.system")]);
    let mut good = |name: &str, members: &[(&str, &str)]| {
        let (pickle, archive) = of(members);
        corpus.accept(&format!("pickle/settings-{name}.pkl"), pickle);
        corpus.accept(&format!("pickle/settings-{name}.ckpt"), archive);
    };
    good("optimizer", &[("_target_", "torch.optim.AdamW"), ("lr", "1e-3")]);
    good(
        "lightning-model",
        &[
            ("_instantiator", "lightning.pytorch.cli.instantiate_module"),
            ("class_path", "mine.models.Net"),
        ],
    );
    good(
        "latent-diffusion",
        &[
            ("target", "ldm.models.diffusion.ddpm.LatentDiffusion"),
            ("params", "{}"),
        ],
    );
    good(
        "files",
        &[
            ("target", "test.loss"),
            ("file", "code.json"),
            ("script", "os.py"),
        ],
    );
}

#[rustfmt::skip]
fn broken(corpus: &mut Corpus) {
    let p = Assembler::protocol;
    let mut bad = |name: &str, bytes: Vec<u8>, id| corpus.refuse(&format!("pickle/broken-{name}"), bytes, id);
    bad("no-end.pkl", p(2).ints(&[1]).cut(), "HF-PKL-010");
    bad("empty-stack.pkl", b"\x80\x02R.".to_vec(), "HF-PKL-009");
    bad("unknown-opcode.pkl", b"\x80\x02}\xee.".to_vec(), "HF-PKL-009");
    bad("trailing.pkl", [p(2).ints(&[1]).stop(), weights(40)].concat(), "HF-PKL-012");
    bad("frame.pkl", b"\x80\x04\x95\x02\0\0\0\0\0\0\0]\x94K\x01a.".to_vec(), "HF-PKL-011");
    bad("state-of-a-list.pkl", p(2).raw(b"]}b").stop(), "HF-PKL-008");
    let storage = p(2).state_dict(&[("w", &[2, 3])]).stop();
    bad("legacy-short.pt", legacy(&storage, &[("0", 6, &weights(20))]), "HF-PKL-010");
    bad("legacy-count.pt", legacy(&storage, &[("0", 7, &weights(28))]), "HF-PKL-017");
}

fn ordinary(corpus: &mut Corpus) {
    for version in 0..=5 {
        let data = Assembler::protocol(version).ints(&[1, 2, 3]).stop();
        corpus.accept(&format!("pickle/numbers-{version}.pkl"), data);
    }
    let p = || Assembler::protocol(2);
    corpus.accept(
        "pickle/dictionary.pkl",
        p().raw(b"}(").text("a").int(1).text("b").int(2).raw(b"u").stop(),
    );
    corpus.accept(
        "pickle/two.pkl",
        [p().ints(&[1]).stop(), p().ints(&[2]).stop()].concat(),
    );
    corpus.accept(
        "pickle/sizes.pkl",
        p().global("torch", "Size").ints(&[2, 3]).raw(b"\x85R").stop(),
    );
    corpus.accept(
        "pickle/ordered.pkl",
        p().global("collections", "OrderedDict").raw(b")R").stop(),
    );
    for (class, bytes) in [
        ("Float", 4),
        ("Double", 8),
        ("Half", 2),
        ("BFloat16", 2),
        ("Long", 8),
        ("Int", 4),
        ("Short", 2),
        ("Char", 1),
        ("Byte", 1),
        ("Bool", 1),
    ] {
        let object = p()
            .raw(b"}(")
            .text("w")
            .tensor(&format!("{class}Storage"), "0", &[2, 3])
            .raw(b"u")
            .stop();
        let file = legacy(&object, &[("0", 6, &weights(6 * bytes))]);
        corpus.accept(&format!("pickle/legacy-{}.pt", class.to_lowercase()), file);
    }
}
