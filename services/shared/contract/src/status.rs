//! What every daemon says about itself (`GET /v1/status`), and the posture of the whole.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::role::Service;

/// How a process is confined, as it found when it confined itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confinement {
    /// Landlock ABI in force; 0 when the kernel has none.
    pub landlock_abi: u32,
    /// System calls on the seccomp allow-list; everything else fails.
    pub syscalls: u32,
    /// The paths and rights that Landlock leaves, one a line, for people.
    pub grants: Vec<String>,
    /// What this kernel cannot enforce, in words; empty when everything asked for is in force.
    pub missing: Vec<String>,
}

/// Answer of `GET /v1/status` on a daemon's read or admin socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceStatus {
    /// Which daemon.
    pub service: Service,
    /// Its version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// How it is confined.
    pub confinement: Confinement,
    /// What its work is in a few words for people, for example `"3 models, 12 MB"`.
    pub summary: String,
}

/// How far the whole can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// On the image, under systemd.
    Appliance,
    /// Under `holdfast up`, on any machine.
    Evaluation,
}

/// The posture: what is weaker than the appliance would be, in words. Written by the supervisor to
/// `<runtime directory>/posture.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Posture {
    /// Which mode.
    pub mode: Mode,
    /// Each weakness, in one sentence.
    pub weaknesses: Vec<String>,
}
