//! Programs that tests use and that a machine may lack. A test that cannot run says so, and is counted.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Finds `program` on `PATH`. Where it is missing, the test that asks is skipped: a line says so, which `scripts/test` counts.
///
/// # Panics
///
/// In CI, where `scripts/setup-dependencies test` has installed every program that tests use.
pub fn program(program: &str) -> Option<PathBuf> {
    let found = find(program);
    if found.is_none() {
        let why = format!("there is no {program}: run `scripts/setup-dependencies test`");
        assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "{why}");
        skip(&why);
    }
    found
}

/// Finds `program` on `PATH` or where administrators' programs are.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

/// Whether a daemon can be given a file system of its own that the test can look into. Where it cannot, the test that asks is
/// skipped.
pub fn private_file_system() -> bool {
    /// Looking through `/proc/PID/root` of a process that is not dumpable, `capability.h`.
    const CAP_SYS_PTRACE: u32 = 19;
    let Some(unshare) = program("unshare") else {
        return false;
    };
    let mounts = Command::new(unshare)
        .args(["-m", "mount", "-t", "tmpfs", "none", "/tmp"])
        .stderr(Stdio::null())
        .status();
    if !mounts.is_ok_and(|status| status.success()) {
        skip("a file system cannot be mounted here");
        return false;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    let looks = effective.is_some_and(|set| set & (1 << CAP_SYS_PTRACE) != 0);
    if !looks {
        skip("the test may not look at what a daemon mounted for itself (that takes CAP_SYS_PTRACE)");
    }
    looks
}

/// Says that the running test cannot run here, and why. The caller then returns.
pub fn skip(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    say(&format!("[skipped] {test}: {why}"));
}

/// Writes a line that is seen although the test passes. `scripts/test` repeats those that begin with `[skipped]` or `[measured]`.
pub fn say(line: &str) {
    // To the handle itself: the test harness swallows what `println!` prints.
    let mut out = std::io::stdout().lock();
    let _ = write!(out, "\n{line}\n").and_then(|()| out.flush());
}
