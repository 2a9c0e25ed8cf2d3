use super::*;
use holdfast_contract::report::{Condition, Finding, ModelFacts};

fn key() -> StatementKey {
    StatementKey::from_seed(crate::KEY_NAME, &[7; 32]).unwrap()
}

fn trusted() -> [Vkey; 1] {
    [key().vkey()]
}

fn now() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn report() -> Report {
    Report {
        sha256: Some(Digest::from_bytes([0xab; 32])),
        size_bytes: 5,
        format: "gguf".into(),
        verdict: Verdict::Admit,
        conditions: vec![],
        findings: vec![finding(Severity::Info)],
        findings_omitted: 0,
        model: Some(ModelFacts {
            name: Some("tiny".into()),
            tensors: 2,
            ..ModelFacts::default()
        }),
        converted_from: None,
        inspector: "0.1.0".into(),
        rules: None,
    }
}

fn finding(severity: Severity) -> Finding {
    Finding {
        id: "HF-GGUF-001".into(),
        severity,
        message: "m".repeat(200),
        offset: Some(24),
        part: None,
        advice: "a".repeat(200),
    }
}

fn text(report: &Report) -> String {
    sign(report, "tiny.gguf", &key(), now()).unwrap().to_text()
}

/// Signs whatever `change` makes of the statement's JSON.
fn forged(change: impl FnOnce(&mut serde_json::Value)) -> String {
    let payload = Envelope::parse(text(&report()).as_bytes())
        .unwrap()
        .open(&trusted())
        .unwrap();
    let mut json = serde_json::from_slice(&payload).unwrap();
    change(&mut json);
    Envelope::seal(json.to_string().as_bytes(), &key()).to_text()
}

fn verified(text: &str) -> Result<ScanStatement, VerifyError> {
    verify(text.as_bytes(), &trusted())
}

#[test]
fn states_what_was_signed() {
    let stated = verified(&text(&report())).unwrap();
    assert_eq!(stated.report, report());
    assert_eq!(stated.name, "tiny.gguf");
    assert_eq!(stated.digest, Digest::from_bytes([0xab; 32]));
    assert_eq!(stated.inspected_at, now());
    assert!(verified(&forged(|_| ())).is_ok());
}

#[test]
fn is_the_in_toto_statement_that_others_read() {
    let payload = Envelope::parse(text(&report()).as_bytes())
        .unwrap()
        .open(&trusted())
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(json["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(json["predicateType"], "urn:holdfast:predicate:scan:v1");
    assert_eq!(json["subject"][0]["digest"]["sha256"], "ab".repeat(32));
    assert_eq!(json["predicate"]["report"]["verdict"], "admit");
}

#[test]
fn is_deterministic() {
    assert_eq!(text(&report()), text(&report()));
}

#[test]
fn refuses_another_statement_or_predicate_type() {
    let other = forged(|json| json["_type"] = "https://in-toto.io/Statement/v0.1".into());
    assert!(matches!(verified(&other), Err(VerifyError::StatementType)));
    let other = forged(|json| json["predicateType"] = "https://slsa.dev/provenance/v1".into());
    assert!(matches!(verified(&other), Err(VerifyError::PredicateType)));
}

#[test]
fn refuses_no_subject_and_two() {
    let none = forged(|json| json["subject"] = serde_json::json!([]));
    assert!(matches!(verified(&none), Err(VerifyError::Subjects { count: 0 })));
    let two = forged(|json| {
        let subject = json["subject"][0].clone();
        json["subject"].as_array_mut().unwrap().push(subject);
    });
    assert!(matches!(verified(&two), Err(VerifyError::Subjects { count: 2 })));
}

#[test]
fn refuses_a_subject_that_is_not_the_reported_artifact() {
    let other = forged(|json| json["subject"][0]["digest"]["sha256"] = "cd".repeat(32).into());
    assert!(matches!(verified(&other), Err(VerifyError::OtherReport { .. })));
    let upper = forged(|json| json["subject"][0]["digest"]["sha256"] = "AB".repeat(32).into());
    assert!(matches!(verified(&upper), Err(VerifyError::SubjectDigest)));
    let second = forged(|json| json["subject"][0]["digest"]["sha512"] = "ab".repeat(64).into());
    assert!(matches!(
        verified(&second),
        Err(VerifyError::Json(JsonError::Shape(_)))
    ));
}

#[test]
fn refuses_unknown_fields_and_duplicate_keys_inside_the_payload() {
    let unknown = forged(|json| json["predicate"]["report"]["approved"] = true.into());
    assert!(matches!(verified(&unknown), Err(VerifyError::Predicate(_))));
    let payload = Envelope::parse(text(&report()).as_bytes())
        .unwrap()
        .open(&trusted())
        .unwrap();
    let twice = String::from_utf8(payload).unwrap().replacen(
        r#""verdict":"admit""#,
        r#""verdict":"refuse","verdict":"admit""#,
        1,
    );
    let envelope = Envelope::seal(twice.as_bytes(), &key()).to_text();
    assert!(matches!(
        verified(&envelope),
        Err(VerifyError::Json(JsonError::DuplicateKey { .. }))
    ));
    let trailing = Envelope::seal(b"{}{}", &key()).to_text();
    assert!(matches!(
        verified(&trailing),
        Err(VerifyError::Json(JsonError::Trailing))
    ));
}

#[test]
fn refuses_a_report_of_another_inspector() {
    let other = forged(|json| json["predicate"]["inspector"]["version"] = "9".into());
    assert!(matches!(verified(&other), Err(VerifyError::Inspector)));
    let other = forged(|json| json["predicate"]["inspector"]["id"] = "urn:somebody".into());
    assert!(matches!(verified(&other), Err(VerifyError::Inspector)));
}

#[test]
fn neither_signs_nor_accepts_a_report_without_a_digest() {
    let unread = Report {
        sha256: None,
        ..report()
    };
    let error = sign(&unread, "a", &key(), now()).unwrap_err();
    assert!(matches!(error, SignError::Statement(StatementError::NoDigest)));
    let forged = forged(|json| json["predicate"]["report"]["sha256"] = serde_json::Value::Null);
    assert!(matches!(
        verified(&forged),
        Err(VerifyError::Statement(StatementError::NoDigest))
    ));
}

#[test]
fn a_grave_finding_and_an_open_verdict_contradict_each_other() {
    for severity in [Severity::High, Severity::Critical] {
        let report = Report {
            findings: vec![finding(severity)],
            ..report()
        };
        assert_eq!(
            check(&report, "a"),
            Err(StatementError::Contradiction("findings"))
        );
        assert!(
            check(
                &Report {
                    verdict: Verdict::Refuse,
                    ..report
                },
                "a"
            )
            .is_ok()
        );
    }
    let report = Report {
        findings: vec![finding(Severity::Medium)],
        ..report()
    };
    assert!(check(&report, "a").is_ok());
}

#[test]
fn conditions_and_the_conditional_verdict_need_each_other() {
    let bound = Report {
        conditions: vec![Condition::NoTools],
        ..report()
    };
    assert_eq!(
        check(&bound, "a"),
        Err(StatementError::Contradiction("conditions"))
    );
    assert!(
        check(
            &Report {
                verdict: Verdict::Conditional,
                ..bound
            },
            "a"
        )
        .is_ok()
    );
    let unbound = Report {
        verdict: Verdict::Conditional,
        ..report()
    };
    assert_eq!(
        check(&unbound, "a"),
        Err(StatementError::Contradiction("conditions"))
    );
}

#[test]
fn texts_and_lists_are_bounded() {
    assert!(check(&report(), &"n".repeat(255)).is_ok());
    for name in ["", "a\nb", &"n".repeat(256)] {
        assert_eq!(
            check(&report(), name),
            Err(StatementError::Bounds("subject name"))
        );
    }
    let mut long = report();
    long.format = "f".repeat(1025);
    assert_eq!(check(&long, "a"), Err(StatementError::Bounds("format")));
    let mut long = report();
    long.model = Some(ModelFacts {
        architecture: Some("\u{7}".into()),
        ..ModelFacts::default()
    });
    assert_eq!(
        check(&long, "a"),
        Err(StatementError::Bounds("description of the model"))
    );
    let mut many = report();
    many.findings = vec![finding(Severity::Info); MAX_FINDINGS + 1];
    assert_eq!(check(&many, "a"), Err(StatementError::Bounds("list of findings")));
}

#[test]
fn a_report_that_is_too_long_is_shortened_and_says_so() {
    let mut long = report();
    long.findings = vec![finding(Severity::Medium); MAX_FINDINGS + 10];
    long.findings[0].severity = Severity::Critical;
    long.verdict = Verdict::Refuse;
    let before = long.findings.len() as u64;
    assert!(
        sign(
            &Report {
                findings: long.findings[..MAX_FINDINGS].to_vec(),
                ..long.clone()
            },
            "a",
            &key(),
            now()
        )
        .is_err()
    );
    fit(&mut long);
    assert_eq!(long.findings[0].severity, Severity::Critical);
    assert_eq!(long.findings.len() as u64 + long.findings_omitted, before);
    assert!(long.findings.len() > 100);
    let text = sign(&long, &"n".repeat(255), &key(), now()).unwrap().to_text();
    assert_eq!(verified(&text).unwrap().report, long);
}

#[test]
fn a_report_that_fits_is_left_alone() {
    let mut short = report();
    fit(&mut short);
    assert_eq!(short, report());
}
