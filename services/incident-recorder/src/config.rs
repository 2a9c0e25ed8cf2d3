//! Configuration of the incident recorder. Without a file the defaults below hold; they are the ones that
//! `systemd/etc/incident-recorder.toml` documents.

use std::time::Duration;

use holdfast_daemon::ConfigError;
use holdfast_ledger::Options;
use serde::Deserialize;

/// What an operator may decide.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A durable entry is under a signed checkpoint after this many milliseconds, or as soon as somebody reads.
    pub checkpoint_interval_ms: u64,
    /// Appends are refused when the file system has less than this left, in bytes.
    pub min_free_bytes: u64,
    /// The most entries that one source may append in a second.
    pub entries_per_second: u32,
    /// The most incidents that one source may report in a second.
    pub reports_per_second: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            checkpoint_interval_ms: 1_000,
            min_free_bytes: 32 << 20,
            entries_per_second: 100_000,
            reports_per_second: 50,
        }
    }
}

impl holdfast_daemon::Config for Config {
    fn validate(&self) -> Result<(), ConfigError> {
        within(
            "checkpoint_interval_ms",
            self.checkpoint_interval_ms,
            10,
            60_000,
            "10 to 60000",
        )?;
        within(
            "min_free_bytes",
            self.min_free_bytes,
            1 << 20,
            1 << 40,
            "1 MiB to 1 TiB",
        )?;
        within(
            "entries_per_second",
            self.entries_per_second.into(),
            1,
            1_000_000,
            "1 to 1000000",
        )?;
        within(
            "reports_per_second",
            self.reports_per_second.into(),
            1,
            10_000,
            "1 to 10000",
        )
    }
}

fn within(
    key: &'static str,
    value: u64,
    least: u64,
    most: u64,
    range: &'static str,
) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(ConfigError::range(key, &value, range))
    }
}

impl Config {
    pub(crate) fn ledger_options(&self) -> Options {
        Options {
            checkpoint_interval: Duration::from_millis(self.checkpoint_interval_ms),
            min_free_bytes: self.min_free_bytes,
            ..Options::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use holdfast_daemon::Config as _;

    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        holdfast_daemon::read_config(file.path())
    }

    #[test]
    fn the_shipped_file_says_what_holds_without_it() {
        let shipped = include_str!("../../../systemd/etc/incident-recorder.toml");
        assert_eq!(read(shipped).unwrap(), Config::default());
        assert_eq!(read("").unwrap(), Config::default());
        assert!(Config::default().validate().is_ok());
        // Every key is documented there.
        let documented: toml::Table = shipped.parse().unwrap();
        assert_eq!(documented.len(), 4);
    }

    #[test]
    fn refuses_unknown_keys_and_values_out_of_range() {
        assert!(matches!(read("min_free = 1"), Err(ConfigError::Decode { .. })));
        for (low, high, most) in [
            (
                "checkpoint_interval_ms = 9",
                "checkpoint_interval_ms = 60001",
                "checkpoint_interval_ms = 60000",
            ),
            (
                "min_free_bytes = 0",
                "min_free_bytes = 1099511627777",
                "min_free_bytes = 1099511627776",
            ),
            (
                "entries_per_second = 0",
                "entries_per_second = 1000001",
                "entries_per_second = 1000000",
            ),
            (
                "reports_per_second = 0",
                "reports_per_second = 10001",
                "reports_per_second = 10000",
            ),
        ] {
            assert!(matches!(read(low), Err(ConfigError::Range { .. })), "{low}");
            assert!(matches!(read(high), Err(ConfigError::Range { .. })), "{high}");
            assert!(read(most).is_ok(), "{most}");
        }
    }
}
