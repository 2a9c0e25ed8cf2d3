//! Compressed files, and PyTorch's other containers.

use holdfast_formats::testing::compressed::{CALL, HARMLESS, lz4, xz, zstd};
use holdfast_formats::testing::torch::{
    SOURCE, instance, tar, tar_object, tar_storages, tar_tensors, torchscript,
};
use holdfast_formats::testing::{Assembler, Member, archive, call, tar_archive, tar_member, tuple, weights};

use super::Corpus;

pub fn add(corpus: &mut Corpus) {
    compressed(corpus);
    programs(corpus);
    torch_tar(corpus);
}

fn compressed(corpus: &mut Corpus) {
    for ((name, harmless), (_, call)) in HARMLESS.iter().zip(CALL) {
        corpus.accept(&format!("compressed/list.pkl.{name}"), *harmless);
        corpus.accept(&format!("compressed/list-{name}.joblib"), *harmless);
        corpus.refuse(&format!("compressed/call.pkl.{name}"), *call, "HF-PKL-001");
        corpus.refuse(&format!("compressed/call-{name}.joblib"), *call, "HF-PKL-001");
        let cut = harmless.get(..harmless.len() - 3).unwrap_or_default();
        corpus.refuse(&format!("compressed/cut-off.pkl.{name}"), cut, "HF-CMP-001");
        let trailing = [harmless, b"more".as_slice()].concat();
        corpus.refuse(&format!("compressed/trailing.pkl.{name}"), trailing, "HF-CMP-001");
    }
    let array = Assembler::protocol(4).joblib_array(&[2, 3], true).cut();
    let array = [array, vec![2, 0xff, 0xff], weights(48), b".".to_vec()].concat();
    corpus.accept("compressed/array.joblib", xz(&array));
    for (name, pack) in [
        ("xz", &xz as &dyn Fn(&[u8]) -> Vec<u8>),
        ("zst", &|content| zstd(content, 17)),
        ("lz4", &lz4),
    ] {
        let tar = |pickle: &[u8]| tar_archive(&[tar_member("a.pkl", b'0', pickle)]);
        corpus.accept(&format!("compressed/plain.tar.{name}"), pack(&tar(&tuple(1))));
        corpus.refuse(
            &format!("compressed/call.tar.{name}"),
            pack(&tar(&call())),
            "HF-PKL-001",
        );
        let whole = call();
        let (first, second) = whole.split_at(9);
        let split = [pack(first), pack(second)].concat();
        corpus.refuse(&format!("compressed/two-streams.pkl.{name}"), split, "HF-PKL-001");
        let zip = archive(&[Member::stored("a.joblib", &pack(&call()))]).bytes;
        corpus.refuse(&format!("compressed/call-{name}.zip"), zip, "HF-PKL-001");
        corpus.refuse(
            &format!("compressed/program.gguf.{name}"),
            pack(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"),
            "HF-FMT-013",
        );
    }
    corpus.refuse("compressed/window.pkl.zst", zstd(&tuple(1), 27), "HF-CMP-003");
    let skipped = [zstd(&tuple(1), 10), b"\x50\x2a\x4d\x18\x04\0\0\0evil".to_vec()].concat();
    corpus.refuse("compressed/skipped.pkl.zst", skipped, "HF-CMP-004");
    let mut bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 80];
    for _ in 0..9000 {
        bomb.extend([2, 0, 0x10, 0]);
    }
    bomb.extend([3, 0, 0x10, 0]);
    corpus.refuse("compressed/bomb.zst", bomb, "HF-ZIP-011");
    let mut nested = call();
    for _ in 0..4 {
        nested = lz4(&nested);
    }
    corpus.refuse("compressed/nested.pkl.lz4", nested, "HF-ZIP-013");
}

fn programs(corpus: &mut Corpus) {
    corpus.accept("torchscript/plain.pt", archive(&torchscript(SOURCE)).bytes);
    let more = |member: Member| {
        let mut members = torchscript(SOURCE);
        members.push(member);
        archive(&members).bytes
    };
    corpus.accept(
        "torchscript/labels.pt",
        more(Member::stored("net/extra/labels.txt", b"cat\ndog\n")),
    );
    let table = |operator: &str| {
        let table = Assembler::protocol(2).raw(b"(K\x08(").text(operator).text("");
        more(Member::stored("net/bytecode.pkl", &table.raw(b"tt").stop()))
    };
    corpus.accept("torchscript/mobile.ptl", table("aten::relu"));
    corpus.refuse("torchscript/mobile-save.ptl", table("aten::save"), "HF-TS-001");
    corpus.refuse("torchscript/mobile-library.ptl", table("mine::run"), "HF-TS-002");
    for (name, line, id) in [
        ("save", "torch.save(x, \"/tmp/x\")", "HF-TS-001"),
        (
            "read",
            "y = torch.from_file(\"/etc/passwd\", False, 9)",
            "HF-TS-001",
        ),
        ("method", "(x).save(\"/tmp/x\")", "HF-TS-001"),
        ("variable", "f = x.save", "HF-TS-001"),
        ("fetched", "getattr(x, \"save\")(\"/tmp/x\")", "HF-TS-001"),
        ("spaces", "torch .  save(x, \"/tmp/x\")", "HF-TS-001"),
        ("namespace", "ops.aten.save(x, \"/tmp/x\")", "HF-TS-001"),
        ("remote", "ops.prim.rpc_async(\"w\", x)", "HF-TS-001"),
        ("picture", "ops.image.write_file(\"/tmp/x\", x)", "HF-TS-001"),
        ("library", "ops.mine.run(x)", "HF-TS-002"),
        ("unknown", "torch.nothing(x)", "HF-TS-002"),
        ("alias", "t = torch", "HF-TS-003"),
        ("computed", "getattr(x, \"sa\" \"ve\")", "HF-TS-003"),
        ("quoted", "s = \"", "HF-TS-003"),
    ] {
        let source = format!("{SOURCE}    {line}\n");
        corpus.refuse(
            &format!("torchscript/{name}.pt"),
            archive(&torchscript(&source)).bytes,
            id,
        );
    }
    let with = |index: usize, member: Member| {
        let mut members = torchscript(SOURCE);
        if let Some(place) = members.get_mut(index) {
            *place = member;
        }
        archive(&members).bytes
    };
    for (name, index, member, id) in [
        ("call", 0, Member::stored("net/data.pkl", &call()), "HF-PKL-001"),
        (
            "call-in-notes",
            3,
            Member::stored("net/code/__torch__.py.debug_pkl", &call()),
            "HF-PKL-001",
        ),
        (
            "call-in-constants",
            4,
            Member::stored("net/constants.pkl", &call()),
            "HF-PKL-001",
        ),
        (
            "class",
            0,
            Member::stored("net/data.pkl", &instance("mine", "Net")),
            "HF-PKL-002",
        ),
        (
            "library-class",
            0,
            Member::stored("net/data.pkl", &instance("__torch__.torch.classes.mine", "Thing")),
            "HF-PKL-002",
        ),
        ("stray", 6, Member::stored("net/setup.py", b"x"), "HF-PT-001"),
        (
            "elsewhere",
            4,
            Member::stored("other/constants.pkl", b"\x80\x02)."),
            "HF-PT-001",
        ),
        (
            "storage",
            1,
            Member::stored("net/data/0", &weights(20)),
            "HF-PT-002",
        ),
        (
            "extra-program",
            6,
            Member::stored("net/extra/run", b"\x7fELF\x02\x01\x01"),
            "HF-FMT-013",
        ),
    ] {
        corpus.refuse(&format!("torchscript/{name}.pt"), with(index, member), id);
    }
}

fn torch_tar(corpus: &mut Corpus) {
    let (object, storages, tensors) = (tar_object(), tar_storages(), tar_tensors());
    corpus.accept("torch-tar/plain.pt", tar(&object, &storages, &tensors));
    let model = instance("mine", "Model");
    corpus.refuse(
        "torch-tar/class.pt",
        tar(&model, &storages, &tensors),
        "HF-PKL-002",
    );
    corpus.refuse(
        "torch-tar/call.pt",
        tar(&call(), &storages, &tensors),
        "HF-PKL-001",
    );
    let hidden = [storages.get(..storages.len() - 4).unwrap_or_default(), &call()].concat();
    corpus.refuse(
        "torch-tar/call-in-storages.pt",
        tar(&object, &hidden, &tensors),
        "HF-PKL-001",
    );
    corpus.refuse(
        "torch-tar/call-in-tensors.pt",
        tar(&object, &storages, &call()),
        "HF-PKL-001",
    );
    let short = storages.get(..storages.len() - 10).unwrap_or_default();
    corpus.refuse(
        "torch-tar/cut-off.pt",
        tar(&object, short, &tensors),
        "HF-PKL-010",
    );
}
