//! Rules of a site, from the file to the finding, through the real worker and the daemon's sandbox.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::path::{Path, PathBuf};

use holdfast_contract::report::{Report, Verdict};
use holdfast_formats::testing::{GgufBuilder, Value};
use holdfast_inspection::{Rules, Worker};

const PROGRAM: &str = env!("CARGO_BIN_EXE_holdfast-inspect");
const RULE: &str = r#"rule canary {
    meta: severity = "high" description = "our canary"
    strings: $a = "canary-7f3a91" nocase
    condition: weights and $a
}"#;

/// A directory with a model that has the canary in its metadata, and with this file of rules.
fn prepared(rule: &str) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let model = directory.path().join("model.gguf");
    let text = Value::text("trained on CANARY-7f3a91");
    std::fs::write(&model, GgufBuilder::llama().key("x", text).build().bytes).unwrap();
    let rules = directory.path().join("rules");
    std::fs::create_dir(&rules).unwrap();
    std::fs::write(rules.join("site.yar"), rule).unwrap();
    std::fs::write(rules.join("notes.txt"), "no rules").unwrap();
    (directory, model, rules)
}

async fn inspect(rules: Rules, model: &Path) -> Report {
    let worker = Worker::new(PROGRAM).with_rules(rules);
    worker.inspect_path(model, |_| ()).await.unwrap()
}

#[tokio::test]
async fn a_rule_of_the_site_refuses_a_model() {
    let (_directory, model, rules) = prepared(RULE);
    let plain = inspect(Rules::shipped(), &model).await;
    assert_eq!(plain.verdict, Verdict::Admit, "{plain:?}");
    for paths in [vec![rules.clone()], vec![rules.join("site.yar")]] {
        let site = Rules::with_site(paths).unwrap();
        let report = inspect(site.clone(), &model).await;
        assert_eq!(report.verdict, Verdict::Refuse);
        assert_eq!(report.findings[0].id, "HF-YAR-002");
        assert_eq!(report.findings[0].message, "the rule canary matches: our canary");
        assert_eq!(report.rules, Some(site.digest()));
        assert_ne!(report.rules, plain.rules);
    }
}

#[tokio::test]
async fn rules_that_are_no_longer_those_that_were_checked_admit_nothing() {
    let (_directory, model, rules) = prepared(RULE);
    let site = Rules::with_site(vec![rules.clone()]).unwrap();
    std::fs::write(
        rules.join("site.yar"),
        RULE.replace("canary-7f3a91", "something else"),
    )
    .unwrap();
    let report = inspect(site.clone(), &model).await;
    assert_eq!(
        (report.verdict, report.findings[0].id.as_str()),
        (Verdict::Refuse, "HF-IO-009")
    );
    std::fs::remove_dir_all(&rules).unwrap();
    let report = inspect(site, &model).await;
    assert_eq!(
        (report.verdict, report.findings[0].id.as_str()),
        (Verdict::Refuse, "HF-IO-007")
    );
}

#[test]
fn rules_that_cannot_be_used_are_named() {
    let (_directory, _, rules) = prepared("rule short { strings: $a = \"abc\" condition: $a }");
    let told = Rules::with_site(vec![rules.clone()]).unwrap_err().to_string();
    assert!(
        told.contains("site.yar: the rule short cannot be used: $a: it has no four bytes"),
        "{told}"
    );
    std::fs::remove_file(rules.join("site.yar")).unwrap();
    let told = Rules::with_site(vec![rules.clone()]).unwrap_err().to_string();
    assert!(told.contains("there is no file with rules"), "{told}");
    assert!(Rules::with_site(vec![rules.join("missing")]).is_err());
}
