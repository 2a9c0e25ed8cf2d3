//! What was measured, as it is kept in `results.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::generate::Kind;
use crate::machine::Machine;
use crate::measure::Cost;
use crate::outcome::{Outcome, Verdict};
use crate::tools::Tool;

/// Everything of one run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Results {
    /// Where it was measured.
    pub machine: Machine,
    /// When, if that was given.
    pub date: Option<String>,
    /// Which versions.
    pub versions: BTreeMap<String, String>,
    /// Large files.
    pub speed: Speed,
    /// Small files.
    pub small: Small,
    /// Labelled samples; none when there were none.
    pub detection: Option<Detection>,
}

/// Large files.
#[derive(Debug, Serialize, Deserialize)]
pub struct Speed {
    /// How often each was scanned.
    pub rounds: usize,
    /// A row for each kind and tool.
    pub rows: Vec<SpeedRow>,
}

/// A tool on a large file.
#[derive(Debug, Serialize, Deserialize)]
pub struct SpeedRow {
    /// The kind of file.
    pub kind: Kind,
    /// Its size.
    pub bytes: u64,
    /// The tool.
    pub tool: Tool,
    /// The best time.
    pub seconds: f64,
    /// The least processor time.
    pub processor_seconds: f64,
    /// The most memory.
    pub peak_kib: u64,
    /// The most memory with a file of the same kind that is almost empty.
    pub idle_peak_kib: u64,
    /// What was read beyond what the same tool reads for a file of the same kind that is almost empty.
    pub read_bytes: u64,
    /// What it thought of the file.
    pub verdict: Verdict,
}

impl SpeedRow {
    /// How often the whole file was read.
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    pub fn times_read(&self) -> f64 {
        self.read_bytes as f64 / self.bytes as f64
    }

    /// Whether so much more memory was resident that the file may have been mapped, which is reading without asking for it.
    pub fn may_have_mapped(&self) -> bool {
        self.peak_kib.saturating_sub(self.idle_peak_kib) * 1024 > self.bytes / 2
    }

    /// Whether what was read must contain tensors: they are all but a few kilobytes of the file.
    pub fn reads_tensors(&self) -> bool {
        self.times_read() > 0.5 || self.may_have_mapped()
    }
}

/// Small files.
#[derive(Debug, Serialize, Deserialize)]
pub struct Small {
    /// How many.
    pub files: usize,
    /// How large together.
    pub bytes: u64,
    /// A row for each tool.
    pub rows: Vec<SmallRow>,
}

/// A tool on small files.
#[derive(Debug, Serialize, Deserialize)]
pub struct SmallRow {
    /// The tool.
    pub tool: Tool,
    /// How many files it was given.
    pub files: usize,
    /// Whether it was started once for all of them.
    pub at_once: bool,
    /// What that cost.
    pub cost: Cost,
}

/// Labelled samples.
#[derive(Debug, Serialize, Deserialize)]
pub struct Detection {
    /// Each sample that was there.
    pub samples: Vec<Judged>,
    /// Those that the manifest names and that were not there, or not as it says.
    pub missing: Vec<String>,
}

/// A sample and what was thought of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Judged {
    /// Its name in the manifest.
    pub file: String,
    /// What its origin thinks of it.
    pub expected: crate::manifest::Label,
    /// What class of file it is.
    pub class: String,
    /// What each tool thinks of it.
    pub outcomes: BTreeMap<Tool, Outcome>,
    /// What Holdfast says about it, in few words.
    pub holdfast: String,
}

impl Results {
    /// Reads what was kept.
    ///
    /// # Errors
    ///
    /// When nothing was, or by another version of this program.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Reads what was kept, if it is about the same versions.
    ///
    /// # Errors
    ///
    /// When it is not, or nothing was kept.
    pub fn of_these(path: &Path, versions: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let results = Self::load(path)?;
        if results.versions != *versions {
            return Err("the last results are of other versions: measure everything".into());
        }
        Ok(results)
    }

    /// Keeps it.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Failure> {
        Ok(std::fs::write(path, serde_json::to_vec_pretty(self)?)?)
    }
}
