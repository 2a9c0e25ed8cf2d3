//! The passphrase: what may be one, and its argon2id hash. The text lives in memory that is wiped, is never logged, and
//! meets the disk only as a PHC string.

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use crate::secret;

/// The fewest characters of a passphrase.
pub const MIN_CHARACTERS: usize = 12;
/// The most bytes of a passphrase.
pub const MAX_BYTES: usize = 1_024;

/// One of the parameter sets that OWASP names, with one pass more. A block of this size always comes from `mmap`, so that it
/// goes back to the kernel when the hash is done.
const MEMORY_KIB: u32 = 46 << 10;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Why a text cannot be the passphrase. Each is a sentence for the person who chose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PassphraseError {
    /// Too short.
    #[error(
        "The passphrase is too short. It needs at least 12 characters; four or five random words are easy to remember."
    )]
    TooShort,
    /// Too long.
    #[error("The passphrase is too long. It may have at most 1024 bytes.")]
    TooLong,
    /// Few different characters, or one that everybody tries first.
    #[error("The passphrase is too easy to guess. Choose several words that do not belong together.")]
    TooSimple,
    /// The confirmation is another text.
    #[error("The two passphrases are not the same. Type them again.")]
    NotConfirmed,
}

/// Why a hash could not be made or checked.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// No random salt.
    #[error("make a salt")]
    Salt(#[from] secret::RandomError),
    /// The hash function refused its input.
    #[error("compute argon2id: {0}")]
    Argon2(argon2::Error),
    /// The PHC string could not be made or read.
    #[error("encode or decode the hash: {0}")]
    Encoding(argon2::password_hash::Error),
}

/// A text that was chosen or given as the passphrase.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase")
    }
}

impl Passphrase {
    /// Takes a text that is to become the passphrase, if it is good enough.
    ///
    /// # Errors
    ///
    /// When it is too short, too long, too simple, or not the same as its confirmation.
    pub fn choose(text: Zeroizing<String>, confirmation: &str) -> Result<Self, PassphraseError> {
        if text.chars().count() < MIN_CHARACTERS {
            return Err(PassphraseError::TooShort);
        }
        if text.len() > MAX_BYTES {
            return Err(PassphraseError::TooLong);
        }
        if is_simple(&text) {
            return Err(PassphraseError::TooSimple);
        }
        if *text != confirmation {
            return Err(PassphraseError::NotConfirmed);
        }
        Ok(Self(text))
    }

    /// Takes a text that somebody offers as the passphrase. One that is too long is cut: it cannot be right.
    pub fn offered(text: Zeroizing<String>) -> Self {
        if text.len() > MAX_BYTES {
            return Self(Zeroizing::new(String::new()));
        }
        Self(text)
    }

    /// Its argon2id hash with a fresh salt, as a PHC string. Takes some 100 ms and 46 MiB.
    ///
    /// # Errors
    ///
    /// When there is no random salt.
    pub fn hash(&self) -> Result<String, HashError> {
        let salt = SaltString::encode_b64(&secret::random::<16>()?).map_err(HashError::Encoding)?;
        let hash = argon2()?
            .hash_password(self.0.as_bytes(), &salt)
            .map_err(HashError::Encoding)?;
        Ok(hash.to_string())
    }

    /// Whether this is the passphrase of which `hash` was made. As costly as [`Passphrase::hash`].
    ///
    /// # Errors
    ///
    /// When `hash` is not a PHC string.
    pub fn verify(&self, hash: &str) -> Result<bool, HashError> {
        let hash = PasswordHash::new(hash).map_err(HashError::Encoding)?;
        match argon2()?.verify_password(self.0.as_bytes(), &hash) {
            Ok(()) => Ok(true),
            Err(argon2::password_hash::Error::Password) => Ok(false),
            Err(error) => Err(HashError::Encoding(error)),
        }
    }
}

fn argon2() -> Result<Argon2<'static>, HashError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(HashError::Argon2)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Whether a text of sufficient length is still among the first guesses: few different characters, a run along the
/// keyboard or the alphabet, or a well-known word with digits.
fn is_simple(text: &str) -> bool {
    let lower = text.to_lowercase();
    let mut different: Vec<char> = lower.chars().collect();
    different.sort_unstable();
    different.dedup();
    if different.len() < 5 {
        return true;
    }
    let runs = [
        "abcdefghijklmnopqrstuvwxyz",
        "qwertyuiopasdfghjklzxcvbnm",
        "qwertzuiopasdfghjklyxcvbnm",
        "01234567890123456789",
    ];
    let compact: String = lower.chars().filter(|c| c.is_alphanumeric()).collect();
    if runs
        .iter()
        .any(|run| run.contains(&compact) || compact.contains(run))
    {
        return true;
    }
    let letters: String = lower.chars().filter(|c| c.is_alphabetic()).collect();
    [
        "password",
        "passphrase",
        "passwort",
        "holdfast",
        "holdfastholdfast",
        "letmein",
        "administrator",
        "admin",
        "qwerty",
        "correcthorsebatterystaple",
    ]
    .contains(&letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(text: &str) -> Result<Passphrase, PassphraseError> {
        Passphrase::choose(Zeroizing::new(text.to_owned()), text)
    }

    #[test]
    fn twelve_characters_will_do_and_eleven_will_not() {
        assert!(choose("grün-tür-42x").is_ok());
        assert_eq!(choose("grün-tür-42").unwrap_err(), PassphraseError::TooShort);
    }

    #[test]
    fn refuses_what_is_guessed_first() {
        for text in [
            "aaaaaaaaaaaaaaa",
            "123456789012",
            "password1234!",
            "Qwertzuiopasdf",
            "holdfast-2026",
            "abababababab",
        ] {
            assert_eq!(choose(text).unwrap_err(), PassphraseError::TooSimple, "{text}");
        }
        assert!(choose("holdfast on a rainy day").is_ok());
    }

    #[test]
    fn refuses_a_confirmation_that_differs_and_a_text_without_end() {
        let text = Zeroizing::new("seven lamps by the sea".to_owned());
        assert_eq!(
            Passphrase::choose(text, "seven lamps by the sky").unwrap_err(),
            PassphraseError::NotConfirmed
        );
        assert_eq!(
            choose(&"long words ".repeat(94)).unwrap_err(),
            PassphraseError::TooLong
        );
        assert!(choose(&"long words ".repeat(93)).is_ok());
    }

    #[test]
    fn a_hash_is_argon2id_with_its_own_salt_and_knows_its_passphrase() {
        let right = choose("seven lamps by the sea").unwrap();
        let hash = right.hash().unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=47104,t=2,p=1$"), "{hash}");
        assert_ne!(hash, right.hash().unwrap());
        assert!(right.verify(&hash).unwrap());
        assert!(!choose("seven lamps by the sky").unwrap().verify(&hash).unwrap());
    }

    #[test]
    fn debug_output_does_not_hold_the_text() {
        assert_eq!(
            format!("{:?}", choose("seven lamps by the sea").unwrap()),
            "Passphrase"
        );
    }
}
