//! Other programs' readers, in Python, which are given the same files.

use std::io::{BufRead as _, BufReader, Result, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('?');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// How many changed files a test tries: so many, unless `HOLDFAST_READER_CASES` says otherwise.
pub fn reader_cases(count: u64) -> u64 {
    let said = std::env::var("HOLDFAST_READER_CASES").ok();
    said.and_then(|said| said.parse().ok()).unwrap_or(count)
}

/// The Python that `HOLDFAST_PYTHON` names, or else `python3`, if these modules (as in `import a, b`) are there. If not, a line says that
/// the test of this name is skipped.
#[expect(clippy::print_stdout, reason = "for the tests, which say so")]
pub fn python_with(modules: &str, test: &str) -> Option<String> {
    let python = std::env::var("HOLDFAST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has = Command::new(&python)
        .args(["-c", &format!("import {modules}")])
        .stderr(Stdio::null())
        .status();
    if has.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    println!("[skipped] {test}: `{python}` cannot import {modules}; HOLDFAST_PYTHON can name another");
    None
}

/// What a script with these arguments answers to lines, each with a line, and whether it came to its end well.
///
/// # Errors
///
/// When it cannot be started.
pub fn ask(
    python: &str,
    script: &Path,
    arguments: &[&str],
    lines: impl Iterator<Item = String>,
) -> Result<(Vec<String>, bool)> {
    let mut child = Command::new(python)
        .arg(script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Ok((Vec::new(), false));
    };
    let lines: String = lines.map(|line| line + "\n").collect();
    // It fails where the process has ended before it had read everything.
    let writer = std::thread::spawn(move || drop(input.write_all(lines.as_bytes())));
    let answers = BufReader::new(output)
        .lines()
        .map_while(std::result::Result::ok)
        .collect();
    let status = child.wait()?;
    let _ = writer.join();
    Ok((answers, status.success()))
}
