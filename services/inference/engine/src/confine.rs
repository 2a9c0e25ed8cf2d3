//! What the worker gives up before it looks at the model: everything but its descriptors, memory and threads.

use std::io;
use std::os::fd::AsFd;

use holdfast_contract::engine::EngineSettings;
use holdfast_contract::status::Confinement;
use holdfast_sandbox::{Sandbox, SandboxError, limits};

/// Descriptors that the worker may have open: the standard three, the control socket, the model's copies.
const MAX_OPEN_FILES: u64 = 32;
/// Address space for what is not the model or its context: code, stacks, buffers, allocator arenas.
const OVERHEAD_BYTES: u64 = 2 << 30;

/// Why the worker is not confined. It must end.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// The model's size is not known.
    #[error("ask for the model's size")]
    Size(#[source] rustix::io::Errno),
    /// The kernel refused a limit.
    #[error("set the limit on {what}")]
    Limit {
        /// On what.
        what: &'static str,
        /// Why.
        #[source]
        source: rustix::io::Errno,
    },
    /// The sandbox could not be entered.
    #[error("enter the sandbox")]
    Sandbox(#[from] SandboxError),
}

/// Confines the process. It must have one thread.
///
/// # Errors
///
/// When the kernel refuses any of it.
pub fn confine(model: impl AsFd, settings: &EngineSettings) -> Result<Confinement, ConfineError> {
    let limit = |what, result: Result<(), rustix::io::Errno>| {
        result.map_err(|source| ConfineError::Limit { what, source })
    };
    let size = rustix::fs::fstat(model).map_err(ConfineError::Size)?.st_size;
    let size = u64::try_from(size).unwrap_or(0);
    limit("life without the parent", limits::die_with_parent())?;
    limit("core dumps", limits::no_core_dumps())?;
    limit("open files", limits::open_files(MAX_OPEN_FILES))?;
    limit("file size", limits::file_size(0))?;
    if settings.memory_bytes > 0 {
        let bytes = size
            .saturating_add(settings.memory_bytes)
            .saturating_add(OVERHEAD_BYTES);
        limit("memory", limits::memory(bytes))?;
    }
    Ok(Sandbox::worker().enter()?)
}

/// Settings under which `--prove-confinement` confines itself.
pub const fn proof_settings() -> EngineSettings {
    EngineSettings {
        slots: 1,
        context_tokens: 1,
        threads: 1,
        batch_tokens: 1,
        accelerator_layers: 0,
        memory_bytes: 1 << 30,
        chat_template: false,
    }
}

/// Bounds what the process may still allocate from now on, once everything it needs for itself is there. What a template
/// or a tokenizer wants beyond that ends the process.
#[derive(Debug)]
pub struct Headroom {
    statm: std::fs::File,
}

impl Headroom {
    /// Prepares, before the sandbox, to read how much address space is in use.
    ///
    /// # Errors
    ///
    /// When `/proc` is not there.
    pub fn prepare() -> io::Result<Self> {
        std::fs::File::open("/proc/self/statm").map(|statm| Self { statm })
    }

    /// Leaves room for `bytes` more than what is in use. A lower limit stays.
    ///
    /// # Errors
    ///
    /// When the use cannot be read or the kernel refuses the limit.
    pub fn leave(&self, bytes: u64) -> io::Result<()> {
        use std::os::unix::fs::FileExt as _;
        let mut text = [0; 64];
        let length = self.statm.read_at(&mut text, 0)?;
        let pages: u64 = text
            .get(..length)
            .and_then(|text| std::str::from_utf8(text).ok())
            .and_then(|text| text.split_ascii_whitespace().next())
            .and_then(|pages| pages.parse().ok())
            .ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "/proc/self/statm is not understood")
            })?;
        let used = pages.saturating_mul(rustix::param::page_size() as u64);
        let wanted = used.saturating_add(bytes);
        let present = rustix::process::getrlimit(rustix::process::Resource::As).maximum;
        limits::memory(present.map_or(wanted, |present| present.min(wanted)))?;
        Ok(())
    }
}
