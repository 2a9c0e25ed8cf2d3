//! Checking the shipped units and configuration without starting anything.

use std::path::Path;
use std::process::Command;

use serde::Serialize;

use super::layout::Shipped;
use super::plan::Plan;

/// One thing that was checked.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// What.
    pub what: String,
    /// What is wrong with it, if anything.
    pub problem: Option<String>,
}

/// Checks that the units can be honoured and that each daemon understands its configuration.
///
/// # Errors
///
/// When there are no shipped files.
pub fn check(root: Option<&Path>) -> anyhow::Result<Vec<Checked>> {
    let shipped = Shipped::find(root)?.absolute()?;
    let what = format!("units in {}", shipped.units.display());
    let plan = match Plan::read(&shipped.units, None) {
        Ok(plan) => plan,
        Err(error) => {
            return Ok(vec![Checked {
                what,
                problem: Some(format!("{error:#}")),
            }]);
        }
    };
    let mut checked = vec![Checked { what, problem: None }];
    for service in &plan.services {
        let name = service
            .command
            .iter()
            .find_map(|word| word.strip_prefix("run/etc/"));
        let Some(name) = name else { continue };
        let configuration = shipped.configuration.join(name);
        let program = service
            .command
            .first()
            .and_then(|word| word.strip_prefix("run/programs/"))
            .unwrap_or_default();
        let program = shipped
            .programs
            .iter()
            .map(|directory| directory.join(program))
            .find(|path| path.is_file());
        let problem = match program {
            None => Some("the daemon that reads it is not built".to_owned()),
            Some(program) => run(&program, &configuration),
        };
        checked.push(Checked {
            what: configuration.display().to_string(),
            problem,
        });
    }
    Ok(checked)
}

fn run(program: &Path, configuration: &Path) -> Option<String> {
    let output = Command::new(program)
        .arg("--config")
        .arg(configuration)
        .arg("--check")
        .env_clear()
        .output();
    match output {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("{} does not start: {error}", program.display())),
    }
}
