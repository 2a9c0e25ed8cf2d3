//! Large files, scanned by each tool in turn.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use crate::Failure;
use crate::arguments::Arguments;
use crate::generate::{self, KINDS, Kind};
use crate::measure::{self, Run};
use crate::outcome;
use crate::results::{Speed, SpeedRow};
use crate::tools::{SCANNERS, Tool, Tools};

/// How long a tool may take for a file.
const LIMIT: Duration = Duration::from_mins(10);
/// A file with as good as no data: what a tool reads for it is itself, its libraries and a header.
const ALMOST_EMPTY: u64 = 64 << 10;

/// Measures every tool on every kind of file. Each kind is removed before the next is written.
///
/// # Errors
///
/// When a file cannot be written or a tool not be started.
pub fn run(tools: &Tools, arguments: &Arguments) -> Result<Speed, Failure> {
    let mut rows = Vec::new();
    for kind in KINDS {
        let directory = tempfile::tempdir_in(&arguments.work)?;
        eprintln!("writing a {} file", kind.name());
        let large = generate::write(kind, directory.path(), arguments.size)?;
        let small = generate::write(kind, directory.path(), ALMOST_EMPTY)?;
        rows.extend(measure_kind(tools, arguments, kind, &large, &small)?);
    }
    Ok(Speed {
        rounds: arguments.rounds,
        rows,
    })
}

fn measure_kind(
    tools: &Tools,
    arguments: &Arguments,
    kind: Kind,
    large: &Path,
    small: &Path,
) -> Result<Vec<SpeedRow>, Failure> {
    let all = || std::iter::once(Tool::Openssl).chain(SCANNERS);
    let run = |tool: Tool, path: &Path, observe: bool| -> Result<Run, Failure> {
        measure::run(&tools.invocation(tool, path)?, &arguments.work, LIMIT, observe)
    };
    // The file is in memory from here on: disks differ more than scanners do.
    let bytes = std::io::copy(&mut File::open(large)?, &mut std::io::sink())?;
    let mut best: BTreeMap<Tool, (f64, f64)> = BTreeMap::new();
    for round in 1..=arguments.rounds {
        for tool in all() {
            eprintln!("{}, round {round}: {}", kind.name(), tool.name());
            let cost = run(tool, large, false)?.cost;
            let (seconds, processor) = best.entry(tool).or_insert((f64::INFINITY, f64::INFINITY));
            *seconds = seconds.min(cost.seconds);
            *processor = processor.min(cost.processor_seconds);
        }
    }
    let mut rows = Vec::new();
    for tool in all() {
        // Memory of several processes has to be looked at while they run, so this is a run of its own.
        let observed = run(tool, large, true)?;
        let idle = run(tool, small, true)?;
        let (seconds, processor_seconds) = best.get(&tool).copied().unwrap_or((f64::NAN, f64::NAN));
        rows.push(SpeedRow {
            kind,
            bytes,
            tool,
            seconds,
            processor_seconds,
            peak_kib: observed.cost.peak_kib,
            idle_peak_kib: idle.cost.peak_kib,
            read_bytes: observed.cost.read_bytes.saturating_sub(idle.cost.read_bytes),
            verdict: outcome::of(tool, &observed).verdict,
        });
    }
    Ok(rows)
}
