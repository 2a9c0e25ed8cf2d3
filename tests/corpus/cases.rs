//! Files that must be refused, with the finding that must be given, and files that must be accepted.
//!
//! Written by this program and nothing else. What they would run is harmless: `true`, or a name that does not exist.

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

/// Collects cases.
#[derive(Debug, Default)]
pub struct Corpus {
    /// The cases so far.
    pub cases: Vec<Case>,
}

impl Corpus {
    /// Every case, in the order of their paths.
    pub fn all() -> Vec<Case> {
        let mut corpus = Self::default();
        pickles::add(&mut corpus);
        models::add(&mut corpus);
        archives::add(&mut corpus);
        compressed::add(&mut corpus);
        stowaways::add(&mut corpus);
        documents::add(&mut corpus);
        keras::add(&mut corpus);
        kinds::add(&mut corpus);
        corpus.cases.sort_by(|a, b| a.path.cmp(&b.path));
        corpus.cases
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
