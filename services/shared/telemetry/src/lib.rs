//! Structured logs for every Holdfast daemon.
