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

/// The flags that everybody has: England, Scotland and Wales.
const FLAGS: [&str; 3] = ["gbeng", "gbsct", "gbwls"];
/// How many other flags of parts of a country a text may have: each is some letters that nobody sees.
const MAX_FLAGS: u8 = 16;
/// The longest flag: a country of two letters, and a part of it of three letters or digits.
const MAX_FLAG_LETTERS: usize = 5;

/// Looks at the characters of a text one after the other.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    last: Option<char>,
    /// The invisible letters since a black flag.
    flag: Option<String>,
    /// How many flags there were besides the usual ones.
    flags: u8,
    /// Whether the last character is the second of two that are the same and choose a form.
    doubled: bool,
}

impl Watch {
    /// What is the matter with the next character, if anything is.
    pub fn next(&mut self, character: char) -> Option<Unseen> {
        let last = self.last.replace(character);
        let doubled = std::mem::take(&mut self.doubled);
        if !is_suspect(character) {
            // Letters without the end of a flag are none: there are to be no more of them.
            if self.flag.as_ref().is_some_and(|letters| !letters.is_empty()) {
                self.flags = MAX_FLAGS;
            }
            self.flag = (character == '\u{1f3f4}').then(String::new);
            return None;
        }
        match u32::from(character) {
            0xE0020..=0xE007F => (!self.continues_flag(character)).then_some(Unseen::Deceives),
            // One chooses between forms of the character before it. More of them are letters of an alphabet.
            0xFE00..=0xFE0F if !last.is_some_and(is_selector) => None,
            // Editors put it there once more, which changes nothing.
            0xFE0F if last == Some(character) && !doubled => {
                self.doubled = true;
                None
            }
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
        let Some(mut letters) = self.flag.take() else {
            return false;
        };
        let letter = u32::from(character).checked_sub(0xE0000).and_then(char::from_u32);
        match letter {
            Some('\u{7f}') => {
                let usual = FLAGS.contains(&letters.as_str());
                self.flags = self.flags.saturating_add(u8::from(!usual));
                letters.len() > 2 && (usual || self.flags <= MAX_FLAGS)
            }
            Some(letter) => {
                let continues = letters.len() < MAX_FLAG_LETTERS
                    && (letter.is_ascii_lowercase() || letters.len() > 1 && letter.is_ascii_digit());
                letters.push(letter);
                let usual = FLAGS.iter().any(|flag| flag.starts_with(letters.as_str()));
                let continues = continues && (usual || self.flags < MAX_FLAGS);
                self.flag = continues.then_some(letters);
                continues
            }
            None => false,
        }
    }
}

/// Characters that turn the direction of text, judged by the line that they are in. Writers of Arabic, Hebrew or Persian set a name or an
/// address apart with them. Where a program stands, they make it look like another, and where they reach beyond what they began in, nobody
/// sees what they turn.
#[derive(Debug, Clone, Default)]
pub struct Turns {
    /// The first of the line, and where it stands.
    first: Option<(u64, char)>,
    /// What has begun and not ended.
    open: Vec<char>,
    unbalanced: bool,
    line: Line,
    fence: Fence,
}

/// What is known of a line.
#[derive(Debug, Clone, Default)]
struct Line {
    /// Whether it may be program code.
    code: bool,
    /// How many columns of blanks it begins with.
    indent: usize,
    /// Whether something else came.
    begun: bool,
    /// The marks just before, how many, and whether the line begins with them.
    run: Option<(char, usize, bool)>,
    /// The marks of a fence that it begins with, and whether something follows them.
    fence: Option<(char, usize, bool)>,
    /// The name of the element of a page that begins here.
    element: Option<String>,
    /// Whether a block of code may begin or end here in a way that readers disagree about.
    doubtful: bool,
}

/// The block of code that the line is in.
#[derive(Debug, Clone, Copy, Default)]
enum Fence {
    #[default]
    None,
    /// It ends with a line of so many of these marks.
    Open(char, usize),
    /// Readers may disagree about where it begins or ends: everything from here on counts as code.
    Doubtful,
}

/// The most that can begin in one another.
const MAX_OPEN: usize = 8;
/// From how many columns on a line is code by its indentation, or belongs to a list.
const CODE_INDENT: usize = 4;
/// Elements of HTML that show code.
const CODE_ELEMENTS: [&str; 3] = ["pre", "code", "samp"];
/// The fewest marks of a fence.
const FENCE: usize = 3;

impl Turns {
    /// Whether a character is one of those. Overrides never are: they turn letters that have a direction of their own.
    pub fn is_one(character: char) -> bool {
        matches!(u32::from(character), 0x202A..=0x202C | 0x2066..=0x2069)
    }

    /// Takes a character of the text. When a line ends: the first of these in it, where it stands, and what is the matter with it.
    pub fn next(&mut self, at: u64, character: char) -> Option<(u64, char, Unseen)> {
        if matches!(
            character,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        ) {
            return self.end();
        }
        self.line.see(character);
        if Self::is_one(character) {
            self.first.get_or_insert((at, character));
            self.turn(character);
        }
        None
    }

    fn turn(&mut self, character: char) {
        let ends = match character {
            '\u{2069}' => Some('\u{2066}'..='\u{2068}'),
            '\u{202c}' => Some('\u{202a}'..='\u{202b}'),
            _ => None,
        };
        match ends {
            Some(begins) => {
                let begun = self.open.pop();
                self.unbalanced |= !begun.is_some_and(|begun| begins.contains(&begun));
            }
            None if self.open.len() < MAX_OPEN => self.open.push(character),
            None => self.unbalanced = true,
        }
    }

    /// The line ends, or the text.
    pub fn end(&mut self) -> Option<(u64, char, Unseen)> {
        let line = std::mem::take(&mut self.line);
        let code = line.code || line.fence.is_some() || line.doubtful || !matches!(self.fence, Fence::None);
        self.fence = self.fence.after(&line);
        let unbalanced = std::mem::take(&mut self.unbalanced) || !self.open.is_empty();
        self.open.clear();
        let unseen = if unbalanced || code {
            Unseen::Deceives
        } else {
            Unseen::Odd
        };
        self.first.take().map(|(at, character)| (at, character, unseen))
    }
}

impl Line {
    fn see(&mut self, character: char) {
        self.code |=
            matches!(character, '`' | '{' | '}' | ';' | '$' | '=' | '\\' | '<') || self.indent >= CODE_INDENT;
        self.element(character);
        if matches!(character, '`' | '~') {
            let (count, first) = match self.run {
                Some((mark, count, first)) if mark == character => (count.saturating_add(1), first),
                _ => (1, !self.begun),
            };
            self.run = Some((character, count, first));
            if first && count >= FENCE {
                self.fence = Some((character, count, false));
            }
            // What follows the marks is no name of a language if it has such a mark; elsewhere in a line, as in a list, they may
            // begin a block or be its content.
            self.doubtful |= !first && (count >= FENCE || self.fence.is_some());
        } else {
            self.run = None;
            match character {
                ' ' if !self.begun => self.indent += 1,
                '\t' if !self.begun => self.indent += CODE_INDENT,
                ' ' | '\t' => {}
                _ => {
                    if let Some((_, _, followed)) = &mut self.fence {
                        *followed = true;
                    }
                }
            }
        }
        self.begun |= !matches!(character, ' ' | '\t');
    }

    /// An element of HTML that shows code, however many lines that has.
    fn element(&mut self, character: char) {
        if character == '<' {
            self.element = Some(String::new());
        } else if let Some(name) = &mut self.element {
            name.push(character.to_ascii_lowercase());
            let shows_code = CODE_ELEMENTS.contains(&name.as_str());
            self.doubtful |= shows_code;
            if shows_code
                || !CODE_ELEMENTS
                    .iter()
                    .any(|element| element.starts_with(name.as_str()))
            {
                self.element = None;
            }
        }
    }
}

impl Fence {
    /// What holds after this line.
    fn after(self, line: &Line) -> Self {
        let fence = line.fence;
        match (self, fence) {
            (Self::Doubtful, _) => Self::Doubtful,
            _ if line.doubtful => Self::Doubtful,
            // In a list a fence may be indented.
            (_, Some(_)) if line.indent >= CODE_INDENT => Self::Doubtful,
            (Self::None, Some((mark, count, _))) => Self::Open(mark, count),
            (Self::Open(mark, count), Some((other, length, false))) if mark == other && length >= count => {
                Self::None
            }
            (unchanged, _) => unchanged,
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
            "\u{1f3f4}\u{e0075}\u{e0073}\u{e0074}\u{e0078}\u{e007f} Texas",
            "\u{1f3f4}\u{e0066}\u{e0072}\u{e0032}\u{e0030}\u{e0072}\u{e007f}",
            "❤\u{fe0f}\u{fe0f} twice",
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
            ("\u{1f3f4}\u{e0069}\u{e0067}\u{e007f}", Unseen::Deceives),
            ("\u{1f3f4}\u{e0031}", Unseen::Deceives),
            ("\u{1f3f4}\u{e0055}", Unseen::Deceives),
            ("\u{1f3f4}\u{e0075}\u{e0073}\u{e0020}", Unseen::Deceives),
            (
                "\u{1f3f4}\u{e0069}\u{e0067}\u{e006e}\u{e006f}\u{e0072}\u{e0065}",
                Unseen::Deceives,
            ),
            ("\u{1f3f4}\u{e0069}\u{e0067}x\u{1f3f4}\u{e0069}", Unseen::Deceives),
            ("a\u{fe0f}\u{fe0f}\u{fe0f}", Unseen::Deceives),
            ("a\u{fe0e}\u{fe0e}", Unseen::Deceives),
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

    #[test]
    fn many_flags_are_an_alphabet() {
        let flag = |letters: &str| -> String {
            let tags = letters
                .chars()
                .filter_map(|letter| char::from_u32(0xe0000 + u32::from(letter)));
            std::iter::once('\u{1f3f4}')
                .chain(tags)
                .chain(['\u{e007f}'])
                .collect()
        };
        assert_eq!(first(&flag("gbeng").repeat(100)), None);
        assert_eq!(first(&flag("usca").repeat(16)), None);
        assert_eq!(
            first(&flag("usca").repeat(17)).map(|(_, unseen)| unseen),
            Some(Unseen::Deceives)
        );
    }

    /// What each line with such characters comes to.
    fn lines(text: &str) -> Vec<Unseen> {
        let mut turns = Turns::default();
        let mut found: Vec<_> = (0..)
            .zip(text.chars())
            .filter_map(|(at, character)| turns.next(at, character))
            .collect();
        found.extend(turns.end());
        found.into_iter().map(|(_, _, unseen)| unseen).collect()
    }

    #[test]
    fn what_turns_and_ends_within_a_line_of_prose_is_odd() {
        for text in [
            "\u{2067}שלום\u{2069} a",
            "שלום \u{2066}model-7b\u{2069} (\u{202a}v1\u{202c})",
            "\u{2068}\u{202b}a\u{202c}\u{2069}",
            "```\ncode\n```\nשלום \u{2066}a\u{2069}",
            "about ~7b\n<div>\nשלום \u{2066}a\u{2069}",
            "~~~~ x\n```\n~~~~\nשלום \u{2066}a\u{2069}\r\n",
        ] {
            assert_eq!(lines(text), [Unseen::Odd], "{text:?}");
        }
        assert_eq!(lines("שלום `a`\n"), []);
    }

    #[test]
    fn what_turns_code_or_does_not_end_deceives() {
        for text in [
            "\u{2067}שלום",
            "\u{2067}שלום\n\u{2069}",
            "שלום\u{2069}",
            "\u{2067}a\u{202c}",
            "\u{202b}\u{2066}a\u{202c}\u{2069}",
            "`a\u{2066}b\u{2069}`",
            "if a { \u{2066}b\u{2069}",
            "    a\u{2066}b\u{2069}",
            "\ta\u{2066}b\u{2069}",
            "```\na\u{2066}b\u{2069}",
            "````\n```\na\u{2066}b\u{2069}",
            "```\n~~~\na\u{2066}b\u{2069}",
            "```\n``` x\na\u{2066}b\u{2069}",
            "- a\n\n      ```\na\u{2066}b\u{2069}",
            "```a`\na\u{2066}b\u{2069}",
            "<pre>a\u{2066}b\u{2069}",
            "<PRE class=x>\na\u{2066}b\u{2069}",
            "> ```\n> a\u{2066}b\u{2069}",
            "- ```\n  a\u{2066}b\u{2069}",
        ] {
            let found = lines(text);
            assert!(found.contains(&Unseen::Deceives), "{text:?}: {found:?}");
        }
        let deep = format!("{}{}", "\u{2066}".repeat(9), "\u{2069}".repeat(9));
        assert_eq!(lines(&deep), [Unseen::Deceives]);
        assert!(!Turns::is_one('\u{202e}') && !Turns::is_one('\u{202d}'));
    }
}
