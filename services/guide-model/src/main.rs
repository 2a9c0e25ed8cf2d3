//! Trains, checks and asks the guide model.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand};
use holdfast_guide_model::check::{self, Way};
use holdfast_guide_model::corpus::Corpus;
use holdfast_guide_model::gguf::{self, MAX_BYTES};
use holdfast_guide_model::guide::Guide;
use holdfast_guide_model::training::{self, Progress, Recipe};

/// Trains the guide model that ships with Holdfast.
///
/// The file that `train` writes depends on the corpus, the seed and the number of steps; not on the machine, and not on
/// the number of threads.
#[derive(Parser)]
#[command(version, after_help = "Example: holdfast-guide-model train --out guide.gguf")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train from nothing and write a GGUF file.
    Train(Train),
    /// Ask a trained file every question of the corpus and count the answers that are right word for word.
    Check {
        /// The GGUF file.
        file: PathBuf,
        /// List the questions that were not answered word for word.
        #[arg(long)]
        misses: bool,
    },
    /// Print questions from all over the corpus with their answers, as JSON for tests.
    Questions,
    /// Ask a trained file one question.
    Ask {
        /// The GGUF file.
        file: PathBuf,
        /// The question.
        question: String,
    },
}

#[derive(Args)]
struct Train {
    /// Where to write the file.
    #[arg(long)]
    out: PathBuf,
    /// Where all randomness comes from.
    #[arg(long, default_value_t = Recipe::default().seed)]
    seed: u64,
    /// Steps of training; fewer are quicker and worse.
    #[arg(long, default_value_t = Recipe::default().steps)]
    steps: usize,
    /// Threads, at most 4; their number does not change the result.
    #[arg(long, default_value_t = processors())]
    threads: usize,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Train(arguments) => train(&arguments),
        Command::Check { file, misses } => check(&open(&file)?, misses),
        Command::Questions => {
            println!("{}", serde_json::to_string_pretty(&Corpus::shipped()?.spread())?);
            Ok(())
        }
        Command::Ask { file, question } => {
            println!("{}", open(&file)?.ask(&question));
            Ok(())
        }
    }
}

fn train(arguments: &Train) -> anyhow::Result<()> {
    let corpus = Arc::new(Corpus::shipped()?);
    let recipe = Recipe {
        seed: arguments.seed,
        steps: arguments.steps,
        ..Recipe::default()
    };
    eprintln!("{} items; {recipe:#?}", corpus.items.len());
    let trained = training::train(&corpus, &recipe, arguments.threads, show);
    let bytes = gguf::write(&trained);
    ensure!(
        bytes.len() <= MAX_BYTES,
        "the file would have {} bytes, more than {MAX_BYTES}",
        bytes.len()
    );
    std::fs::write(&arguments.out, &bytes).with_context(|| format!("writing {}", arguments.out.display()))?;
    eprintln!("{}: {} bytes", arguments.out.display(), bytes.len());
    check(&open(&arguments.out)?, false)
}

fn check(guide: &Guide, misses: bool) -> anyhow::Result<()> {
    let corpus = Corpus::shipped()?;
    println!(
        "{} parameters, {} tokens",
        guide.parameters(),
        guide.tokenizer().len()
    );
    for way in Way::ALL {
        let score = check::score(guide, &corpus, way, processors());
        println!(
            "{:<28} {:>5} of {:>5} exact, {:6.2} %",
            way.name(),
            score.exact(),
            score.asked,
            score.percent()
        );
        for miss in score.misses.iter().filter(|_| misses) {
            println!("    {}: {}", miss.id, miss.question);
        }
    }
    Ok(())
}

fn open(file: &Path) -> anyhow::Result<Guide> {
    let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    Guide::open(&bytes).with_context(|| format!("{} is not a guide model", file.display()))
}

fn show(progress: Progress) {
    if progress.step.is_multiple_of(25) || progress.step == progress.steps {
        let Progress {
            step,
            steps,
            loss,
            gradient,
            tokens,
            elapsed,
        } = progress;
        let speed = tokens as u64 / elapsed.as_secs().max(1);
        eprintln!(
            "step {step} of {steps}: loss {loss:.4}, gradient {gradient:.2}, {speed} tokens/s, {} to go",
            clock(progress.remaining())
        );
    }
}

fn clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}
