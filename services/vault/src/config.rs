//! Configuration of the vault, strictly decoded from TOML.
//!
//! Without a file the defaults below hold; they are the ones that `systemd/etc/vault.toml` documents.

use std::time::Duration;

use holdfast_contract::vault::PanicLevel;
use holdfast_daemon::ConfigError;
use serde::Deserialize;

/// What an operator may decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// After so many minutes without a read or write the vault is locked: 1 to 1440, or 0 for never.
    pub lock_after_minutes: u32,
    /// Seconds in which a panic of level 1 can be called off: 0 to 60.
    pub countdown_lock_seconds: u32,
    /// The same for level 2: 3 to 300.
    pub countdown_remove_tpm_seconds: u32,
    /// The same for level 3: 3 to 300.
    pub countdown_erase_seconds: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lock_after_minutes: 0,
            countdown_lock_seconds: 3,
            countdown_remove_tpm_seconds: 10,
            countdown_erase_seconds: 30,
        }
    }
}

impl Config {
    /// How long a panic of this level can be called off.
    pub fn countdown(&self, level: PanicLevel) -> Duration {
        Duration::from_secs(u64::from(match level {
            PanicLevel::Lock => self.countdown_lock_seconds,
            PanicLevel::RemoveTpm => self.countdown_remove_tpm_seconds,
            PanicLevel::Erase => self.countdown_erase_seconds,
        }))
    }

    /// After how many minutes without use the vault is locked; none for never.
    pub fn lock_after(&self) -> Option<u32> {
        (self.lock_after_minutes > 0).then_some(self.lock_after_minutes)
    }
}

impl holdfast_daemon::Config for Config {
    fn validate(&self) -> Result<(), ConfigError> {
        let within = |key, value: u32, least, most, range| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(ConfigError::range(key, &value, range))
            }
        };
        within(
            "lock_after_minutes",
            self.lock_after_minutes,
            0,
            1440,
            "0 to 1440",
        )?;
        within(
            "countdown_lock_seconds",
            self.countdown_lock_seconds,
            0,
            60,
            "0 to 60",
        )?;
        for (key, value) in [
            ("countdown_remove_tpm_seconds", self.countdown_remove_tpm_seconds),
            ("countdown_erase_seconds", self.countdown_erase_seconds),
        ] {
            within(key, value, 3, 300, "3 to 300")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        holdfast_daemon::parse_config(text, Path::new("vault.toml"))
    }

    #[test]
    fn the_shipped_file_says_what_holds_without_it() {
        let shipped = include_str!("../../../systemd/etc/vault.toml");
        assert_eq!(parse(shipped).unwrap(), Config::default());
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn refuses_unknown_keys_and_values_out_of_range() {
        assert!(matches!(parse("lock_after = 1"), Err(ConfigError::Decode { .. })));
        for text in [
            "lock_after_minutes = 1441",
            "countdown_lock_seconds = 61",
            "countdown_remove_tpm_seconds = 2",
            "countdown_erase_seconds = 0",
        ] {
            assert!(matches!(parse(text), Err(ConfigError::Range { .. })), "{text}");
        }
        assert_eq!(parse("lock_after_minutes = 30").unwrap().lock_after(), Some(30));
    }
}
