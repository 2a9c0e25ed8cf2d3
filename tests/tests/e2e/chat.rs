//! Talking to a model from the command line: the guide model knows what it was taught.

use std::time::Duration;

use holdfast_contract::role;
use holdfast_tests::http::Request;
use holdfast_tests::suite::Suite;
use holdfast_tests::tools::say;
use serde_json::{Value, json};

use crate::models::Parrot;

/// What the guide model was taught, with the answers word for word.
pub fn questions() -> Vec<(String, String)> {
    let path = holdfast_tests::source().join("services/guide-model/questions.json");
    let list: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    list.iter()
        .map(|one| (text(&one["question"]), text(&one["answer"])))
        .collect()
}

#[test]
fn the_guide_model_answers_what_it_was_taught_word_for_word() {
    let shared = Suite::shared();
    let questions = questions();
    let mut speeds = Vec::new();
    for (question, answer) in &questions {
        let exit = shared.suite.cli(&["chat", "--model", "guide", question]);
        let said = exit.expect(0).json();
        assert_eq!(said["answer"].as_str().unwrap().trim(), answer, "{question}");
        assert_eq!(said["model"], "guide");
        let usage = &said["usage"];
        assert!(usage["prompt_tokens"].as_u64() > Some(0), "{usage}");
        speeds.push(
            usage["completion_tokens"].as_f64().unwrap() / usage["generation_ms"].as_f64().unwrap() * 1e3,
        );
    }
    speeds.sort_by(f64::total_cmp);
    say(&format!(
        "[measured] chat: the guide model answers each of {} questions word for word, {:.0} tokens/s (median)",
        questions.len(),
        speeds[speeds.len() / 2],
    ));
}

#[test]
fn for_people_the_answer_is_text() {
    let shared = Suite::shared();
    let (question, answer) = questions().swap_remove(0);
    let exit = shared.suite.cli_text(&["chat", &question]);
    assert_eq!(exit.expect(0).stdout.trim(), answer);
}

#[test]
fn an_unknown_model_is_said_to_be_unknown_with_those_that_are_known() {
    let shared = Suite::shared();
    let exit = shared.suite.cli(&["chat", "--model", "nobody", "Hello?"]);
    let error = exit.expect(2).json();
    assert_eq!(error["type"], "urn:holdfast:problem:not-found");
    assert!(error["next"].as_str().unwrap().contains("guide"), "{error}");
}

#[test]
fn several_chats_at_once_are_all_answered() {
    let shared = Suite::shared();
    let questions = questions();
    std::thread::scope(|scope| {
        let chats: Vec<_> = questions
            .iter()
            .rev()
            .take(6)
            .map(|(question, answer)| {
                let suite = &shared.suite;
                scope.spawn(move || {
                    let said = suite.cli(&["chat", "--model", "guide", question]);
                    let said = said.expect(0).json();
                    assert_eq!(said["answer"].as_str().unwrap().trim(), answer, "{question}");
                })
            })
            .collect();
        for chat in chats {
            chat.join().unwrap();
        }
    });
}

#[test]
fn a_caller_that_goes_away_frees_the_engine_and_models_are_switched() {
    let suite = Suite::start();
    let directory = tempfile::tempdir().unwrap();
    let clock = crate::files::write(directory.path(), "clock.gguf", &Parrot::ticking().gguf());
    suite.import(&clock).expect(0);
    let clock = suite.model("clock").digest;
    let ask = |text: &str| {
        let body = json!({ "model": clock, "prompt": { "messages": [{ "role": "user", "content": text }] } });
        Request::json("/v1/generate", &body)
            .open(&suite.role(role::INFERENCE_GENERATE))
            .unwrap()
    };
    let mut answer = ask("What time is it?");
    let mut tokens = 0;
    while tokens < 3 {
        let event = answer.event().unwrap();
        assert_ne!(event["event"], "failed", "{event}");
        tokens += usize::from(event["event"] == "token");
    }
    assert_eq!(suite.engine_load(), 1);
    drop(answer);
    holdfast_tests::wait::until("the engine is idle", Duration::from_secs(10), || {
        (suite.engine_load() == 0).then_some(())
    });

    // Another model beside it, and the first one again.
    let (question, expected) = questions().swap_remove(0);
    let said = suite
        .cli(&["chat", "--model", "guide", &question])
        .expect(0)
        .json();
    assert_eq!(said["answer"].as_str().unwrap().trim(), expected);
    let said = suite
        .cli(&["chat", "--model", "clock", "--max-tokens", "4", "And now?"])
        .expect(0)
        .json();
    assert_eq!(said["answer"].as_str().unwrap().trim(), "tick tock tick tock");
    suite.cli(&["models", "remove", "--yes", "clock"]).expect(0);
    let gone = suite.cli(&["chat", "--model", "clock", "And now?"]);
    assert_eq!(gone.expect(2).json()["type"], "urn:holdfast:problem:not-found");
}
