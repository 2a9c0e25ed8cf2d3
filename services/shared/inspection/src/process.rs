//! The body of the worker program `holdfast-inspect`.
//!
//! It bounds itself, gives everything up, reads standard input and prints lines of JSON ([`crate::protocol`]). What can be taken
//! over by the bytes it reads is this process; it has then one open file, two pipes and no way to anything else.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use holdfast_contract::report::Verdict;
use holdfast_formats::disarm::Weights;
use holdfast_formats::set::Ties;
use holdfast_formats::{FileInspector, Format, Scanner, rules};
use holdfast_sandbox::{Forbidden, Sandbox, SandboxError, limits};
use rustix::fs::{Advice, FileType, Stat, fadvise, fstat};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::batch;
use crate::pipeline::{Whole, inspect_whole};
use crate::protocol::{Line, PROGRESS_BYTES, TIES_BYTES, deadline};
use crate::report::{INSPECTOR, refusal};
use crate::rules::{RulesError, scanner};

/// Address space, in bytes: the program, its libraries, a stack for each of two threads and what the allocator reserves for them.
const ADDRESS_SPACE_BYTES: u64 = 256 << 20;
/// Memory that the process may write to, in bytes.
const DATA_BYTES: u64 = 64 << 20;
/// Bytes of the converted file that are written at a time.
const OUTPUT_BYTES: usize = 64 << 10;

const HELP: &str = "\
Inspects one model file and prints a report.

The file is read from standard input; standard output, which must be a pipe or a terminal, gets one JSON object a line:
progress, and then the report. Before it reads, the process gives up everything but its three descriptors.

Usage: holdfast-inspect [--size=BYTES] [--name=NAME] [--rules PATH] [--convert|--batch] [--ties] < FILE

  --size=BYTES  size of the file; one that turns out longer or shorter is refused [default: its size when opened]
  --name=NAME   what the file is called, to note a name that contradicts the content
  --convert     after the report of a checkpoint that is not refused, print its tensors as a safetensors file: a line that says
                how many bytes follow, and then the bytes
  --batch       inspect small files that follow each other, each with the lengths of its name and its content before them, as
                32-bit numbers; print a report for each
  --rules PATH  search also for the YARA rules in this file or directory; may be given more than once
  --ties        before each report, print what ties the file to others of its directory: tensors, files that it names
  --help        print this
  --version     print the version

Example: holdfast-inspect --name=model.gguf < model.gguf | jq
`holdfast inspect FILE…` does the same for people, with a table, a progress bar and several files at once.";

/// Why the worker could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// An argument that does not exist or has no such value.
    #[error("unknown argument {0:?}; see --help")]
    Argument(OsString),
    /// A limit could not be set.
    #[error("limit {what}")]
    Limit {
        /// What was to be limited.
        what: &'static str,
        /// Why not.
        #[source]
        source: Errno,
    },
    /// The sandbox could not be entered.
    #[error("enter the sandbox")]
    Sandbox(#[from] SandboxError),
    /// A standard descriptor cannot be used.
    #[error("use {0}")]
    Descriptor(&'static str, #[source] std::io::Error),
    /// Standard output is a file, which the limit on written files would break in the middle.
    #[error("standard output must be a pipe or a terminal, not a file")]
    Output,
    /// The rules cannot be used.
    #[error("load the rules")]
    Rules(#[from] RulesError),
    /// A batch could not be read.
    #[error("read the batch")]
    Batch(#[from] std::io::Error),
    /// The result could not be printed.
    #[error("print the result")]
    Print(#[source] std::io::Error),
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Arguments {
    size: Option<u64>,
    name: String,
    rules: Vec<PathBuf>,
    ties: bool,
    task: Task,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Task {
    #[default]
    Inspect,
    Convert,
    Batch,
    Prove,
    Help,
    Version,
}

/// Runs the worker with these arguments, the program's own name left out.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match parse(arguments).and_then(|arguments| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            eprintln!("holdfast-inspect: {text}");
            ExitCode::from(2)
        }
    }
}

fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Arguments, ProcessError> {
    let mut parsed = Arguments::default();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        let (key, value) = text
            .split_once('=')
            .map_or((&*text, None), |(key, value)| (key, Some(value)));
        match (key, value) {
            ("--size", Some(value)) => match value.parse() {
                Ok(size) => parsed.size = Some(size),
                Err(_) => return Err(ProcessError::Argument(argument)),
            },
            ("--name", Some(value)) => value.clone_into(&mut parsed.name),
            ("--rules", None) => match arguments.next() {
                Some(path) => parsed.rules.push(path.into()),
                None => return Err(ProcessError::Argument(argument)),
            },
            ("--convert", None) => parsed.task = Task::Convert,
            ("--ties", None) => parsed.ties = true,
            ("--batch", None) => parsed.task = Task::Batch,
            ("--prove-confinement", None) => parsed.task = Task::Prove,
            ("--help" | "-h", None) => parsed.task = Task::Help,
            ("--version" | "-V", None) => parsed.task = Task::Version,
            _ => return Err(ProcessError::Argument(argument)),
        }
    }
    Ok(parsed)
}

fn run(arguments: &Arguments) -> Result<(), ProcessError> {
    match arguments.task {
        Task::Help => print(HELP),
        Task::Version => print(INSPECTOR),
        Task::Prove => {
            confine(0)?;
            holdfast_sandbox::prove_and_exit(&Forbidden::default())
        }
        Task::Batch => {
            let input = descriptor(std::io::stdin().as_fd(), "standard input")?;
            let scanner = scanner(&arguments.rules)?;
            confine(arguments.size.unwrap_or(0))?;
            let mut out = BufWriter::with_capacity(OUTPUT_BYTES, std::io::stdout().lock());
            batch::serve(BufReader::new(input), &scanner, arguments.ties, |whole| {
                print_ties(whole.ties, &mut out)?;
                let line = line(&Line::Report {
                    report: Box::new(whole.report),
                })?;
                writeln!(out, "{line}").map_err(ProcessError::Print)
            })?;
            out.flush().map_err(ProcessError::Print)
        }
        Task::Inspect | Task::Convert => {
            let input = descriptor(std::io::stdin().as_fd(), "standard input")?;
            let output = descriptor(std::io::stdout().as_fd(), "standard output")?;
            let before = stat(&input, "standard input")?;
            if is_file(&stat(&output, "standard output")?) {
                return Err(ProcessError::Output);
            }
            let size = arguments.size.or_else(|| size(&before));
            // The rules are whoever starts this program's, and files can be opened only now.
            let scanner = scanner(&arguments.rules)?;
            confine(size.unwrap_or(0))?;
            let Whole {
                report,
                weights,
                ties,
            } = read(&input, &before, size, arguments, &scanner);
            print_ties(ties, &mut std::io::stdout().lock())?;
            let refused = report.verdict == Verdict::Refuse;
            print(&line(&Line::Report {
                report: Box::new(report),
            })?)?;
            match arguments.task {
                Task::Convert if !refused => convert(&input, weights.as_ref()),
                _ => Ok(()),
            }
        }
    }
}

/// Sets the limits and enters the sandbox. The processor time follows from the size of the file.
fn confine(size: u64) -> Result<(), ProcessError> {
    let limit = |what: &'static str, result: Result<(), Errno>| {
        result.map_err(|source| ProcessError::Limit { what, source })
    };
    limit("life to that of the parent", limits::die_with_parent())?;
    limit("core dumps", limits::no_core_dumps())?;
    limit("written files", limits::file_size(0))?;
    limit("the address space", limits::memory(ADDRESS_SPACE_BYTES))?;
    limit("memory", data(DATA_BYTES))?;
    limit("processor time", limits::cpu_seconds(deadline(size).as_secs()))?;
    Sandbox::worker().enter()?;
    // The sandbox opened files to set itself up; nothing may from here on.
    limit("open files", limits::open_files(0))
}

fn data(bytes: u64) -> Result<(), Errno> {
    let limit = Rlimit {
        current: Some(bytes),
        maximum: Some(bytes),
    };
    setrlimit(Resource::Data, limit)
}

/// Prints the tensors as a safetensors file, or why not.
fn convert(input: &File, weights: Option<&Weights>) -> Result<(), ProcessError> {
    let plan = match weights.map(Weights::plan) {
        Some(Ok(plan)) => plan,
        Some(Err(cannot)) => {
            return print(&line(&Line::NotConverted {
                why: cannot.to_string(),
            })?);
        }
        None => {
            let why = "it is no PyTorch checkpoint".to_owned();
            return print(&line(&Line::NotConverted { why })?);
        }
    };
    print(&line(&Line::Converted {
        bytes: plan.bytes(),
        tensors: plan.tensors(),
    })?)?;
    let mut out = BufWriter::with_capacity(OUTPUT_BYTES, std::io::stdout().lock());
    plan.write(
        &mut |at, buffer| input.read_exact_at(buffer, at).is_ok(),
        &mut out,
    )
    .map_err(ProcessError::Print)
}

/// Prints the ties in pieces that fit a line each.
fn print_ties(mut ties: Ties, out: &mut impl std::io::Write) -> Result<(), ProcessError> {
    while !ties.is_empty() {
        let ties = Box::new(ties.take(TIES_BYTES));
        writeln!(out, "{}", line(&Line::Ties { ties })?).map_err(ProcessError::Print)?;
    }
    Ok(())
}

fn read(
    input: &File,
    before: &Stat,
    size: Option<u64>,
    arguments: &Arguments,
    scanner: &Arc<Scanner>,
) -> Whole {
    // Read ahead further than usual; a pipe has no such thing, and the advice may be ignored.
    let _ = fadvise(input, 0, None, Advice::Sequential);
    let mut next = PROGRESS_BYTES;
    let mut inspector = FileInspector::new(&arguments.name).scanning(scanner);
    if arguments.ties {
        inspector = inspector.tying();
    }
    if let Some(size) = size.filter(|_| is_file(before)) {
        inspector = inspector.looking_ahead(size, &mut |at, buffer| input.read_exact_at(buffer, at).is_ok());
    }
    let whole = inspect_whole(input, size, inspector, |done_bytes| {
        if done_bytes >= next {
            next = done_bytes + PROGRESS_BYTES;
            // Whoever listens has gone away if this fails, and then this process goes with it.
            let _ = line(&Line::Progress { done_bytes }).and_then(|line| print(&line));
        }
    });
    match fstat(input) {
        Ok(after) if is_file(before) && changed(before, &after) && whole.report.sha256.is_some() => {
            let format = Format::find(&whole.report.format).unwrap_or(Format::Unknown);
            let message = "the file was written to while it was read";
            refusal(&rules::IO_CHANGED, format, whole.report.size_bytes, message).into()
        }
        _ => whole,
    }
}

fn changed(before: &Stat, after: &Stat) -> bool {
    let times = |stat: &Stat| (stat.st_mtime, stat.st_mtime_nsec, stat.st_size);
    times(before) != times(after)
}

fn descriptor(descriptor: std::os::fd::BorrowedFd<'_>, name: &'static str) -> Result<File, ProcessError> {
    let owned = descriptor
        .try_clone_to_owned()
        .map_err(|error| ProcessError::Descriptor(name, error))?;
    Ok(File::from(owned))
}

fn stat(file: &File, name: &'static str) -> Result<Stat, ProcessError> {
    fstat(file).map_err(|error| ProcessError::Descriptor(name, error.into()))
}

fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

fn size(stat: &Stat) -> Option<u64> {
    is_file(stat).then(|| u64::try_from(stat.st_size).ok()).flatten()
}

fn line(line: &Line) -> Result<String, ProcessError> {
    serde_json::to_string(line).map_err(|error| ProcessError::Print(error.into()))
}

fn print(text: &str) -> Result<(), ProcessError> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(ProcessError::Print)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Arguments, String> {
        parse(arguments.iter().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn arguments_are_understood_or_refused() {
        let arguments = parsed(&["--size=12", "--name=--help=x.gguf"]).unwrap();
        assert_eq!(
            (arguments.size, arguments.name.as_str()),
            (Some(12), "--help=x.gguf")
        );
        assert_eq!(arguments.task, Task::Inspect);
        assert_eq!(parsed(&["--prove-confinement"]).unwrap().task, Task::Prove);
        for wrong in [
            "--size",
            "--size=",
            "--size=-1",
            "--size=1k",
            "model.gguf",
            "--help=1",
            "--rules",
            "--nope",
        ] {
            assert!(parsed(&[wrong]).is_err(), "{wrong}");
        }
    }
}
