//! Files of other kinds, under their own and under borrowed names: recognised by content, refused by name.

use holdfast_formats::testing::apple::{apple_double, downloaded, ds_store};
use holdfast_formats::testing::{Member, archive, pictures, tar_archive, tar_member};

use super::Corpus;

#[rustfmt::skip]
const KINDS: &[(&str, &[u8], &str)] = &[
    ("nothing.gguf", b"", "HF-FMT-002"),
    ("program", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0", "HF-FMT-013"),
    ("program.gguf", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0", "HF-FMT-013"),
    ("program-of-a-mac", b"\xcf\xfa\xed\xfe\x07\0\0\x01\x03\0\0\0", "HF-FMT-013"),
    ("library-of-a-mac", b"\xca\xfe\xba\xbe\0\0\0\x02\0\0\0\0", "HF-FMT-013"),
    ("Program.class", b"\xca\xfe\xba\xbe\0\0\0\x34\0\0\0\0", "HF-FMT-013"),
    ("model.llamafile", b"MZqFpD='\n\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "HF-FMT-013"),
    ("script.gguf", b"#!/bin/sh\ntrue\n", "HF-FMT-013"),
    ("module.wasm", b"\0asm\x01\0\0\0", "HF-FMT-013"),
    ("page.gguf", b"<!DOCTYPE html><html><body>Sign in</body></html>", "HF-FMT-015"),
    ("picture.gguf", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "HF-FMT-015"),
    ("picture.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF", "HF-FMT-023"),
    ("document.pdf", b"%PDF-1.7\n", "HF-FMT-015"),
    ("pointer.gguf", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "HF-FMT-015"),
    ("settings.xml", b"<?xml version=\"1.0\"?><a/>", "HF-FMT-015"),
    ("archive.7z", b"7z\xbc\xaf\x27\x1c\0\x04", "HF-7Z-001"),
    ("archive.rar", b"Rar!\x1a\x07\x01\0", "HF-FMT-012"),
    ("packed.xz", b"\xfd7zXZ\0\0\x04", "HF-CMP-001"),
    ("packed.bz2", b"BZh91AY&SY\x01\x02", "HF-CMP-001"),
    ("packed.zst", b"\x28\xb5\x2f\xfd\x04\x00", "HF-CMP-001"),
    ("packed.lz4", b"\x04\x22\x4d\x18\x64\x40", "HF-CMP-001"),
    ("packed.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "HF-CMP-001"),
    ("model.tflite", b"\x1c\0\0\0TFL3\0\0\0\0", "HF-FMT-014"),
    ("model.ptl", b"\x1c\0\0\0PTMF\0\0\0\0", "HF-FMT-014"),
    ("model.mlmodel", b"\x08\x04\x12\x09\x0a\x07\x0a\x05image", "HF-FMT-014"),
    ("model.pmml", b"<?xml version=\"1.0\"?><PMML version=\"4.4\">", "HF-FMT-014"),
    ("model.tflite.gguf", b"\x1c\0\0\0TFL3\0\0\0\0", "HF-FMT-014"),
    ("old.lz4", b"\x02\x21\x4c\x18\x04\0\0\0", "HF-CMP-004"),
    ("archive.rar.pt", b"Rar!\x1a\x07\x00\xcf\x90\x73", "HF-FMT-012"),
    ("archive.7z.safetensors", b"7z\xbc\xaf\x27\x1c\0\x04", "HF-7Z-001"),
    ("llamafile.gguf", b"jartsr='\n\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "HF-FMT-013"),
    ("model.pte", b"\x1c\0\0\0ET12\0\0\0\0", "HF-FMT-014"),
    ("model.bin", b"ggjt\x03\0\0\0", "HF-FMT-016"),
    ("noise.gguf", b"\x9f\x12\xe1\x00\x47\xc8\xb0\x03\xfe\x11\x92\xa4", "HF-FMT-001"),
];

pub fn add(corpus: &mut Corpus) {
    for (path, bytes, id) in KINDS {
        corpus.refuse(&format!("kind/{path}"), *bytes, id);
    }
    let skops = archive(&[
        Member::stored("schema.json", b"{\"__class__\": \"Model\"}"),
        Member::stored("1.npy", b"\x93NUMPY"),
    ]);
    corpus.refuse("kind/model.skops", skops.bytes.clone(), "HF-FMT-011");
    let nested = tar_archive(&[tar_member("model.gguf", b'0', &skops.bytes)]);
    corpus.refuse("kind/skops.tar", nested, "HF-FMT-011");
    for (name, picture) in [
        ("logo.png", pictures::png(&[(b"tEXt", b"Comment\0a picture")])),
        ("sample.jpg", pictures::jpeg(b"\x12\xff\0\x34")),
    ] {
        corpus.accept(&format!("kind/{name}"), picture.clone());
        corpus.refuse(&format!("kind/{name}.safetensors"), picture.clone(), "HF-FMT-015");
        let hidden = archive(&[Member::stored("a", b"hidden")]).bytes;
        let both = [picture, hidden].concat();
        corpus.refuse(&format!("kind/followed-{name}"), both, "HF-FMT-023");
    }
    for mark in [".gitkeep", "README.md", "write.lock"] {
        corpus.accept(&format!("kind/empty/{mark}"), Vec::new());
    }
    corpus.refuse("kind/empty/pytorch_model.bin", Vec::new(), "HF-FMT-002");
    corpus.accept("kind/._model.gguf", downloaded());
    corpus.accept("kind/.DS_Store", ds_store());
    let broken = apple_double(&[("com.apple.quarantine", b"x")], b"");
    corpus.refuse(
        "kind/._broken.gguf",
        [broken.as_slice(), b"more"].concat(),
        "HF-FMT-019",
    );
    let packed = Member::stored("a.rar", b"Rar!\x1a\x07\x01\0");
    corpus.refuse("kind/rar.zip", archive(&[packed]).bytes, "HF-FMT-012");
    let packed = tar_archive(&[tar_member("a.rar", b'0', b"Rar!\x1a\x07\x01\0")]);
    corpus.refuse("kind/rar.tar", packed, "HF-FMT-012");
    let tflite = tar_archive(&[tar_member("model.gguf", b'0', b"\x1c\0\0\0TFL3\0\0\0\0")]);
    corpus.refuse("kind/tflite.tar", tflite, "HF-FMT-014");
}
