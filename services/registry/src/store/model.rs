//! A model of the store: what is said about it, which blobs it is made of, and whether its file can be trusted right now.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use holdfast_contract::Digest;
use holdfast_contract::registry::{Availability, ModelSummary};

use crate::store::oci::Descriptor;
use crate::store::seal::{Seal, Stamp};

/// A model of the store.
#[derive(Debug)]
pub struct Model {
    summary: ModelSummary,
    /// Index entry of its manifest.
    pub manifest: Descriptor,
    /// Index entry of its statement's manifest.
    pub referrer: Descriptor,
    /// The blob with the DSSE envelope.
    pub envelope: Digest,
    /// The blob with its configuration.
    pub config: Digest,
    trust: Mutex<Trust>,
}

/// Whether a model's file can be handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Its digest was verified when it looked like this.
    Sealed(Seal),
    /// It changed, or was never verified by this installation. It is to be read anew.
    Unverified,
    /// It is not what was admitted.
    Damaged {
        /// What is wrong.
        damage: Damage,
        /// What the file looked like then, where there was one. Once it looks otherwise it is worth another reading.
        seen: Option<Stamp>,
    },
}

/// What is wrong with a model's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// There is none.
    Missing,
    /// There is something else in its place.
    NotAFile,
    /// It has another length.
    Size,
    /// It has other content.
    Content {
        /// The digest of what is there.
        found: Digest,
    },
    /// It has a second name, under which it could be changed.
    Linked,
    /// The device does not give it back.
    Unreadable,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("its file is missing"),
            Self::NotAFile => f.write_str("there is no regular file in its place"),
            Self::Size => f.write_str("its file has another length than when it was admitted"),
            Self::Content { found } => write!(
                f,
                "its file has other content ({found}) than when it was admitted"
            ),
            Self::Linked => f.write_str("its file has a second name outside of its place in the store"),
            Self::Unreadable => f.write_str("its file cannot be read to its end"),
        }
    }
}

impl Model {
    /// A model whose file is in the state `trust`.
    pub fn new(
        summary: ModelSummary,
        manifest: Descriptor,
        referrer: Descriptor,
        envelope: Digest,
        config: Digest,
        trust: Trust,
    ) -> Self {
        Self {
            summary,
            manifest,
            referrer,
            envelope,
            config,
            trust: Mutex::new(trust),
        }
    }

    /// SHA-256 of its file.
    pub fn digest(&self) -> Digest {
        self.summary.digest
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.summary.name
    }

    /// Length of its file, in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.summary.size_bytes
    }

    /// What is said about it, with its present availability.
    pub fn summary(&self) -> ModelSummary {
        let availability = match self.trust() {
            Trust::Sealed(_) => Availability::Ready,
            Trust::Unverified => Availability::Verifying,
            Trust::Damaged { .. } => Availability::Damaged,
        };
        ModelSummary {
            availability,
            ..self.summary.clone()
        }
    }

    /// The state of its file.
    pub fn trust(&self) -> Trust {
        *self.trust.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state of its file.
    pub fn set_trust(&self, trust: Trust) {
        *self.trust.lock().unwrap_or_else(PoisonError::into_inner) = trust;
    }

    /// The blobs that it is made of.
    pub fn blobs(&self) -> [Digest; 5] {
        [
            self.summary.digest,
            self.manifest.digest,
            self.referrer.digest,
            self.envelope,
            self.config,
        ]
    }
}
