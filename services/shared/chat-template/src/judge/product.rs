//! Multiplication of what may be a list.
//!
//! minijinja repeats a list without looking at how much comes of it: an empty one, repeated a hundred thousand million times, keeps a
//! processor busy for minutes without taking a step that would cost fuel or writing a byte that would count. Which values are lists is not
//! known before a template runs. So a product is taken only where its parts are numbers for sure, or one of them is a text.

use minijinja::machinery::ast::{BinOpKind, Expr, Stmt, UnaryOpKind};

use super::walk;
use crate::bounded::MAX_WIDTH_DIGITS;

/// How often a list may be written within a list that is written.
const MAX_WRITINGS: usize = 3;

/// The largest number that something is multiplied with.
const MAX_REPEATS: f64 = 1e6;

/// Filters that make numbers, or fail.
const NUMBER_FILTERS: [&str; 7] = ["length", "count", "int", "float", "round", "abs", "wordcount"];

/// Filters that make texts, or fail.
const TEXT_FILTERS: [&str; 9] = [
    "trim",
    "string",
    "upper",
    "lower",
    "title",
    "capitalize",
    "replace",
    "join",
    "tojson",
];

/// Where a template multiplies what may be a list, in bytes from its start; none if it does so nowhere.
pub fn of_lists(tree: &Stmt<'_>) -> Option<usize> {
    let mut found = None;
    walk::expressions(tree, &mut |expression| {
        if let Expr::BinOp(operation) = expression
            && matches!(operation.op, BinOpKind::Mul)
            && !(is_number(&operation.left) && is_number(&operation.right))
            && !is_text(&operation.left)
            && !is_text(&operation.right)
        {
            found.get_or_insert(expression.span().start_offset as usize);
        }
    });
    found
}

/// Where a template computes what the engine here refuses to make and Python would make for as long as there is memory: a power, or a
/// short text very many times over; none if it does so nowhere.
pub fn immense(tree: &Stmt<'_>) -> Option<usize> {
    let mut found = None;
    walk::expressions(tree, &mut |expression| {
        let Expr::BinOp(operation) = expression else {
            return;
        };
        let immense = match operation.op {
            BinOpKind::Pow => true,
            BinOpKind::Mul => [&operation.left, &operation.right]
                .into_iter()
                .any(|part| constant(part).is_some_and(|number| number.abs() > MAX_REPEATS)),
            // A width in a format.
            BinOpKind::Rem => {
                matches!(&operation.left, Expr::Const(text) if text.value.as_str().is_some_and(is_wide))
            }
            _ => false,
        };
        if immense {
            found.get_or_insert(expression.span().start_offset as usize);
        }
    });
    found
}

/// Where a template writes lists that hold written lists, again and again: with each, what quotes and backslashes take doubles; none if
/// it does so nowhere.
pub fn quoted(tree: &Stmt<'_>) -> Option<usize> {
    let mut found = None;
    walk::expressions(tree, &mut |expression| {
        if found.is_none() && is_concatenation(expression) && writings(expression, false) > MAX_WRITINGS {
            found = Some(expression.span().start_offset as usize);
        }
    });
    found
}

/// How often what is in the expression is written as a part of a list or dictionary; `written` says whether a list that stands here is.
fn writings(of: &Expr<'_>, written: bool) -> usize {
    let list = match of {
        Expr::List(_) | Expr::Map(_) => true,
        Expr::Call(call) => matches!(&call.expr, Expr::Var(name) if name.id == "dict"),
        _ => false,
    };
    let inner = is_concatenation(of) || (written && !list);
    let below = walk::children(of).into_iter().map(|child| writings(child, inner));
    below.max().unwrap_or(0) + usize::from(list && written)
}

fn is_concatenation(of: &Expr<'_>) -> bool {
    matches!(of, Expr::BinOp(operation) if matches!(operation.op, BinOpKind::Concat))
}

/// The number that an expression without variables comes to.
fn constant(value: &Expr<'_>) -> Option<f64> {
    match value {
        Expr::Const(constant) => constant
            .value
            .to_string()
            .parse()
            .ok()
            .filter(|_| constant.value.is_number()),
        Expr::UnaryOp(operation) if matches!(operation.op, UnaryOpKind::Neg) => {
            Some(-constant(&operation.expr)?)
        }
        Expr::BinOp(operation) => {
            let (left, right) = (constant(&operation.left)?, constant(&operation.right)?);
            match operation.op {
                BinOpKind::Add => Some(left + right),
                BinOpKind::Sub => Some(left - right),
                BinOpKind::Mul => Some(left * right),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether a text has a number of more digits than a width has after a percent sign.
fn is_wide(text: &str) -> bool {
    text.split('%').skip(1).any(|rest| {
        let rest = rest.trim_start_matches(|flag: char| !flag.is_ascii_digit() && !flag.is_alphabetic());
        rest.chars().take_while(char::is_ascii_digit).count() > MAX_WIDTH_DIGITS
    })
}

/// Whether a value is a number whatever its parts are, where it is anything at all.
fn is_number(value: &Expr<'_>) -> bool {
    match value {
        Expr::Const(constant) => constant.value.is_number(),
        Expr::UnaryOp(operation) => matches!(operation.op, UnaryOpKind::Neg),
        Expr::BinOp(operation) => match operation.op {
            // None of these works with anything but numbers.
            BinOpKind::Sub | BinOpKind::Div | BinOpKind::FloorDiv | BinOpKind::Rem | BinOpKind::Pow => true,
            BinOpKind::Add | BinOpKind::Mul => is_number(&operation.left) && is_number(&operation.right),
            _ => false,
        },
        Expr::Filter(filter) => NUMBER_FILTERS.contains(&filter.name),
        Expr::GetAttr(attribute) => {
            matches!(&attribute.expr, Expr::Var(name) if name.id == "loop")
                && matches!(
                    attribute.name,
                    "index" | "index0" | "revindex" | "revindex0" | "length" | "depth" | "depth0"
                )
        }
        Expr::IfExpr(choice) => {
            is_number(&choice.true_expr) && choice.false_expr.as_ref().is_some_and(is_number)
        }
        _ => false,
    }
}

/// Whether a value is a text for sure: it can be multiplied with a number only, and what comes of that is bounded.
fn is_text(value: &Expr<'_>) -> bool {
    match value {
        Expr::Const(constant) => constant.value.as_str().is_some(),
        Expr::BinOp(operation) => matches!(operation.op, BinOpKind::Concat),
        Expr::Filter(filter) => TEXT_FILTERS.contains(&filter.name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tree;

    fn refused(source: &str) -> bool {
        of_lists(&tree(source).unwrap()).is_some()
    }

    #[test]
    fn lists_and_what_may_be_one_are_not_multiplied() {
        for source in [
            "{{ [] * 91000000000 }}",
            "{{ 3 * [] }}",
            "{% for x in messages * 2 %}{% endfor %}",
            "{% set ns = namespace(x=[]) %}{% for a in range(9) %}{% set ns.x = ns.x * 9999 %}{% endfor %}",
            "{{ (a or []) * b }}",
            "{{ (1 if a else []) * 9 }}",
            "{{ loop.previtem * 3 }}",
            "{{ ([] + []) * 9 }}",
            "{{ (messages | list) * 9 }}",
        ] {
            assert!(refused(source), "{source}");
        }
    }

    #[test]
    fn powers_and_what_is_repeated_very_often_are_immense() {
        let immense = |source: &str| immense(&tree(source).unwrap()).is_some();
        for source in [
            "{{ 9 ** 9 ** 9 }}",
            "{{ 'a' * 1000000000 }}",
            "{% if tools %}{{ (1000 * 1000 * 1000) * 'a' }}{% endif %}",
            "{{ '%1000000000d' % 1 }}",
        ] {
            assert!(immense(source), "{source}");
        }
        for source in [
            "{{ '=' * 80 }}",
            "{{ 2 * 1024 * 1024 // 8 }}",
            "{{ loop.index % 2 }}",
            "{{ '%5d' % 1 }}",
        ] {
            assert!(!immense(source), "{source}");
        }
    }

    #[test]
    fn lists_are_not_written_into_lists_again_and_again() {
        let nested = |times: usize| format!("{{{{ {}x{} }}}}", "([".repeat(times), "] ~ '')".repeat(times));
        assert!(quoted(&tree(&nested(3)).unwrap()).is_none());
        assert!(quoted(&tree(&nested(4)).unwrap()).is_some());
        assert!(quoted(&tree("{{ a ~ [b] ~ c ~ d ~ [e] ~ f ~ [g] ~ h ~ [i] }}").unwrap()).is_none());
        assert!(quoted(&tree("{{ f(g(h(i(a ~ b) ~ c) ~ d) ~ e) }}").unwrap()).is_none());
    }

    #[test]
    fn numbers_and_texts_are() {
        for source in [
            "{{ 7 * 7 }}",
            "{{ '=' * 40 }}",
            "{{ ' ' * depth }}",
            "{{ loop.index0 * 2 }}",
            "{{ (messages | length) * 2 }}",
            "{{ (a - 1) * (b // 2) }}",
            "{{ -x * 3 }}",
            "{{ (a ~ b) * 3 }}",
            "{{ (m.content | trim) * n }}",
            "{{ (loop.index + 1) * (n | int) }}",
        ] {
            assert!(!refused(source), "{source}");
        }
    }
}
