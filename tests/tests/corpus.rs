//! The corpus through the scanner, as a person would run it: each file is refused for its reason or accepted.

#[path = "../corpus/cases.rs"]
mod cases;

use std::collections::BTreeMap;
use std::time::Duration;

use cases::Corpus;
use holdfast_tests::run::run;
use holdfast_tests::tools::say;
use serde_json::Value;

#[test]
fn each_file_is_refused_for_its_reason_or_accepted() {
    let cases = Corpus::all();
    let directory = tempfile::tempdir().unwrap();
    for case in &cases {
        let path = directory.path().join(&case.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &case.bytes).unwrap();
    }
    let mut command = holdfast_tests::suite::command(&directory.path().join("no-suite"));
    let exit = run(
        command.args(["--json", "inspect"]).arg(directory.path()),
        Duration::from_mins(2),
    );
    assert_eq!(exit.code, Some(1), "{exit:?}");
    let reports: BTreeMap<String, Value> = exit
        .lines()
        .into_iter()
        .map(|report| (report["path"].as_str().unwrap().to_owned(), report))
        .collect();
    assert_eq!(reports.len(), cases.len(), "a path is there twice");
    let mut wrong = Vec::new();
    for case in &cases {
        let path = directory.path().join(&case.path);
        let report = &reports[path.to_str().unwrap()];
        let ids: Vec<&str> = report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["id"].as_str().unwrap())
            .collect();
        let as_expected = match case.finding {
            None => report["verdict"] == "admit",
            Some(id) => report["verdict"] == "refuse" && ids.contains(&id),
        };
        if !as_expected {
            wrong.push(format!(
                "{}: {} {ids:?}, not {:?}",
                case.path, report["verdict"], case.finding
            ));
        }
    }
    let accepted = cases.iter().filter(|case| case.finding.is_none()).count();
    let refused = cases.len() - accepted;
    say(&format!(
        "[measured] corpus: {refused} files to be refused, {accepted} to be accepted"
    ));
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
    assert!(refused >= 150 && accepted >= 80, "{refused} and {accepted}");
}
