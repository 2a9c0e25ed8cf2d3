//! The whole way: the real daemon in its sandbox, the real worker in its own, models with random weights.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "support/gguf.rs"]
mod gguf;
#[path = "support/program.rs"]
mod program;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use gguf::{CHATML, Spec};
use holdfast_contract::inference::{FinishReason, GenerateEvent, GenerateRequest, Sampling};
use holdfast_contract::ledger::Event;
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::report::Condition;
use holdfast_contract::status::ServiceStatus;
use program::{WORKER, daemon};
use support::{Daemon, Place, conversation, eventually, request};

fn started(place: &Place) -> Daemon {
    place.start(daemon(), Path::new(WORKER), &[])
}

/// Greedy, and long enough to be looked at: the tokens that end a turn are banned.
fn greedy(model: holdfast_contract::Digest, most: u32) -> GenerateRequest {
    let sampling = Sampling {
        temperature: 0.0,
        logit_bias: vec![(2, -100.0), (4, -100.0)],
        ..Sampling::default()
    };
    GenerateRequest {
        sampling,
        max_tokens: Some(most),
        ..request(model)
    }
}

/// Large enough that an answer takes a while.
fn slow() -> Spec {
    Spec {
        embedding: 512,
        layers: 8,
        heads: 8,
        feed_forward: 2048,
        context: 4096,
        ..Spec::default()
    }
}

fn threads_and_children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| {
            list.split_ascii_whitespace()
                .map(|pid| pid.parse().unwrap())
                .collect::<Vec<_>>()
        })
        .collect()
}

fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn answers_embeds_and_says_how_it_is_confined() {
    let place = Place::new();
    let model = place.admit(
        1,
        "gguf",
        Vec::new(),
        &Spec {
            template: Some(CHATML.to_owned()),
            ..Spec::default()
        }
        .gguf(),
    );
    let _daemon = started(&place);
    let status: ServiceStatus = place.runtime.block_on(place.admin().get("/v1/status")).unwrap();
    assert!(status.confinement.landlock_abi >= 4 && status.confinement.syscalls > 0);
    assert_eq!(status.summary, "no model loaded (cpu)");

    let (text, end) = place
        .generate(&GenerateRequest {
            max_tokens: Some(12),
            ..conversation(model, "Who are you?")
        })
        .unwrap()
        .text();
    assert!(matches!(end, GenerateEvent::Done { .. }), "{end:?}");
    assert_eq!(
        text,
        place
            .generate(&GenerateRequest {
                max_tokens: Some(12),
                ..conversation(model, "Who are you?")
            })
            .unwrap()
            .text()
            .0
    );
    let found = place.embed(model, &["the one", "user"]).unwrap();
    assert_eq!(found.vectors.len(), 2);
    assert!((found.vectors[0].iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-4);

    let engines = place.engines();
    assert_eq!((engines.backend.as_str(), engines.engines.len()), ("cpu", 1));
    assert!(is_alive(engines.engines[0].pid));
    let answered = place.entries(Event::EngineGenerate);
    assert_eq!(answered.len(), 3);
    assert_eq!(answered[0].detail["format"], "template");
}

#[test]
fn cannot_do_what_it_must_not_do() {
    let place = Place::new();
    let mut daemon = place.start(daemon(), Path::new(WORKER), &["--prove-confinement"]);
    let mut proof = String::new();
    daemon
        .child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut proof)
        .unwrap();
    let status = daemon.child.wait().unwrap();
    assert!(
        status.success() && proof.lines().count() > 10,
        "{status}: {proof}"
    );
}

#[test]
fn several_at_once_answer_what_each_answers_alone() {
    let place = Place::new();
    let model = place.admit(1, "gguf", Vec::new(), &Spec::default().gguf());
    let _daemon = started(&place);
    let prompts = [
        "the",
        "one in here",
        "user on",
        "and a longer one, so that it is read while others speak",
        "he",
        "in",
    ];
    let ask = |prompt: &str| {
        let prompt = holdfast_contract::inference::Prompt::Text(prompt.to_owned());
        place
            .generate(&GenerateRequest {
                prompt,
                ..greedy(model, 40)
            })
            .unwrap()
    };
    let alone: Vec<String> = prompts.iter().map(|prompt| ask(prompt).text().0).collect();
    // More than there are slots.
    let together: Vec<_> = prompts.iter().map(|prompt| ask(prompt)).collect();
    for (answer, alone) in together.into_iter().zip(alone) {
        assert_eq!(answer.text().0, alone);
    }
}

#[test]
fn the_worker_stops_within_a_token_when_the_caller_hangs_up() {
    let place = Place::new();
    let model = place.admit(1, "gguf", Vec::new(), &slow().gguf());
    let _daemon = started(&place);
    let mut answering = place.generate(&greedy(model, 4000)).unwrap();
    let mut tokens = 0;
    while tokens < 3 {
        tokens += usize::from(matches!(answering.next(), Some(GenerateEvent::Token { .. })));
    }
    drop(answering);
    let hung_up = Instant::now();
    eventually("it is cancelled", || {
        place
            .entries(Event::EngineGenerate)
            .iter()
            .any(|entry| entry.detail["end"] == "cancelled")
    });
    let entry = place.entries(Event::EngineGenerate).remove(0);
    let made = entry.detail["completion_tokens"].as_u64().unwrap();
    assert!(
        made < 400,
        "it went on for {made} tokens and {:?}",
        hung_up.elapsed()
    );
    assert_eq!(place.engines().engines[0].active, 0);
}

#[test]
fn a_killed_worker_ends_its_answers_and_the_next_request_starts_another() {
    let place = Place::new();
    let model = place.admit(1, "gguf", Vec::new(), &slow().gguf());
    let _daemon = started(&place);
    let mut answering = place.generate(&greedy(model, 4000)).unwrap();
    while !matches!(answering.next(), Some(GenerateEvent::Token { .. })) {}
    let pid = place.engines().engines[0].pid;
    assert!(
        Command::new("kill")
            .args(["-9", &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
    let problem = answering.problem();
    assert!(problem.detail.contains("it was killed"), "{problem}");
    eventually("an incident", || {
        place
            .incidents()
            .iter()
            .any(|incident| incident.class == "worker.crashed")
    });
    let mut end = None;
    eventually("it is back", || {
        end = place
            .generate(&greedy(model, 2))
            .ok()
            .map(|answering| answering.text().1);
        matches!(
            end,
            Some(GenerateEvent::Done {
                finish: FinishReason::Length,
                ..
            })
        )
    });
}

#[test]
fn no_worker_outlives_its_daemon() {
    for signal in ["-KILL", "-TERM"] {
        let place = Place::new();
        let model = place.admit(1, "gguf", Vec::new(), &Spec::default().gguf());
        let mut daemon = started(&place);
        assert!(matches!(
            place.generate(&greedy(model, 2)).unwrap().text().1,
            GenerateEvent::Done { .. }
        ));
        let workers = threads_and_children(daemon.child.id());
        assert_eq!(workers.len(), 1);
        assert!(
            Command::new("kill")
                .args([signal, &daemon.child.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
        daemon.child.wait().unwrap();
        eventually("the worker is gone", || !is_alive(workers[0]));
        if signal == "-TERM" {
            let last = place.entries(Event::EngineLifecycle).pop().unwrap();
            assert_eq!(last.detail["action"], "stopped");
        }
    }
}

#[test]
fn a_model_that_is_no_model_is_reported_clearly() {
    let place = Place::new();
    let broken = Spec {
        omit_tensor: Some("output_norm.weight".to_owned()),
        ..Spec::default()
    };
    let model = place.admit(1, "gguf", Vec::new(), &broken.gguf());
    let garbage = place.admit(2, "gguf", Vec::new(), b"GGUF, but no more than that");
    let _daemon = started(&place);
    for (model, word) in [(model, "output_norm"), (garbage, "cannot load this model")] {
        let problem = place
            .generate(&greedy(model, 2))
            .map_or_else(|problem| problem, support::Answering::problem);
        assert!(
            problem.kind == ProblemKind::Conflict && problem.detail.contains(word),
            "{problem}"
        );
    }
}

#[test]
fn the_template_in_the_file_is_used_only_where_that_is_allowed() {
    let place = Place::new();
    let gguf = Spec {
        template: Some("{{ 'the' }}".to_owned()),
        control: Vec::new(),
        ..Spec::default()
    }
    .gguf();
    let free = place.admit(1, "gguf", Vec::new(), &gguf);
    let bound = place.admit(2, "gguf", vec![Condition::NoChatTemplate], &gguf);
    let _daemon = started(&place);
    for model in [free, bound] {
        let request = GenerateRequest {
            max_tokens: Some(2),
            ..conversation(model, "Hi")
        };
        assert!(matches!(
            place.generate(&request).unwrap().text().1,
            GenerateEvent::Done { .. }
        ));
    }
    let formats: Vec<_> = place
        .entries(Event::EngineGenerate)
        .iter()
        .map(|entry| entry.detail["format"].clone())
        .collect();
    assert_eq!(formats, ["template", "plain"]);
}

#[test]
fn what_the_engine_finds_impossible_has_its_status_and_words() {
    let place = Place::new();
    let model = place.admit(1, "gguf", Vec::new(), &Spec::default().gguf());
    let _daemon = started(&place);
    assert!(place.generate(&greedy(model, 1)).is_ok());
    let prompt = holdfast_contract::inference::Prompt::Text("the ".repeat(2000));
    let asked = place.generate(&GenerateRequest {
        prompt,
        ..greedy(model, 1)
    });
    let problem = asked.map_or_else(|problem| problem, support::Answering::problem);
    assert_eq!(problem.kind, ProblemKind::TooLarge);
    assert!(problem.detail.contains("at most 255 fit"), "{problem}");
    let mut bias = greedy(model, 1);
    bias.sampling.logit_bias = vec![(1_000_000, 1.0)];
    let problem = place
        .generate(&bias)
        .map_or_else(|problem| problem, support::Answering::problem);
    assert!(
        problem.kind == ProblemKind::Invalid && problem.detail.contains("1000000"),
        "{problem}"
    );
}

#[test]
fn an_unknown_argument_or_configuration_refuses_to_start() {
    let place = Place::new();
    let path = place.directory.path().join("inference.toml");
    std::fs::write(&path, "slotz = 1\n").unwrap();
    let mut daemon = place.start(daemon(), Path::new(WORKER), &["--config", path.to_str().unwrap()]);
    assert!(!daemon.child.wait().unwrap().success());
    let mut missing = Command::new(program::daemon());
    missing
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    assert!(!missing.status().unwrap().success());
}
