//! The other pages, with everything there and with something away.

use holdfast_contract::role;
use http::{StatusCode, header};

use crate::browser::Console;
use crate::fakes::models::{GUIDE, LLAMA};

#[tokio::test]
async fn the_system_page_shows_posture_services_engines_and_the_ledger() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    let page = browser.get("/system").await;
    for part in [
        "Evaluation",
        "The vault is a directory and not encrypted.",
        "Profile: offline",
        "<strong>research</strong> (",
        "Incident recorder",
        "Landlock",
        " ABI 7",
        "93 system calls allowed",
        "read and write lib/registry",
        "Landlock ABI 9 is needed",
        "id=\"ledger-size\">1<",
        "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=",
        "holdfast ledger verify",
        "Sign-in",
        "0 of 4 places in use",
    ] {
        assert!(page.text.contains(part), "{part}");
    }
    let unloaded = browser
        .post("/system/unload", &[("model", &GUIDE.to_string())])
        .await;
    assert_eq!(unloaded.header(header::LOCATION), "/system");
    assert!(browser.get("/system").await.text.contains("No model is loaded."));
}

#[tokio::test]
async fn every_page_works_with_every_service_away() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    for role in [
        role::REGISTRY_READ,
        role::QUARANTINE_READ,
        role::INFERENCE_ADMIN,
        role::INFERENCE_GENERATE,
        role::RECORDER_READ,
    ] {
        console.house.take_away(role);
    }
    std::fs::remove_file(console.house.run.join("posture.json")).unwrap();
    for (path, part) in [
        ("/chat", "does not answer"),
        ("/models", "does not answer"),
        ("/system", "The supervisor left no posture file"),
        ("/api", "There is no token yet."),
        ("/chat/all", "There is no conversation."),
    ] {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(page.text.contains(part), "{path}");
    }
    assert_eq!(browser.get("/system").await.text.matches(">Away<").count(), 4);
}

#[tokio::test]
async fn models_are_listed_with_facts_conditions_and_reports_and_can_be_deleted() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    let list = browser.get("/models").await;
    for part in [
        "3.5 million weights",
        "Admitted with conditions",
        "The chat template in this model",
        "No chat: only GGUF models",
    ] {
        assert!(list.text.contains(part), "{part}");
    }
    let report = browser.get(&format!("/models/{LLAMA}")).await;
    for part in [
        "HF-GGUF-041",
        "18\u{202f}204",
        "tokenizer.chat_template",
        "131\u{202f}072",
        "OCI manifest",
    ] {
        assert!(report.text.contains(part), "{part}");
    }
    assert!(
        browser
            .get(&format!("/models/{LLAMA}/delete"))
            .await
            .text
            .contains("Delete this model?")
    );
    assert_eq!(
        browser
            .post(&format!("/models/{LLAMA}/delete"), &[])
            .await
            .header(header::LOCATION),
        "/models"
    );
    assert!(!browser.get("/models").await.text.contains("llama-3.2"));
    assert_eq!(
        browser.post(&format!("/models/{LLAMA}/delete"), &[]).await.status,
        StatusCode::NOT_FOUND
    );
    for digest in ["sha256:00", "..%2f..%2fv1%2fstatus", "guide"] {
        assert_eq!(
            browser.get(&format!("/models/{digest}")).await.status,
            StatusCode::NOT_FOUND,
            "{digest}"
        );
    }
    for id in ["..%2fstatus", "a%3fb", "a%20b"] {
        assert_eq!(
            browser.get(&format!("/models/submissions/{id}")).await.status,
            StatusCode::NOT_FOUND,
            "{id}"
        );
    }
}

#[tokio::test]
async fn the_model_of_a_link_is_chosen_for_the_chat() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    let page = browser.get(&format!("/chat?model={LLAMA}")).await;
    assert!(
        page.text
            .contains(&format!("<option value=\"{LLAMA}\" selected>"))
    );
    assert!(
        !page.text.contains(">embedder</option>"),
        "only models that can chat are offered"
    );
    assert!(
        browser
            .get("/chat?model=nonsense")
            .await
            .text
            .contains(">guide</option>")
    );
}

#[tokio::test]
async fn a_token_is_shown_once_listed_and_revoked() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    let made = browser.post("/api/tokens", &[("name", "lap<top>")]).await;
    let token = made.between("<code id=\"token\">", "</code>").to_owned();
    assert!(token.starts_with("hf_"));
    assert!(made.text.contains("lap&lt;top&gt;"));
    assert!(made.text.contains(&format!("export OPENAI_API_KEY={token}")));
    assert!(
        made.text
            .contains("export OPENAI_BASE_URL=http://127.0.0.1:8480/v1")
    );

    let page = browser.get("/api").await;
    assert!(!page.text.contains(&token) && page.text.contains("lap&lt;top&gt;"));
    let revoke = page.between("href=\"/api/tokens/", "\"").to_owned();
    let id = revoke.split('/').next().unwrap();
    assert!(
        browser
            .get(&format!("/api/tokens/{id}/revoke"))
            .await
            .text
            .contains("Revoke this token?")
    );
    browser.post(&format!("/api/tokens/{id}/revoke"), &[]).await;
    assert!(browser.get("/api").await.text.contains("There is no token yet."));
    let token_entries = [
        format!("console.token allowed {id}"),
        format!("console.token allowed {id}"),
    ];
    assert_eq!(console.house.recorded()[1..], token_entries);
}

#[tokio::test]
async fn a_token_that_cannot_be_recorded_is_not_made() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    console.house.take_away(role::RECORDER_APPEND);
    let page = browser.post("/api/tokens", &[("name", "x")]).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!page.text.contains("hf_"));
    assert!(browser.get("/api").await.text.contains("There is no token yet."));
}

#[tokio::test]
async fn a_page_that_is_not_there_says_so() {
    let console = Console::new();
    let page = console.browser().get("/admin.php").await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert!(page.text.contains("There is no such page."));
}
