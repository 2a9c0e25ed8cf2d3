//! Files that must be refused, with the finding that must be given, and files that must be accepted.
//!
//! Written by this program and nothing else. What they would run is harmless: `true`, or a name that does not exist.

use std::path::Path;

#[path = "archives.rs"]
mod archives;
#[path = "compressed.rs"]
mod compressed;
#[path = "documents.rs"]
mod documents;
#[path = "keras.rs"]
mod keras;
#[path = "kinds.rs"]
mod kinds;
#[path = "models.rs"]
mod models;
#[path = "pickles.rs"]
mod pickles;
#[path = "sets.rs"]
mod sets;
#[path = "sevenzip.rs"]
mod sevenzip;
#[path = "stowaways.rs"]
mod stowaways;

/// One file of the corpus.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its path, below `accepted` or `refused`.
    pub path: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// The finding that refuses it; none if it is to be accepted.
    pub finding: Option<&'static str>,
}

/// A directory of the corpus, whose files are judged together.
#[derive(Debug, Clone)]
pub struct Directory {
    /// Its path, below `accepted` or `refused`.
    pub path: String,
    /// The names of its files, and their content.
    pub files: Vec<(String, Vec<u8>)>,
    /// The finding that refuses a set in it; none if everything in it is to be accepted.
    pub finding: Option<&'static str>,
}

/// Collects cases.
#[derive(Debug, Default)]
pub struct Corpus {
    /// The cases so far.
    pub cases: Vec<Case>,
    /// The directories so far.
    pub directories: Vec<Directory>,
}

impl Corpus {
    /// Everything, in the order of the paths.
    pub fn all() -> Self {
        let mut corpus = Self::default();
        pickles::add(&mut corpus);
        models::add(&mut corpus);
        archives::add(&mut corpus);
        compressed::add(&mut corpus);
        sevenzip::add(&mut corpus);
        stowaways::add(&mut corpus);
        documents::add(&mut corpus);
        keras::add(&mut corpus);
        kinds::add(&mut corpus);
        sets::add(&mut corpus);
        corpus.cases.sort_by(|a, b| a.path.cmp(&b.path));
        corpus.directories.sort_by(|a, b| a.path.cmp(&b.path));
        corpus
    }

    /// Writes every file below `directory`.
    pub fn write(&self, directory: &Path) -> std::io::Result<()> {
        let files = self.cases.iter().map(|case| (case.path.clone(), &case.bytes));
        let sets = self.directories.iter().flat_map(|set| {
            let path = |name: &String| format!("{}/{name}", set.path);
            set.files.iter().map(move |(name, bytes)| (path(name), bytes))
        });
        for (path, bytes) in files.chain(sets) {
            let path = directory.join(path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(path, bytes)?;
        }
        Ok(())
    }

    /// A file that is to be refused with this finding.
    pub fn refuse(&mut self, path: &str, bytes: impl Into<Vec<u8>>, finding: &'static str) {
        self.cases.push(Case {
            path: format!("refused/{path}"),
            bytes: bytes.into(),
            finding: Some(finding),
        });
    }

    /// A file that is to be accepted.
    pub fn accept(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.cases.push(Case {
            path: format!("accepted/{path}"),
            bytes: bytes.into(),
            finding: None,
        });
    }
}
