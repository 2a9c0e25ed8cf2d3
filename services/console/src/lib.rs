//! Holdfast console daemon.
