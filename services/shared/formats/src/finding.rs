//! Collecting findings: bounded, most severe first, and what follows from them.

use std::fmt;

use holdfast_contract::limits::MAX_FINDINGS;
use holdfast_contract::report::{Condition, Finding, Severity, Verdict};

use crate::rules::{self, Rule};
use crate::text;

/// The most findings of one rule in one report: a thousand broken tensors are one story.
const MAX_PER_RULE: usize = 8;

/// Where in a file something was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    offset: Option<u64>,
    part: Option<String>,
}

impl Place {
    /// The file as a whole.
    pub fn whole() -> Self {
        Self::default()
    }

    /// A byte, counted from the start of the file.
    pub fn at(offset: u64) -> Self {
        Self {
            offset: Some(offset),
            part: None,
        }
    }

    /// The byte, if it is about one.
    pub fn offset(&self) -> Option<u64> {
        self.offset
    }

    /// Names the part: a tensor, a key. The text is sanitised and bounded.
    #[must_use]
    pub fn of(mut self, part: &str) -> Self {
        self.part = Some(text::shown(part));
        self
    }

    /// [`Place::of`], where the part may have no name.
    #[must_use]
    pub fn of_any(self, part: Option<&str>) -> Self {
        match part {
            Some(part) => self.of(part),
            None => self,
        }
    }
}

/// What was found in a file, at most [`MAX_FINDINGS`]; what is beyond is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    listed: Vec<Finding>,
    omitted: u64,
}

impl Findings {
    /// Adds a finding. `message` says in one plain sentence what is the matter; text from the file must go through
    /// [`text::shown`] first.
    pub fn add(&mut self, rule: &'static Rule, place: Place, message: impl fmt::Display) {
        if self.listed.iter().filter(|finding| finding.id == rule.id).count() >= MAX_PER_RULE {
            self.omitted += 1;
            return;
        }
        self.insert(Finding {
            id: rule.id.to_owned(),
            severity: rule.severity,
            message: message.to_string(),
            offset: place.offset,
            part: place.part,
            advice: rule.advice.to_owned(),
        });
    }

    /// Adds everything that another inspector found.
    pub fn append(&mut self, other: Self) {
        self.omitted = self.omitted.saturating_add(other.omitted);
        for finding in other.listed {
            self.insert(finding);
        }
    }

    /// Adds what another search found, but for what is there already: the same of the same place, of which more may be known.
    pub fn append_new(&mut self, mut other: Self) {
        other.listed.retain(|finding| {
            let same = |listed: &Finding| {
                (&listed.id, listed.offset, &listed.message)
                    == (&finding.id, finding.offset, &finding.message)
            };
            !self.listed.iter().any(same)
        });
        self.append(other);
    }

    /// The findings about a member of an archive, as findings about the archive. `place` turns an offset in the member into one in the
    /// archive.
    #[must_use]
    pub fn within(mut self, member: &str, place: impl Fn(u64) -> u64) -> Self {
        self = self.moved(place);
        for finding in &mut self.listed {
            finding.part = Some(match &finding.part {
                Some(part) => text::shown(&format!("{member}: {part}")),
                None => text::shown(member),
            });
        }
        self
    }

    /// The findings with each offset turned into another.
    #[must_use]
    pub fn moved(mut self, place: impl Fn(u64) -> u64) -> Self {
        for finding in &mut self.listed {
            finding.offset = finding.offset.map(&place);
        }
        self
    }

    /// The findings of these kinds.
    #[must_use]
    pub fn only(mut self, rules: &[&Rule]) -> Self {
        self.listed
            .retain(|finding| rules.iter().any(|rule| rule.id == finding.id));
        self
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Whether there is a finding of this kind.
    pub fn has(&self, rule: &Rule) -> bool {
        self.listed.iter().any(|finding| finding.id == rule.id)
    }

    /// Whether a finding refuses the file.
    pub fn refuse(&self) -> bool {
        self.listed
            .iter()
            .any(|finding| finding.severity >= Severity::High)
    }

    /// The findings, most severe first and otherwise in the order found, and how many more there were.
    pub fn into_parts(mut self) -> (Vec<Finding>, u64) {
        self.listed
            .sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        (self.listed, self.omitted)
    }

    fn insert(&mut self, finding: Finding) {
        if self.listed.len() >= MAX_FINDINGS {
            self.omitted = self.omitted.saturating_add(1);
            // The last of the least severe makes room, so that a flood of notes cannot wash a refusal away.
            let least = self
                .listed
                .iter()
                .enumerate()
                .rev()
                .min_by_key(|(_, listed)| listed.severity);
            match least {
                Some((index, listed)) if listed.severity < finding.severity => {
                    self.listed.remove(index);
                }
                _ => return,
            }
        }
        self.listed.push(finding);
    }
}

/// What follows from findings: the only place where severities become a verdict and conditions.
pub fn verdict(findings: &[Finding]) -> (Verdict, Vec<Condition>) {
    if findings.iter().any(|finding| finding.severity >= Severity::High) {
        return (Verdict::Refuse, Vec::new());
    }
    let mut conditions: Vec<Condition> = Vec::new();
    for finding in findings
        .iter()
        .filter(|finding| finding.severity == Severity::Medium)
    {
        match rules::find(&finding.id).and_then(|rule| rule.condition) {
            Some(condition) => conditions.push(condition),
            // A finding that asks for a condition which nobody can name is not admitted on a guess.
            None => return (Verdict::Refuse, Vec::new()),
        }
    }
    conditions.sort_unstable();
    conditions.dedup();
    if conditions.is_empty() {
        (Verdict::Admit, conditions)
    } else {
        (Verdict::Conditional, conditions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{FMT_NAME, GGUF_TEMPLATE, GGUF_TRUNCATED, ST_TRAILING};

    #[test]
    fn a_flood_of_one_rule_is_counted_and_does_not_hide_another() {
        let mut findings = Findings::default();
        for offset in 0..1000 {
            findings.add(&FMT_NAME, Place::at(offset), "again");
        }
        findings.add(&ST_TRAILING, Place::whole(), "the one that matters");
        let (listed, omitted) = findings.into_parts();
        assert_eq!(listed.len(), MAX_PER_RULE + 1);
        assert_eq!(omitted, 1000 - MAX_PER_RULE as u64);
        assert_eq!(listed[0].id, ST_TRAILING.id);
    }

    #[test]
    fn a_full_list_makes_room_for_something_worse() {
        let mut findings = Findings::default();
        for _ in 0..MAX_FINDINGS {
            let mut one = Findings::default();
            one.add(&FMT_NAME, Place::whole(), "noise");
            findings.append(one);
        }
        findings.add(&GGUF_TRUNCATED, Place::whole(), "worse");
        assert!(findings.refuse());
        let (listed, omitted) = findings.into_parts();
        assert_eq!((listed.len(), omitted), (MAX_FINDINGS, 1));
    }

    #[test]
    fn severities_become_verdicts_here() {
        let judge = |rules: &[&'static Rule]| {
            let mut findings = Findings::default();
            for rule in rules {
                findings.add(rule, Place::whole(), "x");
            }
            verdict(&findings.into_parts().0)
        };
        assert_eq!(judge(&[]), (Verdict::Admit, vec![]));
        assert_eq!(judge(&[&FMT_NAME]), (Verdict::Admit, vec![]));
        assert_eq!(
            judge(&[&FMT_NAME, &GGUF_TEMPLATE, &GGUF_TEMPLATE]),
            (Verdict::Conditional, vec![Condition::NoChatTemplate])
        );
        assert_eq!(
            judge(&[&GGUF_TEMPLATE, &GGUF_TRUNCATED]),
            (Verdict::Refuse, vec![])
        );
    }

    #[test]
    fn a_condition_that_nobody_knows_refuses() {
        let finding = Finding {
            id: "HF-NEW-001".to_owned(),
            severity: Severity::Medium,
            message: String::new(),
            offset: None,
            part: None,
            advice: String::new(),
        };
        assert_eq!(verdict(&[finding]).0, Verdict::Refuse);
    }
}
