//! What the worker gives up before it looks at the model: everything but its descriptors, memory and threads.

use std::os::fd::AsFd;

use holdfast_contract::engine::EngineSettings;
use holdfast_contract::status::Confinement;
use holdfast_sandbox::{Sandbox, SandboxError, limits};
use rustix::process::{Resource, getrlimit};

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

/// Bounds what the process may still allocate, once everything it needs for itself is there: `bytes` more than what is in use.
/// What a template or a tokenizer wants beyond that ends the process. Without a limit so far, none is set.
///
/// # Errors
///
/// When the kernel refuses the limit.
pub fn leave_headroom(bytes: u64) -> Result<(), ConfineError> {
    let Some(present) = getrlimit(Resource::As).maximum else {
        return Ok(());
    };
    // The sandbox leaves no `/proc` to read the use from; what can still be allocated shows it.
    let used = present - available(present);
    let wanted = used.saturating_add(bytes).min(present);
    limits::memory(wanted).map_err(|source| ConfineError::Limit {
        what: "further memory",
        source,
    })
}

/// The largest allocation that succeeds, to within a mebibyte, and at most `most`.
fn available(most: u64) -> u64 {
    const MEBIBYTE: u64 = 1 << 20;
    let (mut least, mut most) = (0, most / MEBIBYTE);
    while least < most {
        let middle = (least + most).div_ceil(2);
        let succeeds = usize::try_from(middle * MEBIBYTE)
            .is_ok_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok());
        if succeeds {
            least = middle;
        } else {
            most = middle - 1;
        }
    }
    least * MEBIBYTE
}
