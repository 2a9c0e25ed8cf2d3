//! The key that signs scan statements: an Ed25519 seed of 32 bytes, held by quarantine alone.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey};

use holdfast_signed_note::{Vkey, VkeyError};

/// The name under which quarantine signs.
pub const KEY_NAME: &str = "holdfast/quarantine";

/// Why a signing key could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The seed has another length.
    #[error("a signing key is a seed of 32 bytes, this one has {bytes}")]
    Length {
        /// Its length.
        bytes: usize,
    },
    /// The public half cannot be named so.
    #[error("the public half of the signing key is not usable")]
    Public(#[from] VkeyError),
}

/// A signing key with its name. Zeroed when dropped, never printed.
pub struct StatementKey {
    key: SigningKey,
    public: Vkey,
}

impl StatementKey {
    /// The key that follows from a seed, as it arrives in the credential `statement-key`.
    ///
    /// # Errors
    ///
    /// When the seed has not 32 bytes or the name cannot stand in a verifier key.
    pub fn from_seed(name: &str, seed: &[u8]) -> Result<Self, KeyError> {
        let seed = <&[u8; 32]>::try_from(seed).map_err(|_| KeyError::Length { bytes: seed.len() })?;
        let key = SigningKey::from_bytes(seed);
        let public = Vkey::new(name, key.verifying_key())?;
        Ok(Self { key, public })
    }

    /// The public half, as others have to trust it.
    pub fn vkey(&self) -> Vkey {
        self.public.clone()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for StatementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StatementKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_seeds_of_other_lengths() {
        assert_eq!(
            StatementKey::from_seed("a", &[0; 31]).unwrap_err(),
            KeyError::Length { bytes: 31 }
        );
        assert_eq!(
            StatementKey::from_seed("a", &[0; 33]).unwrap_err(),
            KeyError::Length { bytes: 33 }
        );
        assert!(StatementKey::from_seed("a", &[0; 32]).is_ok());
    }

    #[test]
    fn never_prints_itself() {
        assert_eq!(
            format!("{:?}", StatementKey::from_seed("a", &[0; 32]).unwrap()),
            "StatementKey"
        );
    }
}
