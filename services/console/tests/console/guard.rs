//! What every answer carries and every request has to pass.

use axum::body::Body;
use http::{Method, Request, StatusCode, header};

use crate::browser::{Console, HOST, Page, read};

const PATHS: &[(&str, &str)] = &[
    ("GET", "/"),
    ("GET", "/healthz"),
    ("GET", "/static/holdfast.css"),
    ("GET", "/static/chat.js"),
    ("GET", "/static/absent"),
    ("GET", "/setup"),
    ("POST", "/setup"),
    ("GET", "/sign-in"),
    ("POST", "/sign-in"),
    ("GET", "/sign-out"),
    ("POST", "/sign-out"),
    ("GET", "/chat"),
    ("GET", "/chat/all"),
    ("POST", "/chat/answer"),
    ("GET", "/chat/delete-all"),
    ("GET", "/chat/0123456789abcdef0123456789abcdef"),
    ("GET", "/models"),
    ("POST", "/models/upload?name=x"),
    ("GET", "/models/submissions/s0"),
    ("GET", "/models/sha256:00"),
    ("GET", "/system"),
    ("POST", "/system/unload"),
    ("GET", "/api"),
    ("POST", "/api/tokens"),
    ("GET", "/v1/models"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/embeddings"),
    ("DELETE", "/v1/models"),
    ("GET", "/v1/nothing"),
    ("GET", "/nothing"),
    ("OPTIONS", "/v1/chat/completions"),
];

fn assert_headers(page: &Page, what: &str) {
    let policy = page.header(header::CONTENT_SECURITY_POLICY);
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "trusted-types 'none'",
    ] {
        assert!(policy.contains(part), "{what}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{what}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(page.header(name), value, "{what}: {name}");
    }
    assert!(page.header("permissions-policy").contains("camera=()"), "{what}");
    let caching = page.header(header::CACHE_CONTROL);
    assert_eq!(
        caching,
        if what.contains("/static/") && page.status == StatusCode::OK {
            "no-cache"
        } else {
            "no-store"
        },
        "{what}"
    );
    assert!(
        !page.headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN),
        "{what}"
    );
}

#[tokio::test]
async fn every_answer_carries_the_headers_signed_in_or_not() {
    let console = Console::new();
    let signed_in = console.signed_in().await;
    for browser in [console.browser(), signed_in] {
        for (method, path) in PATHS {
            let request = browser
                .request(&method.parse().unwrap(), path)
                .body(Body::empty())
                .unwrap();
            assert_headers(
                &read(browser.raw(request).await).await,
                &format!("{method} {path}"),
            );
        }
    }
}

#[tokio::test]
async fn no_page_holds_a_script_or_a_style_of_its_own() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    for path in ["/setup", "/chat", "/chat/all", "/models", "/system", "/api"] {
        let page = browser.get(path).await;
        assert!(!page.text.contains("style=\""), "{path}");
        assert!(!page.text.contains("<style"), "{path}");
        assert!(
            !page.text.contains(" onclick") && !page.text.contains("javascript:"),
            "{path}"
        );
        for script in page.text.split("<script").skip(1) {
            assert!(
                script.starts_with(" type=\"module\" src=\"/static/"),
                "{path}: {script}"
            );
        }
    }
}

#[tokio::test]
async fn a_name_that_was_bound_to_this_address_from_outside_gets_nothing() {
    let console = Console::new();
    for (method, path) in PATHS {
        let request = Request::builder()
            .method(*method)
            .uri(*path)
            .header(header::HOST, "rebound.evil.example:8480")
            .header(header::ORIGIN, "http://rebound.evil.example:8480")
            .header("sec-fetch-site", "same-origin")
            .body(Body::empty())
            .unwrap();
        let page = read(console.browser().raw(request).await).await;
        assert_eq!(page.status, StatusCode::MISDIRECTED_REQUEST, "{method} {path}");
        assert_headers(&page, "a refusal");
    }
}

#[tokio::test]
async fn another_site_cannot_change_anything_even_with_the_session() {
    let console = Console::new();
    let browser = console.signed_in().await;
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:3000"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("x-nothing", "neither header"),
    ] {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/chat/delete-all")
            .header(header::HOST, HOST)
            .header(header::COOKIE, browser.cookie.as_deref().unwrap())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(name, value)
            .body(Body::from(format!("form_token={}", browser.form_token)))
            .unwrap();
        assert_eq!(
            browser.raw(request).await.status(),
            StatusCode::FORBIDDEN,
            "{name}: {value}"
        );
    }
}

#[tokio::test]
async fn a_change_without_the_form_token_is_refused_and_with_it_is_done() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    let right = browser.form_token.clone();
    for wrong in ["", "x", &right[1..], &console.signed_in().await.form_token] {
        wrong.clone_into(&mut browser.form_token);
        for path in ["/chat/delete-all", "/api/tokens", "/system/unload", "/sign-out"] {
            let page = browser
                .post(
                    path,
                    &[("name", "x"), ("model", &format!("sha256:{}", "1".repeat(64)))],
                )
                .await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{path} with {wrong:?}");
        }
        let ask = serde_json::json!({ "model": format!("sha256:{}", "1".repeat(64)), "text": "hi" });
        assert_eq!(
            browser.script("/chat/answer", &ask).await.status(),
            StatusCode::FORBIDDEN
        );
        let upload = browser
            .request(&Method::POST, "/models/upload?name=x")
            .body(Body::from("x"))
            .unwrap();
        assert_eq!(browser.raw(upload).await.status(), StatusCode::FORBIDDEN);
    }
    browser.form_token = right;
    assert_eq!(
        browser.post("/chat/delete-all", &[]).await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn without_a_session_pages_lead_to_sign_in_and_scripts_are_told() {
    let console = Console::new();
    console.signed_in().await;
    let mut browser = console.browser();
    for path in ["/chat", "/models", "/system", "/api", "/chat/all"] {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{path}");
        assert!(
            page.header(header::LOCATION).starts_with("/sign-in?next=%2F"),
            "{path}"
        );
    }
    let refused = read(browser.script("/chat/answer", &serde_json::json!({})).await).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.json()["type"], "urn:holdfast:problem:unauthenticated");
}

#[tokio::test]
async fn health_is_open_and_says_whether_a_passphrase_was_chosen() {
    let console = Console::new();
    let mut browser = console.browser();
    assert_eq!(
        browser.get("/healthz").await.text,
        r#"{"ready":true,"set_up":false}"#
    );
    browser.set_up().await;
    assert_eq!(
        browser.get("/healthz").await.text,
        r#"{"ready":true,"set_up":true}"#
    );
}

#[tokio::test]
async fn assets_are_not_sent_twice() {
    let console = Console::new();
    let mut browser = console.browser();
    let first = browser.get("/static/holdfast.css").await;
    let again = browser
        .request(&Method::GET, "/static/holdfast.css")
        .header(header::IF_NONE_MATCH, first.header(header::ETAG))
        .body(Body::empty())
        .unwrap();
    assert_eq!(browser.raw(again).await.status(), StatusCode::NOT_MODIFIED);
    for name in ["../config.rs", "%2e%2e%2fconfig.rs", "..%2f..%2fCargo.toml"] {
        assert_eq!(
            browser.get(&format!("/static/{name}")).await.status,
            StatusCode::NOT_FOUND,
            "{name}"
        );
    }
}
