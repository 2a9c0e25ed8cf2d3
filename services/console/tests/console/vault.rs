//! The vault's page.

use holdfast_contract::role;
use holdfast_contract::vault::{Backend, Firmware, VaultState};
use http::{StatusCode, header};

use crate::browser::Console;
use crate::fakes::vault::KEY;

fn asked(console: &Console) -> Vec<String> {
    console.house.vault.asked.lock().unwrap().clone()
}

#[tokio::test]
async fn it_locks_and_unlocks_with_the_tpm_or_a_secret() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    let page = browser.get("/vault").await;
    assert!(page.text.contains("badge good\">Open"), "{}", page.text);
    assert!(!page.text.contains("action=\"/vault/unlock\""));
    let locked = browser.post("/vault/lock", &[]).await;
    assert_eq!(locked.header(header::LOCATION), "/vault");
    let page = browser.get("/vault").await;
    assert!(page.text.contains(">Locked<") && !page.text.contains("action=\"/vault/lock\""));
    assert!(
        !page.text.contains("What opens it"),
        "keys can be changed only where the vault is open"
    );
    browser.post("/vault/unlock", &[("secret", "")]).await;
    browser.post("/vault/unlock", &[("secret", "a passphrase")]).await;
    let wrong = browser.post("/vault/unlock", &[("secret", "wrong")]).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert!(wrong.text.contains("does not open the vault"));
    assert!(
        !wrong.text.contains("value=\"wrong\""),
        "a secret is not shown again"
    );
    assert_eq!(asked(&console), ["lock", "unlock tpm", "unlock a passphrase"]);
}

#[tokio::test]
async fn a_security_key_is_enrolled_used_and_removed() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    let page = browser.get("/vault").await;
    assert!(page.text.contains("touch the key each time it blinks"));
    assert!(!page.text.contains("action=\"/vault/security-key/remove\""));
    assert!(!page.text.contains("action=\"/vault/security-key/seal\""));
    browser.post("/vault/lock", &[]).await;
    let page = browser.get("/vault").await;
    assert!(
        !page.text.contains("action=\"/vault/security-key/unlock\""),
        "none is enrolled"
    );
    browser.post("/vault/unlock", &[("secret", "")]).await;
    browser.post("/vault/security-key", &[("pin", "")]).await;
    browser.post("/vault/lock", &[]).await;
    let page = browser.get("/vault").await;
    assert!(page.text.contains("Then touch the key"), "{}", page.text);
    assert!(!page.text.contains("id=\"unlock-pin\""), "no key asks for a PIN");
    browser.post("/vault/security-key/unlock", &[("pin", "")]).await;
    browser.post("/vault/security-key", &[("pin", "2741828")]).await;
    browser
        .post("/vault/security-key/seal", &[("pin", "2741828")])
        .await;
    browser.post("/vault/lock", &[]).await;
    assert!(browser.get("/vault").await.text.contains("id=\"unlock-pin\""));
    let wrong = browser
        .post("/vault/security-key/unlock", &[("pin", "wrong")])
        .await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert!(wrong.text.contains("PIN is wrong") && !wrong.text.contains("value=\"wrong\""));
    browser
        .post("/vault/security-key/unlock", &[("pin", "2741828")])
        .await;
    browser.post("/vault/security-key/remove", &[]).await;
    assert_eq!(
        asked(&console),
        [
            "lock",
            "unlock tpm",
            "security key no PIN",
            "lock",
            "unlock by key, no PIN",
            "security key 2741828",
            "seal by key, 2741828",
            "lock",
            "unlock by key, 2741828",
            "no security key"
        ]
    );
}

#[tokio::test]
async fn a_recovery_key_is_shown_once_and_has_to_be_typed_in() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    assert!(
        browser
            .get("/vault")
            .await
            .text
            .contains("Without a recovery key everything is lost")
    );
    let made = browser.post("/vault/recovery-key", &[]).await;
    assert!(made.text.contains(KEY));
    assert_eq!(made.header(header::CACHE_CONTROL), "no-store");
    assert!(!browser.get("/vault").await.text.contains(KEY));
    let wrong = browser
        .post("/vault/recovery-key/confirm", &[("secret", "cbdef")])
        .await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert!(
        wrong.text.contains("action=\"/vault/recovery-key/confirm\""),
        "another try"
    );
    assert!(!wrong.text.contains(KEY));
    let confirmed = browser
        .post("/vault/recovery-key/confirm", &[("secret", KEY)])
        .await;
    assert_eq!(confirmed.header(header::LOCATION), "/vault");
    assert!(
        !browser
            .get("/vault")
            .await
            .text
            .contains("Without a recovery key")
    );
    assert!(console.house.recorded().iter().all(|entry| !entry.contains(KEY)));
}

#[tokio::test]
async fn a_panic_counts_down_on_the_page_and_can_be_called_off() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    let refused = browser
        .post("/vault/panic", &[("level", "erase"), ("phrase", "please")])
        .await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    browser
        .post(
            "/vault/panic",
            &[("level", "erase"), ("phrase", "erase everything")],
        )
        .await;
    let page = browser.get("/vault").await;
    assert!(page.text.contains("Level 3 in 10 s"), "{}", page.text);
    assert_eq!(page.header(header::REFRESH), "1", "without a script");
    browser.post("/vault/panic/call-off", &[]).await;
    let page = browser.get("/vault").await;
    assert!(!page.text.contains("Level 3 in"));
    assert_eq!(asked(&console), ["panic erase", "call off"]);
}

#[tokio::test]
async fn nothing_can_be_asked_without_a_session_or_from_another_page() {
    let console = Console::new();
    let mut stranger = console.browser();
    for path in [
        "/vault/lock",
        "/vault/panic",
        "/vault/recovery-key",
        "/vault/unlock",
        "/vault/security-key",
        "/vault/security-key/unlock",
        "/vault/security-key/seal",
        "/vault/security-key/remove",
    ] {
        let answer = stranger
            .post(
                path,
                &[("level", "lock"), ("phrase", ""), ("secret", ""), ("pin", "")],
            )
            .await;
        assert!(
            answer.status.is_redirection() || answer.status.is_client_error(),
            "{path}: {}",
            answer.status
        );
    }
    let mut browser = console.signed_in().await;
    browser.form_token = "made up".to_owned();
    let forged = browser
        .post("/vault/panic", &[("level", "lock"), ("phrase", "")])
        .await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    assert_eq!(asked(&console), [""; 0]);
}

#[tokio::test]
async fn every_state_has_its_words_and_its_way_on() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    for (state, words, way) in [
        (VaultState::Shut, ">Shut<", Some("/vault/unlock")),
        (VaultState::Erased, ">Erased<", Some("/vault/create")),
        (VaultState::Foreign, "Not this appliance", Some("/vault/create")),
        (VaultState::Preparing, "Being prepared", None),
    ] {
        console.house.vault.status.lock().unwrap().state = state;
        let page = browser.get("/vault").await;
        assert!(page.text.contains(words), "{state:?}");
        for action in ["/vault/unlock", "/vault/create"] {
            let offered = page.text.contains(&format!("action=\"{action}\""));
            assert_eq!(offered, way == Some(action), "{state:?}: {action}");
        }
    }
    console.house.vault.status.lock().unwrap().backend = Backend::Directory;
    let page = browser.get("/vault").await;
    assert!(page.text.contains("Not encrypted") && !page.text.contains("action=\"/vault/panic\""));
    console.house.take_away(role::VAULT_OPERATE);
    assert!(browser.get("/vault").await.text.contains("does not answer"));
}

#[tokio::test]
async fn it_says_whether_the_firmware_is_pinned_and_why_not() {
    let console = Console::new();
    let mut browser = console.signed_in().await;
    let page = browser.get("/vault").await;
    assert!(page.text.contains("Firmware pinned"), "{}", page.text);
    console.house.vault.status.lock().unwrap().firmware = Some(Firmware::NotCovered { register: 2 });
    let page = browser.get("/vault").await;
    assert!(page.text.contains("Firmware not pinned: PCR 2"), "{}", page.text);
    console.house.vault.status.lock().unwrap().firmware = None;
    assert!(!browser.get("/vault").await.text.contains("pinned"));
}
