//! `authenticatorClientPIN` with protocol 1, of a key whose PIN is set (CTAP 2.0): how often it may be wrong, the key to agree on a secret
//! with, and the token that a right PIN gives. Setting and changing a PIN are not there.

use ciborium::Value;
use p256::SecretKey;

use crate::crypto::{agree, cose, decrypt, digest, encrypt, is_authentic, key};
use crate::ctap::{Fault, Fields, map};
use crate::key::random;

/// ECDH-ES with HKDF-256, which COSE names and the protocol does not quite mean.
const AGREEMENT: i64 = -25;
/// How often a PIN may be wrong until the key takes none again.
const RETRIES: u8 = 8;
/// How often in a row until it wants to be without power.
const IN_A_ROW: u8 = 3;

/// What is kept about the PIN while the key has power.
#[derive(Debug)]
pub struct Pin {
    /// The first half of its digest.
    digest: Option<[u8; 16]>,
    retries: u8,
    in_a_row: u8,
    agreement: SecretKey,
    token: [u8; 32],
}

impl Pin {
    /// With this PIN, or none.
    pub fn new(pin: Option<&str>) -> Self {
        let half = |pin: &str| {
            let mut half = [0; 16];
            half.copy_from_slice(&digest(pin.as_bytes())[..16]);
            half
        };
        Self {
            digest: pin.map(half),
            retries: RETRIES,
            in_a_row: 0,
            agreement: key(random()),
            token: random(),
        }
    }

    /// Whether there is one.
    pub fn is_set(&self) -> bool {
        self.digest.is_some()
    }

    /// The secret that the machine and the key agree on.
    pub fn shared(&self, other: &Value) -> Result<[u8; 32], Fault> {
        agree(&self.agreement, other).ok_or(Fault::InvalidParameter)
    }

    /// Whether somebody who gave the right PIN asks for `message`; an error where it is claimed and not so.
    pub fn verify(&self, message: &[u8], given: Option<&Value>) -> Result<bool, Fault> {
        match given.and_then(Value::as_bytes) {
            None => Ok(false),
            Some(_) if self.digest.is_none() => Err(Fault::PinNotSet),
            Some(given) if is_authentic(&self.token, message, given) => Ok(true),
            Some(_) => Err(Fault::PinAuthInvalid),
        }
    }

    /// Answers the command.
    pub fn command(&mut self, request: &Fields) -> Result<Value, Fault> {
        match request.integer(2) {
            Some(1) => Ok(map([(3, Value::from(self.retries))])),
            Some(2) => Ok(map([(1, cose(&self.agreement.public_key(), AGREEMENT))])),
            Some(5) => self.give_token(request),
            _ => Err(Fault::InvalidParameter),
        }
    }

    fn give_token(&mut self, request: &Fields) -> Result<Value, Fault> {
        let pin = self.digest.ok_or(Fault::PinNotSet)?;
        if self.retries == 0 {
            return Err(Fault::PinBlocked);
        }
        if self.in_a_row == IN_A_ROW {
            return Err(Fault::PinAuthBlocked);
        }
        let shared = self.shared(request.get(3).ok_or(Fault::MissingParameter)?)?;
        let given = request.bytes(6).ok_or(Fault::MissingParameter)?;
        self.retries -= 1;
        if decrypt(&shared, given).as_deref() != Some(&pin[..]) {
            self.agreement = key(random());
            self.in_a_row += 1;
            eprintln!("a wrong PIN; {} left", self.retries);
            return Err(match (self.retries, self.in_a_row) {
                (0, _) => Fault::PinBlocked,
                (_, IN_A_ROW) => Fault::PinAuthBlocked,
                _ => Fault::PinInvalid,
            });
        }
        self.retries = RETRIES;
        self.in_a_row = 0;
        Ok(map([(2, Value::Bytes(encrypt(&shared, &self.token)))]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::authenticate;

    /// Gives this PIN as a machine does. Returns the token.
    fn give(pin: &mut Pin, text: &str) -> Result<Vec<u8>, Fault> {
        let ours = key(random());
        let shared = agree(&ours, &cose(&pin.agreement.public_key(), AGREEMENT)).unwrap();
        let request = Fields::of(vec![
            (2.into(), 5.into()),
            (3.into(), cose(&ours.public_key(), AGREEMENT)),
            (
                6.into(),
                Value::Bytes(encrypt(&shared, &digest(text.as_bytes())[..16])),
            ),
        ]);
        let answer = pin.command(&request)?;
        let token = answer.as_map().unwrap()[0].1.as_bytes().unwrap().clone();
        Ok(decrypt(&shared, &token).unwrap())
    }

    #[test]
    fn the_right_pin_gives_the_token_and_a_wrong_one_does_not() {
        let mut pin = Pin::new(Some("1234"));
        assert_eq!(give(&mut pin, "4321"), Err(Fault::PinInvalid));
        let token = give(&mut pin, "1234").unwrap();
        let proof = authenticate(&token, &[b"message"])[..16].to_vec();
        assert_eq!(
            pin.verify(b"message", Some(&Value::Bytes(proof.clone()))),
            Ok(true)
        );
        assert_eq!(
            pin.verify(b"another", Some(&Value::Bytes(proof))),
            Err(Fault::PinAuthInvalid)
        );
        assert_eq!(pin.verify(b"message", None), Ok(false));
    }

    #[test]
    fn wrong_pins_are_counted() {
        let mut pin = Pin::new(Some("1234"));
        assert_eq!(give(&mut pin, "1"), Err(Fault::PinInvalid));
        assert_eq!(give(&mut pin, "2"), Err(Fault::PinInvalid));
        assert_eq!(give(&mut pin, "3"), Err(Fault::PinAuthBlocked));
        assert_eq!(give(&mut pin, "1234"), Err(Fault::PinAuthBlocked));
        assert_eq!(pin.retries, RETRIES - 3);
    }
}
