//! Conditions: taken from the syntax tree, with everything refused that cannot be told from where patterns matched.

use std::collections::BTreeMap;

use holdfast_formats::scan::{BEFORE_BYTES, HEAD_BYTES};
use yara_x_parser::ast::{
    Expr, FuncCall, IdentWithIndex, IdentWithRange, MatchAnchor, OfItems, PatternSet, Quantifier,
};

use crate::pattern::Pattern;

/// The deepest nesting of a condition.
const MAX_DEPTH: usize = 64;
/// The most places of a pattern's matches that can be asked for by their number.
pub const MAX_PLACES: usize = 256;

/// A condition, or a part of it.
#[derive(Debug, Clone)]
pub enum Term {
    Bool(bool),
    Int(i64),
    Filesize,
    /// Whether the pattern matched.
    Matched(usize),
    /// Whether it matched between two places: one of the ranges that its matches are counted in.
    Within(usize, usize),
    /// Whether it matched from this place to the end.
    From(usize, Box<Term>),
    /// How often it matched.
    Count(usize),
    /// How often it matched in a range.
    CountWithin(usize, usize),
    /// Where it matched, by number from 1.
    Place(usize, usize),
    /// A number in the file.
    Read(Reader, Box<Term>),
    /// Whether another rule holds.
    Rule(usize),
    Not(Box<Term>),
    Defined(Box<Term>),
    And(Vec<Term>),
    Or(Vec<Term>),
    Minus(Box<Term>),
    Invert(Box<Term>),
    Arithmetic(Arithmetic, Box<Term>, Box<Term>),
    Compare(Compare, Box<Term>, Box<Term>),
    /// Whether so many of these hold.
    Of(Number, Vec<Term>),
}

/// How a number is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reader {
    /// Bytes: 1, 2 or 4.
    pub bytes: usize,
    /// Whether the highest bit is a sign.
    pub signed: bool,
    /// Whether the highest byte comes first.
    pub big: bool,
}

/// How many.
#[derive(Debug, Clone)]
pub enum Number {
    All,
    Any,
    None,
    Least(Box<Term>),
    Percent(Box<Term>),
}

/// Operations on numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Shl,
    Shr,
    And,
    Or,
    Xor,
}

/// Comparisons of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// What a condition can name.
pub struct Names<'a> {
    /// The rule's patterns, which lie one after the other in the set from `first` on.
    pub patterns: &'a mut [Pattern],
    /// Where in the set the first is.
    pub first: usize,
    /// The rules before it.
    pub rules: &'a BTreeMap<String, usize>,
}

type Taken = Result<Term, String>;

impl Names<'_> {
    /// Takes a condition.
    ///
    /// # Errors
    ///
    /// Why it cannot be evaluated.
    pub fn condition(&mut self, expression: &Expr<'_>) -> Taken {
        self.term(expression, None, 0)
    }

    /// Takes an expression; `current` is the pattern that a loop is at.
    fn term(&mut self, expression: &Expr<'_>, current: Option<usize>, depth: usize) -> Taken {
        let depth = depth + 1;
        if depth > MAX_DEPTH {
            return Err("its condition is nested too deeply".to_owned());
        }
        let arithmetic = |this: &mut Self, how, operands: &[Expr<'_>]| -> Taken {
            let terms: Result<Vec<Term>, String> = operands
                .iter()
                .map(|operand| this.term(operand, current, depth))
                .collect();
            terms?
                .into_iter()
                .reduce(|a, b| Term::Arithmetic(how, Box::new(a), Box::new(b)))
                .ok_or_else(|| "an operation has no operands".to_owned())
        };
        let bitwise = |this: &mut Self, how, a: &Expr<'_>, b: &Expr<'_>| -> Taken {
            let a = this.term(a, current, depth)?;
            let b = this.term(b, current, depth)?;
            Ok(Term::Arithmetic(how, Box::new(a), Box::new(b)))
        };
        let compare = |this: &mut Self, how, a: &Expr<'_>, b: &Expr<'_>| -> Taken {
            let a = this.term(a, current, depth)?;
            let b = this.term(b, current, depth)?;
            Ok(Term::Compare(how, Box::new(a), Box::new(b)))
        };
        Ok(match expression {
            Expr::True { .. } => Term::Bool(true),
            Expr::False { .. } => Term::Bool(false),
            Expr::Filesize { .. } => Term::Filesize,
            Expr::LiteralInteger(literal) if !literal.is_unsigned => Term::Int(literal.value),
            Expr::Ident(name) => match self.rules.get(name.name) {
                Some(rule) => Term::Rule(*rule),
                None => {
                    return Err(format!(
                        "\"{}\" is no rule before it; variables and modules are not supported",
                        name.name
                    ));
                }
            },
            Expr::PatternMatch(found) => {
                let pattern = self.pattern(found.identifier.name, current)?;
                self.matched(pattern, found.anchor.as_ref(), current, depth)?
            }
            Expr::PatternCount(count) => self.count(count, current, depth)?,
            Expr::PatternOffset(offset) => self.place(offset, current)?,
            Expr::FuncCall(call) => self.read(call, current, depth)?,
            Expr::Not(inner) => Term::Not(Box::new(self.term(&inner.operand, current, depth)?)),
            Expr::Defined(inner) => Term::Defined(Box::new(self.term(&inner.operand, current, depth)?)),
            Expr::Minus(inner) => Term::Minus(Box::new(self.term(&inner.operand, current, depth)?)),
            Expr::BitwiseNot(inner) => Term::Invert(Box::new(self.term(&inner.operand, current, depth)?)),
            Expr::And(all) => Term::And(self.terms(&all.operands, current, depth)?),
            Expr::Or(all) => Term::Or(self.terms(&all.operands, current, depth)?),
            Expr::Add(all) => arithmetic(self, Arithmetic::Add, &all.operands)?,
            Expr::Sub(all) => arithmetic(self, Arithmetic::Sub, &all.operands)?,
            Expr::Mul(all) => arithmetic(self, Arithmetic::Mul, &all.operands)?,
            Expr::Div(all) => arithmetic(self, Arithmetic::Div, &all.operands)?,
            Expr::Mod(all) => arithmetic(self, Arithmetic::Mod, &all.operands)?,
            Expr::Shl(two) => bitwise(self, Arithmetic::Shl, &two.lhs, &two.rhs)?,
            Expr::Shr(two) => bitwise(self, Arithmetic::Shr, &two.lhs, &two.rhs)?,
            Expr::BitwiseAnd(two) => bitwise(self, Arithmetic::And, &two.lhs, &two.rhs)?,
            Expr::BitwiseOr(two) => bitwise(self, Arithmetic::Or, &two.lhs, &two.rhs)?,
            Expr::BitwiseXor(two) => bitwise(self, Arithmetic::Xor, &two.lhs, &two.rhs)?,
            Expr::Eq(two) => compare(self, Compare::Eq, &two.lhs, &two.rhs)?,
            Expr::Ne(two) => compare(self, Compare::Ne, &two.lhs, &two.rhs)?,
            Expr::Lt(two) => compare(self, Compare::Lt, &two.lhs, &two.rhs)?,
            Expr::Le(two) => compare(self, Compare::Le, &two.lhs, &two.rhs)?,
            Expr::Gt(two) => compare(self, Compare::Gt, &two.lhs, &two.rhs)?,
            Expr::Ge(two) => compare(self, Compare::Ge, &two.lhs, &two.rhs)?,
            Expr::Of(of) => {
                let items = match &of.items {
                    OfItems::PatternSet(set) => {
                        let patterns = self.patterns_of(set)?;
                        patterns
                            .into_iter()
                            .map(|pattern| self.matched(pattern, of.anchor.as_ref(), current, depth))
                            .collect::<Result<Vec<Term>, String>>()?
                    }
                    OfItems::BoolExprTuple(terms) => self.terms(terms, current, depth)?,
                };
                Term::Of(self.number(&of.quantifier, current, depth)?, items)
            }
            Expr::ForOf(each) => {
                let patterns = self.patterns_of(&each.pattern_set)?;
                let items: Result<Vec<Term>, String> = patterns
                    .into_iter()
                    .map(|pattern| self.term(&each.body, Some(pattern), depth))
                    .collect();
                Term::Of(self.number(&each.quantifier, current, depth)?, items?)
            }
            other => {
                return Err(format!(
                    "its condition has {}, which is not supported",
                    what(other)
                ));
            }
        })
    }

    fn terms(&mut self, all: &[Expr<'_>], current: Option<usize>, depth: usize) -> Result<Vec<Term>, String> {
        all.iter().map(|one| self.term(one, current, depth)).collect()
    }

    /// The pattern with this name, without what is before it: `$`, `#`, `@`.
    fn pattern(&self, name: &str, current: Option<usize>) -> Result<usize, String> {
        let bare = name.trim_start_matches(['$', '#', '@']);
        if bare.is_empty() {
            return current.ok_or_else(|| format!("{name} has no meaning outside of a loop"));
        }
        let index = self
            .patterns
            .iter()
            .position(|pattern| pattern.name.trim_start_matches('$') == bare);
        index
            .map(|index| self.first + index)
            .ok_or_else(|| format!("there is no pattern ${bare}"))
    }

    fn own(&mut self, pattern: usize) -> Result<&mut Pattern, String> {
        pattern
            .checked_sub(self.first)
            .and_then(|index| self.patterns.get_mut(index))
            .ok_or_else(|| "a pattern is of another rule".to_owned())
    }

    fn patterns_of(&self, set: &PatternSet<'_>) -> Result<Vec<usize>, String> {
        let all = self.patterns.iter().enumerate();
        let found: Vec<usize> = match set {
            PatternSet::Them { .. } => all.map(|(index, _)| self.first + index).collect(),
            PatternSet::Set(items) => all
                .filter(|(_, pattern)| {
                    items.iter().any(|item| {
                        if item.wildcard {
                            pattern.name.starts_with(item.identifier)
                        } else {
                            pattern.name == item.identifier
                        }
                    })
                })
                .map(|(index, _)| self.first + index)
                .collect(),
        };
        if found.is_empty() {
            return Err("its condition speaks of patterns that it does not have".to_owned());
        }
        Ok(found)
    }

    fn matched(
        &mut self,
        pattern: usize,
        anchor: Option<&MatchAnchor<'_>>,
        current: Option<usize>,
        depth: usize,
    ) -> Taken {
        match anchor {
            None => Ok(Term::Matched(pattern)),
            Some(MatchAnchor::At(at)) => {
                let at = self.constant(&at.expr, current, depth)?;
                Ok(Term::Within(pattern, self.range(pattern, at, at)?))
            }
            Some(MatchAnchor::In(within)) => {
                let low = self.term(&within.range.lower_bound, current, depth)?;
                let high = self.term(&within.range.upper_bound, current, depth)?;
                match (&low, &high) {
                    (Term::Int(low), Term::Int(high)) => {
                        Ok(Term::Within(pattern, self.range(pattern, *low, *high)?))
                    }
                    (_, Term::Filesize) => {
                        // The last match decides, not the first.
                        self.own(pattern)?.counts = true;
                        Ok(Term::From(pattern, Box::new(low)))
                    }
                    _ => Err(
                        "a range in its condition is neither between two numbers nor up to filesize"
                            .to_owned(),
                    ),
                }
            }
        }
    }

    /// A number that is known without the file.
    fn constant(
        &mut self,
        expression: &Expr<'_>,
        current: Option<usize>,
        depth: usize,
    ) -> Result<i64, String> {
        match self.term(expression, current, depth)? {
            Term::Int(number) => Ok(number),
            _ => Err("a place in its condition is no plain number".to_owned()),
        }
    }

    fn range(&mut self, pattern: usize, low: i64, high: i64) -> Result<usize, String> {
        let bound =
            |number| u64::try_from(number).map_err(|_| "a place in its condition is negative".to_owned());
        let range = (bound(low)?, bound(high)?);
        let own = self.own(pattern)?;
        own.counts = true;
        if let Some(index) = own.ranges.iter().position(|known| *known == range) {
            return Ok(index);
        }
        own.ranges.push(range);
        Ok(own.ranges.len() - 1)
    }

    fn count(&mut self, count: &IdentWithRange<'_>, current: Option<usize>, depth: usize) -> Taken {
        let pattern = self.pattern(count.identifier.name, current)?;
        self.own(pattern)?.counts = true;
        let Some(range) = &count.range else {
            return Ok(Term::Count(pattern));
        };
        let low = self.constant(&range.lower_bound, current, depth)?;
        let high = self.constant(&range.upper_bound, current, depth)?;
        Ok(Term::CountWithin(pattern, self.range(pattern, low, high)?))
    }

    fn place(&mut self, offset: &IdentWithIndex<'_>, current: Option<usize>) -> Taken {
        let pattern = self.pattern(offset.identifier.name, current)?;
        self.own(pattern)?.counts = true;
        let number = match &offset.index {
            None => 1,
            Some(index) => usize::try_from(self.constant(index, current, 0)?).unwrap_or(0),
        };
        if !(1..=MAX_PLACES).contains(&number) {
            return Err(format!(
                "it asks for match number {number}; the first {MAX_PLACES} are remembered"
            ));
        }
        Ok(Term::Place(pattern, number))
    }

    fn read(&mut self, call: &FuncCall<'_>, current: Option<usize>, depth: usize) -> Taken {
        let name = call.identifier.name;
        let reader = reader(name).filter(|_| call.object.is_none());
        let (Some(reader), [place]) = (reader, call.args.as_slice()) else {
            return Err(format!("it calls {name}, which is not supported"));
        };
        let place = self.term(place, current, depth)?;
        let kept = match &place {
            Term::Int(at) => usize::try_from(*at).is_ok_and(|at| at + reader.bytes <= HEAD_BYTES),
            Term::Arithmetic(Arithmetic::Sub, from, back) => match (&**from, &**back) {
                (Term::Filesize, Term::Int(back)) => {
                    usize::try_from(*back).is_ok_and(|back| (reader.bytes..=BEFORE_BYTES).contains(&back))
                }
                _ => false,
            },
            _ => false,
        };
        if !kept {
            return Err(format!(
                "it reads a number that is not kept: {name} can read the first {HEAD_BYTES} bytes, and back from filesize \
                 the last {BEFORE_BYTES}"
            ));
        }
        Ok(Term::Read(reader, Box::new(place)))
    }

    fn number(
        &mut self,
        quantifier: &Quantifier<'_>,
        current: Option<usize>,
        depth: usize,
    ) -> Result<Number, String> {
        Ok(match quantifier {
            Quantifier::All { .. } => Number::All,
            Quantifier::Any { .. } => Number::Any,
            Quantifier::None { .. } => Number::None,
            Quantifier::Percentage(percent) => Number::Percent(Box::new(self.term(percent, current, depth)?)),
            Quantifier::Expr(number) => Number::Least(Box::new(self.term(number, current, depth)?)),
        })
    }
}

fn reader(name: &str) -> Option<Reader> {
    let (name, big) = match name.strip_suffix("be") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let (signed, bits) = match name.strip_prefix("uint") {
        Some(bits) => (false, bits),
        None => (true, name.strip_prefix("int")?),
    };
    let bytes = match bits {
        "8" => 1,
        "16" => 2,
        "32" => 4,
        _ => return None,
    };
    Some(Reader { bytes, signed, big })
}

/// What an expression is, in words.
fn what(expression: &Expr<'_>) -> &'static str {
    match expression {
        Expr::Entrypoint { .. } => "entrypoint",
        Expr::LiteralString(_) | Expr::Regexp(_) => "a text",
        Expr::LiteralFloat(_) => "a number with a fraction",
        Expr::LiteralInteger(_) => "a number above 2^63",
        Expr::PatternLength(_) => "the length of a match (!)",
        Expr::Lookup(_) | Expr::FieldAccess(_) => "a field of a module",
        Expr::ForIn(_) => "a loop over numbers (for … in)",
        Expr::With(_) => "with",
        _ => "an operation on texts",
    }
}
