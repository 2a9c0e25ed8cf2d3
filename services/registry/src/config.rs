//! Configuration of the registry, strictly decoded from TOML: an unknown key or a value out of its range refuses to load.
//!
//! Without a file the defaults below hold; they are the ones that `systemd/etc/registry.toml` documents.

use holdfast_daemon::ConfigError;
use serde::Deserialize;

use crate::store::MOST_MODELS;

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

impl holdfast_daemon::Config for Config {
    fn validate(&self) -> Result<(), ConfigError> {
        if !(1..=MOST_MODELS).contains(&self.max_models) {
            return Err(ConfigError::range("max_models", &self.max_models, "1 to 1024"));
        }
        if !(1..=8).contains(&self.copies_at_once) {
            return Err(ConfigError::range(
                "copies_at_once",
                &self.copies_at_once,
                "1 to 8",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        holdfast_daemon::parse_config(text, Path::new("registry.toml"))
    }

    #[test]
    fn the_shipped_file_says_what_holds_without_it() {
        let shipped = include_str!("../../../systemd/etc/registry.toml");
        assert_eq!(parse(shipped).unwrap(), Config::default());
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn refuses_unknown_keys_and_values_out_of_range() {
        assert!(matches!(
            parse("max_modells = 1"),
            Err(ConfigError::Decode { .. })
        ));
        assert!(matches!(
            parse("max_models = 0"),
            Err(ConfigError::Range {
                key: "max_models",
                ..
            })
        ));
        assert!(matches!(
            parse("max_models = 1025"),
            Err(ConfigError::Range { .. })
        ));
        assert!(matches!(
            parse("copies_at_once = 9"),
            Err(ConfigError::Range { .. })
        ));
        assert_eq!(parse("copies_at_once = 8").unwrap().copies_at_once, 8);
    }
}
