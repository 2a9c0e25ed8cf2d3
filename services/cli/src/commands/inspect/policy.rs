//! `holdfast inspect --policy`: what somebody wants refused beyond what an inspection refuses. A policy only ever tightens.

use std::path::Path;

use anyhow::{Context as _, bail};
use holdfast_contract::report::{Report, Verdict};
use holdfast_formats::finding::verdict;
use holdfast_formats::{Findings, Format, Place, Rule, rules};
use serde::Deserialize;

/// The longest policy, in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// What a policy file says. Everything may be left out.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The only formats that are accepted, by the names that reports use.
    formats: Option<Vec<String>>,
    /// The largest file that is accepted, in bytes.
    max_bytes: Option<u64>,
    /// Findings that refuse a file although they are minor, by id, or all of a kind: `HF-TPL-*`.
    #[serde(default)]
    refuse: Vec<String>,
    /// Whether a file that would be admitted under conditions is refused.
    #[serde(default)]
    refuse_conditional: bool,
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or names a format or a finding that does not exist: a policy with a slip of the pen would let
    /// through what it is meant to stop.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        if size > MAX_BYTES {
            bail!(
                "the policy {} has {size} bytes, the limit is {MAX_BYTES}",
                path.display()
            );
        }
        let text =
            std::fs::read_to_string(path).with_context(|| format!("read the policy {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("understand the policy {}", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let policy: Self = toml::from_str(text)?;
        for format in policy.formats.iter().flatten() {
            if Format::find(format).is_none() {
                bail!(
                    "there is no format \"{format}\"; reports call them, for example, gguf, safetensors, pytorch-zip"
                );
            }
        }
        for pattern in &policy.refuse {
            if !rules::ALL.iter().any(|rule| covers(pattern, rule.id)) {
                bail!(
                    "there is no finding \"{pattern}\"; ids look like HF-TPL-006, and HF-TPL-* is all of a kind"
                );
            }
        }
        Ok(policy)
    }

    /// Adds to the report what the policy refuses it for.
    pub fn apply(&self, report: &mut Report) {
        let mut reasons = self.of_file(report);
        reasons.extend(self.of_findings(report));
        refuse(report, reasons);
    }

    /// [`Policy::apply`] to the report on a set. Formats and sizes are those of its files.
    pub fn apply_to_set(&self, report: &mut Report) {
        let reasons = self.of_findings(report);
        refuse(report, reasons);
    }

    fn of_file(&self, report: &Report) -> Vec<(&'static Rule, String)> {
        let mut reasons: Vec<(&'static Rule, String)> = Vec::new();
        if let Some(formats) = &self.formats
            && !formats.contains(&report.format)
        {
            reasons.push((
                &rules::POL_FORMAT,
                format!("the policy does not accept {}", report.format),
            ));
        }
        if let Some(limit) = self.max_bytes.filter(|limit| report.size_bytes > *limit) {
            let message = format!(
                "the file has {} bytes, the policy accepts {limit}",
                report.size_bytes
            );
            reasons.push((&rules::POL_SIZE, message));
        }
        reasons
    }

    fn of_findings(&self, report: &Report) -> Vec<(&'static Rule, String)> {
        let mut reasons: Vec<(&'static Rule, String)> = Vec::new();
        for pattern in &self.refuse {
            if let Some(finding) = report
                .findings
                .iter()
                .find(|finding| covers(pattern, &finding.id))
            {
                let message = format!("the policy refuses a file with the finding {}", finding.id);
                reasons.push((&rules::POL_FINDING, message));
            }
        }
        if self.refuse_conditional && report.verdict == Verdict::Conditional {
            let message = "the policy refuses what would be admitted under conditions".to_owned();
            reasons.push((&rules::POL_CONDITION, message));
        }
        reasons
    }
}

fn refuse(report: &mut Report, reasons: Vec<(&'static Rule, String)>) {
    if reasons.is_empty() {
        return;
    }
    let mut findings = Findings::default();
    for (rule, message) in reasons {
        findings.add(rule, Place::whole(), message);
    }
    let (mut all, _) = findings.into_parts();
    all.append(&mut report.findings);
    (report.verdict, report.conditions) = verdict(&all);
    report.findings = all;
}

fn covers(pattern: &str, id: &str) -> bool {
    match pattern.strip_suffix("-*") {
        Some(kind) => id.rsplit_once('-').is_some_and(|(of, _)| of == kind),
        None => pattern == id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_formats::testing::{GgufBuilder, Value};
    use holdfast_inspection::inspect;

    fn judged(policy: &str, bytes: &[u8]) -> (Verdict, Vec<String>) {
        let mut report = inspect(bytes, None, "model", |_| ());
        Policy::parse(policy).unwrap().apply(&mut report);
        let ids = report.findings.into_iter().map(|finding| finding.id);
        (
            report.verdict,
            ids.filter(|id| id.starts_with("HF-POL")).collect(),
        )
    }

    #[test]
    fn a_policy_refuses_what_it_says_and_nothing_else() {
        let good = GgufBuilder::llama().build().bytes;
        for policy in [
            "",
            "formats = [\"gguf\"]",
            "max_bytes = 100000",
            "refuse = [\"HF-TPL-*\"]",
            "refuse_conditional = true",
        ] {
            assert_eq!(judged(policy, &good), (Verdict::Admit, vec![]), "{policy}");
        }
        for (policy, id) in [
            ("formats = [\"safetensors\"]", "HF-POL-001"),
            ("formats = []", "HF-POL-001"),
            ("max_bytes = 10", "HF-POL-002"),
        ] {
            assert_eq!(
                judged(policy, &good),
                (Verdict::Refuse, vec![id.to_owned()]),
                "{policy}"
            );
        }
        let odd = GgufBuilder::llama().set("tokenizer.chat_template", Value::text("{{ 2 ** 9 }}"));
        let odd = odd.build().bytes;
        assert_eq!(judged("", &odd), (Verdict::Conditional, vec![]));
        for (policy, id) in [
            ("refuse = [\"HF-TPL-012\"]", "HF-POL-003"),
            ("refuse = [\"HF-TPL-*\"]", "HF-POL-003"),
            ("refuse_conditional = true", "HF-POL-004"),
        ] {
            assert_eq!(
                judged(policy, &odd),
                (Verdict::Refuse, vec![id.to_owned()]),
                "{policy}"
            );
        }
        assert_eq!(
            judged("refuse = [\"HF-TPL-002\"]", &odd),
            (Verdict::Conditional, vec![])
        );
    }

    #[test]
    fn a_slip_of_the_pen_is_an_error() {
        for wrong in [
            "formats = [\"GGUF\"]",
            "refuse = [\"HF-TPL-999\"]",
            "refuse = [\"HF-XXX-*\"]",
            "refuse = [\"*\"]",
            "format = [\"gguf\"]",
            "max_bytes = -1",
            "x",
        ] {
            assert!(Policy::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_policy_never_admits_what_is_refused() {
        let (verdict, _) = judged("formats = [\"elf\"]", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
        assert_eq!(verdict, Verdict::Refuse);
    }
}
