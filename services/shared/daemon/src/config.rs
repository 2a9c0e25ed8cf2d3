//! Configuration files: TOML, strictly decoded, every value in its range or the daemon does not start.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// The largest configuration file that is read, in bytes.
pub const MAX_CONFIG_BYTES: u64 = 64 << 10;

/// A daemon's configuration. Implementations reject unknown fields (`#[serde(deny_unknown_fields)]`).
pub trait Config: Default + DeserializeOwned {
    /// Checks what the types alone cannot: ranges, and values that contradict each other.
    ///
    /// # Errors
    ///
    /// The first value that is not usable.
    fn validate(&self) -> Result<(), ConfigError>;
}

/// Why a configuration was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("read the configuration {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than any configuration should be.
    #[error("the configuration {} is larger than {MAX_CONFIG_BYTES} bytes", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// The text is not what this version understands.
    #[error("understand the configuration {}", path.display())]
    Decode {
        /// Which file.
        path: PathBuf,
        /// Why, with the line.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A value is out of its range.
    #[error("{key} = {value} is out of range: {range}")]
    Range {
        /// Which key.
        key: &'static str,
        /// What it says.
        value: String,
        /// What would do.
        range: &'static str,
    },
}

impl ConfigError {
    /// A value out of its range.
    pub fn range(key: &'static str, value: &impl ToString, range: &'static str) -> Self {
        Self::Range {
            key,
            value: value.to_string(),
            range,
        }
    }
}

/// Reads and checks the configuration at `path`.
///
/// # Errors
///
/// When it cannot be read, has an unknown key, or a value out of its range.
pub fn read_config<C: Config>(path: &Path) -> Result<C, ConfigError> {
    let failed = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_CONFIG_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > MAX_CONFIG_BYTES {
        return Err(ConfigError::TooLarge {
            path: path.to_owned(),
        });
    }
    parse_config(&text, path)
}

/// Decodes and checks the text of a configuration, which came from `path`.
///
/// # Errors
///
/// When it has an unknown key, or a value out of its range.
pub fn parse_config<C: Config>(text: &str, path: &Path) -> Result<C, ConfigError> {
    let config: C = toml::from_str(text).map_err(|source| ConfigError::Decode {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    config.validate()?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        slots: u32,
    }

    impl Config for Sample {
        fn validate(&self) -> Result<(), ConfigError> {
            if self.slots > 8 {
                Err(ConfigError::range("slots", &self.slots, "0 to 8"))
            } else {
                Ok(())
            }
        }
    }

    fn read(text: &str) -> Result<Sample, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read_config(file.path())
    }

    #[test]
    fn reads_what_it_knows_and_refuses_the_rest() {
        assert_eq!(read("slots = 3\n").unwrap(), Sample { slots: 3 });
        assert!(matches!(read("slot = 3\n"), Err(ConfigError::Decode { .. })));
        assert!(matches!(read("slots = 9\n"), Err(ConfigError::Range { .. })));
        assert!(matches!(
            read(&"#".repeat(100_000)),
            Err(ConfigError::TooLarge { .. })
        ));
        assert!(matches!(
            read_config::<Sample>(Path::new("/nowhere")),
            Err(ConfigError::Read { .. })
        ));
    }
}
