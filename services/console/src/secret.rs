//! Random secrets and their fingerprints. A secret is shown to its owner once; what is kept is its SHA-256, which is enough
//! to recognise 256 random bits and of no use to whoever reads the disk.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// The kernel gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("read random bytes from the kernel: {0}")]
pub struct RandomError(getrandom::Error);

/// `N` random bytes from the kernel.
///
/// # Errors
///
/// When the kernel gives none.
pub fn random<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(RandomError)?;
    Ok(bytes)
}

/// A secret of 256 random bits in text form, after a prefix that says what it is.
///
/// # Errors
///
/// When the kernel gives no random bytes.
pub fn secret(prefix: &str) -> Result<Zeroizing<String>, RandomError> {
    let bytes = Zeroizing::new(random::<32>()?);
    let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes));
    Ok(Zeroizing::new(format!("{prefix}{}", *text)))
}

/// An id of 128 random bits: 32 lower-case hex digits.
///
/// # Errors
///
/// When the kernel gives no random bytes.
pub fn id() -> Result<String, RandomError> {
    Ok(hex(&random::<16>()?))
}

/// Lower-case hex digits of some bytes.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            // Writing to a string cannot fail.
            let _ = write!(out, "{byte:02x}");
            out
        })
}

/// SHA-256 of a secret.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(holdfast_contract::Digest);

impl Fingerprint {
    /// The fingerprint of a secret.
    pub fn of(secret: impl AsRef<[u8]>) -> Self {
        Self(holdfast_contract::Digest::from_bytes(
            Sha256::digest(secret.as_ref()).into(),
        ))
    }

    /// Whether both are the same, in a time that does not depend on where they differ.
    pub fn matches(&self, other: &Self) -> subtle::Choice {
        self.0.as_bytes().ct_eq(other.0.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_have_256_bits_and_differ() {
        let (one, two) = (secret("hf_").unwrap(), secret("hf_").unwrap());
        assert_eq!(one.len(), 3 + 43);
        assert_ne!(*one, *two);
    }

    #[test]
    fn a_fingerprint_recognises_its_secret_only() {
        let kept = Fingerprint::of("a");
        assert!(bool::from(kept.matches(&Fingerprint::of("a"))));
        assert!(!bool::from(kept.matches(&Fingerprint::of("b"))));
    }
}
