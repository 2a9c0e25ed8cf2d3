//! The page, in a real browser: everything that a person does there, with the mouse, with the keyboard alone, in a narrow window and
//! in the dark. Pictures of every page are kept in `tests/artifacts`.

use std::time::Duration;

use holdfast_contract::role::Service;
use holdfast_tests::browser::{Browser, PATIENCE, keys};
use holdfast_tests::page::{PASSPHRASE, Person, post};
use holdfast_tests::suite::Suite;
use holdfast_tests::wait;
use serde_json::json;

use crate::files;
use crate::models::Parrot;

const WIDE: (u32, u32) = (1280, 900);
const NARROW: (u32, u32) = (360, 740);

/// Keeps pictures of the page that is loaded, light and dark, wide and narrow. In none of them may it be wider than its window.
#[track_caller]
fn pictures(browser: &Browser, name: &str) {
    let mut grounds = Vec::new();
    for (dark, scheme) in [(true, "dark"), (false, "light")] {
        browser.dark(dark);
        for ((width, height), shape) in [(NARROW, "narrow"), (WIDE, "wide")] {
            browser.size(width, height);
            let wide = browser
                .value("document.documentElement.scrollWidth")
                .as_u64()
                .unwrap();
            assert!(
                wide <= u64::from(width),
                "{name} is {wide} wide in a window of {width}"
            );
            browser.picture(&format!("{name}-{scheme}-{shape}"));
        }
        grounds.push(browser.value("getComputedStyle(document.body).backgroundColor"));
    }
    assert_ne!(grounds[0], grounds[1], "{name} looks the same in the dark");
}

/// Nothing that a person did not ask for happened: no error in a script, nothing that the page's policy had to forbid.
#[track_caller]
fn assert_quiet(browser: &Browser) {
    let bad: Vec<String> = browser
        .console()
        .into_iter()
        // The browser itself notes a refusal's status as an error.
        .filter(|line| {
            line.starts_with("SEVERE") && !line.contains("the server responded with a status of 4")
        })
        .collect();
    assert!(bad.is_empty(), "{bad:?}");
}

#[track_caller]
fn sign_in(browser: &Browser, suite: &Suite) {
    browser.go(&format!("{}/sign-in", suite.url()));
    browser.type_into("#passphrase", PASSPHRASE);
    browser.click("button[type=submit]");
    browser.until("#composer");
}

/// The text of the last answer.
#[track_caller]
fn last_answer(browser: &Browser) -> String {
    let script = "return [...document.querySelectorAll('article.assistant .text')].at(-1)?.innerText ?? ''";
    browser
        .script(script, &json!([]))
        .as_str()
        .unwrap()
        .trim()
        .to_owned()
}

#[track_caller]
fn until_ended(browser: &Browser, state: &str) {
    browser.until(&format!("article.assistant:last-child[data-state={state}]"));
}

#[test]
fn a_person_sets_up_chats_with_the_guide_and_sees_the_system() {
    let Some(browser) = Browser::start() else { return };
    let suite = Suite::start();
    // Everything leads to set-up, which says what to do, and works with the token only.
    browser.go(suite.url());
    browser.until_at("/setup");
    browser.until_text("main", "not set up");
    pictures(&browser, "not-set-up");
    browser.go(&format!("{}/setup?token=wrong", suite.url()));
    browser.until_text("[role=alert]", "not the right one");
    browser.go(suite.ready["setup_url"].as_str().unwrap());
    pictures(&browser, "set-up");

    // Two different passphrases: the browser says so and nothing is sent; the server would refuse as well.
    browser.type_into("#passphrase", PASSPHRASE);
    browser.until_text("#strength", "Strong");
    browser.type_into("#confirmation", "something else entirely");
    browser.click("button[type=submit]");
    let said = browser.value("document.getElementById('confirmation').validationMessage");
    assert!(said.as_str().unwrap().contains("not the same"), "{said}");
    let token = suite.setup_token().unwrap();
    let differs = [
        ("token", token),
        ("passphrase", PASSPHRASE),
        ("confirmation", "something else entirely"),
    ];
    assert!(
        post(&suite, "/setup", &differs)
            .expect(422)
            .text()
            .contains("not the same")
    );
    let simple = [
        ("token", token),
        ("passphrase", "aaaaaaaaaaaa"),
        ("confirmation", "aaaaaaaaaaaa"),
    ];
    post(&suite, "/setup", &simple).expect(422);

    browser.script("document.getElementById('confirmation').value = ''", &json!([]));
    browser.type_into("#confirmation", PASSPHRASE);
    browser.click("button[type=submit]");
    browser.until("#composer");
    browser.until_at("/chat");
    // The token is void now.
    browser.go(suite.ready["setup_url"].as_str().unwrap());
    browser.until_at("/chat");

    // A chat at once, with the model that came by itself.
    pictures(&browser, "chat-new");
    let (question, answer) = crate::chat::questions().swap_remove(0);
    assert_eq!(browser.page_text("#model option:checked"), "guide");
    browser.type_into("#prompt", &question);
    browser.click("#send");
    until_ended(&browser, "complete");
    assert_eq!(last_answer(&browser), answer);
    browser.until_text("article.assistant .caption", "tokens");
    browser.until_text("#conversations [aria-current=page]", &question[..10]);
    pictures(&browser, "chat");
    // A suggested question, in a new conversation.
    browser.click("#new");
    browser.until_shown(".questions button");
    browser.click(".questions button");
    until_ended(&browser, "complete");
    assert!(!last_answer(&browser).is_empty());

    system_page(&browser, &suite);
    tokens_page(&browser, &suite);
    assert_quiet(&browser);

    // And out again: what was open is closed.
    browser.click("form[action='/sign-out'] button");
    browser.until_at("/sign-in");
    pictures(&browser, "sign-in");
    browser.go(&format!("{}/models", suite.url()));
    browser.until_at("/sign-in?next=%2Fmodels");
    browser.type_into("#passphrase", PASSPHRASE);
    browser.click("button[type=submit]");
    browser.until("#drop");
    browser.until_at("/models");
}

fn system_page(browser: &Browser, suite: &Suite) {
    browser.go(&format!("{}/system", suite.url()));
    for service in Service::ALL {
        let card = format!("[data-service={service}]");
        let text = browser.until_text(&card, "Running");
        assert!(text.contains("system calls allowed"), "{text}");
        assert!(text.contains(&suite.process(service).pid.to_string()), "{text}");
    }
    let posture = browser.until_text("#posture", "Evaluation");
    for word in ["not encrypted", "TPM"] {
        assert!(posture.contains(word), "{posture}");
    }
    browser.until_text("main", "llama.cpp");
    let size: String = browser
        .page_text("#ledger-size")
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    assert!(size.parse::<u64>().unwrap() >= 10, "{size}");
    assert!(browser.page_text("#ledger-root").len() > 40);
    browser.until_text("#ledger table", "Text generated");
    pictures(browser, "system");
    // The engine that answered is there, and can be sent away.
    assert_eq!(suite.engines().len(), 1);
    browser.click("form[action='/system/unload'] button");
    browser.until_text("main", "No model is loaded");
    assert!(suite.engines().is_empty());
}

fn tokens_page(browser: &Browser, suite: &Suite) {
    browser.go(&format!("{}/api", suite.url()));
    browser.type_into("#name", "laptop");
    browser.click("form[action='/api/tokens'] button");
    let token = browser.until_text("#token", "hf_");
    assert!(browser.page_text("#example-env").contains(token.trim()));
    pictures(browser, "api");
    browser.go(&format!("{}/api", suite.url()));
    assert!(
        !browser.page_text("main").contains(token.trim()),
        "it is shown once"
    );
    browser.click("a[data-ask='Revoke this token?']");
    browser.click("#ask-yes");
    browser.until_text("main", "There is no token yet");
}

#[test]
fn an_import_shows_its_progress_and_a_refusal_its_reason() {
    let Some(browser) = Browser::start() else { return };
    let suite = Suite::start();
    Person::set_up(&suite);
    sign_in(&browser, &suite);
    browser.go(&format!("{}/models", suite.url()));
    browser.until_text("#registry", "guide");
    let directory = tempfile::tempdir().unwrap();

    // Large enough to see it go on. What the page said meanwhile is written down by the page.
    let large = files::large(directory.path(), "large-model.gguf", 384 << 20, 60);
    browser.script(
        "window.seen = new Set(); window.shown = 0; \
         new MutationObserver(() => { \
           for (const one of document.querySelectorAll('#uploads li')) seen.add(one.dataset.stage); \
           for (const bar of document.querySelectorAll('#uploads progress')) shown = Math.max(shown, bar.value / bar.max); \
         }).observe(document.getElementById('uploads'), { subtree: true, childList: true, attributes: true, characterData: true })",
        &json!([]),
    );
    browser.type_into("#file", large.to_str().unwrap());
    browser.until("#uploads progress");
    browser.picture("import-light-wide");
    browser.until("#uploads li[data-stage=admitted]");
    browser.until_text("#uploads .verdict", "Admitted");
    let seen = browser.value("[...seen]").to_string();
    for stage in ["receiving", "inspecting", "admitting", "admitted"] {
        assert!(seen.contains(stage), "{stage} in {seen}");
    }
    assert!(browser.value("shown").as_f64().unwrap() > 0.5);
    browser.until_text("#registry", "large-model");

    // A checkpoint, as safetensors.
    let checkpoint = files::checkpoint(32 << 20, 62);
    let checkpoint = files::write(directory.path(), "checkpoint.pt", &checkpoint);
    browser.click("#disarm");
    browser.type_into("#file", checkpoint.to_str().unwrap());
    browser.until("#uploads li:nth-child(2)[data-stage=admitted]");
    let text = browser.until_text("#uploads li:nth-child(2)", "Converted from");
    assert!(text.contains("pytorch-zip"), "{text}");
    let seen = browser.value("[...seen]").to_string();
    assert!(seen.contains("converting"), "{seen}");
    browser.picture("disarm-light-wide");
    browser.click("#disarm");
    suite.cli(&["models", "remove", "checkpoint", "--yes"]).expect(0);

    // Refused, in plain words, with the byte.
    let good = files::small(61);
    let bad = [
        (
            "cut.gguf",
            good[..good.len() - 40].to_vec(),
            "HF-GGUF-027",
            "byte",
        ),
        ("pickle.gguf", files::pickle(), "HF-PKL-001", "posix.system"),
        (
            "<img src=x onerror=window.pwned=1>.gguf",
            files::program(),
            "HF-FMT-013",
            "program",
        ),
    ];
    for (at, (name, bytes, finding, word)) in bad.iter().enumerate() {
        let file = files::write(directory.path(), name, bytes);
        browser.type_into("#file", file.to_str().unwrap());
        let card = format!("#uploads li:nth-child({})", at + 3);
        browser.until(&format!("{card}[data-stage=refused]"));
        let text = browser.until_text(&card, finding);
        assert!(
            text.contains("Refused") && text.contains(word) && text.contains(name),
            "{text}"
        );
        assert!(
            browser.find(&format!("{card} .main")).is_none(),
            "nothing leads to a chat with it"
        );
    }
    browser.until_text("#submissions", "pickle.gguf");
    pictures(&browser, "models");
    assert_eq!(browser.value("window.pwned ?? null"), json!(null));
    assert!(
        browser.all("main img").is_empty(),
        "a file's name became an element"
    );
    // A report of its own.
    browser.click("#submissions li:nth-child(2) a");
    browser.until_at("/models/submissions/");
    browser.until_text("#verdict", "HF-PKL-001");
    pictures(&browser, "refusal");

    // A model's own page, and its removal.
    browser.go(&format!("{}/models", suite.url()));
    browser.click("#registry li h3 a");
    browser.until_text("main", "OCI manifest");
    pictures(&browser, "model");
    let digest = suite.model("large-model").digest;
    browser.go(&format!("{}/models/{digest}", suite.url()));
    browser.click("a[data-ask='Delete this model?']");
    browser.click("#ask-yes");
    browser.until("#drop");
    assert!(!browser.page_text("#registry").contains("large-model"));
    assert_quiet(&browser);
}

#[test]
fn an_answer_comes_word_by_word_and_can_be_stopped_given_again_and_deleted() {
    let Some(browser) = Browser::start() else { return };
    let suite = Suite::start();
    let person = Person::set_up(&suite);
    let ended = person.upload("clock.gguf", &Parrot::ticking().gguf());
    assert_eq!(
        ended.last().unwrap()["submission"]["stage"],
        "admitted",
        "{ended:?}"
    );
    sign_in(&browser, &suite);
    let clock = suite.model("clock").digest;
    browser.go(&format!("{}/chat?model={clock}", suite.url()));
    browser.type_into("#prompt", "How late is it?");
    browser.click("#send");
    browser.until_shown("#stop");
    // It grows.
    let mut before = 0;
    for _ in 0..3 {
        let longer = || Some(last_answer(&browser).len()).filter(|length| *length > before);
        before = wait::until("more of the answer", PATIENCE, longer);
    }
    assert!(
        last_answer(&browser).starts_with("tick tock tick"),
        "{}",
        last_answer(&browser)
    );
    assert_eq!(suite.engine_load(), 1);
    browser.click("#stop");
    until_ended(&browser, "stopped");
    browser.until_text("article.assistant", "You stopped this answer.");
    wait::until("the engine is idle", Duration::from_secs(10), || {
        (suite.engine_load() == 0).then_some(())
    });

    // Another answer in its place, stopped with the keyboard.
    browser.click("#again");
    browser.until_shown("#stop");
    wait::until("another answer", PATIENCE, || {
        let state = browser.find("article.assistant[data-state]").is_none();
        (state && last_answer(&browser).contains("tock")).then_some(())
    });
    browser.press(keys::ESCAPE);
    until_ended(&browser, "stopped");
    assert_eq!(
        browser.all("article.assistant").len(),
        1,
        "it took the old one's place"
    );

    // It is kept, and can be renamed and deleted.
    let address = browser.url();
    browser.go(&address);
    browser.until_text("article.user", "How late is it?");
    let kept = last_answer(&browser);
    assert!(kept.starts_with("tick tock"), "{kept}");
    browser.click(".bar summary");
    browser.script("document.getElementById('new-title').value = ''", &json!([]));
    browser.type_into("#new-title", "The clock");
    browser.click(".bar form button");
    browser.until_text("#title", "The clock");
    browser.click(".bar a[data-ask]");
    browser.until_text("#ask[open]", "The clock");
    browser.click("#ask button[value=no]");
    wait::until("the question is gone", PATIENCE, || {
        browser.find("#ask[open]").is_none().then_some(())
    });
    browser.click(".bar a[data-ask]");
    browser.until("#ask[open]");
    browser.click("#ask-yes");
    browser.until_text("#title", "New conversation");
    assert!(!browser.page_text("nav.conversations").contains("The clock"));
    browser.go(&address);
    browser.until_text("main", "no such conversation");
    // Nothing of it is on disk any more.
    let kept = holdfast_tests::store::files(&suite.state().join("lib/vault/console/conversations"));
    assert!(kept.is_empty(), "{kept:?}");
}

#[test]
fn nothing_that_a_person_or_a_model_writes_becomes_markup() {
    let Some(browser) = Browser::start() else { return };
    let suite = Suite::start();
    let person = Person::set_up(&suite);
    let script = [
        "Look: <img src=x onerror=\"window.pwned=1\">",
        " <script>window.pwned=2</script>",
        " [click](javascript:window.pwned=3)",
        " <svg onload=window.pwned=4>",
        " **bold** `<b>code</b>`",
        " [out](http://192.0.2.1/out)",
        " ![picture](http://192.0.2.1/picture.png)",
        " <iframe srcdoc=\"<script>parent.pwned=5</script>\">",
        " <a href=\"javascript:window.pwned=6\" autofocus onfocus=window.pwned=7>link</a>",
        " <style>body{display:none}</style>",
        " <meta http-equiv=refresh content=0;url=http://192.0.2.1/>",
        " <form action=http://192.0.2.1><button autofocus>send</button></form> the end",
    ];
    let ended = person.upload("speaker.gguf", &Parrot::reciting("speaker", &script).gguf());
    assert_eq!(
        ended.last().unwrap()["submission"]["stage"],
        "admitted",
        "{ended:?}"
    );
    sign_in(&browser, &suite);
    let speaker = suite.model("speaker").digest;
    browser.go(&format!("{}/chat?model={speaker}", suite.url()));
    let said = "<img src=x onerror=\"window.pwned=8\"><script>window.pwned=9</script> </textarea>\u{202e}**not bold**";
    browser.script(
        "const prompt = document.getElementById('prompt'); prompt.value = arguments[0]; \
         prompt.dispatchEvent(new Event('input'))",
        &json!([said]),
    );
    browser.click("#send");
    until_ended(&browser, "complete");
    let inert = |when: &str| {
        assert_eq!(browser.alert(), None, "{when}");
        assert_eq!(browser.value("window.pwned ?? null"), json!(null), "{when}");
        let foreign = "#messages :is(img, script, svg, iframe, style, meta, form, object, embed, [onerror], [onload], [onfocus])";
        assert!(
            browser.all(foreign).is_empty(),
            "{when}: {}",
            browser.page_text("#messages")
        );
        assert!(browser.all("a[href^='javascript' i]").is_empty(), "{when}");
        let text = browser.page_text("#messages");
        for part in [
            "<img src=x onerror=\"window.pwned=1\">",
            "<script>window.pwned=2",
            "</textarea>",
            "<svg",
            "the end",
        ] {
            assert!(text.contains(part), "{when}: {part} in {text}");
        }
        // What Markdown is for works: emphasis, code, and a link that shows where it leads.
        assert_eq!(browser.page_text("article.assistant strong"), "bold", "{when}");
        assert_eq!(
            browser.page_text("article.assistant code"),
            "<b>code</b>",
            "{when}"
        );
        assert!(browser.all("article.user strong").is_empty(), "{when}");
        for link in browser.all("#messages a") {
            drop(link);
        }
        let links = browser
            .value("[...document.querySelectorAll('#messages a')].map((a) => `${a.rel}|${a.innerText}`)");
        for link in links.as_array().unwrap() {
            let link = link.as_str().unwrap();
            assert!(
                link.starts_with("noopener noreferrer") && link.contains("http://192.0.2.1/"),
                "{when}: {link}"
            );
        }
    };
    inert("as it came");
    assert_quiet(&browser);
    browser.picture("inert");
    // As the server renders it, and in the title and the list as well.
    let address = browser.url();
    browser.go(&address);
    browser.until("article.assistant");
    inert("as it was kept");
    assert!(browser.page_text("#conversations").contains("<img src=x"));
    assert_quiet(&browser);
}

#[test]
fn wrong_passphrases_are_told_so_and_have_to_wait() {
    let Some(browser) = Browser::start() else { return };
    let suite = Suite::start();
    Person::set_up(&suite);
    let sign_in_page = format!("{}/sign-in", suite.url());
    browser.go(&sign_in_page);
    for _ in 0..2 {
        browser.type_into("#passphrase", "not the right one at all");
        browser.click("button[type=submit]");
        browser.until_text("[role=alert]", "This is not the passphrase.");
    }
    for _ in 0..3 {
        // The page lets nobody send before the time; a program that does is sent away without being heard.
        wait::until("the wait is over", PATIENCE, || {
            let answer = post(&suite, "/sign-in", &[("passphrase", "still not the right one")]);
            (answer.status == 403).then_some(())
        });
    }
    let early = post(&suite, "/sign-in", &[("passphrase", PASSPHRASE)]);
    assert_eq!(early.status, 429, "even the right one has to wait");
    let seconds: u64 = early.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert!(early.header("set-cookie").is_none());
    browser.go(&sign_in_page);
    browser.until_text("#wait", "Wait");
    assert_eq!(
        browser.value("document.querySelector('button[type=submit]').disabled"),
        json!(true)
    );
    browser.picture("sign-in-wait");
    wait::until("the button", PATIENCE, || {
        let disabled = browser.value("document.querySelector('button[type=submit]').disabled");
        (disabled == json!(false)).then_some(())
    });
    browser.type_into("#passphrase", PASSPHRASE);
    browser.click("button[type=submit]");
    browser.until("#composer");
    let denied = suite.ledger();
    let denied = denied
        .iter()
        .filter(|one| one.entry.outcome == holdfast_contract::ledger::Outcome::Denied);
    assert!(denied.count() >= 5);
}

#[test]
fn everything_works_with_the_keyboard_alone() {
    let Some(browser) = Browser::start() else { return };
    let suite = Suite::start();
    browser.go(suite.ready["setup_url"].as_str().unwrap());
    browser.until("#passphrase:focus");
    browser.press(PASSPHRASE);
    browser.press(keys::TAB);
    browser.press(PASSPHRASE);
    browser.press(keys::ENTER);
    browser.until("#composer");
    browser.until("#prompt:focus");

    let (question, answer) = crate::chat::questions().swap_remove(0);
    browser.press(&question);
    browser.press(keys::ENTER);
    until_ended(&browser, "complete");
    assert_eq!(last_answer(&browser), answer);

    // To every page and out, by Tab and Enter. What has the focus can be seen to have it.
    browser.go(&format!("{}/models", suite.url()));
    browser.until("#drop");
    browser.press(keys::TAB);
    assert_eq!(browser.value("document.activeElement.className"), "skip");
    let reach = |selector: &str| {
        for _ in 0..60 {
            if browser.find(&format!("{selector}:focus")).is_some() {
                let outline = browser.value("getComputedStyle(document.activeElement).outlineStyle");
                assert_ne!(outline, "none", "{selector} does not show that it has the focus");
                return;
            }
            browser.press(keys::TAB);
        }
        panic!("{selector} is not reached by Tab on {}", browser.url());
    };
    for (link, page) in [("/models", "#drop"), ("/system", "#posture"), ("/api", "#name")] {
        reach(&format!("nav.places a[href='{link}']"));
        browser.press(keys::ENTER);
        browser.until(page);
    }
    reach("form[action='/sign-out'] button");
    browser.press(keys::ENTER);
    browser.until_at("/sign-in");
    browser.until("#passphrase:focus");
    browser.press(PASSPHRASE);
    browser.press(keys::ENTER);
    browser.until("#composer");
    browser.go(&format!("{}/models", suite.url()));
    reach("#file");
}
