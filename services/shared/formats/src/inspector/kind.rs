//! What can be said of a file by its format and its name alone.

use crate::apple;
use crate::finding::{Findings, Place};
use crate::format::Format;
use crate::rules;
use crate::text;

/// Adds why a file of this format is refused whatever it contains.
pub fn refuse(format: Format, name: &str, findings: &mut Findings) {
    if format == Format::Empty {
        let rule = if may_be_empty(name) {
            &rules::FMT_NO_BYTES
        } else {
            &rules::FMT_EMPTY
        };
        findings.add(rule, Place::whole(), "the file has no bytes");
    } else if let Some(rule) = format.refused_by() {
        let message = match format {
            Format::Unknown => "the content is of no known kind".to_owned(),
            _ => format!("this is {}, {}", format.description(), unfit(rule)),
        };
        findings.add(rule, Place::whole(), message);
    }
}

/// Whether a file of this name holds no model: a text, a mark or a lock, which say nothing when they are empty, and nothing is missing.
fn may_be_empty(name: &str) -> bool {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let extension = extension.to_ascii_lowercase();
    let texts = [Format::Text, Format::Json];
    let is_mark = stem.is_empty() && !extension.is_empty();
    is_mark
        || extension == "lock"
        || texts
            .iter()
            .any(|format| format.extensions().contains(&extension.as_str()))
}

/// Why what is refused by this rule is of no use.
fn unfit(rule: &rules::Rule) -> &'static str {
    match rule.id {
        id if id == rules::FMT_MODEL.id || id == rules::FMT_CHECKPOINT.id => {
            "a kind of model that is recognised but not inspected"
        }
        id if id == rules::FMT_GGML.id => "which current engines do not read",
        id if id == rules::FMT_ARCHIVE.id => "which is not looked into",
        _ => "not a model",
    }
}

/// Extensions whose readers take a file for what its name says: protocol buffers and flatbuffers begin with any bytes, what is
/// before HDF5 may be anything, and the index of a checkpoint is read from its end.
const READ_BY_NAME: &[&str] = &[
    "onnx", "pb", "graphdef", "mlmodel", "tflite", "lite", "h5", "hdf5", "keras", "index",
];

/// Files that programs look for by their whole name and read as one kind, whatever they hold. What is harmless as a graph can be anything
/// when the same bytes are read as a `SavedModel`: protocol buffers have no signature, and each format passes over what it does not know. A model
/// in words (`.pbtxt`) or in pieces (`.cpb`) may hide behind what is a remark there, and no inspection reads one.
const SOUGHT: [(&str, Option<Format>); 6] = [
    ("saved_model.pb", Some(Format::SavedModel)),
    ("saved_model.pbtxt", None),
    ("saved_model.cpb", None),
    ("keras_metadata.pb", Some(Format::KerasMetadata)),
    ("fingerprint.pb", Some(Format::TensorflowFingerprint)),
    ("checkpoint", Some(Format::Text)),
];

/// A name as systems compare it that make no difference between large and small letters, or drop what stands at the end.
fn folded(name: &str) -> String {
    let name = name.trim_end_matches(['.', ' ']);
    // Both ways, for letters that have only one of the other kind: the long s, the sign for kelvin.
    name.to_uppercase().to_lowercase()
}

/// Adds what a name says against the content, or the content against the name.
pub fn judge_name(format: Format, name: &str, findings: &mut Findings) {
    let last = folded(name.rsplit(['/', '\\']).next().unwrap_or(name));
    if let Some((sought, wanted)) = SOUGHT.iter().find(|(sought, _)| last == *sought)
        && *wanted != Some(format)
        && format.refused_by().is_none()
    {
        let message = match wanted {
            Some(wanted) => {
                format!("{format} content in a file that is read as {wanted} for its name, {sought}")
            }
            None => format!("{sought} is read as a model in a form that is not inspected"),
        };
        findings.add(&rules::FMT_READ_AS, Place::whole(), message);
    }
    if name.chars().any(text::is_hidden) {
        findings.add(
            &rules::FMT_HIDDEN_NAME,
            Place::whole(),
            "the file's name has characters that do not show",
        );
    }
    let promised = apple::promised(name);
    if let Some(promised) = promised.filter(|promised| *promised != format) {
        let message = format_args!(
            "{format} content where macOS keeps {}, and where nobody looks for anything else",
            promised.description()
        );
        findings.add(&rules::FMT_NOTES_PRETENDED, Place::whole(), message);
    }
    // The notes on a file have its name, with `._` before it.
    if promised != Some(format)
        && let Some(extension) = format.contradicted_by(name)
    {
        // A page or a text under the name of a model is a download that went wrong, not a document that goes with one.
        if matches!(
            format,
            Format::Json
                | Format::Text
                | Format::Png
                | Format::Jpeg
                | Format::Sentencepiece
                | Format::AppleDouble
                | Format::DsStore
        ) {
            let message = format_args!("this is {}, not what its name says", format.description());
            findings.add(&rules::FMT_DOCUMENT, Place::whole(), message);
        }
        let lower = extension.to_ascii_lowercase();
        let is_told = findings.has(&rules::FMT_READ_AS);
        if READ_BY_NAME.contains(&lower.as_str()) && format.refused_by().is_none() && !is_told {
            let message = format_args!(
                "{format} content in a file that is read as .{}",
                text::bounded(&lower, 16)
            );
            findings.add(&rules::FMT_READ_AS, Place::whole(), message);
        }
        findings.add(
            &rules::FMT_NAME,
            Place::whole(),
            format_args!(
                "the name ends in .{} but the content is {format}",
                text::bounded(extension, 16)
            ),
        );
    }
}
