//! Canonical JSON (RFC 8785) for the part of JSON that ledger entries may use: objects, arrays, strings, booleans
//! and integers that every JSON reader keeps exact. `null` and fractions have no place in an entry and are refused.

use serde_json::{Map, Value};

/// The largest integer, and without its sign the smallest, that survives a reader with 64-bit floats.
const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Why a value has no canonical form here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// A number with a fraction or an exponent.
    #[error("numbers must be integers without fraction or exponent")]
    Fraction,
    /// An integer that JSON readers may round.
    #[error("integers must lie between -(2^53-1) and 2^53-1")]
    Integer,
    /// A `null`.
    #[error("null is not allowed")]
    Null,
    /// Objects and arrays nested too deeply.
    #[error("objects and arrays are nested more than {limit} deep")]
    Depth {
        /// The most levels allowed.
        limit: usize,
    },
}

/// Appends the canonical form of `value`, which may hold at most `depth` levels of objects and arrays.
///
/// # Errors
/// [`CanonicalError`] when the value is outside the subset; `out` then holds an unfinished piece.
pub fn write(value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    write_within(value, depth, depth, out)
}

/// Appends the canonical form of an object.
///
/// # Errors
/// As [`write()`].
pub fn write_object(map: &Map<String, Value>, depth: usize, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    object(map, depth, depth, out)
}

fn write_within(value: &Value, left: usize, limit: usize, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    match value {
        Value::Null => return Err(CanonicalError::Null),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => integer(number, out)?,
        Value::String(text) => string(text, out),
        Value::Array(values) => {
            let left = left.checked_sub(1).ok_or(CanonicalError::Depth { limit })?;
            out.push(b'[');
            for (place, value) in values.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write_within(value, left, limit, out)?;
            }
            out.push(b']');
        }
        Value::Object(map) => object(map, left, limit, out)?,
    }
    Ok(())
}

fn object(
    map: &Map<String, Value>,
    left: usize,
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), CanonicalError> {
    let left = left.checked_sub(1).ok_or(CanonicalError::Depth { limit })?;
    let mut members: Vec<(&String, &Value)> = map.iter().collect();
    // Section 3.2.3 sorts by UTF-16 code units, which differs from the order of code points beyond U+FFFF.
    members.sort_by(|(a, _), (b, _)| {
        if a.is_ascii() && b.is_ascii() {
            a.cmp(b)
        } else {
            a.encode_utf16().cmp(b.encode_utf16())
        }
    });
    out.push(b'{');
    for (place, (name, value)) in members.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        string(name, out);
        out.push(b':');
        write_within(value, left, limit, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn integer(number: &serde_json::Number, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    let magnitude = match (number.as_u64(), number.as_i64()) {
        (Some(positive), _) => positive,
        (None, Some(negative)) => negative.unsigned_abs(),
        (None, None) => return Err(CanonicalError::Fraction),
    };
    if magnitude > MAX_INTEGER {
        return Err(CanonicalError::Integer);
    }
    out.extend_from_slice(number.to_string().as_bytes());
    Ok(())
}

/// Appends a string with only the escapes that section 3.2.2.2 asks for.
pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    out.push(b'"');
    let mut plain = 0;
    for (place, byte) in bytes.iter().enumerate() {
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0c => b'f',
            b'\r' => b'r',
            0..0x20 => b'u',
            _ => continue,
        };
        out.extend_from_slice(bytes.get(plain..place).unwrap_or_default());
        out.extend_from_slice(&[b'\\', short]);
        if short == b'u' {
            out.extend_from_slice(&[
                b'0',
                b'0',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]);
        }
        plain = place + 1;
    }
    out.extend_from_slice(bytes.get(plain..).unwrap_or_default());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(json: &str) -> Result<String, CanonicalError> {
        let mut out = Vec::new();
        write(&serde_json::from_str(json).unwrap(), 8, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn sorts_members_as_the_example_in_section_3_2_3() {
        let json = r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh",
            "1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#;
        let text = canonical(json).unwrap();
        let order = [
            "Carriage Return",
            "One",
            "Control",
            "Latin Small Letter O With Diaeresis",
            "Euro Sign",
            "Emoji: Grinning Face",
            "Hebrew Letter Dalet With Dagesh",
        ];
        let places: Vec<usize> = order.iter().map(|value| text.find(value).unwrap()).collect();
        assert!(places.is_sorted(), "{text}");
    }

    #[test]
    fn writes_strings_as_the_example_in_section_3_2_2() {
        let json = r#"{"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/"}"#;
        assert_eq!(canonical(json).unwrap(), r#"{"string":"€$\u000f\nA'B\"\\\\\"/"}"#);
    }

    #[test]
    fn agrees_with_the_published_test_data() {
        // `arrays`, `structures`, `unicode` and `weird` of the RFC author's test data, without their nulls and fractions.
        for (input, output) in [
            (
                r#"[ 56, { "d": true, "10": 7, "1": [ ] } ]"#,
                r#"[56,{"1":[],"10":7,"d":true}]"#,
            ),
            (
                r#"{ "1": {"f": {"f": "hi","F": 5} ,"\n": 56}, "10": { }, "": "empty", "a": { }, "111": [ {"e": "yes","E": "no" } ], "A": { } }"#,
                r#"{"":"empty","1":{"\n":56,"f":{"F":5,"f":"hi"}},"10":{},"111":[{"E":"no","e":"yes"}],"A":{},"a":{}}"#,
            ),
            (
                "{ \"Unnormalized Unicode\":\"A\\u030a\" }",
                "{\"Unnormalized Unicode\":\"A\u{30a}\"}",
            ),
            (
                r#"{"\u20ac":"Euro Sign","1":"One","\u0080":"Control\u007f","</script>":"Browser Challenge"}"#,
                "{\"1\":\"One\",\"</script>\":\"Browser Challenge\",\"\u{80}\":\"Control\u{7f}\",\"€\":\"Euro Sign\"}",
            ),
        ] {
            assert_eq!(canonical(input).unwrap(), output);
        }
    }

    #[test]
    fn refuses_fractions_nulls_and_integers_that_would_be_rounded() {
        for json in [
            "1.5",
            "1.0",
            "1e3",
            "-0",
            "[1,2.5]",
            "{\"a\":-0.0}",
            "18446744073709551616",
        ] {
            assert_eq!(canonical(json), Err(CanonicalError::Fraction), "{json}");
        }
        assert_eq!(canonical("[null]"), Err(CanonicalError::Null));
        assert_eq!(canonical("9007199254740992"), Err(CanonicalError::Integer));
        assert_eq!(canonical("-9007199254740992"), Err(CanonicalError::Integer));
        assert_eq!(
            canonical("[9007199254740991,-9007199254740991]").unwrap(),
            "[9007199254740991,-9007199254740991]"
        );
    }

    #[test]
    fn refuses_what_is_nested_beyond_the_limit() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(canonical(&nested(8)).unwrap(), nested(8));
        assert_eq!(canonical(&nested(9)), Err(CanonicalError::Depth { limit: 8 }));
        assert_eq!(
            canonical(&format!("{{\"a\":{}}}", nested(8))),
            Err(CanonicalError::Depth { limit: 8 })
        );
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (-(1i64 << 53) + 1..1i64 << 53).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 48, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_canonical_form_means_the_same_and_is_its_own_canonical_form(value in values()) {
            let mut first = Vec::new();
            write(&value, 8, &mut first).unwrap();
            let read: Value = serde_json::from_slice(&first).unwrap();
            prop_assert_eq!(&read, &value);
            let mut second = Vec::new();
            write(&read, 8, &mut second).unwrap();
            prop_assert_eq!(first, second);
        }
    }
}
