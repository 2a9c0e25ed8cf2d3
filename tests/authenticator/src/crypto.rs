//! What PIN protocol 1 and `hmac-secret` are made of (CTAP 2.1, section 6.5.6).

use aes::Aes256;
use cbc::cipher::{BlockDecryptMut as _, BlockEncryptMut as _, KeyIvInit as _, block_padding::NoPadding};
use ciborium::Value;
use hmac::{Hmac, Mac as _};
use p256::elliptic_curve::sec1::{FromEncodedPoint as _, ToEncodedPoint as _};
use p256::{EncodedPoint, PublicKey, SecretKey};
use sha2::{Digest as _, Sha256};

/// What both sides derive from their keys.
pub type Shared = [u8; 32];

/// SHA-256.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// HMAC-SHA-256 over these parts, one after the other.
pub fn authenticate(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // INVARIANT: an HMAC takes a key of any length.
    #[expect(clippy::expect_used, reason = "see above")]
    let mut mac = <Hmac<Sha256>>::new_from_slice(key).expect("any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Whether `given` is the beginning of the authentication of `message`.
pub fn is_authentic(key: &[u8], message: &[u8], given: &[u8]) -> bool {
    given == &authenticate(key, &[message])[..16]
}

/// AES-256-CBC with an initialisation vector of zeros, as the protocol has it.
pub fn encrypt(key: &Shared, text: &[u8]) -> Vec<u8> {
    cbc::Encryptor::<Aes256>::new(key.into(), &[0; 16].into()).encrypt_padded_vec_mut::<NoPadding>(text)
}

/// The reverse; none when it is not made of whole blocks.
pub fn decrypt(key: &Shared, text: &[u8]) -> Option<Vec<u8>> {
    cbc::Decryptor::<Aes256>::new(key.into(), &[0; 16].into())
        .decrypt_padded_vec_mut::<NoPadding>(text)
        .ok()
}

/// A key's public half as COSE has it; `algorithm` says what it is for.
pub fn cose(key: &PublicKey, algorithm: i64) -> Value {
    let point = key.to_encoded_point(false);
    let part = |bytes: Option<&p256::FieldBytes>| {
        Value::Bytes(bytes.map(|bytes| bytes.to_vec()).unwrap_or_default())
    };
    Value::Map(vec![
        (1.into(), 2.into()),
        (3.into(), algorithm.into()),
        ((-1).into(), 1.into()),
        ((-2).into(), part(point.x())),
        ((-3).into(), part(point.y())),
    ])
}

/// What both sides know, from our key and the other's public half as COSE has it.
pub fn agree(key: &SecretKey, other: &Value) -> Option<Shared> {
    let part = |number: i64| -> Option<[u8; 32]> {
        let (_, value) = other
            .as_map()?
            .iter()
            .find(|(label, _)| label == &Value::from(number))?;
        value.as_bytes()?.as_slice().try_into().ok()
    };
    let point = EncodedPoint::from_affine_coordinates(&part(-2)?.into(), &part(-3)?.into(), false);
    let other: Option<PublicKey> = PublicKey::from_encoded_point(&point).into();
    let shared = p256::ecdh::diffie_hellman(key.to_nonzero_scalar(), other?.as_affine());
    Some(digest(shared.raw_secret_bytes()))
}

/// A key from bytes that are as good as random.
pub fn key(bytes: [u8; 32]) -> SecretKey {
    let mut bytes = bytes;
    loop {
        // All but one in 2^32 are below the order of the curve.
        if let Ok(key) = SecretKey::from_slice(&bytes) {
            return key;
        }
        bytes = digest(&bytes);
    }
}
