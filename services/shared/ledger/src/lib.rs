//! Append-only Merkle ledger with signed checkpoints.
