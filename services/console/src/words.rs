//! Plain words for what the contract says in codes.

use std::time::Duration;

use holdfast_contract::ledger::{Event, Outcome};
use holdfast_contract::quarantine::Stage;
use holdfast_contract::report::{Condition, Severity, Verdict};
use holdfast_contract::role::Service;
use holdfast_contract::{Problem, Timestamp};
use maud::{Markup, html};

/// How grave something looks. Chooses a colour; the words beside it say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Refused or failed.
    Bad,
    /// Neither.
    Plain,
}

impl Tone {
    /// The CSS class.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Plain => "plain",
        }
    }
}

/// A verdict.
pub const fn verdict(verdict: Verdict) -> (&'static str, Tone) {
    match verdict {
        Verdict::Admit => ("Admitted", Tone::Good),
        Verdict::Conditional => ("Admitted with conditions", Tone::Warn),
        Verdict::Refuse => ("Refused", Tone::Bad),
    }
}

/// Where a submission is.
pub const fn stage(stage: Stage) -> (&'static str, Tone) {
    match stage {
        Stage::Receiving => ("Being received", Tone::Plain),
        Stage::Inspecting => ("Being inspected", Tone::Plain),
        Stage::Converting => ("Being converted", Tone::Plain),
        Stage::Admitting => ("Being admitted", Tone::Plain),
        Stage::Admitted => ("Admitted", Tone::Good),
        Stage::Refused => ("Refused", Tone::Bad),
        Stage::Failed => ("Failed", Tone::Bad),
    }
}

/// The weight of a finding.
pub const fn severity(severity: Severity) -> (&'static str, Tone) {
    match severity {
        Severity::Info => ("Note", Tone::Plain),
        Severity::Low => ("Low", Tone::Plain),
        Severity::Medium => ("Medium", Tone::Warn),
        Severity::High => ("High", Tone::Bad),
        Severity::Critical => ("Critical", Tone::Bad),
    }
}

/// A condition, as a sentence.
pub const fn condition(condition: Condition) -> &'static str {
    match condition {
        Condition::NoTools => "This model must not be given tools.",
        Condition::NoChatTemplate => "The chat template in this model's file is not used.",
    }
}

/// A service, by what a person knows it for.
pub const fn service(service: Service) -> (&'static str, &'static str) {
    match service {
        Service::IncidentRecorder => ("Incident recorder", "keeps the ledger and its signing key"),
        Service::Registry => ("Registry", "keeps the admitted models"),
        Service::Quarantine => ("Quarantine", "takes files in and inspects them in jailed workers"),
        Service::Inference => ("Inference", "runs models in jailed engines"),
        Service::Vault => ("Vault", "opens and locks the encrypted volume"),
        Service::Console => ("Console", "this page and the API"),
    }
}

/// What a ledger entry is about.
pub const fn event(event: Event) -> &'static str {
    match event {
        Event::ServiceStarted => "Service started",
        Event::ServiceReconciled => "Half-done work cleared up",
        Event::IntakeReceived => "File handed in",
        Event::IntakeInspected => "File inspected",
        Event::IntakeFailed => "File not brought to a verdict",
        Event::ModelAdmit => "Model admission",
        Event::ModelOpen => "Model opened",
        Event::ModelRemove => "Model removed",
        Event::EngineLifecycle => "Engine started or stopped",
        Event::EngineGenerate => "Text generated",
        Event::ConsoleSignIn => "Sign-in",
        Event::ConsoleToken => "API token",
        Event::VaultState => "Vault opened or locked",
        Event::VaultKey => "Key of the vault changed",
        Event::VaultPanic => "Panic",
        Event::ConsoleHistory => "Conversations deleted",
        Event::IncidentReported => "Incident reported",
    }
}

/// How a decision went.
pub const fn outcome(outcome: Outcome) -> (&'static str, Tone) {
    match outcome {
        Outcome::Allowed => ("Allowed", Tone::Good),
        Outcome::Denied => ("Denied", Tone::Bad),
        Outcome::Failed => ("Failed", Tone::Warn),
        Outcome::Noted => ("Noted", Tone::Plain),
    }
}

/// A problem as one or two sentences.
pub fn problem(problem: &Problem) -> String {
    let mut text = sentence(&problem.detail);
    if let Some(next) = &problem.next {
        text.push(' ');
        text.push_str(&sentence(next));
    }
    text
}

/// A text with a capital letter at its beginning and a full stop at its end.
pub fn sentence(text: &str) -> String {
    let text = text.trim();
    let mut characters = text.chars();
    let Some(first) = characters.next() else {
        return String::new();
    };
    let mut out: String = first.to_uppercase().chain(characters).collect();
    if !out.ends_with(['.', '!', '?', '…']) {
        out.push('.');
    }
    out
}

/// A number of bytes: `4.2 MB`, with the exact number for whoever wants it.
pub fn bytes(count: u64) -> Markup {
    html! { span title={ (grouped(count)) " bytes" } { (size(count)) } }
}

/// A number of bytes in three digits.
pub fn size(count: u64) -> String {
    scaled(count, &["bytes", "kB", "MB", "GB", "TB"])
}

/// A large number of things: `7.2 billion`.
pub fn count(count: u64) -> String {
    scaled(count, &["", "thousand", "million", "billion", "trillion"])
        .trim_end()
        .to_owned()
}

fn scaled(count: u64, units: &[&str]) -> String {
    let mut unit = 0;
    let mut divisor = 1_u64;
    while unit + 1 < units.len() && count / divisor >= 1_000 {
        divisor *= 1_000;
        unit += 1;
    }
    let name = units.get(unit).copied().unwrap_or_default();
    let whole = count / divisor;
    if unit == 0 || whole >= 100 {
        return format!("{whole} {name}");
    }
    let tenths = count / (divisor / 10) % 10;
    format!("{whole}.{tenths} {name}")
}

/// Digits in groups of three.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A point in time. The page's script shows it in the reader's own time.
pub fn time(at: Timestamp) -> Markup {
    let text = at.strftime("%Y-%m-%d %H:%M UTC").to_string();
    html! { time datetime=(at.strftime("%Y-%m-%dT%H:%M:%SZ")) { (text) } }
}

/// How long something lasts, roughly.
pub fn duration(lasting: Duration) -> String {
    let seconds = lasting.as_secs();
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// How long to wait, rounded up to whole seconds.
pub fn wait(left: Duration) -> (u64, String) {
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    (seconds, duration(Duration::from_secs(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits_and_a_unit() {
        let cases = [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (4_194_304, "4.1 MB"),
            (123_456_789, "123 MB"),
            (68_719_476_736, "68.7 GB"),
            (u64::MAX, "18446744 TB"),
        ];
        for (count, text) in cases {
            assert_eq!(size(count), text);
        }
        assert_eq!(count(7_241_732_096), "7.2 billion");
        assert_eq!(count(12), "12");
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(grouped(12), "12");
    }

    #[test]
    fn problems_read_as_sentences() {
        let away = Problem::new(
            holdfast_contract::problem::ProblemKind::Unavailable,
            "registry/read does not answer",
        )
        .next("See `holdfast status`");
        assert_eq!(
            problem(&away),
            "Registry/read does not answer. See `holdfast status`."
        );
        assert_eq!(sentence(""), "");
    }

    #[test]
    fn waits_are_rounded_up() {
        assert_eq!(wait(Duration::from_millis(1_200)), (2, "2 seconds".to_owned()));
        assert_eq!(wait(Duration::from_secs(1)), (1, "1 second".to_owned()));
        assert_eq!(duration(Duration::from_hours(2)), "2 hours");
    }
}
