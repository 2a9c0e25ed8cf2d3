//! Characters that a person does not see, and what they are good for.

use crate::text;

/// What is the matter with a character where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unseen {
    /// It turns the direction of its neighbours, or belongs to an invisible alphabet: what is shown is not what is there.
    Deceives,
    /// It does not show, and is now and then left behind by a word processor or a web page.
    Odd,
}

/// The flags that are written as a black flag and invisible letters: England, Scotland and Wales.
const FLAGS: [&str; 3] = ["gbeng", "gbsct", "gbwls"];

/// Looks at the characters of a text one after the other.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    last: Option<char>,
    /// The invisible letters since a black flag.
    flag: Option<String>,
}

impl Watch {
    /// What is the matter with the next character, if anything is.
    pub fn next(&mut self, character: char) -> Option<Unseen> {
        let last = self.last.replace(character);
        if !is_suspect(character) {
            self.flag = (character == '\u{1f3f4}').then(String::new);
            return None;
        }
        match u32::from(character) {
            0xE0020..=0xE007F => (!self.continues_flag(character)).then_some(Unseen::Deceives),
            // One chooses between forms of the character before it. More of them are letters of an alphabet.
            0xFE00..=0xFE0F if !last.is_some_and(is_selector) => None,
            0xE0100..=0xE01EF if last.is_some_and(is_ideograph) => None,
            0xFE00..=0xFE0F | 0xE0100..=0xE01EF | 0x202A..=0x202E | 0x2066..=0x2069 | 0xE0000..=0xE001F => {
                Some(Unseen::Deceives)
            }
            // Persian and Indian scripts, emoji and right-to-left text need these; a file may begin with the last.
            0x200C..=0x200F | 0x00AD => None,
            0xFEFF if last.is_none() => None,
            _ => Some(Unseen::Odd),
        }
    }

    fn continues_flag(&mut self, character: char) -> bool {
        let Some(letters) = &mut self.flag else {
            return false;
        };
        let letter = u32::from(character).checked_sub(0xE0000).and_then(char::from_u32);
        match letter {
            Some('\u{7f}') => {
                let is_flag = FLAGS.contains(&letters.as_str());
                self.flag = None;
                is_flag
            }
            Some(letter) => {
                letters.push(letter);
                let begins = FLAGS.iter().any(|flag| flag.starts_with(letters.as_str()));
                if !begins {
                    self.flag = None;
                }
                begins
            }
            None => false,
        }
    }
}

fn is_suspect(character: char) -> bool {
    !character.is_ascii() && text::is_hidden(character)
}

fn is_selector(character: char) -> bool {
    matches!(u32::from(character), 0xFE00..=0xFE0F | 0xE0100..=0xE01EF)
}

fn is_ideograph(character: char) -> bool {
    matches!(u32::from(character), 0x3400..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF)
}

/// The first character of a text that deceives or, if none does, the first that is odd.
pub fn first(text: &str) -> Option<(char, Unseen)> {
    let mut watch = Watch::default();
    let mut odd = None;
    for character in text.chars() {
        match watch.next(character) {
            Some(Unseen::Deceives) => return Some((character, Unseen::Deceives)),
            Some(Unseen::Odd) => odd = odd.or(Some((character, Unseen::Odd))),
            None => {}
        }
    }
    odd
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_passes() {
        for text in [
            "plain\ttext\r\n",
            "Größe 模型 हिन्दी می‌خواهم",
            "👩‍👩‍👧 ❤️ 🏳️‍🌈",
            "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f} England",
            "\u{845b}\u{e0100} city",
            "\u{feff}with a mark at the start",
        ] {
            assert_eq!(first(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_deceives_is_told_from_what_is_odd() {
        for (text, unseen) in [
            ("a\u{202e}b", Unseen::Deceives),
            ("a\u{2066}b", Unseen::Deceives),
            ("a\u{e0061}", Unseen::Deceives),
            ("\u{1f3f4}\u{e0069}\u{e0067}", Unseen::Deceives),
            ("\u{1f3f4} \u{e0067}", Unseen::Deceives),
            ("\u{1f3f4}\u{e0067}\u{e007f}", Unseen::Deceives),
            ("\u{1f600}\u{fe0f}\u{fe01}", Unseen::Deceives),
            ("a\u{e0105}", Unseen::Deceives),
            ("\u{845b}\u{e0100}\u{e0101}", Unseen::Deceives),
            ("a\u{200b}b", Unseen::Odd),
            ("a\u{feff}b", Unseen::Odd),
            ("a\u{e000}b", Unseen::Odd),
            ("a\u{200b}b\u{202e}", Unseen::Deceives),
        ] {
            assert_eq!(first(text).map(|(_, unseen)| unseen), Some(unseen), "{text:?}");
        }
    }
}
