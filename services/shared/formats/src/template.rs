//! Chat templates, wherever they stand: judged by their syntax tree, then tried on ordinary conversations.

use holdfast_chat_template::{ChatMessage, ChatTemplate, Concern, Judged, TemplateError};

use crate::finding::{Findings, Place};
use crate::rules;
use crate::text;

/// How many times as long a conversation is with which the growth is measured.
const GROWTH: usize = 9;
/// How many times as long a text may become then.
const MAX_GROWTH: usize = 2 * GROWTH;
/// Bytes that it may become longer in any case.
const FREE_GROWTH_BYTES: usize = 64 << 10;

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
    let judged = Judged::new(source);
    let runs = !judged
        .notes()
        .iter()
        .any(|note| matches!(note.concern, Concern::Unreadable(_) | Concern::Immense(_)));
    for note in judged.notes() {
        let (rule, message) = match &note.concern {
            Concern::Unreadable(why) => (
                &rules::TPL_UNREADABLE,
                format!("the chat template cannot be read: {}", text::shown(why)),
            ),
            Concern::Immense(why) => (
                &rules::TPL_IMMENSE,
                format!("the chat template is not run: {why}"),
            ),
            Concern::Reaches(name) => (
                &rules::TPL_REACHES,
                format!("the chat template uses the name \"{}\"", text::shown(name)),
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
                format!("the chat template uses \"{}\"", text::shown(name)),
            ),
            Concern::Trigger(words) => (
                &rules::TPL_TRIGGER,
                format!(
                    "the chat template looks for \"{}\" in what is said",
                    text::shown(words)
                ),
            ),
            Concern::Dated => (
                &rules::TPL_DATED,
                "the chat template decides by the date or the time".to_owned(),
            ),
        };
        findings.add(rule, place(note.offset), message);
    }
    if runs {
        attempt(&judged, place(0), findings);
    }
}

/// Characters that do not show, besides those that begin lines and join emoji.
fn is_hidden(character: char) -> bool {
    !matches!(character, '\n' | '\r' | '\t' | '\u{200d}' | '\u{fe0f}') && text::is_hidden(character)
}

/// Renders the template with ordinary conversations. It may refuse some of them; one that fails with all is of no use.
fn attempt(judged: &Judged<'_>, place: Place, findings: &mut Findings) {
    let template = match ChatTemplate::of_judged(judged, "<s>", "</s>") {
        Ok(template) => template,
        Err(error) => {
            findings.add(&rules::TPL_FAILS, place, text::shown(&error.to_string()));
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
        return;
    }
    let turns = |count: usize| {
        let roles = ["user", "assistant"].into_iter().cycle();
        let turns = roles
            .take(count)
            .map(|role| say(role, "A question, or the answer to it."));
        turns.collect::<Vec<_>>()
    };
    let words = |count: usize| vec![say("user", &"Some more words. ".repeat(count))];
    // A conversation ends with a question.
    for (short, long) in [(turns(31), turns(31 * GROWTH)), (words(100), words(100 * GROWTH))] {
        match grown(&template, &short, &long) {
            Ok(None) => {}
            Ok(Some((before, after))) => {
                let message = format_args!(
                    "a conversation that is {GROWTH} times as long makes {after} bytes of text instead of {before}"
                );
                findings.add(&rules::TPL_GROWS, place, message);
                return;
            }
            Err(error) => {
                findings.add(&rules::TPL_EXHAUSTS, place, error);
                return;
            }
        }
    }
}

/// The longest text of a short and of a long conversation, what the template kept meanwhile included, if that grows faster than it may.
fn grown(
    template: &ChatTemplate,
    short: &[ChatMessage],
    long: &[ChatMessage],
) -> Result<Option<(usize, usize)>, TemplateError> {
    let longest = |conversation| match template.render_measured(conversation) {
        Ok(rendered) => Ok(Some(rendered.text.len().max(rendered.largest))),
        Err(TemplateError::Exhausted) => Err(TemplateError::Exhausted),
        // It does not want such conversations.
        Err(_) => Ok(None),
    };
    let sizes = longest(short)?.zip(longest(long)?);
    Ok(sizes.filter(|(before, after)| *after > before.saturating_mul(MAX_GROWTH) + FREE_GROWTH_BYTES))
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
    fn what_grows_with_the_conversation_and_no_faster_is_accepted() {
        for source in [
            "{% set ns = namespace(x='') %}{% for m in messages %}{% set ns.x = ns.x ~ m.content %}{% endfor %}{{ ns.x }}",
            "{% set ns = namespace(x=[]) %}{% for m in messages %}{% set ns.x = ns.x + [m] %}{% endfor %}{{ ns.x | tojson }}",
            "{% for m in messages %}{{ (m.content | trim) * 100 }}{% endfor %}",
            "{{ messages[-1].content }}{{ messages | tojson(indent=4) }}",
            "{% for m in messages %}{% for n in messages[loop.index:] %}{% if n.role == 'tool' %}{{ n.content }}{% endif %}{% endfor %}{% endfor %}",
        ] {
            assert!(ids(source).is_empty(), "{source}: {:?}", ids(source));
        }
    }

    #[test]
    fn what_is_not_run_hides_nothing() {
        let reaches = "{{ cycler.__init__.__globals__['os']['popen']('true')['read']() }}";
        for before in [
            "{% if false %}{{ 9**9**9 }}{% endif %}",
            "{% set n = 2**3 %}",
            "{% if false %}{{ [] * 9 }}{% endif %}",
        ] {
            let ids = ids(&format!("{before}{reaches}"));
            for id in ["HF-TPL-002", "HF-TPL-012"] {
                assert!(ids.iter().any(|found| found == id), "{before}: {ids:?}");
            }
        }
        for unread in [
            "{% if false %}{{ x[1,2] }}{% endif %}".to_owned(),
            "{% if false %}{{ 1|abs()() }}{% endif %}".to_owned(),
            "{% set ünï = 1 %}".to_owned(),
            "{{ -+1 }}".to_owned(),
            format!("{{{{ {} }}}}", "9".repeat(60)),
            format!("{{# {} #}}", "x".repeat(300 << 10)),
            (0..6000).fold(String::new(), |all, n| all + &format!("{{% set v{n}=1 %}}")),
            "{% print cycler %}".to_owned(),
        ] {
            let mut findings = Findings::default();
            inspect(&format!("{unread}{reaches}"), 0, "template", &mut findings);
            assert!(findings.refuse(), "{unread:.60}");
        }
    }

    #[test]
    fn each_concern_has_its_id() {
        for (source, id) in [
            ("{% if %}", "HF-TPL-001"),
            ("{{ 2 ** 9 }}", "HF-TPL-012"),
            ("{{ [] * 9 }}", "HF-TPL-012"),
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
            // Cheap in a short conversation, and beyond all bounds in a long one.
            (
                "{% set ns = namespace(x='a') %}{% for m in messages %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{% set ns.x = '' %}",
                "HF-TPL-009",
            ),
            (
                "{% for m in messages %}{% for n in messages %}{{ n.content }}{% endfor %}{% endfor %}",
                "HF-TPL-011",
            ),
            (
                "{% for m in messages %}{% set ns = (m.content ~ '') * (messages | length * loop.index) %}{% endfor %}",
                "HF-TPL-011",
            ),
            (
                "{{ (messages[0].content ~ '') * (messages[0].content | length // 1000) }}",
                "HF-TPL-011",
            ),
        ] {
            let ids = ids(source);
            assert!(ids.iter().any(|found| found == id), "{source}: {ids:?}");
        }
    }
}
