//! Made-up models and reports.

use holdfast_contract::registry::{Availability, ModelSummary};
use holdfast_contract::report::{Condition, Finding, ModelFacts, Report, Severity, Verdict};
use holdfast_contract::{Digest, Timestamp};

pub const GUIDE: Digest = Digest::from_bytes([0x11; 32]);
pub const LLAMA: Digest = Digest::from_bytes([0x22; 32]);
pub const TENSORS: Digest = Digest::from_bytes([0x33; 32]);

pub fn some() -> Vec<ModelSummary> {
    let facts = |name: &str, parameters, tensors, context| ModelFacts {
        name: Some(name.to_owned()),
        architecture: Some("llama".to_owned()),
        tensors,
        parameters,
        context_tokens: Some(context),
        tensor_type: Some("Q4_K".to_owned()),
        chat_template: true,
    };
    let model = |digest, name: &str, size_bytes, facts: Option<ModelFacts>| ModelSummary {
        digest,
        name: name.to_owned(),
        size_bytes,
        format: "gguf".to_owned(),
        verdict: Verdict::Admit,
        conditions: Vec::new(),
        model: facts,
        admitted_at: "2026-11-20T10:12:13Z".parse::<Timestamp>().unwrap(),
        availability: Availability::Ready,
    };
    vec![
        model(
            GUIDE,
            "guide",
            3_984_512,
            Some(facts("Holdfast guide", 3_512_320, 57, 1_024)),
        ),
        ModelSummary {
            verdict: Verdict::Conditional,
            conditions: vec![Condition::NoChatTemplate],
            ..model(
                LLAMA,
                "llama-3.2-3b-instruct-q4",
                2_019_377_696,
                Some(facts("Llama 3.2 3B", 3_212_749_888, 255, 131_072)),
            )
        },
        ModelSummary {
            format: "safetensors".to_owned(),
            model: None,
            ..model(TENSORS, "embedder", 90_868_376, None)
        },
    ]
}

pub fn report_of(model: &ModelSummary) -> Report {
    let findings = if model.conditions.is_empty() {
        Vec::new()
    } else {
        vec![Finding {
            id: "HF-GGUF-041".to_owned(),
            severity: Severity::Medium,
            message: "the chat template calls a function that templates do not need".to_owned(),
            offset: Some(18_204),
            part: Some("tokenizer.chat_template".to_owned()),
            advice: "the model is used with a plain template instead".to_owned(),
        }]
    };
    Report {
        sha256: Some(model.digest),
        size_bytes: model.size_bytes,
        format: model.format.clone(),
        verdict: model.verdict,
        conditions: model.conditions.clone(),
        findings,
        findings_omitted: 0,
        model: model.model.clone(),
        converted_from: None,
        inspector: "holdfast-inspect 0.1.0".to_owned(),
        rules: None,
    }
}

pub fn refusal(sha256: Digest, size_bytes: u64) -> Report {
    Report {
        sha256: Some(sha256),
        size_bytes,
        format: "pickle".to_owned(),
        verdict: Verdict::Refuse,
        conditions: Vec::new(),
        findings: vec![
            Finding {
                id: "HF-PKL-001".to_owned(),
                severity: Severity::Critical,
                message: "the file calls <b>os.system</b> when it is loaded".to_owned(),
                offset: Some(1_234),
                part: Some("archive/data.pkl".to_owned()),
                advice: "do not load this file anywhere, and tell whoever gave it to you".to_owned(),
            },
            Finding {
                id: "HF-FMT-002".to_owned(),
                severity: Severity::High,
                message: "the name ends in .gguf but the content is a Python pickle".to_owned(),
                offset: None,
                part: None,
                advice: "ask for the model in GGUF or safetensors".to_owned(),
            },
        ],
        findings_omitted: 0,
        model: None,
        converted_from: None,
        inspector: "holdfast-inspect 0.1.0".to_owned(),
        rules: None,
    }
}
