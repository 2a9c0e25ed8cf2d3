//! Texts that are expressions of Python and call something that gives control, for loaders that evaluate what a setting says.
//!
//! Prose speaks of `eval(x)` too, and prompts show whole programs. An expression never has two words beside each other without one of
//! Python's between them, and nothing but brackets holds a colon; so a text is told from prose without a parser. What is not an
//! expression as a whole is not evaluated: a loader stops at the first word too many.

use std::collections::BTreeSet;

use super::control;

/// Words that stand between two values.
#[rustfmt::skip]
const BETWEEN: &[&str] = &["if", "else", "and", "or", "not", "in", "is", "for", "lambda", "await", "async", "yield", "from"];
/// Functions that everything can be had with.
#[rustfmt::skip]
const FUNCTIONS: &[&str] = &[
    "exec", "eval", "execfile", "__import__", "getattr", "setattr", "globals", "locals", "vars", "compile", "open", "breakpoint",
    "__build_class__",
];
/// Marks between values. The others that a text may hold, Python does not know.
const OPERATORS: &str = "+-*/%@~&|^<>=,";
/// The longest dotted name that is looked up.
const MAX_NAME_BYTES: usize = 1024;

/// Whether a text as a whole has whoever evaluates it call something that gives control.
pub fn found_in(text: &str) -> bool {
    let text = text.trim();
    // MONAI evaluates what has this mark before it, and runs imports that have it.
    if let Some(marked) = text.strip_prefix('$') {
        let marked = marked.trim_start();
        let is_import =
            marked.starts_with("import ") || (marked.starts_with("from ") && marked.contains(" import "));
        return is_import || Walk::over(marked, true).is_some_and(|walk| walk.is_hit());
    }
    // Most texts are no calls.
    if !text.contains('(') {
        return false;
    }
    Walk::over(text, false).is_some_and(|walk| walk.is_hit())
}

/// What was seen on the way through a text.
#[derive(Debug, Default)]
struct Walk<'a> {
    rest: &'a str,
    /// Taken for code in any case.
    is_marked: bool,
    /// The brackets that are open.
    open: Vec<char>,
    lambdas: usize,
    last: Last,
    /// The dotted name that ends here, if one does.
    name: String,
    seen: BTreeSet<Seen>,
}

/// What a text does, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    /// It calls what gives control.
    Running,
    /// It names such a thing of a module.
    Named,
    /// It names such a function of Python's own.
    Function,
    /// It calls something.
    Call,
    /// It calls what has no name.
    Computed,
}

/// What stands before the next word.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// Nothing, or what a value follows.
    #[default]
    Mark,
    Value,
    Text,
    /// The dot before an attribute.
    Dot,
}

impl<'a> Walk<'a> {
    /// Goes through a text; nothing if it is no expression.
    fn over(text: &'a str, is_marked: bool) -> Option<Self> {
        let mut walk = Self {
            rest: text,
            is_marked,
            ..Self::default()
        };
        while let Some(next) = walk.rest.chars().next() {
            if walk.step(next).is_some() {
                continue;
            }
            if !is_marked {
                return None;
            }
            if walk.last == Last::Mark {
                walk.skip(next.len_utf8());
            }
            walk.last = Last::Mark;
        }
        let ends = matches!(walk.last, Last::Value | Last::Text) || text.ends_with(',');
        (is_marked || (ends && walk.open.is_empty())).then_some(walk)
    }

    fn is_hit(&self) -> bool {
        let both = |one, other| self.seen.contains(&one) && self.seen.contains(&other);
        self.seen.contains(&Seen::Running)
            || both(Seen::Function, Seen::Computed)
            || both(Seen::Named, Seen::Call)
    }

    fn saw(&mut self, what: Seen, is_so: bool) {
        if is_so {
            self.seen.insert(what);
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn step(&mut self, next: char) -> Option<()> {
        if next.is_whitespace() {
            self.skip(next.len_utf8());
        } else if next.is_alphabetic() || next == '_' {
            self.word()?;
        } else if next.is_ascii_digit()
            || (next == '.' && self.last == Last::Mark && self.rest.get(1..2).is_some_and(is_digit))
        {
            self.number()?;
        } else if self.last == Last::Mark && self.rest.starts_with("...") {
            self.skip(3);
            self.last = Last::Value;
            self.name.clear();
        } else if matches!(next, '"' | '\'') {
            self.text(next)?;
        } else if next == '#' && !self.is_marked {
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.skip(end);
        } else {
            self.mark(next)?;
            self.skip(1);
        }
        Some(())
    }

    fn word(&mut self) -> Option<()> {
        let is_end = |character: char| !character.is_alphanumeric() && character != '_';
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end)?;
        let is_prefix = word.len() <= 2
            && word.chars().all(|letter| "rbuftRBUFT".contains(letter))
            && rest.starts_with(['"', '\'']);
        if is_prefix {
            self.rest = rest;
            return Some(());
        }
        if BETWEEN.contains(&word) && self.last != Last::Dot {
            self.lambdas += usize::from(word == "lambda");
            self.last = Last::Mark;
            self.name.clear();
            self.rest = rest;
            return Some(());
        }
        let last = self.last;
        match last {
            Last::Mark => word.clone_into(&mut self.name),
            Last::Dot => {
                self.name.push('.');
                self.name.push_str(word);
            }
            Last::Value | Last::Text => return None,
        }
        self.last = Last::Value;
        self.rest = rest;
        let is_endless = last == Last::Dot && self.name.len() > MAX_NAME_BYTES;
        self.saw(Seen::Running, control::leads_on(word) || is_endless);
        if !is_endless {
            self.saw(Seen::Named, control::names(&self.name));
            self.saw(Seen::Function, FUNCTIONS.contains(&self.name.as_str()));
        }
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        if matches!(self.last, Last::Value | Last::Text) {
            return None;
        }
        let is_based =
            self.rest.starts_with('0') && self.rest.get(1..2).is_some_and(|base| "xXoObB".contains(base));
        // The word behind a number may touch it, so an `e` belongs to it only before a digit.
        let is_end = |character: char| {
            !(character.is_ascii_digit()
                || matches!(character, '_' | '.')
                || (is_based && character.is_ascii_hexdigit()))
        };
        self.skip(if is_based { 2 } else { 0 });
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        self.skip(end);
        if let Some(exponent) = self.rest.strip_prefix(['e', 'E'])
            && exponent
                .trim_start_matches(['+', '-'])
                .starts_with(|digit: char| digit.is_ascii_digit())
        {
            self.rest = exponent.trim_start_matches(['+', '-']);
            let end = self
                .rest
                .find(|digit: char| !digit.is_ascii_digit())
                .unwrap_or(self.rest.len());
            self.skip(end);
        }
        self.rest = self.rest.strip_prefix(['j', 'J']).unwrap_or(self.rest);
        self.last = Last::Value;
        self.name.clear();
        Some(())
    }

    fn text(&mut self, quote: char) -> Option<()> {
        if matches!(self.last, Last::Value | Last::Dot) {
            return None;
        }
        let long = ["\"\"\"", "'''"]
            .into_iter()
            .find(|long| long.starts_with(quote) && self.rest.starts_with(long));
        let mut short = [0; 4];
        let end = long.unwrap_or(quote.encode_utf8(&mut short));
        let mut inside = self.rest.get(end.len()..)?;
        loop {
            if let Some(rest) = inside.strip_prefix(end) {
                self.rest = rest;
                break;
            }
            let mut characters = inside.chars();
            if characters.next()? == '\\' {
                characters.next()?;
            }
            inside = characters.as_str();
        }
        self.last = Last::Text;
        self.name.clear();
        Some(())
    }

    fn mark(&mut self, mark: char) -> Option<()> {
        let rest = self.rest.get(1..).unwrap_or_default();
        match mark {
            '(' | '[' | '{' => {
                match self.last {
                    Last::Value if mark == '(' => self.call(rest),
                    Last::Text if mark == '(' => return None,
                    _ => {}
                }
                self.open.push(mark);
            }
            ')' | ']' | '}' => {
                let open = self.open.pop();
                let closes = matches!(
                    (open, mark),
                    (Some('('), ')') | (Some('['), ']') | (Some('{'), '}')
                );
                if !closes && !self.is_marked {
                    return None;
                }
                self.last = Last::Value;
                self.name.clear();
                return Some(());
            }
            '.' if matches!(self.last, Last::Value | Last::Text) => {
                self.last = Last::Dot;
                return Some(());
            }
            ':' => {
                let is_named = rest.starts_with('=');
                let fits = matches!(self.open.last(), Some('[' | '{')) || is_named || self.is_marked;
                if !fits {
                    self.lambdas = self.lambdas.checked_sub(1)?;
                }
            }
            '=' if self.open.is_empty() && !self.is_marked => {
                let compared = rest.starts_with('=') || self.last == Last::Mark;
                compared.then_some(())?;
            }
            '!' => rest.starts_with('=').then_some(())?,
            '\\' if rest.starts_with(['\n', '\r']) => return Some(()),
            _ if OPERATORS.contains(mark) => {}
            _ => return None,
        }
        self.last = Last::Mark;
        self.name.clear();
        Some(())
    }

    /// A bracket opens behind a value, which calls it.
    fn call(&mut self, arguments: &str) {
        self.saw(Seen::Call, true);
        self.saw(Seen::Computed, self.name.is_empty());
        // Measures and splits are written so too: `accuracy (eval)`, `eval(loss)`, `exec(12)`.
        let inside = || arguments.chars().take_while(|character| *character != ')');
        let is_word = |character: char| character.is_alphanumeric() || "_-/@. ".contains(character);
        let is_quoted = || {
            let text = arguments.trim_start();
            text.trim_start_matches(|letter| "rbuftRBUFT".contains(letter))
                .starts_with(['"', '\''])
        };
        let runs = match self.name.as_str() {
            "globals" | "locals" | "vars" | "breakpoint" | "compile" | "open" if !self.is_marked => {
                is_quoted()
            }
            "eval" if !self.is_marked => !inside().all(is_word),
            "exec" if !self.is_marked => !inside().all(|character| character.is_ascii_digit()),
            name => FUNCTIONS.contains(&name) || control::names(name),
        };
        self.saw(Seen::Running, runs);
    }
}

fn is_digit(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_calls_for_control_is_found() {
        for text in [
            "exec(\"import os; os.system('true')\")",
            "os.system('true')",
            " os . system ( 'true' ) ",
            "subprocess.Popen([\"true\"])",
            "__import__('os').system('true')",
            "nn.ReLU() if exec('x') else 0",
            "[os.system('true')]",
            "(os.system)('true')",
            "[exec][0]('x')",
            "().__class__.__base__.__subclasses__()",
            "getattr(x, 'y')('z')",
            "eval(chr(120))",
            "eval(input())",
            "lambda: exec('x')",
            "{'a': exec('x')}",
            "f(a=exec('x'))",
            "open('x', 'w')",
            "exec(b'x') # what it does",
            "$import os",
            "$from os import system",
            "$os.system('true')",
            "$exec('x')",
            "$open(@path).write('x')",
            "$@net#a and exec('x')",
            "$x = eval(y)",
        ] {
            assert!(found_in(text), "{text}");
        }
    }

    #[test]
    fn prose_and_ordinary_expressions_are_not() {
        for text in [
            "",
            "eval",
            "eval(loss)",
            "accuracy (eval)",
            "exec(12)",
            "Use os.system('x') to run a command.",
            "os.system('x') runs a command",
            "Example:\nos.system('x')",
            "import os\nos.system('x')",
            "Don't call eval(x + 1)!",
            "never eval(input())",
            "`eval(input())`",
            "What does `exec('x')` do?",
            "eval(x + 1) is evil.",
            "nn.LeakyReLU(0.1)",
            "torch.nn.SiLU(inplace=True)",
            "lambda x: max(0, 1 - x)",
            "open(door)",
            "f(x)$ and eval",
            "$f(x)$",
            "$HOME/models (old)",
            "${eval:1}",
            "$5 (about 4 euros)",
            "(os.path)",
            "os.path, sys.argv",
            "compile (fast)",
            "model.eval()",
            "x.system(1)",
            "torch.float16",
            "self.evaluate('x')",
            "A sentence (with a bracket), and more.",
        ] {
            assert!(!found_in(text), "{text}");
        }
    }
}
