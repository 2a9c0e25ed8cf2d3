//! `holdfast check`: are the shipped units and configuration what the suite understands?

use crate::args::CheckArguments;
use crate::exit;
use crate::output::Output;
use crate::up;

/// Checks everything that ships. 0 when all is well, 1 when something is not.
pub fn run(output: Output, arguments: &CheckArguments) -> anyhow::Result<u8> {
    let findings = up::check(arguments.root.as_deref())?;
    let good = findings.iter().all(|finding| finding.problem.is_none());
    output.value(&serde_json::json!({ "ok": good, "checked": findings }))?;
    for finding in &findings {
        match &finding.problem {
            None => output.line(format!("ok      {}", finding.what))?,
            Some(problem) => output.line(format!("NOT ok  {}: {problem}", finding.what))?,
        }
    }
    Ok(if good { exit::OK } else { exit::NO })
}
