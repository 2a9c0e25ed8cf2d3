//! The list of labelled samples.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Failure;

/// What the origin of a sample thinks of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// Bad.
    Refuse,
    /// Clean.
    Accept,
    /// Neither: its origin only wants to live through it.
    Ambiguous,
}

/// A sample.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Sample {
    /// Where it is, below the manifest. A directory is a model of several files.
    pub file: String,
    /// What its origin thinks of it.
    pub expected: Label,
    /// What class of file it is.
    #[serde(default, rename = "cls")]
    pub class: String,
    /// The sum of its bytes, where the manifest has it.
    pub sha256: Option<String>,
}

/// The samples.
#[derive(Debug)]
pub struct Samples {
    /// Where they are.
    pub root: PathBuf,
    /// Those that are there.
    pub present: Vec<Sample>,
    /// Those that are not, or are not what the manifest says, each with the reason.
    pub missing: Vec<String>,
}

/// Reads the manifest and looks at each sample.
///
/// # Errors
///
/// When there is a manifest that cannot be read: then nobody knows what the labels are.
pub fn read(root: &Path) -> Result<Option<Samples>, Failure> {
    let path = root.join("manifest.json");
    if !path.is_file() {
        return Ok(None);
    }
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = std::fs::read(&path).map_err(|error| wrong(&error))?;
    let listed: Vec<Sample> = serde_json::from_slice(&text).map_err(|error| wrong(&error))?;
    let (mut present, mut missing) = (Vec::new(), Vec::new());
    for sample in listed {
        match problem(root, &sample) {
            None => present.push(sample),
            Some(problem) => missing.push(format!("{}: {problem}", sample.file)),
        }
    }
    Ok(Some(Samples {
        root: root.to_owned(),
        present,
        missing,
    }))
}

fn problem(root: &Path, sample: &Sample) -> Option<String> {
    let path = root.join(&sample.file);
    if !path.exists() {
        return Some("is not there".to_owned());
    }
    let wanted = sample.sha256.as_ref().filter(|_| path.is_file())?;
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => return Some(error.to_string()),
    };
    let sum = format!("{:x}", Sha256::digest(bytes));
    (sum != *wanted).then(|| "has other bytes than the manifest says".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(manifest: &str) -> Result<Option<Samples>, Failure> {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("manifest.json"), manifest).unwrap();
        std::fs::write(root.path().join("here.pkl"), b"abc").unwrap();
        read(root.path())
    }

    #[test]
    fn labels_are_read_and_a_missing_file_is_told() {
        let samples = samples(
            r#"[{"file": "here.pkl", "expected": "accept", "cls": "pickle", "origin": "x"},
                {"file": "gone.pkl", "expected": "refuse", "cls": "pickle"}]"#,
        );
        let samples = samples.unwrap().unwrap();
        assert_eq!(samples.present.len(), 1);
        assert_eq!(samples.present[0].expected, Label::Accept);
        assert_eq!(samples.missing, ["gone.pkl: is not there"]);
    }

    #[test]
    fn a_sample_with_other_bytes_is_not_used() {
        let manifest =
            |sum: &str| format!(r#"[{{"file": "here.pkl", "expected": "accept", "sha256": "{sum}"}}]"#);
        let right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(samples(&manifest(right)).unwrap().unwrap().missing.is_empty());
        let wrong = samples(&manifest(&right.replace('b', "c"))).unwrap().unwrap();
        assert_eq!(wrong.present, []);
        assert!(wrong.missing[0].contains("other bytes"));
    }

    #[test]
    fn a_label_that_nobody_knows_is_an_error() {
        assert!(samples(r#"[{"file": "here.pkl", "expected": "good"}]"#).is_err());
        assert!(samples("nothing").is_err());
    }

    #[test]
    fn no_manifest_is_no_samples() {
        let root = tempfile::tempdir().unwrap();
        assert!(read(root.path()).unwrap().is_none());
    }
}
