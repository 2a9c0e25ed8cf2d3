use serde_json::json;

use super::*;
use crate::measure::Cost;

fn run(ended: Ended, stdout: &str, stderr: &str) -> Run {
    Run {
        cost: Cost {
            ended,
            seconds: 0.1,
            processor_seconds: 0.1,
            peak_kib: 1,
            read_bytes: 1,
        },
        stdout: stdout.to_owned(),
        stderr: stderr.to_owned(),
    }
}

#[test]
fn picklescan_says_in_its_summary_what_its_code_does_not() {
    let out = |scanned, dangerous| {
        format!(
            "file: …\n--- SCAN SUMMARY ---\nScanned files: {scanned}\nInfected files: 0\nSuspicious globals: 0\nDangerous globals: {dangerous}\n"
        )
    };
    assert_eq!(picklescan(0, &out(1, 0)), Verdict::Accepted);
    assert_eq!(picklescan(0, &out(0, 0)), Verdict::Unread);
    assert_eq!(picklescan(1, &out(1, 2)), Verdict::Flagged);
    assert_eq!(picklescan(2, &out(1, 2)), Verdict::Flagged);
    assert_eq!(picklescan(2, &out(1, 0)), Verdict::Inconclusive);
    assert_eq!(picklescan(2, "Unhandled exception\nTraceback"), Verdict::Crashed);
    assert_eq!(picklescan(0, ""), Verdict::Crashed);
}

#[test]
fn modelscan_may_have_issues_beside_errors() {
    let out = |issues: Value, errors: Value| {
        let report = json!({"issues": issues, "errors": errors}).to_string();
        // The order of keys is that of modelscan: the summary comes first.
        format!(
            "No settings file detected. \n\n{{\"summary\": {{}}, {}\n",
            report.trim_start_matches('{')
        )
    };
    let none = || out(json!([]), json!([]));
    let error = || out(json!([]), json!([{"category": "PICKLE_GENOPS"}]));
    assert_eq!(modelscan(0, &none()), Verdict::Accepted);
    assert_eq!(modelscan(1, &out(json!([{}]), json!([]))), Verdict::Flagged);
    assert_eq!(modelscan(2, &out(json!([{}]), json!([{}]))), Verdict::Flagged);
    assert_eq!(modelscan(2, &error()), Verdict::Inconclusive);
    assert_eq!(modelscan(3, &none()), Verdict::Unread);
    assert_eq!(modelscan(3, &error()), Verdict::Inconclusive);
    assert_eq!(modelscan(2, "Exception: no"), Verdict::Crashed);
    assert_eq!(modelscan(4, "Error: usage"), Verdict::Crashed);
}

#[test]
fn a_python_exception_is_not_an_unsafe_pickle() {
    assert_eq!(fickling(0, ""), Verdict::Accepted);
    assert_eq!(fickling(1, "Warning: Fickling detected"), Verdict::Flagged);
    assert_eq!(
        fickling(1, "Traceback (most recent call last):\n"),
        Verdict::Crashed
    );
    assert_eq!(
        fickling(2, "Fickling failed to parse this pickle file. Error: x"),
        Verdict::Inconclusive
    );
    assert_eq!(fickling(2, "usage: fickling [-h]"), Verdict::Crashed);
}

#[test]
fn modelaudit_counts_a_file_that_none_of_its_scanners_reads() {
    let out = |severity: &str, scanners: Value, files: u32| {
        json!({"issues": [{"severity": severity}], "scanner_names": scanners, "files_scanned": files})
            .to_string()
    };
    assert_eq!(modelaudit(0, &out("info", json!(["gguf"]), 1)), Verdict::Accepted);
    assert_eq!(modelaudit(0, &out("info", json!([]), 1)), Verdict::Unread);
    assert_eq!(
        modelaudit(1, &out("warning", json!(["pickle"]), 1)),
        Verdict::Flagged
    );
    assert_eq!(
        modelaudit(2, &out("critical", json!(["pickle"]), 1)),
        Verdict::Flagged
    );
    assert_eq!(
        modelaudit(2, &out("info", json!(["pickle"]), 1)),
        Verdict::Inconclusive
    );
    assert_eq!(modelaudit(2, &out("info", json!([]), 0)), Verdict::Unread);
    assert_eq!(modelaudit(0, "no report"), Verdict::Crashed);
}

#[test]
fn a_refusal_by_name_is_not_a_detection() {
    let report = |findings: &[(&str, &str)]| {
        let findings: Vec<Value> = findings
            .iter()
            .map(|(id, severity)| json!({"id": id, "severity": severity}))
            .collect();
        [json!({"verdict": "refuse", "findings": findings})]
    };
    assert_eq!(holdfast(&report(&[("HF-FMT-003", "low")]), 0), Verdict::Accepted);
    assert_eq!(
        holdfast(&report(&[("HF-FMT-012", "high"), ("HF-FMT-003", "low")]), 1),
        Verdict::Unread
    );
    assert_eq!(
        holdfast(&report(&[("HF-FMT-012", "high"), ("HF-FMT-005", "high")]), 1),
        Verdict::Flagged
    );
    assert_eq!(
        holdfast(&report(&[("HF-FMT-013", "critical")]), 1),
        Verdict::Flagged
    );
    assert_eq!(
        holdfast(&report(&[("HF-IO-006", "high")]), 2),
        Verdict::Inconclusive
    );
    assert_eq!(holdfast(&report(&[("HF-IO-007", "high")]), 1), Verdict::Crashed);
    assert_eq!(holdfast(&report(&[("HF-IO-008", "high")]), 1), Verdict::TimedOut);
    assert_eq!(holdfast(&[], 0), Verdict::Crashed);
    assert_eq!(holdfast(&[], 2), Verdict::Crashed);
}

#[test]
fn every_other_end_is_a_crash_or_a_time_out_and_stops() {
    for tool in crate::tools::SCANNERS {
        let signal = of(tool, &run(Ended::Signal(11), "", ""));
        assert_eq!((signal.verdict, signal.stops), (Verdict::Crashed, true));
        let late = of(tool, &run(Ended::TimedOut, "", ""));
        assert_eq!((late.verdict, late.stops), (Verdict::TimedOut, true));
        assert_eq!(of(tool, &run(Ended::Code(77), "", "")).verdict, Verdict::Crashed);
    }
    assert!(!of(Tool::Fickling, &run(Ended::Code(0), "", "")).stops);
}
