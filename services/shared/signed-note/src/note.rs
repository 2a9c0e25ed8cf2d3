//! Writing and opening signed notes.
//!
//! The text of a note is trusted only after [`open`] has found a valid signature of the one key that is asked for. Signatures of other
//! keys, such as those of witnesses, are passed over as the specification says.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;

use crate::vkey::{self, Vkey, VkeyError};

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

/// A key that signs notes. Its secret half is wiped from memory when it is dropped.
pub struct Signer {
    public: Vkey,
    key: SigningKey,
}

impl Signer {
    /// A signer called `name` from the 32 bytes that an Ed25519 key is made from.
    ///
    /// # Errors
    /// [`VkeyError::Name`] when notes cannot carry that name.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, VkeyError> {
        let key = SigningKey::from_bytes(seed);
        Ok(Self {
            public: Vkey::new(name, key.verifying_key())?,
            key,
        })
    }

    /// The public half.
    pub const fn verifier(&self) -> &Vkey {
        &self.public
    }

    /// Signs a text of whole lines and returns the note.
    pub fn sign(&self, text: &str) -> String {
        use ed25519_dalek::Signer as _;
        debug_assert!(text.ends_with('\n'), "the text of a note ends with a newline");
        let mut signature = self.public.hash().to_be_bytes().to_vec();
        signature.extend_from_slice(&self.key.sign(text.as_bytes()).to_bytes());
        format!(
            "{text}\n\u{2014} {} {}\n",
            self.public.name(),
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
pub fn open<'a>(note: &'a str, key: &Vkey) -> Result<&'a str, NoteError> {
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
        if name == key.name() && id == key.hash().to_be_bytes() {
            if !<&[u8; 64]>::try_from(signature.as_slice())
                .is_ok_and(|signature| key.verifies(text.as_bytes(), signature))
            {
                return Err(NoteError::Forged(key.name().to_owned()));
            }
            signed = true;
        }
    }
    if signed {
        Ok(text)
    } else {
        Err(NoteError::Unsigned(key.name().to_owned()))
    }
}

fn signature(line: &str) -> Option<(&str, [u8; 4], Vec<u8>)> {
    let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    vkey::is_name(name).then_some(())?;
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
        let key: Vkey = PETER.parse().unwrap();
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

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_harm(text in "(\u{2014} |holdfast/ledger|\\+|\n|[ -~]{0,9}|=){0,40}") {
            let _ = open(&text, signer().verifier());
            let _ = text.parse::<Vkey>();
        }
    }

    #[test]
    fn debug_output_has_no_secret() {
        assert_eq!(format!("{:?}", signer()), "Signer");
    }
}
