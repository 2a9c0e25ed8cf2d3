//! The real daemon, started as its supervisor would: sockets inherited, surroundings in the environment.

#![allow(dead_code, reason = "each test program uses its own part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "helpers of tests: what cannot go on fails the test"
)]

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use holdfast_contract::ledger::{Append, Entries, Event, IndexedEntry, Outcome};
use holdfast_contract::role::{self, Role};
use holdfast_ipc::Client;
use holdfast_ledger::verify::{VerifyOptions, VerifyReport, verify};
use holdfast_ledger::{KEY_NAME, Signer};
use serde_json::{Map, Value};

const ROLES: [Role; 3] = [role::RECORDER_APPEND, role::RECORDER_REPORT, role::RECORDER_READ];
const SEED: [u8; 32] = [7; 32];
/// What `SO_PEERCRED` makes of this test.
pub const OWN_NAME: &str = "tester";

/// Descriptors that are to be inherited are open to every child that is started meanwhile: one at a time.
static SPAWNING: Mutex<()> = Mutex::new(());

/// A directory with everything the daemon needs, and the sockets, which outlive the daemon.
pub struct Place {
    directory: tempfile::TempDir,
    sockets: Vec<(Role, OwnedFd)>,
}

/// A running daemon. Dropping it kills it.
pub struct Daemon {
    child: Child,
}

pub fn signer() -> Signer {
    Signer::from_seed(KEY_NAME, &SEED).unwrap()
}

pub fn entry(subject: &str) -> Append {
    Append {
        event: Event::ModelOpen,
        outcome: Outcome::Allowed,
        subject: subject.to_owned(),
        detail: Map::new(),
    }
}

pub fn entry_with(subject: &str, detail: &Value) -> Append {
    Append {
        detail: detail.as_object().unwrap().clone(),
        ..entry(subject)
    }
}

impl Place {
    pub fn new() -> Self {
        Self::new_in(&std::env::temp_dir())
    }

    pub fn new_in(parent: &Path) -> Self {
        let directory = tempfile::tempdir_in(parent).unwrap();
        let run = directory.path().join("run");
        std::fs::create_dir_all(run.join("incident-recorder")).unwrap();
        for name in ["state", "credentials"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        std::fs::write(directory.path().join("credentials/ledger-key"), SEED).unwrap();
        let listen = |role: Role| (role, OwnedFd::from(UnixListener::bind(role.path(&run)).unwrap()));
        let sockets = ROLES.into_iter().map(listen).collect();
        Self { directory, sockets }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    pub fn socket(&self, role: Role) -> PathBuf {
        role.path(&self.path().join("run"))
    }

    pub fn client(&self, role: Role) -> Client {
        Client::new(self.socket(role))
    }

    pub fn appends(&self) -> Client {
        self.client(role::RECORDER_APPEND)
    }

    pub fn reads(&self) -> Client {
        self.client(role::RECORDER_READ)
    }

    /// All entries, through the role socket.
    pub async fn entries(&self) -> Vec<IndexedEntry> {
        let reads = self.reads();
        let mut all = Vec::new();
        loop {
            let path = format!("/v1/entries?from={}&limit=1000", all.len());
            let answer: Entries = reads.get(&path).await.unwrap();
            let done = answer.entries.is_empty();
            all.extend(answer.entries);
            if done {
                assert_eq!(answer.size, all.len() as u64);
                return all;
            }
        }
    }

    pub async fn subjects(&self) -> Vec<String> {
        self.entries()
            .await
            .into_iter()
            .map(|indexed| indexed.entry.subject)
            .collect()
    }

    /// Verifies the ledger with the public key alone.
    pub fn verify(&self) -> VerifyReport {
        verify(&self.state(), signer().verifier(), &VerifyOptions::default()).unwrap()
    }

    /// Writes a configuration and returns the arguments that name it.
    pub fn config(&self, text: &str) -> [String; 2] {
        let path = self.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        ["--config".to_owned(), path.to_str().unwrap().to_owned()]
    }

    pub fn start(&self) -> Daemon {
        self.start_with(&[])
    }

    pub fn start_with(&self, arguments: &[String]) -> Daemon {
        Daemon {
            child: self.spawn(self.command("").args(arguments), &[]),
        }
    }

    /// Starts the daemon with a file system of `bytes` bytes as its state directory, which only it sees.
    pub fn start_on_a_device_of(&self, bytes: u64, arguments: &[String]) -> Daemon {
        let mut command = Command::new("unshare");
        command
            .arg(if rustix::process::geteuid().is_root() {
                "-m"
            } else {
                "-rm"
            })
            .arg("bash");
        command
            .arg("-c")
            .arg(self.script(&format!("mount -t tmpfs -o size={bytes} none state || exit;")));
        command
            .arg(env!("CARGO_BIN_EXE_holdfast-incident-recorder"))
            .args(arguments);
        Daemon {
            child: self.spawn(&mut command, &[]),
        }
    }

    pub fn command(&self, first: &str) -> Command {
        let mut command = Command::new("bash");
        command
            .arg("-c")
            .arg(self.script(first))
            .arg(env!("CARGO_BIN_EXE_holdfast-incident-recorder"));
        command
    }

    /// A shell puts the sockets where the daemon looks for them, and becomes the daemon.
    fn script(&self, first: &str) -> String {
        let moves = (3..)
            .zip(&self.sockets)
            .map(|(to, (_, from))| format!("{to}<&{}", inherited(from)));
        let moves = moves.collect::<Vec<_>>().join(" ");
        format!("{first} exec {moves}; export LISTEN_PID=$$; exec \"$0\" \"$@\"")
    }

    pub fn spawn(&self, command: &mut Command, environment: &[(&str, &Path)]) -> Child {
        let names: Vec<_> = self.sockets.iter().map(|(role, _)| role.name).collect();
        let own = rustix::process::geteuid().as_raw();
        command
            .env_clear()
            .env("LISTEN_FDS", self.sockets.len().to_string())
            .env("LISTEN_FDNAMES", names.join(":"))
            .env("HOLDFAST_RUN", "run")
            .env("HOLDFAST_USERS", format!("{OWN_NAME}:{own}"))
            .env("STATE_DIRECTORY", "state")
            .env("CREDENTIALS_DIRECTORY", "credentials")
            .env("PATH", "/usr/bin:/bin")
            .envs(environment.iter().copied())
            .current_dir(self.path())
            .stdin(Stdio::null());
        let _one_at_a_time = SPAWNING.lock().unwrap();
        let copies: Vec<OwnedFd> = self
            .sockets
            .iter()
            .map(|(_, socket)| rustix::io::fcntl_dupfd_cloexec(socket, inherited(socket)).unwrap())
            .collect();
        for copy in &copies {
            rustix::io::fcntl_setfd(copy, rustix::io::FdFlags::empty()).unwrap();
        }
        command.spawn().unwrap()
    }
}

/// Where a socket is while a child is started: out of the way of the numbers that it gets there.
fn inherited(socket: &OwnedFd) -> i32 {
    1000 + socket.as_raw_fd()
}

impl Daemon {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Memory that is the daemon's own, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Ends it at once, wherever it is.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, as its supervisor does, and returns whether it ended well.
    pub fn stop(mut self) -> bool {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().success()
    }

    /// Waits for it to end by itself.
    pub fn wait(mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
