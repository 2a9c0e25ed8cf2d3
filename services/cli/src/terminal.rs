//! Asking the person at the terminal, with and without echo. Without a terminal the answer is a line of standard input.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};

use anyhow::{Context as _, bail};
use holdfast_contract::vault::{MAX_SECRET_BYTES, Secret};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// Whether a person can be asked.
pub fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks for a line.
///
/// # Errors
///
/// When there is none.
pub fn ask(prompt: &str) -> anyhow::Result<String> {
    Ok(line(prompt)?.as_str().to_owned())
}

/// Asks for a secret, which is not shown.
///
/// # Errors
///
/// When there is none.
pub fn ask_secret(prompt: &str) -> anyhow::Result<Secret> {
    if !is_interactive() {
        return Ok(Secret::new(line(prompt)?.as_str().to_owned()));
    }
    let quiet = Quiet::begin()?;
    let secret = line(prompt);
    drop(quiet);
    eprintln!();
    Ok(Secret::new(secret?.as_str().to_owned()))
}

fn line(prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    if is_interactive() {
        eprint!("{prompt}");
        std::io::stderr().flush()?;
    }
    // The capacity is fixed first: growing would leave copies of a secret behind.
    let mut text = Zeroizing::new(String::with_capacity(2 * MAX_SECRET_BYTES));
    std::io::stdin()
        .lock()
        .take(2 * MAX_SECRET_BYTES as u64)
        .read_line(&mut text)
        .context("read from standard input")?;
    while text.ends_with(['\n', '\r']) {
        text.pop();
    }
    if text.is_empty() {
        bail!("nothing was typed; nothing was changed");
    }
    Ok(text)
}

/// A terminal that does not show what is typed, until dropped.
struct Quiet(rustix::termios::Termios);

impl Quiet {
    fn begin() -> anyhow::Result<Self> {
        let before = tcgetattr(std::io::stdin()).context("ask the terminal how it is set")?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &quiet)
            .context("turn the terminal's echo off")?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0);
    }
}
