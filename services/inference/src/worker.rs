//! One worker process: started with the model's descriptor, spoken to in lines, ended for good.
//!
//! The worker has read an untrusted model. What it says is read in bounded lines and checked; what it logs is read in bounded
//! amounts and shown as text; nothing it does can make the daemon wait without a deadline.

mod lines;
mod log;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use holdfast_contract::engine::{Command, EXIT_PROCESSOR, Report};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Child;
use tokio::sync::mpsc;

pub use lines::Breach;
use lines::Lines;
use log::LogTail;

/// Commands that may wait for a worker that does not read. More are a breach.
const WAITING_COMMANDS: usize = 512;
/// How long a killed worker may take to be gone. The kernel frees its memory meanwhile.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// A running worker. Dropping it kills it.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    reports: Lines<OwnedReadHalf>,
    commands: mpsc::Sender<Vec<u8>>,
    log: LogTail,
}

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// In one clause for a person, for example "it was ended by signal 11".
    pub how: String,
    /// The last lines that it logged; untrusted text, bounded, without control characters.
    pub log: Vec<String>,
}

impl Worker {
    /// Starts `program` with the model as standard input and a socket as standard output.
    ///
    /// # Errors
    ///
    /// When the program cannot be started.
    pub fn start(program: &Path, model: OwnedFd) -> io::Result<Self> {
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut child = tokio::process::Command::new(program)
            .env_clear()
            // ggml would start a debugger when it aborts, and glibc an arena for each thread.
            .env("GGML_NO_BACKTRACE", "1")
            .env("MALLOC_ARENA_MAX", "2")
            .stdin(Stdio::from(model))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (reports, input) = UnixStream::from_std(ours)?.into_split();
        let (commands, waiting) = mpsc::channel(WAITING_COMMANDS);
        tokio::spawn(write(input, waiting));
        let log = LogTail::follow(child.stderr.take());
        Ok(Self {
            child,
            reports: Lines::new(reports),
            commands,
            log,
        })
    }

    /// Its process id; 0 once it has ended.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Sends a command, without waiting for the worker to read it.
    ///
    /// # Errors
    ///
    /// When the worker has ended or does not read.
    pub fn send(&self, command: &Command) -> Result<(), Breach> {
        let mut line = serde_json::to_vec(command).map_err(|_| Breach::Ended)?;
        line.push(b'\n');
        self.commands.try_send(line).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Breach::Deaf,
            mpsc::error::TrySendError::Closed(_) => Breach::Ended,
        })
    }

    /// Receives the next report. May be dropped and called again without loss.
    ///
    /// # Errors
    ///
    /// When the worker has ended, or says what it must not.
    pub async fn receive(&mut self) -> Result<Report, Breach> {
        self.reports.next().await
    }

    /// Ends the process if it has not ended, and waits until it is gone.
    pub async fn end(mut self) -> Exit {
        // One that is about to end by itself is given the moment to do so: its exit status says why.
        let by_itself = tokio::time::timeout(Duration::from_millis(200), self.child.wait()).await;
        let status = if let Ok(status) = by_itself {
            status.ok()
        } else {
            let _ = self.child.start_kill();
            tokio::time::timeout(GONE_WITHIN, self.child.wait())
                .await
                .ok()
                .and_then(Result::ok)
        };
        Exit {
            how: describe(status),
            log: self.log.take().await,
        }
    }

    /// Kills the process and waits until it is gone.
    pub async fn kill(mut self) {
        let _ = self.child.start_kill();
        if tokio::time::timeout(GONE_WITHIN, self.child.wait())
            .await
            .is_err()
        {
            tracing::error!(pid = self.pid(), "a killed engine does not go away");
        }
    }
}

async fn write(mut to: OwnedWriteHalf, mut commands: mpsc::Receiver<Vec<u8>>) {
    while let Some(line) = commands.recv().await {
        if to.write_all(&line).await.is_err() {
            return;
        }
    }
}

fn describe(status: Option<ExitStatus>) -> String {
    let Some(status) = status else {
        return "it did not go away when it was killed".to_owned();
    };
    match (status.signal(), status.code()) {
        // SIGILL, SIGABRT, SIGKILL, SIGSEGV, SIGSYS
        (Some(4), _) => "this processor cannot run the engine's code".to_owned(),
        (Some(6), _) => "it gave up".to_owned(),
        (Some(9), _) => "it was killed, perhaps because memory ran out".to_owned(),
        (Some(11 | 7), _) => "it touched memory that is not its own".to_owned(),
        (Some(31), _) => "it tried what its sandbox forbids".to_owned(),
        (Some(signal), _) => format!("it was ended by signal {signal}"),
        (None, Some(code)) if code == i32::from(EXIT_PROCESSOR) => {
            "this processor lacks instructions that the engine was built for".to_owned()
        }
        (None, Some(0)) => "it ended by itself".to_owned(),
        (None, code) => format!("it ended with status {}", code.unwrap_or(-1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_end_has_words() {
        for (raw, expected) in [
            (0, "by itself"),
            (78 << 8, "lacks instructions"),
            (1 << 8, "status 1"),
            (4, "processor cannot run"),
            (6, "gave up"),
            (9, "killed"),
            (11, "not its own"),
            (15, "signal 15"),
            (31, "sandbox"),
        ] {
            let words = describe(Some(ExitStatus::from_raw(raw)));
            assert!(words.contains(expected), "{raw}: {words}");
        }
        assert!(describe(None).contains("did not go away"));
    }
}
