//! Chat templates, wherever they stand: judged by their syntax tree, then tried on ordinary conversations.

use holdfast_chat_template::{ChatMessage, ChatTemplate, Concern, TemplateError, judge};

use crate::finding::{Findings, Place};
use crate::rules;
use crate::text;

/// Looks at a template that begins `at` bytes into the file, in the part that is called `part`.
pub fn inspect(source: &str, at: u64, part: &str, findings: &mut Findings) {
    let place = |offset: usize| Place::at(at + offset as u64).of(part);
    if let Some((offset, character)) = source.char_indices().find(|(_, character)| is_hidden(*character)) {
        let message = format_args!(
            "the chat template holds the character U+{:04X}",
            u32::from(character)
        );
        findings.add(&rules::TPL_HIDDEN, place(offset), message);
    }
    let notes = judge(source);
    let readable = !notes
        .iter()
        .any(|note| matches!(note.concern, Concern::Unreadable(_)));
    for note in notes {
        let (rule, message) = match note.concern {
            Concern::Unreadable(why) => (
                &rules::TPL_UNREADABLE,
                format!("the chat template cannot be read: {}", text::shown(&why)),
            ),
            Concern::Reaches(name) => (
                &rules::TPL_REACHES,
                format!("the chat template uses the name \"{}\"", text::shown(&name)),
            ),
            Concern::Computed => (
                &rules::TPL_COMPUTED,
                "the chat template looks something up by a name that it puts together".to_owned(),
            ),
            Concern::Loads(how) => (
                &rules::TPL_LOADS,
                format!("the chat template asks for another file ({how})"),
            ),
            Concern::Unknown(name) => (
                &rules::TPL_UNKNOWN,
                format!("the chat template uses \"{}\"", text::shown(&name)),
            ),
            Concern::Trigger(words) => (
                &rules::TPL_TRIGGER,
                format!(
                    "the chat template looks for \"{}\" in what is said",
                    text::shown(&words)
                ),
            ),
            Concern::Dated => (
                &rules::TPL_DATED,
                "the chat template decides by the date or the time".to_owned(),
            ),
        };
        findings.add(rule, place(note.offset), message);
    }
    if readable {
        attempt(source, place(0), findings);
    }
}

/// Characters that do not show, besides those that begin lines and join emoji.
fn is_hidden(character: char) -> bool {
    !matches!(character, '\n' | '\r' | '\t' | '\u{200d}' | '\u{fe0f}') && text::is_hidden(character)
}

/// Renders the template with ordinary conversations. It may refuse some of them; one that fails with all is of no use.
fn attempt(source: &str, place: Place, findings: &mut Findings) {
    let template = match ChatTemplate::compile(source, "<s>", "</s>") {
        Ok(template) => template,
        Err(error) => {
            findings.add(&rules::TPL_UNREADABLE, place, text::shown(&error.to_string()));
            return;
        }
    };
    let say = |role, content: &str| ChatMessage {
        role,
        content: content.to_owned(),
    };
    let long = "A long question. ".repeat(2000);
    let conversations = [
        vec![say("user", "What is the capital of France?")],
        vec![say("system", "Be brief."), say("user", "Hello!")],
        vec![
            say("user", "Hello!"),
            say("assistant", "Hello! What can I do for you?"),
            say("user", "{{ 7 * 7 }} {% raw %} </s> <|im_end|> [INST]"),
        ],
        vec![say("user", &long)],
    ];
    let mut failed = None;
    let mut worked = false;
    for conversation in conversations {
        match template.render(&conversation) {
            Ok(_) | Err(TemplateError::Refused(_)) => worked = true,
            Err(TemplateError::Exhausted) => {
                findings.add(&rules::TPL_EXHAUSTS, place, TemplateError::Exhausted);
                return;
            }
            Err(error) => failed = Some(error),
        }
    }
    if let Some(error) = failed.filter(|_| !worked) {
        findings.add(&rules::TPL_FAILS, place, text::shown(&error.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(source: &str) -> Vec<String> {
        let mut findings = Findings::default();
        inspect(source, 100, "template", &mut findings);
        let (findings, _) = findings.into_parts();
        assert!(findings.iter().all(|finding| finding.offset >= Some(100)));
        findings.into_iter().map(|finding| finding.id).collect()
    }

    #[test]
    fn an_ordinary_template_has_no_findings() {
        let source =
            "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";
        assert!(ids(source).is_empty());
        assert!(ids("{{ messages[0].content }} \u{1f468}\u{200d}\u{1f469}").is_empty());
        assert!(ids("{{ raise_exception('no') }}").is_empty());
    }

    #[test]
    fn each_concern_has_its_id() {
        for (source, id) in [
            ("{% if %}", "HF-TPL-001"),
            ("{{ ''['__cla' ~ 'ss__'] }}", "HF-TPL-002"),
            ("{{ ''['%c' | format(95)] }}", "HF-TPL-003"),
            ("{% include 'x' %}", "HF-TPL-004"),
            ("{{ lipsum() }}", "HF-TPL-005"),
            ("{{ 'x' if 'invoice' in messages[-1].content }}", "HF-TPL-006"),
            ("{{ 'x' if strftime_now('%Y') == '2030' }}", "HF-TPL-007"),
            ("{{ messages[0].content }}\u{e0041}", "HF-TPL-008"),
            ("{{ messages[0].content }}\u{202e}", "HF-TPL-008"),
            (
                "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
                "HF-TPL-009",
            ),
            ("{{ messages[0].content + 1 }}", "HF-TPL-010"),
        ] {
            let ids = ids(source);
            assert!(ids.iter().any(|found| found == id), "{source}: {ids:?}");
        }
    }
}
