//! Scan statements: what an inspection found about one artifact, as an in-toto statement in a DSSE envelope, signed with
//! Ed25519. Quarantine makes them; the registry and every auditor verify them with the public key alone.
//!
//! Everything that is read here is untrusted until its signature holds, and even then it is decoded strictly and
//! bounded. `docs/statements/scan-v1.md` describes the predicate.

mod envelope;
mod json;
mod key;
mod statement;

pub use envelope::{Envelope, EnvelopeError, MAX_ENVELOPE_BYTES, PAYLOAD_TYPE};
pub use holdfast_signed_note::{Vkey, VkeyError};
pub use json::JsonError;
pub use key::{KEY_NAME, KeyError, StatementKey};
pub use statement::{
    PREDICATE_TYPE, STATEMENT_TYPE, ScanStatement, SignError, StatementError, VerifyError, fit, sign, verify,
};
