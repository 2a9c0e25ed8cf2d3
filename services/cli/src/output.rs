//! What commands print: text for people or JSON for scripts, never control characters from elsewhere.

use std::io::{IsTerminal as _, Write as _};

use holdfast_contract::Problem;
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::report::{Finding, Severity};
use serde::Serialize;
use serde_json::json;

use crate::exit;

/// How a command prints.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// JSON instead of text.
    pub json: bool,
}

impl Output {
    /// Prints a value as one line of JSON, where JSON was asked for.
    ///
    /// # Errors
    ///
    /// When standard output is closed.
    pub fn value<T: Serialize>(self, value: &T) -> anyhow::Result<()> {
        if self.json {
            let mut out = std::io::stdout().lock();
            serde_json::to_writer(&mut out, value)?;
            writeln!(out)?;
        }
        Ok(())
    }

    /// Prints a line of text, where text was asked for, without the control characters of what is shown.
    ///
    /// # Errors
    ///
    /// When standard output is closed.
    pub fn line(self, text: impl AsRef<str>) -> anyhow::Result<()> {
        if !self.json {
            writeln!(std::io::stdout().lock(), "{}", printable(text.as_ref()))?;
        }
        Ok(())
    }

    /// Prints why a command failed and returns its exit code.
    pub fn error(self, error: &anyhow::Error) -> u8 {
        let problem = error.downcast_ref::<Problem>();
        let code = match problem.map(|problem| problem.kind) {
            Some(ProblemKind::Unavailable) => exit::NOT_RUNNING,
            Some(ProblemKind::Refused | ProblemKind::Denied) => exit::NO,
            _ => exit::FAILED,
        };
        let detail = problem.map_or_else(|| format!("{error:#}"), |problem| problem.detail.clone());
        let next = match problem {
            Some(problem) if code == exit::NOT_RUNNING => problem
                .next
                .clone()
                .or_else(|| Some("Start the suite with `holdfast up`.".to_owned())),
            Some(problem) => problem.next.clone(),
            None => None,
        };
        if self.json {
            let value = json!({ "error": detail, "type": problem.map(|problem| problem.kind), "next": next });
            println!("{value}");
        } else {
            eprintln!("holdfast: {}", printable(&detail));
            if let Some(next) = next {
                eprintln!("          {}", printable(&next));
            }
        }
        code
    }
}

/// The text without characters that steer a terminal or reorder what is read: model files and models write names,
/// findings and answers.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if is_steering(c) { '\u{fffd}' } else { c })
        .collect()
}

fn is_steering(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// A finding in words.
pub fn finding(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Info => "info",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    };
    let part = finding
        .part
        .as_ref()
        .map(|part| format!(", {part}"))
        .unwrap_or_default();
    let offset = finding
        .offset
        .map(|offset| format!(", byte {offset}"))
        .unwrap_or_default();
    format!(
        "  {} ({severity}{part}{offset})\n    {}\n    {}",
        finding.id, finding.message, finding.advice
    )
}

/// Sizes as people read them.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut scaled = bytes;
    let mut rest = 0;
    while scaled >= 1024 && unit + 1 < UNITS.len() {
        rest = scaled % 1024;
        scaled /= 1024;
        unit += 1;
    }
    match UNITS.get(unit) {
        Some(name) if unit == 0 => format!("{scaled} {name}"),
        Some(name) => format!("{scaled}.{} {name}", rest * 10 / 1024),
        None => format!("{bytes} bytes"),
    }
}

/// A bar on standard error, where that is a terminal.
#[derive(Debug)]
pub struct Bar {
    unit: fn(u64) -> String,
    shown: bool,
    last: Option<(String, u64)>,
}

impl Bar {
    /// A bar for a command that prints `output`. `unit` puts an amount into words.
    pub fn new(output: Output, unit: fn(u64) -> String) -> Self {
        Self {
            unit,
            shown: !output.json && std::io::stderr().is_terminal(),
            last: None,
        }
    }

    /// Shows how far `what` is.
    pub fn show(&mut self, what: &str, done: u64, total: u64) {
        const WIDTH: u64 = 30;
        if !self.shown {
            return;
        }
        let percent = u128::from(done.min(total)) * 100 / u128::from(total.max(1));
        let percent = u64::try_from(percent).unwrap_or(100);
        let now = (what.to_owned(), percent);
        if self.last.as_ref() == Some(&now) {
            return;
        }
        let full = usize::try_from(percent * WIDTH / 100).unwrap_or(0);
        let empty = usize::try_from(WIDTH).unwrap_or(0) - full;
        eprint!(
            "\r\u{1b}[K{what:<12} [{}{}] {percent:>3} %  of {}",
            "#".repeat(full),
            " ".repeat(empty),
            (self.unit)(total)
        );
        self.last = Some(now);
    }

    /// Removes it.
    pub fn clear(&mut self) {
        if self.shown && self.last.take().is_some() {
            eprint!("\r\u{1b}[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_model_wrote_steers_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}c\nd"), "a\u{fffd}[2Jb\u{fffd}c\nd");
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(999), "999 bytes");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(4 << 30), "4.0 GiB");
    }
}
