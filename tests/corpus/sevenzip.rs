//! 7z archives.

use holdfast_formats::testing::sevenzip::{Packing, SevenZipBuilder, seven_zip};
use holdfast_formats::testing::{GgufBuilder, Member, archive, call, tar_archive, tar_member, tuple};

use super::Corpus;

fn small(packing: Packing) -> SevenZipBuilder {
    SevenZipBuilder::new(packing)
        .directory("d")
        .file("d/a.pkl", &tuple(1))
        .file(".gitkeep", b"")
        .file("README.md", b"A list with a number in it.\n")
}

pub fn add(corpus: &mut Corpus) {
    for packing in Packing::ALL {
        let name = format!("{packing:?}").to_lowercase();
        let call = small(packing).file("b.pkl", &call());
        corpus.accept(&format!("7z/{name}.7z"), small(packing).build());
        corpus.accept(
            &format!("7z/{name}-solid.7z"),
            small(packing).solid().build_packed(),
        );
        corpus.refuse(&format!("7z/{name}-call.7z"), call.build(), "HF-PKL-001");
        corpus.refuse(
            &format!("7z/{name}-call-solid.7z"),
            call.solid().build_packed(),
            "HF-PKL-001",
        );
    }
    let model = SevenZipBuilder::new(Packing::Lzma2).file("model.gguf", &GgufBuilder::llama().build().bytes);
    corpus.accept("7z/model.7z", model.build_packed());
    within(corpus);
    described(corpus);
}

/// Archives within archives.
fn within(corpus: &mut Corpus) {
    let inner = SevenZipBuilder::new(Packing::Lzma2)
        .file("a.pkl", &call())
        .build();
    let zip = archive(&[Member::stored("a.7z", &inner)]).bytes;
    corpus.refuse("7z/within.zip", zip, "HF-PKL-001");
    let tar = tar_archive(&[tar_member("a.7z", b'0', &inner)]);
    corpus.refuse("7z/within.tar", tar, "HF-PKL-001");
    let outer = SevenZipBuilder::new(Packing::Copy).file("a.7z", &inner);
    corpus.refuse("7z/within.7z", outer.build(), "HF-PKL-001");
}

/// Archives that are not what they seem.
fn described(corpus: &mut Corpus) {
    let builder = small(Packing::Copy);
    let (streams, header) = (builder.streams(), builder.header());
    let whole = builder.build();
    for (name, bytes) in [
        ("cut-off", whole.iter().copied().take(whole.len() - 9).collect()),
        ("trailing", [whole.as_slice(), b"more"].concat()),
        ("gap", seven_zip(&[streams.as_slice(), b"gap"].concat(), &header)),
        (
            "after-the-header",
            seven_zip(&streams, &[header.as_slice(), b"more"].concat()),
        ),
    ] {
        corpus.refuse(&format!("7z/{name}.7z"), bytes, "HF-7Z-001");
    }
    let changed: Vec<u8> = streams.iter().map(|byte| byte ^ 1).collect();
    corpus.refuse("7z/changed.7z", seven_zip(&changed, &header), "HF-7Z-007");
    let named = |name: &str| SevenZipBuilder::new(Packing::Copy).file(name, &tuple(1)).build();
    for (name, path) in [
        ("climbs", "../../.bashrc"),
        ("root", "/etc/profile"),
        ("drive", "C:/autoexec.bat"),
        ("backslash", "..\\a.pkl"),
        ("slash-at-the-end", "w.h5/"),
    ] {
        corpus.refuse(&format!("7z/{name}.7z"), named(path), "HF-7Z-005");
    }
    let twice = SevenZipBuilder::new(Packing::Copy)
        .file("a.pkl", &tuple(1))
        .file("A.pkl", &tuple(1));
    corpus.refuse("7z/twice.7z", twice.build(), "HF-7Z-005");
    let with = |attributes| {
        SevenZipBuilder::new(Packing::Copy)
            .file("a.pkl", &tuple(1))
            .attributes(attributes)
            .build()
    };
    for (name, attributes) in [
        ("link", 0x8000 | 0o120_777 << 16),
        ("windows-link", 0x400),
        ("set-user-id", 0x8000 | 0o104_755 << 16),
    ] {
        corpus.refuse(&format!("7z/{name}.7z"), with(attributes), "HF-7Z-006");
    }
    corpus.refuse("7z/no-directory.7z", with(0x10), "HF-7Z-010");
    corpus.refuse("7z/empty.7z", seven_zip(b"", b""), "HF-FMT-002");
}
