//! Measures other scanners of model files and `holdfast inspect` side by side, and writes `docs/comparison.md` and its picture.
//!
//! `scripts/bench-scanners` installs the scanners and starts this. It is an example, not a program of Holdfast, because it takes
//! the writers of model files that only tests have.

mod arguments;
mod chart;
mod detection;
mod disagreements;
mod generate;
mod machine;
mod manifest;
mod measure;
mod outcome;
mod report;
mod results;
mod small;
mod speed;
mod tools;
mod torch;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use arguments::{Arguments, Request, Section};
use results::Results;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-scanners: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), Failure> {
    let arguments = match arguments::read(std::env::args_os().skip(1))? {
        Request::Help => {
            print!("{}", arguments::HELP);
            return Ok(());
        }
        Request::Measure(order) => return measure::wrapper(&order),
        Request::Compare(arguments) => arguments,
    };
    let kept = arguments.work.join("results.json");
    let results = if arguments.render {
        Results::load(&kept)?
    } else {
        compare(&arguments, &kept)?
    };
    results.save(&kept)?;
    write(&results, &arguments.output)
}

/// Measures what is asked for. A section that is not is as it was in the last run, of the same tools on the same machine.
fn compare(arguments: &Arguments, kept: &Path) -> Result<Results, Failure> {
    std::fs::create_dir_all(&arguments.work)?;
    let tools = tools::find(&arguments.scanners, &arguments.holdfast)?;
    let versions = tools::versions(&tools)?;
    // Read before anything is measured: without a last run there is nothing to show beside one section.
    let last = match arguments.only {
        Some(only) => Some((only, Results::of_these(kept, &versions)?)),
        None => None,
    };
    let (mut speed, mut small, mut detection) = (None, None, None);
    if let Some((only, last)) = last {
        speed = (only != Section::Speed).then_some(last.speed);
        small = (only != Section::Small).then_some(last.small);
        detection = (only != Section::Detection).then_some(last.detection);
    }
    Ok(Results {
        speed: speed.map_or_else(|| speed::run(&tools, arguments), Ok)?,
        small: small.map_or_else(|| small::run(&tools, arguments), Ok)?,
        detection: detection.map_or_else(|| detection::run(&tools, arguments), Ok)?,
        machine: machine::describe(),
        date: arguments.date.clone(),
        versions,
    })
}

fn write(results: &Results, page: &Path) -> Result<(), Failure> {
    let pictures = page.parent().unwrap_or(Path::new(".")).join("images");
    std::fs::create_dir_all(&pictures)?;
    std::fs::write(pictures.join(chart::NAME), chart::speed(&results.speed))?;
    std::fs::write(page, report::page(results))?;
    println!("wrote {}", page.display());
    Ok(())
}
