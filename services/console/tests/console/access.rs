//! Set-up, sign-in, sessions.

use http::{StatusCode, header};

use crate::browser::{Console, PASSPHRASE, SETUP_TOKEN};

#[tokio::test]
async fn the_set_up_token_works_once() {
    let console = Console::new();
    let mut first = console.browser();
    let page = first.get(&format!("/setup?token={SETUP_TOKEN}")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("Choose a passphrase"));
    assert_eq!(first.set_up().await.status, StatusCode::SEE_OTHER);
    assert_eq!(first.get("/chat").await.status, StatusCode::OK);

    let mut second = console.browser();
    assert_eq!(
        second
            .get(&format!("/setup?token={SETUP_TOKEN}"))
            .await
            .header(header::LOCATION),
        "/sign-in"
    );
    let fields = [
        ("token", SETUP_TOKEN),
        ("passphrase", "another long one"),
        ("confirmation", "another long one"),
    ];
    let page = second.post("/setup", &fields).await;
    assert_eq!(page.header(header::LOCATION), "/sign-in");
    assert!(second.cookie.is_none());
    assert_eq!(
        second
            .post("/sign-in", &[("passphrase", "another long one")])
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        second
            .post("/sign-in", &[("passphrase", PASSPHRASE)])
            .await
            .status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn a_wrong_set_up_token_chooses_nothing() {
    let console = Console::new();
    let mut browser = console.browser();
    for wrong in [
        &SETUP_TOKEN[1..],
        &"0".repeat(64),
        "",
        &SETUP_TOKEN.to_uppercase(),
    ] {
        assert_eq!(
            browser.get(&format!("/setup?token={wrong}")).await.status,
            StatusCode::FORBIDDEN
        );
        let fields = [
            ("token", wrong),
            ("passphrase", PASSPHRASE),
            ("confirmation", PASSPHRASE),
        ];
        assert_eq!(
            browser.post("/setup", &fields).await.status,
            StatusCode::FORBIDDEN
        );
    }
    assert!(!console.app.account.is_set_up());
    assert!(browser.get("/setup").await.text.contains("not set up yet"));
}

#[tokio::test]
async fn a_weak_passphrase_is_explained_and_the_token_stays_good() {
    let console = Console::new();
    let mut browser = console.browser();
    for (passphrase, confirmation, why) in [
        ("short", "short", "too short"),
        ("aaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaa", "too easy to guess"),
        (PASSPHRASE, "seven lamps by the sky", "not the same"),
    ] {
        let fields = [
            ("token", SETUP_TOKEN),
            ("passphrase", passphrase),
            ("confirmation", confirmation),
        ];
        let page = browser.post("/setup", &fields).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.text.contains(why), "{why}");
        assert!(
            !page.text.contains(&format!("\"{passphrase}\"")),
            "what was typed is not sent back"
        );
    }
    assert_eq!(browser.set_up().await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn the_session_cookie_is_out_of_reach_of_scripts_and_other_sites() {
    let console = Console::new();
    let page = console.browser().set_up().await;
    let cookie = page.header(header::SET_COOKIE);
    assert!(cookie.starts_with("holdfast-session-8480="), "{cookie}");
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
}

#[tokio::test]
async fn wrong_passphrases_make_everybody_wait_and_say_how_long() {
    let console = Console::new();
    console.signed_in().await;
    let mut browser = console.browser();
    for _ in 0..3 {
        let page = browser
            .post("/sign-in", &[("passphrase", "wrong wrong wrong")])
            .await;
        assert_eq!(page.status, StatusCode::FORBIDDEN);
        assert!(page.text.contains("not the passphrase"));
    }
    let page = browser.post("/sign-in", &[("passphrase", PASSPHRASE)]).await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(page.header(header::RETRY_AFTER), "1");
    assert!(page.text.contains("Wait <span>1 second</span>"));
    assert!(browser.cookie.is_none());
}

#[tokio::test]
async fn signing_in_is_recorded_and_what_cannot_be_recorded_is_not_done() {
    let console = Console::new();
    console.signed_in().await;
    console
        .browser()
        .post("/sign-in", &[("passphrase", "wrong wrong wrong")])
        .await;
    console
        .browser()
        .post("/sign-in", &[("passphrase", PASSPHRASE)])
        .await;
    assert_eq!(
        console.house.recorded(),
        [
            "console.sign-in allowed owner",
            "console.sign-in denied owner",
            "console.sign-in allowed owner"
        ]
    );
    let told = serde_json::to_string(&*console.house.recorder.entries.lock().unwrap()).unwrap();
    assert!(!told.contains("wrong") && !told.contains("lamps") && !told.contains(SETUP_TOKEN));

    console.house.take_away(holdfast_contract::role::RECORDER_APPEND);
    let mut browser = console.browser();
    let page = browser.post("/sign-in", &[("passphrase", PASSPHRASE)]).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.text.contains("could not be written to the ledger"));
    assert!(browser.cookie.is_none());
}

#[tokio::test]
async fn a_session_that_was_planted_is_not_adopted_and_an_old_one_ends_with_the_new() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    let before = browser.cookie.clone().unwrap();
    browser.post("/sign-in", &[("passphrase", PASSPHRASE)]).await;
    let after = browser.cookie.clone().unwrap();
    assert_ne!(before, after);

    let mut victim = console.browser();
    victim.cookie = Some("holdfast-session-8480=chosen-by-an-attacker".to_owned());
    victim.post("/sign-in", &[("passphrase", PASSPHRASE)]).await;
    assert_ne!(
        victim.cookie.as_deref(),
        Some("holdfast-session-8480=chosen-by-an-attacker")
    );
    for stale in [before, "holdfast-session-8480=chosen-by-an-attacker".to_owned()] {
        let mut attacker = console.browser();
        attacker.cookie = Some(stale);
        assert_eq!(attacker.get("/chat").await.status, StatusCode::SEE_OTHER);
    }
}

#[tokio::test]
async fn signing_out_ends_the_session_on_the_server() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    let cookie = browser.cookie.clone();
    let page = browser.post("/sign-out", &[]).await;
    assert!(page.header(header::SET_COOKIE).contains("Max-Age=0"));
    browser.cookie = cookie;
    assert_eq!(browser.get("/chat").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_restart_signs_everybody_out_and_keeps_the_passphrase() {
    let console = Console::new();
    let cookie = console.signed_in().await.cookie;
    let console = console.restarted();
    let mut browser = console.browser();
    browser.cookie = cookie;
    assert!(
        browser
            .get("/chat")
            .await
            .header(header::LOCATION)
            .starts_with("/sign-in")
    );
    assert_eq!(
        browser
            .post("/sign-in", &[("passphrase", PASSPHRASE)])
            .await
            .status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn sign_in_leads_back_to_where_somebody_wanted_to_go_but_not_elsewhere() {
    let console = Console::new();
    console.signed_in().await;
    let mut browser = console.browser();
    let page = browser.get("/sign-in?next=%2Fmodels").await;
    assert!(page.text.contains("name=\"next\" value=\"/models\""));
    let page = browser
        .post("/sign-in", &[("passphrase", PASSPHRASE), ("next", "/models")])
        .await;
    assert_eq!(page.header(header::LOCATION), "/models");
    let mut other = console.browser();
    let page = other
        .post(
            "/sign-in",
            &[("passphrase", PASSPHRASE), ("next", "//evil.example")],
        )
        .await;
    assert_eq!(page.header(header::LOCATION), "/chat");
}

#[tokio::test]
async fn an_oversized_or_foreign_form_is_refused() {
    let console = Console::new();
    console.signed_in().await;
    let mut browser = console.browser();
    let page = browser
        .post("/sign-in", &[("passphrase", &"x".repeat(20_000))])
        .await;
    assert_eq!(page.status, StatusCode::PAYLOAD_TOO_LARGE);
    let request = browser
        .request(&http::Method::POST, "/sign-in")
        .header(header::CONTENT_TYPE, "text/plain")
        .body(axum::body::Body::from("passphrase=x"))
        .unwrap();
    assert_eq!(browser.raw(request).await.status(), StatusCode::BAD_REQUEST);
}
