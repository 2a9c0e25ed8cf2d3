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
    let wanted = |section| arguments.only.is_none_or(|only| only == section);
    let last = || Results::of_these(kept, &versions);
    Ok(Results {
        speed: if wanted(Section::Speed) {
            speed::run(&tools, arguments)?
        } else {
            last()?.speed
        },
        small: if wanted(Section::Small) {
            small::run(&tools, arguments)?
        } else {
            last()?.small
        },
        detection: if wanted(Section::Detection) {
            detection::run(&tools, arguments)?
        } else {
            last()?.detection
        },
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
