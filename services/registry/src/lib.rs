//! Holdfast registry daemon.
