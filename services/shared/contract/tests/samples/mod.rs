//! One value or more of every type of the contract: each variant, and fields both given and left out.

mod engine;
mod inference;
mod intake;
mod ledger;
mod system;
mod vault;

use holdfast_contract::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Values of one type, in JSON.
pub struct Sample {
    /// The type's name.
    pub name: &'static str,
    /// Whether it is an object that refuses what it does not know.
    pub strict: bool,
    /// The values.
    pub values: Vec<String>,
    /// Reads a value and writes it again, or says why not.
    pub reread: fn(&str) -> Result<String, String>,
}

/// A module of the contract and the samples of its types.
pub type Module = (&'static str, fn() -> Vec<Sample>);

/// Every module with types.
pub const MODULES: &[Module] = &[
    ("digest", system::digest),
    ("engine", engine::samples),
    ("firmware", vault::firmware),
    ("inference", inference::samples),
    ("ledger", ledger::samples),
    ("problem", system::problem),
    ("profile", system::profile),
    ("quarantine", intake::quarantine),
    ("registry", intake::registry),
    ("report", intake::report),
    ("role", system::role),
    ("status", system::status),
    ("vault", vault::samples),
];

/// A structure that refuses unknown fields.
pub fn strict<T: Serialize + DeserializeOwned>(values: &[T]) -> Sample {
    Sample {
        strict: true,
        ..any(values)
    }
}

/// Anything else: an enumeration, or a value with a text form.
pub fn any<T: Serialize + DeserializeOwned>(values: &[T]) -> Sample {
    let path = std::any::type_name::<T>();
    Sample {
        name: path.rsplit("::").next().unwrap_or(path),
        strict: false,
        values: values
            .iter()
            .map(|value| serde_json::to_string(value).unwrap())
            .collect(),
        reread: |text| {
            let value: T = serde_json::from_str(text).map_err(|error| error.to_string())?;
            serde_json::to_string(&value).map_err(|error| error.to_string())
        },
    }
}

/// A digest of 32 times the same byte.
pub fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

/// A moment, to the microsecond.
pub fn moment() -> holdfast_contract::Timestamp {
    "2026-01-02T03:04:05.678901Z".parse().unwrap()
}
