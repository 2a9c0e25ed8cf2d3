use std::collections::BTreeMap;

use super::*;
use crate::generate::Kind;
use crate::machine::Machine;
use crate::manifest::Label;
use crate::measure::Cost;
use crate::outcome::Outcome;
use crate::results::{Detection, Judged, SmallRow, Speed};
use crate::tools::SCANNERS;

/// Results as they might be, for the picture's tests too.
pub fn results() -> Results {
    let row = |tool, seconds, read_bytes, verdict| SpeedRow {
        kind: Kind::Gguf,
        bytes: 1 << 30,
        tool,
        seconds,
        processor_seconds: seconds,
        peak_kib: 20 << 10,
        idle_peak_kib: 19 << 10,
        read_bytes,
        verdict,
    };
    let cost = Cost {
        ended: Ended::TimedOut,
        seconds: 2.0,
        processor_seconds: 1.5,
        peak_kib: 1000,
        read_bytes: 0,
    };
    Results {
        machine: Machine {
            processor: "A processor".to_owned(),
            cores: 2,
            kernel: "Linux 6.1".to_owned(),
        },
        date: None,
        versions: BTreeMap::from([("picklescan".to_owned(), "1.0.5".to_owned())]),
        speed: Speed {
            rounds: 3,
            rows: vec![
                row(Tool::Openssl, 0.8, 1 << 30, Verdict::Accepted),
                row(Tool::Holdfast, 1.6, 1 << 30, Verdict::Unread),
                row(Tool::Picklescan, 0.1, 5000, Verdict::Accepted),
                row(Tool::Modelaudit, 4.0, 2 << 30, Verdict::Flagged),
            ],
        },
        small: Small {
            files: 100,
            bytes: 5 << 20,
            rows: vec![SmallRow {
                tool: Tool::Modelaudit,
                files: 100,
                at_once: true,
                cost,
            }],
        },
        detection: None,
    }
}

fn judged(file: &str, expected: Label, holdfast: Verdict, said: &str) -> Judged {
    let outcome = |verdict| Outcome {
        verdict,
        stops: verdict != Verdict::Accepted,
    };
    let mut outcomes: BTreeMap<Tool, Outcome> = SCANNERS
        .into_iter()
        .map(|tool| (tool, outcome(Verdict::Accepted)))
        .collect();
    outcomes.insert(Tool::Holdfast, outcome(holdfast));
    outcomes.insert(Tool::Fickling, outcome(Verdict::TimedOut));
    Judged {
        file: file.to_owned(),
        expected,
        class: "pickle".to_owned(),
        outcomes,
        holdfast: said.to_owned(),
    }
}

#[test]
fn a_tool_that_skips_the_tensors_has_no_rate() {
    let page = page(&results());
    assert!(
        page.contains("| GGUF | picklescan | accepted | 0.10 | – | – | 0.10 | – | 20 MiB | headers |"),
        "{page}"
    );
    assert!(
        page.contains("| GGUF | modelaudit | flagged | 4.00 | 268 | 0.20 | 4.00 | 0.20 | 20 MiB | 200 % |"),
        "{page}"
    );
    assert!(page.contains("**refused by name**"), "{page}");
}

#[test]
fn a_busy_machine_is_said() {
    let mut results = results();
    assert!(!page(&results).contains("busy with other work"));
    results.speed.rows[0].processor_seconds = 0.4;
    assert!(page(&results).contains("openssl took 2.0 times its processor time"));
}

#[test]
fn a_tool_that_hangs_and_samples_that_are_not_there_are_said_loudly() {
    let page = page(&results());
    assert!(
        page.contains("| modelaudit | 100 | 2.0 | 50 | 15.00 | 1 MiB | **not in time** |"),
        "{page}"
    );
    assert!(page.contains("**Not measured in this run"), "{page}");
}

#[test]
fn samples_are_counted_by_label_and_disagreements_listed() {
    let mut results = results();
    results.detection = Some(Detection {
        samples: vec![
            judged("a.pkl", Label::Refuse, Verdict::Flagged, "x"),
            judged("b.pkl", Label::Refuse, Verdict::Accepted, "nothing | <b>`"),
            judged("c.pkl", Label::Accept, Verdict::Unread, "HF-FMT-012: an archive"),
            judged("d.pkl", Label::Ambiguous, Verdict::Accepted, "x"),
        ],
        missing: vec!["gone.pkl: is not there".to_owned()],
    });
    let page = page(&results);
    assert!(
        page.contains("| holdfast inspect | 1 | 0 | 0 | 1 | 0 | 1 |"),
        "{page}"
    );
    assert!(
        page.contains("| holdfast inspect | 0 | 1 | 0 | 0 | 0 | 1 |"),
        "{page}"
    );
    assert!(
        page.contains("| fickling | 0 | 0 | 0 | 0 | 2 (+ 1 without a label) | 2 |"),
        "{page}"
    );
    assert!(
        page.contains("| `b.pkl` | bad | accepted | nothing \\| &lt;b>' | **Not argued yet.** |"),
        "{page}"
    );
    assert!(page.contains("| `c.pkl` | clean | refused, not read |"), "{page}");
    assert!(page.contains("- gone.pkl: is not there"), "{page}");
    assert!(!page.contains("a.pkl"), "{page}");
}

#[test]
fn nothing_in_the_page_tells_where_it_was_made() {
    let page = page(&results());
    for place in ["/home", "/root", "/work", "/tmp"] {
        assert!(!page.contains(place), "{place}");
    }
}

#[test]
fn what_is_kept_is_read_again() {
    let file = tempfile::NamedTempFile::new().unwrap();
    results().save(file.path()).unwrap();
    assert_eq!(page(&Results::load(file.path()).unwrap()), page(&results()));
}
