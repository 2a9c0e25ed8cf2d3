//! The committed file and the corpus belong together: what the file is, what it answers, and the list that end-to-end
//! tests ask it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

use std::path::Path;

use holdfast_formats::{FileInspector, Format};
use holdfast_guide_model::chat::Conversation;
use holdfast_guide_model::corpus::{Corpus, Exchange};
use holdfast_guide_model::gguf::MAX_BYTES;
use holdfast_guide_model::guide::Guide;

fn file(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display()))
}

fn guide() -> Guide {
    Guide::open(&file("guide.gguf")).unwrap()
}

#[test]
fn the_file_is_within_its_limit() {
    assert!(file("guide.gguf").len() <= MAX_BYTES);
}

#[test]
fn the_inspection_has_nothing_to_say_about_it() {
    let mut inspection = FileInspector::new("guide.gguf");
    for chunk in file("guide.gguf").chunks(65_536) {
        inspection.feed(chunk);
    }
    let outcome = inspection.finish();
    assert_eq!(outcome.format, Format::Gguf);
    assert!(outcome.findings.is_empty(), "{:?}", outcome.findings);
    let facts = outcome.facts.unwrap();
    assert_eq!(facts.name.as_deref(), Some("Holdfast guide"));
    assert_eq!(facts.architecture.as_deref(), Some("llama"));
    assert!(facts.chat_template && facts.context_tokens.is_some_and(|tokens| tokens >= 512));
}

#[test]
fn the_list_for_other_tests_is_that_of_the_corpus() {
    let listed: Vec<Exchange> = serde_json::from_slice(&file("questions.json")).unwrap();
    assert!(listed.len() >= 40);
    let hint = "write it anew: cargo run --release -p holdfast-guide-model -- questions > questions.json";
    assert_eq!(listed, Corpus::shipped().unwrap().spread(), "{hint}");
}

#[test]
fn every_listed_question_is_answered_word_for_word() {
    let mut guide = guide();
    for Exchange { question, answer } in Corpus::shipped().unwrap().spread() {
        let mut conversation = Conversation::default();
        conversation.question(guide.tokenizer(), &question);
        conversation.answer(guide.tokenizer(), &answer);
        assert_eq!(guide.gives(&[conversation]), [true], "{question}");
    }
}

#[test]
fn decoding_token_by_token_gives_the_same_answers() {
    let mut guide = guide();
    for Exchange { question, answer } in Corpus::shipped().unwrap().spread().into_iter().step_by(10) {
        assert_eq!(guide.ask(&question), answer, "{question}");
    }
}

#[test]
fn an_answer_does_not_depend_on_what_was_asked_before() {
    let mut guide = guide();
    let exchanges = Corpus::shipped().unwrap().spread();
    let mut conversation = Conversation::default();
    for Exchange { question, answer } in exchanges.iter().step_by(13) {
        conversation.question(guide.tokenizer(), question);
        assert_eq!(&guide.answer(&conversation), answer, "{question}");
        conversation.answer(guide.tokenizer(), answer);
    }
}
