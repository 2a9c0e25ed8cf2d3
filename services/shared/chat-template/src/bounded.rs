//! Filters whose arguments say how much they make: bounded before they make it.
//!
//! The engine's own take any width and any count, and make room for it at once.

use minijinja::value::{Kwargs, Rest, Value};
use minijinja::{Environment, Error, State, filters};

use crate::measure;
use crate::render::MAX_OUTPUT_BYTES;

/// The largest width or count.
const MAX_COUNT: i64 = 4096;
/// Digits in the largest width of a format.
pub const MAX_WIDTH_DIGITS: usize = 4;

/// The longest text that is taken apart into characters, in bytes: each takes as much room as a value.
const MAX_APART_BYTES: usize = 64 << 10;

/// What is looked at before a filter runs: the value and its arguments.
type Check = fn(&State<'_, '_>, &[Value]) -> Result<(), Error>;

/// Puts them in the place of the engine's.
pub fn install(environment: &mut Environment<'_>) {
    let mut guard = |name: &'static str, inner: Value, check: Check| {
        environment.add_filter(name, move |state: &State<'_, '_>, arguments: Rest<Value>| {
            check(state, &arguments)?;
            inner.call(state, &arguments)
        });
    };
    guard("indent", Value::from_function(filters::indent), counts);
    guard("batch", Value::from_function(filters::batch), parts);
    guard("slice", Value::from_function(filters::slice), parts);
    guard("chain", Value::from_function(filters::chain), parts);
    guard("groupby", Value::from_function(filters::groupby), parts);
    guard("list", Value::from_function(filters::list), parts);
    guard("map", Value::from_function(filters::map), parts);
    guard("reject", Value::from_function(filters::reject), parts);
    guard("select", Value::from_function(filters::select), parts);
    guard("sort", Value::from_function(filters::sort), parts);
    guard("unique", Value::from_function(filters::unique), parts);
    guard("zip", Value::from_function(filters::zip), parts);
    guard("lines", Value::from_function(filters::lines), |_, arguments| {
        split(arguments)
    });
    guard("split", Value::from_function(filters::split), |_, arguments| {
        split(arguments)
    });
    guard(
        "format",
        Value::from_function(filters::format),
        |state, arguments| {
            before_format(arguments)?;
            writes(state, arguments)
        },
    );
    guard("pprint", Value::from_function(filters::pprint), writes);
    guard("string", Value::from_function(filters::string), writes);
    guard("lower", Value::from_function(filters::lower), writes);
    guard("upper", Value::from_function(filters::upper), writes);
    guard("title", Value::from_function(filters::title), writes);
    guard("capitalize", Value::from_function(filters::capitalize), writes);
    guard("trim", Value::from_function(filters::trim), writes);
}

/// What a filter writes of values is as long as they are, times what escapes make of a character.
fn writes(state: &State<'_, '_>, arguments: &[Value]) -> Result<(), Error> {
    arguments
        .iter()
        .try_for_each(|value| measure::measure(state, value))
}

/// A filter that makes a list, of the characters if it is given a text.
fn parts(state: &State<'_, '_>, arguments: &[Value]) -> Result<(), Error> {
    let text = arguments.first().and_then(|value| value.as_str());
    if text.is_some_and(|text| text.len() > MAX_APART_BYTES) {
        return Err(measure::too_large());
    }
    counts(state, arguments)?;
    writes(state, arguments)
}

/// Looks at a text that is to be cut into pieces.
///
/// # Errors
///
/// When there would be so many that the list of them is too large.
pub fn split(arguments: &[Value]) -> Result<(), Error> {
    let text = arguments
        .first()
        .and_then(|value| value.as_str())
        .unwrap_or_default();
    let between = arguments.get(1).and_then(|value| value.as_str());
    let pieces = match between {
        Some("") => text.len(),
        Some(between) => text.matches(between).count(),
        None => text.bytes().filter(u8::is_ascii_whitespace).count(),
    };
    if pieces > MAX_APART_BYTES {
        return Err(measure::too_large());
    }
    Ok(())
}

/// A filter that makes as much as a number says, for each line of a text.
fn counts(_: &State<'_, '_>, arguments: &[Value]) -> Result<(), Error> {
    let (values, rest) = arguments.split_at(arguments.len().min(1));
    let most = rest.iter().map(largest).max().unwrap_or(0);
    let text = values
        .first()
        .and_then(|value| value.as_str())
        .unwrap_or_default();
    let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let bytes = usize::try_from(most).map_or(0, |most| most.saturating_mul(lines));
    if most > MAX_COUNT || bytes > MAX_OUTPUT_BYTES {
        return Err(measure::too_large());
    }
    Ok(())
}

/// The largest number that this argument, or these by name, hold.
fn largest(argument: &Value) -> i64 {
    if let Ok(named) = Kwargs::try_from(argument.clone()) {
        let values = named.args().filter_map(|name| named.peek::<Value>(name).ok());
        return values.map(|value| number(&value)).max().unwrap_or(0);
    }
    number(argument)
}

/// The number that a value is; the largest if it is one that does not fit, and zero if it is none.
fn number(value: &Value) -> i64 {
    match value.as_i64() {
        Some(number) => number,
        None if value.is_number() => i64::MAX,
        None => 0,
    }
}

/// Looks at a format and what it is given, before it is filled.
///
/// # Errors
///
/// When it has a width or precision that makes too much, or takes one from a large number among its arguments.
pub fn before_format(arguments: &[Value]) -> Result<(), Error> {
    let (format, rest) = arguments.split_at(arguments.len().min(1));
    let format = format
        .first()
        .and_then(|format| format.as_str())
        .unwrap_or_default();
    let printed = format.split('%').skip(1).map(|field| {
        let end = field.find(|part: char| !part.is_ascii_digit() && !"#-+ .*".contains(part));
        field.get(..end.unwrap_or(field.len()))
    });
    let braced = format.split('{').skip(1).map(|field| field.split('}').next());
    let wide = printed.chain(braced).flatten().any(is_wide);
    let borrowed = format.contains('*') || format.contains(":{") || format.contains(".{");
    if wide || (borrowed && rest.iter().any(|argument| largest(argument) > MAX_COUNT)) {
        return Err(measure::too_large());
    }
    Ok(())
}

/// Whether it holds a number of more digits than a width has.
fn is_wide(field: &str) -> bool {
    field
        .split(|part: char| !part.is_ascii_digit())
        .any(|digits| digits.len() > MAX_WIDTH_DIGITS)
}

#[cfg(test)]
mod tests {
    use crate::{ChatMessage, ChatTemplate, TemplateError};

    fn render(source: &str) -> Result<String, TemplateError> {
        let template = ChatTemplate::compile(source, "", "")?;
        template.render(&[ChatMessage {
            role: "user",
            content: "a\nb".to_owned(),
        }])
    }

    #[test]
    fn what_makes_too_much_is_stopped_before_it_does() {
        for source in [
            "{{ 'a\\nb' | indent(1000000000) }}",
            "{{ 'a\\nb' | indent(width=1000000000) }}",
            "{{ (('a\\n' * 1000000) | indent(1000)) | length }}",
            "{{ messages | batch(1000000000, 'x') | list | length }}",
            "{{ messages | slice(1000000000) | list | length }}",
            "{{ '%1000000000d' | format(1) }}",
            "{{ '%.1000000000f' | format(1) }}",
            "{{ '{:1000000000}'.format(1) }}",
            "{{ messages | tojson(indent=1000000000) }}",
            "{{ 'a' * 10000000000000 }}",
            "{{ ('a' * 1000000) | list | length }}",
            "{{ ('a' * 1000000) | batch(1) | list | length }}",
            "{{ (' ' * 1000000).split(' ') | length }}",
            "{{ (' ' * 1000000) | split(' ') | length }}",
            "{{ ('\\n' * 1000000).splitlines() | length }}",
        ] {
            let rendered = render(source);
            let stopped = match &rendered {
                Err(TemplateError::Exhausted) => true,
                // Before anything is made at all.
                Err(TemplateError::Compile(why)) => why == crate::judge::IMMENSE,
                _ => false,
            };
            assert!(stopped, "{source}: {rendered:?}");
        }
    }

    #[test]
    fn filters_in_a_row_make_no_more_than_one() {
        for (filters, times) in [
            ("| tojson", 40),
            ("| pprint", 40),
            ("| list | string", 20),
            ("| batch(1) | string", 20),
            ("| list | upper", 20),
            ("| list | replace('a', 'b')", 20),
        ] {
            let source = format!("{{{{ ('\"' {}) | length }}}}", filters.repeat(times));
            assert!(
                matches!(render(&source), Err(TemplateError::Exhausted)),
                "{source}"
            );
        }
    }

    #[test]
    fn what_makes_little_works_as_before() {
        for (source, expected) in [
            ("{{ messages[0].content | indent(2) }}", "a\n  b"),
            (
                "{{ messages[0].content | indent(width=2, first=true) }}",
                "  a\n  b",
            ),
            ("{{ [1, 2, 3] | batch(2) | list }}", "[[1, 2], [3]]"),
            ("{{ [1, 2, 3] | batch(2, 0) | list }}", "[[1, 2], [3, 0]]"),
            ("{{ [1, 2, 3] | slice(2) | list }}", "[[1, 2], [3]]"),
            ("{{ '%s-%03d' | format('a', 7) }}", "a-007"),
            ("{{ '%s of 1000000' | format('a') }}", "a of 1000000"),
            ("{{ '{}: {:>3}'.format('a', 1) }}", "a:   1"),
        ] {
            assert_eq!(render(source).unwrap(), expected, "{source}");
        }
    }
}
