//! The page.

mod detection;
mod words;

use std::fmt::Write as _;

use crate::chart;
use crate::generate::KINDS;
use crate::measure::Ended;
use crate::outcome::Verdict;
use crate::results::{Results, Small, SpeedRow};
use crate::tools::Tool;

/// How much longer than its processor time openssl may take on a quiet machine.
const WAITING: f64 = 1.25;

/// Writes the page.
pub fn page(results: &Results) -> String {
    [
        words::INTRODUCTION.to_owned(),
        tools(results),
        speed(results),
        small(&results.small),
        detection::section(results.detection.as_ref()),
        method(results),
    ]
    .join("\n")
}

fn tools(results: &Results) -> String {
    let mut table = "| tool | version | made for | started as |\n|---|---|---|---|\n".to_owned();
    for tool in crate::tools::SCANNERS {
        let version = results.versions.get(tool.name()).map_or("?", String::as_str);
        let program = if tool == Tool::Holdfast {
            "holdfast"
        } else {
            tool.name()
        };
        let _ = writeln!(
            table,
            "| {} | {version} | {} | `{program} {} PATH` |",
            tool.name(),
            words::made_for(tool),
            tool.arguments().join(" ")
        );
    }
    format!("{table}\n{}", words::FAIRNESS)
}

fn speed(results: &Results) -> String {
    let speed = &results.speed;
    let bytes = speed.rows.first().map_or(0, |row| row.bytes);
    let mut text = format!(
        "## Large files\n\n![Seconds for one large file, by format and tool](images/{})\n\n\
         One file of {} in each format, best of {} rounds in turn, the file already in memory.\n\n{}\
         | file | tool | says | seconds | MB/s | ÷ openssl | processor seconds | ÷ openssl | peak memory | of the file read |\n\
         |---|---|---|---:|---:|---:|---:|---:|---:|---:|\n",
        chart::NAME,
        size(bytes),
        speed.rounds,
        busy(&speed.rows),
    );
    for kind in KINDS {
        let rows: Vec<&SpeedRow> = speed.rows.iter().filter(|row| row.kind == kind).collect();
        let openssl = rows.iter().copied().find(|row| row.tool == Tool::Openssl);
        for row in rows {
            let [rate, ratio, processor_ratio] = match openssl {
                Some(openssl) if row.reads_tensors() => [
                    format!("{:.0}", rate(row)),
                    format!("{:.2}", openssl.seconds / row.seconds),
                    format!("{:.2}", openssl.processor_seconds / row.processor_seconds),
                ],
                _ => ["–"; 3].map(str::to_owned),
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {:.2} | {rate} | {ratio} | {:.2} | {processor_ratio} | {} | {} |",
                kind.name(),
                row.tool.name(),
                says(row),
                row.seconds,
                row.processor_seconds,
                memory(row.peak_kib),
                share(row),
            );
        }
    }
    format!("{text}\n{}", words::SPEED)
}

/// Says so where tools had to wait for a processor. What openssl takes on a quiet machine is processor time: it has one thread,
/// and the file is in memory.
fn busy(rows: &[SpeedRow]) -> String {
    let openssl = || rows.iter().filter(|row| row.tool == Tool::Openssl);
    let seconds: f64 = openssl().map(|row| row.seconds).sum();
    let processor: f64 = openssl().map(|row| row.processor_seconds).sum();
    if seconds <= processor * WAITING {
        return String::new();
    }
    format!(
        "**The machine was busy with other work: openssl took {:.1} times its processor time. Seconds, rates and the picture are \
         too slow by about that, and more for a tool that uses several cores; processor seconds are what to go by.**\n\n",
        seconds / processor
    )
}

fn says(row: &SpeedRow) -> &'static str {
    match (row.tool, row.verdict) {
        (Tool::Openssl, Verdict::Accepted) => "a digest",
        (Tool::Holdfast, Verdict::Unread) => "**refused by name**, not read as this format",
        (_, verdict) => words::verdict(verdict),
    }
}

fn share(row: &SpeedRow) -> String {
    let percent = row.times_read() * 100.0;
    match (percent > 50.0, row.may_have_mapped()) {
        (false, true) => "perhaps mapped".to_owned(),
        (false, false) if percent < 1.0 => "headers".to_owned(),
        _ => format!("{percent:.0} %"),
    }
}

fn small(small: &Small) -> String {
    let mut text = format!(
        "## Small files\n\n{} files in one directory, {} together: GGUF, safetensors, pickles, NumPy arrays and PyTorch zips in \
         turn, no two alike.\n\n| tool | files | seconds | files per second | processor ms per file | peak memory | ended with |\n\
         |---|---:|---:|---:|---:|---:|---|\n",
        small.files,
        size(small.bytes),
    );
    for row in &small.rows {
        let ended = match row.cost.ended {
            Ended::TimedOut => "**not in time**".to_owned(),
            Ended::Signal(number) => format!("**signal {number}**"),
            Ended::Code(_) if !row.at_once => "one start for each file".to_owned(),
            Ended::Code(code) => format!("code {code}"),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {:.1} | {:.0} | {:.2} | {} | {ended} |",
            row.tool.name(),
            row.files,
            row.cost.seconds,
            per_second(row.files, row.cost.seconds),
            1000.0 / per_second(row.files, row.cost.processor_seconds),
            memory(row.cost.peak_kib),
        );
    }
    format!("{text}\n{}", words::SMALL)
}

fn method(results: &Results) -> String {
    let machine = &results.machine;
    let version = |name: &str| results.versions.get(name).map_or("?", String::as_str);
    let date = results
        .date
        .as_ref()
        .map_or_else(String::new, |date| format!(", {date}"));
    format!(
        "## How it was measured\n\nOn {} with {} cores, {}, Python {}, OpenSSL {}{date}. Another machine has other seconds.\n\n{}",
        machine.processor,
        machine.cores,
        machine.kernel,
        version("Python"),
        version(Tool::Openssl.name()),
        words::METHOD,
    )
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(row: &SpeedRow) -> f64 {
    row.bytes as f64 / row.seconds / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn per_second(files: usize, seconds: f64) -> f64 {
    files as f64 / seconds
}

#[expect(clippy::cast_precision_loss, reason = "a size for people")]
fn size(bytes: u64) -> String {
    let mebibytes = bytes as f64 / 1_048_576.0;
    if mebibytes >= 1024.0 {
        format!("{:.1} GiB", mebibytes / 1024.0)
    } else {
        format!("{mebibytes:.0} MiB")
    }
}

fn memory(kib: u64) -> String {
    format!("{} MiB", kib.div_ceil(1024))
}

#[cfg(test)]
#[path = "report/tests.rs"]
pub mod tests;
