//! The seeds of the fuzz targets, and the inputs that once broke a parser: the outcome does not depend on how the bytes are cut,
//! what is found lies within the file, and nothing ends in a panic. `docs/fuzzing.md` tells what each of the latter was.

#[path = "../examples/seeds/all.rs"]
mod all;

use std::fs;
use std::path::{Path, PathBuf};

use holdfast_contract::report::{Finding, ModelFacts};
use holdfast_formats::bytes::in_memory;
use holdfast_formats::keras::Description;
use holdfast_formats::testing::{Assembler, Member, archive, deflate};
use holdfast_formats::text::is_hidden;
use holdfast_formats::{FileInspector, Format};

/// The inputs of a target with their paths.
fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut files: Vec<PathBuf> = ["seeds", "regressions"]
        .iter()
        .filter_map(|kind| fs::read_dir(folder.join(kind).join(target)).ok())
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no inputs for {target}");
    files
        .into_iter()
        .filter_map(|path| Some((path.clone(), fs::read(path).ok()?)))
        .collect()
}

/// Inspects pieces of a file whose format is detected by so many bytes.
fn inspect(probe: usize, whole: &[u8], pieces: &[&[u8]]) -> (Format, Vec<Finding>, Option<ModelFacts>) {
    let mut inspector = FileInspector::new("x")
        .looking_ahead(whole.len() as u64, &mut in_memory(whole))
        .probing(probe);
    for piece in pieces {
        inspector.feed(piece);
    }
    let outcome = inspector.finish();
    (outcome.format, outcome.findings.into_parts().0, outcome.facts)
}

#[track_caller]
fn no_cut_matters(probe: usize, bytes: &[u8], what: &str) {
    let whole = inspect(probe, bytes, &[bytes]);
    for finding in &whole.1 {
        let size = bytes.len() as u64;
        assert!(
            finding.offset.is_none_or(|offset| offset <= size),
            "{what}: {finding:?}"
        );
        let mut texts = [Some(&finding.message), finding.part.as_ref()]
            .into_iter()
            .flatten();
        assert!(
            !texts.any(|text| text.chars().any(is_hidden)),
            "{what}: {finding:?}"
        );
    }
    let single: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(inspect(probe, bytes, &single), whole, "{what}, byte by byte");
    for at in (0..bytes.len()).step_by(1 + bytes.len() / 16) {
        let (head, tail) = bytes.split_at(at);
        assert_eq!(inspect(probe, bytes, &[head, tail]), whole, "{what}, cut at {at}");
    }
}

fn no_cut_matters_for(target: &str, probe: usize) {
    for (path, bytes) in inputs(target) {
        no_cut_matters(probe, &bytes, &path.display().to_string());
    }
}

#[test]
fn the_committed_seeds_are_what_the_program_writes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let seeds = all::all();
    for ((target, name), bytes) in &seeds {
        let committed = fs::read(folder.join(target).join(name)).unwrap_or_default();
        assert!(
            &committed == bytes,
            "{target}/{name} is another: cargo run --release -p holdfast-formats --example seeds"
        );
    }
    for target in seeds.keys().map(|(target, _)| target) {
        for file in fs::read_dir(folder.join(target)).unwrap().flatten() {
            let name = file.file_name().into_string().unwrap();
            assert!(
                seeds.contains_key(&(*target, name)),
                "{} is no seed that the program writes",
                file.path().display()
            );
        }
    }
    let bytes: usize = seeds.values().map(Vec::len).sum();
    assert!(bytes <= 1 << 20, "{bytes} bytes of seeds");
}

#[test]
fn models() {
    no_cut_matters_for("gguf", 24);
    no_cut_matters_for("safetensors", 64);
    no_cut_matters_for("npy", 8);
    no_cut_matters_for("onnx", 64);
    no_cut_matters_for("tensorflow", 128);
    no_cut_matters_for("sentencepiece", 64);
    no_cut_matters_for("checkpoint", 16);
}

#[test]
fn pickles() {
    for (path, input) in inputs("pickle") {
        no_cut_matters(32, &input[1..], &path.display().to_string());
    }
    no_cut_matters_for("disarm", 32);
}

#[test]
fn archives() {
    no_cut_matters_for("tar", 512);
    no_cut_matters_for("sevenzip", 8);
    no_cut_matters_for("gzip", 4);
    for (path, bytes) in inputs("zip") {
        if bytes.starts_with(b"PK\x03\x04") {
            no_cut_matters(4, &bytes, &path.display().to_string());
        }
    }
}

#[test]
fn documents() {
    for (path, input) in inputs("document") {
        for probe in [1, 16] {
            no_cut_matters(probe, &input[1..], &path.display().to_string());
        }
    }
}

/// What a member's data is damaged by was told from how far the decompressor came with the bytes that it had.
#[test]
fn a_damaged_member_is_the_same_in_every_cut() {
    let pickle = Assembler::protocol(2).state_dict(&[("w", &[2, 3])]).stop();
    let packed = deflate(&pickle);
    let larger = |size| {
        Member::stored("a.pkl", &pickle)
            .packed(8, packed.clone())
            .size(size)
    };
    let open = Member::stored("a.pkl", &pickle).descriptor(16);
    let mut descriptor = archive(std::slice::from_ref(&open));
    let place = descriptor.mark("a.pkl/descriptor").start + 8;
    descriptor.bytes[place] ^= 1;
    no_cut_matters(4, &descriptor.bytes, "descriptor");
    for size in [0, 1, 40, 10_000] {
        no_cut_matters(4, &archive(&[larger(size)]).bytes, "another size");
    }
    for at in 0..packed.len() {
        let mut damaged = packed.clone();
        damaged[at] ^= 0xff;
        let member = Member::stored("a.pkl", &pickle).packed(8, damaged);
        no_cut_matters(4, &archive(&[member]).bytes, &format!("damaged at {at}"));
    }
}

/// A member that claims to begin beyond the archive was placed there.
#[test]
fn a_member_that_begins_elsewhere_is_placed_within_the_file() {
    let member = || Member::stored("a\x1b.pkl", &[]);
    let mut built = archive(&[member(), Member::stored("../b", b"")]);
    let place = built.mark("../b/central").start + 42;
    built.bytes[place..place + 4].fill(0x7f);
    no_cut_matters(4, &built.bytes, "a member elsewhere");
}

#[test]
fn descriptions_for_keras() {
    for (path, input) in inputs("keras") {
        // The first two bytes say where the target cuts; here it is cut everywhere.
        let bytes = input.get(2..).unwrap_or_default();
        let found = |pieces: &[&[u8]]| {
            let mut description = Description::default();
            for piece in pieces {
                description.feed(piece);
            }
            let (findings, name) = description.conclude();
            (findings.into_parts(), name)
        };
        let whole = found(&[bytes]);
        for cut in 0..=bytes.len().min(512) {
            let (before, after) = bytes.split_at(cut);
            assert_eq!(found(&[before, after]), whole, "{}, cut at {cut}", path.display());
        }
    }
}
