//! C2SP signed notes with Ed25519 signatures, and verifier keys in their text form (*vkey*).
//!
//! The text of a note is trusted only after [`open`] has found a valid signature of the one key that is asked for. Signatures of other
//! keys, such as those of witnesses, are passed over as the specification says.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// Signature type of Ed25519 in key ids and verifier keys.
const ED25519: u8 = 1;
/// The most signature lines that are looked at.
const MAX_SIGNATURES: usize = 16;
/// The largest note that is read, in bytes.
pub const MAX_NOTE_BYTES: usize = 16 << 10;

/// Why a note is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is not built like a signed note.
    #[error("not a signed note: {0}")]
    Malformed(&'static str),
    /// None of its signatures is by the key that is asked for.
    #[error("not signed by {0}")]
    Unsigned(String),
    /// A signature claims to be by that key and is not.
    #[error("the signature of {0} is not valid")]
    Forged(String),
}

/// Why a text is not a verifier key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A name is empty, or has spaces, control characters or a plus sign.
    #[error("a key name is not empty and has no spaces, control characters or \"+\"")]
    Name,
    /// It is not `<name>+<8 hex digits>+<base64>`.
    #[error("a verifier key has the form <name>+<8 hex digits>+<base64>")]
    Form,
    /// It is a key of another algorithm than Ed25519.
    #[error("only Ed25519 keys (type 1) are known")]
    Algorithm,
    /// The bytes are no point that an Ed25519 key can be.
    #[error("not an Ed25519 public key")]
    Key,
    /// The id in the text is not that of the key and name.
    #[error("the key id does not belong to this name and key")]
    Id,
}

/// The public half of a signing key, with its name. Text form: `<name>+<id>+<base64 of type and key>`.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

/// A key that signs notes. Its secret half is wiped from memory when it is dropped.
pub struct Signer {
    verifier: VerifierKey,
    key: SigningKey,
}

fn check_name(name: &str) -> Result<(), KeyError> {
    let allowed = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    if !name.is_empty() && name.chars().all(allowed) {
        Ok(())
    } else {
        Err(KeyError::Name)
    }
}

impl VerifierKey {
    fn new(name: &str, key: VerifyingKey) -> Result<Self, KeyError> {
        check_name(name)?;
        let digest = Sha256::new_with_prefix(name)
            .chain_update([b'\n', ED25519])
            .chain_update(key.as_bytes())
            .finalize();
        let id = digest.first_chunk().copied().ok_or(KeyError::Id)?;
        Ok(Self {
            name: name.to_owned(),
            id,
            key,
        })
    }

    /// The name, which a log's checkpoints also carry as their origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks one signature over `text`.
    fn verify(&self, text: &str, signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(text.as_bytes(), &signature).is_ok())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![ED25519];
        bytes.extend_from_slice(self.key.as_bytes());
        let id = u32::from_be_bytes(self.id);
        write!(f, "{}+{id:08x}+{}", self.name, STANDARD.encode(bytes))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    /// Reads the text form, with or without the end of the line.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Form);
        };
        let bytes = STANDARD.decode(key).map_err(|_| KeyError::Form)?;
        let (kind, bytes) = bytes.split_first().ok_or(KeyError::Form)?;
        if *kind != ED25519 {
            return Err(KeyError::Algorithm);
        }
        let key = bytes
            .try_into()
            .ok()
            .and_then(|bytes| VerifyingKey::from_bytes(bytes).ok());
        let key = Self::new(name, key.ok_or(KeyError::Key)?)?;
        if format!("{:08x}", u32::from_be_bytes(key.id)) == id {
            Ok(key)
        } else {
            Err(KeyError::Id)
        }
    }
}

impl Signer {
    /// A signer called `name` from the 32 bytes that an Ed25519 key is made from.
    ///
    /// # Errors
    /// [`KeyError::Name`] when notes cannot carry that name.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let key = SigningKey::from_bytes(seed);
        Ok(Self {
            verifier: VerifierKey::new(name, key.verifying_key())?,
            key,
        })
    }

    /// The public half.
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs a text of whole lines and returns the note.
    pub fn sign(&self, text: &str) -> String {
        use ed25519_dalek::Signer as _;
        debug_assert!(text.ends_with('\n'), "the text of a note ends with a newline");
        let mut signature = self.verifier.id.to_vec();
        signature.extend_from_slice(&self.key.sign(text.as_bytes()).to_bytes());
        format!(
            "{text}\n\u{2014} {} {}\n",
            self.verifier.name,
            STANDARD.encode(signature)
        )
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

/// The text of a note that `key` has signed.
///
/// # Errors
/// [`NoteError`] when it is not a note, or not validly signed by that key.
pub fn open<'a>(note: &'a str, key: &VerifierKey) -> Result<&'a str, NoteError> {
    if note.len() > MAX_NOTE_BYTES {
        return Err(NoteError::Malformed("it is too large"));
    }
    if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        return Err(NoteError::Malformed("it has control characters"));
    }
    let blank = note.rfind("\n\n").ok_or(NoteError::Malformed(
        "there is no blank line before the signatures",
    ))?;
    let (text, signatures) = note.split_at(blank + 1);
    let signatures = signatures.get(1..).unwrap_or_default();
    let lines = signatures
        .strip_suffix('\n')
        .ok_or(NoteError::Malformed("the last line has no end"))?;
    let mut signed = false;
    for (number, line) in lines.split('\n').enumerate() {
        if number >= MAX_SIGNATURES {
            return Err(NoteError::Malformed("it has too many signatures"));
        }
        let (name, id, signature) =
            signature(line).ok_or(NoteError::Malformed("a signature line is malformed"))?;
        if name == key.name && id == key.id {
            if !key.verify(text, &signature) {
                return Err(NoteError::Forged(key.name.clone()));
            }
            signed = true;
        }
    }
    if signed {
        Ok(text)
    } else {
        Err(NoteError::Unsigned(key.name.clone()))
    }
}

fn signature(line: &str) -> Option<(&str, [u8; 4], Vec<u8>)> {
    let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    check_name(name).ok()?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let (id, signature) = bytes.split_first_chunk()?;
    Some((name, *id, signature.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key pair and note that the documentation of Go's `golang.org/x/mod/sumdb/note` uses as its example.
    const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn signer() -> Signer {
        Signer::from_seed("holdfast/ledger", &[7; 32]).unwrap()
    }

    #[test]
    fn accepts_a_note_that_another_implementation_signed() {
        let key: VerifierKey = PETER.parse().unwrap();
        assert_eq!(key.to_string(), PETER);
        let text = open(NOTE, &key).unwrap();
        assert!(text.ends_with("your problem is.\n"));
    }

    #[test]
    fn what_it_signs_opens_and_every_changed_byte_is_noticed() {
        let signer = signer();
        let note = signer.sign("first\n\nsecond\n");
        assert_eq!(open(&note, signer.verifier()), Ok("first\n\nsecond\n"));
        for place in 0..note.len() {
            for bit in 0..8 {
                let mut bytes = note.clone().into_bytes();
                bytes[place] ^= 1 << bit;
                if let Ok(changed) = String::from_utf8(bytes) {
                    assert!(
                        open(&changed, signer.verifier()).is_err(),
                        "byte {place} bit {bit}"
                    );
                }
            }
        }
        for length in 0..note.len() {
            if let Some(cut) = note.get(..length) {
                assert!(open(cut, signer.verifier()).is_err(), "cut at {length}");
            }
        }
    }

    #[test]
    fn passes_over_witnesses_and_refuses_a_forged_or_missing_own_signature() {
        let signer = signer();
        let witness = Signer::from_seed("witness.example", &[8; 32]).unwrap();
        let same_name = Signer::from_seed("holdfast/ledger", &[9; 32]).unwrap();
        let text = "text\n";
        let line = |signer: &Signer| signer.sign(text)[text.len() + 1..].to_owned();
        let both = format!("{text}\n{}{}", line(&witness), line(&signer));
        assert_eq!(open(&both, signer.verifier()), Ok(text));
        assert!(matches!(
            open(&witness.sign(text), signer.verifier()),
            Err(NoteError::Unsigned(_))
        ));
        assert!(matches!(
            open(&same_name.sign(text), signer.verifier()),
            Err(NoteError::Unsigned(_))
        ));
        let forged = signer.sign(text).replace("text", "test");
        assert!(matches!(
            open(&forged, signer.verifier()),
            Err(NoteError::Forged(_))
        ));
        let many = format!("{text}\n{}{}", line(&witness).repeat(15), line(&signer));
        assert_eq!(open(&many, signer.verifier()), Ok(text));
        let too_many = format!("{text}\n{}{}", line(&witness).repeat(16), line(&signer));
        assert!(matches!(
            open(&too_many, signer.verifier()),
            Err(NoteError::Malformed(_))
        ));
    }

    #[test]
    fn refuses_keys_that_are_not_what_they_say() {
        let key = signer().verifier().to_string();
        assert_eq!(key.parse::<VerifierKey>().unwrap().to_string(), key);
        assert!(format!("{key}\n").parse::<VerifierKey>().is_ok());
        let parts: Vec<&str> = key.splitn(3, '+').collect();
        for (text, error) in [
            (format!("other+{}+{}", parts[1], parts[2]), KeyError::Id),
            (format!("{}+{}+{}", parts[0], "00000000", parts[2]), KeyError::Id),
            (
                format!("{}+{}+{}", parts[0], parts[1].to_uppercase() + "0", parts[2]),
                KeyError::Id,
            ),
            (format!("+{}+{}", parts[1], parts[2]), KeyError::Name),
            (format!("a b+{}+{}", parts[1], parts[2]), KeyError::Name),
            (format!("{}+{}", parts[0], parts[1]), KeyError::Form),
            (format!("{}+{}+!", parts[0], parts[1]), KeyError::Form),
            (
                format!("{}+{}+{}", parts[0], parts[1], STANDARD.encode([2; 33])),
                KeyError::Algorithm,
            ),
            (
                format!("{}+{}+{}", parts[0], parts[1], STANDARD.encode([1; 20])),
                KeyError::Key,
            ),
        ] {
            assert_eq!(text.parse::<VerifierKey>(), Err(error), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_harm(text in "(\u{2014} |holdfast/ledger|\\+|\n|[ -~]{0,9}|=){0,40}") {
            let _ = open(&text, signer().verifier());
            let _ = text.parse::<VerifierKey>();
        }
    }

    #[test]
    fn debug_output_has_no_secret() {
        assert_eq!(format!("{:?}", signer()), "Signer");
    }
}
