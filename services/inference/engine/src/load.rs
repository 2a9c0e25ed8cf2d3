//! Reading a model from the descriptor that the worker was given, without opening anything.
//!
//! llama-cpp-2 loads models by path only. A path would have to be opened again, which needs the file's permissions and a
//! Landlock rule; llama.cpp itself can read from an open `FILE`. This module makes that one call and is the only one with
//! `unsafe`.

use std::os::fd::{AsFd, IntoRawFd as _};
use std::ptr::NonNull;

use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;

/// Why a model could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The descriptor could not be duplicated or made into a stream.
    #[error("prepare the model's descriptor for reading")]
    Prepare(#[source] std::io::Error),
    /// llama.cpp refused it; its log says why.
    #[error("llama.cpp cannot load the model")]
    Refused,
}

/// Loads the model that `descriptor` reads. The file is mapped, not copied.
///
/// # Errors
///
/// When the descriptor cannot be read as a file, or llama.cpp refuses what is in it.
#[expect(unsafe_code, reason = "llama-cpp-2 does not wrap loading from an open file")]
pub fn load(
    _: &LlamaBackend,
    descriptor: impl AsFd,
    accelerator_layers: u32,
) -> Result<LlamaModel, LoadError> {
    let descriptor = descriptor
        .as_fd()
        .try_clone_to_owned()
        .map_err(LoadError::Prepare)?;
    let number = descriptor.into_raw_fd();
    // SAFETY: `number` is open and owned by nothing else, and the mode is a constant C string.
    let file = unsafe { libc::fdopen(number, c"rb".as_ptr()) };
    if file.is_null() {
        return Err(LoadError::Prepare(std::io::Error::last_os_error()));
    }
    // SAFETY: takes no arguments and returns a plain struct.
    let mut parameters = unsafe { llama_cpp_sys_2::llama_model_default_params() };
    parameters.n_gpu_layers = i32::try_from(accelerator_layers).unwrap_or(i32::MAX);
    // SAFETY: the backend is initialised (the first argument proves it), `file` is an open stream that outlives the call, and
    // the parameters are llama.cpp's own with a plain integer changed. llama.cpp reports failures, exceptions included, as null.
    let model = unsafe { llama_cpp_sys_2::llama_model_load_from_file_ptr(file.cast(), parameters) };
    // The pages stay mapped; the stream is not needed any more, and llama.cpp does not close what it did not open.
    // SAFETY: `file` came from `fdopen`, and llama.cpp no longer uses it once loading has returned.
    unsafe { libc::fclose(file) };
    let model = NonNull::new(model).ok_or(LoadError::Refused)?;
    // SAFETY: `LlamaModel` is `repr(transparent)` over a `repr(transparent)` wrapper of `NonNull<llama_model>`, in the exact
    // version that Cargo.toml pins. The pointer is a model that nothing else owns, so that dropping it frees it once.
    Ok(unsafe { std::mem::transmute::<NonNull<llama_cpp_sys_2::llama_model>, LlamaModel>(model) })
}
