//! Reading a request field by field, so that each error names its field. Fields that nobody asks for are ignored, as
//! `OpenAI` does; fields that ask for what is not there are refused.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::ApiError;

/// The fields of a request.
#[derive(Debug)]
pub struct Fields(Map<String, Value>);

/// One value or a list of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// A list.
    Many(Vec<String>),
}

impl From<OneOrMany> for Vec<String> {
    fn from(given: OneOrMany) -> Self {
        match given {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

impl Fields {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// When it is not a JSON object.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        serde_json::from_slice(bytes)
            .map(Self)
            .map_err(|error| ApiError::malformed(format!("The request body is not a JSON object: {error}.")))
    }

    /// A field, none where it is absent or null.
    ///
    /// # Errors
    ///
    /// When it is there and not what was expected.
    pub fn take<T: DeserializeOwned>(&mut self, name: &str, expected: &str) -> Result<Option<T>, ApiError> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value)
                .map(Some)
                .map_err(|_| ApiError::invalid(name, format!("'{name}' has to be {expected}."))),
        }
    }

    /// A field that has to be there.
    ///
    /// # Errors
    ///
    /// When it is absent, null, or not what was expected.
    pub fn require<T: DeserializeOwned>(&mut self, name: &str, expected: &str) -> Result<T, ApiError> {
        self.take(name, expected)?
            .ok_or_else(|| ApiError::invalid(name, format!("'{name}' is missing; it has to be {expected}.")))
    }

    /// A number between two others.
    ///
    /// # Errors
    ///
    /// When it is no number or out of range.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range is within what f32 holds"
    )]
    pub fn number(&mut self, name: &str, least: f64, most: f64) -> Result<Option<f32>, ApiError> {
        let Some(number) = self.take::<f64>(name, "a number")? else {
            return Ok(None);
        };
        if (least..=most).contains(&number) {
            return Ok(Some(number as f32));
        }
        Err(ApiError::invalid(
            name,
            format!("'{name}' has to be between {least} and {most}."),
        ))
    }

    /// A whole number between two others.
    ///
    /// # Errors
    ///
    /// When it is no whole number or out of range.
    pub fn whole(&mut self, name: &str, least: u32, most: u32) -> Result<Option<u32>, ApiError> {
        let expected = format!("a whole number between {least} and {most}");
        match self.take::<u32>(name, &expected)? {
            Some(number) if !(least..=most).contains(&number) => {
                Err(ApiError::invalid(name, format!("'{name}' has to be {expected}.")))
            }
            number => Ok(number),
        }
    }

    /// Refuses a field that asks for what this version does not have. Absent, null, `false`, empty, or one of the
    /// `harmless` values asks for nothing.
    ///
    /// # Errors
    ///
    /// When it asks for something.
    pub fn refuse(&mut self, name: &str, harmless: &[&str]) -> Result<(), ApiError> {
        let asks = match self.0.remove(name) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Array(list)) => !list.is_empty(),
            Some(Value::Object(object)) => !object.is_empty(),
            Some(Value::String(text)) => !text.is_empty() && !harmless.contains(&text.as_str()),
            Some(Value::Bool(true) | Value::Number(_)) => true,
        };
        if asks {
            return Err(ApiError::unsupported(
                name,
                format!("'{name}' is not supported in this version."),
            ));
        }
        Ok(())
    }
}
