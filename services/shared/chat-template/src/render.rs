//! Rendering a conversation by a template, with bounds.
//!
//! A template is code of whoever made the model. It sees the conversation and nothing else: no loader, no files, no
//! environment. Steps, nesting, the values that it keeps and its output are bounded here, and memory once more by the process's limit.

use std::io;
use std::panic::AssertUnwindSafe;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, ErrorKind, Output, State, UndefinedBehavior};
use serde::Serialize;

use crate::bounded;
use crate::judge::{Concern, Note, judge};
use crate::measure;
use crate::source::without_generation_marks;

/// The longest template, in bytes. The longest of the known families has 20 KiB.
pub const MAX_TEMPLATE_BYTES: usize = 256 << 10;
/// The longest text that a template may make or keep, in bytes.
pub const MAX_OUTPUT_BYTES: usize = 4 << 20;
/// The most steps of one rendering. A conversation of a thousand messages takes some 100 000.
const FUEL: u64 = 2_000_000;
/// The deepest nesting of macros and recursive loops.
const MAX_DEPTH: usize = 64;
/// The most text that may go through captured blocks and macros as well, in bytes.
const MAX_WRITTEN_BYTES: usize = 4 * MAX_OUTPUT_BYTES;
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

/// A template that was judged, with what that came to.
#[derive(Debug)]
pub struct Judged<'a> {
    source: &'a str,
    notes: Vec<Note>,
}

impl<'a> Judged<'a> {
    /// Judges a template. There is no other way to one of these, so that nothing is compiled that was not judged.
    pub fn new(source: &'a str) -> Self {
        Self {
            source,
            notes: judge(source),
        }
    }

    /// What it came to.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }
}

/// What came of a rendering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// The size of the largest value that the template kept meanwhile, in bytes.
    pub largest: usize,
}

#[derive(Serialize)]
struct Variables<'a> {
    messages: &'a [ChatMessage],
    add_generation_prompt: bool,
    bos_token: &'a str,
    eos_token: &'a str,
}

/// Why a template is not run.
fn not_run(note: &Note) -> Option<&str> {
    match &note.concern {
        Concern::Unreadable(why) => Some(why),
        Concern::Immense(why) => Some(why),
        _ => None,
    }
}

impl ChatTemplate {
    /// Compiles `source`. `bos` and `eos` are the texts of the tokens that begin and end a text.
    ///
    /// # Errors
    ///
    /// When it is too long, not Jinja, or could not be judged: what nobody has judged is not run.
    pub fn compile(source: &str, bos: &str, eos: &str) -> Result<Self, TemplateError> {
        if source.len() > MAX_TEMPLATE_BYTES {
            return Err(TemplateError::TooLong);
        }
        Self::of_judged(&Judged::new(source), bos, eos)
    }

    /// Compiles a template that was judged, without judging it again.
    ///
    /// # Errors
    ///
    /// As [`compile`](Self::compile).
    pub fn of_judged(judged: &Judged<'_>, bos: &str, eos: &str) -> Result<Self, TemplateError> {
        match judged.notes.iter().find_map(not_run) {
            Some(why) => Err(TemplateError::Compile(why.to_owned())),
            None => Self::prepare(&without_generation_marks(judged.source), bos, eos),
        }
    }

    /// Compiles what was judged and can be read.
    fn prepare(source: &str, bos: &str, eos: &str) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(MAX_DEPTH);
        environment.set_unknown_method_callback(method);
        environment.set_formatter(write);
        environment.add_function(measure::NAME, measure::measure);
        bounded::install(&mut environment);
        environment.add_filter("join", join);
        environment.add_filter("replace", replace);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment.add_filter("tojson", to_json);
        let source = measure::measured(source);
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
        self.render_measured(messages).map(|rendered| rendered.text)
    }

    /// [`render`](Self::render), with the size of what the template kept.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn render_measured(&self, messages: &[ChatMessage]) -> Result<Rendered, TemplateError> {
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
        let mut largest = 0;
        guarded(|| {
            template
                .render_captured_to(variables, &mut output)
                .map(|captured| largest = measure::largest(captured.state()))
                .map_err(|error| failure(&error))
        })?;
        let text = String::from_utf8(output.0)
            .map_err(|_| TemplateError::Failed("its output is not UTF-8".to_owned()))?;
        Ok(Rendered { text, largest })
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
    // The engine's own bounds. Python has none.
    let beyond = |detail: &str| detail.contains("too large") || detail.starts_with("unable to calculate");
    if error.detail().is_some_and(beyond) {
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

/// Writes a value, to the output or into a block that is captured.
fn write(output: &mut Output<'_>, state: &State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    const WRITTEN: &str = "holdfast_written";
    let before = state.get_temp(WRITTEN).and_then(|value| value.as_usize());
    let bytes = if let Some(text) = value.as_str() {
        text.len()
    } else {
        measure::measure(state, value)?;
        0
    };
    let written = before.unwrap_or(0).saturating_add(bytes);
    if written > MAX_WRITTEN_BYTES {
        return Err(minijinja::Error::new(ErrorKind::OutOfFuel, "it writes too much"));
    }
    state.set_temp(WRITTEN, written.into());
    minijinja::escape_formatter(output, state, value)
}

/// Python's methods of texts, lists and dictionaries.
fn method(
    state: &State<'_, '_>,
    value: &Value,
    name: &str,
    arguments: &[Value],
) -> Result<Value, minijinja::Error> {
    let argument = |index: usize| arguments.get(index).and_then(Value::as_str);
    match (name, value.as_str()) {
        ("join", Some(between)) => {
            if let Some(values) = arguments.first() {
                measure::before_join(state, values, between.len())?;
            }
        }
        ("replace", Some(text)) => {
            if let Some((from, to)) = argument(0).zip(argument(1)) {
                measure::before_replace(text, from, to)?;
            }
        }
        ("format", Some(_)) => {
            bounded::before_format(&whole(value, arguments))?;
            for argument in arguments {
                measure::measure(state, argument)?;
            }
        }
        ("split" | "rsplit" | "splitlines", Some(_)) => bounded::split(&whole(value, arguments))?,
        _ => {}
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, name, arguments)
}

/// A method's value and arguments, as a filter gets them.
fn whole(value: &Value, arguments: &[Value]) -> Vec<Value> {
    let mut whole = vec![value.clone()];
    whole.extend_from_slice(arguments);
    whole
}

/// The filter `join`, which is measured first.
fn join(state: &State<'_, '_>, values: &Value, between: Option<String>) -> Result<String, minijinja::Error> {
    let between = between.unwrap_or_default();
    measure::before_join(state, values, between.len())?;
    let mut text = String::new();
    for (index, value) in values.try_iter()?.enumerate() {
        if index > 0 {
            text.push_str(&between);
        }
        match value.as_str() {
            Some(part) => text.push_str(part),
            None => text.push_str(&value.to_string()),
        }
    }
    Ok(text)
}

/// The filter `replace`, which is measured first.
fn replace(
    state: &State<'_, '_>,
    text: &Value,
    from: &Value,
    to: &Value,
) -> Result<String, minijinja::Error> {
    for value in [text, from, to] {
        measure::measure(state, value)?;
    }
    let [text, from, to] = [text, from, to].map(ToString::to_string);
    measure::before_replace(&text, &from, &to)?;
    Ok(text.replace(&from, &to))
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

/// The widest indentation of JSON, in spaces.
const MAX_INDENT: usize = 64;

/// Python's `json.dumps(value, ensure_ascii=False)`: minijinja's own filter escapes for HTML.
#[expect(
    clippy::needless_pass_by_value,
    reason = "minijinja hands options over by value"
)]
fn to_json(state: &State<'_, '_>, value: &Value, options: Kwargs) -> Result<String, minijinja::Error> {
    measure::measure(state, value)?;
    let indent: Option<usize> = options.get("indent")?;
    for ignored in ["ensure_ascii", "separators", "sort_keys"] {
        let _: Option<Value> = options.get(ignored)?;
    }
    options.assert_all_used()?;
    if indent.is_some_and(|indent| indent > MAX_INDENT) {
        return Err(minijinja::Error::new(ErrorKind::OutOfFuel, "it indents too much"));
    }
    let failed =
        |error: serde_json::Error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string());
    let mut json = Vec::new();
    if let Some(indent) = indent {
        let spaces = " ".repeat(indent);
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
    fn what_was_judged_is_compiled_as_anything_else() {
        for source in [
            "{{ messages[0].content }}{% generation %}x{% endgeneration %}",
            "{{ bos_token }}{% if false %}",
            "{{ 'a' * 99999999999 }}",
            "{{ [messages] * 1000 * 1000 }}",
            &"x".repeat(MAX_TEMPLATE_BYTES + 1),
            &format!("{{{{ {}1 }}}}", "1 + ".repeat(9000)),
        ] {
            let whole = ChatTemplate::compile(source, "<s>", "</s>");
            let judged = ChatTemplate::of_judged(&Judged::new(source), "<s>", "</s>");
            assert_eq!(whole.is_ok(), judged.is_ok(), "{source:.60}");
            if let (Ok(whole), Ok(judged)) = (whole, judged) {
                assert_eq!(whole.render(&[]).ok(), judged.render(&[]).ok());
            }
        }
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
    fn what_a_template_keeps_is_bounded_however_it_grows() {
        let talk: Vec<ChatMessage> = (0..64).map(|_| message("user", "0123456789abcdef")).collect();
        for grows in [
            // And what it kept is gone before anybody looks.
            "{% set ns = namespace(x='a') %}{% for m in messages %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{% set ns.x = '' %}",
            "{% set ns = namespace(x=['a']) %}{% for m in messages %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
            "{% set ns = namespace(x=['a']) %}{% for m in messages %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x ~ '' }}",
            "{% set ns = namespace(x={'a': 1}) %}{% for m in messages %}{% set ns.x = {'a': ns.x, 'b': ns.x} %}{% endfor %}",
            "{% set ns = namespace(x='a') %}{% for m in messages %}{% set ns.x = ns.x | replace('a', 'aa') %}{% endfor %}",
            "{% set ns = namespace(x='a') %}{% for m in messages %}{% set ns.x = ns.x.replace('a', ns.x ~ 'a') %}{% endfor %}",
            "{% set ns = namespace(x='a') %}{% for m in messages %}{% set ns.x = [ns.x, ns.x] | join %}{% endfor %}",
            "{% set ns = namespace(x='a') %}{% for m in messages %}{% set ns.x = ns.x.join([ns.x, ns.x, ns.x]) %}{% endfor %}",
            "{% set ns = namespace(x='a') %}{% for m in messages %}{% set b %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = b %}{% endfor %}",
            "{% macro m(x, n) %}{% if n %}{{ m(x ~ x ~ x ~ x ~ x ~ x ~ x ~ x, n - 1) }}{% endif %}{% endmacro %}{{ m('abcd', 7) }}",
            "{% for a in ['a'] recursive %}{{ loop([a ~ a ~ a ~ a ~ a ~ a ~ a ~ a]) if loop.depth < 9 }}{% endfor %}",
            "{% set b %}{% for m in messages %}{{ 'x' * 900000 }}{% endfor %}{% endset %}",
            "{% macro m() %}{% for m in messages %}{{ 'x' * 900000 }}{% endfor %}{% endmacro %}{{ m() | length }}",
        ] {
            let template = ChatTemplate::compile(grows, "<s>", "</s>").unwrap();
            let error = template.render(&talk).unwrap_err();
            assert!(matches!(error, TemplateError::Exhausted), "{grows}: {error}");
        }
    }

    #[test]
    fn the_largest_value_that_was_kept_is_known() {
        let source = "{% set a = 'x' * 5000 %}{% set a = '' %}{{ a }}";
        let template = ChatTemplate::compile(source, "<s>", "</s>").unwrap();
        let rendered = template.render_measured(&[]).unwrap();
        assert_eq!((rendered.text.as_str(), rendered.largest), ("", 5000));
    }

    #[test]
    fn a_template_that_takes_the_name_of_the_measure_fails() {
        let source = "{% set holdfast_measure = 1 %}{% set a = 'x' %}{{ a }}";
        assert!(render(source).is_err());
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
