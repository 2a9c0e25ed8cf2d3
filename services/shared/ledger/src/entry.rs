//! From what a daemon asks to record to the bytes of a leaf, and back.
//!
//! A leaf is the canonical JSON of [`Entry`]. Everything but the time is known, checked and written before an entry waits for
//! its turn; `time` is the last member in canonical order, so the writer only has to add it.

use holdfast_contract::Timestamp;
use holdfast_contract::ledger::{Append, Entry, Event, Outcome};
use holdfast_contract::limits::MAX_ENTRY_BYTES;
use serde_json::{Map, Value};

use crate::canonical::{self, CanonicalError};

/// How deeply objects and arrays may be nested in an entry's `detail`, which is itself the first level.
pub const MAX_DETAIL_DEPTH: usize = 4;
/// Bytes after the head: a time with microseconds, a quote and a brace.
const TAIL_BYTES: usize = "2026-01-01T00:00:00.000000Z\"}".len();

/// Why something cannot be an entry.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// A value in `detail` is outside what entries may hold.
    #[error("detail: {0}")]
    Detail(#[from] CanonicalError),
    /// It would be larger than [`MAX_ENTRY_BYTES`].
    #[error("an entry of {bytes} bytes is over the limit of {MAX_ENTRY_BYTES}")]
    TooLarge {
        /// Its canonical size.
        bytes: usize,
    },
    /// The leaf is not the JSON of an entry.
    #[error("not an entry")]
    NotAnEntry(#[from] serde_json::Error),
    /// The leaf is an entry, but not in canonical form.
    #[error("the entry is not in canonical form")]
    NotCanonical,
}

/// An entry that waits for its place and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    head: Vec<u8>,
}

impl Draft {
    /// Checks an append by `source` and writes its canonical form as far as it is known.
    ///
    /// # Errors
    /// [`EntryError`] when it does not fit.
    pub fn new(source: &str, append: &Append) -> Result<Self, EntryError> {
        let mut head = Vec::with_capacity(256);
        let Append {
            event,
            outcome,
            subject,
            detail,
        } = append;
        write_head(&mut head, source, (*event, *outcome), subject, detail)?;
        let bytes = head.len() + TAIL_BYTES;
        if bytes > MAX_ENTRY_BYTES {
            Err(EntryError::TooLarge { bytes })
        } else {
            Ok(Self { head })
        }
    }

    /// The most bytes that its leaf can have.
    pub(crate) const fn max_bytes(&self) -> usize {
        self.head.len() + TAIL_BYTES
    }

    /// The leaf, with a time as [`microseconds`] returns it in the form of `time_text`.
    pub(crate) fn finish(self, time_text: &str) -> Vec<u8> {
        let mut leaf = self.head;
        write_tail(&mut leaf, time_text);
        leaf
    }
}

/// Everything before the time.
fn write_head(
    out: &mut Vec<u8>,
    source: &str,
    (event, outcome): (Event, Outcome),
    subject: &str,
    detail: &Map<String, Value>,
) -> Result<(), EntryError> {
    out.push(b'{');
    if !detail.is_empty() {
        out.extend_from_slice(b"\"detail\":");
        canonical::write_object(detail, MAX_DETAIL_DEPTH, out)?;
        out.push(b',');
    }
    out.extend_from_slice(b"\"event\":");
    serde_json::to_writer(&mut *out, &event)?;
    out.extend_from_slice(b",\"outcome\":");
    serde_json::to_writer(&mut *out, &outcome)?;
    out.extend_from_slice(b",\"source\":");
    canonical::string(source, out);
    out.extend_from_slice(b",\"subject\":");
    canonical::string(subject, out);
    out.extend_from_slice(b",\"time\":\"");
    Ok(())
}

fn write_tail(out: &mut Vec<u8>, time_text: &str) {
    out.extend_from_slice(time_text.as_bytes());
    out.extend_from_slice(b"\"}");
}

/// The same time without what is below a microsecond.
pub(crate) fn microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

/// Reads a leaf.
///
/// # Errors
/// [`EntryError::NotAnEntry`] when it is none.
pub fn decode(leaf: &[u8]) -> Result<Entry, EntryError> {
    Ok(serde_json::from_slice(leaf)?)
}

/// Reads a leaf and makes sure that it is exactly what this entry is written as.
///
/// # Errors
/// [`EntryError`] when it is no entry, or not in canonical form.
pub fn decode_canonical(leaf: &[u8]) -> Result<Entry, EntryError> {
    decode_canonical_with(leaf, &mut Vec::new())
}

/// The same, with memory to work in.
pub(crate) fn decode_canonical_with(leaf: &[u8], scratch: &mut Vec<u8>) -> Result<Entry, EntryError> {
    use std::io::Write as _;
    let entry = decode(leaf)?;
    scratch.clear();
    let Entry {
        time,
        source,
        event,
        outcome,
        subject,
        detail,
    } = &entry;
    write_head(scratch, source, (*event, *outcome), subject, detail)?;
    write!(scratch, "{time}\"}}").map_err(serde_json::Error::io)?;
    if scratch == leaf {
        Ok(entry)
    } else {
        Err(EntryError::NotCanonical)
    }
}

/// Writes an entry as a leaf.
///
/// # Errors
/// [`EntryError`] when it does not fit.
pub fn encode(entry: &Entry) -> Result<Vec<u8>, EntryError> {
    let Entry {
        time,
        source,
        event,
        outcome,
        subject,
        detail,
    } = entry;
    let mut leaf = Vec::with_capacity(256);
    write_head(&mut leaf, source, (*event, *outcome), subject, detail)?;
    write_tail(&mut leaf, &time.to_string());
    let bytes = leaf.len();
    if bytes > MAX_ENTRY_BYTES {
        Err(EntryError::TooLarge { bytes })
    } else {
        Ok(leaf)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn append(detail: Value) -> Append {
        let Value::Object(detail) = detail else {
            panic!("detail is an object")
        };
        Append {
            event: Event::ModelAdmit,
            outcome: Outcome::Denied,
            subject: "sha256:00 \"x\"\n".to_owned(),
            detail,
        }
    }

    fn leaf(append: &Append, time: &str) -> Vec<u8> {
        Draft::new("holdfast-registry", append).unwrap().finish(time)
    }

    #[test]
    fn a_leaf_is_the_canonical_json_of_the_entry() {
        for detail in [
            json!({}),
            json!({"reason": "no statement", "bytes": 12, "again": [true, {"b": 1, "a": 2}]}),
        ] {
            for time in [
                "2026-03-01T10:20:30.123456Z",
                "2026-03-01T10:20:30.12Z",
                "2026-03-01T10:20:30Z",
            ] {
                let leaf = leaf(&append(detail.clone()), time);
                let entry = decode_canonical(&leaf).unwrap();
                assert_eq!(entry.time.to_string(), time);
                let mut generic = Vec::new();
                canonical::write(&serde_json::to_value(&entry).unwrap(), 8, &mut generic).unwrap();
                assert_eq!(String::from_utf8(leaf), String::from_utf8(generic));
            }
        }
    }

    #[test]
    fn every_event_and_outcome_is_written_as_the_contract_names_it() {
        let mut entry = decode(&leaf(&append(json!({})), "2026-03-01T10:20:30Z")).unwrap();
        for event in [
            Event::ServiceStarted,
            Event::IncidentReported,
            Event::ConsoleSignIn,
        ] {
            for outcome in [Outcome::Allowed, Outcome::Failed, Outcome::Noted] {
                (entry.event, entry.outcome) = (event, outcome);
                assert_eq!(decode_canonical(&encode(&entry).unwrap()).unwrap(), entry);
            }
        }
    }

    #[test]
    fn refuses_fractions_nulls_and_deep_nesting_in_the_detail() {
        for detail in [json!({"a": 1.5}), json!({"a": null}), json!({"a": [[[[1]]]]})] {
            assert!(matches!(
                Draft::new("x", &append(detail)),
                Err(EntryError::Detail(_))
            ));
        }
        assert!(Draft::new("x", &append(json!({"a": [[[1]]]}))).is_ok());
    }

    #[test]
    fn refuses_an_entry_one_byte_over_the_limit_and_takes_the_largest() {
        let mut largest = append(json!({}));
        largest.subject = String::new();
        let empty = Draft::new("x", &largest).unwrap().max_bytes();
        largest.subject = "s".repeat(MAX_ENTRY_BYTES - empty);
        let leaf = Draft::new("x", &largest)
            .unwrap()
            .finish("2026-03-01T10:20:30.123456Z");
        assert_eq!(leaf.len(), MAX_ENTRY_BYTES);
        largest.subject.push('s');
        assert!(
            matches!(Draft::new("x", &largest), Err(EntryError::TooLarge { bytes }) if bytes == MAX_ENTRY_BYTES + 1)
        );
    }

    #[test]
    fn tells_an_entry_in_another_spelling_from_the_canonical_one() {
        let text =
            String::from_utf8(leaf(&append(json!({"a": 1, "b": 2})), "2026-03-01T10:20:30.12Z")).unwrap();
        for (from, to) in [
            (",", ", "),
            ("\"a\":1,\"b\":2", "\"b\":2,\"a\":1"),
            (".12Z", ".120Z"),
            ("sha", "\\u0073ha"),
        ] {
            let other = text.replacen(from, to, 1);
            assert_ne!(other, text);
            assert!(
                matches!(decode_canonical(other.as_bytes()), Err(EntryError::NotCanonical)),
                "{other}"
            );
        }
        assert!(matches!(
            decode(b"{\"event\":\"none\"}"),
            Err(EntryError::NotAnEntry(_))
        ));
    }
}
