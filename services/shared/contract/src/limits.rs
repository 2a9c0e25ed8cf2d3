//! Limits that both sides of a socket have to know. Each bounds what a peer can make a service read or keep.

use std::time::Duration;

/// The largest JSON request body on any role socket, in bytes.
pub const MAX_JSON_BYTES: usize = 1 << 20;
/// The largest JSON answer that is not a stream, in bytes.
pub const MAX_ANSWER_BYTES: usize = 8 << 20;
/// The largest line of a newline-delimited event stream, in bytes.
pub const MAX_EVENT_BYTES: usize = 1 << 20;
/// The largest packet on a descriptor socket, in bytes.
pub const MAX_PACKET_BYTES: usize = 128 << 10;
/// The largest file that quarantine takes in, in bytes (64 GiB).
pub const MAX_ARTIFACT_BYTES: u64 = 64 << 30;
/// The longest name of a model, in bytes.
pub const MAX_NAME_BYTES: usize = 128;
/// The most findings in one report; what is beyond is counted, not listed.
pub const MAX_FINDINGS: usize = 256;
/// The largest canonical ledger entry, in bytes.
pub const MAX_ENTRY_BYTES: usize = 16 << 10;
/// The most entries in one answer of the ledger.
pub const MAX_ENTRIES_PER_ANSWER: u64 = 1_000;
/// How long a plain request may take from its first byte to the end of its answer.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// How long a client may take to send its request head.
pub const HEADER_DEADLINE: Duration = Duration::from_secs(5);
