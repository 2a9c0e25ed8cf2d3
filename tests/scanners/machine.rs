//! The machine, by what matters for speed and by nothing that tells it from others of its kind.

use serde::{Deserialize, Serialize};

/// A machine.
#[derive(Debug, Serialize, Deserialize)]
pub struct Machine {
    /// Its processor.
    pub processor: String,
    /// How many threads run at once.
    pub cores: usize,
    /// Its kernel.
    pub kernel: String,
}

/// This machine.
pub fn describe() -> Machine {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let information = read("/proc/cpuinfo");
    let model = information
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown", |rest| rest.trim_start_matches([':', '\t', ' ']));
    // What follows the number is the distribution's, or whoever built it.
    let release = read("/proc/sys/kernel/osrelease");
    let number = release
        .split(|letter: char| letter != '.' && !letter.is_ascii_digit())
        .next();
    Machine {
        processor: model.to_owned(),
        cores: std::thread::available_parallelism().map_or(1, Into::into),
        kernel: format!("Linux {}", number.unwrap_or_default()),
    }
}
