//! Configuration of quarantine, strictly decoded from TOML: an unknown key or a value out of its range refuses to load.
//!
//! Without a file the defaults below hold; they are the ones that `systemd/etc/quarantine.toml` documents.

use std::path::PathBuf;

use holdfast_contract::limits::MAX_ARTIFACT_BYTES;
use holdfast_daemon::ConfigError;
use serde::Deserialize;

/// What an operator may decide.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The largest file that is taken in, in bytes: 1 to [`MAX_ARTIFACT_BYTES`].
    pub max_artifact_bytes: u64,
    /// How many files may be on their way at once, from the first byte to the end: 1 to 64.
    pub submissions_at_once: usize,
    /// How many files are inspected at once: 1 to 16.
    pub workers_at_once: usize,
    /// How many submissions that came to an end are remembered: 1 to 100.
    pub kept_submissions: usize,
    /// Files and directories with YARA rules, which are searched for besides those that come with Holdfast: absolute paths.
    pub rules: Vec<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_artifact_bytes: MAX_ARTIFACT_BYTES,
            submissions_at_once: 8,
            workers_at_once: 2,
            kept_submissions: 100,
            rules: Vec::new(),
        }
    }
}

impl holdfast_daemon::Config for Config {
    fn validate(&self) -> Result<(), ConfigError> {
        if !(1..=MAX_ARTIFACT_BYTES).contains(&self.max_artifact_bytes) {
            return Err(ConfigError::range(
                "max_artifact_bytes",
                &self.max_artifact_bytes,
                "1 to 68719476736",
            ));
        }
        if !(1..=64).contains(&self.submissions_at_once) {
            return Err(ConfigError::range(
                "submissions_at_once",
                &self.submissions_at_once,
                "1 to 64",
            ));
        }
        if !(1..=16).contains(&self.workers_at_once) {
            return Err(ConfigError::range(
                "workers_at_once",
                &self.workers_at_once,
                "1 to 16",
            ));
        }
        if !(1..=100).contains(&self.kept_submissions) {
            return Err(ConfigError::range(
                "kept_submissions",
                &self.kept_submissions,
                "1 to 100",
            ));
        }
        if let Some(path) = self.rules.iter().find(|path| !path.is_absolute()) {
            return Err(ConfigError::range("rules", &path.display(), "absolute paths"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        holdfast_daemon::parse_config(text, Path::new("quarantine.toml"))
    }

    #[test]
    fn the_shipped_file_says_what_holds_without_it() {
        let shipped = include_str!("../../../systemd/etc/quarantine.toml");
        assert_eq!(parse(shipped).unwrap(), Config::default());
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn refuses_unknown_keys_and_values_out_of_range() {
        assert!(matches!(
            parse("max_artifact = 1"),
            Err(ConfigError::Decode { .. })
        ));
        for wrong in [
            "max_artifact_bytes = 68719476737",
            "workers_at_once = 0",
            "submissions_at_once = 65",
            "kept_submissions = 101",
            "rules = ['site.yar']",
        ] {
            assert!(matches!(parse(wrong), Err(ConfigError::Range { .. })), "{wrong}");
        }
        assert_eq!(parse("kept_submissions = 100").unwrap(), Config::default());
    }
}
