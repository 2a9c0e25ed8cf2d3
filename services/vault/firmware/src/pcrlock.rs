//! Runs `systemd-pcrlock`: a policy is made only if it can say of every PCR that is wanted what it will be at the next boot.

use std::io::Read as _;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use holdfast_contract::vault::{FIRMWARE_POLICY, Firmware};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal};
use serde_json::Value;

/// How long all runs may take together. Who waits for the answer waits a little longer.
const PATIENCE: Duration = Duration::from_secs(40);
/// Bytes of a prediction or a policy at most.
const MAX_JSON_BYTES: u64 = 1 << 20;

/// What is run, and on what.
#[derive(Debug)]
pub struct Pcrlock {
    /// `systemd-pcrlock`.
    pub program: PathBuf,
    /// The firmware's log.
    pub log: PathBuf,
    /// The policy that it makes. systemd's plug-in for libcryptsetup looks for it here.
    pub policy: PathBuf,
    /// How long all its runs may take together.
    pub patience: Duration,
}

/// Why a run was not of use.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("it did not end in time")]
    Hung,
    #[error("whoever asked has called it off")]
    CalledOff,
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

impl From<&RunError> for Firmware {
    fn from(error: &RunError) -> Self {
        match error {
            RunError::Hung => Self::ProgramHung,
            // Nobody is there to be told.
            RunError::CalledOff | RunError::Failed(_) => Self::ProgramFailed,
        }
    }
}

impl Pcrlock {
    /// Makes the policy, in place of the one before. Whoever is at the other end of the socket `asker` calls it off by hanging up, as long as the one
    /// before is there. Afterwards it is gone on with: a place in the TPM that no policy names would be lost.
    pub fn pin(&self, asker: BorrowedFd<'_>) -> Firmware {
        self.try_to_pin(asker).unwrap_or_else(|error| {
            tracing::warn!(%error, "the firmware is not pinned");
            Firmware::from(&error)
        })
    }

    fn try_to_pin(&self, asker: BorrowedFd<'_>) -> Result<Firmware, RunError> {
        if !has_content(&self.log) {
            return Ok(Firmware::NoEventLog);
        }
        let until = Instant::now() + self.patience;
        for what in ["lock-firmware-code", "lock-firmware-config"] {
            match self.run(until, Some(asker), &[what]) {
                Ok(_) => {}
                // It fails where a PCR and the log differ. Which one that is, the prediction shows.
                Err(RunError::Failed(error)) => tracing::warn!(%error, what, "not noted"),
                Err(error) => return Err(error),
            }
        }
        let registers = format!(
            "--pcr={}",
            Firmware::REGISTERS.map(|register| register.to_string()).join("+")
        );
        let predicted = self.run(until, Some(asker), &["predict", &registers, "--json=short"])?;
        if let Some(register) = missing(&predicted) {
            return Ok(Firmware::NotCovered { register });
        }
        // From here on the TPM does not open what was sealed before.
        if !is_wanted(asker) {
            return Err(RunError::CalledOff);
        }
        // The one before goes first: its PIN is sealed to the firmware as it was, so that it could not be changed after a change of the firmware.
        // That its place in the TPM was not found is no obstacle; that its file is still there would be.
        if let Err(error) = self.run(until, None, &["remove-policy"]) {
            tracing::warn!(%error, "the policy before this one");
        }
        if self.policy.exists() {
            return Err(anyhow::anyhow!("the policy before this one is still there").into());
        }
        self.run(until, None, &["make-policy", &registers, "--recovery-pin=hide"])?;
        let policy = read(&self.policy).context("read the policy")?;
        Ok(match missing(&policy) {
            Some(register) => Firmware::NotCovered { register },
            None => Firmware::Pinned,
        })
    }

    fn run(
        &self,
        until: Instant,
        asker: Option<BorrowedFd<'_>>,
        arguments: &[&str],
    ) -> Result<Vec<u8>, RunError> {
        let begun = Instant::now();
        let mut child = Command::new(&self.program)
            .args(arguments)
            .env("SYSTEMD_LOG_LEVEL", "info")
            .env("SYSTEMD_LOG_TARGET", "console")
            .env("PATH", "/usr/sbin:/usr/bin")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // So that whatever it starts can be ended with it.
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {}", self.program.display()))?;
        // What it prints is read beside the wait: a full pipe would make it wait in turn.
        let pipe = child.stdout.take().context("its output")?;
        let reader = std::thread::spawn(move || {
            let mut output = Vec::new();
            let _ = pipe.take(MAX_JSON_BYTES).read_to_end(&mut output);
            output
        });
        let pid = i32::try_from(child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("its id")?;
        let waited = wait(pid, until, asker);
        if waited.is_err() {
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
        let status = child.wait().context("wait for it")?;
        waited?;
        let took = begun.elapsed();
        tracing::info!(what = arguments[0], milliseconds = took.as_millis(), %status, "systemd-pcrlock");
        if !status.success() {
            return Err(anyhow::anyhow!("systemd-pcrlock {} failed ({status})", arguments[0]).into());
        }
        Ok(reader.join().unwrap_or_default())
    }
}

/// Where everything is on the appliance.
pub fn on_the_appliance() -> Pcrlock {
    Pcrlock {
        program: PathBuf::from("/usr/lib/systemd/systemd-pcrlock"),
        log: PathBuf::from("/sys/kernel/security/tpm0/binary_bios_measurements"),
        policy: PathBuf::from(FIRMWARE_POLICY),
        patience: PATIENCE,
    }
}

/// Waits until the program has ended.
fn wait(pid: Pid, until: Instant, asker: Option<BorrowedFd<'_>>) -> Result<(), RunError> {
    let process = rustix::process::pidfd_open(pid, PidfdFlags::empty()).context("watch it")?;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut ends = vec![PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
        ends.extend(asker.map(|asker| PollFd::from_borrowed_fd(asker, PollFlags::empty())));
        match poll(&mut ends, Some(&left)) {
            Ok(0) => return Err(RunError::Hung),
            Ok(_) if ends[0].revents().is_empty() => return Err(RunError::CalledOff),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(anyhow::Error::new(error).context("wait for it").into()),
        }
    }
}

/// Whether the other end of the socket is still open.
fn is_wanted(asker: BorrowedFd<'_>) -> bool {
    let mut ends = [PollFd::from_borrowed_fd(asker, PollFlags::empty())];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut ends, Some(&now)).is_ok_and(|_| ends[0].revents().is_empty())
}

fn has_content(path: &Path) -> bool {
    let mut first = [0];
    std::fs::File::open(path).is_ok_and(|mut file| file.read_exact(&mut first).is_ok())
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    std::fs::File::open(path)?
        .take(MAX_JSON_BYTES)
        .read_to_end(&mut text)?;
    Ok(text)
}

/// The first PCR that is wanted and of which a prediction or a policy says nothing.
fn missing(text: &[u8]) -> Option<u8> {
    let json: Value = serde_json::from_slice(text).unwrap_or_default();
    Firmware::REGISTERS
        .into_iter()
        .find(|register| Firmware::allowed(&json, *register).is_empty())
}

#[cfg(test)]
#[path = "pcrlock_tests.rs"]
#[allow(clippy::unwrap_used, reason = "these are tests")]
mod tests;
