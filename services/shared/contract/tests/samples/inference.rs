//! What is asked of models and what they answer.

use holdfast_contract::Problem;
use holdfast_contract::inference::{
    EmbedRequest, Embeddings, Engine, Engines, FinishReason, GenerateEvent, GenerateRequest, Message, Prompt,
    Sampling, Speaker, TokenLogprob, Unload, Usage,
};
use holdfast_contract::problem::ProblemKind;

use super::{Sample, any, digest, strict};

pub fn message() -> Message {
    Message {
        role: Speaker::User,
        content: "What is Holdfast?".to_owned(),
    }
}

pub fn sampling() -> Sampling {
    Sampling {
        temperature: 0.5,
        top_p: 0.75,
        top_k: 40,
        min_p: 0.25,
        presence_penalty: 1.5,
        frequency_penalty: -1.5,
        repeat_penalty: 1.25,
        seed: Some(7),
        logit_bias: vec![(50, -100.0)],
    }
}

pub fn logprob() -> TokenLogprob {
    let plain = TokenLogprob {
        token: "a".to_owned(),
        bytes: vec![97],
        logprob: -0.5,
        top: Vec::new(),
    };
    TokenLogprob {
        top: vec![plain.clone()],
        ..plain
    }
}

fn engine() -> Engine {
    Engine {
        model: digest(1),
        pid: 4711,
        active: 1,
        queued: 2,
        slots: 4,
        context_tokens: 1024,
        idle_seconds: 0,
    }
}

fn events(usage: Usage) -> Vec<GenerateEvent> {
    vec![
        GenerateEvent::Queued { ahead: 2 },
        GenerateEvent::Loading,
        GenerateEvent::Token {
            text: "a".to_owned(),
            logprobs: Vec::new(),
        },
        GenerateEvent::Token {
            text: "a".to_owned(),
            logprobs: vec![logprob()],
        },
        GenerateEvent::Done {
            finish: FinishReason::Stop,
            usage,
        },
        GenerateEvent::Failed {
            problem: Problem::new(ProblemKind::Internal, "the engine failed"),
        },
    ]
}

pub fn samples() -> Vec<Sample> {
    let usage = Usage {
        prompt_tokens: 9,
        completion_tokens: 50,
        first_token_ms: 1.5,
        generation_ms: 12.25,
    };
    let prompts = [Prompt::Messages(vec![message()]), Prompt::Text("Once".to_owned())];
    let request = GenerateRequest {
        model: digest(1),
        prompt: prompts[0].clone(),
        sampling: sampling(),
        max_tokens: Some(100),
        stop: vec!["\n".to_owned()],
        logprobs: Some(5),
    };
    let short = GenerateRequest {
        prompt: prompts[1].clone(),
        sampling: Sampling::default(),
        max_tokens: None,
        stop: Vec::new(),
        logprobs: None,
        ..request.clone()
    };
    vec![
        any(&[Speaker::System, Speaker::User, Speaker::Assistant]),
        strict(&[message()]),
        any(&prompts),
        strict(&[Sampling::default(), sampling()]),
        strict(&[request, short]),
        strict(&[logprob()]),
        any(&[FinishReason::Stop, FinishReason::Length]),
        strict(&[usage]),
        any(&events(usage)),
        strict(&[EmbedRequest {
            model: digest(1),
            input: vec!["one text".to_owned()],
        }]),
        strict(&[Embeddings {
            vectors: vec![vec![0.5, -0.5]],
            prompt_tokens: 2,
        }]),
        strict(&[engine()]),
        strict(&[Engines {
            engines: vec![engine()],
            backend: "llama.cpp (CPU)".to_owned(),
        }]),
        strict(&[Unload { model: digest(1) }]),
    ]
}
