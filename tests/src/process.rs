//! What the kernel says about processes.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test that cannot look at its processes has failed"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A process, told from another that got its number later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since boot.
    started: u64,
}

/// The fields of `/proc/PID/stat` after the name: the first is the state.
fn stat(pid: i32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

impl Process {
    /// The process with this number, if there is one that has not ended.
    pub fn of(pid: i32) -> Option<Self> {
        let fields = stat(pid)?;
        if matches!(fields.first()?.as_str(), "Z" | "X") {
            return None;
        }
        Some(Self {
            pid,
            started: fields.get(19)?.parse().ok()?,
        })
    }

    /// Whether it has not ended.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// A field of `/proc/PID/status`.
    pub fn status(self, name: &str) -> Option<String> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// The numbers in a field of `/proc/PID/status`.
    pub fn numbers(self, name: &str) -> Vec<u32> {
        let text = self.status(name).unwrap_or_default();
        text.split_whitespace()
            .filter_map(|number| number.parse().ok())
            .collect()
    }

    /// Memory that is resident, in bytes.
    pub fn resident_bytes(self) -> u64 {
        let text = self.status("VmRSS").unwrap_or_default();
        let kibibytes: u64 = text
            .split_whitespace()
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or(0);
        kibibytes * 1024
    }

    /// Memory that is resident with shared pages divided among those who share them, in bytes; none where the kernel does
    /// not tell.
    pub fn proportional_bytes(self) -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid)).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kibibytes * 1024)
    }

    /// Processor time used so far by the threads that it has.
    pub fn processor_time(self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid));
        let nanoseconds = tasks.into_iter().flatten().filter_map(|task| {
            let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// The program it runs.
    pub fn name(self) -> String {
        std::fs::read_to_string(format!("/proc/{}/comm", self.pid))
            .unwrap_or_default()
            .trim()
            .to_owned()
    }

    /// Everything that was started by it and by what it started.
    pub fn descendants(self) -> Vec<Self> {
        let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for pid in pids() {
            let parent = stat(pid).and_then(|fields| fields.get(1)?.parse().ok());
            if let Some(parent) = parent {
                children.entry(parent).or_default().push(pid);
            }
        }
        let mut found = Vec::new();
        let mut open = vec![self.pid];
        while let Some(pid) = open.pop() {
            for child in children.get(&pid).into_iter().flatten() {
                found.extend(Self::of(*child));
                open.push(*child);
            }
        }
        found
    }

    /// Ends it at once.
    pub fn kill(self) {
        self.signal(rustix::process::Signal::KILL);
    }

    /// Sends a signal to it, if it is still there.
    pub fn signal(self, signal: rustix::process::Signal) {
        if self.is_alive() {
            let pid = rustix::process::Pid::from_raw(self.pid).unwrap();
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

fn pids() -> Vec<i32> {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// Every process that works in `directory`, or below it.
pub fn working_in(directory: &Path) -> Vec<Process> {
    let inside = |pid: &i32| {
        let link = std::fs::read_link(format!("/proc/{pid}/cwd"));
        link.is_ok_and(|cwd: PathBuf| cwd.starts_with(directory))
    };
    pids()
        .into_iter()
        .filter(inside)
        .filter_map(Process::of)
        .collect()
}

/// Whether something is mounted at `directory` or below it.
pub fn has_mounts(directory: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .any(|place| Path::new(place).starts_with(directory))
}
