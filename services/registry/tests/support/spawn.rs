//! A real daemon, started as its supervisor would: sockets inherited, surroundings in the environment. Other daemons' tests use
//! this file too.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use holdfast_contract::role::{Protocol, Role};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};

use super::recorder::Recorder;

/// Which daemon, and what it gets.
pub struct Program {
    pub executable: PathBuf,
    pub arguments: Vec<String>,
    pub roles: Vec<Role>,
    pub credentials: Vec<(&'static str, Vec<u8>)>,
}

/// Descriptors that are to be inherited are open to every child that is started meanwhile: one at a time.
static SPAWNING: Mutex<()> = Mutex::new(());

/// A directory with everything that a daemon needs, and the sockets, which outlive the daemon.
pub struct Place {
    directory: tempfile::TempDir,
    program: Program,
    sockets: Vec<(Role, OwnedFd)>,
    pub recorder: Recorder,
}

pub struct Daemon {
    child: Child,
}

impl Place {
    pub fn of(program: Program) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let run = directory.path().join("run");
        for role in &program.roles {
            std::fs::create_dir_all(run.join(role.service.name())).unwrap();
        }
        for name in ["state", "credentials"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        for (name, content) in &program.credentials {
            std::fs::write(directory.path().join("credentials").join(name), content).unwrap();
        }
        let sockets = program
            .roles
            .iter()
            .map(|role| (*role, listener(*role, &run)))
            .collect();
        let recorder = Recorder::start(&run);
        Self {
            directory,
            program,
            sockets,
            recorder,
        }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn run(&self) -> PathBuf {
        self.path().join("run")
    }

    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    pub fn start(&self) -> Daemon {
        self.start_with(&[])
    }

    pub fn start_with(&self, arguments: &[&str]) -> Daemon {
        let mut command = self.command();
        command.args(arguments);
        Daemon {
            child: self.spawn(command),
        }
    }

    /// The daemon's command line, to be run by [`Place::spawn`].
    pub fn command(&self) -> Command {
        let mut command = Command::new("bash");
        command.args(self.line(""));
        command
    }

    /// Starts the daemon with a file system of `bytes` bytes as its state directory, which only it sees.
    pub fn start_on_a_device_of(&self, bytes: u64) -> Daemon {
        let mut command = Command::new("unshare");
        let is_root = rustix::process::geteuid().is_root();
        let mount = format!("mount -t tmpfs -o size={bytes} none state || exit;");
        command
            .arg(if is_root { "-m" } else { "-rm" })
            .arg("bash")
            .args(self.line(&mount));
        Daemon {
            child: self.spawn(command),
        }
    }

    fn line(&self, first: &str) -> Vec<std::ffi::OsString> {
        let mut line = vec![
            "-c".into(),
            self.script(first).into(),
            self.program.executable.clone().into(),
        ];
        line.extend(self.program.arguments.iter().map(Into::into));
        line
    }

    /// A shell puts the sockets where the daemon looks for them, and becomes the daemon.
    fn script(&self, first: &str) -> String {
        let moves = (3..)
            .zip(&self.sockets)
            .map(|(to, (_, from))| format!("{to}<&{}", inherited(from)));
        let moves = moves.collect::<Vec<_>>().join(" ");
        format!("{first} exec {moves}; export LISTEN_PID=$$; exec \"$0\" \"$@\"")
    }

    pub fn spawn(&self, command: Command) -> Child {
        self.spawn_with(command, &[])
    }

    pub fn spawn_with(&self, mut command: Command, environment: &[(&str, &Path)]) -> Child {
        let names: Vec<_> = self.sockets.iter().map(|(role, _)| role.name).collect();
        command
            .env_clear()
            .env("LISTEN_FDS", self.sockets.len().to_string())
            .env("LISTEN_FDNAMES", names.join(":"))
            .env("HOLDFAST_RUN", "run")
            .env("STATE_DIRECTORY", "state")
            .env("CREDENTIALS_DIRECTORY", "credentials")
            .env("PATH", "/usr/bin:/bin")
            .envs(environment.iter().copied())
            .current_dir(self.path())
            .stdin(Stdio::null());
        let _one_at_a_time = SPAWNING.lock().unwrap();
        let copies: Vec<_> = self
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
    // Below the limit of 1024 that shells begin with.
    500 + socket.as_fd().as_raw_fd()
}

/// A listening socket of `role` below `run`.
pub fn listener(role: Role, run: &Path) -> OwnedFd {
    let path = role.path(run);
    match role.protocol {
        Protocol::Http => UnixListener::bind(path).unwrap().into(),
        Protocol::Descriptors => {
            let socket = socket_with(
                AddressFamily::UNIX,
                SocketType::SEQPACKET,
                SocketFlags::CLOEXEC,
                None,
            )
            .unwrap();
            bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
            listen(&socket, 64).unwrap();
            socket
        }
    }
}

impl Daemon {
    /// The state directory as the daemon sees it.
    pub fn state(&self, place: &Place) -> PathBuf {
        let mut path = std::ffi::OsString::from(format!("/proc/{}/root", self.pid()));
        path.push(place.state());
        path.into()
    }

    /// Memory that is the daemon's own, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, wherever it is.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, as its supervisor does, and returns whether it ended well.
    pub fn stop(&mut self) -> bool {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().success()
    }

    pub fn wait(&mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
