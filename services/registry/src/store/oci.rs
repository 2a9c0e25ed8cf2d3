//! The documents of the store, as other tools read them: OCI image layout and manifests (image-spec 1.1) with the media
//! types of the CNCF model format (modelpack/model-spec), and the scan statement as a referrer of the model.
//!
//! Only what this registry writes is read back; anything else in the store is not its own and is not served.

use std::collections::BTreeMap;

use holdfast_contract::report::ModelFacts;
use holdfast_contract::{Digest, Timestamp};
use holdfast_statement::{PREDICATE_TYPE, ScanStatement};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const MODEL: &str = "application/vnd.cncf.model.manifest.v1+json";
const MODEL_CONFIG: &str = "application/vnd.cncf.model.config.v1+json";
const WEIGHTS: &str = "application/vnd.cncf.model.weight.v1.raw";
/// An in-toto statement about a scan in a DSSE envelope, named as in-toto's "storage convention" asks.
const STATEMENT: &str = "application/vnd.in-toto.scan+dsse";

const REF_NAME: &str = "org.opencontainers.image.ref.name";
const TITLE: &str = "org.opencontainers.image.title";
const CREATED: &str = "org.opencontainers.image.created";
const FILE_PATH: &str = "org.cncf.model.filepath";
const PREDICATE: &str = "in-toto.io/predicate-type";

/// Content of the empty descriptor's blob.
pub const EMPTY_JSON: &[u8] = b"{}";
/// Content of the file `oci-layout`.
pub const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

type Annotations = BTreeMap<String, String>;

/// Points to a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Descriptor {
    media_type: String,
    /// SHA-256 of the blob.
    pub digest: Digest,
    /// Length of the blob, in bytes.
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: Annotations,
}

impl Descriptor {
    fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::to(media_type, digest_of(bytes), bytes.len() as u64)
    }

    fn to(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            artifact_type: None,
            annotations: Annotations::new(),
        }
    }

    fn with(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// The name under which tools such as skopeo find the manifest that this descriptor of the index points to.
    pub fn name(&self) -> Option<&str> {
        self.annotations.get(REF_NAME).map(String::as_str)
    }

    /// Whether it points to the manifest of a model.
    pub fn is_model(&self) -> bool {
        self.media_type == MANIFEST && self.artifact_type.as_deref() == Some(MODEL)
    }

    /// Whether it points to the manifest of a scan statement.
    pub fn is_statement(&self) -> bool {
        self.media_type == MANIFEST && self.artifact_type.as_deref() == Some(STATEMENT)
    }
}

/// `index.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Index {
    schema_version: u32,
    media_type: String,
    /// The manifests of the store.
    pub manifests: Vec<Descriptor>,
}

impl Index {
    /// An index of `manifests`.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: INDEX.to_owned(),
            manifests,
        }
    }
}

/// A manifest: of a model, or of its scan statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Manifest {
    schema_version: u32,
    media_type: String,
    artifact_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<Descriptor>,
    annotations: Annotations,
}

/// Model configuration (model-spec `config.md`). What the file does not say is left out, never guessed.
#[derive(Debug, Serialize)]
struct Config<'a> {
    descriptor: About<'a>,
    #[serde(rename = "config")]
    technical: Technical<'a>,
    modelfs: Files,
}

#[derive(Debug, Serialize)]
struct About<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    family: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Technical<'a> {
    format: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    param_size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    precision: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantization: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Files {
    #[serde(rename = "type")]
    kind: &'static str,
    diff_ids: [Digest; 1],
}

/// The documents that make an admitted file a model in the store.
#[derive(Debug)]
pub struct Documents {
    /// The index entry of the model's manifest.
    pub model: Descriptor,
    /// The index entry of the statement's manifest.
    pub statement: Descriptor,
    /// The blob with the DSSE envelope.
    pub envelope: Digest,
    /// The small blobs, by digest.
    pub blobs: Vec<(Digest, Vec<u8>)>,
}

/// What the documents of a model say, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The model's file.
    pub weights: Digest,
    /// Its length, in bytes.
    pub size_bytes: u64,
    /// The blob with the DSSE envelope.
    pub envelope: Digest,
    /// The model's configuration blob.
    pub config: Digest,
    /// When it was admitted.
    pub admitted_at: Timestamp,
}

/// Writes the documents of a model that is admitted as `name`.
///
/// # Errors
///
/// When a document cannot be written as JSON.
pub fn describe(
    statement: &ScanStatement,
    envelope: &str,
    name: &str,
    now: Timestamp,
) -> Result<Documents, serde_json::Error> {
    let report = &statement.report;
    let facts = report.model.as_ref();
    let config = serde_json::to_vec(&Config {
        descriptor: About {
            name,
            title: facts.and_then(|facts| facts.name.as_deref()),
            family: facts.and_then(|facts| facts.architecture.as_deref()),
        },
        technical: Technical {
            format: &report.format,
            param_size: facts.map(|facts| param_size(facts.parameters)),
            precision: facts.and_then(precision),
            quantization: facts
                .and_then(|facts| facts.tensor_type.as_deref())
                .filter(|kind| kind.starts_with(['Q', 'I'])),
        },
        modelfs: Files {
            kind: "layers",
            diff_ids: [statement.digest],
        },
    })?;
    let weights = Descriptor::to(WEIGHTS, statement.digest, report.size_bytes)
        .with(TITLE, &statement.name)
        .with(FILE_PATH, &statement.name);
    let created = Annotations::from([(CREATED.to_owned(), now.to_string())]);
    let model = serde_json::to_vec(&Manifest {
        schema_version: 2,
        media_type: MANIFEST.to_owned(),
        artifact_type: MODEL.to_owned(),
        config: Descriptor::of(MODEL_CONFIG, &config),
        layers: vec![weights],
        subject: None,
        annotations: created.clone(),
    })?;
    let subject = Descriptor::of(MANIFEST, &model);
    let layer = Descriptor::of(STATEMENT, envelope.as_bytes()).with(PREDICATE, PREDICATE_TYPE);
    let referrer = serde_json::to_vec(&Manifest {
        schema_version: 2,
        media_type: MANIFEST.to_owned(),
        artifact_type: STATEMENT.to_owned(),
        config: Descriptor::of(EMPTY, EMPTY_JSON),
        layers: vec![layer.clone()],
        subject: Some(subject.clone()),
        annotations: created,
    })?;
    let listed = |bytes: &[u8], kind: &str| Descriptor {
        artifact_type: Some(kind.to_owned()),
        ..Descriptor::of(MANIFEST, bytes)
    };
    Ok(Documents {
        model: listed(&model, MODEL).with(REF_NAME, name),
        statement: listed(&referrer, STATEMENT),
        envelope: layer.digest,
        blobs: [config, model, referrer, envelope.as_bytes().to_vec()]
            .into_iter()
            .map(|bytes| (digest_of(&bytes), bytes))
            .collect(),
    })
}

/// Reads back the manifests of a model and of its statement, or `None` when they are not what [`describe`] writes.
pub fn recover(model: &Descriptor, model_bytes: &[u8], statement_bytes: &[u8]) -> Option<Recovered> {
    let manifest: Manifest = serde_json::from_slice(model_bytes).ok()?;
    let referrer: Manifest = serde_json::from_slice(statement_bytes).ok()?;
    let [weights] = manifest.layers.as_slice() else {
        return None;
    };
    let [envelope] = referrer.layers.as_slice() else {
        return None;
    };
    let about_this = referrer
        .subject
        .as_ref()
        .is_some_and(|subject| subject.digest == model.digest);
    let kinds = manifest.artifact_type == MODEL
        && weights.media_type == WEIGHTS
        && referrer.artifact_type == STATEMENT
        && envelope.media_type == STATEMENT;
    if !about_this || !kinds {
        return None;
    }
    Some(Recovered {
        weights: weights.digest,
        size_bytes: weights.size,
        envelope: envelope.digest,
        config: manifest.config.digest,
        admitted_at: manifest.annotations.get(CREATED)?.parse().ok()?,
    })
}

/// Which model manifest the manifest of a statement refers to.
pub fn subject_of(statement_bytes: &[u8]) -> Option<Digest> {
    let referrer: Manifest = serde_json::from_slice(statement_bytes).ok()?;
    Some(referrer.subject?.digest)
}

/// SHA-256 of a small document.
pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

/// The number of weights as model-spec writes it: at most one digit after the point and the scale's letter.
fn param_size(parameters: u64) -> String {
    const SCALES: [(u64, &str); 5] = [
        (1_000_000_000_000_000, "Q"),
        (1_000_000_000_000, "T"),
        (1_000_000_000, "B"),
        (1_000_000, "M"),
        (1_000, "K"),
    ];
    let scale = SCALES.into_iter().find(|(scale, _)| parameters >= *scale);
    let (scale, letter) = scale.unwrap_or((1_000, "K"));
    let whole = parameters / scale;
    match parameters % scale / (scale / 10) {
        0 => format!("{whole}{letter}"),
        tenth => format!("{whole}.{tenth}{letter}"),
    }
}

/// The precision of weights that are not quantised, as model-spec names it.
fn precision(facts: &ModelFacts) -> Option<&'static str> {
    match facts.tensor_type.as_deref()? {
        "F64" => Some("float64"),
        "F32" => Some("float32"),
        "F16" => Some("float16"),
        "BF16" => Some("bfloat16"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_contract::report::{Report, Verdict};

    fn statement() -> ScanStatement {
        ScanStatement {
            name: "tiny.gguf".into(),
            digest: digest_of(b"weights"),
            inspected_at: Timestamp::UNIX_EPOCH,
            report: Report {
                sha256: Some(digest_of(b"weights")),
                size_bytes: 7,
                format: "gguf".into(),
                verdict: Verdict::Admit,
                conditions: vec![],
                findings: vec![],
                findings_omitted: 0,
                model: Some(ModelFacts {
                    name: Some("Tiny".into()),
                    architecture: Some("llama".into()),
                    parameters: 1_234_567_890,
                    tensor_type: Some("Q4_K".into()),
                    ..ModelFacts::default()
                }),
                converted_from: None,
                inspector: "0.1.0".into(),
                rules: None,
            },
        }
    }

    fn blob(documents: &Documents, digest: Digest) -> &[u8] {
        &documents.blobs.iter().find(|(of, _)| *of == digest).unwrap().1
    }

    #[test]
    fn writes_what_model_spec_and_image_spec_ask_for() {
        let documents = describe(&statement(), "envelope", "tiny", Timestamp::UNIX_EPOCH).unwrap();
        let manifest: serde_json::Value =
            serde_json::from_slice(blob(&documents, documents.model.digest)).unwrap();
        assert_eq!(
            manifest["mediaType"],
            "application/vnd.oci.image.manifest.v1+json"
        );
        assert_eq!(
            manifest["artifactType"],
            "application/vnd.cncf.model.manifest.v1+json"
        );
        assert_eq!(
            manifest["config"]["mediaType"],
            "application/vnd.cncf.model.config.v1+json"
        );
        assert_eq!(
            manifest["layers"][0]["mediaType"],
            "application/vnd.cncf.model.weight.v1.raw"
        );
        assert_eq!(
            manifest["layers"][0]["annotations"]["org.opencontainers.image.title"],
            "tiny.gguf"
        );
        let config: Digest = manifest["config"]["digest"].as_str().unwrap().parse().unwrap();
        let config: serde_json::Value = serde_json::from_slice(blob(&documents, config)).unwrap();
        assert_eq!(config["modelfs"]["diffIds"][0], statement().digest.to_string());
        assert_eq!(config["config"]["paramSize"], "1.2B");
        assert_eq!(config["config"]["quantization"], "Q4_K");
        assert_eq!(config["descriptor"]["family"], "llama");
    }

    #[test]
    fn the_statement_refers_to_the_model() {
        let documents = describe(&statement(), "envelope", "tiny", Timestamp::UNIX_EPOCH).unwrap();
        let bytes = blob(&documents, documents.statement.digest);
        assert_eq!(subject_of(bytes), Some(documents.model.digest));
        let referrer: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        assert_eq!(referrer["config"]["digest"], digest_of(EMPTY_JSON).to_string());
        assert_eq!(blob(&documents, documents.envelope), b"envelope");
    }

    #[test]
    fn the_empty_descriptor_is_that_of_the_specification() {
        let digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(digest_of(EMPTY_JSON).to_string(), digest);
    }

    #[test]
    fn reads_back_what_it_wrote_and_nothing_else() {
        let documents = describe(&statement(), "envelope", "tiny", Timestamp::UNIX_EPOCH).unwrap();
        let (model, referrer) = (
            blob(&documents, documents.model.digest),
            blob(&documents, documents.statement.digest),
        );
        let recovered = recover(&documents.model, model, referrer).unwrap();
        assert_eq!(recovered.weights, statement().digest);
        assert_eq!(recovered.admitted_at, Timestamp::UNIX_EPOCH);
        assert_eq!(recover(&documents.statement, model, referrer), None);
        assert_eq!(recover(&documents.model, referrer, referrer), None);
        assert_eq!(recover(&documents.model, b"{}", referrer), None);
    }

    #[test]
    fn sizes_are_written_with_one_digit_and_a_letter() {
        for (parameters, text) in [
            (0, "0K"),
            (999, "0.9K"),
            (1_000, "1K"),
            (15_400_000, "15.4M"),
            (6_738_415_616, "6.7B"),
            (u64::MAX, "18446.7Q"),
        ] {
            assert_eq!(param_size(parameters), text);
        }
    }
}
