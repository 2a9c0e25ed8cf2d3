//! The append-only ledger: an RFC 6962 Merkle tree over canonical JSON entries, on disk as C2SP tlog-tiles, under
//! C2SP signed checkpoints.
//!
//! [`Ledger`] is its one writer: an acknowledged entry is durable, and every signed checkpoint covers durable entries only.
//! [`Reader`] answers with entries, proofs and raw tiles. [`verify`](verify::verify) re-derives everything from the
//! files with the public key alone. `docs/adr/0002-ledger-on-disk.md` describes the files. Nothing here talks to a socket or decides
//! who may append.

pub mod bundle;
pub mod canonical;
pub mod checkpoint;
mod commit;
mod edge;
pub mod entry;
pub mod hash;
pub mod history;
mod integrate;
mod ledger;
pub mod proof;
mod reader;
mod recover;
mod shared;
pub mod storage;
pub mod tile;
pub mod tree;
pub mod verify;
mod wal;

pub use checkpoint::Checkpoint;
pub use entry::Draft;
pub use holdfast_signed_note::{Signer, Vkey};
pub use ledger::{Clock, Ledger, OpenError, Options};
pub use reader::{Head, ReadError, Reader, Tiles};
pub use recover::Recovery;
pub use shared::{AppendError, Done, Published};
pub use storage::Trouble;

/// The name of the recorder's key, and with it the origin of its checkpoints.
pub const KEY_NAME: &str = "holdfast/ledger";
