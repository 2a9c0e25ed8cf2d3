//! The tools that are compared, and how a person would start each.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::Failure;

/// A tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tool {
    /// `openssl dgst -sha256`, which only hashes: what reading every byte costs.
    Openssl,
    /// `holdfast inspect`.
    Holdfast,
    /// <https://pypi.org/project/picklescan/>
    Picklescan,
    /// <https://pypi.org/project/modelscan/>
    Modelscan,
    /// <https://pypi.org/project/fickling/>
    Fickling,
    /// <https://pypi.org/project/modelaudit/>
    Modelaudit,
}

/// Those that say whether a file is bad.
pub const SCANNERS: [Tool; 5] = [
    Tool::Holdfast,
    Tool::Picklescan,
    Tool::Modelscan,
    Tool::Fickling,
    Tool::Modelaudit,
];

impl Tool {
    /// What the page calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Openssl => "openssl dgst -sha256",
            Self::Holdfast => "holdfast inspect",
            Self::Picklescan => "picklescan",
            Self::Modelscan => "modelscan",
            Self::Fickling => "fickling",
            Self::Modelaudit => "modelaudit",
        }
    }

    /// The words before the path of what it is to scan.
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Openssl => &["dgst", "-sha256"],
            Self::Holdfast => &["inspect", "--json"],
            Self::Picklescan => &["--path"],
            Self::Modelscan => &["scan", "--reporting-format", "json", "--path"],
            // Its report goes to a file, which would otherwise be made in the working directory.
            Self::Fickling => &["--check-safety", "--print-results", "--json-output", "/dev/null"],
            // Without its cache: a later round would measure the first one's answer.
            Self::Modelaudit => &["scan", "--no-cache", "--format", "json"],
        }
    }

    /// Whether it takes a directory. Otherwise it is started for each file.
    pub fn takes_directories(self) -> bool {
        !matches!(self, Self::Openssl | Self::Fickling)
    }
}

/// How a tool is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// The environment of each tool: a home of its own, no colours, lines as long as they are, and nothing sent to the makers.
pub fn environment(home: &Path) -> Vec<(&'static str, OsString)> {
    vec![
        ("PATH", std::env::var_os("PATH").unwrap_or_default()),
        ("HOME", home.into()),
        ("TMPDIR", home.into()),
        ("LANG", "C.UTF-8".into()),
        ("NO_COLOR", "1".into()),
        ("COLUMNS", "1000000".into()),
        ("PROMPTFOO_DISABLE_TELEMETRY", "1".into()),
        ("NO_ANALYTICS", "1".into()),
    ]
}

/// Where each tool's program is.
#[derive(Debug, Clone)]
pub struct Tools {
    programs: BTreeMap<Tool, PathBuf>,
    python: PathBuf,
}

impl Tools {
    /// Starts a tool on a path.
    ///
    /// # Errors
    ///
    /// When it was not found before.
    pub fn invocation(&self, tool: Tool, path: &Path) -> Result<Invocation, Failure> {
        let program = self
            .programs
            .get(&tool)
            .ok_or_else(|| format!("there is no {}", tool.name()))?;
        let words = tool.arguments().iter().map(OsString::from);
        Ok(Invocation {
            program: program.clone(),
            arguments: words.chain([path.into()]).collect(),
        })
    }
}

/// Finds every tool.
///
/// # Errors
///
/// When one is missing: a table without it would be taken for a whole one.
pub fn find(scanners: &Path, holdfast: &Path) -> Result<Tools, Failure> {
    let mut programs = BTreeMap::new();
    for tool in [
        Tool::Picklescan,
        Tool::Modelscan,
        Tool::Fickling,
        Tool::Modelaudit,
    ] {
        programs.insert(tool, scanners.join(tool.name()));
    }
    programs.insert(Tool::Holdfast, holdfast.to_owned());
    let openssl = holdfast_tests::tools::find("openssl");
    programs.insert(
        Tool::Openssl,
        openssl.ok_or("there is no openssl: run `scripts/setup-dependencies scanners`")?,
    );
    let python = scanners.join("python");
    let worker = holdfast.with_file_name("holdfast-inspect");
    for path in programs.values().chain([&python, &worker]) {
        if !path.is_file() {
            let path = path.display();
            return Err(
                format!("{path} is missing: start this with `make bench-scanners`, which makes it").into(),
            );
        }
    }
    Ok(Tools { programs, python })
}

/// What each tool says that it is.
///
/// # Errors
///
/// When one does not say it.
pub fn versions(tools: &Tools) -> Result<BTreeMap<String, String>, Failure> {
    let mut versions = BTreeMap::new();
    for (tool, program) in &tools.programs {
        let version = match tool {
            Tool::Openssl => said(Command::new(program).arg("version"))?,
            Tool::Holdfast => said(Command::new(program).arg("--version"))?,
            _ => said(Command::new(&tools.python).args([
                "-c",
                "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))",
                tool.name(),
            ]))?,
        };
        // "OpenSSL 3.0.17 1 Jul 2025 (…)" and "holdfast 0.1.0" begin with the name.
        let word = usize::from(matches!(tool, Tool::Openssl | Tool::Holdfast));
        let number = version.split_whitespace().nth(word).unwrap_or(&version);
        versions.insert(tool.name().to_owned(), number.to_owned());
    }
    let python = said(Command::new(&tools.python).arg("--version"))?;
    versions.insert(
        "Python".to_owned(),
        python.trim_start_matches("Python ").to_owned(),
    );
    Ok(versions)
}

fn said(command: &mut Command) -> Result<String, Failure> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() || text.is_empty() {
        return Err(format!("{command:?} does not say its version: {output:?}").into());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let error = find(directory.path(), Path::new("/bin/true"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("picklescan") && error.contains("make bench-scanners"),
            "{error}"
        );
    }

    #[test]
    fn every_scanner_is_told_to_send_nothing_home() {
        let environment = environment(Path::new("/scratch"));
        for (name, value) in [("HOME", "/scratch"), ("PROMPTFOO_DISABLE_TELEMETRY", "1")] {
            assert!(environment.contains(&(name, value.into())), "{name}");
        }
    }
}
