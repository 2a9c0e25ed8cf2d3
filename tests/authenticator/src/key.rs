//! What the key is: its one secret, and what is derived from it. A credential is not kept; its name says what it is derived from.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use crate::crypto::authenticate;

/// How the key is to be.
#[derive(Debug)]
pub struct Settings {
    /// What everything is derived from.
    pub secret: [u8; 32],
    /// Touched while this file is there; always without one.
    pub button: Option<PathBuf>,
    /// Its PIN.
    pub pin: Option<String>,
    /// Whether it has the extension.
    pub hmac_secret: bool,
    /// How long it waits to be touched.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            secret: [0; 32],
            button: None,
            pin: None,
            hmac_secret: true,
            patience: Duration::from_secs(30),
        }
    }
}

impl Settings {
    /// Whether somebody touches it now.
    pub fn is_touched(&self) -> bool {
        self.button.as_deref().is_none_or(Path::exists)
    }
}

/// Random bytes.
///
/// # Panics
///
/// When the kernel gives none.
#[expect(clippy::expect_used, reason = "without random bytes there is no key")]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("random bytes");
    bytes
}

/// The secret in `path`, made if it is not there.
///
/// # Errors
///
/// When it cannot be read or written.
pub fn secret(path: &Path) -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    if let Ok(mut file) = File::open(path) {
        file.read_exact(&mut bytes).context("read the secret")?;
        return Ok(bytes);
    }
    bytes = random();
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .context("create the secret's file")?;
    file.write_all(&bytes).context("write the secret")?;
    Ok(bytes)
}

/// A credential: 16 random bytes, and 16 that only this key can make for them and for whom it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential([u8; 32]);

impl Credential {
    /// A new one for this party.
    pub fn make(secret: &[u8; 32], party: &str) -> Self {
        let mut name = [0; 32];
        let (random_half, proof) = name.split_at_mut(16);
        random_half.copy_from_slice(&random::<16>());
        proof.copy_from_slice(&Self::proof(secret, party, random_half)[..16]);
        Self(name)
    }

    /// The one of this name, if this key made it for this party.
    pub fn of(secret: &[u8; 32], party: &str, name: &[u8]) -> Option<Self> {
        let name: [u8; 32] = name.try_into().ok()?;
        let (random_half, proof) = name.split_at(16);
        (Self::proof(secret, party, random_half)[..16] == *proof).then_some(Self(name))
    }

    fn proof(secret: &[u8; 32], party: &str, random_half: &[u8]) -> [u8; 32] {
        authenticate(secret, &[b"name", party.as_bytes(), random_half])
    }

    /// Its name.
    pub fn name(&self) -> &[u8; 32] {
        &self.0
    }

    /// What it signs with.
    pub fn signing_key(&self, secret: &[u8; 32]) -> p256::SecretKey {
        crate::crypto::key(authenticate(secret, &[b"sign", &self.0]))
    }

    /// What `hmac-secret` is computed with: another one where a PIN was given.
    pub fn hmac_key(&self, secret: &[u8; 32], verified: bool) -> [u8; 32] {
        let kind: &[u8] = if verified { b"with PIN" } else { b"without PIN" };
        authenticate(secret, &[kind, &self.0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_known_to_the_key_that_made_it_and_for_its_party_only() {
        let (mine, other) = ([1; 32], [2; 32]);
        let made = Credential::make(&mine, "party");
        assert_eq!(Credential::of(&mine, "party", made.name()), Some(made.clone()));
        assert_eq!(Credential::of(&other, "party", made.name()), None);
        assert_eq!(Credential::of(&mine, "other", made.name()), None);
        assert_eq!(Credential::of(&mine, "party", &made.name()[..31]), None);
        assert_ne!(made.hmac_key(&mine, true), made.hmac_key(&mine, false));
    }
}
