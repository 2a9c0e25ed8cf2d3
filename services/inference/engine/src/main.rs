//! `holdfast-engine`: started by `holdfast-inference` with the model as standard input and a control socket as standard
//! output.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use holdfast_engine::{WorkerError, confine, log, processor, work};
use holdfast_sandbox::{Forbidden, prove_and_exit};

/// What llama.cpp was built for.
const BACKEND: &str = if cfg!(feature = "cuda") {
    "cuda"
} else if cfg!(feature = "rocm") {
    "rocm"
} else if cfg!(feature = "vulkan") {
    "vulkan"
} else {
    "cpu"
};

fn main() -> ExitCode {
    let errors = log::init();
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some("--prove-confinement") {
        return prove();
    }
    let missing = processor::missing();
    if !missing.is_empty() {
        tracing::error!(
            missing = missing.join(", "),
            "this processor lacks what the engine was built for"
        );
        return ExitCode::from(holdfast_contract::engine::EXIT_PROCESSOR);
    }
    if argument.as_deref() == Some("--backend") {
        println!("{BACKEND}");
        return ExitCode::SUCCESS;
    }
    match run(&errors) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "engine ended");
            ExitCode::FAILURE
        }
    }
}

fn run(errors: &log::LastError) -> Result<(), WorkerError> {
    let model = std::io::stdin().as_fd().try_clone_to_owned()?;
    let control = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    // Whatever a library prints must not end up between the frames.
    rustix::stdio::dup2_stdout(std::io::stderr()).map_err(std::io::Error::from)?;
    work(model, control, errors)
}

/// Confines itself as for work, with a model of no bytes, and tries what must fail.
fn prove() -> ExitCode {
    match confine::confine(std::io::stdin(), &confine::proof_settings()) {
        Ok(_) => prove_and_exit(&Forbidden::default()),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "not confined");
            ExitCode::FAILURE
        }
    }
}
