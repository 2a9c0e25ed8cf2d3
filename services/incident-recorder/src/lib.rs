//! Holdfast incident-recorder daemon.
