//! The API, as `OpenAI`'s clients see it.

use axum::body::Body;
use futures_util::StreamExt as _;
use holdfast_contract::inference::Prompt;
use holdfast_contract::role;
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};

use crate::browser::{Console, HOST, Page, read};
use crate::fakes::models::GUIDE;

struct Client {
    console: Console,
    token: String,
}

impl Client {
    async fn new() -> Self {
        let console = Console::new();
        let token = console.api_token().await;
        Self { console, token }
    }

    async fn send(&self, method: Method, path: &str, body: Body) -> axum::response::Response {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, HOST)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .body(body)
            .unwrap();
        self.console.browser().raw(request).await
    }

    async fn get(&self, path: &str) -> Page {
        read(self.send(Method::GET, path, Body::empty()).await).await
    }

    async fn post(&self, path: &str, body: Value) -> Page {
        read(self.send(Method::POST, path, Body::from(body.to_string())).await).await
    }

    async fn chat(&self, text: &str, with: Value) -> Page {
        let mut body = json!({ "model": "guide", "messages": [{ "role": "user", "content": text }] });
        body.as_object_mut()
            .unwrap()
            .extend(with.as_object().unwrap().clone());
        self.post("/v1/chat/completions", body).await
    }
}

/// The data of server-sent events, without the last, which must be `[DONE]`.
fn frames(page: &Page) -> Vec<Value> {
    assert_eq!(
        page.header(header::CONTENT_TYPE),
        "text/event-stream; charset=utf-8"
    );
    let mut data: Vec<&str> = page
        .text
        .split("\n\n")
        .filter_map(|frame| frame.strip_prefix("data: "))
        .collect();
    assert_eq!(data.pop(), Some("[DONE]"));
    data.into_iter()
        .map(|frame| serde_json::from_str(frame).unwrap())
        .collect()
}

fn assert_error(page: &Page, status: StatusCode, param: Option<&str>, code: Option<&str>) {
    assert_eq!(page.status, status, "{}", page.text);
    let error = &page.json()["error"];
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|message| message.len() > 10),
        "{error}"
    );
    assert!(error["type"].is_string(), "{error}");
    assert_eq!(error["param"].as_str(), param, "{error}");
    assert_eq!(error["code"].as_str(), code, "{error}");
}

#[tokio::test]
async fn a_token_is_needed_and_must_be_right() {
    let client = Client::new().await;
    let browser = client.console.browser();
    for authorization in [None, Some("Bearer"), Some("Bearer "), Some("Basic aGY6")] {
        let mut request = Request::builder().uri("/v1/models").header(header::HOST, HOST);
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        let page = read(browser.raw(request.body(Body::empty()).unwrap()).await).await;
        assert_error(&page, StatusCode::UNAUTHORIZED, None, Some("invalid_api_key"));
        assert_eq!(page.header(header::WWW_AUTHENTICATE), "Bearer");
    }
    assert_eq!(client.get("/v1/models").await.status, StatusCode::OK);
    // A session is no token.
    let mut signed_in = client.console.signed_in().await;
    assert_eq!(signed_in.get("/v1/models").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn wrong_tokens_are_slowed_down_and_right_ones_are_not() {
    let mut client = Client::new().await;
    let right = std::mem::replace(&mut client.token, "hf_wrong".to_owned());
    for _ in 0..3 {
        assert_eq!(client.get("/v1/models").await.status, StatusCode::UNAUTHORIZED);
    }
    let page = client.get("/v1/models").await;
    assert_error(
        &page,
        StatusCode::TOO_MANY_REQUESTS,
        None,
        Some("rate_limit_exceeded"),
    );
    assert_eq!(page.header(header::RETRY_AFTER), "1");
    client.token = right;
    assert_eq!(client.get("/v1/models").await.status, StatusCode::OK);
    let denied = client
        .console
        .house
        .recorded()
        .iter()
        .filter(|entry| *entry == "console.token denied unknown")
        .count();
    assert_eq!(denied, 3);
}

#[tokio::test]
async fn a_revoked_token_is_void_at_once() {
    let client = Client::new().await;
    let id = client.console.app.tokens.list()[0].id.clone();
    client.console.app.tokens.revoke(&id).unwrap();
    assert_eq!(client.get("/v1/models").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn models_that_can_generate_are_listed() {
    let client = Client::new().await;
    let list = client.get("/v1/models").await.json();
    let ids: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["guide", "llama-3.2-3b-instruct-q4"]);
    assert_eq!(list["object"], "list");
    let one = client.get("/v1/models/guide").await.json();
    assert_eq!(
        (one["object"].as_str(), one["owned_by"].as_str()),
        (Some("model"), Some("holdfast"))
    );
    assert!(one["created"].is_i64());
    assert_eq!(
        client.get(&format!("/v1/models/{GUIDE}")).await.json()["id"],
        "guide"
    );
    assert_error(
        &client.get("/v1/models/gpt-4").await,
        StatusCode::NOT_FOUND,
        Some("model"),
        Some("model_not_found"),
    );
}

#[tokio::test]
async fn a_chat_completion_has_its_shape() {
    let client = Client::new().await;
    let answer = client.chat("echo good morning", json!({})).await.json();
    assert!(answer["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "guide");
    assert_eq!(
        answer["choices"][0],
        json!({
            "index": 0,
            "message": { "role": "assistant", "content": "good morning", "refusal": null },
            "logprobs": null,
            "finish_reason": "stop",
        })
    );
    assert_eq!(
        answer["usage"],
        json!({ "prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13 })
    );
    assert!(answer["created"].is_i64());
}

#[tokio::test]
async fn a_streamed_chat_completion_has_its_frames() {
    let client = Client::new().await;
    let page = client.chat("echo good morning", json!({ "stream": true })).await;
    let frames = frames(&page);
    assert_eq!(
        frames[0]["choices"][0]["delta"],
        json!({ "role": "assistant", "content": "" })
    );
    assert!(
        frames
            .iter()
            .all(|frame| frame["object"] == "chat.completion.chunk" && frame["id"] == frames[0]["id"])
    );
    assert!(frames.iter().all(|frame| frame.get("usage").is_none()));
    let text: String = frames
        .iter()
        .filter_map(|frame| frame["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(text, "good morning");
    let last = frames.last().unwrap();
    assert_eq!(
        (&last["choices"][0]["delta"], &last["choices"][0]["finish_reason"]),
        (&json!({}), &json!("stop"))
    );
    assert!(
        frames[..frames.len() - 1]
            .iter()
            .all(|frame| frame["choices"][0]["finish_reason"].is_null())
    );
}

#[tokio::test]
async fn a_stream_ends_with_its_cost_where_asked_for() {
    let client = Client::new().await;
    let page = client
        .chat(
            "queue",
            json!({ "stream": true, "stream_options": { "include_usage": true } }),
        )
        .await;
    assert!(page.text.contains(": waiting behind 2\n\n") && page.text.contains(": loading the model\n\n"));
    let frames = frames(&page);
    let last = frames.last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["total_tokens"], 13);
    assert!(
        frames[..frames.len() - 1]
            .iter()
            .all(|frame| frame["usage"].is_null() && frame.get("usage").is_some())
    );
    let refused = client
        .chat("x", json!({ "stream_options": { "include_usage": true } }))
        .await;
    assert_error(&refused, StatusCode::BAD_REQUEST, Some("stream_options"), None);
}

#[tokio::test]
async fn sampling_reaches_the_engine() {
    let client = Client::new().await;
    let with = json!({
        "temperature": 0.5, "top_p": 0.9, "presence_penalty": -1, "frequency_penalty": 1.5, "seed": 7, "n": 2,
        "logit_bias": { "50": -100, "3": 1.5 }, "max_tokens": 3, "max_completion_tokens": 2, "stop": ["a", "b"],
        "logprobs": true, "top_logprobs": 2, "user": "somebody", "metadata": {}, "parallel_tool_calls": true,
    });
    let answer = client.chat("echo one two three", with).await.json();
    assert_eq!(answer["choices"].as_array().unwrap().len(), 2);
    assert_eq!(answer["choices"][1]["finish_reason"], "length");
    // Two choices: the prompt is counted once.
    assert_eq!(
        answer["usage"],
        json!({ "prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17 })
    );
    let token = &answer["choices"][0]["logprobs"]["content"][0];
    assert_eq!(token["token"], "one ");
    assert_eq!(token["bytes"], json!([111, 110, 101, 32]));
    assert_eq!(token["top_logprobs"].as_array().unwrap().len(), 2);
    let requests = client.console.house.inference.requests.lock().unwrap();
    let mut seeds: Vec<_> = requests
        .iter()
        .map(|request| request.sampling.seed.unwrap())
        .collect();
    seeds.sort_unstable();
    assert_eq!(seeds, [7, 8]);
    let request = &requests[0];
    assert_eq!((request.sampling.temperature, request.sampling.top_p), (0.5, 0.9));
    assert_eq!(
        (
            request.sampling.presence_penalty,
            request.sampling.frequency_penalty
        ),
        (-1.0, 1.5)
    );
    assert_eq!(request.sampling.logit_bias, [(3, 1.5), (50, -100.0)]);
    assert_eq!((request.max_tokens, request.logprobs), (Some(2), Some(2)));
    assert_eq!(request.stop, ["a", "b"]);
}

#[tokio::test]
async fn messages_of_every_kind_of_text_are_taken() {
    let client = Client::new().await;
    let messages = json!([
        { "role": "developer", "content": "Be brief." },
        { "role": "user", "content": [{ "type": "text", "text": "echo " }, { "type": "text", "text": "parts" }], "name": "me" },
        { "role": "assistant", "content": null },
        { "role": "user", "content": "echo parts" },
    ]);
    let page = client
        .post(
            "/v1/chat/completions",
            json!({ "model": "guide", "messages": messages }),
        )
        .await;
    assert_eq!(page.json()["choices"][0]["message"]["content"], "parts");
    let requests = client.console.house.inference.requests.lock().unwrap();
    let Prompt::Messages(messages) = &requests[0].prompt else {
        panic!("messages were sent")
    };
    assert_eq!(messages[1].content, "echo parts");
}

#[tokio::test]
async fn what_is_not_there_is_refused_by_name() {
    let client = Client::new().await;
    let unsupported = Some("unsupported_parameter");
    for (field, value) in [
        ("tools", json!([{ "type": "function" }])),
        ("tool_choice", json!("required")),
        ("functions", json!([{}])),
        ("response_format", json!({ "type": "json_object" })),
        (
            "response_format",
            json!({ "type": "json_schema", "json_schema": {} }),
        ),
        ("modalities", json!(["text", "audio"])),
        ("audio", json!({ "voice": "x" })),
        ("web_search_options", json!({ "x": 1 })),
    ] {
        assert_error(
            &client.chat("x", json!({ field: value })).await,
            StatusCode::BAD_REQUEST,
            Some(field),
            unsupported,
        );
    }
    for harmless in [
        json!({ "tools": [] }),
        json!({ "tools": null }),
        json!({ "tool_choice": "none" }),
        json!({ "response_format": { "type": "text" } }),
        json!({ "modalities": ["text"] }),
        json!({ "store": false }),
        json!({ "something_new": { "x": 1 } }),
    ] {
        assert_eq!(
            client.chat("echo x", harmless.clone()).await.status,
            StatusCode::OK,
            "{harmless}"
        );
    }
    let image =
        json!([{ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": "data:," } }] }]);
    let page = client
        .post(
            "/v1/chat/completions",
            json!({ "model": "guide", "messages": image }),
        )
        .await;
    assert_error(
        &page,
        StatusCode::BAD_REQUEST,
        Some("messages[0].content[0]"),
        unsupported,
    );
    let tool = json!([{ "role": "tool", "content": "x", "tool_call_id": "y" }]);
    let page = client
        .post(
            "/v1/chat/completions",
            json!({ "model": "guide", "messages": tool }),
        )
        .await;
    assert_error(
        &page,
        StatusCode::BAD_REQUEST,
        Some("messages[0].role"),
        unsupported,
    );
}

#[tokio::test]
async fn values_out_of_range_are_refused_by_name() {
    let client = Client::new().await;
    for (field, value) in [
        ("temperature", json!(2.1)),
        ("temperature", json!("hot")),
        ("top_p", json!(-0.1)),
        ("n", json!(5)),
        ("n", json!(0)),
        ("max_tokens", json!(0)),
        ("max_completion_tokens", json!(-1)),
        ("presence_penalty", json!(2.5)),
        ("frequency_penalty", json!(-3)),
        ("top_logprobs", json!(21)),
        ("top_logprobs", json!(2)),
        ("logit_bias", json!({ "x": 1 })),
        ("logit_bias", json!({ "1": 101 })),
        ("stop", json!([""])),
        ("stop", json!(vec!["x"; 17])),
        ("seed", json!("x")),
        ("stream", json!("yes")),
        ("messages", json!([])),
        ("messages", json!("hi")),
    ] {
        let page = client.chat("x", json!({ field: value.clone() })).await;
        assert_error(&page, StatusCode::BAD_REQUEST, Some(field), None);
    }
    let page = client
        .post("/v1/chat/completions", json!({ "messages": [] }))
        .await;
    assert_error(&page, StatusCode::BAD_REQUEST, Some("model"), None);
    let page = client.chat("x", json!({ "model": "gpt-4" })).await;
    assert_error(
        &page,
        StatusCode::NOT_FOUND,
        Some("model"),
        Some("model_not_found"),
    );
    let page = client.chat("x", json!({ "model": "embedder" })).await;
    assert_error(&page, StatusCode::CONFLICT, None, Some("model_not_available"));
}

#[tokio::test]
async fn a_body_that_is_no_json_or_too_large_is_refused_in_the_same_shape() {
    let client = Client::new().await;
    let page = read(
        client
            .send(Method::POST, "/v1/chat/completions", Body::from("{"))
            .await,
    )
    .await;
    assert_error(&page, StatusCode::BAD_REQUEST, None, None);
    let page = read(
        client
            .send(Method::POST, "/v1/chat/completions", Body::from("[1]"))
            .await,
    )
    .await;
    assert_error(&page, StatusCode::BAD_REQUEST, None, None);
    let page = client.chat(&"x".repeat(2 << 20), json!({})).await;
    assert_error(&page, StatusCode::PAYLOAD_TOO_LARGE, None, None);
    let deep = "[".repeat(100_000);
    let page = read(
        client
            .send(Method::POST, "/v1/embeddings", Body::from(deep))
            .await,
    )
    .await;
    assert_error(&page, StatusCode::BAD_REQUEST, None, None);
    assert_error(
        &client.get("/v1/chat/completions").await,
        StatusCode::METHOD_NOT_ALLOWED,
        None,
        None,
    );
    assert_error(
        &client.get("/v1/files").await,
        StatusCode::NOT_FOUND,
        None,
        Some("unknown_url"),
    );
}

#[tokio::test]
async fn what_fails_before_the_first_word_has_a_status_and_after_it_a_last_frame() {
    let client = Client::new().await;
    for stream in [false, true] {
        let with = json!({ "stream": stream });
        let page = client.chat("fail", with.clone()).await;
        assert_error(&page, StatusCode::INTERNAL_SERVER_ERROR, None, None);
        assert_error(
            &client.chat("away", with).await,
            StatusCode::SERVICE_UNAVAILABLE,
            None,
            None,
        );
    }
    let long = json!([{ "role": "system", "content": "x" }, { "role": "user", "content": "long one" }]);
    let page = client
        .post(
            "/v1/chat/completions",
            json!({ "model": "guide", "messages": long }),
        )
        .await;
    assert_error(
        &page,
        StatusCode::BAD_REQUEST,
        Some("messages"),
        Some("context_length_exceeded"),
    );

    assert_error(
        &client.chat("break", json!({})).await,
        StatusCode::SERVICE_UNAVAILABLE,
        None,
        None,
    );
    let page = client.chat("break", json!({ "stream": true })).await;
    let last = page
        .text
        .trim_end()
        .rsplit("\n\n")
        .next()
        .unwrap()
        .strip_prefix("data: ")
        .unwrap();
    let error: Value = serde_json::from_str(last).unwrap();
    assert!(
        error["error"]["message"]
            .as_str()
            .unwrap()
            .contains("The engine ended in the middle")
    );
    assert!(!page.text.contains("[DONE]"));

    client.console.house.take_away(role::REGISTRY_READ);
    assert_error(
        &client.chat("x", json!({})).await,
        StatusCode::SERVICE_UNAVAILABLE,
        None,
        None,
    );
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_generation() {
    let client = Client::new().await;
    let body =
        json!({ "model": "guide", "stream": true, "messages": [{ "role": "user", "content": "hold" }] });
    let response = client
        .send(Method::POST, "/v1/chat/completions", Body::from(body.to_string()))
        .await;
    let mut frames = response.into_body().into_data_stream();
    frames.next().await.unwrap().unwrap();
    frames.next().await.unwrap().unwrap();
    drop(frames);
    client.console.house.inference.cancel.notified().await;

    let body = json!({ "model": "guide", "messages": [{ "role": "user", "content": "hold" }] });
    let waiting = client.send(Method::POST, "/v1/chat/completions", Body::from(body.to_string()));
    let asked = async {
        while client.console.house.inference.requests.lock().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = waiting => panic!("it is held"),
        () = asked => {}
    }
    client.console.house.inference.cancel.notified().await;
}

#[tokio::test]
async fn plain_completions_have_their_shape() {
    let client = Client::new().await;
    let body = json!({ "model": "guide", "prompt": ["echo one two", "echo three"], "n": 2, "logprobs": 1 });
    let answer = client.post("/v1/completions", body).await.json();
    assert_eq!(answer["object"], "text_completion");
    assert!(answer["id"].as_str().unwrap().starts_with("cmpl-"));
    let texts: Vec<_> = answer["choices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|choice| choice["text"].as_str().unwrap())
        .collect();
    assert_eq!(texts, ["one two", "one two", "three", "three"]);
    assert_eq!(answer["choices"][0]["logprobs"]["tokens"], json!(["one ", "two"]));
    assert_eq!(answer["choices"][0]["logprobs"]["text_offset"], json!([0, 4]));
    assert_eq!(answer["usage"]["prompt_tokens"], 18);
    let requests = client.console.house.inference.requests.lock().unwrap();
    assert!(requests.iter().all(|request| request.max_tokens == Some(16)));
}

#[tokio::test]
async fn plain_completions_stream_and_echo() {
    let client = Client::new().await;
    let body = json!({ "model": "guide", "prompt": "echo one two", "echo": true, "stream": true });
    let page = client.post("/v1/completions", body.clone()).await;
    let frames = frames(&page);
    let text: String = frames
        .iter()
        .map(|frame| frame["choices"][0]["text"].as_str().unwrap())
        .collect();
    assert_eq!(text, "echo one twoone two");
    assert_eq!(frames.last().unwrap()["choices"][0]["finish_reason"], "stop");
    let mut whole = body;
    whole["stream"] = json!(false);
    assert_eq!(
        client.post("/v1/completions", whole).await.json()["choices"][0]["text"],
        "echo one twoone two"
    );
    let unsupported = Some("unsupported_parameter");
    for (field, value) in [
        ("prompt", json!([1, 2])),
        ("prompt", json!([[1]])),
        ("suffix", json!("x")),
        ("best_of", json!(2)),
    ] {
        let body = json!({ "model": "guide", "prompt": "x" });
        let mut body = body.as_object().unwrap().clone();
        body.insert(field.to_owned(), value);
        let page = client.post("/v1/completions", Value::Object(body)).await;
        assert_error(&page, StatusCode::BAD_REQUEST, Some(field), unsupported);
    }
}

#[tokio::test]
async fn embeddings_come_as_numbers_or_base64() {
    let client = Client::new().await;
    let plain = client
        .post("/v1/embeddings", json!({ "model": "guide", "input": "four" }))
        .await
        .json();
    assert_eq!(
        plain,
        json!({
            "object": "list",
            "data": [{ "object": "embedding", "index": 0, "embedding": [4.0, 0.5] }],
            "model": "guide",
            "usage": { "prompt_tokens": 1, "total_tokens": 1 },
        })
    );
    let many: Vec<String> = (0..130).map(|at| "x".repeat(at % 7 + 1)).collect();
    let body = json!({ "model": "guide", "input": many, "encoding_format": "base64" });
    let answer = client.post("/v1/embeddings", body).await.json();
    let data = answer["data"].as_array().unwrap();
    assert_eq!(data.len(), 130);
    assert_eq!(
        (
            data[129]["index"].as_u64(),
            answer["usage"]["prompt_tokens"].as_u64()
        ),
        (Some(129), Some(130))
    );
    // 4.0 and 0.5 as little-endian 32-bit floats.
    assert_eq!(data[3]["embedding"], "AACAQAAAAD8=");
    for (field, value) in [
        ("input", json!([])),
        ("input", json!("")),
        ("input", json!(5)),
        ("encoding_format", json!("int8")),
    ] {
        let mut body = json!({ "model": "guide", "input": "x" });
        body[field] = value;
        assert_error(
            &client.post("/v1/embeddings", body).await,
            StatusCode::BAD_REQUEST,
            Some(field),
            None,
        );
    }
    let body = json!({ "model": "guide", "input": [1, 2] });
    assert_error(
        &client.post("/v1/embeddings", body).await,
        StatusCode::BAD_REQUEST,
        Some("input"),
        Some("unsupported_parameter"),
    );
}
