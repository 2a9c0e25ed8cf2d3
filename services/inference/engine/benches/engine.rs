//! Tokens a second and time to the first token through the daemon's socket, beside llama.cpp's own loop in this process, in turns.
//!
//! The daemon and the worker are the real ones, each in its sandbox. The guide model is the hardest case: it makes a token in some
//! hundred microseconds, so that everything that is done for a token shows.

#![allow(missing_docs, reason = "a program")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a measurement that cannot go on fails"
)]

#[path = "../tests/support/gguf.rs"]
mod gguf;
#[path = "../tests/support/program.rs"]
mod program;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::fs::File;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::{Duration, Instant};

use holdfast_contract::Digest;
use holdfast_contract::inference::{GenerateEvent, GenerateRequest, Sampling};
use holdfast_engine::load::load;
use holdfast_engine::vocabulary::{Marked, Vocabulary};
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::logit_bias::LlamaLogitBias;
use support::{Place, request};

const ROUNDS: usize = 15;
const PROMPT: &str = "the one";

struct Subject<'a> {
    name: &'a str,
    bytes: Vec<u8>,
    tokens: u32,
}

/// One answer: when its first token was there, and how long the others took.
#[derive(Clone, Copy)]
struct Run {
    first: Duration,
    rest: Duration,
    tokens: u32,
}

impl Run {
    fn tokens_per_second(self) -> f64 {
        f64::from(self.tokens - 1) / self.rest.as_secs_f64()
    }
}

fn main() {
    let mut backend = LlamaBackend::init().unwrap();
    backend.void_logs();
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guide-model/guide.gguf");
    let large = gguf::Spec {
        embedding: 768,
        layers: 12,
        heads: 12,
        feed_forward: 3072,
        context: 2048,
        ..gguf::Spec::default()
    };
    let subjects = [
        Subject {
            name: "guide model",
            bytes: std::fs::read(guide).unwrap(),
            tokens: 400,
        },
        Subject {
            name: "85 M weights, F32",
            bytes: large.gguf(),
            tokens: 64,
        },
    ];
    let place = Place::new();
    let _daemon = place.start(program::daemon(), Path::new(program::WORKER), &[]);
    for (number, subject) in (1..).zip(&subjects) {
        let digest = place.admit(number, "gguf", Vec::new(), &subject.bytes);
        let path = place.directory.path().join(format!("model-{number}"));
        let model = load(&backend, File::open(path).unwrap(), 0).unwrap();
        measure(&place, &backend, &model, digest, subject);
    }
}

fn measure(place: &Place, backend: &LlamaBackend, model: &LlamaModel, digest: Digest, subject: &Subject<'_>) {
    let (mut own, mut ours) = (Vec::new(), Vec::new());
    // Loads the model, and warms both.
    through_the_daemon(place, model, digest, subject.tokens);
    in_this_process(backend, model, subject.tokens);
    for round in 0..ROUNDS {
        // Who goes first changes, so that neither is favoured by what comes before it.
        if round % 2 == 0 {
            own.push(in_this_process(backend, model, subject.tokens));
            ours.push(through_the_daemon(place, model, digest, subject.tokens));
        } else {
            ours.push(through_the_daemon(place, model, digest, subject.tokens));
            own.push(in_this_process(backend, model, subject.tokens));
        }
    }
    let speed = |runs: &[Run]| median(runs.iter().map(|run| run.tokens_per_second()));
    let first = |runs: &[Run]| median(runs.iter().map(|run| run.first.as_secs_f64() * 1e3));
    println!(
        "{}: {:.0} tokens/s through the daemon, {:.0} in llama.cpp's own loop: ratio {:.3} (to reach: 0.98)",
        subject.name,
        speed(&ours),
        speed(&own),
        speed(&ours) / speed(&own)
    );
    println!(
        "{}: first token after {:.2} ms, {:.2} ms in llama.cpp's own loop: {:.2} ms added (to reach: 2)",
        subject.name,
        first(&ours),
        first(&own),
        first(&ours) - first(&own)
    );
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The tokens that would end the answer.
fn ends(model: &LlamaModel) -> Vec<i32> {
    let vocabulary = Vocabulary::new(model);
    model
        .vocab()
        .tokens()
        .filter(|token| vocabulary.is_end(*token))
        .map(|token| token.0)
        .collect()
}

fn through_the_daemon(place: &Place, model: &LlamaModel, digest: Digest, tokens: u32) -> Run {
    let bias = ends(model)
        .into_iter()
        .map(|token| (u32::try_from(token).unwrap(), -100.0))
        .collect();
    let sampling = Sampling {
        temperature: 0.0,
        logit_bias: bias,
        ..Sampling::default()
    };
    let prompt = holdfast_contract::inference::Prompt::Text(PROMPT.to_owned());
    let asked = GenerateRequest {
        prompt,
        sampling,
        max_tokens: Some(tokens),
        ..request(digest)
    };
    let started = Instant::now();
    let mut answering = place.generate(&asked).unwrap();
    let mut first = None;
    loop {
        match answering.next().unwrap() {
            GenerateEvent::Token { .. } => {
                first.get_or_insert_with(|| started.elapsed());
            }
            GenerateEvent::Done { usage, .. } => {
                assert_eq!(usage.completion_tokens, tokens);
                let first = first.unwrap();
                // The ledger entry comes after the last token and before this event; the worker's own time is without it.
                let rest = Duration::from_secs_f64(usage.generation_ms / 1e3);
                return Run { first, rest, tokens };
            }
            GenerateEvent::Failed { problem } => panic!("{problem}"),
            GenerateEvent::Queued { .. } | GenerateEvent::Loading => {}
        }
    }
}

/// What a program would do that uses llama.cpp directly: one sequence, greedy, text of each token.
fn in_this_process(backend: &LlamaBackend, model: &LlamaModel, tokens: u32) -> Run {
    let vocabulary = Vocabulary::new(model);
    let threads = if model.size() <= 48 << 20 { 1 } else { 2 };
    let parameters = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(model.n_ctx_train().min(4096)))
        .with_n_threads(threads)
        .with_n_threads_batch(threads)
        .with_no_perf(true);
    let mut context = model.new_context(backend, parameters).unwrap();
    let biases: Vec<_> = ends(model)
        .into_iter()
        .map(|token| LlamaLogitBias::new(llama_cpp_2::token::LlamaToken(token), -100.0))
        .collect();
    let mut sampler = LlamaSampler::chain(
        [
            LlamaSampler::logit_bias(model.n_vocab(), &biases),
            LlamaSampler::greedy(),
        ],
        true,
    );
    let mut batch = LlamaBatch::new(512, 1);
    // The context is warmed up like the worker's.
    batch
        .add(llama_cpp_2::token::LlamaToken(0), 0, &[0], true)
        .unwrap();
    context.decode(&mut batch).unwrap();
    context.clear_kv_cache();

    let started = Instant::now();
    let prompt = vocabulary.prompt(&Marked {
        text: PROMPT.to_owned(),
        contents: Vec::new(),
    });
    batch.clear();
    batch.add_sequence(&prompt, 0, false).unwrap();
    context.decode(&mut batch).unwrap();
    let mut token = sampler.sample(&context, batch.n_tokens() - 1);
    let mut text = vocabulary.piece(token);
    let first = started.elapsed();
    let begun = Instant::now();
    for position in (i32::try_from(prompt.len()).unwrap()..).take(tokens as usize - 1) {
        batch.clear();
        batch.add(token, position, &[0], true).unwrap();
        context.decode(&mut batch).unwrap();
        token = sampler.sample(&context, 0);
        text.extend(vocabulary.piece(token));
    }
    assert!(!text.is_empty());
    Run {
        first,
        rest: begun.elapsed(),
        tokens,
    }
}
