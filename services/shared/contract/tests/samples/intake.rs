//! A model's way in: reports, submissions, and what the registry says.

use holdfast_contract::Problem;
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::quarantine::{Stage, Submission, SubmissionEvent, Submissions, SubmitQuery};
use holdfast_contract::registry::{
    AdmitAnswer, AdmitRequest, Availability, ModelDetail, ModelSummary, Models, OpenAnswer, OpenRequest,
    Removed,
};
use holdfast_contract::report::{Condition, Finding, ModelFacts, Origin, Report, Severity, Verdict};

use super::{Sample, any, digest, moment, strict};

fn facts() -> ModelFacts {
    ModelFacts {
        name: Some("Guide".to_owned()),
        architecture: Some("llama".to_owned()),
        tensors: 39,
        parameters: 1_967_808,
        context_tokens: Some(1024),
        tensor_type: Some("Q8_0".to_owned()),
        chat_template: true,
    }
}

fn findings() -> [Finding; 2] {
    let finding = Finding {
        id: "HF-GGUF-003".to_owned(),
        severity: Severity::High,
        message: "the file ends early".to_owned(),
        offset: Some(64),
        part: Some("blk.0.attn_q.weight".to_owned()),
        advice: "Download it again.".to_owned(),
    };
    let bare = Finding {
        offset: None,
        part: None,
        ..finding.clone()
    };
    [finding, bare]
}

fn origin() -> Origin {
    Origin {
        sha256: digest(2),
        size_bytes: 2_159_000,
        format: "pytorch-zip".to_owned(),
    }
}

fn reports() -> [Report; 2] {
    let good = Report {
        sha256: Some(digest(1)),
        size_bytes: 2_159_936,
        format: "gguf".to_owned(),
        verdict: Verdict::Conditional,
        conditions: vec![Condition::NoChatTemplate],
        findings: Vec::new(),
        findings_omitted: 0,
        model: Some(facts()),
        converted_from: None,
        inspector: "0.1.0".to_owned(),
        rules: Some(digest(3)),
    };
    let bad = Report {
        sha256: None,
        converted_from: Some(origin()),
        verdict: Verdict::Refuse,
        conditions: Vec::new(),
        findings: findings().to_vec(),
        findings_omitted: 12,
        model: None,
        rules: None,
        ..good.clone()
    };
    [good, bad]
}

fn summaries() -> [ModelSummary; 2] {
    let plain = ModelSummary {
        digest: digest(1),
        name: "guide".to_owned(),
        size_bytes: 2_159_936,
        format: "gguf".to_owned(),
        verdict: Verdict::Admit,
        conditions: Vec::new(),
        model: None,
        admitted_at: moment(),
        availability: Availability::Ready,
    };
    let full = ModelSummary {
        verdict: Verdict::Conditional,
        conditions: vec![Condition::NoTools],
        model: Some(facts()),
        availability: Availability::Damaged,
        ..plain.clone()
    };
    [plain, full]
}

fn submissions() -> [Submission; 2] {
    let [summary, _] = summaries();
    let [report, _] = reports();
    let begun = Submission {
        id: "1f5df6fa2108b19f".to_owned(),
        name: "guide.gguf".to_owned(),
        disarm: false,
        stage: Stage::Receiving,
        done_bytes: 0,
        total_bytes: None,
        received_at: moment(),
        ended_at: None,
        report: None,
        model: None,
        problem: None,
    };
    let ended = Submission {
        disarm: true,
        stage: Stage::Admitted,
        done_bytes: 2_159_936,
        total_bytes: Some(2_159_936),
        ended_at: Some(moment()),
        report: Some(report),
        model: Some(summary),
        problem: Some(problem()),
        ..begun.clone()
    };
    [begun, ended]
}

fn problem() -> Problem {
    Problem::new(ProblemKind::NoSpace, "the disk is full")
}

pub fn report() -> Vec<Sample> {
    let bare = ModelFacts::default();
    vec![
        any(&[Verdict::Admit, Verdict::Conditional, Verdict::Refuse]),
        any(&[
            Severity::Info,
            Severity::Low,
            Severity::Medium,
            Severity::High,
            Severity::Critical,
        ]),
        any(&[Condition::NoTools, Condition::NoChatTemplate]),
        strict(&findings()),
        strict(&[facts(), bare]),
        strict(&[origin()]),
        strict(&reports()),
    ]
}

pub fn quarantine() -> Vec<Sample> {
    let [begun, ended] = submissions();
    let events = [
        SubmissionEvent::Progress {
            id: begun.id.clone(),
            stage: Stage::Inspecting,
            done_bytes: 1,
            total_bytes: 2,
        },
        SubmissionEvent::Ended {
            submission: Box::new(ended.clone()),
        },
    ];
    vec![
        strict(&[false, true].map(|disarm| SubmitQuery {
            name: "guide.gguf".to_owned(),
            disarm,
        })),
        any(&[
            Stage::Receiving,
            Stage::Inspecting,
            Stage::Converting,
            Stage::Admitting,
            Stage::Admitted,
            Stage::Refused,
            Stage::Failed,
        ]),
        strict(&[begun.clone(), ended]),
        any(&events),
        strict(&[Submissions {
            submissions: vec![begun],
        }]),
    ]
}

pub fn registry() -> Vec<Sample> {
    let [summary, full] = summaries();
    let [report, _] = reports();
    let opened = OpenAnswer::Opened {
        model: Box::new(summary.clone()),
    };
    let admitted = AdmitAnswer::Admitted {
        model: Box::new(summary.clone()),
        already_present: false,
    };
    let progress = AdmitAnswer::Progress {
        done_bytes: 1,
        total_bytes: 2,
    };
    vec![
        any(&[
            Availability::Ready,
            Availability::Verifying,
            Availability::Damaged,
        ]),
        strict(&[summary.clone(), full]),
        strict(&[Models {
            models: vec![summary.clone()],
        }]),
        strict(&[ModelDetail {
            summary,
            report,
            manifest: digest(2),
            statement: digest(3),
        }]),
        strict(&[Removed {
            digest: digest(1),
            name: "guide".to_owned(),
        }]),
        strict(&[OpenRequest { digest: digest(1) }]),
        any(&[opened, OpenAnswer::Problem { problem: problem() }]),
        strict(&[AdmitRequest {
            name: "guide".to_owned(),
            envelope: "{}".to_owned(),
        }]),
        any(&[progress, admitted, AdmitAnswer::Problem { problem: problem() }]),
    ]
}
