//! What an operator may decide about engines. `systemd/etc/inference.toml` documents the same defaults.

use std::time::Duration;

use holdfast_contract::engine::EngineSettings;
use holdfast_daemon::ConfigError;
use serde::Deserialize;

/// The configuration of the inference daemon.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Models loaded at once, 1 to 16. The one that was idle longest makes room for another.
    pub max_engines: u32,
    /// Requests that one engine answers at once, 1 to 64.
    pub slots: u32,
    /// Context of each slot in tokens, 256 to 1 048 576; less where the model was made for less.
    pub context_tokens: u32,
    /// Requests that may wait for one engine, 0 to 1024.
    pub queue: u32,
    /// Threads that compute, 1 to 256; 0 takes one for each processor core.
    pub threads: u32,
    /// The most prompt tokens computed in one step, 32 to 4096.
    pub batch_tokens: u32,
    /// Layers to place on an accelerator, 0 to 9999. Builds without one ignore it.
    pub accelerator_layers: u32,
    /// The most memory that an engine may take besides its model file, in MiB, 256 to 16 777 216; 0 takes as much as
    /// the machine has.
    pub memory_mib: u64,
    /// An engine without requests is unloaded after this many seconds, 10 to 86 400; 0 keeps it.
    pub idle_unload_seconds: u32,
    /// How often the registry is asked whether it still has a loaded model, in seconds, 5 to 3600.
    pub registry_check_seconds: u32,
    /// How long loading a model may take in seconds, 5 to 3600.
    pub load_timeout_seconds: u32,
    /// How long an engine with work may give no sign of life in seconds, 5 to 3600.
    pub stall_timeout_seconds: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_engines: 2,
            slots: 4,
            context_tokens: 4096,
            queue: 64,
            threads: 0,
            batch_tokens: 512,
            accelerator_layers: 9999,
            memory_mib: 0,
            idle_unload_seconds: 900,
            registry_check_seconds: 30,
            load_timeout_seconds: 300,
            stall_timeout_seconds: 60,
        }
    }
}

impl holdfast_daemon::Config for Config {
    fn validate(&self) -> Result<(), ConfigError> {
        let check = |key, value: u64, least: u64, most: u64, zero: bool, range| {
            if (least..=most).contains(&value) || (zero && value == 0) {
                Ok(())
            } else {
                Err(ConfigError::range(key, &value, range))
            }
        };
        check("max_engines", self.max_engines.into(), 1, 16, false, "1 to 16")?;
        check("slots", self.slots.into(), 1, 64, false, "1 to 64")?;
        check(
            "context_tokens",
            self.context_tokens.into(),
            256,
            1 << 20,
            false,
            "256 to 1048576",
        )?;
        check("queue", self.queue.into(), 0, 1024, true, "0 to 1024")?;
        check(
            "threads",
            self.threads.into(),
            1,
            256,
            true,
            "1 to 256, or 0 for one on each core",
        )?;
        check(
            "batch_tokens",
            self.batch_tokens.into(),
            32,
            4096,
            false,
            "32 to 4096",
        )?;
        check(
            "accelerator_layers",
            self.accelerator_layers.into(),
            0,
            9999,
            true,
            "0 to 9999",
        )?;
        check(
            "memory_mib",
            self.memory_mib,
            256,
            1 << 24,
            true,
            "256 to 16777216, or 0 for the machine's",
        )?;
        check(
            "idle_unload_seconds",
            self.idle_unload_seconds.into(),
            10,
            86_400,
            true,
            "10 to 86400, or 0 for never",
        )?;
        check(
            "registry_check_seconds",
            self.registry_check_seconds.into(),
            5,
            3600,
            false,
            "5 to 3600",
        )?;
        check(
            "load_timeout_seconds",
            self.load_timeout_seconds.into(),
            5,
            3600,
            false,
            "5 to 3600",
        )?;
        check(
            "stall_timeout_seconds",
            self.stall_timeout_seconds.into(),
            5,
            3600,
            false,
            "5 to 3600",
        )
    }
}

impl Config {
    /// How an engine shall load a model, on this `machine`.
    pub fn engine(&self, machine: Machine, chat_template: bool) -> EngineSettings {
        EngineSettings {
            slots: self.slots,
            context_tokens: self.context_tokens,
            threads: if self.threads == 0 {
                machine.cores
            } else {
                self.threads
            },
            batch_tokens: self.batch_tokens,
            accelerator_layers: self.accelerator_layers,
            memory_bytes: if self.memory_mib == 0 {
                machine.memory_bytes
            } else {
                self.memory_mib << 20
            },
            chat_template,
        }
    }

    /// How long an engine may be idle; none for ever.
    pub fn idle(&self) -> Option<Duration> {
        (self.idle_unload_seconds > 0).then(|| Duration::from_secs(self.idle_unload_seconds.into()))
    }

    /// How often the registry is asked.
    pub fn registry_check(&self) -> Duration {
        Duration::from_secs(self.registry_check_seconds.into())
    }

    /// How long loading may take.
    pub fn load_timeout(&self) -> Duration {
        Duration::from_secs(self.load_timeout_seconds.into())
    }

    /// How long an engine with work may be silent.
    pub fn stall_timeout(&self) -> Duration {
        Duration::from_secs(self.stall_timeout_seconds.into())
    }
}

/// What this machine has. Found out before the sandbox is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Processor cores that this process may use, not counting a core's second thread.
    pub cores: u32,
    /// Physical memory, in bytes.
    pub memory_bytes: u64,
}

impl Machine {
    /// Looks at `/sys` and asks the kernel.
    pub fn observe() -> Self {
        let usable = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let usable = u32::try_from(usable).unwrap_or(1);
        let info = rustix::system::sysinfo();
        Self {
            cores: physical_cores().map_or(usable, |cores| cores.min(usable)).max(1),
            memory_bytes: u64::from(info.mem_unit).saturating_mul(info.totalram),
        }
    }
}

/// Counts the sets of hardware threads that share a core.
fn physical_cores() -> Option<u32> {
    let mut cores = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir("/sys/devices/system/cpu").ok()?.flatten() {
        let siblings = entry.path().join("topology/thread_siblings_list");
        if let Ok(siblings) = std::fs::read_to_string(siblings) {
            cores.insert(siblings);
        }
    }
    u32::try_from(cores.len()).ok().filter(|cores| *cores > 0)
}

#[cfg(test)]
mod tests {
    use holdfast_daemon::Config as _;

    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
        config.validate().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn the_shipped_file_says_what_holds_without_it() {
        let shipped = include_str!("../../../systemd/etc/inference.toml");
        assert_eq!(parse(shipped).unwrap(), Config::default());
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn refuses_unknown_keys_and_values_out_of_range() {
        assert!(parse("slot = 4").unwrap_err().contains("unknown field"));
        for text in [
            "slots = 0",
            "slots = 65",
            "max_engines = 0",
            "context_tokens = 255",
            "queue = 1025",
            "threads = 257",
            "batch_tokens = 31",
            "memory_mib = 255",
            "idle_unload_seconds = 9",
            "registry_check_seconds = 4",
            "load_timeout_seconds = 4",
            "stall_timeout_seconds = 3601",
        ] {
            assert!(parse(text).unwrap_err().contains("out of range"), "{text}");
        }
        assert_eq!(
            parse("slots = 64\nqueue = 0\nidle_unload_seconds = 0")
                .unwrap()
                .idle(),
            None
        );
    }

    #[test]
    fn zero_means_what_the_machine_has() {
        let machine = Machine {
            cores: 6,
            memory_bytes: 1 << 33,
        };
        let engine = Config::default().engine(machine, true);
        assert_eq!((engine.threads, engine.memory_bytes), (6, 1 << 33));
        let engine = Config {
            threads: 2,
            memory_mib: 512,
            ..Config::default()
        }
        .engine(machine, true);
        assert_eq!((engine.threads, engine.memory_bytes), (2, 512 << 20));
    }

    #[test]
    fn a_machine_has_cores_and_memory() {
        let machine = Machine::observe();
        assert!(machine.cores >= 1 && machine.memory_bytes > 1 << 26);
    }
}
