//! C2SP verifier keys (c2sp.org/signed-note, "Verifier keys"): an Ed25519 public key with its name as one line of
//! text, `<name>+<hash>+<base64 of type byte and key>`. Only signature type 1 (Ed25519) exists here.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// The signature type byte of Ed25519.
const ED25519: u8 = 1;
/// The longest name of a key, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// Why a line is not a verifier key that this crate uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VkeyError {
    /// There are not three parts with plus signs between them.
    #[error("a verifier key has the form <name>+<hash>+<base64>")]
    Parts,
    /// The name is empty, too long, or holds a space, a plus sign or a control character.
    #[error(
        "the name of a verifier key is 1 to {MAX_NAME_BYTES} bytes without spaces, plus signs or control characters"
    )]
    Name,
    /// The hash is not eight lower-case hex digits.
    #[error("the hash of a verifier key is eight lower-case hex digits")]
    Hash,
    /// The key is not standard base64.
    #[error("the last part of a verifier key is standard base64")]
    Base64,
    /// The key's type is not Ed25519.
    #[error("the verifier key is of type {0}, not Ed25519 (type 1)")]
    Type(u8),
    /// The key has not 32 bytes, is not a point on the curve, or is one that verifies almost anything.
    #[error("the verifier key is not a usable Ed25519 public key")]
    Key,
    /// The hash does not belong to this name and key.
    #[error("the verifier key has the hash {stated:08x}, its name and key give {computed:08x}")]
    Mismatch {
        /// What the line says.
        stated: u32,
        /// What its name and key give.
        computed: u32,
    },
}

/// Whether a key can have this name.
pub fn is_name(name: &str) -> bool {
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.contains(forbidden)
}

/// A public key with its name, for example of a ledger or of quarantine.
#[derive(Clone, PartialEq, Eq)]
pub struct Vkey {
    name: String,
    key: VerifyingKey,
}

impl Vkey {
    /// The key `key` under `name`.
    ///
    /// # Errors
    ///
    /// When the name cannot stand in a verifier key, or the key is a weak one.
    pub fn new(name: &str, key: VerifyingKey) -> Result<Self, VkeyError> {
        if !is_name(name) {
            return Err(VkeyError::Name);
        }
        if key.is_weak() {
            return Err(VkeyError::Key);
        }
        Ok(Self {
            name: name.to_owned(),
            key,
        })
    }

    /// The key's name, a schema-less URL such as `holdfast/quarantine`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key ID: the first four bytes of SHA-256 over name, newline, type byte and key. It identifies, it does not prove.
    pub fn hash(&self) -> u32 {
        let digest = Sha256::new()
            .chain_update(self.name.as_bytes())
            .chain_update([b'\n', ED25519])
            .chain_update(self.key.as_bytes())
            .finalize();
        u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
    }

    /// Whether `signature` is this key's signature of `message`. Strict: small-order points and unreduced scalars fail.
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key
            .verify_strict(message, &Signature::from_bytes(signature))
            .is_ok()
    }
}

impl fmt::Display for Vkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut typed = [ED25519; 33];
        typed[1..].copy_from_slice(self.key.as_bytes());
        write!(f, "{}+{:08x}+{}", self.name, self.hash(), STANDARD.encode(typed))
    }
}

impl fmt::Debug for Vkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Vkey {
    type Err = VkeyError;

    fn from_str(line: &str) -> Result<Self, VkeyError> {
        // Base64 uses the plus sign too: only the first two separate.
        let mut parts = line.splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VkeyError::Parts);
        };
        if hash.len() != 8 || !hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(VkeyError::Hash);
        }
        let stated = u32::from_str_radix(hash, 16).map_err(|_| VkeyError::Hash)?;
        let typed = STANDARD.decode(key).map_err(|_| VkeyError::Base64)?;
        let (kind, key) = typed.split_first().ok_or(VkeyError::Key)?;
        if *kind != ED25519 {
            return Err(VkeyError::Type(*kind));
        }
        let key = <&[u8; 32]>::try_from(key).map_err(|_| VkeyError::Key)?;
        let vkey = Self::new(name, VerifyingKey::from_bytes(key).map_err(|_| VkeyError::Key)?)?;
        let computed = vkey.hash();
        if stated == computed {
            Ok(vkey)
        } else {
            Err(VkeyError::Mismatch { stated, computed })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of c2sp.org/signed-note.
    const EXAMPLE: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

    #[test]
    fn reads_and_writes_the_example_of_the_specification() {
        let vkey: Vkey = EXAMPLE.parse().unwrap();
        assert_eq!(vkey.name(), "example.com/foo");
        assert_eq!(vkey.hash(), 0x530d_903a);
        assert_eq!(vkey.to_string(), EXAMPLE);
    }

    #[test]
    fn verifies_the_signature_of_the_example_and_no_other() {
        let vkey: Vkey = EXAMPLE.parse().unwrap();
        let blob = STANDARD
            .decode("Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=")
            .unwrap();
        let mut signature = <[u8; 64]>::try_from(&blob[4..]).unwrap();
        assert!(vkey.verifies(b"This is an example message.\n", &signature));
        assert!(!vkey.verifies(b"This is an example message.", &signature));
        signature[63] ^= 1;
        assert!(!vkey.verifies(b"This is an example message.\n", &signature));
    }

    #[test]
    fn refuses_what_is_not_a_line_of_three_parts() {
        assert_eq!("example.com/foo+530d903a".parse::<Vkey>(), Err(VkeyError::Parts));
        assert_eq!(
            EXAMPLE.replacen("530d903a", "530D903A", 1).parse::<Vkey>(),
            Err(VkeyError::Hash)
        );
        assert_eq!(
            EXAMPLE.replacen("530d903a", "+30d903a", 1).parse::<Vkey>(),
            Err(VkeyError::Hash)
        );
        assert_eq!(format!("{EXAMPLE}\n").parse::<Vkey>(), Err(VkeyError::Base64));
    }

    #[test]
    fn refuses_names_that_could_be_misread() {
        for name in ["", "a b", "a\u{a0}b", "a\nb", &"x".repeat(129)] {
            assert_eq!(
                EXAMPLE.replacen("example.com/foo", name, 1).parse::<Vkey>(),
                Err(VkeyError::Name),
                "{name:?}"
            );
        }
        assert!(Vkey::new(&"x".repeat(128), EXAMPLE.parse::<Vkey>().unwrap().key).is_ok());
    }

    #[test]
    fn refuses_another_hash_type_or_key() {
        assert_eq!(
            EXAMPLE.replacen("530d903a", "530d903b", 1).parse::<Vkey>(),
            Err(VkeyError::Mismatch {
                stated: 0x530d_903b,
                computed: 0x530d_903a
            })
        );
        assert_eq!(
            EXAMPLE.replacen("+Aeky", "+BOky", 1).parse::<Vkey>(),
            Err(VkeyError::Type(4))
        );
        assert_eq!("x+00000000+".parse::<Vkey>(), Err(VkeyError::Key));
        assert_eq!("x+00000000+AQAA".parse::<Vkey>(), Err(VkeyError::Key));
        // The neutral element: every signature by it would verify over many messages.
        let mut neutral = [0; 33];
        neutral[0] = ED25519;
        neutral[1] = 1;
        assert_eq!(
            format!("x+00000000+{}", STANDARD.encode(neutral)).parse::<Vkey>(),
            Err(VkeyError::Key)
        );
    }
}
