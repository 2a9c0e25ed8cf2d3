//! What h5py and Keras write is judged as it must be, and what is admitted as HDF5 is read by h5py too, with the same tensors and
//! nothing outside of the file.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use holdfast_formats::bytes::in_memory;
use holdfast_formats::testing::{
    Dataset, Hdf5Builder, Random, Storage, ask, hex, mutate, python_with, reader_cases,
};
use holdfast_formats::{FileInspector, Format, Outcome};

/// How many changed files are tried, unless `HOLDFAST_READER_CASES` says otherwise.
const CASES: u64 = 2000;

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn inspect(name: &str, bytes: &[u8]) -> Outcome {
    let mut inspector = FileInspector::new(name).looking_ahead(bytes.len() as u64, &mut in_memory(bytes));
    inspector.feed(bytes);
    inspector.finish()
}

#[test]
fn what_h5py_and_keras_write_is_judged_by_what_it_is() {
    let Some(python) = python_with("h5py", "what_h5py_and_keras_write_is_judged_by_what_it_is") else {
        return;
    };
    let directory = std::env::temp_dir().join(format!("holdfast-hdf5-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let made = Command::new(&python)
        .arg(script("hdf5_samples.py"))
        .arg(&directory)
        .stderr(Stdio::null())
        .output()
        .unwrap();
    assert!(made.status.success());
    if made.stdout.starts_with(b"no keras") {
        println!("[skipped] models of Keras: `{python}` has no package keras that works");
    }
    let (mut good, mut bad, mut wrong) = (0, 0, Vec::new());
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let outcome = inspect(&name, &std::fs::read(&path).unwrap());
        let expected = name.starts_with("bad-");
        if expected {
            bad += 1;
        } else {
            good += 1;
        }
        if outcome.findings.refuse() != expected || !matches!(outcome.format, Format::Hdf5 | Format::Keras) {
            wrong.push((name, outcome.format, outcome.findings.into_parts().0));
        }
    }
    std::fs::remove_dir_all(&directory).unwrap();
    println!("{good} files to be accepted, {bad} to be refused");
    assert!(good >= 4 && bad >= 10);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn seeds() -> Vec<Vec<u8>> {
    vec![
        Hdf5Builder::weights().build().bytes,
        Hdf5Builder::model(r#"{"class_name": "Sequential", "config": []}"#)
            .dataset("a", Dataset::floats(&[3]).stored(Storage::Compact))
            .dataset(
                "b",
                Dataset::floats(&[9, 5]).stored(Storage::Chunked(vec![4, 5], false)),
            )
            .dataset(
                "c",
                Dataset::floats(&[9, 5]).stored(Storage::Chunked(vec![4, 2], true)),
            )
            .soft("link", "/a")
            .build()
            .bytes,
    ]
}

/// A byte here and there, mostly where structure is.
fn changed(seeds: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    if random.below(8) == 0 {
        return mutate(seeds, &[b"TREE", b"\x11\0", b"\0\0\0\0"], &mut random);
    }
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(2) {
        let mut at = random.below(bytes.len());
        // Long runs of zeros are unused room of nodes.
        for _ in 0..8 {
            if bytes[at..].iter().take(8).all(|byte| *byte == 0) {
                at = random.below(bytes.len());
            }
        }
        bytes[at] = u8::try_from(random.below(256)).unwrap_or(0);
    }
    bytes
}

/// What the library answers to each file. A file that ends the library ends its process: then the next one goes on.
fn answers(python: &str, cases: &[Vec<u8>]) -> std::io::Result<Vec<String>> {
    let mut answers: Vec<String> = Vec::new();
    while answers.len() < cases.len() {
        let left = cases[answers.len()..].iter().map(|bytes| hex(bytes));
        let (more, ended_well) = ask(python, &script("hdf5_reader.py"), &[], left)?;
        answers.extend(more);
        if !ended_well && answers.len() < cases.len() {
            answers.push("crash".to_owned());
        }
    }
    Ok(answers)
}

#[test]
fn what_is_admitted_is_read_alike() {
    let Some(python) = python_with("h5py", "what_is_admitted_is_read_alike") else {
        return;
    };
    let seeds = seeds();
    let cases: Vec<Vec<u8>> = seeds
        .iter()
        .cloned()
        .chain((0..reader_cases(CASES)).map(|seed| changed(&seeds, seed)))
        .collect();
    let answers = answers(&python, &cases).unwrap();
    let (mut admitted, mut read, mut crashes) = (0, 0, 0);
    let (mut wrong, mut only_read) = (Vec::new(), BTreeMap::new());
    for (index, (bytes, answer)) in cases.iter().zip(&answers).enumerate() {
        read += u32::from(!answer.starts_with('-'));
        crashes += u32::from(answer == "crash");
        let outcome = inspect("x.h5", bytes);
        if outcome.format != Format::Hdf5 || outcome.findings.refuse() {
            if answer.ends_with(" 0") {
                let first = outcome.findings.into_parts().0.swap_remove(0);
                *only_read.entry(first.message).or_insert(0) += 1;
            }
            continue;
        }
        admitted += 1;
        let facts = outcome.facts.unwrap();
        // The library gives the bytes of a name or a text, and h5py wants them to be UTF-8.
        let no_text = answer.starts_with('-') && answer.contains("codec can't decode");
        if !no_text && *answer != format!("{} {} 0", facts.tensors, facts.parameters) {
            wrong.push((index, answer, facts.tensors, facts.parameters));
        }
    }
    println!(
        "{} files, {read} read by the library, {admitted} admitted, {crashes} ended it",
        cases.len()
    );
    // The library looks at less than a reader that follows everything does.
    println!("read by the library and refused: {only_read:#?}");
    assert!(admitted > 200, "{admitted} admitted");
    assert!(
        wrong.is_empty(),
        "{} of them: {:?}",
        wrong.len(),
        &wrong[..wrong.len().min(20)]
    );
}
