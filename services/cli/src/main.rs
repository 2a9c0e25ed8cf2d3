//! The `holdfast` command.

use std::process::ExitCode;

use clap::Parser as _;
use holdfast_cli::args::Arguments;

fn main() -> ExitCode {
    holdfast_cli::main(Arguments::parse())
}
