//! Rendering a conversation by a template, with bounds.
//!
//! A template is code of whoever made the model. It sees the conversation and nothing else: no loader, no files, no
//! environment. Steps, nesting and output are bounded here, memory by the process's limit.

use std::io;
use std::panic::AssertUnwindSafe;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde::Serialize;

use crate::source::{is_too_deep, without_generation_marks};

/// The longest template, in bytes. The longest of the known families has 20 KiB.
pub const MAX_TEMPLATE_BYTES: usize = 256 << 10;
/// The longest text that a template may make, in bytes.
pub const MAX_OUTPUT_BYTES: usize = 4 << 20;
/// The most steps of one rendering. A conversation of a thousand messages takes some 100 000.
const FUEL: u64 = 2_000_000;
/// The deepest nesting of macros and recursive loops.
const MAX_DEPTH: usize = 64;
/// The name that the template is compiled under.
const NAME: &str = "chat";

/// Why a template gave no text.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// It is longer than [`MAX_TEMPLATE_BYTES`].
    #[error("the chat template is longer than {MAX_TEMPLATE_BYTES} bytes")]
    TooLong,
    /// It is not Jinja as known here.
    #[error("the chat template is not understood: {0}")]
    Compile(String),
    /// It called `raise_exception`: it does not want this conversation.
    #[error("the chat template refused the conversation: {0}")]
    Refused(String),
    /// It took too many steps or too much room.
    #[error("the chat template takes too long or makes too much text")]
    Exhausted,
    /// It failed.
    #[error("the chat template failed: {0}")]
    Failed(String),
}

/// A message as templates see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChatMessage {
    /// `system`, `user` or `assistant`.
    pub role: &'static str,
    /// What was said.
    pub content: String,
}

/// A compiled template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos: String,
    eos: String,
}

#[derive(Serialize)]
struct Variables<'a> {
    messages: &'a [ChatMessage],
    add_generation_prompt: bool,
    bos_token: &'a str,
    eos_token: &'a str,
}

impl ChatTemplate {
    /// Compiles `source`. `bos` and `eos` are the texts of the tokens that begin and end a text.
    ///
    /// # Errors
    ///
    /// When it is too long or not Jinja.
    pub fn compile(source: &str, bos: &str, eos: &str) -> Result<Self, TemplateError> {
        if source.len() > MAX_TEMPLATE_BYTES {
            return Err(TemplateError::TooLong);
        }
        let source = without_generation_marks(source);
        if is_too_deep(&source) {
            return Err(TemplateError::Compile("its expressions are too long".to_owned()));
        }
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(MAX_DEPTH);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment.add_filter("tojson", to_json);
        guarded(|| {
            environment
                .add_template_owned(NAME, source)
                .map_err(|error| TemplateError::Compile(describe(&error)))
        })?;
        Ok(Self {
            environment,
            bos: bos.to_owned(),
            eos: eos.to_owned(),
        })
    }

    /// The text of a conversation that the model is to answer.
    ///
    /// # Errors
    ///
    /// When the template refuses the conversation, fails, or passes a bound.
    pub fn render(&self, messages: &[ChatMessage]) -> Result<String, TemplateError> {
        let template = self
            .environment
            .get_template(NAME)
            .map_err(|error| TemplateError::Failed(describe(&error)))?;
        let variables = Variables {
            messages,
            add_generation_prompt: true,
            bos_token: &self.bos,
            eos_token: &self.eos,
        };
        let mut output = Bounded(Vec::new());
        guarded(|| {
            template
                .render_captured_to(variables, &mut output)
                .map(|_| ())
                .map_err(|error| failure(&error))
        })?;
        String::from_utf8(output.0).map_err(|_| TemplateError::Failed("its output is not UTF-8".to_owned()))
    }
}

/// Runs the template engine. It panics at some templates (at `[][::-1]`, for one): those fail, and the worker goes on.
fn guarded(run: impl FnOnce() -> Result<(), TemplateError>) -> Result<(), TemplateError> {
    std::panic::catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(TemplateError::Failed("the template engine gave up".to_owned())))
}

/// Marks an error that `raise_exception` made, so that it can be told from others.
const REFUSAL: &str = "\u{1}refused: ";

fn raise_exception(message: &str) -> Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(
        ErrorKind::InvalidOperation,
        format!("{REFUSAL}{message}"),
    ))
}

fn failure(error: &minijinja::Error) -> TemplateError {
    if matches!(error.kind(), ErrorKind::OutOfFuel | ErrorKind::WriteFailure) {
        return TemplateError::Exhausted;
    }
    match error.detail().and_then(|detail| detail.strip_prefix(REFUSAL)) {
        Some(message) => TemplateError::Refused(clean(message)),
        None => TemplateError::Failed(describe(error)),
    }
}

fn describe(error: &minijinja::Error) -> String {
    clean(&error.to_string())
}

/// Text of the model's maker that goes into a log line.
fn clean(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(200)
        .collect()
}

/// The present moment in UTC, in the format of C's `strftime`.
fn strftime_now(format: &str) -> Result<String, minijinja::Error> {
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    jiff::fmt::strtime::format(format, &now).map_err(|error| {
        minijinja::Error::new(
            ErrorKind::InvalidOperation,
            format!("strftime_now({format:?}): {error}"),
        )
    })
}

/// Python's `json.dumps(value, ensure_ascii=False)`: minijinja's own filter escapes for HTML.
#[expect(
    clippy::needless_pass_by_value,
    reason = "minijinja hands options over by value"
)]
fn to_json(value: &Value, options: Kwargs) -> Result<String, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    for ignored in ["ensure_ascii", "separators", "sort_keys"] {
        let _: Option<Value> = options.get(ignored)?;
    }
    options.assert_all_used()?;
    let failed =
        |error: serde_json::Error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string());
    let mut json = Vec::new();
    if let Some(indent) = indent {
        let spaces = " ".repeat(indent.min(16));
        let formatter = serde_json::ser::PrettyFormatter::with_indent(spaces.as_bytes());
        value
            .serialize(&mut serde_json::Serializer::with_formatter(&mut json, formatter))
            .map_err(failed)?;
    } else {
        value
            .serialize(&mut serde_json::Serializer::with_formatter(&mut json, Spaced))
            .map_err(failed)?;
    }
    String::from_utf8(json)
        .map_err(|_| minijinja::Error::new(ErrorKind::BadSerialization, "JSON is not UTF-8"))
}

/// JSON on one line with a space after `,` and `:`, as Python writes it.
struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

/// A buffer that refuses to grow past [`MAX_OUTPUT_BYTES`].
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT_BYTES {
            return Err(io::Error::other("it made too much text"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(role: &'static str, content: &str) -> ChatMessage {
        ChatMessage {
            role,
            content: content.to_owned(),
        }
    }

    fn render(source: &str) -> Result<String, TemplateError> {
        let messages = [message("user", "Hi \"there\" <b>")];
        ChatTemplate::compile(source, "<s>", "</s>").and_then(|template| template.render(&messages))
    }

    #[test]
    fn sees_the_conversation_and_the_special_tokens() {
        let source = "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m['content'] }}{{ eos_token }}{% endfor %}";
        assert_eq!(render(source).unwrap(), "<s>[user] Hi \"there\" <b></s>");
    }

    #[test]
    fn speaks_the_python_that_templates_use() {
        for (source, expected) in [
            (
                "{{ ' a '.strip() }}|{{ 'a,b'.split(',')[-1] }}|{{ 1 if 'abc'.startswith('ab') }}",
                "a|b|1",
            ),
            (
                "{% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}",
                "3",
            ),
            (
                "{% for i in [1,2,3] %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% if loop.last %}.{% endif %}{% endfor %}",
                "13.",
            ),
            (
                "{{ messages[0] | tojson }}",
                r#"{"role": "user", "content": "Hi \"there\" <b>"}"#,
            ),
            (
                "{{ {'a': [1, 2]} | tojson(indent=2) }}",
                "{\n  \"a\": [\n    1,\n    2\n  ]\n}",
            ),
            (
                "{% if tools is defined and tools %}x{% else %}none{% endif %}",
                "none",
            ),
            (
                "{{ messages[1:] | length }}{{ 'yes' if 'there' in messages[0].content else 'no' }}",
                "0yes",
            ),
            ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m('y') }}", "<y>"),
            (
                "{%- for k, v in {'a': 1}.items() -%}{{ k }}{{ v }}{%- endfor -%}",
                "a1",
            ),
            ("a{% generation %}b{%- endgeneration -%}  c", "abc"),
        ] {
            assert_eq!(render(source).unwrap(), expected, "{source}");
        }
    }

    #[test]
    fn tells_the_date() {
        let date = render("{{ strftime_now('%d %b %Y') }}").unwrap();
        assert_eq!(date.len(), 11, "{date}");
    }

    #[test]
    fn a_refusal_is_told_from_a_failure() {
        let refused = render("{{ raise_exception('roles must\n alternate') }}").unwrap_err();
        assert!(
            matches!(&refused, TemplateError::Refused(why) if why == "roles must alternate"),
            "{refused}"
        );
        assert!(matches!(
            render("{{ 1 / 'a' }}").unwrap_err(),
            TemplateError::Failed(_)
        ));
        assert!(matches!(
            render("{% if %}").unwrap_err(),
            TemplateError::Compile(_)
        ));
    }

    #[test]
    fn a_template_that_never_ends_is_stopped() {
        let source = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
        assert!(matches!(render(source).unwrap_err(), TemplateError::Exhausted));
    }

    #[test]
    fn a_template_that_calls_itself_is_stopped() {
        assert!(matches!(
            render("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}").unwrap_err(),
            TemplateError::Failed(_)
        ));
    }

    #[test]
    fn a_template_that_makes_too_much_text_is_stopped() {
        let source = "{% for a in range(50) %}{{ 'x' * 1000000 }}{% endfor %}";
        assert!(matches!(render(source).unwrap_err(), TemplateError::Exhausted));
        assert!(render("{{ 'x' * 1000000 }}").is_ok());
    }

    #[test]
    fn a_template_that_is_too_long_is_refused_unread() {
        let long = "x".repeat(MAX_TEMPLATE_BYTES + 1);
        assert!(matches!(render(&long).unwrap_err(), TemplateError::TooLong));
        assert!(render(&long[1..]).is_ok());
    }

    #[test]
    fn a_template_that_breaks_the_engine_fails() {
        for source in [
            "{% for a in [][::-1] %}{% endfor %}",
            "{{ ''[::-1] }}",
            "{% for a in [1, 2][0:2:-1] %}{% endfor %}",
        ] {
            let failed = render(source);
            assert!(
                matches!(failed, Err(TemplateError::Failed(_))),
                "{source}: {failed:?}"
            );
        }
        assert_eq!(render("{{ 'abc'[::-1] }}").unwrap(), "cba");
    }

    #[test]
    fn a_template_reaches_no_other_file() {
        for source in [
            "{% include '/etc/passwd' %}",
            "{% import 'x' as y %}",
            "{% extends 'base' %}",
        ] {
            assert!(render(source).is_err(), "{source}");
        }
    }
}
