//! Programs that tests use and that a machine may lack. A test that cannot run says so, and is counted.

use std::io::Write as _;
use std::path::PathBuf;

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
