//! The worker program itself: confined, on a socket, with a model that it did not open.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "support/gguf.rs"]
mod gguf;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command as Program, Stdio};

use gguf::Spec;
use holdfast_contract::engine::{ChatFormat, Command, EngineSettings, GenerateJob, JobFailure, Report};
use holdfast_contract::inference::{FinishReason, Message, Prompt, Sampling, Speaker};

const WORKER: &str = env!("CARGO_BIN_EXE_holdfast-engine");

struct Worker {
    child: Child,
    socket: BufReader<UnixStream>,
}

impl Worker {
    fn start(model: File) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let child = Program::new(WORKER)
            .env_clear()
            .env("GGML_NO_BACKTRACE", "1")
            .env("MALLOC_ARENA_MAX", "2")
            .stdin(Stdio::from(model))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            child,
            socket: BufReader::new(ours),
        }
    }

    fn loaded(model: File, settings: EngineSettings) -> Self {
        let mut worker = Self::start(model);
        worker.send(&Command::Load(settings));
        assert!(matches!(worker.receive(), Some(Report::Confined(_))));
        match worker.receive() {
            Some(Report::Loaded { .. }) => worker,
            other => panic!("{other:?}: {}", worker.ended().1),
        }
    }

    fn send(&mut self, command: &Command) {
        let mut line = serde_json::to_vec(command).unwrap();
        line.push(b'\n');
        self.socket.get_mut().write_all(&line).unwrap();
    }

    fn receive(&mut self) -> Option<Report> {
        let mut line = String::new();
        match self.socket.read_line(&mut line) {
            Ok(length) if length > 0 => Some(serde_json::from_str(&line).unwrap()),
            _ => None,
        }
    }

    /// The text of job `id`, and how it ended.
    fn answer(&mut self, id: u64) -> (String, Option<Report>) {
        let mut answer = String::new();
        loop {
            match self.receive() {
                Some(Report::Token { id: job, text, .. }) if job == id => answer.push_str(&text),
                Some(Report::Reading { id: job }) if job == id => {}
                end => return (answer, end),
            }
        }
    }

    /// Waits for the end of the process: its exit status and what it logged.
    fn ended(mut self) -> (std::process::ExitStatus, String) {
        let _ = self.socket.get_ref().shutdown(Shutdown::Both);
        let mut log = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut log)
            .unwrap();
        (self.child.wait().unwrap(), log)
    }
}

fn settings() -> EngineSettings {
    EngineSettings {
        slots: 2,
        context_tokens: 256,
        threads: 2,
        batch_tokens: 64,
        accelerator_layers: 0,
        memory_bytes: 1 << 30,
        chat_template: true,
    }
}

fn job(id: u64, max_tokens: u32) -> Command {
    Command::Generate(Box::new(GenerateJob {
        id,
        prompt: Prompt::Text("the one".to_owned()),
        sampling: Sampling {
            temperature: 0.0,
            logit_bias: vec![(2, -100.0), (4, -100.0)],
            ..Sampling::default()
        },
        max_tokens: Some(max_tokens),
        stop: Vec::new(),
        logprobs: None,
    }))
}

fn chat(id: u64) -> Command {
    let Command::Generate(mut job) = job(id, 4) else {
        unreachable!()
    };
    job.prompt = Prompt::Messages(vec![Message {
        role: Speaker::User,
        content: "Hi".to_owned(),
    }]);
    Command::Generate(job)
}

#[test]
fn answers_from_within_its_confinement() {
    let mut worker = Worker::start(Spec::default().file());
    worker.send(&Command::Load(settings()));
    let Some(Report::Confined(confinement)) = worker.receive() else {
        panic!("not confined first")
    };
    assert_eq!(
        confinement.grants,
        Vec::<String>::new(),
        "the worker has no file system at all"
    );
    assert!(confinement.syscalls < 80, "{}", confinement.syscalls);
    let loaded = worker.receive();
    assert_eq!(
        loaded,
        Some(Report::Loaded {
            slots: 2,
            context_tokens: 256,
            format: ChatFormat::Family
        })
    );

    worker.send(&job(1, 8));
    let (text, end) = worker.answer(1);
    assert!(!text.is_empty());
    let Some(Report::Done {
        finish: FinishReason::Length,
        completion_tokens: 8,
        ..
    }) = end
    else {
        panic!("{end:?}")
    };

    worker.send(&Command::Embed {
        id: 2,
        input: vec!["the".to_owned()],
    });
    assert!(matches!(worker.receive(), Some(Report::Vector { id: 2, .. })));
    let (status, log) = worker.ended();
    assert!(status.success(), "{status} {log}");
}

#[test]
fn cannot_do_what_it_must_not_do() {
    let proof = Program::new(WORKER)
        .arg("--prove-confinement")
        .env_clear()
        .stdin(File::open("/dev/null").unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8(proof.stdout).unwrap();
    assert!(
        proof.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&proof.stderr)
    );
    let attempts: Vec<holdfast_sandbox::Attempt> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        attempts.len() > 10 && attempts.iter().all(|attempt| attempt.denied),
        "{attempts:#?}"
    );
}

#[test]
fn threads_that_compute_are_confined_too_and_large_models_use_several() {
    // Larger than what one thread computes.
    let spec = Spec {
        embedding: 512,
        layers: 6,
        heads: 8,
        feed_forward: 2048,
        ..Spec::default()
    };
    let mut worker = Worker::loaded(spec.file(), settings());
    worker.send(&job(1, 4));
    let (_, end) = worker.answer(1);
    assert!(
        matches!(
            end,
            Some(Report::Done {
                completion_tokens: 4,
                ..
            })
        ),
        "{end:?}: {}",
        worker.ended().1
    );
}

#[test]
fn a_model_that_cannot_be_loaded_is_refused_with_the_reason() {
    let broken = Spec {
        omit_tensor: Some("output_norm.weight".to_owned()),
        ..Spec::default()
    };
    let unknown = Spec {
        architecture: "no-such-thing".to_owned(),
        ..Spec::default()
    };
    for (spec, expected) in [(broken, "output_norm.weight"), (unknown, "no-such-thing")] {
        let mut worker = Worker::start(spec.file());
        worker.send(&Command::Load(settings()));
        assert!(matches!(worker.receive(), Some(Report::Confined(_))));
        let Some(Report::Refused { reason }) = worker.receive() else {
            panic!("not refused")
        };
        assert!(reason.contains(expected), "{reason}");
        assert!(worker.ended().0.success());
    }
}

#[test]
fn a_template_that_takes_all_memory_ends_the_worker_and_not_the_machine() {
    // In one step: what is kept between steps is bounded, and what one operation repeats too often is not compiled.
    let mut text = format!("('{}' * 1000000)", "x".repeat(90));
    for _ in 0..6 {
        text = format!("({text} ~ {text})");
    }
    let spec = Spec {
        template: Some(format!("{{{{ {text} }}}}")),
        ..Spec::default()
    };
    let mut worker = Worker::start(spec.file());
    worker.send(&Command::Load(settings()));
    assert!(matches!(worker.receive(), Some(Report::Confined(_))));
    assert_eq!(worker.receive(), None);
    let (status, _) = worker.ended();
    assert!(!status.success(), "{status}");
}

#[test]
fn a_template_that_never_ends_is_given_up() {
    let template = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
    let spec = Spec {
        template: Some(template.to_owned()),
        control: Vec::new(),
        ..Spec::default()
    };
    let mut worker = Worker::loaded(spec.file(), settings());
    worker.send(&chat(1));
    let (_, end) = worker.answer(1);
    assert!(
        matches!(
            end,
            Some(Report::Done {
                format: Some(ChatFormat::Plain),
                ..
            })
        ),
        "{end:?}"
    );
}

#[test]
fn a_long_prompt_neither_breaks_the_tokenizer_nor_blocks_the_next_request() {
    let mut worker = Worker::loaded(
        Spec {
            tokenizer: gguf::Tokenizer::Bpe,
            ..Spec::default()
        }
        .file(),
        settings(),
    );
    let Command::Generate(mut long) = job(1, 4) else {
        unreachable!()
    };
    long.prompt = Prompt::Text("a".repeat(900_000));
    worker.send(&Command::Generate(long));
    let (_, end) = worker.answer(1);
    assert!(
        matches!(
            end,
            Some(Report::Failed {
                failure: JobFailure::PromptTooLong { limit: 255, .. },
                ..
            })
        ),
        "{end:?}: {}",
        worker.ended().1
    );
    worker.send(&job(2, 4));
    assert!(matches!(worker.answer(2).1, Some(Report::Done { .. })));
}

#[test]
fn ends_with_its_daemon() {
    let mut worker = Worker::loaded(Spec::default().file(), settings());
    worker.send(&job(1, 100_000));
    drop(worker.socket);
    let mut log = String::new();
    worker
        .child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut log)
        .unwrap();
    worker.child.wait().unwrap();
}

#[test]
fn a_line_that_is_no_command_ends_it() {
    for line in ["dance\n", "{\"command\":\"load\"}\n"] {
        let mut worker = Worker::start(Spec::default().file());
        worker.socket.get_mut().write_all(line.as_bytes()).unwrap();
        assert_eq!(worker.receive(), None);
        assert!(!worker.ended().0.success());
    }
}
