//! How every Holdfast process confines itself, whatever supervises it.
//!
//! [`Sandbox`] collects what the process needs and then gives everything else up: Landlock for files, TCP and
//! scopes, a seccomp allow-list for system calls, no new privileges, not dumpable. It is entered before the process has
//! threads. What the kernel cannot enforce is reported in [`Confinement::missing`], never passed over.
//! [`prove()`] tries, from inside, what a confined process must not be able to do.

mod landlocked;
pub mod limits;
mod prove;
mod seccomp;
mod syscalls;

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use holdfast_contract::status::Confinement;
use rustix::process::DumpableBehavior;

pub use prove::{Attempt, Forbidden, prove, prove_and_exit};

/// Why a process could not confine itself. It must not go on.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A path that the process needs cannot be opened to make a rule for it.
    #[error("open {} for a Landlock rule", path.display())]
    Open {
        /// Which path.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustix::io::Errno,
    },
    /// The kernel refused the Landlock rules.
    #[error("restrict with Landlock")]
    Landlock(#[from] landlock::RulesetError),
    /// A seccomp filter could not be built.
    #[error("compile the seccomp filter")]
    Compile(#[from] seccompiler::BackendError),
    /// The kernel refused the seccomp filter.
    #[error("install the seccomp filter")]
    Install(#[from] seccompiler::Error),
    /// A `prctl` failed.
    #[error("give up {what}")]
    Prctl {
        /// What was to be given up.
        what: &'static str,
        /// Why.
        #[source]
        source: rustix::io::Errno,
    },
    /// Threads exist that Landlock would not bind.
    #[error("the sandbox must be entered before the process has threads: {count} exist")]
    Threads {
        /// How many.
        count: usize,
    },
}

/// Rights on files beneath a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    Execute,
    Connect,
}

#[derive(Debug)]
struct Grant {
    what: String,
    descriptor: OwnedFd,
    is_directory: bool,
    access: Access,
}

/// What a process needs. Everything else is given up by [`Sandbox::enter`].
#[derive(Debug)]
#[must_use = "a sandbox confines nothing until it is entered"]
pub struct Sandbox {
    grants: Vec<Grant>,
    syscalls: Vec<i64>,
    ioctls: Vec<u64>,
    spawns: bool,
    failure: Option<SandboxError>,
}

impl Sandbox {
    /// For a daemon: event loop, Unix sockets, threads, files where Landlock grants them. No new programs, no
    /// executable memory, no network sockets. It may notify its supervisor.
    pub fn daemon() -> Self {
        let sandbox = Self::with(syscalls::daemon());
        match std::env::var_os("NOTIFY_SOCKET").filter(|path| Path::new(path).exists()) {
            Some(path) => sandbox.connect(path),
            None => sandbox,
        }
    }

    /// For a worker: memory, threads, and reading and writing the descriptors it was given. It opens nothing and
    /// has no sockets.
    pub fn worker() -> Self {
        Self::with(syscalls::worker())
    }

    fn with(syscalls: Vec<i64>) -> Self {
        Self {
            grants: Vec::new(),
            syscalls,
            ioctls: Vec::new(),
            spawns: false,
            failure: None,
        }
    }

    /// Lets the process read a file, or everything beneath a directory.
    pub fn read(self, path: impl AsRef<Path>) -> Self {
        self.grant(path.as_ref(), Access::Read)
    }

    /// Lets the process read, create, change and remove files beneath a directory.
    pub fn write(self, path: impl AsRef<Path>) -> Self {
        self.grant(path.as_ref(), Access::Write)
    }

    /// Lets the process connect to the Unix socket at `path`. Kernels before Landlock ABI 9 leave this to the
    /// socket's permissions.
    pub fn connect(self, path: impl AsRef<Path>) -> Self {
        self.grant(path.as_ref(), Access::Connect)
    }

    /// Lets the process open one inode for reading, by way of `/proc/self/fd/N` of a descriptor it already holds.
    pub fn read_descriptor(mut self, descriptor: impl AsFd) -> Self {
        match descriptor.as_fd().try_clone_to_owned() {
            Ok(descriptor) => self.grants.push(Grant {
                what: "one inherited descriptor".to_owned(),
                descriptor,
                is_directory: false,
                access: Access::Read,
            }),
            Err(error) => self.fail(PathBuf::from("an inherited descriptor"), errno(&error)),
        }
        self
    }

    /// Lets the process start the worker program at `path`, with the loader and the shared libraries that it needs.
    /// The worker inherits this sandbox and adds its own.
    pub fn spawn(mut self, path: impl AsRef<Path>) -> Self {
        self.spawns = true;
        self.syscalls.extend(syscalls::spawning());
        self = self.grant(path.as_ref(), Access::Execute);
        for libraries in ["/lib", "/lib64", "/usr/lib", "/usr/lib64"] {
            if Path::new(libraries).exists() {
                self = self.grant(Path::new(libraries), Access::Execute);
            }
        }
        for file in ["/etc/ld.so.cache", "/dev/null"] {
            if Path::new(file).exists() {
                self = self.grant(Path::new(file), Access::Read);
            }
        }
        self
    }

    /// Allows further system calls, by number (`libc::SYS_…`).
    pub fn syscalls(mut self, numbers: &[i64]) -> Self {
        self.syscalls.extend_from_slice(numbers);
        self
    }

    /// Allows further `ioctl` requests.
    pub fn ioctls(mut self, requests: &[u64]) -> Self {
        self.ioctls.extend_from_slice(requests);
        self
    }

    fn grant(mut self, path: &Path, access: Access) -> Self {
        use rustix::fs::{FileType, Mode, OFlags, fstat, open};
        let opened = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .and_then(|descriptor| fstat(&descriptor).map(|stat| (descriptor, stat)));
        match opened {
            Ok((descriptor, stat)) => self.grants.push(Grant {
                what: path.display().to_string(),
                descriptor,
                is_directory: FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
                access,
            }),
            Err(source) => self.fail(path.to_owned(), source),
        }
        self
    }

    fn fail(&mut self, path: PathBuf, source: rustix::io::Errno) {
        self.failure.get_or_insert(SandboxError::Open { path, source });
    }

    /// Gives up everything that was not asked for. There is no way back, for this process and its children.
    ///
    /// # Errors
    ///
    /// When a path does not exist, the kernel refuses a rule, or the process has more than one thread. The
    /// caller must then end: it may be confined in part.
    pub fn enter(self) -> Result<Confinement, SandboxError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
        if threads > 1 {
            return Err(SandboxError::Threads { count: threads });
        }
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|source| {
            SandboxError::Prctl {
                what: "being dumpable",
                source,
            }
        })?;
        rustix::thread::set_no_new_privs(true).map_err(|source| SandboxError::Prctl {
            what: "new privileges",
            source,
        })?;
        let (landlock_abi, missing) = landlocked::restrict(&self.grants)?;
        let syscalls = seccomp::restrict(&self.syscalls, &self.ioctls, self.spawns)?;
        let grants = self
            .grants
            .iter()
            .map(|grant| format!("{} {}", verb(grant.access), grant.what))
            .collect();
        Ok(Confinement {
            landlock_abi,
            syscalls,
            grants,
            missing,
        })
    }
}

fn verb(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Write => "read and write",
        Access::Execute => "read and execute",
        Access::Connect => "connect to",
    }
}

fn errno(error: &std::io::Error) -> rustix::io::Errno {
    rustix::io::Errno::from_io_error(error).unwrap_or(rustix::io::Errno::IO)
}
