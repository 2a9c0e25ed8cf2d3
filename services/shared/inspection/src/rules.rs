//! Which YARA rules files are searched for: those that come with Holdfast, and those of a site.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use holdfast_contract::Digest;
use holdfast_formats::Scanner;
use holdfast_rules::{LoadError, ReadError, RuleSet, Source};

/// Why rules cannot be used. Nothing is inspected with a part of them.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// They cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// They cannot be understood.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Rules, and where those of the site are read from.
#[derive(Debug, Clone)]
pub struct Rules {
    paths: Arc<[PathBuf]>,
    digest: Digest,
}

impl Rules {
    /// The rules that come with Holdfast.
    pub fn shipped() -> Self {
        Self {
            paths: Arc::new([]),
            digest: RuleSet::shipped_digest(),
        }
    }

    /// With the rules in these files and directories, each of which is checked.
    ///
    /// # Errors
    ///
    /// When one cannot be read or used.
    pub fn with_site(paths: Vec<PathBuf>) -> Result<Self, RulesError> {
        if paths.is_empty() {
            return Ok(Self::shipped());
        }
        let rules = load(&paths)?;
        rules.prepare()?;
        Ok(Self {
            digest: rules.digest(),
            paths: paths.into(),
        })
    }

    /// Which rules they are. What a report says must be this.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Where those of the site are.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }
}

fn load(paths: &[PathBuf]) -> Result<RuleSet, RulesError> {
    let mut sources = Vec::new();
    for path in paths {
        sources.extend(Source::read(path)?);
    }
    Ok(RuleSet::with_shipped(&sources)?)
}

/// What files are searched for with the rules in these files and directories.
///
/// # Errors
///
/// When one cannot be read or used.
pub fn scanner(paths: &[PathBuf]) -> Result<Arc<Scanner>, RulesError> {
    load(paths).map(RuleSet::scanner)
}

/// What files are searched for with the rules that come with Holdfast.
pub fn shipped() -> Arc<Scanner> {
    // INVARIANT: a test loads the shipped rules, so that this cannot fail; if it did, a report without rules is believed by nobody.
    static SHIPPED: LazyLock<Arc<Scanner>> =
        LazyLock::new(|| scanner(&[]).unwrap_or_else(|_| Scanner::plain()));
    Arc::clone(&SHIPPED)
}
