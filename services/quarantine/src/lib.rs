//! Holdfast quarantine daemon.
