//! The structure of a pattern, in what the syntaxes of Python, Oniguruma and `fancy-regex` have in common.

use super::Flaw;

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A character, as it is written, and whether upper and lower case are one.
    One(String, bool),
    /// One after the other.
    All(Vec<Node>),
    /// One of them.
    Any(Vec<Node>),
    /// So many times, at most so many if there is an end.
    Times(Box<Node>, u32, Option<u32>),
    /// What is not gone back into once it was read.
    Atomic(Box<Node>),
    /// What stands there and is not read.
    Look(Box<Node>),
}

/// How deep groups may lie in each other.
const MAX_DEPTH: usize = 64;

/// Reads a pattern; `nested` says whether a bracket in a list begins another one.
pub fn parse(pattern: &str, nested: bool) -> Result<Node, Flaw> {
    let mut parser = Parser {
        rest: pattern,
        nested,
        depth: 0,
        ignores_case: false,
    };
    let node = parser.either()?;
    if parser.rest.is_empty() {
        Ok(node)
    } else {
        Err(Flaw::Unclear("a group ends that did not begin"))
    }
}

struct Parser<'a> {
    rest: &'a str,
    nested: bool,
    depth: usize,
    ignores_case: bool,
}

impl<'a> Parser<'a> {
    fn eat(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes so many bytes.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn either(&mut self) -> Result<Node, Flaw> {
        let mut ways = vec![self.sequence()?];
        while self.eat("|") {
            ways.push(self.sequence()?);
        }
        Ok(match ways.pop() {
            Some(only) if ways.is_empty() => only,
            last => {
                ways.extend(last);
                Node::Any(ways)
            }
        })
    }

    fn sequence(&mut self) -> Result<Node, Flaw> {
        let mut parts = Vec::new();
        while !self.rest.is_empty() && !self.rest.starts_with(['|', ')']) {
            let mut part = self.single()?;
            while let Some((least, most)) = self.quantifier() {
                part = Node::Times(Box::new(part), least, most);
                if self.eat("+") {
                    part = Node::Atomic(Box::new(part));
                } else {
                    self.eat("?");
                }
            }
            parts.push(part);
        }
        Ok(Node::All(parts))
    }

    /// How many times what stands before is to be there.
    fn quantifier(&mut self) -> Option<(u32, Option<u32>)> {
        for (sign, times) in [("*", (0, None)), ("+", (1, None)), ("?", (0, Some(1)))] {
            if self.eat(sign) {
                return Some(times);
            }
        }
        let (inside, rest) = self.rest.strip_prefix('{')?.split_once('}')?;
        let (least, most) = inside.split_once(',').unwrap_or((inside, inside));
        let number = |text: &str| -> Option<u32> {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().unwrap_or(u32::MAX))
        };
        let times = match (number(least), number(most)) {
            (Some(least), Some(most)) => (least, Some(most)),
            (Some(least), None) if most.is_empty() => (least, None),
            (None, Some(most)) if least.is_empty() => (0, Some(most)),
            // Anything else between braces is text.
            _ => return None,
        };
        self.rest = rest;
        Some(times)
    }

    fn single(&mut self) -> Result<Node, Flaw> {
        if self.eat("(") {
            return self.group();
        }
        if self.rest.starts_with('[') {
            return self.list();
        }
        if self.rest.starts_with('\\') {
            return self.escape();
        }
        let character = self.rest.chars().next().unwrap_or_default();
        let text = self.take(character.len_utf8());
        Ok(match character {
            '^' | '$' => Node::All(Vec::new()),
            '{' | '}' | ']' | '*' | '+' | '?' => self.one(format!("\\{text}")),
            _ => self.one(text.to_owned()),
        })
    }

    fn one(&self, text: String) -> Node {
        Node::One(text, self.ignores_case)
    }

    fn group(&mut self) -> Result<Node, Flaw> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Flaw::Unclear("its groups lie too deep in each other"));
        }
        let before = self.ignores_case;
        let wrap: fn(Box<Node>) -> Node = if !self.eat("?") {
            |node| *node
        } else if self.eat(":") || self.eat("|") {
            |node| *node
        } else if self.eat(">") {
            Node::Atomic
        } else if self.eat("=") || self.eat("!") || self.eat("<=") || self.eat("<!") {
            Node::Look
        } else if self.eat("#") {
            let length = self
                .rest
                .find(')')
                .ok_or(Flaw::Unclear("a remark does not end"))?;
            self.take(length + 1);
            self.depth -= 1;
            return Ok(Node::All(Vec::new()));
        } else if let Some(rest) = ["P<", "<", "'"]
            .iter()
            .find_map(|mark| self.rest.strip_prefix(mark))
        {
            let length = rest
                .find(['>', '\''])
                .ok_or(Flaw::Unclear("a name does not end"))?;
            self.rest = rest.get(length + 1..).unwrap_or_default();
            |node| *node
        } else {
            return self.flags(before);
        };
        let node = self.either()?;
        if !self.eat(")") {
            return Err(Flaw::Unclear("a group does not end"));
        }
        self.depth -= 1;
        self.ignores_case = before;
        Ok(wrap(Box::new(node)))
    }

    /// `(?i)`, which holds for what follows, and `(?i:…)`.
    fn flags(&mut self, before: bool) -> Result<Node, Flaw> {
        const UNKNOWN: Flaw = Flaw::Unclear("it has a group of a kind that is not followed");
        let length = self.rest.find([':', ')']).ok_or(UNKNOWN)?;
        let flags = self.take(length);
        let (on, off) = flags.split_once('-').unwrap_or((flags, ""));
        if !flags.bytes().all(|byte| b"imsuUaL-".contains(&byte)) {
            return Err(UNKNOWN);
        }
        self.ignores_case = (before || on.contains('i')) && !off.contains('i');
        if self.eat(")") {
            self.depth -= 1;
            return Ok(Node::All(Vec::new()));
        }
        self.eat(":");
        let node = self.either()?;
        if !self.eat(")") {
            return Err(Flaw::Unclear("a group does not end"));
        }
        self.depth -= 1;
        self.ignores_case = before;
        Ok(node)
    }

    /// A list in brackets.
    fn list(&mut self) -> Result<Node, Flaw> {
        let mut depth = 0_usize;
        let mut begins = false;
        let mut characters = self.rest.char_indices().peekable();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => {
                    characters.next();
                    begins = false;
                }
                '[' if depth == 0 || self.nested => {
                    depth += 1;
                    if characters.peek().is_some_and(|(_, next)| *next == '^') {
                        characters.next();
                    }
                    begins = true;
                }
                // At the beginning it is one of the characters.
                ']' if !begins => {
                    depth -= 1;
                    if depth == 0 {
                        let text = self.take(at + 1).to_owned();
                        return Ok(self.one(text));
                    }
                }
                _ => begins = false,
            }
        }
        Err(Flaw::Unclear("a list of characters does not end"))
    }

    fn escape(&mut self) -> Result<Node, Flaw> {
        let mut characters = self.rest.char_indices().skip(1);
        let Some((at, character)) = characters.next() else {
            return Err(Flaw::Unclear("it ends in an escape"));
        };
        let after = at + character.len_utf8();
        let rest = self.rest.get(after..).unwrap_or_default();
        let closed = |mark: char| rest.find(mark).map_or(0, |length| length + 1);
        let more = match character {
            'p' | 'P' | 'x' | 'u' | 'U' | 'o' if rest.starts_with('{') => closed('}'),
            'p' | 'P' => 1,
            'x' => 2,
            'u' => 4,
            'U' => 8,
            'k' if rest.starts_with('<') => closed('>'),
            'g' => return Err(Flaw::Unclear("it calls itself")),
            _ => 0,
        };
        let text = self.take(after + more).to_owned();
        Ok(match character {
            'b' | 'B' | 'A' | 'z' | 'Z' | 'G' | 'K' => Node::All(Vec::new()),
            // What was read before, whatever that is.
            '1'..='9' | 'k' | 'R' | 'X' | 'N' | 'O' => self.one(".".to_owned()),
            _ => self.one(text),
        })
    }
}
