//! Which addresses in an answer may be followed: plain http and https addresses whose every character can be seen.

/// The longest address that can be followed, in bytes.
const MAX_TARGET_BYTES: usize = 2_048;
/// So much of another target is shown, in characters.
const MAX_SHOWN_CHARACTERS: usize = 200;

/// The address itself where it may be followed.
///
/// Refused are other schemes, user names (`https://bank.example@evil.example`), characters that cannot be seen or
/// that look like others (everything beyond ASCII), and what a browser would mend silently (backslashes, blanks).
pub fn followable(target: &str) -> Option<String> {
    let rest = ["http://", "https://"].iter().find_map(|scheme| {
        let head = target.get(..scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then(|| &target[scheme.len()..])
    })?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_is_plain = !authority.is_empty()
        && authority
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    let is_plain = target.len() <= MAX_TARGET_BYTES
        && target
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"\\\"<>`".contains(&byte));
    (host_is_plain && is_plain).then(|| target.to_owned())
}

/// Another target as text, not longer than one can read.
pub fn shortened(target: &str) -> String {
    if target.chars().count() <= MAX_SHOWN_CHARACTERS {
        return target.to_owned();
    }
    let shown: String = target.chars().take(MAX_SHOWN_CHARACTERS).collect();
    format!("{shown}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_addresses_can_be_followed() {
        for target in [
            "https://example.org/a?b=c#d",
            "HTTP://EXAMPLE.org",
            "http://[::1]:8480/",
            "https://xn--bcher-kva.example/",
        ] {
            assert_eq!(followable(target).as_deref(), Some(target));
        }
    }

    #[test]
    fn other_schemes_and_disguises_cannot() {
        for target in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "java\nscript:alert(1)",
            "data:text/html,<script>alert(1)</script>",
            "vbscript:x",
            "file:///etc/passwd",
            "//example.org",
            "/chat",
            "mailto:a@b.c",
            "https://bank.example@evil.example/",
            "https://user:pw@evil.example/",
            "https://bücher.example/",
            "https://example.org/\u{202e}gpj.exe",
            "https://example.org/a b",
            "https:\\\\evil.example",
            "https://",
            "http:/example.org",
            "https://example.org/\"onmouseover=alert(1)",
            "",
        ] {
            assert_eq!(followable(target), None, "{target}");
        }
        assert_eq!(followable(&format!("https://a.b/{}", "x".repeat(3_000))), None);
    }
}
