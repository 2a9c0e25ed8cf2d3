//! The role sockets: which service offers which, and where it is.
//!
//! A role socket lives at `<runtime directory>/<service>/<role>.sock`. The runtime directory is
//! `/run/holdfast` on the appliance and `run` below the state directory in evaluation mode.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A Holdfast daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// Holds the model store.
    Registry,
    /// Holds the intake directory and the scanner workers.
    Quarantine,
    /// Holds the engine.
    Inference,
    /// Holds the ledger and its signing key.
    IncidentRecorder,
    /// Holds the encrypted volume and its keys.
    Vault,
    /// Holds the web page and the user sessions.
    Console,
}

impl Service {
    /// Every service, in the order in which a person would name them.
    pub const ALL: [Self; 6] = [
        Self::IncidentRecorder,
        Self::Vault,
        Self::Registry,
        Self::Quarantine,
        Self::Inference,
        Self::Console,
    ];

    /// The name as in unit files, directories and users (after `holdfast-`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Quarantine => "quarantine",
            Self::Inference => "inference",
            Self::IncidentRecorder => "incident-recorder",
            Self::Vault => "vault",
            Self::Console => "console",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing that one service may ask of another: a socket with a group of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Role {
    /// Who serves it.
    pub service: Service,
    /// The socket's name, which is also its `FileDescriptorName=`.
    pub name: &'static str,
    /// What is spoken on it.
    pub protocol: Protocol,
}

/// What is spoken on a role socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1 with JSON over a stream socket.
    Http,
    /// JSON packets with descriptors over a sequenced-packet socket.
    Descriptors,
}

macro_rules! roles {
    ($($(#[$doc:meta])* $id:ident = $service:ident / $name:literal $protocol:ident;)*) => {
        $($(#[$doc])* pub const $id: Role =
            Role { service: Service::$service, name: $name, protocol: Protocol::$protocol };)*
        /// Every role socket.
        pub const ALL: &[Role] = &[$($id),*];
    };
}

roles! {
    /// List models and their reports (console, cli, inference).
    REGISTRY_READ = Registry / "read" Http;
    /// Open an admitted model: a verified read-only descriptor (inference).
    REGISTRY_OPEN = Registry / "open" Descriptors;
    /// Hand in an artifact with its scan statement (quarantine).
    REGISTRY_ADMIT = Registry / "admit" Descriptors;
    /// Rename and remove models (console, cli).
    REGISTRY_ADMIN = Registry / "admin" Http;
    /// Hand in a file (console, cli).
    QUARANTINE_SUBMIT = Quarantine / "submit" Http;
    /// See what was handed in and what became of it (console, cli).
    QUARANTINE_READ = Quarantine / "read" Http;
    /// Generate text and embeddings (console, cli).
    INFERENCE_GENERATE = Inference / "generate" Http;
    /// See, load and unload engines (console, cli).
    INFERENCE_ADMIN = Inference / "admin" Http;
    /// Append a decision to the ledger (all daemons).
    RECORDER_APPEND = IncidentRecorder / "append" Http;
    /// Read entries, checkpoints and proofs (console, cli).
    RECORDER_READ = IncidentRecorder / "read" Http;
    /// Report a suspected incident (detectors).
    RECORDER_REPORT = IncidentRecorder / "report" Http;
    /// Lock and unlock the vault, manage its keys, panic (console, cli).
    VAULT_OPERATE = Vault / "operate" Http;
    /// Lock the vault at once (recorder).
    VAULT_CONTAIN = Vault / "contain" Http;
}

impl Role {
    /// Where the socket is, below the runtime directory `run`.
    pub fn path(self, run: &Path) -> PathBuf {
        run.join(self.service.name())
            .join(self.name)
            .with_extension("sock")
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.service, self.name)
    }
}
