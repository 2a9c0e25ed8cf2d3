//! `holdfast models`: what was admitted.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use holdfast_contract::registry::ModelDetail;
use holdfast_contract::report::{Condition, Verdict};
use holdfast_contract::role;
use serde_json::Value;

use crate::args::ModelsCommand;
use crate::exit;
use crate::output::{Output, finding, size};
use crate::suite::Suite;

/// Lists, shows or removes models.
pub async fn run(suite: &Suite, output: Output, command: Option<ModelsCommand>) -> anyhow::Result<u8> {
    match command.unwrap_or(ModelsCommand::List) {
        ModelsCommand::List => list(suite, output).await,
        ModelsCommand::Show { model } => show(suite, output, &model).await,
        ModelsCommand::Remove { model, yes } => remove(suite, output, &model, yes).await,
    }
}

async fn list(suite: &Suite, output: Output) -> anyhow::Result<u8> {
    let models = suite.models().await?;
    output.value(&models)?;
    if models.is_empty() {
        output.line("No models yet. Bring one in with `holdfast import FILE`.")?;
    }
    for model in models {
        let conditions = conditions(&model.conditions);
        output.line(format!(
            "{:<40} {:>10}  {}{conditions}",
            model.name,
            size(model.size_bytes),
            model.format
        ))?;
    }
    Ok(exit::OK)
}

async fn show(suite: &Suite, output: Output, name: &str) -> anyhow::Result<u8> {
    let model = suite.model(name).await?;
    let path = format!("/v1/models/{}", model.digest);
    let detail: ModelDetail = suite.client(role::REGISTRY_READ).get(&path).await?;
    output.value(&detail)?;
    let summary = &detail.summary;
    output.line(&summary.name)?;
    output.line(format!("  digest      {}", summary.digest))?;
    output.line(format!("  size        {}", size(summary.size_bytes)))?;
    output.line(format!("  format      {}", summary.format))?;
    output.line(format!(
        "  verdict     {}{}",
        verdict(summary.verdict),
        conditions(&summary.conditions)
    ))?;
    output.line(format!("  admitted    {}", summary.admitted_at))?;
    output.line(format!("  manifest    {}", detail.manifest))?;
    output.line(format!("  statement   {}", detail.statement))?;
    if let Some(facts) = &summary.model {
        let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
        output.line(format!("  architecture {}", or_unknown(&facts.architecture)))?;
        output.line(format!(
            "  parameters  {} in {} tensors",
            facts.parameters, facts.tensors
        ))?;
        if let Some(context) = facts.context_tokens {
            output.line(format!("  context     {context} tokens"))?;
        }
    }
    for item in &detail.report.findings {
        output.line(finding(item))?;
    }
    Ok(exit::OK)
}

async fn remove(suite: &Suite, output: Output, name: &str, yes: bool) -> anyhow::Result<u8> {
    let model = suite.model(name).await?;
    if !yes {
        if !std::io::stdin().is_terminal() {
            anyhow::bail!("give --yes to remove {} without being asked", model.name);
        }
        eprint!("Remove {} ({})? [y/N] ", model.name, size(model.size_bytes));
        std::io::stderr().flush()?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        if !answer.trim().eq_ignore_ascii_case("y") {
            return Ok(exit::NO);
        }
    }
    let _: Value = suite
        .client(role::REGISTRY_ADMIN)
        .delete(&format!("/v1/models/{}", model.digest))
        .await?;
    output.value(&serde_json::json!({ "removed": model.digest }))?;
    output.line(format!("removed: {}", model.name))?;
    Ok(exit::OK)
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Admit => "admitted",
        Verdict::Conditional => "admitted with conditions",
        Verdict::Refuse => "refused",
    }
}

fn conditions(conditions: &[Condition]) -> String {
    if conditions.is_empty() {
        return String::new();
    }
    let words = conditions.iter().map(|condition| match condition {
        Condition::NoTools => "no tools",
        Condition::NoChatTemplate => "no chat template of its own",
    });
    format!(" ({})", words.collect::<Vec<_>>().join(", "))
}
