//! Runs one program and says what it cost.
//!
//! Each run gets a wrapper process of its own (this program again). The kernel adds what a process used to its parent's count
//! when the parent waits for it, so what the wrapper reads about its children afterwards is exact and of this run only:
//! nothing is sampled while the clock runs.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use holdfast_tests::process::Process;
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeVal;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::tools::{self, Invocation};

/// The most output of a tool that is read.
const MAX_OUTPUT: u64 = 64 << 20;
/// How often memory is looked at in a run that is observed.
const OBSERVED_EVERY: Duration = Duration::from_millis(10);

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// By itself, with this code.
    Code(i32),
    /// By a signal that was not ours.
    Signal(i32),
    /// It was ended because its time was up.
    TimedOut,
}

/// What a run cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// How it ended.
    pub ended: Ended,
    /// From its start to its end.
    pub seconds: f64,
    /// The processor time of it and of the processes that it waited for, in seconds.
    pub processor_seconds: f64,
    /// The most memory that one of its processes had resident.
    pub peak_kib: u64,
    /// What it and the processes that it waited for asked the kernel to read, in bytes.
    pub read_bytes: u64,
}

/// A run with what the program said.
#[derive(Debug)]
pub struct Run {
    /// What it cost.
    pub cost: Cost,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// What the wrapper is to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Order {
    /// Where it writes the cost.
    pub report: PathBuf,
    /// How long the program may take.
    pub limit: Duration,
    /// Whether the memory of all processes together is looked at while they run, which slows them a little.
    pub observe: bool,
    /// The program and its arguments.
    pub command: Vec<OsString>,
}

/// Runs a tool within a wrapper, in `directory`.
pub fn run(
    invocation: &Invocation,
    directory: &Path,
    limit: Duration,
    observe: bool,
) -> Result<Run, Failure> {
    let place = tempfile::tempdir_in(directory)?;
    let path = |name: &str| place.path().join(name);
    let mut wrapper = Command::new(std::env::current_exe()?);
    wrapper
        .arg("--measure")
        .arg(path("cost"))
        .arg(limit.as_millis().to_string())
        .arg(if observe { "observe" } else { "undisturbed" })
        .arg(&invocation.program)
        .args(&invocation.arguments)
        .env_clear()
        .envs(tools::environment(place.path()))
        .current_dir(place.path())
        .stdin(Stdio::null())
        .stdout(File::create(path("out"))?)
        .stderr(File::create(path("err"))?);
    let status = wrapper.status()?;
    let (stdout, stderr) = (text(&path("out"))?, text(&path("err"))?);
    if !status.success() {
        return Err(format!("{} was not measured: {stderr}", invocation.program.display()).into());
    }
    let cost = serde_json::from_slice(&std::fs::read(path("cost"))?)?;
    Ok(Run { cost, stdout, stderr })
}

fn text(path: &Path) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_OUTPUT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The wrapper's whole life: its standard streams are the program's.
pub fn wrapper(order: &Order) -> Result<(), Failure> {
    let cost = execute(order)?;
    Ok(std::fs::write(&order.report, serde_json::to_vec(&cost)?)?)
}

fn execute(order: &Order) -> Result<Cost, Failure> {
    let (program, arguments) = order.command.split_first().ok_or("no program to measure")?;
    let read_before = read_bytes()?;
    let begun = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .process_group(0)
        .spawn()
        .map_err(|error| format!("start {}: {error}", program.display()))?;
    let pid = i32::try_from(child.id())?;
    let (finished, waiting) = mpsc::channel::<()>();
    let late = Arc::new(AtomicBool::new(false));
    let (limit, observe, told) = (order.limit, order.observe, Arc::clone(&late));
    let guard = std::thread::spawn(move || guard(pid, limit, observe, &waiting, &told));
    let status = child.wait()?;
    let seconds = begun.elapsed().as_secs_f64();
    drop(finished);
    let together = guard.join().unwrap_or(0);
    let ended = match (late.load(Ordering::SeqCst), status.code()) {
        (true, _) => Ended::TimedOut,
        (false, Some(code)) => Ended::Code(code),
        (false, None) => Ended::Signal(status.signal().unwrap_or(0)),
    };
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let largest = u64::try_from(usage.max_rss())?;
    Ok(Cost {
        ended,
        seconds,
        processor_seconds: processor_seconds(&usage),
        peak_kib: largest.max(together / 1024),
        read_bytes: read_bytes()?.saturating_sub(read_before),
    })
}

/// Ends the program and what it started when its time is up. Returns the most memory seen in all its processes together, in
/// bytes, where that is asked for.
fn guard(pid: i32, limit: Duration, observe: bool, finished: &mpsc::Receiver<()>, late: &AtomicBool) -> u64 {
    let deadline = Instant::now() + limit;
    let mut peak = 0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let pause = if observe { left.min(OBSERVED_EVERY) } else { left };
        match finished.recv_timeout(pause) {
            Err(mpsc::RecvTimeoutError::Timeout) if left.is_zero() => {
                late.store(true, Ordering::SeqCst);
                if let Some(group) = Pid::from_raw(pid) {
                    let _ = kill_process_group(group, Signal::KILL);
                }
                return peak;
            }
            Err(mpsc::RecvTimeoutError::Timeout) => peak = peak.max(resident_together(pid)),
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => return peak,
        }
    }
}

fn resident_together(pid: i32) -> u64 {
    let Some(process) = Process::of(pid) else { return 0 };
    let children = process.descendants();
    let all = std::iter::once(process).chain(children);
    all.map(Process::resident_bytes).sum()
}

#[expect(clippy::cast_precision_loss, reason = "a time for people")]
fn processor_seconds(usage: &Usage) -> f64 {
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

/// What this process and those that it waited for have read so far.
fn read_bytes() -> Result<u64, Failure> {
    let text = std::fs::read_to_string("/proc/self/io")?;
    let number = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    Ok(number.ok_or("/proc/self/io has no rchar")?.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(script: &str, limit: Duration) -> Result<Cost, Failure> {
        execute(&Order {
            report: PathBuf::new(),
            limit,
            observe: true,
            command: ["/bin/sh", "-c", script].map(OsString::from).to_vec(),
        })
    }

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn an_exit_code_is_kept() {
        assert_eq!(cost("exit 3", LONG).unwrap().ended, Ended::Code(3));
    }

    #[test]
    fn a_program_that_crashes_is_told_from_one_that_ends() {
        assert_eq!(cost("kill -SEGV $$", LONG).unwrap().ended, Ended::Signal(11));
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_what_it_started() {
        let begun = Instant::now();
        let cost = cost("sleep 300 & wait", Duration::from_millis(200)).unwrap();
        assert_eq!(cost.ended, Ended::TimedOut);
        assert!(begun.elapsed() < LONG);
    }

    #[test]
    fn a_program_that_is_missing_is_an_error_that_names_it() {
        let order = Order {
            report: PathBuf::new(),
            limit: LONG,
            observe: false,
            command: vec!["/nonexistent/scanner".into()],
        };
        let error = execute(&order).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/scanner"), "{error}");
    }

    #[test]
    fn what_a_grandchild_reads_is_counted() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![7; 3 << 20]).unwrap();
        let script = format!("(cat {0} >/dev/null; true); true", file.path().display());
        let cost = cost(&script, LONG).unwrap();
        assert!(cost.read_bytes >= 3 << 20, "{cost:?}");
        assert!(cost.peak_kib > 0);
    }
}
