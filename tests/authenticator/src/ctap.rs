//! CTAP 2.0: the commands and what they answer (CTAP 2.1 says more; the numbers are the same).

use std::time::Duration;

use ciborium::Value;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};

use crate::crypto::{authenticate, cose, decrypt, digest, encrypt, is_authentic};
use crate::key::{Credential, Settings};
use crate::pin::Pin;

/// The status of what was called off.
pub const KEEPALIVE_CANCEL: u8 = 0x2d;

const EXTENSION: &str = "hmac-secret";
const ES256: i64 = -7;
/// Of this make of key.
const MAKE: [u8; 16] = *b"holdfast-testing";

/// What the authenticator has to say to a request.
#[derive(Debug)]
pub enum Outcome {
    /// This: a status, and what belongs to it.
    Answer(Vec<u8>),
    /// It has to be touched first: ask again.
    Touch,
}

/// Why something is not done, by CTAP's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// No such command.
    InvalidCommand = 0x01,
    /// A field does not hold what it should.
    InvalidParameter = 0x02,
    /// What is said is not CBOR.
    InvalidCbor = 0x12,
    /// A field is missing.
    MissingParameter = 0x14,
    /// No algorithm that it knows.
    UnsupportedAlgorithm = 0x26,
    /// An option that it lacks.
    UnsupportedOption = 0x2b,
    /// None of the credentials is its own.
    NoCredentials = 0x2e,
    /// The PIN is wrong.
    PinInvalid = 0x31,
    /// The PIN was wrong too often.
    PinBlocked = 0x32,
    /// It is not proved that the PIN was given.
    PinAuthInvalid = 0x33,
    /// The PIN was wrong too often in a row.
    PinAuthBlocked = 0x34,
    /// It has no PIN.
    PinNotSet = 0x35,
    /// The PIN has to be given.
    PinRequired = 0x36,
    /// Nobody touched it in time.
    ActionTimeout = 0x3a,
}

/// The numbered fields of a request.
#[derive(Debug)]
pub struct Fields(Vec<(Value, Value)>);

impl Fields {
    /// These.
    pub fn of(fields: Vec<(Value, Value)>) -> Self {
        Self(fields)
    }

    fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let value: Value = ciborium::from_reader(bytes).map_err(|_| Fault::InvalidCbor)?;
        value.into_map().map(Self).map_err(|_| Fault::InvalidCbor)
    }

    /// The field of this number.
    pub fn get(&self, number: i64) -> Option<&Value> {
        find(&self.0, &number.into())
    }

    /// The same, where it is bytes.
    pub fn bytes(&self, number: i64) -> Option<&[u8]> {
        self.get(number)?.as_bytes().map(Vec::as_slice)
    }

    /// The same, where it is a number.
    pub fn integer(&self, number: i64) -> Option<i64> {
        self.get(number)?.as_integer()?.try_into().ok()
    }

    /// What `name` says in the map of this number.
    fn inner(&self, number: i64, name: &str) -> Option<&Value> {
        find(self.get(number)?.as_map()?, &name.into())
    }
}

fn find<'a>(fields: &'a [(Value, Value)], label: &Value) -> Option<&'a Value> {
    fields
        .iter()
        .find(|(found, _)| found == label)
        .map(|(_, value)| value)
}

/// A map with numbered fields.
pub fn map<const N: usize>(fields: [(i64, Value); N]) -> Value {
    Value::Map(
        fields
            .into_iter()
            .map(|(number, value)| (number.into(), value))
            .collect(),
    )
}

fn named<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(
        fields
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect(),
    )
}

fn write(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing to memory does not fail.
    let _ = ciborium::into_writer(value, &mut bytes);
    bytes
}

/// The key.
#[derive(Debug)]
pub struct Authenticator {
    settings: Settings,
    pin: Pin,
    signatures: u32,
}

impl Authenticator {
    /// As it is to be.
    pub fn new(settings: Settings) -> Self {
        Self {
            pin: Pin::new(settings.pin.as_deref()),
            settings,
            signatures: 0,
        }
    }

    /// Answers a request, which has been waiting to be touched for so long. Nothing is done before it was.
    pub fn ask(&mut self, message: &[u8], waited: Duration) -> Outcome {
        let answer = match message.split_first() {
            Some((0x01, rest)) => Fields::read(rest).and_then(|request| self.make(&request, waited)),
            Some((0x02, rest)) => Fields::read(rest).and_then(|request| self.assert(&request, waited)),
            Some((0x04, _)) => Ok(Some(self.info())),
            Some((0x06, rest)) => Fields::read(rest)
                .and_then(|request| self.pin.command(&request))
                .map(Some),
            _ => Err(Fault::InvalidCommand),
        };
        match answer {
            Ok(None) => Outcome::Touch,
            Ok(Some(answer)) => Outcome::Answer([&[0], write(&answer).as_slice()].concat()),
            Err(fault) => Outcome::Answer(vec![fault as u8]),
        }
    }

    fn info(&self) -> Value {
        let extensions = if self.settings.hmac_secret {
            vec![EXTENSION.into()]
        } else {
            Vec::new()
        };
        let options = named([
            ("rk", false.into()),
            ("up", true.into()),
            ("plat", false.into()),
            ("clientPin", self.pin.is_set().into()),
        ]);
        map([
            (1, Value::Array(vec!["FIDO_2_0".into()])),
            (2, Value::Array(extensions)),
            (3, Value::Bytes(MAKE.to_vec())),
            (4, options),
            (5, 1200.into()),
            (6, Value::Array(vec![1.into()])),
        ])
    }

    /// Whether it is touched; an error when it was waited for too long.
    fn touched(&self, waited: Duration) -> Result<bool, Fault> {
        if self.settings.is_touched() {
            return Ok(true);
        }
        if waited > self.settings.patience {
            return Err(Fault::ActionTimeout);
        }
        Ok(false)
    }

    fn make(&mut self, request: &Fields, waited: Duration) -> Result<Option<Value>, Fault> {
        let client = request.bytes(1).ok_or(Fault::MissingParameter)?;
        let party = request
            .inner(2, "id")
            .and_then(Value::as_text)
            .ok_or(Fault::MissingParameter)?;
        let known = request
            .get(4)
            .and_then(Value::as_array)
            .ok_or(Fault::MissingParameter)?
            .iter()
            .any(|kind| kind.as_map().and_then(|kind| find(kind, &"alg".into())) == Some(&ES256.into()));
        if !known {
            return Err(Fault::UnsupportedAlgorithm);
        }
        if request.inner(7, "rk") == Some(&true.into()) || request.inner(7, "uv") == Some(&true.into()) {
            return Err(Fault::UnsupportedOption);
        }
        let verified = self.pin.verify(client, request.get(8))?;
        if self.pin.is_set() && !verified {
            return Err(Fault::PinRequired);
        }
        if !self.touched(waited)? {
            return Ok(None);
        }
        let credential = Credential::make(&self.settings.secret, party);
        let key = credential.signing_key(&self.settings.secret);
        let mut attested = MAKE.to_vec();
        attested.extend([0, 32]);
        attested.extend(credential.name());
        attested.extend(write(&cose(&key.public_key(), ES256)));
        let asked_for = self.settings.hmac_secret && request.inner(6, EXTENSION) == Some(&true.into());
        let extensions = asked_for.then(|| named([(EXTENSION, true.into())]));
        let data = self.data(party, true, verified, &attested, extensions.as_ref());
        let signature = sign(&key, &[&data, client].concat());
        Ok(Some(map([
            (1, "packed".into()),
            (2, Value::Bytes(data)),
            (3, named([("alg", ES256.into()), ("sig", signature)])),
        ])))
    }

    fn assert(&mut self, request: &Fields, waited: Duration) -> Result<Option<Value>, Fault> {
        let party = request
            .get(1)
            .and_then(Value::as_text)
            .ok_or(Fault::MissingParameter)?;
        let client = request.bytes(2).ok_or(Fault::MissingParameter)?;
        let touch = request.inner(5, "up") != Some(&false.into());
        if request.inner(5, "uv") == Some(&true.into()) {
            return Err(Fault::UnsupportedOption);
        }
        let verified = self.pin.verify(client, request.get(6))?;
        let credential = request
            .get(3)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|named| find(named.as_map()?, &"id".into())?.as_bytes())
            .find_map(|name| Credential::of(&self.settings.secret, party, name))
            .ok_or(Fault::NoCredentials)?;
        let extension = request.inner(4, EXTENSION).filter(|_| self.settings.hmac_secret);
        if extension.is_some() && !touch {
            return Err(Fault::UnsupportedOption);
        }
        if touch && !self.touched(waited)? {
            return Ok(None);
        }
        let output = extension
            .map(|input| self.hmac_secret(&credential, verified, input))
            .transpose()?
            .map(|output| named([(EXTENSION, Value::Bytes(output))]));
        let data = self.data(party, touch, verified, &[], output.as_ref());
        let key = credential.signing_key(&self.settings.secret);
        let signature = sign(&key, &[&data, client].concat());
        Ok(Some(map([
            (
                1,
                named([
                    ("id", Value::Bytes(credential.name().to_vec())),
                    ("type", "public-key".into()),
                ]),
            ),
            (2, Value::Bytes(data)),
            (3, signature),
        ])))
    }

    /// The extension: what comes in is encrypted with the secret that both sides agree on, and so is what goes out.
    fn hmac_secret(&self, credential: &Credential, verified: bool, input: &Value) -> Result<Vec<u8>, Fault> {
        let input = Fields::of(input.as_map().ok_or(Fault::InvalidCbor)?.clone());
        let shared = self.pin.shared(input.get(1).ok_or(Fault::MissingParameter)?)?;
        let salts = input.bytes(2).ok_or(Fault::MissingParameter)?;
        if !is_authentic(&shared, salts, input.bytes(3).ok_or(Fault::MissingParameter)?) {
            return Err(Fault::PinAuthInvalid);
        }
        if salts.len() != 32 && salts.len() != 64 {
            return Err(Fault::InvalidParameter);
        }
        let salts = decrypt(&shared, salts).ok_or(Fault::InvalidParameter)?;
        let key = credential.hmac_key(&self.settings.secret, verified);
        let output: Vec<u8> = salts
            .chunks(32)
            .flat_map(|salt| authenticate(&key, &[salt]))
            .collect();
        Ok(encrypt(&shared, &output))
    }

    /// What is signed: for whom, what was checked, how many times, the credential where it is new, and what extensions say.
    fn data(
        &mut self,
        party: &str,
        touched: bool,
        verified: bool,
        attested: &[u8],
        extensions: Option<&Value>,
    ) -> Vec<u8> {
        self.signatures += 1;
        let flags = [
            (touched, 0x01),
            (verified, 0x04),
            (!attested.is_empty(), 0x40),
            (extensions.is_some(), 0x80),
        ];
        let flags = flags
            .iter()
            .filter(|(set, _)| *set)
            .fold(0_u8, |flags, (_, flag)| flags | flag);
        let mut data = digest(party.as_bytes()).to_vec();
        data.push(flags);
        data.extend(self.signatures.to_be_bytes());
        data.extend(attested);
        data.extend(extensions.map(write).unwrap_or_default());
        data
    }
}

fn sign(key: &p256::SecretKey, message: &[u8]) -> Value {
    let signature: Signature = SigningKey::from(key).sign(message);
    Value::Bytes(signature.to_der().as_bytes().to_vec())
}
