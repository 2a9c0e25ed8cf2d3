//! Chatting: what is streamed, what is kept, and what becomes of both when something ends early.

use std::sync::atomic::Ordering;

use holdfast_contract::inference::Prompt;
use holdfast_contract::role;
use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::browser::{Browser, Console, Lines, read};
use crate::fakes::models::{GUIDE, LLAMA, TENSORS};

fn ask(text: &str) -> Value {
    json!({ "model": GUIDE, "text": text })
}

fn ask_in(conversation: &str, text: &str) -> Value {
    json!({ "model": GUIDE, "text": text, "conversation": conversation })
}

fn kinds(lines: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    kinds.dedup();
    kinds
}

async fn say(browser: &Browser, body: &Value) -> Vec<Value> {
    Lines::of(browser.script("/chat/answer", body).await).all().await
}

/// What is on disk.
fn kept(console: &Console, id: &str) -> Value {
    let path = console
        .directory
        .path()
        .join("state/conversations")
        .join(format!("{id}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[tokio::test]
async fn an_answer_is_streamed_ends_as_a_tree_and_is_kept() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    let lines = say(&browser, &ask("What is Holdfast?")).await;
    assert_eq!(kinds(&lines), ["begun", "text", "ended"]);
    let id = lines[0]["conversation"].as_str().unwrap();
    assert_eq!(lines[0]["title"], "What is Holdfast?");
    let end = lines.last().unwrap();
    assert_eq!(end["state"], "complete");
    assert_eq!(end["nodes"][0]["inside"][0]["is"], "strong");
    assert!(end["caption"].as_str().unwrap().starts_with("guide · 4 tokens"));

    let turns = &kept(&console, id)["turns"];
    assert_eq!(
        (turns[0]["role"].as_str(), turns[0]["text"].as_str()),
        (Some("user"), Some("What is Holdfast?"))
    );
    assert_eq!(turns[1]["state"], "complete");
    let page = browser.get(&format!("/chat/{id}")).await;
    assert!(page.text.contains("<strong>Holdfast</strong>"));
    assert!(page.text.contains(&format!(
        "<a href=\"/chat/{id}\" aria-current=\"page\">What is Holdfast?</a>"
    )));
}

#[tokio::test]
async fn waiting_and_loading_are_told() {
    let console = Console::new();
    let browser = console.signed_in().await;
    let lines = say(&browser, &ask("queue please")).await;
    assert_eq!(kinds(&lines), ["begun", "queued", "loading", "text", "ended"]);
    assert_eq!((&lines[1]["ahead"], &lines[2]["ahead"]), (&json!(2), &json!(1)));
}

#[tokio::test]
async fn the_question_is_on_disk_before_the_answer_has_begun() {
    let console = Console::new();
    let browser = console.signed_in().await;
    let mut lines = Lines::of(browser.script("/chat/answer", &ask("hold on")).await);
    let begun = lines.until("begun").await;
    let turns = &kept(&console, begun["conversation"].as_str().unwrap())["turns"];
    assert_eq!(turns[0]["text"], "hold on");
    assert_eq!(turns[1]["state"], "generating");
}

#[tokio::test]
async fn stop_ends_the_answer_and_keeps_what_there_is() {
    let console = Console::new();
    let browser = console.signed_in().await;
    let mut lines = Lines::of(browser.script("/chat/answer", &ask("hold on")).await);
    let id = lines.until("begun").await["conversation"]
        .as_str()
        .unwrap()
        .to_owned();
    lines.until("text").await;
    lines.until("text").await;
    let stopped = read(browser.script(&format!("/chat/{id}/stop"), &json!({})).await).await;
    assert_eq!(stopped.text, r#"{"stopped":true}"#);
    let end = lines.until("ended").await;
    assert_eq!(
        (end["state"].as_str(), end["note"].as_str()),
        (Some("stopped"), Some("You stopped this answer."))
    );
    assert_eq!(kept(&console, &id)["turns"][1]["text"], "half an ");
    console.house.inference.cancel.notified().await;
    assert_eq!(console.house.inference.cancelled.load(Ordering::SeqCst), 1);
    let again = read(browser.script(&format!("/chat/{id}/stop"), &json!({})).await).await;
    assert_eq!(again.text, r#"{"stopped":false}"#);
}

#[tokio::test]
async fn a_lost_browser_cancels_the_engine_and_the_part_is_kept_as_interrupted() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    let mut lines = Lines::of(browser.script("/chat/answer", &ask("hold on")).await);
    let id = lines.until("begun").await["conversation"]
        .as_str()
        .unwrap()
        .to_owned();
    lines.until("text").await;
    lines.until("text").await;
    drop(lines);
    console.house.inference.cancel.notified().await;
    console.app.history.stop_and_wait(&id.parse().unwrap()).await;
    let turn = kept(&console, &id)["turns"][1].clone();
    assert_eq!(
        (turn["state"].as_str(), turn["text"].as_str()),
        (Some("interrupted"), Some("half an "))
    );
    assert!(
        browser
            .get(&format!("/chat/{id}"))
            .await
            .text
            .contains("This answer was interrupted.")
    );
}

#[tokio::test]
async fn an_answer_that_the_end_of_the_console_cuts_off_is_kept_as_interrupted() {
    let console = Console::new();
    let browser = console.signed_in().await;
    let mut lines = Lines::of(browser.script("/chat/answer", &ask("hold on")).await);
    lines.until("text").await;
    console.stop.send(true).unwrap();
    assert_eq!(lines.until("ended").await["state"], "interrupted");
}

#[tokio::test]
async fn after_a_crash_the_question_is_there_and_the_answer_is_marked() {
    let console = Console::new();
    let browser = console.signed_in().await;
    let mut lines = Lines::of(browser.script("/chat/answer", &ask("hold on")).await);
    let id = lines.until("begun").await["conversation"]
        .as_str()
        .unwrap()
        .to_owned();
    // As kill -9 would leave it: the file still says that the answer is being generated.
    let state = console
        .directory
        .path()
        .join("state/conversations")
        .join(format!("{id}.json"));
    let as_left = std::fs::read(&state).unwrap();
    drop(lines);
    console.app.history.stop_and_wait(&id.parse().unwrap()).await;
    std::fs::write(&state, as_left).unwrap();

    let console = console.restarted();
    let mut browser = console.signed_in().await;
    let page = browser.get(&format!("/chat/{id}")).await;
    assert!(page.text.contains("hold on") && page.text.contains("This answer was interrupted."));
    assert_eq!(kept(&console, &id)["turns"][1]["state"], "interrupted");
    let lines = say(&browser, &ask_in(&id, "echo go on")).await;
    assert_eq!(lines.last().unwrap()["state"], "complete");
}

#[tokio::test]
async fn an_engine_that_breaks_off_leaves_a_part_and_a_reason() {
    let console = Console::new();
    let browser = console.signed_in().await;
    let lines = say(&browser, &ask("break it")).await;
    let end = lines.last().unwrap();
    assert_eq!(end["state"], "interrupted");
    assert!(
        end["note"]
            .as_str()
            .unwrap()
            .contains("The engine ended in the middle"),
        "{end}"
    );
    for (text, reason) in [
        ("fail", "The engine crashed."),
        ("away", "No engine could be started."),
    ] {
        let lines = say(&browser, &ask(text)).await;
        let end = lines.last().unwrap();
        assert_eq!(end["state"], "failed");
        assert!(end["note"].as_str().unwrap().contains(reason), "{end}");
    }
}

#[tokio::test]
async fn another_answer_replaces_the_old_one_only_once_it_has_begun() {
    let console = Console::new();
    let browser = console.signed_in().await;
    let lines = say(&browser, &ask("echo first")).await;
    let id = lines[0]["conversation"].as_str().unwrap();
    let again = json!({ "model": LLAMA, "conversation": id });
    assert_eq!(say(&browser, &again).await.last().unwrap()["state"], "complete");
    let turns = kept(&console, id)["turns"].clone();
    assert_eq!(turns.as_array().unwrap().len(), 2);
    assert_eq!(turns[1]["model"], "llama-3.2-3b-instruct-q4");
    // The second request held the question, not the old answer.
    let Prompt::Messages(messages) = console.house.inference.requests.lock().unwrap()[1].prompt.clone()
    else {
        panic!("messages were sent")
    };
    assert_eq!(messages.len(), 1);

    console.house.take_away(role::INFERENCE_GENERATE);
    let lines = say(&browser, &again).await;
    assert_eq!(lines.last().unwrap()["state"], "failed");
    assert_eq!(kept(&console, id)["turns"], turns);
}

#[tokio::test]
async fn a_conversation_that_is_too_long_for_the_model_is_shortened_from_its_beginning() {
    let console = Console::new();
    let browser = console.signed_in().await;
    let lines = say(&browser, &ask("echo one")).await;
    let id = lines[0]["conversation"].as_str().unwrap().to_owned();
    say(&browser, &ask_in(&id, "echo two")).await;
    let lines = say(&browser, &ask_in(&id, "long question")).await;
    let shortened = lines.iter().find(|line| line["event"] == "shortened").unwrap();
    assert_eq!(shortened["omitted"], 4);
    assert_eq!(lines.last().unwrap()["state"], "complete");
    assert_eq!(kept(&console, &id)["turns"].as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn settings_reach_the_engine_and_small_models_are_greedy_by_themselves() {
    let console = Console::new();
    let browser = console.signed_in().await;
    say(&browser, &ask("echo a")).await;
    say(&browser, &json!({ "model": LLAMA, "text": "echo a" })).await;
    let set = json!({ "temperature": 1.5, "max_tokens": 7, "system": "Be brief." });
    let lines = say(
        &browser,
        &json!({ "model": GUIDE, "text": "one two three four five six seven eight nine", "settings": set }),
    )
    .await;
    assert_eq!(lines.last().unwrap()["state"], "length");
    let requests = console.house.inference.requests.lock().unwrap();
    let temperatures: Vec<f32> = requests
        .iter()
        .map(|request| request.sampling.temperature)
        .collect();
    assert_eq!(temperatures, [0.0, 0.7, 1.5]);
    assert_eq!(requests[2].max_tokens, Some(7));
    let Prompt::Messages(messages) = &requests[2].prompt else {
        panic!("messages were sent")
    };
    assert_eq!(messages[0].content, "Be brief.");
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_and_nothing_is_kept() {
    let console = Console::new();
    let browser = console.signed_in().await;
    let cases = [
        (json!({ "model": GUIDE, "text": "  " }), StatusCode::BAD_REQUEST),
        (json!({ "model": GUIDE }), StatusCode::BAD_REQUEST),
        (
            json!({ "model": GUIDE, "text": "x".repeat(200 << 10) }),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        (
            json!({ "model": GUIDE, "text": "x".repeat(2 << 20) }),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        (
            json!({ "model": GUIDE, "text": "x", "settings": { "temperature": 3 } }),
            StatusCode::BAD_REQUEST,
        ),
        (
            json!({ "model": GUIDE, "text": "x", "surprise": 1 }),
            StatusCode::BAD_REQUEST,
        ),
        (
            json!({ "model": GUIDE, "text": "x", "conversation": "../../../etc/passwd" }),
            StatusCode::BAD_REQUEST,
        ),
        (
            json!({ "model": GUIDE, "text": "x", "conversation": "0".repeat(32) }),
            StatusCode::NOT_FOUND,
        ),
        (json!({ "model": TENSORS, "text": "x" }), StatusCode::CONFLICT),
        (
            json!({ "model": format!("sha256:{}", "f".repeat(64)), "text": "x" }),
            StatusCode::NOT_FOUND,
        ),
    ];
    for (body, status) in cases {
        let page = read(browser.script("/chat/answer", &body).await).await;
        assert_eq!(page.status, status, "{}", page.text);
        assert!(page.json()["detail"].is_string());
    }
    assert!(console.app.history.list().is_empty());
}

#[tokio::test]
async fn one_answer_at_a_time_in_a_conversation() {
    let console = Console::new();
    let browser = console.signed_in().await;
    let mut lines = Lines::of(browser.script("/chat/answer", &ask("hold on")).await);
    let id = lines.until("begun").await["conversation"]
        .as_str()
        .unwrap()
        .to_owned();
    let refused = read(browser.script("/chat/answer", &ask_in(&id, "and now?")).await).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    console.house.inference.release.notify_one();
    lines.until("ended").await;
    // As soon as the page knows of the end, the next question is welcome.
    assert_eq!(
        say(&browser, &ask_in(&id, "echo now")).await.last().unwrap()["state"],
        "complete"
    );
}

#[tokio::test]
async fn conversations_are_renamed_and_deleted_one_by_one_or_all_and_the_ledger_knows() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    let mut ids = Vec::new();
    for text in ["echo one", "echo two", "echo three"] {
        ids.push(
            say(&browser, &ask(text)).await[0]["conversation"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    let page = browser
        .post(&format!("/chat/{}/rename", ids[0]), &[("title", "<b>Other</b>")])
        .await;
    assert_eq!(page.header(header::LOCATION), format!("/chat/{}", ids[0]));
    assert!(
        browser
            .get("/chat")
            .await
            .text
            .contains("&lt;b&gt;Other&lt;/b&gt;")
    );
    assert!(
        browser
            .get(&format!("/chat/{}/delete", ids[0]))
            .await
            .text
            .contains("Delete this conversation?")
    );
    assert_eq!(
        browser
            .post(&format!("/chat/{}/delete", ids[0]), &[])
            .await
            .status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(
        browser.get(&format!("/chat/{}", ids[0])).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        browser
            .post(&format!("/chat/{}/delete", ids[0]), &[])
            .await
            .status,
        StatusCode::NOT_FOUND
    );
    browser.post("/chat/delete-all", &[]).await;
    assert_eq!(
        std::fs::read_dir(console.directory.path().join("state/conversations"))
            .unwrap()
            .count(),
        0
    );
    let recorded = console.house.recorded();
    assert_eq!(
        recorded[1..],
        [
            format!("console.history allowed {}", ids[0]),
            "console.history allowed all".to_owned()
        ]
    );
}

#[tokio::test]
async fn deleting_stops_the_answer_first() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    let mut lines = Lines::of(browser.script("/chat/answer", &ask("hold on")).await);
    let id = lines.until("begun").await["conversation"]
        .as_str()
        .unwrap()
        .to_owned();
    lines.until("text").await;
    assert_eq!(
        browser.post(&format!("/chat/{id}/delete"), &[]).await.status,
        StatusCode::SEE_OTHER
    );
    assert!(console.app.history.list().is_empty());
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_deleted() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    let id = say(&browser, &ask("echo one")).await[0]["conversation"]
        .as_str()
        .unwrap()
        .to_owned();
    console.house.take_away(role::RECORDER_APPEND);
    for path in [format!("/chat/{id}/delete"), "/chat/delete-all".to_owned()] {
        assert_eq!(
            browser.post(&path, &[]).await.status,
            StatusCode::SERVICE_UNAVAILABLE
        );
    }
    assert_eq!(console.app.history.list().len(), 1);
}

#[tokio::test]
async fn an_id_that_is_a_path_is_no_conversation() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    std::fs::write(console.directory.path().join("state/secret.json"), "{}").unwrap();
    for id in [
        "..%2fsecret",
        "%2e%2e%2fsecret",
        "..%2F..%2Fetc%2Fpasswd",
        "secret",
        "A".repeat(32).as_str(),
    ] {
        for (path, posts) in [
            ("", false),
            ("/delete", false),
            ("/delete", true),
            ("/rename", true),
            ("/stop", true),
        ] {
            let path = format!("/chat/{id}{path}");
            let status = match (posts, path.ends_with("stop")) {
                (_, true) => browser.script(&path, &json!({})).await.status(),
                (true, _) => browser.post(&path, &[("title", "x")]).await.status,
                _ => browser.get(&path).await.status,
            };
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        }
    }
    assert!(console.directory.path().join("state/secret.json").exists());
}

#[tokio::test]
async fn what_a_model_says_does_not_become_markup_on_the_page() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    let attack = "<script>alert(1)</script> <img src=x onerror=alert(1)> [x](javascript:alert(1)) ![x](https://evil.example/p.png)";
    let lines = say(&browser, &ask(&format!("echo {attack}"))).await;
    let id = lines[0]["conversation"].as_str().unwrap();
    let page = browser.get(&format!("/chat/{id}")).await;
    assert!(
        !page.text.contains("<script>alert")
            && !page.text.contains("<img src=x")
            && !page.text.contains("href=\"javascript")
    );
    assert!(!page.text.contains("src=\"https://evil"));
    assert!(page.text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
}
