//! `holdfast chat`: a conversation in the terminal, or one question.

use std::io::Write as _;

use holdfast_contract::inference::{
    GenerateEvent, GenerateRequest, Message, Prompt, Sampling, Speaker, Usage,
};
use holdfast_contract::registry::ModelSummary;
use holdfast_contract::{Problem, role};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::args::ChatArguments;
use crate::exit;
use crate::output::{Output, printable};
use crate::suite::Suite;

/// Answers one question, or each line of standard input until it ends.
pub async fn run(suite: &Suite, output: Output, arguments: ChatArguments) -> anyhow::Result<u8> {
    let model = match &arguments.model {
        Some(name) => suite.model(name).await?,
        None => choose(suite).await?,
    };
    let mut conversation: Vec<Message> = Vec::new();
    conversation.extend(arguments.system.clone().map(|content| Message {
        role: Speaker::System,
        content,
    }));
    if let Some(question) = &arguments.question {
        conversation.push(Message {
            role: Speaker::User,
            content: question.clone(),
        });
        answer(suite, output, &arguments, &model, &conversation).await?;
        return Ok(exit::OK);
    }
    if !output.json {
        output.line(format!(
            "Talking to {}. An empty line or Ctrl-D ends.",
            model.name
        ))?;
    }
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        if !output.json {
            print!("\n> ");
            std::io::stdout().flush()?;
        }
        let Some(line) = lines.next_line().await?.filter(|line| !line.trim().is_empty()) else {
            return Ok(exit::OK);
        };
        conversation.push(Message {
            role: Speaker::User,
            content: line,
        });
        let content = answer(suite, output, &arguments, &model, &conversation).await?;
        conversation.push(Message {
            role: Speaker::Assistant,
            content,
        });
    }
}

async fn choose(suite: &Suite) -> Result<ModelSummary, Problem> {
    let models = suite.models().await?;
    let usable: Vec<&ModelSummary> = models.iter().filter(|model| model.format == "gguf").collect();
    match usable.as_slice() {
        [only] => Ok((*only).clone()),
        _ => suite.model("guide").await,
    }
}

async fn answer(
    suite: &Suite,
    output: Output,
    arguments: &ChatArguments,
    model: &ModelSummary,
    conversation: &[Message],
) -> anyhow::Result<String> {
    let request = GenerateRequest {
        model: model.digest,
        prompt: Prompt::Messages(conversation.to_vec()),
        sampling: Sampling {
            temperature: arguments.temperature,
            ..Sampling::default()
        },
        max_tokens: arguments.max_tokens,
        stop: Vec::new(),
        logprobs: None,
    };
    let client = suite.client(role::INFERENCE_GENERATE);
    let mut events = client.post_events("/v1/generate", &request).await?;
    let mut content = String::new();
    let mut cost = Usage::default();
    let mut out = std::io::stdout();
    while let Some(event) = events.next().await {
        match event? {
            GenerateEvent::Queued { ahead } if !output.json => eprintln!("(waiting behind {ahead} others)"),
            GenerateEvent::Loading if !output.json => eprintln!("(loading {})", model.name),
            GenerateEvent::Queued { .. } | GenerateEvent::Loading => {}
            GenerateEvent::Token { text, .. } => {
                if !output.json {
                    write!(out, "{}", printable(&text))?;
                    out.flush()?;
                }
                content.push_str(&text);
            }
            GenerateEvent::Done { usage, .. } => cost = usage,
            GenerateEvent::Failed { problem } => return Err(problem.into()),
        }
    }
    if output.json {
        output.value(&json!({ "model": model.name, "answer": content, "usage": cost }))?;
    } else {
        writeln!(out)?;
    }
    Ok(content)
}
