//! Many small files in one directory: what a start costs, and what a file costs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_formats::testing::{Assembler, GgufBuilder, SafetensorsBuilder, Value, weights};

use crate::arguments::Arguments;
use crate::generate::Shape;
use crate::measure::{self, Cost, Ended};
use crate::results::{Small, SmallRow};
use crate::tools::{SCANNERS, Tool, Tools};
use crate::{Failure, torch};

/// How long a tool may take for all of them.
const LIMIT: Duration = Duration::from_mins(10);
/// How many files are scanned by a tool that is started for each.
const ONE_BY_ONE: usize = 300;

/// Scans the files with each tool.
///
/// # Errors
///
/// When the files cannot be written or a tool not be started.
pub fn run(tools: &Tools, arguments: &Arguments) -> Result<Small, Failure> {
    let directory = tempfile::tempdir_in(&arguments.work)?;
    eprintln!("writing {} small files", arguments.small);
    let files = write(directory.path(), arguments.small)?;
    let mut rows = Vec::new();
    for tool in SCANNERS {
        eprintln!("small files: {}", tool.name());
        rows.push(if tool.takes_directories() {
            let invocation = tools.invocation(tool, directory.path())?;
            let cost = measure::run(&invocation, &arguments.work, LIMIT, false)?.cost;
            row(tool, files.len(), true, cost)
        } else {
            let some: Vec<&PathBuf> = files.iter().take(ONE_BY_ONE).collect();
            row(
                tool,
                some.len(),
                false,
                one_by_one(tools, tool, &some, &arguments.work)?,
            )
        });
    }
    Ok(Small {
        files: files.len(),
        bytes: files
            .iter()
            .filter_map(|file| file.metadata().ok())
            .map(|file| file.len())
            .sum(),
        rows,
    })
}

fn row(tool: Tool, files: usize, at_once: bool, cost: Cost) -> SmallRow {
    SmallRow {
        tool,
        files,
        at_once,
        cost,
    }
}

/// The cost of starting a tool for each file: the time of all, the memory of the largest.
fn one_by_one(tools: &Tools, tool: Tool, files: &[&PathBuf], work: &Path) -> Result<Cost, Failure> {
    let mut total = Cost {
        ended: Ended::Code(0),
        seconds: 0.0,
        processor_seconds: 0.0,
        peak_kib: 0,
        read_bytes: 0,
    };
    for file in files {
        let cost = measure::run(&tools.invocation(tool, file)?, work, LIMIT, false)?.cost;
        total.seconds += cost.seconds;
        total.processor_seconds += cost.processor_seconds;
        total.peak_kib = total.peak_kib.max(cost.peak_kib);
        total.read_bytes += cost.read_bytes;
        if !matches!(cost.ended, Ended::Code(_)) {
            total.ended = cost.ended;
        }
    }
    Ok(total)
}

/// Writes `count` files of five formats in turn, each different: a scanner may know a file again.
fn write(directory: &Path, count: usize) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for index in 0..count {
        let (ending, bytes) = file(index)?;
        let path = directory.join(format!("{index:06}.{ending}"));
        std::fs::write(&path, bytes)?;
        files.push(path);
    }
    Ok(files)
}

fn file(index: usize) -> Result<(&'static str, Vec<u8>), Failure> {
    let name = format!("layer.{index}.weight");
    Ok(match index % 5 {
        0 => (
            "gguf",
            GgufBuilder::llama()
                .set("general.name", Value::text(&name))
                .build()
                .bytes,
        ),
        1 => {
            let file = SafetensorsBuilder::small().tensor(&name, "F32", &[16, 16], 1024);
            ("safetensors", file.build().bytes)
        }
        2 => {
            let pickle = Assembler::protocol(2).raw(b"}(").text(&name).ints(&[1, 2, 3]);
            ("pkl", pickle.raw(b"u").stop())
        }
        3 => ("npy", npy(index)),
        _ => {
            let mut bytes = Vec::new();
            torch::write(&mut bytes, Shape { rows: 1, tensors: 1 }, index)?;
            ("pt", bytes)
        }
    })
}

/// An array of 256 numbers of 64 bits.
fn npy(index: usize) -> Vec<u8> {
    let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (256,), }";
    let mut file = b"\x93NUMPY\x01\0\x76\0".to_vec();
    file.extend(format!("{header:<117}\n").bytes());
    file.extend(weights(255 * 8));
    file.extend((index as u64).to_le_bytes());
    file
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use holdfast_formats::FileInspector;

    use super::*;

    #[test]
    fn small_files_are_well_formed_and_all_different() {
        let mut seen = BTreeSet::new();
        for index in 0..40 {
            let (ending, bytes) = file(index).unwrap();
            let mut inspector = FileInspector::new(&format!("file.{ending}"));
            inspector.feed(&bytes);
            let outcome = inspector.finish();
            let refused = outcome.findings.refuse();
            let (findings, _) = outcome.findings.into_parts();
            // The inspector may not know PyTorch's archives; it names them then.
            assert!(!refused || ending == "pt", "{ending}: {findings:?}");
            assert!(seen.insert(bytes), "{index} is a copy");
        }
    }
}
