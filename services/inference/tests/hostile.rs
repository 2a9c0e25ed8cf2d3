//! Workers that do what a sound one does not do. The daemon must end them, say so, and go on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use holdfast_contract::ledger::{Event, Outcome};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::report::Severity;
use holdfast_contract::{Digest, Problem};
use holdfast_inference::Config;
use support::{Place, eventually, request, script};

fn config() -> Config {
    Config {
        load_timeout_seconds: 10,
        stall_timeout_seconds: 10,
        ..Config::default()
    }
}

/// What becomes of a request when the worker is `body`.
fn outcome(body: &str, config: Config) -> (Place, Digest, Problem) {
    let place = Place::new();
    let model = place.admit(1, "gguf", Vec::new(), b"model");
    place.serve(config, &script(&place, "worker", body));
    let problem = match place.generate(&request(model)) {
        Ok(answering) => answering.problem(),
        Err(problem) => problem,
    };
    (place, model, problem)
}

/// The worker is ended, an incident is reported, the daemon lives.
fn misbehaves(body: &str) {
    let (place, model, problem) = outcome(body, config());
    assert_eq!(problem.kind, ProblemKind::Internal, "{problem}: {body}");
    eventually("an incident", || !place.incidents().is_empty());
    let incident = place.incidents().remove(0);
    assert_eq!(
        (incident.class.as_str(), incident.severity),
        ("worker.misbehaved", Severity::High),
        "{body}"
    );
    assert_eq!(incident.subject, model.to_string());
    eventually("no engine is left", || place.engines().engines.is_empty());
    let ends = place.entries(Event::EngineLifecycle);
    assert_eq!(ends.last().unwrap().outcome, Outcome::Failed);
}

#[test]
fn a_line_without_end() {
    misbehaves("load; hear; head -c 3000000 /dev/zero; sleep 100");
}

#[test]
fn garbage() {
    misbehaves("load; hear; say 'hello'; sleep 100");
    misbehaves("head -c 100 /dev/urandom; echo; sleep 100");
}

#[test]
fn tokens_without_end() {
    misbehaves("load; hear; id; while token x; do :; done");
}

#[test]
fn more_tokens_than_were_asked_for_in_one() {
    misbehaves("load; hear; id; token x 101; sleep 100");
}

#[test]
fn a_report_about_a_request_that_it_does_not_have() {
    misbehaves("load; hear; id; id=$((id + 1)); token x; sleep 100");
}

#[test]
fn a_second_end() {
    let place = Place::new();
    let model = place.admit(1, "gguf", Vec::new(), b"model");
    let worker = script(
        &place,
        "worker",
        "load; hear; id; token x; done_ 1; done_ 1; sleep 100",
    );
    place.serve(config(), &worker);
    assert_eq!(place.generate(&request(model)).unwrap().text().0, "x");
    eventually("an incident", || !place.incidents().is_empty());
}

#[test]
fn more_room_than_it_was_given() {
    misbehaves("load 65; sleep 100");
}

#[test]
fn a_model_that_is_loaded_before_it_is_confined() {
    misbehaves(
        "hear; say '{\"report\":\"loaded\",\"slots\":1,\"context_tokens\":9,\"format\":\"plain\"}'; sleep 100",
    );
}

#[test]
fn a_vector_where_text_was_asked_for() {
    misbehaves(
        "load; hear; id; say '{\"report\":\"vector\",\"id\":'$id',\"vector\":[1.0],\"tokens\":1}'; sleep 100",
    );
}

#[test]
fn a_cancellation_that_nobody_asked_for() {
    misbehaves(
        "load; hear; id; say '{\"report\":\"failed\",\"id\":'$id',\"failure\":{\"reason\":\"cancelled\"}}'; sleep 100",
    );
}

#[test]
fn a_crash_while_it_loads_is_told_from_others_and_named() {
    let (place, _, problem) = outcome("hear; echo 'GGML_ASSERT(x) failed' >&2; kill -SEGV $$", config());
    assert!(
        problem.detail.contains("crashed while it loaded this model"),
        "{problem}"
    );
    assert!(
        problem.detail.contains("touched memory that is not its own"),
        "{problem}"
    );
    eventually("an incident", || !place.incidents().is_empty());
    let incident = place.incidents().remove(0);
    assert_eq!(
        (incident.class.as_str(), incident.severity),
        ("worker.crashed", Severity::Medium)
    );
}

#[test]
fn a_processor_that_cannot_run_it_is_named() {
    let (_, _, problem) = outcome("exit 78", config());
    assert!(
        problem.detail.contains("processor lacks instructions"),
        "{problem}"
    );
}

#[test]
fn a_crash_in_the_middle_of_an_answer_ends_that_answer_and_the_next_request_starts_anew() {
    let place = Place::new();
    let model = place.admit(1, "gguf", Vec::new(), b"model");
    let body = r#"
load; hear; id; token one
echo >> "$directory/crashes"
if [ "$(wc -l < "$directory/crashes")" -gt 2 ]; then done_ 1; sleep 100; fi
kill -SEGV $$"#;
    place.serve(config(), &script(&place, "worker", body));
    // It may have been an accident: whoever asks next is not made to wait. Twice in a row is no accident.
    for _ in 0..2 {
        let (text, end) = place.generate(&request(model)).unwrap().text();
        assert_eq!(text, "one");
        assert!(
            matches!(end, holdfast_contract::inference::GenerateEvent::Failed { .. }),
            "{end:?}"
        );
    }
    let problem = place.generate(&request(model)).map(drop).unwrap_err();
    assert!(
        problem.next.unwrap().contains("tried again"),
        "{}",
        problem.detail
    );
    let mut answer = None;
    eventually("an answer", || {
        answer = place.generate(&request(model)).ok().map(support::Answering::text);
        answer.is_some()
    });
    let (text, end) = answer.unwrap();
    assert_eq!(text, "one");
    assert!(
        matches!(end, holdfast_contract::inference::GenerateEvent::Done { .. }),
        "{end:?}"
    );
}

#[test]
fn silence_while_it_loads() {
    let (place, _, problem) = outcome(
        "sleep 100",
        Config {
            load_timeout_seconds: 1,
            ..config()
        },
    );
    assert_eq!(problem.kind, ProblemKind::Deadline);
    assert!(
        problem.detail.contains("loading the model took too long"),
        "{problem}"
    );
    eventually("no engine is left", || place.engines().engines.is_empty());
}

#[test]
fn silence_while_it_should_work() {
    let (_, _, problem) = outcome(
        "load; hear; sleep 100",
        Config {
            stall_timeout_seconds: 1,
            ..config()
        },
    );
    assert_eq!(problem.kind, ProblemKind::Deadline);
    assert!(problem.detail.contains("no sign of life"), "{problem}");
}

#[test]
fn signs_of_life_keep_it() {
    let body = "load; hear; id; for i in 1 2 3 4 5 6; do sleep 0.4; say '{\"report\":\"reading\",\"id\":'$id'}'; done; token x; done_ 1; sleep 100";
    let place = Place::new();
    let model = place.admit(1, "gguf", Vec::new(), b"model");
    place.serve(
        Config {
            stall_timeout_seconds: 1,
            ..config()
        },
        &script(&place, "worker", body),
    );
    assert_eq!(place.generate(&request(model)).unwrap().text().0, "x");
}

#[test]
fn a_refusal_is_passed_on_as_harmless_text() {
    let body = "hear; say '{\"report\":\"confined\",\"landlock_abi\":1,\"syscalls\":1,\"grants\":[],\"missing\":[]}'; say '{\"report\":\"refused\",\"reason\":\"unknown \\u001b[31march\"}'; sleep 100";
    let (place, _, problem) = outcome(body, config());
    assert_eq!(problem.kind, ProblemKind::Conflict);
    assert!(problem.detail.contains("unknown [31march"), "{problem}");
    assert!(
        place.incidents().is_empty(),
        "a model that cannot be loaded is no incident"
    );
}

#[test]
fn much_that_it_logs_is_not_kept() {
    let (_, _, problem) = outcome("load; hear; head -c 50000000 /dev/zero >&2; exit 3", config());
    assert!(problem.detail.contains("status 3"), "{problem}");
}
