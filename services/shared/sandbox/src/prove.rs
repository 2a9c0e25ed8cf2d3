//! `--prove-confinement`: the process tries, from inside its sandbox, what it must not be able to do.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::ptrace;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// What a process must not be able to do, besides what none may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forbidden {
    /// Directories that belong to others: nothing may be created in them. One that does not exist or cannot be seen counts
    /// as denied.
    pub directories: Vec<PathBuf>,
}

impl Forbidden {
    /// The directories in `HOLDFAST_FORBIDDEN` (colon-separated), which the supervisor sets for a proof: the state of
    /// the other services.
    pub fn from_env() -> Self {
        let list = std::env::var("HOLDFAST_FORBIDDEN").unwrap_or_default();
        Self {
            directories: list
                .split(':')
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)
                .collect(),
        }
    }
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// What was tried, in words.
    pub attempt: String,
    /// Whether it failed, as it must.
    pub denied: bool,
    /// The error, or what came of it.
    pub how: String,
}

/// Tries everything that must fail and says how each went. The process must be in its sandbox already.
pub fn prove(forbidden: &Forbidden) -> Vec<Attempt> {
    let parent = Pid::parent();
    let mut attempts = vec![
        tried("open /etc/shadow", std::fs::File::open("/etc/shadow")),
        // Readable for everybody by its permissions: only the sandbox stands in the way.
        tried("open /etc/passwd", std::fs::File::open("/etc/passwd")),
        tried("list /", std::fs::read_dir("/")),
        tried(
            "create a file in /tmp",
            std::fs::File::create("/tmp/holdfast-proof"),
        ),
        tried("connect to a TCP port", connect()),
        tried(
            "listen on a TCP port",
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)),
        ),
        tried("open a UDP socket", UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))),
        tried(
            "run /bin/sh",
            std::process::Command::new("/bin/sh").arg("-c").arg(":").spawn(),
        ),
        tried("trace the parent process", trace(parent)),
        tried("read the memory of the parent process", peek(parent)),
        tried("mount a file system", mount()),
        tried(
            "make a user namespace",
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER),
        ),
        tried("signal the parent process", nix::sys::signal::kill(parent, None)),
        tried(
            "become dumpable and read /proc/self/mem of the parent",
            std::fs::File::open(format!("/proc/{parent}/mem")),
        ),
    ];
    for directory in &forbidden.directories {
        let file = directory.join(".holdfast-proof");
        let result = std::fs::File::create(&file);
        if result.is_ok() {
            let _ = std::fs::remove_file(&file);
        }
        attempts.push(tried(
            &format!("open {} for writing", directory.display()),
            result,
        ));
    }
    attempts
}

/// Runs [`prove`], prints each attempt as a line of JSON on standard output, and ends the process: with 0 when everything was
/// denied, else with 1.
pub fn prove_and_exit(forbidden: &Forbidden) -> ! {
    let attempts = prove(forbidden);
    let mut out = std::io::stdout().lock();
    let mut written = true;
    for attempt in &attempts {
        let line = serde_json::to_string(attempt).unwrap_or_default();
        written &= writeln!(out, "{line}").is_ok();
    }
    let confined = written && attempts.iter().all(|attempt| attempt.denied);
    std::process::exit(i32::from(!confined))
}

fn tried<T, E: std::fmt::Display>(attempt: &str, result: Result<T, E>) -> Attempt {
    match result {
        Ok(_) => Attempt {
            attempt: attempt.to_owned(),
            denied: false,
            how: "it worked".to_owned(),
        },
        Err(error) => Attempt {
            attempt: attempt.to_owned(),
            denied: true,
            how: error.to_string(),
        },
    }
}

/// A refused connection means that the kernel let the packet out, so it counts as a success.
fn connect() -> std::io::Result<()> {
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    match TcpStream::connect_timeout(&nowhere, Duration::from_secs(1)) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionRefused => Err(error),
        _ => Ok(()),
    }
}

fn peek(pid: Pid) -> nix::Result<usize> {
    let mut byte = [0];
    let remote = nix::sys::uio::RemoteIoVec { base: 0x1000, len: 1 };
    match nix::sys::uio::process_vm_readv(pid, &mut [std::io::IoSliceMut::new(&mut byte)], &[remote]) {
        // The address need not be mapped: a fault means that access was granted.
        Err(nix::errno::Errno::EFAULT) => Ok(0),
        other => other,
    }
}

/// Where it is not denied, it must do no harm: the parent is let go at once.
fn trace(pid: Pid) -> nix::Result<()> {
    ptrace::attach(pid)?;
    // It cannot be let go before it has stopped.
    while ptrace::detach(pid, None) == Err(nix::errno::Errno::ESRCH) {
        std::thread::yield_now();
    }
    Ok(())
}

/// Where it is not denied, it must do no harm: there is nothing at that path to mount on.
fn mount() -> nix::Result<()> {
    use nix::mount::{MsFlags, mount};
    match mount(
        Some("none"),
        "/proc/self/nowhere",
        Some("tmpfs"),
        MsFlags::MS_RDONLY,
        None::<&str>,
    ) {
        Err(nix::errno::Errno::ENOENT) => Ok(()),
        other => other,
    }
}
