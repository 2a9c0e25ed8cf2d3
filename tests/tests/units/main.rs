//! The units in `systemd/`: that they say what the design says, and what systemd says about them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "everything here is a test or serves one"
)]

mod accounts;
mod finished_image;
mod graph;
mod image;
mod sandbox;
mod selinux;
mod selinux_policy;
mod systemd;

use holdfast_tests::unit_file::UnitFile;

fn services() -> Vec<UnitFile> {
    UnitFile::read_all(&holdfast_tests::source().join("systemd"), "service").unwrap()
}

fn sockets() -> Vec<UnitFile> {
    UnitFile::read_all(&holdfast_tests::source().join("systemd"), "socket").unwrap()
}

/// The units of the daemons: all services but the one that brings in the guide model.
fn daemons() -> Vec<UnitFile> {
    services()
        .into_iter()
        .filter(|unit| unit.name != "holdfast-guide.service")
        .collect()
}
