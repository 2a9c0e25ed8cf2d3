//! Everything that is not a model in a supported format: recognised by content and refused by its right name.

mod common;

use common::{findings, ids, inspect};
use holdfast_contract::report::Severity;
use holdfast_formats::testing::{
    GgufBuilder, SafetensorsBuilder, compressed, tar_archive, tar_member, weights, zip,
};
use holdfast_formats::{FileInspector, Format};

fn tar() -> Vec<u8> {
    let mut block = vec![0; 1024];
    block[..9].copy_from_slice(b"model.bin");
    block[257..263].copy_from_slice(b"ustar\0");
    let sum: u32 = block[..148]
        .iter()
        .chain(&block[156..512])
        .map(|byte| u32::from(*byte))
        .sum();
    block[148..156].copy_from_slice(format!("{:06o}\0 ", sum + 8 * 32).as_bytes());
    block
}

fn windows_program() -> Vec<u8> {
    let mut bytes = vec![0; 512];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[60] = 0x80;
    bytes[0x80..0x84].copy_from_slice(b"PE\0\0");
    bytes
}

/// Name of the format, id of the finding, and a file of that kind.
#[rustfmt::skip]
#[expect(clippy::too_many_lines, reason = "a table")]
fn kinds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let hdf5_later = [vec![0; 512], b"\x89HDF\r\n\x1a\n".to_vec()].concat();
    vec![
        ("empty", "HF-FMT-002", vec![]),
        ("unknown", "HF-FMT-001", weights(5000)),
        ("unknown", "HF-FMT-001", vec![0; 100]),
        (
            "pytorch-zip",
            "HF-PKL-009",
            zip(&[("m/data.pkl", b"."), ("m/version", b"3")], b""),
        ),
        (
            "torchscript",
            "HF-PKL-009",
            zip(&[("m/data.pkl", b"."), ("m/constants.pkl", b".")], b""),
        ),
        (
            "keras",
            "HF-KERAS-007",
            zip(
                &[
                    ("metadata.json", b""),
                    ("config.json", b""),
                    ("model.weights.h5", b""),
                ],
                b"",
            ),
        ),
        ("npz", "HF-NPY-004", zip(&[("arr_0.npy", b"")], b"")),
        ("skops", "HF-FMT-011", zip(&[("schema.json", b"")], b"")),
        ("zip", "HF-FMT-002", zip(&[("readme", b"")], b"")),
        ("zip", "HF-FMT-002", zip(&[], b"")),
        ("tar", "HF-FMT-002", [tar(), vec![0; 1024]].concat()),
        ("gzip", "HF-CMP-001", b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec()),
        ("zlib", "HF-CMP-001", b"\x78\x9c\x4b\x4c\x84\x81".to_vec()),
        ("bzip2", "HF-CMP-001", b"BZh91AY&SY\x01\x02".to_vec()),
        ("xz", "HF-CMP-001", b"\xfd7zXZ\0\0\x04".to_vec()),
        (
            "lzma",
            "HF-CMP-001",
            b"\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0".to_vec(),
        ),
        ("lz4", "HF-CMP-004", b"\x02\x21\x4c\x18\x64\x40".to_vec()),
        (
            "zstd",
            "HF-CMP-004",
            b"\x50\x2a\x4d\x18\x01\0\0\0x".to_vec(),
        ),
        ("zstd", "HF-CMP-001", b"\x28\xb5\x2f\xfd\x04\x00".to_vec()),
        ("lz4", "HF-CMP-001", b"\x04\x22\x4d\x18\x64\x40".to_vec()),
        ("7z", "HF-7Z-001", b"7z\xbc\xaf\x27\x1c\0\x04".to_vec()),
        ("rar", "HF-FMT-012", b"Rar!\x1a\x07\x01\0".to_vec()),
        (
            "onnx",
            "HF-ONNX-001",
            b"\x08\x07\x12\x07pytorch\x3a\x03abc".to_vec(),
        ),
        ("hdf5", "HF-H5-001", b"\x89HDF\r\n\x1a\n\0\0".to_vec()),
        ("hdf5", "HF-H5-002", hdf5_later),
        (
            "tensorflow-saved-model",
            "HF-TF-002",
            b"\x12\x14\x12\x12\x0a\x10\x0a\x04Read\x12\x08ReadFile".to_vec(),
        ),
        (
            "tensorflow-graph",
            "HF-TF-002",
            b"\x0a\x10\x0a\x04Read\x12\x08ReadFile".to_vec(),
        ),
        (
            "tensorflow-checkpoint-index",
            "HF-TF-001",
            b"\0\0\x06\x08\x01\x1a\x02\x08\x01\0\x1c".to_vec(),
        ),
        (
            "tensorflow-fingerprint",
            "HF-TF-001",
            [&[8][..], &[0xff; 9], &[1, 16], &[0xff; 9], &[1, 24], &[0xff; 9], &[1, 8]].concat(),
        ),
        (
            "keras-metadata",
            "HF-TF-001",
            b"\x0a\x13\x1a\x04root\x22\x0b_tf_keras_x\x0a\x7f".to_vec(),
        ),
        (
            "sentencepiece",
            "HF-SPM-001",
            b"\x0a\x09\x0a\x02<s\x15\0\0\0\0\x0a\x7f".to_vec(),
        ),
        ("tflite", "HF-FMT-014", b"\x20\0\0\0TFL3\0\0".to_vec()),
        ("executorch", "HF-FMT-014", b"\x20\0\0\0ET12\0\0".to_vec()),
        (
            "pytorch-mobile",
            "HF-FMT-014",
            b"\x20\0\0\0PTMF\0\0".to_vec(),
        ),
        (
            "coreml",
            "HF-FMT-014",
            b"\x08\x04\x12\x09\x0a\x07\x0a\x05image".to_vec(),
        ),
        (
            "pmml",
            "HF-FMT-014",
            b"<?xml version=\"1.0\"?><PMML version=\"4.4\">".to_vec(),
        ),
        ("ggml-legacy", "HF-FMT-016", b"tjgg\x03\0\0\0".to_vec()),
        ("ggml-legacy", "HF-FMT-016", b"lmgg\0\x7d\0\0".to_vec()),
        ("elf", "HF-FMT-013", b"\x7fELF\x02\x01\x01".to_vec()),
        ("pe", "HF-FMT-013", windows_program()),
        ("mach-o", "HF-FMT-013", b"\xcf\xfa\xed\xfe\x07\0\0\x01".to_vec()),
        ("mach-o", "HF-FMT-013", b"\xca\xfe\xba\xbe\0\0\0\x02".to_vec()),
        ("java-class", "HF-FMT-013", b"\xca\xfe\xba\xbe\0\0\0\x41".to_vec()),
        ("llamafile", "HF-FMT-013", b"MZqFpD='\n\n\0\x10\0\xf8".to_vec()),
        ("script", "HF-FMT-013", b"#!/bin/sh\nrm -rf /\n".to_vec()),
        ("wasm", "HF-FMT-013", b"\0asm\x01\0\0\0".to_vec()),
        ("pdf", "HF-FMT-015", b"%PDF-1.7\n".to_vec()),
        ("png", "HF-FMT-023", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec()),
        ("jpeg", "HF-FMT-023", b"\xff\xd8\xff\xe0\0\x10JFIF".to_vec()),
        ("gif", "HF-FMT-015", b"GIF89a\x01\0".to_vec()),
        (
            "html",
            "HF-FMT-015",
            b"<!DOCTYPE html><html><body>Sign in</body></html>".to_vec(),
        ),
        ("xml", "HF-FMT-015", b"<?xml version=\"1.0\"?><a/>".to_vec()),
        (
            "json",
            "HF-FMT-015",
            b"[{\"a\": 1}, \"b\"]\n".to_vec(),

        ),
        (
            "git-lfs-pointer",
            "HF-FMT-015",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n".to_vec(),
        ),
        (
            "text",
            "HF-FMT-015",
            b"{{ bos_token }}{% for m in messages %}".to_vec(),
        ),
    ]
}

#[test]
fn each_kind_is_refused_by_its_name() {
    for (name, id, bytes) in kinds() {
        let outcome = inspect(&bytes);
        assert_eq!(
            outcome.format.name(),
            name,
            "{:x?}",
            &bytes[..bytes.len().min(32)]
        );
        let found = findings(&bytes);
        // Inspectors of formats that are not accepted yet may say more.
        let named = found.iter().find(|finding| finding.id == id);
        assert!(
            named.is_some_and(|finding| finding.severity >= Severity::High),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn a_program_is_critical() {
    assert_eq!(findings(b"#!/bin/sh\n")[0].severity, Severity::Critical);
}

#[test]
fn gguf_and_safetensors_too_short_to_be_anything_are_refused() {
    assert_eq!(ids(b"GGUF"), ["HF-GGUF-003"]);
    assert_eq!(ids(b"GGU"), ["HF-FMT-015"]);
    assert_eq!(ids(&[16, 0, 0, 0, 0, 0, 0, 0]), ["HF-FMT-001"]);
    assert_eq!(ids(&[16, 0, 0, 0, 0, 0, 0, 0, b'{']), ["HF-ST-001"]);
}

fn named(bytes: &[u8], name: &str) -> Vec<String> {
    let mut inspector = FileInspector::new(name);
    inspector.feed(bytes);
    let (findings, _) = inspector.finish().findings.into_parts();
    findings.into_iter().map(|finding| finding.id).collect()
}

#[test]
fn a_name_only_adds_suspicion() {
    let gguf = GgufBuilder::llama().build().bytes;
    let safetensors = SafetensorsBuilder::small().build().bytes;
    assert_eq!(named(&gguf, "model.gguf"), [""; 0]);
    assert_eq!(named(&gguf, "model.safetensors"), ["HF-FMT-003"]);
    assert_eq!(named(&safetensors, "model.gguf"), ["HF-FMT-003"]);
    // A protocol buffer can begin with the length of a header, and HDF5 with anything.
    for name in [
        "model.onnx",
        "saved_model.pb",
        "model.H5",
        "model.keras",
        "model.tflite",
    ] {
        assert_eq!(named(&safetensors, name), ["HF-FMT-017", "HF-FMT-003"], "{name}");
    }
    assert_eq!(named(&safetensors, "model"), [""; 0]);
    assert_eq!(
        named(b"\x80\x02}q\x00.", "model.safetensors"),
        ["HF-FMT-003", "HF-PKL-016"]
    );
    assert_eq!(named(&gguf, "model\u{202e}fugg.gguf"), ["HF-FMT-004"]);
}

#[test]
fn an_archive_appended_to_a_gguf_is_named_beside_the_trailing_bytes() {
    let file = GgufBuilder::llama()
        .build()
        .and(&zip(&[("archive/data.pkl", b".")], b""));
    assert_eq!(inspect(&file.bytes).format, Format::Gguf);
    assert_eq!(ids(&file.bytes), ["HF-FMT-005", "HF-GGUF-029", "HF-SIG-002"]);
}

#[test]
fn what_is_refused_by_name_is_so_wherever_it_lies_and_whatever_it_is_called() {
    let refused = kinds().into_iter().filter(|(name, id, _)| {
        id.starts_with("HF-FMT-01") && !matches!(*name, "json" | "text" | "git-lfs-pointer")
    });
    for (name, id, bytes) in refused {
        let has = |file: &[u8], called: &str| {
            let found = named(file, called);
            assert!(found.contains(&id.to_owned()), "{name} in {called}: {found:?}");
        };
        has(&bytes, "model.gguf");
        has(&bytes, "model.safetensors");
        has(&bytes, "weights.pkl");
        has(&zip(&[("weights.npz.bin", &bytes)], b""), "model.zip");
        has(&tar_archive(&[tar_member("a.gguf", b'0', &bytes)]), "model.tar");
        has(&compressed::xz(&bytes), "model.gguf.xz");
        has(
            &compressed::zstd(&tar_archive(&[tar_member("a.bin", b'0', &bytes)]), 10),
            "model.tar.zst",
        );
    }
}

#[test]
fn what_is_refused_is_called_what_it_is() {
    let message = |bytes: &[u8]| findings(bytes)[0].message.clone();
    assert_eq!(
        message(b"\x20\0\0\0TFL3\0\0"),
        "this is a TensorFlow Lite model, a kind of model that is recognised but not inspected"
    );
    assert_eq!(
        message(b"Rar!\x1a\x07\x01\0"),
        "this is a RAR archive, which is not looked into"
    );
    assert_eq!(
        message(b"MZqFpD='\n\n\0\x10\0\xf8"),
        "this is a llamafile or other program for several systems, not a model"
    );
}
