//! Splits text into words before merging, by GPT-2's expression
//! `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
//!
//! Letters are Rust's `is_alphabetic`, which takes a few combining marks for letters that llama.cpp does not: text in
//! such scripts may be cut differently there, which changes token boundaries and never the text.

/// What a character counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Number,
    Space,
    Other,
}

fn class(character: char) -> Class {
    if character.is_numeric() {
        Class::Number
    } else if character.is_alphabetic() {
        Class::Letter
    } else if character.is_whitespace() {
        Class::Space
    } else {
        Class::Other
    }
}

/// The words of `text`; joined, they are `text`.
pub fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (word, tail) = rest.split_at(first_word(rest)?);
        rest = tail;
        Some(word)
    })
}

/// Length of the first word, in bytes.
fn first_word(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    let contraction = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"]
        .iter()
        .find(|short| text.starts_with(**short));
    if let Some(short) = contraction {
        return Some(short.len());
    }
    let lead = usize::from(first == ' ');
    let body = text.get(lead..).unwrap_or_default();
    if let Some(kind) = body
        .chars()
        .next()
        .map(class)
        .filter(|&kind| kind != Class::Space)
    {
        return Some(lead + run(body, kind));
    }
    // White space: all of it at the end of the text, else all but the last, which may belong to the next word.
    let spaces = run(text, Class::Space);
    let last = text[..spaces].chars().next_back().map_or(0, char::len_utf8);
    Some(if spaces < text.len() && spaces > last {
        spaces - last
    } else {
        spaces
    })
}

/// Length of the run of characters of one class that `text` begins with, in bytes.
fn run(text: &str, kind: Class) -> usize {
    text.find(|character| class(character) != kind)
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        split(text).collect()
    }

    #[test]
    fn a_space_belongs_to_the_word_after_it() {
        assert_eq!(words("Is it up? yes"), ["Is", " it", " up", "?", " yes"]);
    }

    #[test]
    fn contractions_numbers_and_signs_stand_alone() {
        assert_eq!(
            words("what's 127.0.0.1:8480"),
            ["what", "'s", " 127", ".", "0", ".", "0", ".", "1", ":", "8480"]
        );
        assert_eq!(words("it'x --json"), ["it", "'", "x", " --", "json"]);
    }

    #[test]
    fn the_last_of_several_spaces_goes_to_the_next_word() {
        assert_eq!(words("a   b"), ["a", "  ", " b"]);
        assert_eq!(words("a\n\nb"), ["a", "\n", "\n", "b"]);
        assert_eq!(words("a  "), ["a", "  "]);
        assert_eq!(words("user\nHi"), ["user", "\n", "Hi"]);
    }
}
