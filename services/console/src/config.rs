//! Configuration of the console, strictly decoded from TOML: an unknown key or a value out of its range refuses to load.
//!
//! Without a file the defaults below hold; they are the ones that `systemd/etc/console.toml` documents.

use std::time::Duration;

use holdfast_daemon::ConfigError;
use serde::Deserialize;

/// What an operator may decide.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Further `Host` values to answer to, besides the loopback names with the listening port.
    pub allowed_hosts: Vec<String>,
    /// A session ends after this long without a request, in minutes: 5 to 1440.
    pub session_idle_minutes: u32,
    /// A session ends after this long in any case, in hours: 1 to 720.
    pub session_absolute_hours: u32,
    /// The most conversations that are kept: 1 to 10 000. A new one beyond it is refused until others are deleted.
    pub max_conversations: usize,
    /// The most API tokens: 1 to 1000.
    pub max_tokens: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allowed_hosts: Vec::new(),
            session_idle_minutes: 120,
            session_absolute_hours: 24,
            max_conversations: 1_000,
            max_tokens: 100,
        }
    }
}

impl holdfast_daemon::Config for Config {
    fn validate(&self) -> Result<(), ConfigError> {
        in_range(
            "session_idle_minutes",
            u64::from(self.session_idle_minutes),
            5,
            1_440,
            "5 to 1440",
        )?;
        in_range(
            "session_absolute_hours",
            u64::from(self.session_absolute_hours),
            1,
            720,
            "1 to 720",
        )?;
        in_range(
            "max_conversations",
            self.max_conversations as u64,
            1,
            10_000,
            "1 to 10000",
        )?;
        in_range("max_tokens", self.max_tokens as u64, 1, 1_000, "1 to 1000")?;
        for host in &self.allowed_hosts {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
            if host.is_empty() || host.len() > 255 || !host.bytes().all(plain) {
                let range =
                    "a host name or address with its port, as browsers send it, without scheme or wildcard";
                return Err(ConfigError::range("allowed_hosts", host, range));
            }
        }
        Ok(())
    }
}

impl Config {
    /// [`Config::session_idle_minutes`] as a duration.
    pub fn session_idle(&self) -> Duration {
        Duration::from_secs(u64::from(self.session_idle_minutes) * 60)
    }

    /// [`Config::session_absolute_hours`] as a duration.
    pub fn session_absolute(&self) -> Duration {
        Duration::from_secs(u64::from(self.session_absolute_hours) * 3_600)
    }
}

fn in_range(
    key: &'static str,
    value: u64,
    low: u64,
    high: u64,
    range: &'static str,
) -> Result<(), ConfigError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::range(key, &value, range))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use holdfast_daemon::read_config;

    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read_config(file.path())
    }

    #[test]
    fn the_shipped_file_says_what_the_defaults_are() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd/etc/console.toml");
        assert_eq!(read_config::<Config>(&shipped).unwrap(), Config::default());
    }

    #[test]
    fn an_empty_file_means_the_defaults() {
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn refuses_unknown_keys_and_values_out_of_range() {
        assert!(matches!(
            parse("session_idle = 3"),
            Err(ConfigError::Decode { .. })
        ));
        assert!(matches!(
            parse("session_idle_minutes = 4"),
            Err(ConfigError::Range { .. })
        ));
        assert_eq!(parse("session_idle_minutes = 5").unwrap().session_idle_minutes, 5);
        assert!(matches!(
            parse("max_conversations = 0"),
            Err(ConfigError::Range { .. })
        ));
    }

    #[test]
    fn refuses_hosts_with_a_scheme_or_a_wildcard() {
        for host in ["http://a:1", "*", "", "a b", "a/b"] {
            assert!(parse(&format!("allowed_hosts = [\"{host}\"]")).is_err(), "{host}");
        }
        let config = parse("allowed_hosts = [\"box.lan:8480\", \"[fd00::1]:8480\"]").unwrap();
        assert_eq!(config.allowed_hosts.len(), 2);
    }
}
