//! Holdfast inference daemon.
