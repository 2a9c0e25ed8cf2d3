//! Writes the corpus of hostile and of ordinary files to a directory, with a list of what is expected of each, so that any
//! scanner can be tried on it:
//!
//! `cargo run --release -p holdfast-tests --example corpus -- DIRECTORY`

mod cases;

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(directory) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return Err("name the directory to write to, which does not exist yet".into());
    };
    std::fs::create_dir(&directory)?;
    let corpus = cases::Corpus::all();
    corpus.write(&directory)?;
    let files = corpus.cases.iter();
    let mut list: Vec<_> = files
        .map(|case| serde_json::json!({ "file": case.path, "refused_by": case.finding }))
        .collect();
    let sets = corpus.directories.iter();
    list.extend(sets.map(|set| serde_json::json!({ "directory": set.path, "refused_by": set.finding })));
    std::fs::write(directory.join("expected.json"), serde_json::to_vec_pretty(&list)?)?;
    println!(
        "{} files and {} directories in {}",
        corpus.cases.len(),
        corpus.directories.len(),
        directory.display()
    );
    Ok(())
}
