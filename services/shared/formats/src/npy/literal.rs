//! The Python literals that a header is made of: texts, whole numbers, truth values, tuples, lists and one dictionary.

/// How deep literals may lie in each other.
const MAX_DEPTH: usize = 20;

/// A literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// A text; escapes are left as they are.
    Text(Vec<u8>),
    /// A whole number that is not negative.
    Number(u64),
    /// `True` or `False`.
    Bool,
    /// A tuple.
    Tuple(Vec<Literal>),
    /// A list.
    List(Vec<Literal>),
    /// A dictionary with texts for keys.
    Dict(Vec<(Vec<u8>, Literal)>),
}

impl Literal {
    /// The number, if it is one.
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// Whether it can name a field: a text, or a title with a text.
    pub fn is_name(&self) -> bool {
        match self {
            Self::Text(_) => true,
            Self::Tuple(parts) => matches!(parts.as_slice(), [Self::Text(_), Self::Text(_)]),
            _ => false,
        }
    }
}

/// Reads a header: one literal, then spaces and a line end.
pub fn parse(header: &[u8]) -> Result<Literal, &'static str> {
    let mut parser = Parser { rest: header };
    let literal = parser.literal(MAX_DEPTH)?;
    match parser.rest {
        [padding @ .., b'\n'] if padding.iter().all(|byte| *byte == b' ') => Ok(literal),
        _ => Err("the header does not end in spaces and a line end"),
    }
}

struct Parser<'a> {
    rest: &'a [u8],
}

impl Parser<'_> {
    fn literal(&mut self, depth: usize) -> Result<Literal, &'static str> {
        let depth = depth.checked_sub(1).ok_or("the header is nested too deeply")?;
        self.blanks();
        match self.rest {
            [b'\'' | b'"', ..] => self.text().map(Literal::Text),
            [b'u', b'\'' | b'"', ..] => {
                self.skip(1);
                self.text().map(Literal::Text)
            }
            [b'0'..=b'9', ..] => self.number(),
            [b'T', b'r', b'u', b'e', ..] => {
                self.skip(4);
                Ok(Literal::Bool)
            }
            [b'F', b'a', b'l', b's', b'e', ..] => {
                self.skip(5);
                Ok(Literal::Bool)
            }
            [b'(', ..] => self.tuple(depth),
            [b'[', ..] => {
                self.skip(1);
                self.items(b']', depth).map(|(items, _)| Literal::List(items))
            }
            [b'{', ..] => self.dict(depth),
            _ => Err("the header is no Python literal"),
        }
    }

    fn tuple(&mut self, depth: usize) -> Result<Literal, &'static str> {
        self.skip(1);
        let (mut items, comma) = self.items(b')', depth)?;
        // Brackets around a single literal make no tuple.
        match (items.len(), comma) {
            (1, false) => items.pop().ok_or("the header is no Python literal"),
            _ => Ok(Literal::Tuple(items)),
        }
    }

    /// Literals up to the closing bracket, and whether a comma came last.
    fn items(&mut self, close: u8, depth: usize) -> Result<(Vec<Literal>, bool), &'static str> {
        let mut items = Vec::new();
        let mut comma = false;
        loop {
            self.blanks();
            if self.eat(close) {
                return Ok((items, comma));
            }
            if !items.is_empty() && !comma {
                return Err("a comma is missing in the header");
            }
            items.push(self.literal(depth)?);
            self.blanks();
            comma = self.eat(b',');
        }
    }

    fn dict(&mut self, depth: usize) -> Result<Literal, &'static str> {
        self.skip(1);
        let mut entries = Vec::new();
        let mut comma = true;
        loop {
            self.blanks();
            if self.eat(b'}') {
                return Ok(Literal::Dict(entries));
            }
            if !comma {
                return Err("a comma is missing in the header");
            }
            let Literal::Text(key) = self.literal(depth)? else {
                return Err("a key of the header is no text");
            };
            self.blanks();
            if !self.eat(b':') {
                return Err("a colon is missing in the header");
            }
            entries.push((key, self.literal(depth)?));
            self.blanks();
            comma = self.eat(b',');
        }
    }

    fn text(&mut self) -> Result<Vec<u8>, &'static str> {
        let quote = self.rest.first().copied().unwrap_or_default();
        self.skip(1);
        let mut text = Vec::new();
        loop {
            match *self.rest {
                [b'\\', next, ..] => {
                    text.extend([b'\\', next]);
                    self.skip(2);
                }
                [byte, ..] if byte == quote => {
                    self.skip(1);
                    return Ok(text);
                }
                [b'\n', ..] | [] => return Err("a text in the header does not end"),
                [byte, ..] => {
                    text.push(byte);
                    self.skip(1);
                }
            }
        }
    }

    fn number(&mut self) -> Result<Literal, &'static str> {
        let mut number: u64 = 0;
        let begins_with_zero = self.rest.first() == Some(&b'0');
        while let [digit @ b'0'..=b'9', ..] = *self.rest {
            number = number
                .checked_mul(10)
                .and_then(|number| number.checked_add(u64::from(digit - b'0')))
                .ok_or("a number in the header is too large")?;
            self.skip(1);
        }
        // Python 3 refuses what Python 2 took for an octal number.
        if begins_with_zero && number > 0 {
            return Err("a number in the header begins with a zero");
        }
        // Python 2 wrote long numbers with an `L`.
        self.eat(b'L');
        Ok(Literal::Number(number))
    }

    fn blanks(&mut self) {
        while matches!(self.rest, [b' ', ..]) {
            self.skip(1);
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.rest.first() == Some(&byte);
        if there {
            self.skip(1);
        }
        there
    }

    fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_numpy_writes() {
        let header = b"{'descr': [('a', '<f4'), (('t', 'b'), '<i8', (2,))], 'fortran_order': False, 'shape': (3, 4L), }   \n";
        let Ok(Literal::Dict(entries)) = parse(header) else {
            panic!("no dictionary");
        };
        assert_eq!(entries.len(), 3);
        assert_eq!(
            entries[2].1,
            Literal::Tuple(vec![Literal::Number(3), Literal::Number(4)])
        );
    }

    #[test]
    fn anything_else_is_an_error() {
        for header in [
            "{'a': 1}",
            "{'a': __import__('os')}\n",
            "{'a' 1}\n",
            "{'a': 1 'b': 2}\n",
            "{'a': 1}; x\n",
            "{'a': 99999999999999999999}\n",
            "{'a': 04}\n",
            "{1: 2}\n",
            "{'a\n",
            "((((((((((((((((((((((((1))))))))))))))))))))))))\n",
        ] {
            assert!(parse(header.as_bytes()).is_err(), "{header}");
        }
    }
}
