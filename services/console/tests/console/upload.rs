//! Handing files in.

use std::convert::Infallible;
use std::sync::atomic::Ordering;

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt as _;
use holdfast_contract::limits::MAX_ARTIFACT_BYTES;
use holdfast_contract::role;
use http::{Method, StatusCode, header};
use tokio::sync::mpsc;

use crate::browser::{Browser, Console, Lines, read};

fn upload(browser: &Browser, name: &str, body: Body) -> http::Request<Body> {
    browser
        .request(&Method::POST, &format!("/models/upload?name={name}"))
        .header("x-form-token", &browser.form_token)
        .body(body)
        .unwrap()
}

#[tokio::test]
async fn a_file_goes_through_and_its_way_is_told() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    let chunks = (0..100).map(|at| Ok::<_, Infallible>(Bytes::from(vec![at; 50_000])));
    let body = Body::from_stream(futures_util::stream::iter(chunks));
    let lines = Lines::of(browser.raw(upload(&browser, "new%20model.gguf", body)).await)
        .all()
        .await;
    assert_eq!(
        console.house.quarantine.received_bytes.load(Ordering::SeqCst),
        5_000_000
    );
    assert_eq!(lines[0]["stage"], "inspecting");
    let submission = &lines.last().unwrap()["submission"];
    assert_eq!(
        (submission["stage"].as_str(), submission["name"].as_str()),
        (Some("admitted"), Some("new model.gguf"))
    );
    let page = browser
        .get(&format!(
            "/models/submissions/{}",
            submission["id"].as_str().unwrap()
        ))
        .await;
    assert!(page.text.contains("The model is in the registry"));
    assert!(browser.get("/models").await.text.contains("new model</a>"));
}

#[tokio::test]
async fn a_conversion_is_asked_for_only_where_it_was_chosen() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    assert!(browser.get("/models").await.text.contains("id=\"disarm\""));
    for (query, disarm) in [
        ("a.pt", None),
        ("a.pt&disarm=false", None),
        ("a.pt&disarm=true", Some(true)),
    ] {
        let lines = Lines::of(browser.raw(upload(&browser, query, Body::from("x"))).await)
            .all()
            .await;
        let submission = &lines.last().unwrap()["submission"];
        assert_eq!(submission["disarm"].as_bool(), disarm, "{query}");
    }
    let wrong = upload(&browser, "a.pt&disarm=perhaps", Body::from("x"));
    assert_eq!(browser.raw(wrong).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_refused_file_is_shown_with_its_findings_and_their_place() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    let lines = Lines::of(browser.raw(upload(&browser, "evil.gguf", Body::from("x"))).await)
        .all()
        .await;
    let submission = &lines.last().unwrap()["submission"];
    assert_eq!(submission["stage"], "refused");
    let page = browser
        .get(&format!(
            "/models/submissions/{}",
            submission["id"].as_str().unwrap()
        ))
        .await;
    for part in [
        "Refused",
        "Critical",
        "&lt;b&gt;os.system&lt;/b&gt;",
        "1\u{202f}234",
        "archive/data.pkl",
        "HF-PKL-001",
        "tell whoever gave it",
    ] {
        assert!(page.text.contains(part), "{part}");
    }
    let list = browser.get("/models").await;
    assert!(
        list.text
            .contains("The file calls &lt;b&gt;os.system&lt;/b&gt; when it is loaded.")
    );
}

#[tokio::test]
async fn bytes_are_passed_on_as_they_come_and_not_collected() {
    let console = Console::new();
    let browser = console.signed_in().await;
    let (sender, mut receiver) = mpsc::channel::<Result<Bytes, Infallible>>(1);
    let body = Body::from_stream(futures_util::stream::poll_fn(move |context| {
        receiver.poll_recv(context)
    }));
    let request = upload(&browser, "slow.gguf", body);
    let answer = tokio::spawn(async move { read(browser.raw(request).await).await });
    for sent in 1..=50_u64 {
        sender.send(Ok(Bytes::from(vec![0; 100_000]))).await.unwrap();
        // Quarantine has the bytes while the upload is still going on: at most a few chunks are under way.
        while console.house.quarantine.received_bytes.load(Ordering::SeqCst) + 1_000_000 < sent * 100_000 {
            tokio::task::yield_now().await;
        }
    }
    drop(sender);
    assert_eq!(answer.await.unwrap().status, StatusCode::OK);
    assert_eq!(
        console.house.quarantine.received_bytes.load(Ordering::SeqCst),
        5_000_000
    );
}

#[tokio::test]
async fn an_upload_that_breaks_off_breaks_off_in_quarantine() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    let (sender, mut receiver) = mpsc::channel(1);
    let body = Body::from_stream(futures_util::stream::poll_fn(move |context| {
        receiver.poll_recv(context)
    }));
    let answer = browser.raw(upload(&browser, "half.gguf", body));
    let break_off = async {
        sender.send(Ok(Bytes::from_static(b"half"))).await.unwrap();
        while console.house.quarantine.received_bytes.load(Ordering::SeqCst) < 4 {
            tokio::task::yield_now().await;
        }
        sender
            .send(Err(std::io::Error::other("the browser went away")))
            .await
            .unwrap();
    };
    let (answer, ()) = tokio::join!(answer, break_off);
    let page = read(answer).await;
    assert!(
        page.status.is_client_error() || page.status.is_server_error(),
        "{}",
        page.text
    );
    console.house.quarantine.broke.notified().await;
    assert!(
        browser
            .get("/models")
            .await
            .text
            .contains("The file did not arrive whole.")
    );
}

#[tokio::test]
async fn a_full_disk_is_a_clear_error_and_the_rest_of_the_file_is_swallowed() {
    let console = Console::new();
    let browser = console.signed_in().await;
    let (swallowed, mut seen) = mpsc::unbounded_channel();
    let chunks = futures_util::stream::iter(0..300).map(move |at| {
        let _ = swallowed.send(at);
        Ok::<_, Infallible>(Bytes::from(vec![0; 100_000]))
    });
    let page = read(
        browser
            .raw(upload(&browser, "full.gguf", Body::from_stream(chunks)))
            .await,
    )
    .await;
    assert_eq!(page.status, StatusCode::INSUFFICIENT_STORAGE, "{}", page.text);
    assert!(page.json()["detail"].as_str().unwrap().contains("full"));
    // The body is read to its end, so that a browser gets to read the answer.
    let mut last = 0;
    while let Some(at) = seen.recv().await {
        last = at;
    }
    assert_eq!(last, 299);
}

#[tokio::test]
async fn what_is_too_large_or_has_no_name_is_refused_at_once() {
    let console = Console::new();
    let browser = console.signed_in().await;
    let request = browser
        .request(&Method::POST, "/models/upload?name=huge.gguf")
        .header("x-form-token", &browser.form_token)
        .header(header::CONTENT_LENGTH, MAX_ARTIFACT_BYTES + 1)
        .body(Body::empty())
        .unwrap();
    assert_eq!(browser.raw(request).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(
        browser.raw(upload(&browser, "", Body::from("x"))).await.status(),
        StatusCode::BAD_REQUEST
    );
    let long = "x".repeat(256);
    assert_eq!(
        browser
            .raw(upload(&browser, &long, Body::from("x")))
            .await
            .status(),
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        browser
            .raw(upload(&browser, &long[1..], Body::from("x")))
            .await
            .status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn without_quarantine_the_page_says_so_and_still_works() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    console.house.take_away(role::QUARANTINE_SUBMIT);
    console.house.take_away(role::QUARANTINE_READ);
    let page = read(browser.raw(upload(&browser, "a.gguf", Body::from("x"))).await).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    let page = browser.get("/models").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("Quarantine/read does not answer") && page.text.contains(">guide</a>"));
}
