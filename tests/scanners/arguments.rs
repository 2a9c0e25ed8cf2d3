//! What is asked for on the command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::Failure;
use crate::measure::Order;

/// What `--help` prints.
pub const HELP: &str = include_str!("help.txt");

/// What to compare, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    /// Size of each large file.
    pub size: u64,
    /// How often each is scanned.
    pub rounds: usize,
    /// How many small files.
    pub small: usize,
    /// The labelled samples.
    pub samples: Option<PathBuf>,
    /// The page.
    pub output: PathBuf,
    /// A date for the page.
    pub date: Option<String>,
    /// The only section to measure.
    pub only: Option<Section>,
    /// Whether the last results are to be shown, not new ones made.
    pub render: bool,
    /// Where the scanners' programs are.
    pub scanners: PathBuf,
    /// The program `holdfast`.
    pub holdfast: PathBuf,
    /// Where files are generated.
    pub work: PathBuf,
}

/// A part of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Large files.
    Speed,
    /// Small files.
    Small,
    /// Labelled samples.
    Detection,
}

/// What this program is started for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// To say how it is used.
    Help,
    /// To compare.
    Compare(Arguments),
    /// To run and measure one program: it started itself.
    Measure(Order),
}

/// Reads the command line.
///
/// # Errors
///
/// When it is not understood.
pub fn read(words: impl Iterator<Item = OsString>) -> Result<Request, Failure> {
    let mut words = words.peekable();
    if words.peek().is_some_and(|word| word == "--measure") {
        return order(words.skip(1));
    }
    let mut arguments = Arguments {
        size: 1 << 30,
        rounds: 3,
        small: 10_000,
        samples: std::env::var_os("HOLDFAST_PEER_DATA").map(PathBuf::from),
        output: "docs/comparison.md".into(),
        date: None,
        only: None,
        render: false,
        scanners: "target/scanners/python/bin".into(),
        holdfast: "target/release/holdfast".into(),
        work: "target/scanners".into(),
    };
    while let Some(word) = words.next() {
        let name = word
            .into_string()
            .map_err(|word| format!("what is {}?", word.display()))?;
        let mut value = || words.next().ok_or_else(|| format!("{name} needs a value"));
        match name.as_str() {
            "--help" | "-h" => return Ok(Request::Help),
            "--render" => arguments.render = true,
            "--size" => arguments.size = size(&text(value()?)?)?,
            "--rounds" => arguments.rounds = count(&name, &text(value()?)?)?,
            "--small" => arguments.small = count(&name, &text(value()?)?)?,
            "--only" => arguments.only = Some(section(&text(value()?)?)?),
            "--date" => arguments.date = Some(text(value()?)?),
            "--samples" => arguments.samples = Some(value()?.into()),
            "--output" => arguments.output = value()?.into(),
            "--scanners" => arguments.scanners = value()?.into(),
            "--holdfast" => arguments.holdfast = value()?.into(),
            "--work" => arguments.work = value()?.into(),
            _ => return Err(format!("there is no option {name}; --help lists them").into()),
        }
    }
    // Tools run in directories of their own.
    for path in [
        &mut arguments.scanners,
        &mut arguments.holdfast,
        &mut arguments.work,
    ] {
        *path = std::path::absolute(&*path)?;
    }
    if let Some(samples) = &mut arguments.samples {
        *samples = std::path::absolute(&*samples)?;
    }
    Ok(Request::Compare(arguments))
}

fn order(mut words: impl Iterator<Item = OsString>) -> Result<Request, Failure> {
    let mut next = || words.next().ok_or("--measure is for this program only");
    let report = next()?.into();
    let limit = Duration::from_millis(text(next()?)?.parse()?);
    let observe = next()? == "observe";
    Ok(Request::Measure(Order {
        report,
        limit,
        observe,
        command: words.collect(),
    }))
}

fn text(word: OsString) -> Result<String, Failure> {
    Ok(word
        .into_string()
        .map_err(|word| format!("{} is not UTF-8", word.display()))?)
}

fn count(name: &str, text: &str) -> Result<usize, Failure> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{name} takes a number above 0, not {text}").into()),
    }
}

fn section(text: &str) -> Result<Section, Failure> {
    match text {
        "speed" => Ok(Section::Speed),
        "small" => Ok(Section::Small),
        "detection" => Ok(Section::Detection),
        _ => Err(format!("a section is speed, small or detection, not {text}").into()),
    }
}

/// Bytes of a size with its unit. A file has at least one tensor, and zip offsets have 32 bits.
fn size(text: &str) -> Result<u64, Failure> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit: u64 = match text.get(digits.len()..) {
        Some("GiB") => 1 << 30,
        Some("MiB") => 1 << 20,
        Some("KiB") => 1 << 10,
        _ => return Err(format!("a size is a number with KiB, MiB or GiB, not {text}").into()),
    };
    let bytes = digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit));
    match bytes {
        Some(bytes) if (64 << 10..=3 << 30).contains(&bytes) => Ok(bytes),
        _ => Err(format!("a size is from 64KiB to 3GiB, not {text}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Request, Failure> {
        read(words.iter().map(OsString::from))
    }

    #[test]
    fn sizes_have_units_and_bounds() {
        assert_eq!(size("512MiB").unwrap(), 512 << 20);
        assert_eq!(size("1GiB").unwrap(), 1 << 30);
        for wrong in [
            "",
            "1",
            "GiB",
            "1GB",
            "-1GiB",
            "4GiB",
            "1KiB",
            "99999999999999999999GiB",
        ] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn options_are_read_and_unknown_ones_refused() {
        let Ok(Request::Compare(arguments)) = parse(&["--rounds", "5", "--render", "--samples", "/s"]) else {
            panic!("not understood");
        };
        assert_eq!((arguments.rounds, arguments.render), (5, true));
        assert_eq!(arguments.samples, Some("/s".into()));
        assert_eq!(parse(&["--rounds", "5", "-h"]).unwrap(), Request::Help);
        for wrong in [
            &["--rounds", "0"][..],
            &["--rounds"],
            &["--nonsense"],
            &["--only", "all"],
            &["file"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_wrapper_takes_the_words_of_the_program_as_they_are() {
        let words = ["--measure", "/r", "1500", "observe", "/bin/tool", "--help"];
        let Ok(Request::Measure(order)) = parse(&words) else {
            panic!("not understood");
        };
        assert_eq!(order.limit, Duration::from_millis(1500));
        assert_eq!(order.command, ["/bin/tool", "--help"]);
        assert!(order.observe);
    }
}
