//! Prints `docs/findings.md`.

fn main() {
    print!("{}", holdfast_formats::rules::page());
}
