//! C2SP signed notes (c2sp.org/signed-note) and the verifier keys that name who signed.
//!
//! The ledger's checkpoints are such notes, and every public key of the appliance is written as a verifier key. Only Ed25519 exists
//! here. Trust boundary: notes and keys come from files that anybody may have written.

mod note;
mod vkey;

pub use note::{MAX_NOTE_BYTES, NoteError, Signer, open};
pub use vkey::{Vkey, VkeyError};
