//! The text of a template before it is parsed: what only trainers need is taken out, and what would make the parser's tree too deep
//! is refused.

use minijinja::machinery::{Token, WhitespaceConfig, ast, parse, tokenize};
use minijinja::syntax::SyntaxConfig;

/// The most parts of one tag. Operators, filters and attributes in a row nest as deep in the tree as there are of them; tags of the
/// known families have some hundred.
const MAX_TAG_TOKENS: usize = 2048;
/// The most `elif` in one template: each lies inside the one before.
const MAX_ELIFS: usize = 256;

/// Takes out `{% generation %}` and `{% endgeneration %}`, which mark the parts to train on and mean nothing here. Places do not
/// change: the tags become comments of the same length, which have the same effect on the white space around them.
pub fn without_generation_marks(source: &str) -> String {
    let mut kept = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        kept.push_str(before);
        let Some(end) = tag.find("%}") else {
            rest = tag;
            break;
        };
        let (tag, after) = tag.split_at(end + 2);
        let inner = tag
            .strip_prefix("{%")
            .and_then(|tag| tag.strip_suffix("%}"))
            .unwrap_or_default();
        if matches!(
            inner.trim_matches(['-', '+']).trim(),
            "generation" | "endgeneration"
        ) {
            kept.push_str("{#");
            kept.push_str(inner);
            kept.push_str("#}");
        } else {
            kept.push_str(tag);
        }
        rest = after;
    }
    kept.push_str(rest);
    kept
}

/// How templates of chat models treat white space around tags.
pub const fn white_space() -> WhitespaceConfig {
    WhitespaceConfig {
        keep_trailing_newline: false,
        lstrip_blocks: true,
        trim_blocks: true,
    }
}

/// Whether the tree of this template would be too deep to walk. What cannot be read at all is left to the parser to say.
pub fn is_too_deep(source: &str) -> bool {
    let (mut in_tag, mut elifs) = (0_usize, 0_usize);
    for token in tokenize(source, false, SyntaxConfig, white_space()) {
        let Ok((token, _)) = token else { return false };
        match token {
            Token::VariableStart | Token::BlockStart | Token::VariableEnd | Token::BlockEnd => in_tag = 0,
            Token::Ident("elif") => elifs += 1,
            _ => {}
        }
        in_tag += 1;
        if in_tag > MAX_TAG_TOKENS || elifs > MAX_ELIFS {
            return true;
        }
    }
    false
}

/// Where a text has an escape that Python resolves and the parser here does not, in bytes from the start: `\N{…}`, `\U…` and the end of
/// a line. A name could be hidden behind it.
pub fn odd_escape(source: &str) -> Option<usize> {
    tokenize(source, false, SyntaxConfig, white_space())
        .map_while(Result::ok)
        .filter(|(token, _)| matches!(token, Token::Str(_) | Token::String(_)))
        .find_map(|(_, span)| {
            let start = usize::try_from(span.start_offset).ok()?;
            let text = source.get(start..usize::try_from(span.end_offset).ok()?)?;
            let mut characters = text.char_indices();
            while let Some((at, character)) = characters.next() {
                if character == '\\'
                    && let Some((_, 'N' | 'U' | '\n' | '\r')) = characters.next()
                {
                    return Some(start + at);
                }
            }
            None
        })
}

/// The syntax tree.
///
/// # Errors
///
/// When it is not Jinja, in minijinja's words.
pub fn tree(source: &str) -> Result<ast::Stmt<'_>, minijinja::Error> {
    parse(source, "chat", SyntaxConfig, white_space())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generation_marks_become_comments_in_the_same_place() {
        let source = "a{% generation %}b{%- endgeneration -%} c {% generation";
        let kept = without_generation_marks(source);
        assert_eq!(kept, "a{# generation #}b{#- endgeneration -#} c {% generation");
        assert_eq!(kept.len(), source.len());
    }

    #[test]
    fn escapes_that_only_python_resolves_are_found() {
        assert_eq!(odd_escape(r"{{ x['\N{LOW LINE}'] }}"), Some(6));
        assert_eq!(odd_escape(r"{{ x['a\U0000005f'] }}"), Some(7));
        assert_eq!(odd_escape("{{ x['a\\\nb'] }}"), Some(7));
        assert_eq!(odd_escape(r"\N {{ 'a\n\\N\x41\u0041' }}"), None);
    }

    #[test]
    fn long_chains_are_too_deep_and_long_templates_are_not() {
        assert!(is_too_deep(&format!("{{{{ a{} }}}}", "+a".repeat(3000))));
        assert!(is_too_deep(&format!("{{{{ a{} }}}}", "|trim".repeat(3000))));
        assert!(is_too_deep(&format!(
            "{{% if a %}}{}{{% endif %}}",
            "{% elif a %}".repeat(300)
        )));
        assert!(!is_too_deep(&"{{ a + a }}{% if a %}b{% endif %}".repeat(3000)));
        assert!(!is_too_deep(&"text ".repeat(10_000)));
    }
}
