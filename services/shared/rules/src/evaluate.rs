//! Conditions when the file has ended.

use std::collections::BTreeMap;

use crate::condition::{Arithmetic, Compare, Number, Reader, Term};
use crate::search::State;

/// What a term comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    Bool(bool),
    Int(i64),
    /// Nothing: the file has no such place, the pattern no such match.
    Undefined,
}

/// What is known of the file.
pub struct Facts<'a> {
    /// What each pattern matched.
    pub patterns: &'a BTreeMap<usize, State>,
    /// Which of the rules before hold.
    pub rules: &'a [bool],
    /// Size of the file, in bytes.
    pub size: u64,
    /// Its first bytes.
    pub head: &'a [u8],
    /// Its last bytes.
    pub tail: &'a [u8],
}

impl Value {
    /// Whether it holds; what is undefined does not.
    pub fn holds(self) -> bool {
        match self {
            Self::Bool(value) => value,
            Self::Int(number) => number != 0,
            Self::Undefined => false,
        }
    }

    fn int(self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(number),
            Self::Bool(_) | Self::Undefined => None,
        }
    }

    fn of(number: Option<i64>) -> Self {
        number.map_or(Self::Undefined, Self::Int)
    }

    fn counted(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl<'a> Facts<'a> {
    /// What a term comes to.
    pub fn value(&self, term: &Term) -> Value {
        match term {
            Term::Bool(value) => Value::Bool(*value),
            Term::Int(number) => Value::Int(*number),
            Term::Filesize => Value::counted(self.size),
            Term::Matched(pattern) => Value::Bool(self.state(*pattern).is_some()),
            Term::Within(pattern, range) => Value::Bool(self.within(*pattern, *range) > 0),
            Term::From(pattern, place) => match self.value(place).int() {
                Some(place) => {
                    let last = self.state(*pattern).map(|state| state.last);
                    Value::Bool(last.is_some_and(|last| i64::try_from(last).is_ok_and(|last| last >= place)))
                }
                None => Value::Undefined,
            },
            Term::Count(pattern) => Value::counted(self.state(*pattern).map_or(0, |state| state.count)),
            Term::CountWithin(pattern, range) => Value::counted(self.within(*pattern, *range)),
            Term::Place(pattern, number) => {
                let place = self
                    .state(*pattern)
                    .and_then(|state| state.places.get(number.checked_sub(1)?));
                place.map_or(Value::Undefined, |place| Value::counted(*place))
            }
            Term::Read(reader, place) => Value::of(
                self.value(place)
                    .int()
                    .and_then(|place| self.read(*reader, place)),
            ),
            Term::Rule(rule) => Value::Bool(self.rules.get(*rule).copied().unwrap_or(false)),
            Term::Not(inner) => match self.value(inner) {
                Value::Undefined => Value::Undefined,
                value => Value::Bool(!value.holds()),
            },
            Term::Defined(inner) => Value::Bool(self.value(inner) != Value::Undefined),
            Term::And(all) => Value::Bool(all.iter().all(|term| self.value(term).holds())),
            Term::Or(all) => Value::Bool(all.iter().any(|term| self.value(term).holds())),
            Term::Minus(inner) => Value::of(self.value(inner).int().and_then(i64::checked_neg)),
            Term::Invert(inner) => Value::of(self.value(inner).int().map(|number| !number)),
            Term::Arithmetic(how, a, b) => {
                let both = self.value(a).int().zip(self.value(b).int());
                Value::of(both.and_then(|(a, b)| calculate(*how, a, b)))
            }
            Term::Compare(how, a, b) => match self.value(a).int().zip(self.value(b).int()) {
                Some((a, b)) => Value::Bool(compare(*how, a, b)),
                None => Value::Undefined,
            },
            Term::Of(number, all) => self.of(number, all),
        }
    }

    fn state(&self, pattern: usize) -> Option<&'a State> {
        self.patterns.get(&pattern)
    }

    fn within(&self, pattern: usize, range: usize) -> u64 {
        self.state(pattern)
            .and_then(|state| state.within.get(range))
            .copied()
            .unwrap_or(0)
    }

    fn of(&self, number: &Number, all: &[Term]) -> Value {
        let count = all.iter().filter(|term| self.value(term).holds()).count();
        let least = |least: i64| match least {
            // As in YARA, none of them is asked for.
            0 => count == 0,
            least => i64::try_from(count).is_ok_and(|count| count >= least),
        };
        match number {
            Number::All => Value::Bool(count == all.len()),
            Number::Any => Value::Bool(count > 0),
            Number::None => Value::Bool(count == 0),
            Number::Least(term) => match self.value(term).int() {
                Some(number) => Value::Bool(least(number)),
                None => Value::Undefined,
            },
            Number::Percent(term) => match self.value(term).int() {
                Some(percent @ 0..=100) => {
                    let length = i64::try_from(all.len()).unwrap_or(i64::MAX / 100);
                    Value::Bool(least((length * percent + 99) / 100))
                }
                _ => Value::Undefined,
            },
        }
    }

    fn read(&self, reader: Reader, place: i64) -> Option<i64> {
        let place = u64::try_from(place).ok()?;
        let tail_at = self.size - self.tail.len() as u64;
        let bytes = match place.checked_sub(tail_at) {
            Some(index) => self.tail.get(usize::try_from(index).ok()?..)?,
            None => self.head.get(usize::try_from(place).ok()?..)?,
        };
        // A number across the border of what is kept lies in the other part as a whole.
        let bytes = match bytes.get(..reader.bytes) {
            Some(bytes) => bytes,
            None => self
                .head
                .get(usize::try_from(place).ok()?..)?
                .get(..reader.bytes)?,
        };
        let shift = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        let number = if reader.big {
            bytes.iter().fold(0, shift)
        } else {
            bytes.iter().rev().fold(0, shift)
        };
        let number = i64::try_from(number).ok()?;
        let sign = 1_i64 << (8 * reader.bytes - 1);
        Some(if reader.signed && number & sign != 0 {
            number - 2 * sign
        } else {
            number
        })
    }
}

fn calculate(how: Arithmetic, a: i64, b: i64) -> Option<i64> {
    let shift = || u32::try_from(b).ok();
    match how {
        Arithmetic::Add => Some(a.wrapping_add(b)),
        Arithmetic::Sub => Some(a.wrapping_sub(b)),
        Arithmetic::Mul => Some(a.wrapping_mul(b)),
        Arithmetic::Div => a.checked_div(b),
        Arithmetic::Mod => a.checked_rem(b),
        Arithmetic::Shl => shift().map(|shift| a.checked_shl(shift).unwrap_or(0)),
        Arithmetic::Shr => shift().map(|shift| a.checked_shr(shift).unwrap_or(0)),
        Arithmetic::And => Some(a & b),
        Arithmetic::Or => Some(a | b),
        Arithmetic::Xor => Some(a ^ b),
    }
}

fn compare(how: Compare, a: i64, b: i64) -> bool {
    match how {
        Compare::Eq => a == b,
        Compare::Ne => a != b,
        Compare::Lt => a < b,
        Compare::Le => a <= b,
        Compare::Gt => a > b,
        Compare::Ge => a >= b,
    }
}
