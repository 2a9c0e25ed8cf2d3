//! What files say of each other, however they are cut, and sets that are judged by it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use holdfast_contract::report::Finding;
use holdfast_formats::set::{Directory, External, Judged, Kind, Member, Split, Ties, judge};
use holdfast_formats::testing::{GgufBuilder, Random, SafetensorsBuilder, Value, mutate, onnx};
use holdfast_formats::{FileInspector, Outcome};

fn inspect(name: &str, bytes: &[u8], piece: usize) -> Outcome {
    let mut inspector = FileInspector::new(name).tying();
    for piece in bytes.chunks(piece.max(1)) {
        inspector.feed(piece);
    }
    inspector.finish()
}

fn external(file: &str, at: u64) -> Vec<u8> {
    let entries = [
        onnx::entry("location", file),
        onnx::entry("offset", &at.to_string()),
        onnx::entry("length", "8"),
    ];
    let tensor = onnx::shape(1, &[2])
        .text(8, "w")
        .messages(13, &entries)
        .int(14, 1);
    onnx::model(&onnx::graph(&[], &[tensor])).build()
}

fn part() -> Vec<u8> {
    let part = GgufBuilder::llama()
        .set("split.no", Value::U16(1))
        .set("split.count", Value::U16(3))
        .set("split.tensors.count", Value::I32(9));
    part.build().bytes
}

const INDEX: &str = r#"{"metadata": {"total_size": 24}, "weight_map": {"a": "m-1-of-2.safetensors", "b\u00e4": "m-2-of-2.safetensors", "c": "m-1-of-2.safetensors"}}"#;
const PIPELINE: &str = r#"{"_class_name": "P", "_diffusers_version": "1", "unet": ["diffusers", "UNet"], "safety": [null, null]}"#;
const CODE: &str = r#"{"model_type": "x", "auto_map": {"AutoModel": "modeling_x.Model", "AutoConfig": "a/b--deep.er.Config"}}"#;

fn samples() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("m.safetensors", SafetensorsBuilder::small().build().bytes),
        ("m.gguf", part()),
        ("m.onnx", external("data", 4096)),
        ("model.safetensors.index.json", INDEX.into()),
        ("model_index.json", PIPELINE.into()),
        ("config.json", CODE.into()),
        ("adapter_config.json", r#"{"peft_type": "LORA"}"#.into()),
    ]
}

#[test]
fn ties_are_what_the_file_says() {
    let ties: BTreeMap<_, Ties> = samples()
        .into_iter()
        .map(|(name, bytes)| (name, inspect(name, &bytes, bytes.len()).ties))
        .collect();
    let names = |ties: &Ties| -> Vec<(String, u64)> {
        let tensors = ties.tensors.iter();
        tensors
            .map(|tensor| (tensor.name.clone(), tensor.bytes))
            .collect()
    };
    let wanted = [("embed.weight", 128), ("layer.0.weight", 48), ("layer.0.bias", 1)];
    assert_eq!(
        names(&ties["m.safetensors"]),
        wanted.map(|(name, bytes)| (name.to_owned(), bytes))
    );
    let split = Split {
        number: 1,
        count: 3,
        tensors: Some(9),
    };
    assert_eq!(ties["m.gguf"].split, Some(split));
    assert_eq!(ties["m.gguf"].tensors.len(), 3);
    let place = External {
        file: 0,
        at: 4096,
        length: Some(8),
        needed: 8,
    };
    assert_eq!(ties["m.onnx"].external, [place]);
    assert_eq!(ties["m.onnx"].files, ["data"]);
    let index = &ties["model.safetensors.index.json"];
    assert_eq!(index.files, ["m-1-of-2.safetensors", "m-2-of-2.safetensors"]);
    let mapped: Vec<_> = index
        .mapped
        .iter()
        .map(|one| (one.name.as_str(), one.file))
        .collect();
    assert_eq!(mapped, [("a", 0), ("bä", 1), ("c", 0)]);
    assert_eq!(index.total_bytes, Some(24));
    let [unet] = ties["model_index.json"].components.as_slice() else {
        unreachable!("{ties:?}")
    };
    assert_eq!((unet.folder.as_str(), unet.class.as_str()), ("unet", "UNet"));
    assert_eq!(ties["config.json"].modules, ["modeling_x", "deep.er"]);
    assert!(ties["adapter_config.json"].adapter);
}

#[test]
fn ties_do_not_depend_on_the_cut_and_change_nothing_else() {
    for (name, bytes) in samples() {
        let whole = inspect(name, &bytes, bytes.len());
        for piece in [1, 7, 100] {
            let cut = inspect(name, &bytes, piece);
            assert_eq!(cut.ties, whole.ties, "{name} by {piece}");
        }
        let mut plain = FileInspector::new(name);
        plain.feed(&bytes);
        let plain = plain.finish();
        assert!(plain.ties.is_empty(), "{name}");
        assert_eq!(plain.findings, whole.findings, "{name}");
    }
}

#[test]
fn whatever_files_say_is_bounded_and_can_be_judged() {
    let samples = samples();
    let seeds: Vec<Vec<u8>> = samples.iter().map(|(_, bytes)| bytes.clone()).collect();
    let words: &[&[u8]] = &[
        b"\"a\":",
        b"\"m-1-of-2.safetensors\"",
        b"[",
        b"{",
        b"\xff",
        b"weight_map",
    ];
    for seed in 0..1500 {
        let mut random = Random::new(seed);
        let files: Vec<(&str, Outcome)> = samples
            .iter()
            .map(|(name, _)| {
                let bytes = mutate(&seeds, words, &mut random);
                (*name, inspect(name, &bytes, bytes.len()))
            })
            .collect();
        let files: Vec<(&str, &Outcome, Vec<Finding>)> = files
            .iter()
            .map(|(name, outcome)| (*name, outcome, outcome.findings.clone().into_parts().0))
            .collect();
        assert!(files.iter().all(|(_, outcome, _)| outcome.ties.is_plausible()));
        let members: Vec<Member<'_>> = files
            .iter()
            .map(|(name, outcome, findings)| Member {
                name,
                format: outcome.format,
                size_bytes: outcome.size_bytes,
                findings,
                architecture: None,
                ties: &outcome.ties,
            })
            .collect();
        for set in judged(&members, true) {
            assert!(set.members.iter().all(|member| *member < members.len()));
            assert!(set.eased.is_empty() || !set.findings.refuse());
        }
    }
}

fn judged(members: &[Member<'_>], zero: bool) -> Vec<Judged> {
    let folders = BTreeMap::new();
    let directory = Directory {
        files: members,
        folders: &folders,
    };
    judge(&directory, &mut |_, _, _| Some(zero))
}

/// A model that is refused for nothing but its numbers being elsewhere, and the file that has them.
fn with_data(zero: Option<bool>) -> Vec<Judged> {
    let model = inspect("m.onnx", &external("data", 4096), 1 << 20);
    let mut bytes = vec![0xf1; 8];
    bytes.resize(4104, 0);
    let data = inspect("data", &bytes, bytes.len());
    let findings = [model.findings.clone(), data.findings.clone()].map(|found| found.into_parts().0);
    let files = [("m.onnx", &model), ("data", &data)];
    let members: Vec<Member<'_>> = files
        .iter()
        .zip(&findings)
        .map(|((name, outcome), findings)| Member {
            name,
            format: outcome.format,
            size_bytes: outcome.size_bytes,
            findings,
            architecture: None,
            ties: &outcome.ties,
        })
        .collect();
    let folders = BTreeMap::new();
    let directory = Directory {
        files: &members,
        folders: &folders,
    };
    judge(&directory, &mut |_, _, _| zero)
}

#[test]
fn numbers_beside_a_model_are_admitted_with_it_only_if_the_rest_is_zero() {
    for (zero, eased) in [(Some(true), 2), (Some(false), 0), (None, 0)] {
        let sets = with_data(zero);
        let [set] = sets.as_slice() else {
            unreachable!("{sets:?}")
        };
        assert_eq!(set.kind, Kind::OnnxExternal);
        assert_eq!(set.eased.len(), eased, "{zero:?}: {set:?}");
        assert_eq!(set.findings.refuse(), eased == 0, "{zero:?}");
    }
}
