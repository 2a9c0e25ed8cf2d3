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
fn each_file_and_each_set_is_refused_for_its_reason_or_accepted() {
    let Corpus { cases, directories } = Corpus::all();
    let directory = tempfile::tempdir().unwrap();
    Corpus::all().write(directory.path()).unwrap();
    let mut command = holdfast_tests::suite::command(&directory.path().join("no-suite"));
    let exit = run(
        command.args(["--json", "inspect"]).arg(directory.path()),
        Duration::from_mins(2),
    );
    assert_eq!(exit.code, Some(1), "{exit:?}");
    let (sets, files): (Vec<Value>, Vec<Value>) = exit
        .lines()
        .into_iter()
        .partition(|report| report["set"].is_string());
    let reports: BTreeMap<String, Value> = files
        .into_iter()
        .map(|report| (report["path"].as_str().unwrap().to_owned(), report))
        .collect();
    let in_sets: usize = directories.iter().map(|set| set.files.len()).sum();
    assert_eq!(reports.len(), cases.len() + in_sets, "a path is there twice");
    let mut wrong = Vec::new();
    for case in &directories {
        let path = directory.path().join(&case.path);
        let path = path.to_str().unwrap();
        let below = |other: &str| {
            other
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let of: Vec<&Value> = sets
            .iter()
            .filter(|set| below(set["set"].as_str().unwrap()))
            .collect();
        let refused_by = |id: &str| {
            of.iter()
                .any(|set| set["verdict"] == "refuse" && set.to_string().contains(id))
        };
        let files = || {
            reports
                .iter()
                .filter(|(file, _)| below(file))
                .map(|(_, report)| report)
        };
        let as_expected = match case.finding {
            None => of
                .iter()
                .copied()
                .chain(files())
                .all(|report| report["verdict"] == "admit"),
            Some(id) => refused_by(id),
        };
        if !as_expected {
            wrong.push(format!("{}: not {:?} but {of:?}", case.path, case.finding));
        }
    }
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
        "[measured] corpus: {refused} files to be refused, {accepted} to be accepted; {} directories",
        directories.len()
    ));
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
    assert!(refused >= 150 && accepted >= 80, "{refused} and {accepted}");
}
