//! The worker that inspects one file and has nothing: see `holdfast_inspection::process`.

use std::process::ExitCode;

fn main() -> ExitCode {
    holdfast_inspection::process::main(std::env::args_os().skip(1))
}
