//! Resource limits that a worker sets on itself before it reads its input.

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, Signal, setrlimit};

/// Bounds the address space, in bytes. Allocation beyond it fails.
///
/// # Errors
///
/// When the limit in force is lower.
pub fn memory(bytes: u64) -> Result<(), Errno> {
    set(Resource::As, bytes)
}

/// Bounds the processor time, in seconds. The kernel kills the process when it is used up.
///
/// # Errors
///
/// When the limit in force is lower.
pub fn cpu_seconds(seconds: u64) -> Result<(), Errno> {
    set(Resource::Cpu, seconds)
}

/// Bounds the number of open descriptors.
///
/// # Errors
///
/// When the limit in force is lower.
pub fn open_files(count: u64) -> Result<(), Errno> {
    set(Resource::Nofile, count)
}

/// Bounds the size of any file that the process writes, in bytes. Zero leaves pipes and sockets only.
///
/// # Errors
///
/// When the limit in force is lower.
pub fn file_size(bytes: u64) -> Result<(), Errno> {
    set(Resource::Fsize, bytes)
}

/// No core dump is ever written of this process.
///
/// # Errors
///
/// Never, on a kernel with `setrlimit`.
pub fn no_core_dumps() -> Result<(), Errno> {
    set(Resource::Core, 0)
}

/// The kernel kills this process when the thread that started it ends.
///
/// # Errors
///
/// When the parent was gone before the call.
pub fn die_with_parent() -> Result<(), Errno> {
    let parent = rustix::process::getppid();
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have ended between the start of this process and the call.
    if rustix::process::getppid() == parent {
        Ok(())
    } else {
        Err(Errno::SRCH)
    }
}

fn set(resource: Resource, value: u64) -> Result<(), Errno> {
    setrlimit(
        resource,
        Rlimit {
            current: Some(value),
            maximum: Some(value),
        },
    )
}
