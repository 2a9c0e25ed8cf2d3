//! Text of protocol 0, which is written with escapes. A name is compared after they are resolved, as readers do.

use super::lexer::{KEPT_BYTES, Payload, UNKNOWN};

/// The text in the quotes of a STRING.
pub fn quoted(line: &Payload) -> Payload {
    let text = line.kept.trim_ascii_end();
    let inner = match text {
        [open @ (b'\'' | b'"'), inner @ .., close] if open == close => inner,
        // Readers give up; going on shows more than they see.
        _ => text,
    };
    let mut out = Vec::new();
    let mut rest = inner;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some((&escape, after)) = rest.split_first() else {
            break;
        };
        rest = after;
        match escape {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            b'a' => out.push(7),
            b'b' => out.push(8),
            b'v' => out.push(11),
            b'f' => out.push(12),
            b'\\' | b'\'' | b'"' => out.push(escape),
            b'\n' => {}
            b'x' => {
                if let Some(code) = digits(&mut rest, 2, 16) {
                    out.push(u8::try_from(code).unwrap_or(b'?'));
                }
            }
            b'0'..=b'7' => {
                let mut code = u32::from(escape - b'0');
                for _ in 0..2 {
                    match rest.split_first() {
                        Some((&digit @ b'0'..=b'7', after)) => {
                            code = code * 8 + u32::from(digit - b'0');
                            rest = after;
                        }
                        _ => break,
                    }
                }
                out.push(u8::try_from(code & 0xff).unwrap_or(b'?'));
            }
            _ => out.extend([b'\\', escape]),
        }
    }
    let chars = out.len() as u64;
    decoded(line, out, chars)
}

/// The text of a UNICODE, where only `\u` and `\U` are escapes.
pub fn raw_unicode(line: &Payload) -> Payload {
    let mut out = Vec::new();
    let mut rest = line.kept.as_slice();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let width = match (byte, rest.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            // A backslash that begins no escape goes with what follows it, which then begins none either.
            (b'\\', Some(&next)) => {
                out.push(byte);
                out.extend(char::from(next).to_string().bytes());
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            // Every other byte is the character of that number.
            _ => {
                out.extend(char::from(byte).to_string().bytes());
                continue;
            }
        };
        rest = rest.get(1..).unwrap_or_default();
        let code = digits(&mut rest, width, 16).and_then(char::from_u32);
        out.extend(code.unwrap_or(char::REPLACEMENT_CHARACTER).to_string().bytes());
    }
    let chars = String::from_utf8_lossy(&out).chars().count() as u64;
    decoded(line, out, chars)
}

/// Takes so many digits, if they are there.
fn digits(rest: &mut &[u8], count: usize, radix: u32) -> Option<u32> {
    let (head, after) = rest.split_at_checked(count)?;
    let text = std::str::from_utf8(head).ok()?;
    let code = u32::from_str_radix(text, radix).ok()?;
    *rest = after;
    Some(code)
}

/// The length of a text that was kept as a whole is known after its escapes are resolved.
fn decoded(line: &Payload, mut out: Vec<u8>, chars: u64) -> Payload {
    let whole = line.kept.len() as u64 == line.length;
    let length = if whole { out.len() as u64 } else { line.length };
    if !whole {
        out.truncate(KEPT_BYTES);
    }
    Payload {
        kept: out,
        length,
        chars: if whole { chars } else { UNKNOWN },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(text: &[u8]) -> Payload {
        Payload {
            kept: text.to_vec(),
            length: text.len() as u64,
            chars: text.len() as u64,
        }
    }

    #[test]
    fn resolves_the_escapes_of_strings() {
        assert_eq!(quoted(&payload(b"'o\\x73'")).kept, b"os");
        assert_eq!(quoted(&payload(b"\"\\163ys\\ntem\\q\"")).kept, b"sys\ntem\\q");
        assert_eq!(quoted(&payload(b"'\\x'")).kept, b"");
        assert_eq!(quoted(&payload(b"'")).kept, b"'");
    }

    #[test]
    fn resolves_the_escapes_of_unicode() {
        assert_eq!(raw_unicode(&payload(b"o\\u0073")).kept, b"os");
        assert_eq!(raw_unicode(&payload(b"a\\\\u0062\\n")).kept, b"a\\\\u0062\\n");
    }
}
