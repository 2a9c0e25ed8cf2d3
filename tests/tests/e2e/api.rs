//! The OpenAI-compatible API: with plain curl, with the `openai` package from `PyPI`, and with what neither of them sends.

use std::process::Command;
use std::time::Duration;

use holdfast_contract::ledger::Event;
use holdfast_tests::http::{Request, Response};
use holdfast_tests::page::Person;
use holdfast_tests::run::{Exit, run};
use holdfast_tests::suite::Suite;
use holdfast_tests::{tools, wait};
use serde_json::{Value, json};

use crate::files;
use crate::models::Parrot;

/// A call may take so long, loading of the model included.
const DEADLINE: Duration = Duration::from_mins(1);

fn question() -> (String, String) {
    crate::chat::questions().swap_remove(0)
}

/// What curl prints: the body, and in the last line the status code.
fn curl(curl: &std::path::Path, token: &str, arguments: &[&str]) -> (u16, String) {
    let mut command = Command::new(curl);
    command
        .args(["-sS", "-N", "--max-time", "55", "-w", "\n%{http_code}"])
        .args(["-H", &format!("Authorization: Bearer {token}")])
        .args(["-H", "Content-Type: application/json"])
        .args(arguments)
        .env_clear();
    let exit = run(&mut command, DEADLINE);
    let (body, status) = exit.expect(0).stdout.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

/// The chunks of a stream of server-sent events, which ends as those of `OpenAI` do.
#[track_caller]
fn chunks(stream: &str) -> Vec<Value> {
    let mut data: Vec<&str> = stream
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| line.strip_prefix("data: ").unwrap_or_else(|| panic!("{line:?}")))
        .collect();
    assert_eq!(data.pop(), Some("[DONE]"), "{stream}");
    data.into_iter()
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

#[test]
fn curl_lists_models_and_gets_completions_whole_and_streamed() {
    let Some(program) = tools::program("curl") else {
        return;
    };
    let shared = Suite::shared();
    let url = |path: &str| format!("{}/v1/{path}", shared.suite.url());
    let ask = |path: &str, body: Option<&Value>| {
        let (url, text) = (url(path), body.map(Value::to_string));
        let mut arguments = vec![url.as_str()];
        if let Some(text) = &text {
            arguments.extend(["-d", text.as_str()]);
        }
        curl(&program, &shared.token, &arguments)
    };
    let value = |(status, body): (u16, String)| -> Value {
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    };
    let (question, answer) = question();

    let listed = value(ask("models", None));
    assert_eq!(listed["object"], "list");
    let guide = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["id"] == "guide");
    assert_eq!(guide.unwrap()["object"], "model");
    assert_eq!(value(ask("models/guide", None))["id"], "guide");

    let mut body = json!({
        "model": "guide",
        "temperature": 0,
        "messages": [{ "role": "user", "content": question }],
    });
    let whole = value(ask("chat/completions", Some(&body)));
    assert_eq!(whole["object"], "chat.completion");
    assert_eq!(whole["choices"][0]["message"]["role"], "assistant");
    assert_eq!(
        whole["choices"][0]["message"]["content"].as_str().unwrap().trim(),
        answer
    );
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");
    let usage = &whole["usage"];
    let tokens = |name: &str| usage[name].as_u64().unwrap();
    assert_eq!(
        tokens("total_tokens"),
        tokens("prompt_tokens") + tokens("completion_tokens")
    );

    body["stream"] = true.into();
    body["stream_options"] = json!({ "include_usage": true });
    let (status, stream) = ask("chat/completions", Some(&body));
    assert_eq!(status, 200, "{stream}");
    let chunks = chunks(&stream);
    assert!(chunks.len() > 5, "it comes in pieces: {stream}");
    assert_eq!(chunks[0]["object"], "chat.completion.chunk");
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let streamed: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(streamed.trim(), answer);
    let ends: Vec<&str> = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str())
        .collect();
    assert_eq!(ends, ["stop"]);
    let last = chunks.last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["completion_tokens"], usage["completion_tokens"]);

    let body = json!({ "model": "guide", "prompt": "Holdfast", "max_tokens": 4, "temperature": 0 });
    let text = value(ask("completions", Some(&body)));
    assert_eq!(text["object"], "text_completion");
    assert_eq!(text["usage"]["completion_tokens"], 4);
    assert_eq!(text["choices"][0]["finish_reason"], "length");

    let body = json!({ "model": "guide", "input": ["one text", "another text"] });
    let embeddings = value(ask("embeddings", Some(&body)));
    let data = embeddings["data"].as_array().unwrap();
    assert_eq!(data.len(), 2);
    let vector = |one: &Value| -> Vec<f64> {
        let numbers = one["embedding"].as_array().unwrap().iter();
        numbers.map(|number| number.as_f64().unwrap()).collect()
    };
    let (one, other) = (vector(&data[0]), vector(&data[1]));
    assert!(one.len() == other.len() && one.len() > 16);
    let length = one.iter().map(|number| number * number).sum::<f64>().sqrt();
    assert!((length - 1.0).abs() < 1e-3, "of unit length: {length}");
    assert_ne!(one, other);
}

#[test]
fn what_is_wrong_is_answered_as_openai_does() {
    let shared = Suite::shared();
    let page = shared.suite.page();
    let chat =
        json!({ "model": "guide", "messages": [{ "role": "user", "content": "Hi" }], "max_tokens": 1 });
    let with = |request: Request| request.header("Authorization", &format!("Bearer {}", shared.token));
    let error = |response: Response, status: u16, code: &str| {
        assert_eq!(response.status, status, "{}", response.text());
        let error = &response.value()["error"];
        assert!(error["message"].as_str().unwrap().len() > 10, "{error}");
        assert_eq!(error["code"].as_str().unwrap_or_default(), code, "{error}");
        assert_eq!(response.header("access-control-allow-origin"), None);
    };
    let post = |body: &Value| with(Request::json("/v1/chat/completions", body)).ask(&page);
    let plus = |name: &str, value: Value| {
        let mut body = chat.clone();
        body[name] = value;
        body
    };

    error(
        Request::json("/v1/chat/completions", &chat).ask(&page),
        401,
        "invalid_api_key",
    );
    error(Request::get("/v1/models").ask(&page), 401, "invalid_api_key");
    // A session of the page is no token.
    let by_cookie = Request::get("/v1/models").header("Cookie", shared.person.cookie());
    error(by_cookie.ask(&page), 401, "invalid_api_key");
    error(post(&plus("model", "nobody".into())), 404, "model_not_found");
    error(
        with(Request::get("/v1/models/nobody")).ask(&page),
        404,
        "model_not_found",
    );
    error(
        with(Request::post(
            "/v1/chat/completions",
            "application/json",
            "{\"model\"",
        ))
        .ask(&page),
        400,
        "",
    );
    error(post(&json!({ "model": "guide" })), 400, "");
    error(post(&plus("temperature", 3.into())), 400, "");
    error(post(&plus("messages", json!([]))), 400, "");
    error(
        post(&plus(
            "tools",
            json!([{ "type": "function", "function": { "name": "f" } }]),
        )),
        400,
        "unsupported_parameter",
    );
    error(
        post(&plus(
            "messages",
            json!([{ "role": "user", "content": "word ".repeat(20_000) }]),
        )),
        400,
        "context_length_exceeded",
    );
    error(with(Request::get("/v1/nothing")).ask(&page), 404, "unknown_url");
    error(with(Request::get("/v1/chat/completions")).ask(&page), 405, "");
    // And the right thing still works.
    post(&chat).expect(200);
}

#[test]
fn a_revoked_token_is_void_and_wrong_ones_slow_down_only_themselves() {
    let suite = Suite::start();
    let person = Person::set_up(&suite);
    let (kept, revoked) = (person.api_token("kept"), person.api_token("revoked"));
    let models = |token: &str| {
        Request::get("/v1/models")
            .header("Authorization", &format!("Bearer {token}"))
            .ask(&suite.page())
    };
    models(&revoked).expect(200);
    let page = person.get("/api").expect(200).text();
    let id = page
        .split("/api/tokens/")
        .skip(1)
        .filter_map(|rest| rest.split_once("/revoke"))
        .map(|(id, _)| id.to_owned())
        .last()
        .unwrap();
    person.post(&format!("/api/tokens/{id}/revoke"), &[]).expect(303);
    models(&revoked).expect(401);
    let statuses: Vec<u16> = (0..6).map(|_| models("hf_wrong").status).collect();
    assert!(statuses.contains(&401) && statuses.contains(&429), "{statuses:?}");
    models(&kept).expect(200);
    let tokens = suite.ledger();
    let count = tokens
        .iter()
        .filter(|one| one.entry.event == Event::ConsoleToken)
        .count();
    assert!(count >= 4, "made, made, revoked, refused: {count}");
}

/// A call of the client program: one check by name.
fn python(suite: &Suite, token: &str, check: &str) -> Option<Exit> {
    let setup = holdfast_tests::source().join("scripts/setup-python");
    let interpreter = run(&mut Command::new(setup), Duration::from_mins(5));
    if interpreter.code != Some(0) {
        let why = format!(
            "the openai package cannot be installed: {}",
            interpreter.stderr.trim()
        );
        assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "{why}");
        tools::skip(why.lines().last().unwrap_or_default());
        return None;
    }
    let (question, answer) = question();
    let mut client = Command::new(interpreter.stdout.trim());
    client
        .arg(holdfast_tests::source().join("tests/python/openai_client.py"))
        .arg(check)
        .env_clear()
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("OPENAI_BASE_URL", format!("{}/v1", suite.url()))
        .env("OPENAI_API_KEY", token)
        .env("QUESTION", question)
        .env("ANSWER", answer);
    Some(run(&mut client, Duration::from_mins(2)))
}

#[test]
fn the_openai_package_works_as_with_openai() {
    let shared = Suite::shared();
    let Some(exit) = python(&shared.suite, &shared.token, "all") else {
        return;
    };
    exit.expect(0);
    let done: Vec<&str> = exit
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("ok "))
        .collect();
    let all = [
        "models",
        "chat",
        "chat_streamed",
        "completions",
        "embeddings",
        "errors",
    ];
    assert_eq!(done, all, "{exit:?}");
}

#[test]
fn a_client_that_stops_listening_frees_the_engine() {
    let suite = Suite::start();
    let person = Person::set_up(&suite);
    let token = person.api_token("laptop");
    let directory = tempfile::tempdir().unwrap();
    let clock = files::write(directory.path(), "clock.gguf", &Parrot::ticking().gguf());
    suite.import(&clock).expect(0);
    let Some(exit) = python(&suite, &token, "cancelled") else {
        return;
    };
    exit.expect(0);
    assert!(exit.stdout.contains("ok cancelled"), "{exit:?}");
    let engines = suite.engines();
    assert!(
        engines
            .iter()
            .any(|one| one["model"] == suite.model("clock").digest.to_string())
    );
    wait::until("the engine is idle", Duration::from_secs(10), || {
        (suite.engine_load() == 0).then_some(())
    });
}
