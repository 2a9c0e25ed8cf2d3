//! TorchScript programs: what their source, their bytecode and their pickles name, and what PyTorch itself writes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use common::{findings, ids, inspect, inspect_in, judged};
use holdfast_contract::report::Verdict;
use holdfast_formats::testing::torch::{SOURCE, instance, torchscript};
use holdfast_formats::testing::{Assembler, Member, archive, deflate, weights};
use holdfast_formats::{FileInspector, Format};

fn with(index: usize, member: Member) -> Vec<u8> {
    let mut members = torchscript(SOURCE);
    members[index] = member;
    archive(&members).bytes
}

#[track_caller]
fn refused(bytes: &[u8], id: &str) {
    let found = ids(bytes);
    assert!(found.iter().any(|found| found == id), "{id}: {found:?}");
    assert_eq!(judged(bytes).0, Verdict::Refuse);
}

#[test]
fn an_ordinary_program_is_admitted_as_one() {
    let bytes = archive(&torchscript(SOURCE)).bytes;
    let outcome = inspect(&bytes);
    assert_eq!(outcome.format, Format::Torchscript);
    assert_eq!(judged(&bytes).0, Verdict::Admit, "{:?}", findings(&bytes));
    assert!(ids(&bytes).contains(&"HF-TS-004".to_owned()));
    assert_eq!(outcome.facts.unwrap().tensors, 2);
    for piece in [1, 100, 4096] {
        assert_eq!(inspect_in(&bytes, piece).findings, outcome.findings, "{piece}");
    }
    let mut members = torchscript(SOURCE);
    members[2] =
        Member::stored("net/code/__torch__.py", SOURCE.as_bytes()).packed(8, deflate(SOURCE.as_bytes()));
    members.push(Member::stored("net/extra/labels.txt", b"cat\ndog\n"));
    members.push(Member::stored("net/byteorder", b"little"));
    assert_eq!(judged(&archive(&members).bytes).0, Verdict::Admit);
}

#[test]
fn operators_are_judged_in_the_source_and_in_the_bytecode() {
    let source = |line: &str| archive(&torchscript(&format!("{SOURCE}    {line}\n"))).bytes;
    refused(&source("torch.save(x, \"/tmp/x\")"), "HF-TS-001");
    refused(
        &source("y = torch.from_file(\"/etc/passwd\", False, 10)"),
        "HF-TS-001",
    );
    refused(&source("ops.mine.run(x)"), "HF-TS-002");
    refused(&source("t = torch"), "HF-TS-003");
    let bytecode = |operator: &str| {
        let mut members = torchscript(SOURCE);
        let table = Assembler::protocol(2)
            .raw(b"(K\x08(")
            .text(operator)
            .text("")
            .raw(b"tt")
            .stop();
        members.push(Member::stored("net/bytecode.pkl", &table));
        archive(&members).bytes
    };
    assert_eq!(judged(&bytecode("aten::relu")).0, Verdict::Admit);
    refused(&bytecode("aten::save"), "HF-TS-001");
    refused(&bytecode("mine::run"), "HF-TS-002");
    refused(&bytecode("__torch__.torch.classes.mine.Thing"), "HF-TS-002");
}

#[test]
fn pickles_may_name_the_classes_of_the_program_and_nothing_else() {
    let object = |class: &str| {
        let (module, name) = class.rsplit_once('.').unwrap();
        with(0, Member::stored("net/data.pkl", &instance(module, name)))
    };
    assert_eq!(judged(&object("__torch__.a.b.Net")).0, Verdict::Admit);
    assert_eq!(
        judged(&object("__torch__.torch.classes.quantized.Packed")).0,
        Verdict::Admit
    );
    refused(&object("__torch__.torch.classes.mine.Thing"), "HF-PKL-002");
    refused(&object("__torch__x.Net"), "HF-PKL-002");
    refused(&object("os.Net"), "HF-PKL-001");
    let evil = b"cos\nsystem\n(S'true'\ntR.";
    refused(&with(0, Member::stored("net/data.pkl", evil)), "HF-PKL-001");
    refused(
        &with(3, Member::stored("net/code/__torch__.py.debug_pkl", evil)),
        "HF-PKL-001",
    );
    refused(&with(4, Member::stored("net/constants.pkl", evil)), "HF-PKL-001");
    // Outside of a program Python would look the class up.
    let plain = [
        Member::stored(
            "net/data.pkl",
            &Assembler::protocol(2)
                .global("__torch__", "Net")
                .raw(b")\x81")
                .stop(),
        ),
        Member::stored("net/version", b"3\n"),
    ];
    refused(&archive(&plain).bytes, "HF-PKL-002");
}

#[test]
fn an_archive_must_be_a_program_to_every_reader() {
    refused(&with(1, Member::stored("net/data/0", &weights(20))), "HF-PT-002");
    refused(&with(1, Member::stored("net/data/1", &weights(24))), "HF-PT-002");
    refused(
        &with(5, Member::stored("net/constants/1", &weights(12))),
        "HF-PT-002",
    );
    refused(&with(6, Member::stored("net/data/7", &weights(12))), "HF-PT-003");
    refused(&with(6, Member::stored("net/setup.py", b"x")), "HF-PT-001");
    refused(&with(6, Member::stored("net/code/run.sh", b"x")), "HF-PT-001");
    refused(&with(6, Member::stored("other/version", b"3")), "HF-PT-001");
    refused(
        &with(6, Member::stored("net/extra/run", b"\x7fELF\x02\x01\x01")),
        "HF-FMT-013",
    );
    // PyTorch takes an archive without constants for a checkpoint.
    refused(&with(4, Member::stored("net/byteorder", b"little")), "HF-PT-001");
    refused(
        &with(4, Member::stored("other/constants.pkl", b"\x80\x02).")),
        "HF-PT-001",
    );
}

#[test]
fn what_pytorch_writes_is_judged_by_what_it_does() {
    const NAME: &str = "what_pytorch_writes_is_judged_by_what_it_does";
    let candidates = [
        std::env::var("HOLDFAST_PYTHON").unwrap_or_default(),
        "/usr/bin/python3".to_owned(),
    ];
    let python = candidates.iter().find(|python| {
        let import = Command::new(python)
            .args(["-c", "import torch"])
            .stderr(Stdio::null())
            .status();
        import.is_ok_and(|status| status.success())
    });
    let Some(python) = python else {
        println!("[skipped] {NAME}: no Python has the package torch; HOLDFAST_PYTHON can name another");
        return;
    };
    let directory = std::env::temp_dir().join(format!("holdfast-torchscript-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let made = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torchscript.py"))
        .arg(&directory)
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    let (mut good, mut bad) = (0, 0);
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        let mut inspector = FileInspector::new(&name);
        inspector.feed(&bytes);
        let found = inspector.finish().findings;
        let refused = found.refuse();
        assert_eq!(
            refused,
            name.starts_with("bad"),
            "{name}: {:?}",
            found.into_parts().0
        );
        *if refused { &mut bad } else { &mut good } += 1;
    }
    std::fs::remove_dir_all(&directory).unwrap();
    println!("{good} programs of PyTorch admitted, {bad} refused");
    assert!(good >= 6 && bad >= 3, "{good} {bad}");
}
