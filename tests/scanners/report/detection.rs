//! The part of the page on labelled samples.

use std::fmt::Write as _;

use super::words;
use crate::disagreements;
use crate::manifest::Label;
use crate::outcome::Verdict;
use crate::results::{Detection, Judged};
use crate::tools::{SCANNERS, Tool};

/// Without samples, it says that there were none.
pub fn section(detection: Option<&Detection>) -> String {
    let Some(detection) = detection else {
        return "## Detection and false alarms\n\n**Not measured in this run: there were no labelled samples.** `HOLDFAST_PEER_DATA` \
                names a directory with a `manifest.json`, a list of `{\"file\", \"expected\": \"refuse\" | \"accept\" | \"ambiguous\"}`.\n"
            .to_owned();
    };
    let samples: Vec<&Judged> = detection.samples.iter().collect();
    let (pickles, others): (Vec<&Judged>, Vec<&Judged>) =
        samples.iter().partition(|sample| is_pickle(sample));
    let mut text = format!(
        "## Detection and false alarms\n\nThe public samples of picklescan, modelscan, fickling, modelaudit and safetensors: {} files. \
         A label is the opinion of the tool that the sample comes from, each tool's own samples are among them, and some labels \
         can be argued about. {} samples have no label and are only counted where a tool fails.\n",
        samples.len(),
        samples
            .iter()
            .filter(|sample| sample.expected == Label::Ambiguous)
            .count(),
    );
    if !detection.missing.is_empty() {
        let _ = write!(
            text,
            "\n**{} samples of the manifest were not used:**\n\n",
            detection.missing.len()
        );
        for missing in &detection.missing {
            let _ = writeln!(text, "- {}", cell(missing));
        }
    }
    for (title, some) in [
        ("All samples", samples),
        ("Pickles and NumPy arrays", pickles),
        ("Everything else", others),
    ] {
        let _ = write!(text, "\n### {title}\n\n{}", tables(&some));
    }
    format!(
        "{text}\n{}\n{}",
        words::DETECTION,
        disagreements(&detection.samples)
    )
}

fn is_pickle(sample: &Judged) -> bool {
    let class = sample.class.as_str();
    class == "numpy" || class.starts_with("pickle") && class != "pickle-archive"
}

fn tables(samples: &[&Judged]) -> String {
    let of = |label: Label| -> Vec<&Judged> {
        let all = samples.iter().copied();
        all.filter(|sample| sample.expected == label).collect()
    };
    let (bad, clean) = (of(Label::Refuse), of(Label::Accept));
    format!(
        "{} that their origin calls bad:\n\n{}\n{} that it calls clean:\n\n{}",
        bad.len(),
        table(&bad, samples),
        clean.len(),
        table(&clean, &[]),
    )
}

/// A row for each tool. Failures are counted on `failing`, too, if there are any.
fn table(samples: &[&Judged], failing: &[&Judged]) -> String {
    let mut table = "| tool | flagged | not read | inconclusive | accepted | crashed | exit ≠ 0 |\n\
                     |---|---:|---:|---:|---:|---:|---:|\n"
        .to_owned();
    for tool in SCANNERS {
        let count = |among: &[&Judged], wanted: &[Verdict]| {
            let outcomes = among.iter().filter_map(|sample| sample.outcomes.get(&tool));
            outcomes
                .filter(|outcome| wanted.contains(&outcome.verdict))
                .count()
        };
        let stops = samples.iter().filter_map(|sample| sample.outcomes.get(&tool));
        let failed = [Verdict::Crashed, Verdict::TimedOut];
        let crashed = count(samples, &failed);
        let unlabelled: Vec<&Judged> = failing
            .iter()
            .copied()
            .filter(|sample| sample.expected == Label::Ambiguous)
            .collect();
        let more = match count(&unlabelled, &failed) {
            0 => String::new(),
            more => format!(" (+ {more} without a label)"),
        };
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} | {crashed}{more} | {} |",
            tool.name(),
            count(samples, &[Verdict::Flagged]),
            count(samples, &[Verdict::Unread]),
            count(samples, &[Verdict::Inconclusive]),
            count(samples, &[Verdict::Accepted]),
            stops.filter(|outcome| outcome.stops).count(),
        );
    }
    table
}

fn disagreements(samples: &[Judged]) -> String {
    let mut text = "### Where Holdfast and the labels disagree\n\n".to_owned();
    let found: Vec<&Judged> = samples
        .iter()
        .filter(|sample| disagreements::is_one(sample))
        .collect();
    if found.is_empty() {
        text.push_str("Nowhere.\n");
        return text;
    }
    text.push_str("| sample | label | Holdfast | says | argument |\n|---|---|---|---|---|\n");
    for sample in found {
        let verdict = sample
            .outcomes
            .get(&Tool::Holdfast)
            .map(|outcome| outcome.verdict);
        let verdict = match verdict {
            Some(Verdict::Flagged) => "refused",
            Some(Verdict::Unread) => "refused, not read",
            Some(other) => words::verdict(other),
            None => "",
        };
        let _ = writeln!(
            text,
            "| `{}` | {} | {verdict} | {} | {} |",
            cell(&sample.file),
            if sample.expected == Label::Refuse {
                "bad"
            } else {
                "clean"
            },
            cell(&sample.holdfast),
            disagreements::argument(sample),
        );
    }
    text
}

/// Text from a sample, as it may stand in a table: on one line, without what Markdown or HTML would act on.
fn cell(text: &str) -> String {
    let safe = |letter: char| match letter {
        '|' => "\\|".to_owned(),
        '<' => "&lt;".to_owned(),
        '`' => "'".to_owned(),
        letter if letter.is_control() => " ".to_owned(),
        letter => letter.to_string(),
    };
    text.chars().map(safe).collect()
}
