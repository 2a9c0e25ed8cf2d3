//! DSSE envelopes (secure-systems-lab/dsse 1.0.2) with exactly one Ed25519 signature and an in-toto payload.
//!
//! Stricter than the specification on purpose: one signature, standard base64 with padding, no unknown fields. An
//! envelope that another reader could take differently is refused. The payload is not looked at before the signature holds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::json::{self, JsonError};
use crate::key::StatementKey;
use holdfast_signed_note::Vkey;

/// The payload type of an in-toto statement in JSON.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The largest envelope, in bytes of text: with its JSON escapes it has to fit into one packet on the admit socket.
pub const MAX_ENVELOPE_BYTES: usize = 96 << 10;

/// Why an envelope was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// It is too long to be read at all.
    #[error("the envelope has {bytes} bytes, at most {MAX_ENVELOPE_BYTES} are read")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// It is not the JSON of an envelope.
    #[error("the envelope is not a DSSE envelope")]
    Json(#[from] JsonError),
    /// The payload is of another type.
    #[error("the envelope's payload type is not {PAYLOAD_TYPE}")]
    PayloadType,
    /// There is no signature, or more than one.
    #[error("the envelope has {count} signatures, exactly one is accepted")]
    Signatures {
        /// How many there are.
        count: usize,
    },
    /// The signature names a key that is not trusted.
    #[error("the envelope is signed by a key that is not trusted here")]
    UnknownKey,
    /// The signature is not 64 bytes in standard base64.
    #[error("the envelope's signature is not 64 bytes in standard base64")]
    SignatureEncoding,
    /// The payload is not standard base64.
    #[error("the envelope's payload is not standard base64")]
    PayloadEncoding,
    /// The signature is not the trusted key's signature of this payload and type.
    #[error("the envelope's signature does not belong to its payload and the trusted key")]
    BadSignature,
}

/// A signed payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    payload_type: String,
    payload: String,
    signatures: Vec<Signature>,
}

/// A signature in an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    keyid: String,
    sig: String,
}

impl Envelope {
    /// Signs `payload` with `key`.
    pub fn seal(payload: &[u8], key: &StatementKey) -> Self {
        let sig = STANDARD.encode(key.sign(&pae(PAYLOAD_TYPE, payload)));
        Self {
            payload_type: PAYLOAD_TYPE.to_owned(),
            payload: STANDARD.encode(payload),
            signatures: vec![Signature {
                keyid: key_id(&key.vkey()),
                sig,
            }],
        }
    }

    /// Reads an envelope. Nothing in it is to be believed before [`Envelope::open`].
    ///
    /// # Errors
    ///
    /// When it is too long or not an envelope.
    pub fn parse(text: &[u8]) -> Result<Self, EnvelopeError> {
        if text.len() > MAX_ENVELOPE_BYTES {
            return Err(EnvelopeError::TooLarge { bytes: text.len() });
        }
        Ok(json::decode(text)?)
    }

    /// Verifies the signature with whichever of `trusted` it names, and returns the payload.
    ///
    /// # Errors
    ///
    /// Each deviation has its own variant of [`EnvelopeError`].
    pub fn open(&self, trusted: &[Vkey]) -> Result<Vec<u8>, EnvelopeError> {
        if self.payload_type != PAYLOAD_TYPE {
            return Err(EnvelopeError::PayloadType);
        }
        let [signature] = self.signatures.as_slice() else {
            return Err(EnvelopeError::Signatures {
                count: self.signatures.len(),
            });
        };
        let key = trusted
            .iter()
            .find(|key| key_id(key) == signature.keyid)
            .ok_or(EnvelopeError::UnknownKey)?;
        let bytes = STANDARD
            .decode(&signature.sig)
            .ok()
            .and_then(|bytes| <[u8; 64]>::try_from(bytes).ok())
            .ok_or(EnvelopeError::SignatureEncoding)?;
        let payload = STANDARD
            .decode(&self.payload)
            .map_err(|_| EnvelopeError::PayloadEncoding)?;
        if key.verifies(&pae(&self.payload_type, &payload), &bytes) {
            Ok(payload)
        } else {
            Err(EnvelopeError::BadSignature)
        }
    }

    /// The envelope as JSON text.
    pub fn to_text(&self) -> String {
        // INVARIANT: strings in a struct always serialise; an empty text would be refused by every reader.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// How an envelope names a key: the hash of its verifier key, in hex. A hint only; the signature decides.
fn key_id(key: &Vkey) -> String {
    format!("{:08x}", key.hash())
}

/// The pre-authentication encoding: type and payload with their lengths, so that neither can be shifted into the other.
fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> StatementKey {
        StatementKey::from_seed("holdfast/quarantine", &[7; 32]).unwrap()
    }

    #[test]
    fn encodes_the_example_of_the_specification() {
        let encoded = pae("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn opens_what_was_sealed() {
        let text = Envelope::seal(b"{}", &key()).to_text();
        let opened = Envelope::parse(text.as_bytes())
            .unwrap()
            .open(&[key().vkey()])
            .unwrap();
        assert_eq!(opened, b"{}");
    }

    #[test]
    fn finds_the_right_key_among_several() {
        let other = StatementKey::from_seed("holdfast/quarantine", &[8; 32])
            .unwrap()
            .vkey();
        assert!(Envelope::seal(b"{}", &key()).open(&[other, key().vkey()]).is_ok());
    }

    #[test]
    fn refuses_a_key_that_is_not_trusted_even_under_a_trusted_id() {
        let stranger = StatementKey::from_seed("holdfast/quarantine", &[8; 32]).unwrap();
        let mut envelope = Envelope::seal(b"{}", &stranger);
        assert!(matches!(
            envelope.open(&[key().vkey()]),
            Err(EnvelopeError::UnknownKey)
        ));
        assert!(matches!(envelope.open(&[]), Err(EnvelopeError::UnknownKey)));
        envelope.signatures[0].keyid = key_id(&key().vkey());
        assert!(matches!(
            envelope.open(&[key().vkey()]),
            Err(EnvelopeError::BadSignature)
        ));
    }

    #[test]
    fn refuses_another_payload_type_even_when_signed() {
        let mut envelope = Envelope::seal(b"{}", &key());
        "application/json".clone_into(&mut envelope.payload_type);
        envelope.signatures[0].sig = STANDARD.encode(key().sign(&pae("application/json", b"{}")));
        assert!(matches!(
            envelope.open(&[key().vkey()]),
            Err(EnvelopeError::PayloadType)
        ));
    }

    #[test]
    fn refuses_a_changed_payload_and_a_signature_without_pre_authentication_encoding() {
        let mut envelope = Envelope::seal(b"{}", &key());
        envelope.payload = STANDARD.encode(b"{ }");
        assert!(matches!(
            envelope.open(&[key().vkey()]),
            Err(EnvelopeError::BadSignature)
        ));
        let mut envelope = Envelope::seal(b"{}", &key());
        envelope.signatures[0].sig = STANDARD.encode(key().sign(b"{}"));
        assert!(matches!(
            envelope.open(&[key().vkey()]),
            Err(EnvelopeError::BadSignature)
        ));
    }

    #[test]
    fn refuses_no_signature_and_an_extra_one() {
        let mut envelope = Envelope::seal(b"{}", &key());
        envelope.signatures.push(envelope.signatures[0].clone());
        assert!(matches!(
            envelope.open(&[key().vkey()]),
            Err(EnvelopeError::Signatures { count: 2 })
        ));
        envelope.signatures.clear();
        assert!(matches!(
            envelope.open(&[key().vkey()]),
            Err(EnvelopeError::Signatures { count: 0 })
        ));
    }

    #[test]
    fn refuses_other_spellings_of_base64() {
        let trusted = [key().vkey()];
        let sealed = Envelope::seal(b"{}", &key());
        for sig in [
            String::new(),
            sealed.signatures[0].sig.replace('=', ""),
            STANDARD.encode([0; 63]),
            "!".repeat(88),
        ] {
            let mut envelope = sealed.clone();
            envelope.signatures[0].sig = sig;
            assert!(matches!(
                envelope.open(&trusted),
                Err(EnvelopeError::SignatureEncoding)
            ));
        }
        for payload in ["e30", "e31=", "e30=\n", "*"] {
            let mut envelope = sealed.clone();
            payload.clone_into(&mut envelope.payload);
            assert!(
                matches!(envelope.open(&trusted), Err(EnvelopeError::PayloadEncoding)),
                "{payload}"
            );
        }
    }

    #[test]
    fn refuses_unknown_and_duplicate_fields_and_trailing_data() {
        let text = Envelope::seal(b"{}", &key()).to_text();
        let unknown = text.replacen('{', r#"{"extra":1,"#, 1);
        assert!(matches!(
            Envelope::parse(unknown.as_bytes()),
            Err(EnvelopeError::Json(JsonError::Shape(_)))
        ));
        let duplicate = text.replacen('{', r#"{"payload":"e30=","#, 1);
        assert!(matches!(
            Envelope::parse(duplicate.as_bytes()),
            Err(EnvelopeError::Json(JsonError::DuplicateKey { .. }))
        ));
        let trailing = format!("{text}{text}");
        assert!(matches!(
            Envelope::parse(trailing.as_bytes()),
            Err(EnvelopeError::Json(JsonError::Trailing))
        ));
    }

    #[test]
    fn refuses_an_envelope_over_the_limit_and_reads_one_at_it() {
        let text = Envelope::seal(b"{}", &key()).to_text();
        let at = format!("{text}{}", " ".repeat(MAX_ENVELOPE_BYTES - text.len()));
        assert!(Envelope::parse(at.as_bytes()).is_ok());
        let over = format!("{at} ");
        assert!(matches!(
            Envelope::parse(over.as_bytes()),
            Err(EnvelopeError::TooLarge { .. })
        ));
    }
}
