//! What the worker says: lines of JSON on its standard output, any number of [`Line::Progress`] and then one [`Line::Report`].

use std::time::Duration;

use holdfast_contract::limits::MAX_EVENT_BYTES;
use holdfast_contract::report::Report;
use holdfast_formats::set::{MAX_ENTRIES, MAX_TEXT_BYTES, Ties};
use serde::{Deserialize, Serialize};

/// The longest line, in bytes.
pub const MAX_LINE_BYTES: usize = MAX_EVENT_BYTES;
/// The most that a worker may print altogether, in bytes.
pub const MAX_OUTPUT_BYTES: usize = 4 * MAX_EVENT_BYTES;
/// About how many bytes of names one line of ties has. Escaped, they are six times as many.
pub const TIES_BYTES: usize = MAX_LINE_BYTES / 8;
/// The most that all ties of a file may take, in bytes.
pub const MAX_TIES_BYTES: usize = 6 * MAX_TEXT_BYTES + 128 * MAX_ENTRIES;
/// How many bytes of a file lie between two progress lines.
pub const PROGRESS_BYTES: u64 = 16 << 20;
/// The longest name that is handed to the worker, in bytes.
pub const MAX_NAME_BYTES: usize = 1024;

/// The slowest disk and processor that are waited for, in bytes a second.
const SLOWEST_BYTES_PER_SECOND: u64 = 16 << 20;

/// How long a file of this size may take, from start to report.
pub fn deadline(size_bytes: u64) -> Duration {
    Duration::from_secs(60 + size_bytes / SLOWEST_BYTES_PER_SECOND)
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Line {
    /// So much is done.
    Progress {
        /// Bytes read so far.
        done_bytes: u64,
    },
    /// What ties the file to others, or a piece of that. Only where it was asked for, and before the report.
    Ties {
        /// The piece.
        ties: Box<Ties>,
    },
    /// The result. Nothing follows it, unless a conversion was asked for.
    Report {
        /// The report.
        report: Box<Report>,
    },
    /// The bytes of the converted file follow this line.
    Converted {
        /// How many they are.
        bytes: u64,
        /// How many tensors they hold.
        tensors: u64,
    },
    /// There will be no converted file.
    NotConverted {
        /// Why, in words that follow "the file cannot be converted: ".
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::refusal;
    use holdfast_contract::limits::MAX_ARTIFACT_BYTES;
    use holdfast_formats::{Format, rules};

    #[test]
    fn lines_round_trip_and_unknown_fields_are_refused() {
        let report = refusal(&rules::IO_READ, Format::Gguf, 1, "x");
        for line in [
            Line::Progress { done_bytes: 7 },
            Line::Report {
                report: Box::new(report),
            },
        ] {
            let json = serde_json::to_string(&line).unwrap();
            assert!(!json.contains('\n'));
            assert_eq!(serde_json::from_str::<Line>(&json).unwrap(), line);
        }
        assert!(serde_json::from_str::<Line>(r#"{"event":"progress","done_bytes":1,"x":2}"#).is_err());
    }

    #[test]
    fn the_longest_piece_of_ties_fits_a_line() {
        let mut ties = Ties::collecting();
        for name in [b"\x01".as_slice(), &[1; 512]] {
            for _ in 0..3000 {
                ties.tensor(name, u64::MAX);
                ties.mapped(name, name);
                ties.external("f", u64::MAX, Some(u64::MAX), u64::MAX);
            }
        }
        while !ties.is_empty() {
            let ties = Box::new(ties.take(TIES_BYTES));
            let line = serde_json::to_string(&Line::Ties { ties }).unwrap();
            assert!(line.len() < MAX_LINE_BYTES, "{}", line.len());
        }
    }

    #[test]
    fn progress_of_the_largest_file_fits_the_output() {
        let lines = usize::try_from(MAX_ARTIFACT_BYTES / PROGRESS_BYTES).unwrap();
        let longest = serde_json::to_string(&Line::Progress { done_bytes: u64::MAX })
            .unwrap()
            .len()
            + 1;
        assert!(lines * longest + MAX_LINE_BYTES <= MAX_OUTPUT_BYTES);
    }
}
