//! The values of a document in YAML that are no lists and no mappings, each with the names that lead to it.
//!
//! No reader of YAML, which refuses what is malformed: whatever the text is, something is made of it, so that a value cannot hide behind
//! what only a strict reader sees. Where it is in doubt what a value is, more is taken for one.

/// Where readers of YAML begin another line.
pub const BREAKS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

/// The most levels whose names are kept.
const MAX_LEVELS: usize = 64;
/// The longest name that is kept.
const MAX_NAME: usize = 64;
/// How many bytes are gone through for quotes that are none, over the whole document.
const MAX_LOST: usize = 4 << 20;

/// A value.
#[derive(Debug)]
pub struct Scalar<'a> {
    /// Where it begins.
    pub at: usize,
    /// The names of the members that it is in, from the top.
    pub names: Vec<&'a str>,
    /// What it says, without quotes and escapes, its lines joined.
    pub text: &'a str,
}

/// A mapping or a list that is open.
#[derive(Debug)]
struct Level {
    /// Where in the line the name stands; none within brackets.
    column: Option<usize>,
    name: String,
}

#[derive(Debug)]
struct Reader<'a> {
    source: &'a str,
    at: usize,
    open: Vec<Level>,
    /// How many brackets are open.
    brackets: usize,
    lost: usize,
}

/// Goes through the values in `source`.
pub fn each(source: &str, mut take: impl FnMut(&Scalar<'_>)) {
    let mut reader = Reader {
        source,
        at: 0,
        open: Vec::new(),
        brackets: 0,
        lost: 0,
    };
    while reader.at < source.len() {
        reader.line(&mut take);
    }
}

fn is_break(character: char) -> bool {
    BREAKS.contains(&character)
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\u{feff}')
}

fn is_space(character: char) -> bool {
    is_blank(character) || is_break(character)
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn next(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Whether what stands behind the next character ends it.
    fn is_alone(&self) -> bool {
        let mut characters = self.rest().chars();
        characters.next();
        characters.next().is_none_or(is_space)
    }

    /// Goes on to the next character that is not one of these, and returns how many there were.
    fn pass(&mut self, is_passed: impl Fn(char) -> bool) -> usize {
        let rest = self.rest();
        let bytes = rest.find(|character| !is_passed(character)).unwrap_or(rest.len());
        let count = rest.get(..bytes).map_or(0, |passed| passed.chars().count());
        self.at += bytes;
        count
    }

    fn end_line(&mut self) {
        self.pass(|character| !is_break(character));
        self.at += self.next().map_or(0, char::len_utf8);
    }

    /// The names end that stand in the line at `column` or behind it.
    fn close(&mut self, column: usize) {
        if self.brackets == 0 {
            self.open
                .retain(|level| level.column.is_some_and(|begins| begins < column));
        }
    }

    fn line(&mut self, take: &mut impl FnMut(&Scalar<'_>)) {
        let mut column = self.pass(is_blank);
        if self.brackets == 0 && column == 0 && self.rest().starts_with("---") {
            self.open.clear();
            self.at += 3;
            column += 3;
        }
        // The column that lines must stand behind to go on with the value.
        let columns = self.open.iter().rev().filter_map(|level| level.column);
        let mut parent = { columns }.find(|begins| *begins < column);
        let mut asks = false;
        // Where what belongs to the next value begins, if that is before the value.
        let mut anchored = None;
        loop {
            column += self.pass(is_blank);
            let Some(next) = self.next() else { return };
            match next {
                _ if is_break(next) => {
                    self.at += next.len_utf8();
                    return;
                }
                '#' => {
                    self.end_line();
                    return;
                }
                '-' | '?' | ':' if self.is_alone() => {
                    if next != ':' {
                        self.close(column + 1);
                    }
                    asks = next == '?';
                    parent = Some(column);
                    anchored = None;
                    self.at += 1;
                    column += 1;
                }
                ':' if self.brackets > 0 => {
                    self.at += 1;
                    column += 1;
                }
                '[' | '{' => {
                    self.brackets += 1;
                    if self.open.len() < MAX_LEVELS {
                        self.open.push(Level {
                            column: None,
                            name: String::new(),
                        });
                    }
                    self.at += 1;
                    column += 1;
                }
                ']' | '}' | ',' if self.brackets > 0 => {
                    self.mark(next);
                    self.at += 1;
                    column += 1;
                }
                '&' | '!' => {
                    anchored.get_or_insert(column);
                    let within = self.brackets > 0;
                    column += self
                        .pass(|character| !(is_space(character) || within && ",[]{}".contains(character)));
                }
                '|' | '>' if self.brackets == 0 && parent.is_some() && self.is_header() => {
                    self.block(parent.unwrap_or_default(), take);
                    return;
                }
                _ => {
                    let begins = self.at;
                    let (text, is_plain) = match self.quoted(next) {
                        Some(text) => (text, false),
                        None => (self.plain().to_owned(), true),
                    };
                    let at_key = anchored.take().unwrap_or(column);
                    column += self
                        .source
                        .get(begins..self.at)
                        .map_or(0, |text| text.chars().count());
                    column += self.pass(is_blank);
                    let is_key = self.next() == Some(':') && (self.is_alone() || self.brackets > 0);
                    if is_key {
                        self.at += 1;
                        column += 1;
                    }
                    if is_key {
                        parent = Some(at_key);
                        self.key(at_key, &text);
                        continue;
                    }
                    let goes_on = parent.filter(|_| is_plain && self.brackets == 0);
                    let text = match goes_on {
                        Some(parent) => self.continued(text, parent),
                        None => text,
                    };
                    if std::mem::take(&mut asks) {
                        self.key(at_key, &text);
                    } else {
                        self.give(begins, &text, take);
                    }
                    // The next line begins.
                    if goes_on.is_some() {
                        return;
                    }
                }
            }
        }
    }

    /// A bracket closes, or another item of what it holds begins.
    fn mark(&mut self, mark: char) {
        let inner = self.open.last_mut().filter(|level| level.column.is_none());
        if mark != ',' {
            // Those that were too many have no names.
            let levels = self.open.iter().filter(|level| level.column.is_none()).count();
            if levels >= self.brackets {
                self.open.pop();
            }
            self.brackets -= 1;
        } else if let Some(level) = inner {
            level.name.clear();
        }
    }

    fn key(&mut self, column: usize, name: &str) {
        let name: String = name.chars().take(MAX_NAME).collect();
        if self.brackets > 0 {
            if let Some(level) = self.open.last_mut().filter(|level| level.column.is_none()) {
                level.name = name;
            }
            return;
        }
        self.close(column);
        if self.open.len() < MAX_LEVELS {
            self.open.push(Level {
                column: Some(column),
                name,
            });
        }
    }

    fn give(&self, at: usize, text: &str, take: &mut impl FnMut(&Scalar<'_>)) {
        let names = self.open.iter().map(|level| level.name.as_str());
        take(&Scalar {
            at,
            names: names.filter(|name| !name.is_empty()).collect(),
            text,
        });
    }

    /// A value without quotes, up to the end of its line.
    fn plain(&mut self) -> &'a str {
        let rest = self.source.get(self.at..).unwrap_or_default();
        let within = self.brackets > 0;
        let mut before = '\0';
        let mut end = rest.len();
        let mut characters = rest.char_indices().peekable();
        while let Some((place, character)) = characters.next() {
            let after = characters.peek().map(|(_, after)| *after);
            let ends = is_break(character)
                || (within && ",[]{}".contains(character))
                || (character == '#' && is_blank(before))
                || (character == ':'
                    && after.is_none_or(|after| is_space(after) || (within && ",[]{}".contains(after))));
            // The first is one that nothing else could be made of.
            if ends && place > 0 {
                end = place;
                break;
            }
            before = character;
        }
        self.at += end;
        rest.get(..end).unwrap_or_default().trim()
    }

    /// A value without quotes with the lines that go on with it: those behind the column of its name.
    fn continued(&mut self, mut text: String, parent: usize) -> String {
        loop {
            let begins = self.at;
            self.pass(|character| !is_break(character));
            let comment = self.source.get(begins..self.at).unwrap_or_default();
            self.pass(is_break);
            let line = self.at;
            let column = self.pass(is_blank);
            let start = self.at;
            self.pass(|character| !is_break(character));
            let more = self.source.get(start..self.at).unwrap_or_default().trim();
            let goes_on =
                comment.trim().is_empty() && column > parent && !more.is_empty() && !more.starts_with('#');
            // No reader takes a name for part of the value. What would be one is looked at as one.
            let is_other = more.contains(": ") || more.ends_with(':');
            if !goes_on || is_other {
                self.at = line;
                return text;
            }
            text.push(' ');
            text.push_str(more.split(" #").next().unwrap_or(more).trim());
        }
    }

    /// Whether the line ends behind the mark of a block of text.
    fn is_header(&self) -> bool {
        let line = self.rest().split(is_break).next().unwrap_or_default();
        let rest = line.trim_start_matches(['|', '>', '+', '-', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
        rest.trim().is_empty() || rest.trim_start_matches(is_blank).starts_with('#')
    }

    /// A block of text: the lines behind the column of its name.
    fn block(&mut self, parent: usize, take: &mut impl FnMut(&Scalar<'_>)) {
        let begins = self.at;
        let line = self.rest().split(is_break).next().unwrap_or_default();
        let digit = line.chars().take(3).find_map(|digit| digit.to_digit(10));
        let mut margin = digit
            .and_then(|digit| usize::try_from(digit).ok())
            .map(|digit| parent + digit);
        self.end_line();
        let mut text = String::new();
        while self.at < self.source.len() {
            let line = self.at;
            let column = self.pass(|character| character == ' ');
            let is_empty = self.next().is_none_or(is_break);
            let least = margin.unwrap_or(parent + 1);
            if !is_empty && column < least {
                self.at = line;
                break;
            }
            if !is_empty {
                margin.get_or_insert(column);
            }
            let start = self.at;
            self.end_line();
            text.push_str(self.source.get(start..self.at).unwrap_or_default());
        }
        self.give(begins, text.trim(), take);
    }

    /// A value in quotes, which may go over several lines. Nothing if it is none.
    fn quoted(&mut self, quote: char) -> Option<String> {
        if !matches!(quote, '"' | '\'') || self.lost > MAX_LOST {
            return None;
        }
        let rest = self.source.get(self.at + 1..).unwrap_or_default();
        let mut text = String::new();
        let mut characters = rest.char_indices().peekable();
        let end = loop {
            let Some((place, character)) = characters.next() else {
                self.lost += rest.len();
                return None;
            };
            match character {
                '\'' if quote == '\'' && characters.next_if(|(_, next)| *next == '\'').is_some() => {
                    text.push('\'');
                }
                _ if character == quote => break place + 1,
                '\\' if quote == '"' => {
                    let escape = characters.next().map_or(' ', |(_, escape)| escape);
                    let digits = match escape {
                        'x' => 2,
                        'u' => 4,
                        'U' => 8,
                        _ => 0,
                    };
                    let from = place + 1 + escape.len_utf8();
                    let code = rest.get(from..from + digits).filter(|code| !code.is_empty());
                    match code.and_then(|code| u32::from_str_radix(code, 16).ok()) {
                        Some(code) => {
                            text.extend(char::from_u32(code));
                            for _ in 0..digits {
                                characters.next();
                            }
                        }
                        None if is_break(escape) => {
                            while characters.next_if(|(_, next)| is_space(*next)).is_some() {}
                        }
                        None => text.push(match escape {
                            'n' | 'r' | 't' | 'N' | 'L' | 'P' | '_' => ' ',
                            other => other,
                        }),
                    }
                }
                _ if is_break(character) => {
                    while characters.next_if(|(_, next)| is_space(*next)).is_some() {}
                    text.truncate(text.trim_end().len());
                    text.push(' ');
                }
                _ => text.push(character),
            }
        };
        let after = rest.get(end..).unwrap_or_default().chars().next();
        if after.is_some_and(|after| !is_space(after) && !",]}:".contains(after)) {
            self.lost += end;
            return None;
        }
        self.at += 1 + end;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(source: &str) -> Vec<(usize, String, String)> {
        let mut values = Vec::new();
        each(source, |scalar| {
            values.push((scalar.at, scalar.names.join("."), scalar.text.to_owned()));
        });
        values
    }

    #[test]
    fn values_are_given_with_their_names() {
        for (source, expected) in [
            ("a: b\n", &[(3, "a", "b")][..]),
            ("a:\n  b: c # d\ne: f#g\n", &[(8, "a.b", "c"), (17, "e", "f#g")]),
            (
                "a:\n- b\n- c: d\n  e: f\n",
                &[(5, "a", "b"), (12, "a.c", "d"), (19, "a.e", "f")],
            ),
            (
                "a: {b: c, d: [e, 'f g']}\n",
                &[(7, "a.b", "c"), (14, "a.d", "e"), (17, "a.d", "f g")],
            ),
            ("{\"a\":\"b\"}\n", &[(5, "a", "b")]),
            (
                "a: b\n  - [c\n  d\ne: f\n",
                &[(3, "a", "b - [c d"), (19, "e", "f")],
            ),
            ("a: \"b\n  c\\x41\\\n  d\"\n", &[(3, "a", "b cAd")]),
            ("a: 'it''s'\nb: x: y\n", &[(3, "a", "it's"), (17, "b.x", "y")]),
            (
                "a: |2-\n   b: c\n  'd\ne: f\n",
                &[(3, "a", "b: c\n'd"), (23, "e", "f")],
            ),
            ("- a: >\n    b\n  c: d\n", &[(5, "a", "b"), (18, "c", "d")]),
            ("? a\n  [b\n: c\n  [d\n", &[(11, "a [b", "c [d")]),
            ("&x a:\n  b: !t c\n", &[(14, "a.b", "c")]),
            ("--- a\n--- \nb: c\r", &[(4, "", "a"), (14, "b", "c")]),
            ("a: 'b\nc: d\n", &[(3, "a", "'b"), (9, "c", "d")]),
        ] {
            let expected: Vec<_> = expected
                .iter()
                .map(|(at, names, text)| (*at, (*names).to_owned(), (*text).to_owned()))
                .collect();
            assert_eq!(values(source), expected, "{source:?}");
        }
    }
}
