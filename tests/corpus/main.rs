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
    let cases = cases::Corpus::all();
    let mut list = Vec::new();
    for case in &cases {
        let path = directory.join(&case.path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, &case.bytes)?;
        list.push(serde_json::json!({ "file": case.path, "refused_by": case.finding }));
    }
    std::fs::write(directory.join("expected.json"), serde_json::to_vec_pretty(&list)?)?;
    println!("{} files in {}", cases.len(), directory.display());
    Ok(())
}
