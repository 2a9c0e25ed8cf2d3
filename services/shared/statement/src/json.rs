//! JSON read once and strictly: no duplicate key at any depth, nothing after the value, no unknown field.
//!
//! Two readers that resolve a duplicate key differently would see two different statements under one signature.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Why a text is not the JSON that was expected.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It is not JSON, or is nested too deeply.
    #[error("not valid JSON")]
    Syntax(#[source] serde_json::Error),
    /// Something follows the value.
    #[error("data after the end of the JSON value")]
    Trailing,
    /// An object has a key twice.
    #[error("an object has the key {key:?} twice")]
    DuplicateKey {
        /// The key, cut to 64 characters.
        key: String,
    },
    /// A field is missing, unknown or of another type.
    #[error("not the fields that were expected")]
    Shape(#[source] serde_json::Error),
}

/// Reads `text` as a `T`.
///
/// # Errors
///
/// Each deviation has its own variant of [`JsonError`].
pub fn decode<T: DeserializeOwned>(text: &[u8]) -> Result<T, JsonError> {
    let duplicate = Cell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let walked = Walk {
        duplicate: &duplicate,
    }
    .deserialize(&mut reader);
    if let Some(key) = duplicate.take() {
        return Err(JsonError::DuplicateKey { key });
    }
    walked.map_err(JsonError::Syntax)?;
    reader.end().map_err(|_| JsonError::Trailing)?;
    serde_json::from_slice(text).map_err(JsonError::Shape)
}

/// Visits every value and keeps none; stops at the first duplicate key.
#[derive(Clone, Copy)]
struct Walk<'a> {
    duplicate: &'a Cell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if keys.contains(&key) {
                self.duplicate.set(Some(key.chars().take(64).collect()));
                return Err(A::Error::custom("duplicate key"));
            }
            keys.insert(key);
            map.next_value_seed(self)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Point {
        x: u64,
        #[serde(default)]
        more: serde_json::Map<String, serde_json::Value>,
    }

    #[test]
    fn reads_what_it_expects() {
        assert_eq!(
            decode::<Point>(br#" {"x": 7} "#).unwrap(),
            Point {
                x: 7,
                more: serde_json::Map::new()
            }
        );
    }

    #[test]
    fn refuses_a_duplicate_key_at_any_depth_and_escaped() {
        for text in [
            r#"{"x":1,"x":1}"#,
            r#"{"x":1,"more":{"a":[{"b":1,"b":2}]}}"#,
            r#"{"x":1,"more":{"a":1,"\u0061":2}}"#,
        ] {
            assert!(
                matches!(
                    decode::<Point>(text.as_bytes()),
                    Err(JsonError::DuplicateKey { .. })
                ),
                "{text}"
            );
        }
        assert!(decode::<Point>(br#"{"x":1,"more":{"a":[{"b":1},{"b":2}]}}"#).is_ok());
    }

    #[test]
    fn refuses_trailing_data() {
        assert!(matches!(
            decode::<Point>(br#"{"x":1}{"x":2}"#),
            Err(JsonError::Trailing)
        ));
    }

    #[test]
    fn refuses_other_fields_and_types() {
        for text in [
            r"{}",
            r#"{"x":"1"}"#,
            r#"{"x":1,"y":2}"#,
            r#"{"x":-1}"#,
            r#"{"x":1.0}"#,
        ] {
            assert!(
                matches!(decode::<Point>(text.as_bytes()), Err(JsonError::Shape(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_broken_and_bottomless_json() {
        let deep = "[".repeat(100_000);
        for text in ["", "{", r#"{"x":1"#, "nul", deep.as_str(), "{\"x\":\"\u{1}\"}"] {
            assert!(matches!(
                decode::<Point>(text.as_bytes()),
                Err(JsonError::Syntax(_))
            ));
        }
        assert!(matches!(
            decode::<Point>(b"{\"x\":1,\"\xff\":1}"),
            Err(JsonError::Syntax(_))
        ));
    }
}
