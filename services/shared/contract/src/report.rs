//! What an inspection found: the one report type, shown to people, signed into scan statements and kept by
//! the registry.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// What follows from an inspection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The registry may admit the artifact.
    Admit,
    /// The registry may admit it; the report's conditions bind whoever uses it.
    Conditional,
    /// The registry must not admit it.
    Refuse,
}

/// How much a finding weighs. `High` and `Critical` refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing follows.
    Info,
    /// Unusual, harmless by itself.
    Low,
    /// Admitted under a condition.
    Medium,
    /// The file is malformed or not what it claims: refused.
    High,
    /// The file carries something made to harm: refused.
    Critical,
}

/// Something that whoever uses an admitted artifact must keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// The model must not be given tools.
    NoTools,
    /// The chat template in the file must not be used.
    NoChatTemplate,
}

/// One thing that an inspection noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Stable id such as `HF-GGUF-003`; `docs/findings.md` explains each.
    pub id: String,
    /// How much it weighs.
    pub severity: Severity,
    /// What was found, in one plain sentence.
    pub message: String,
    /// Where in the file, in bytes from its start, where that makes sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Which part of the file: a tensor, a metadata key, an archive member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// What the person can do about it.
    pub advice: String,
}

/// What the inspection learnt about a model that it understood.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFacts {
    /// The model's own name for itself. Untrusted text, bounded, control characters removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Architecture, for example `llama`. Untrusted text, treated like `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Number of tensors.
    pub tensors: u64,
    /// Number of weights in all tensors.
    pub parameters: u64,
    /// Longest context that the model was made for, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// Predominant tensor type, for example `Q4_K`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tensor_type: Option<String>,
    /// Whether the file carries a chat template.
    pub chat_template: bool,
}

/// The formats, by the names that reports use, of files that are models. Everything else goes with one, or is neither.
pub const MODEL_FORMATS: [&str; 12] = [
    "gguf",
    "safetensors",
    "pickle",
    "pytorch-legacy",
    "pytorch-zip",
    "npy",
    "npz",
    "onnx",
    "keras",
    "hdf5",
    "tensorflow-saved-model",
    "tensorflow-graph",
];

/// The finding that says of a file which is no model what it is and that it goes with one, in a sentence for people.
pub const COMPANION_FINDING: &str = "HF-DOC-009";

/// The file that an artifact was made from, where that was not handed in itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// SHA-256 of every byte of the file.
    pub sha256: Digest,
    /// Its size, in bytes.
    pub size_bytes: u64,
    /// Its format.
    pub format: String,
}

/// The result of inspecting one artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// SHA-256 of every byte of the artifact. Absent only where it could not be read to its end.
    pub sha256: Option<Digest>,
    /// Size of the artifact, in bytes.
    pub size_bytes: u64,
    /// Format as detected from the content, for example `gguf`, `safetensors`, `pickle`, `elf`, `unknown`.
    pub format: String,
    /// What follows.
    pub verdict: Verdict,
    /// What binds whoever uses the artifact; empty unless the verdict is `conditional`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// What was found, most severe first, at most [`crate::limits::MAX_FINDINGS`].
    pub findings: Vec<Finding>,
    /// How many more findings there were than are listed.
    #[serde(default)]
    pub findings_omitted: u64,
    /// What was learnt about the model, where the format was understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelFacts>,
    /// What the artifact was converted from. The report is on the artifact, not on this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converted_from: Option<Origin>,
    /// Version of the inspector that made the report.
    pub inspector: String,
    /// Which YARA rules the file was searched for: SHA-256 over their texts. Absent where nothing was searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Digest>,
}
