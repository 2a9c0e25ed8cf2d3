//! Configuration of the registry, strictly decoded from TOML: an unknown key or a value out of its range refuses to load.
//!
//! Without a file the defaults below hold; they are the ones that `systemd/etc/registry.toml` documents.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::store::MOST_MODELS;

/// The largest configuration file, in bytes.
const MAX_CONFIG_BYTES: u64 = 64 << 10;

/// Why a configuration was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("read configuration {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The text is not what this version understands.
    #[error("decode the configuration")]
    Decode(#[from] toml::de::Error),
    /// A value is out of its range.
    #[error("{key} = {value} is out of range: 1 to {most}")]
    Range {
        /// Which key.
        key: &'static str,
        /// What it says.
        value: usize,
        /// The most that would do.
        most: usize,
    },
}

/// What an operator may decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The most models in the store: 1 to [`MOST_MODELS`].
    pub max_models: usize,
    /// How many artifacts are copied at once: 1 to 8. More only share the same device.
    pub copies_at_once: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_models: MOST_MODELS,
            copies_at_once: 2,
        }
    }
}

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is not a configuration.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(MAX_CONFIG_BYTES).read_to_string(&mut text))
            .map_err(|source| ConfigError::Read {
                path: path.to_owned(),
                source,
            })?;
        Self::parse(&text)
    }

    /// Reads the text of a configuration.
    ///
    /// # Errors
    ///
    /// When a key is unknown or a value is out of range.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text)?;
        within("max_models", config.max_models, MOST_MODELS)?;
        within("copies_at_once", config.copies_at_once, 8)?;
        Ok(config)
    }
}

fn within(key: &'static str, value: usize, most: usize) -> Result<(), ConfigError> {
    if (1..=most).contains(&value) {
        Ok(())
    } else {
        Err(ConfigError::Range { key, value, most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_file_says_what_holds_without_it() {
        let shipped = include_str!("../../../systemd/etc/registry.toml");
        assert_eq!(Config::parse(shipped).unwrap(), Config::default());
        assert_eq!(Config::parse("").unwrap(), Config::default());
    }

    #[test]
    fn refuses_unknown_keys_and_values_out_of_range() {
        assert!(matches!(
            Config::parse("max_modells = 1"),
            Err(ConfigError::Decode(_))
        ));
        assert!(matches!(
            Config::parse("max_models = 0"),
            Err(ConfigError::Range {
                key: "max_models",
                ..
            })
        ));
        assert!(matches!(
            Config::parse("max_models = 1025"),
            Err(ConfigError::Range { .. })
        ));
        assert!(matches!(
            Config::parse("copies_at_once = 9"),
            Err(ConfigError::Range { .. })
        ));
        assert_eq!(Config::parse("copies_at_once = 8").unwrap().copies_at_once, 8);
    }
}
