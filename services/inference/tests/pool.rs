//! Queues, room, idle engines, the ledger and the registry, with workers that are scripts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use holdfast_contract::inference::{FinishReason, GenerateEvent};
use holdfast_contract::ledger::{Event, Outcome};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::report::Condition;
use holdfast_inference::Config;
use support::{Place, conversation, eventually, request, script};

/// Answers each request with one token, as soon as `go` exists, and writes down what it hears.
const ON_GO: &str = r#"
load $SLOTS
while hear; do
    echo "$heard" >> "$directory/heard"
    id
    case "$heard" in
        *'"command":"cancel"'*) say '{"report":"failed","id":'$id',"failure":{"reason":"cancelled"}}';;
        *'"command":"embed"'*) say '{"report":"vector","id":'$id',"vector":[1.0],"tokens":2}';;
        *) until [ -e "$directory/go" ]; do sleep 0.01; done; token yes; done_ 1;;
    esac
done"#;

fn on_go(slots: u32) -> String {
    ON_GO.replace("$SLOTS", &slots.to_string())
}

fn go(place: &Place) {
    std::fs::write(place.directory.path().join("go"), "").unwrap();
}

fn heard(place: &Place) -> String {
    std::fs::read_to_string(place.directory.path().join("heard")).unwrap_or_default()
}

#[test]
fn an_answer_says_how_it_came_about_and_the_ledger_how_much_it_was() {
    let place = Place::new();
    let model = place.admit(1, "gguf", Vec::new(), b"model");
    place.serve(Config::default(), &script(&place, "worker", &on_go(2)));
    go(&place);
    let events = place.generate(&conversation(model, "a secret")).unwrap().all();
    assert_eq!(events[0], GenerateEvent::Loading);
    assert!(matches!(&events[1], GenerateEvent::Token { text, .. } if text == "yes"));
    let Some(GenerateEvent::Done {
        finish: FinishReason::Stop,
        usage,
    }) = events.last()
    else {
        panic!("{events:?}")
    };
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (3, 1));
    assert!(usage.first_token_ms > 0.0);

    let started = place.entries(Event::EngineLifecycle).remove(0);
    assert_eq!(
        (started.outcome, started.subject),
        (Outcome::Allowed, model.to_string())
    );
    assert_eq!(
        (
            started.detail["action"].as_str(),
            started.detail["slots"].as_u64()
        ),
        (Some("started"), Some(2))
    );
    let answered = place.entries(Event::EngineGenerate).remove(0);
    assert_eq!(answered.outcome, Outcome::Allowed);
    assert_eq!(
        (
            answered.detail["completion_tokens"].as_u64(),
            answered.detail["end"].as_str()
        ),
        (Some(1), Some("stop"))
    );
    assert!(answered.detail["caller"].is_string());
    let text = serde_json::to_string(&answered).unwrap();
    assert!(!text.contains("secret") && !text.contains("yes"), "{text}");
}

#[test]
fn vectors_come_back_in_order() {
    let place = Place::new();
    let model = place.admit(1, "gguf", Vec::new(), b"model");
    place.serve(Config::default(), &script(&place, "worker", &on_go(2)));
    let found = place.embed(model, &["one"]).unwrap();
    assert_eq!((found.vectors, found.prompt_tokens), (vec![vec![1.0]], 2));
    assert_eq!(place.embed(model, &[]).unwrap_err().kind, ProblemKind::Invalid);
}

#[test]
fn those_who_wait_are_told_where_they_stand_and_too_many_are_refused() {
    let place = Place::new();
    let model = place.admit(1, "gguf", Vec::new(), b"model");
    place.serve(
        Config {
            queue: 2,
            ..Config::default()
        },
        &script(&place, "worker", &on_go(1)),
    );
    let first = place.generate(&request(model)).unwrap();
    eventually("the first is being answered", || {
        heard(&place).contains("generate")
    });
    let mut second = place.generate(&request(model)).unwrap();
    assert_eq!(second.next(), Some(GenerateEvent::Queued { ahead: 0 }));
    let mut third = place.generate(&request(model)).unwrap();
    assert_eq!(third.next(), Some(GenerateEvent::Queued { ahead: 1 }));
    let fourth = place.generate(&request(model)).map(drop).unwrap_err();
    assert_eq!(fourth.kind, ProblemKind::Busy);
    assert!(fourth.detail.contains("2 requests wait"), "{fourth}");
    let engine = place.engines().engines.remove(0);
    assert_eq!(
        (engine.active, engine.queued, engine.slots, engine.idle_seconds),
        (1, 2, 1, 0)
    );
    go(&place);
    assert_eq!(first.text().0, "yes");
    assert_eq!(third.next(), Some(GenerateEvent::Queued { ahead: 0 }));
    assert_eq!(second.text().0, "yes");
    assert_eq!(third.text().0, "yes");
}

#[test]
fn a_caller_that_hangs_up_is_forgotten_wherever_its_request_is() {
    let place = Place::new();
    let model = place.admit(1, "gguf", Vec::new(), b"model");
    // Never answers, so that the cancellation is what ends the request.
    let body = r#"
load 1
while hear; do
    echo "$heard" >> "$directory/heard"; id
    case "$heard" in *cancel*) say '{"report":"failed","id":'$id',"failure":{"reason":"cancelled"}}';; esac
done"#;
    place.serve(Config::default(), &script(&place, "worker", body));
    let first = place.generate(&request(model)).unwrap();
    eventually("the first is being answered", || {
        heard(&place).contains("generate")
    });
    let second = place.generate(&request(model)).unwrap();
    eventually("the second waits", || place.engines().engines[0].queued == 1);
    drop(second);
    eventually("the second is gone", || place.engines().engines[0].queued == 0);
    assert!(
        !heard(&place).contains("cancel"),
        "the worker never knew of the second"
    );
    drop(first);
    eventually("the first is cancelled", || heard(&place).contains("cancel"));
    eventually("the engine is idle", || place.engines().engines[0].active == 0);
    eventually("it is in the ledger", || {
        place
            .entries(Event::EngineGenerate)
            .iter()
            .any(|entry| entry.detail["end"] == "cancelled")
    });
}

#[test]
fn an_idle_engine_is_unloaded_and_comes_back_with_the_next_request() {
    let place = Place::new();
    let model = place.admit(1, "gguf", Vec::new(), b"model");
    let config = Config {
        idle_unload_seconds: 1,
        ..Config::default()
    };
    place.serve(config, &script(&place, "worker", &on_go(2)));
    go(&place);
    assert_eq!(place.generate(&request(model)).unwrap().text().0, "yes");
    let pid = place.engines().engines[0].pid;
    eventually("it is unloaded", || place.engines().engines.is_empty());
    eventually("its process is gone", || {
        !std::path::Path::new(&format!("/proc/{pid}")).exists()
    });
    // It is written down after the worker has ended.
    eventually("it is in the ledger", || {
        let last = place.entries(Event::EngineLifecycle).pop().unwrap();
        last.outcome == Outcome::Noted && last.detail.get("reason").is_some_and(|reason| reason == "idle")
    });
    assert_eq!(place.generate(&request(model)).unwrap().text().0, "yes");
}

#[test]
fn the_idle_engine_makes_room_and_a_busy_one_does_not() {
    let place = Place::new();
    let models: Vec<_> = (1..=3)
        .map(|number| place.admit(number, "gguf", Vec::new(), b"model"))
        .collect();
    let config = Config {
        max_engines: 1,
        ..Config::default()
    };
    place.serve(config, &script(&place, "worker", &on_go(2)));
    let busy = place.generate(&request(models[0])).unwrap();
    eventually("it is being answered", || heard(&place).contains("generate"));
    let refused = place.generate(&request(models[1])).map(drop).unwrap_err();
    assert_eq!(refused.kind, ProblemKind::Busy);
    go(&place);
    assert_eq!(busy.text().0, "yes");
    eventually("it is idle", || place.engines().engines[0].active == 0);
    assert_eq!(place.generate(&request(models[1])).unwrap().text().0, "yes");
    let loaded: Vec<_> = place
        .engines()
        .engines
        .iter()
        .map(|engine| engine.model)
        .collect();
    assert_eq!(loaded, [models[1]]);
    let reasons: Vec<_> = place
        .entries(Event::EngineLifecycle)
        .into_iter()
        .filter_map(|entry| {
            entry
                .detail
                .get("reason")
                .and_then(|reason| reason.as_str().map(str::to_owned))
        })
        .collect();
    assert_eq!(reasons, ["make-room"]);
}

#[test]
fn unloading_ends_what_is_under_way_and_what_is_not_loaded_cannot_be_unloaded() {
    let place = Place::new();
    let model = place.admit(1, "gguf", Vec::new(), b"model");
    place.serve(Config::default(), &script(&place, "worker", &on_go(2)));
    assert_eq!(place.unload(model).unwrap_err().kind, ProblemKind::NotFound);
    let answering = place.generate(&request(model)).unwrap();
    eventually("it is being answered", || heard(&place).contains("generate"));
    assert!(place.unload(model).unwrap().engines.is_empty());
    let problem = answering.problem();
    assert_eq!(problem.kind, ProblemKind::Unavailable);
    assert!(problem.detail.contains("unloaded"), "{problem}");
    assert!(place.incidents().is_empty());
}

#[test]
fn a_model_that_the_registry_no_longer_has_is_unloaded() {
    let place = Place::new();
    let model = place.admit(1, "gguf", Vec::new(), b"model");
    let config = Config {
        registry_check_seconds: 1,
        ..Config::default()
    };
    place.serve(config, &script(&place, "worker", &on_go(2)));
    go(&place);
    assert_eq!(place.generate(&request(model)).unwrap().text().0, "yes");
    place.remove(model);
    eventually("it is unloaded", || place.engines().engines.is_empty());
    eventually("it is in the ledger", || {
        let last = place.entries(Event::EngineLifecycle).pop().unwrap();
        last.detail
            .get("reason")
            .is_some_and(|reason| reason == "withdrawn")
    });
}

#[test]
fn the_registrys_refusals_are_passed_on() {
    let place = Place::new();
    let safetensors = place.admit(1, "safetensors", Vec::new(), b"model");
    place.serve(Config::default(), &script(&place, "worker", &on_go(2)));
    let unknown = holdfast_contract::Digest::from_bytes([9; 32]);
    assert_eq!(
        place.generate(&request(unknown)).map(drop).unwrap_err().kind,
        ProblemKind::NotFound
    );
    let problem = place.generate(&request(safetensors)).map(drop).unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Conflict);
    assert!(problem.detail.contains("only GGUF"), "{problem}");
}

#[test]
fn the_condition_on_the_chat_template_reaches_the_worker() {
    let place = Place::new();
    let bound = place.admit(1, "gguf", vec![Condition::NoChatTemplate], b"model");
    let free = place.admit(2, "gguf", vec![Condition::NoTools], b"model");
    let body = r#"
hear; echo "$heard" >> "$directory/heard"
say '{"report":"refused","reason":"enough"}'"#;
    place.serve(Config::default(), &script(&place, "worker", body));
    for (model, expected) in [
        (bound, "\"chat_template\":false"),
        (free, "\"chat_template\":true"),
    ] {
        let _ = place.generate(&request(model)).map(support::Answering::all);
        eventually("the worker heard it", || heard(&place).contains(expected));
    }
}

#[test]
fn what_cannot_be_recorded_is_not_done() {
    let place = Place::new();
    let model = place.admit(1, "gguf", Vec::new(), b"model");
    // The start of the engine cannot be recorded: it is not used.
    place.ledger_refuses(Event::EngineLifecycle);
    place.serve(Config::default(), &script(&place, "worker", &on_go(2)));
    go(&place);
    let problem = place.generate(&request(model)).unwrap().problem();
    assert_eq!(problem.kind, ProblemKind::NoSpace);
    assert!(!heard(&place).contains("generate"));
    // The end of an answer cannot be recorded: it is no good end.
    place.ledger_refuses(Event::EngineGenerate);
    let (_, end) = place.generate(&request(model)).unwrap().text();
    let GenerateEvent::Failed { problem } = end else {
        panic!("{end:?}")
    };
    assert!(problem.detail.contains("could not be recorded"), "{problem}");
}

#[test]
fn a_request_that_is_not_valid_never_reaches_an_engine() {
    let place = Place::new();
    let model = place.admit(1, "gguf", Vec::new(), b"model");
    place.serve(Config::default(), &script(&place, "worker", &on_go(2)));
    let mut bad = request(model);
    bad.sampling.temperature = 3.0;
    assert_eq!(
        place.generate(&bad).map(drop).unwrap_err().kind,
        ProblemKind::Invalid
    );
    assert!(place.engines().engines.is_empty());
}

#[test]
fn a_caller_that_does_not_read_does_not_hold_up_the_others() {
    let place = Place::new();
    let model = place.admit(1, "gguf", Vec::new(), b"model");
    // The first request gets far more text than its connection takes, the second one token.
    let body = r#"
load 2
hear; id; first=$id; hear; id; second=$id
id=$first; big=$(head -c 60000 /dev/zero | tr '\0' x)
for i in $(seq 99); do token $big; done
id=$second; token yes; done_ 1
while hear; do echo "$heard" >> "$directory/heard"; id; case "$heard" in *cancel*) say '{"report":"failed","id":'$id',"failure":{"reason":"cancelled"}}';; esac; done"#;
    place.serve(Config::default(), &script(&place, "worker", body));
    let unread = place.generate(&request(model)).unwrap();
    let read = place.generate(&request(model)).unwrap();
    assert_eq!(read.text().0, "yes");
    eventually("the first is given up", || heard(&place).contains("cancel"));
    drop(unread);
}
