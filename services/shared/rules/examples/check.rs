//! Reads files with rules and says whether they can be used: `cargo run -p holdfast-rules --example check -- FILE…`.

use holdfast_rules::{RuleSet, Source};

fn main() -> std::process::ExitCode {
    let sources: Vec<Source> = std::env::args()
        .skip(1)
        .map(|name| Source {
            text: std::fs::read_to_string(&name).unwrap_or_default(),
            name,
        })
        .collect();
    let checked = RuleSet::load(&sources).and_then(|rules| rules.prepare().map(|()| rules.len()));
    match checked {
        Ok(rules) => {
            println!("{rules} rules can be used");
            std::process::ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{error}");
            std::process::ExitCode::FAILURE
        }
    }
}
