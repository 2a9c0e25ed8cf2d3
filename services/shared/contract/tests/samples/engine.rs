//! What inference and its workers say to each other.

use holdfast_contract::engine::{ChatFormat, Command, EngineSettings, GenerateJob, JobFailure, Report};
use holdfast_contract::inference::{FinishReason, Prompt};

use super::inference::{logprob, message, sampling};
use super::system::confinement;
use super::{Sample, any, strict};

fn settings() -> EngineSettings {
    EngineSettings {
        slots: 4,
        context_tokens: 8192,
        threads: 2,
        batch_tokens: 512,
        accelerator_layers: 0,
        memory_bytes: 1 << 30,
        chat_template: true,
    }
}

fn job() -> GenerateJob {
    GenerateJob {
        id: 7,
        prompt: Prompt::Messages(vec![message()]),
        sampling: sampling(),
        max_tokens: Some(100),
        stop: vec!["\n".to_owned()],
        logprobs: None,
    }
}

fn reports() -> Vec<Report> {
    vec![
        Report::Confined(confinement()),
        Report::Loaded {
            slots: 4,
            context_tokens: 1024,
            format: ChatFormat::Template,
        },
        Report::Refused {
            reason: "unknown architecture".to_owned(),
        },
        Report::Reading { id: 7 },
        Report::Token {
            id: 7,
            tokens: 2,
            text: "a".to_owned(),
            logprobs: vec![logprob()],
        },
        Report::Done {
            id: 7,
            finish: FinishReason::Length,
            prompt_tokens: 9,
            completion_tokens: 50,
            format: None,
        },
        Report::Done {
            id: 7,
            finish: FinishReason::Stop,
            prompt_tokens: 9,
            completion_tokens: 50,
            format: Some(ChatFormat::Plain),
        },
        Report::Vector {
            id: 7,
            vector: vec![0.5, -0.5],
            tokens: 2,
        },
        Report::Failed {
            id: 7,
            failure: JobFailure::Full,
        },
    ]
}

pub fn samples() -> Vec<Sample> {
    let command = [
        Command::Load(settings()),
        Command::Generate(Box::new(job())),
        Command::Embed {
            id: 8,
            input: vec!["one text".to_owned()],
        },
        Command::Cancel { id: 8 },
    ];
    let failures = [
        JobFailure::PromptTooLong { tokens: 9, limit: 4 },
        JobFailure::PromptEmpty,
        JobFailure::UnknownToken { token: 50 },
        JobFailure::NoText,
        JobFailure::NoEmbeddings,
        JobFailure::OutOfRange,
        JobFailure::Cancelled,
        JobFailure::Full,
        JobFailure::Failed,
    ];
    let formats = [
        ChatFormat::Template,
        ChatFormat::Adapted,
        ChatFormat::Family,
        ChatFormat::Plain,
    ];
    vec![
        any(&formats),
        strict(&[settings()]),
        strict(&[job()]),
        any(&command),
        any(&failures),
        any(&reports()),
    ]
}
