//! An inspection's report, as a person reads it.

use holdfast_contract::report::{Condition, Finding, ModelFacts, Report};
use maud::{Markup, html};

use super::badge;
use crate::words;

/// A report with every finding.
pub fn report(report: &Report) -> Markup {
    html! {
        @if !report.conditions.is_empty() { (conditions(&report.conditions)) }
        @if report.findings.is_empty() {
            p { "Nothing was found: every length, offset and type in the file is as it should be." }
        } @else {
            ol.findings { @for one in &report.findings { (finding(one)) } }
            @if report.findings_omitted > 0 {
                p.hint { "There were " (words::grouped(report.findings_omitted)) " more findings, which are not listed." }
            }
        }
        dl.facts {
            dt { "Format, by content" } dd { (report.format) }
            dt { "Size" } dd { (words::bytes(report.size_bytes)) }
            @if let Some(digest) = &report.sha256 {
                dt { "SHA-256" } dd.code { (digest.hex()) }
            }
            @if let Some(facts) = &report.model { (model_facts(facts)) }
            @if let Some(origin) = &report.converted_from {
                dt { "Converted from" } dd { (origin.format) ", " (words::bytes(origin.size_bytes)) ", SHA-256 " span.code { (origin.sha256.hex()) } }
            }
            dt { "Inspected by" } dd { (report.inspector) }
        }
    }
}

fn finding(finding: &Finding) -> Markup {
    html! {
        li {
            div.line {
                (badge(words::severity(finding.severity)))
                strong { (words::sentence(&finding.message)) }
            }
            p { (words::sentence(&finding.advice)) }
            p.hint {
                span.code { (finding.id) }
                @if let Some(offset) = finding.offset { " · at byte " span.code { (words::grouped(offset)) } }
                @if let Some(part) = &finding.part { " · in " span.code { (part) } }
            }
        }
    }
}

/// What a model says about itself.
pub fn model_facts(facts: &ModelFacts) -> Markup {
    html! {
        @if let Some(name) = &facts.name { dt { "Calls itself" } dd { (name) } }
        @if let Some(architecture) = &facts.architecture { dt { "Architecture" } dd { (architecture) } }
        dt { "Weights" } dd { (words::count(facts.parameters)) " in " (words::grouped(facts.tensors)) " tensors" }
        @if let Some(tensor_type) = &facts.tensor_type { dt { "Mostly stored as" } dd { (tensor_type) } }
        @if let Some(context) = facts.context_tokens { dt { "Longest context" } dd { (words::grouped(context)) " tokens" } }
        dt { "Chat template" } dd { @if facts.chat_template { "in the file" } @else { "none" } }
    }
}

/// What binds whoever uses a model.
pub fn conditions(conditions: &[Condition]) -> Markup {
    html! { ul.conditions { @for condition in conditions { li { (words::condition(*condition)) } } } }
}
