//! Which variables hold what somebody said, the date, a text that was put together, or one of few texts: over all assignments of the
//! template at once, whatever their order.

use std::collections::HashMap;

use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, Stmt};

use super::{Names, walk};

/// Assignments that are followed. A template with more is not judged.
const MAX_ASSIGNMENTS: usize = 4096;
/// Rounds until what flows from variable to variable has arrived. A template that needs more is not judged.
const MAX_ROUNDS: usize = 64;
/// Texts that are followed for one variable, and their length in bytes.
const MAX_TEXTS: usize = 16;
const MAX_TEXT_BYTES: usize = 1024;

/// What is known of a template's variables.
#[derive(Default)]
pub struct Flow<'t> {
    declared: Names<'t>,
    said: Names<'t>,
    dated: Names<'t>,
    built: Names<'t>,
    texts: HashMap<&'t str, Vec<String>>,
}

/// A value that goes into a variable.
struct Assignment<'a, 't> {
    name: &'t str,
    value: &'a Expr<'t>,
    /// Whether the variable gets the parts of the value one after the other.
    each: bool,
}

/// Whether what a message or a part of it has under this name are somebody's words.
pub fn holds_words(field: &str) -> bool {
    matches!(
        field,
        "content" | "text" | "thinking" | "reasoning_content" | "value" | "output"
    )
}

impl<'t> Flow<'t> {
    /// Reads the assignments of a template; none if there is too much to follow.
    pub fn of(tree: &Stmt<'t>) -> Option<Self> {
        let mut flow = Self {
            // What Jinja itself gives to the bodies of macros and loops.
            declared: Names::from(["caller", "loop"]),
            ..Self::default()
        };
        let mut assignments = Vec::new();
        walk::statements(tree, &mut |statement| {
            if assignments.len() <= MAX_ASSIGNMENTS {
                flow.assign(statement, &mut assignments);
            }
        });
        if assignments.len() > MAX_ASSIGNMENTS {
            return None;
        }
        for _ in 0..MAX_ROUNDS {
            let before = flow.size();
            for assignment in &assignments {
                flow.follow(assignment);
            }
            if flow.size() == before {
                return Some(flow);
            }
        }
        None
    }

    fn assign<'a>(&mut self, statement: &'a Stmt<'t>, assignments: &mut Vec<Assignment<'a, 't>>) {
        let mut to = |target: &Expr<'t>, value: &'a Expr<'t>, each| {
            for name in names(target) {
                assignments.push(Assignment { name, value, each });
            }
        };
        match statement {
            Stmt::Set(set) => {
                to(&set.target, &set.expr, false);
                // `namespace(x=…)` gives its variables their first values.
                if let Expr::Call(call) = &set.expr {
                    for argument in &call.args {
                        if let CallArg::Kwarg(name, value) = argument {
                            assignments.push(Assignment {
                                name,
                                value,
                                each: false,
                            });
                        }
                    }
                }
            }
            Stmt::WithBlock(with) => {
                for (target, value) in &with.assignments {
                    to(target, value, false);
                }
            }
            Stmt::ForLoop(each) => to(&each.target, &each.iter, true),
            // What is rendered into a variable may hold anything that was said.
            Stmt::SetBlock(set) => self.said.extend(names(&set.target)),
            Stmt::Macro(declared) => {
                self.declared.insert(declared.name);
                // Nobody knows what it will be called with.
                for argument in &declared.args {
                    self.said.extend(names(argument));
                }
            }
            Stmt::CallBlock(call) => {
                for argument in &call.macro_decl.args {
                    self.said.extend(names(argument));
                }
            }
            _ => {}
        }
    }

    fn follow(&mut self, assignment: &Assignment<'_, 't>) {
        let Assignment { name, value, each } = *assignment;
        if self.is_said(value) || (each && gives_values(value)) {
            self.said.insert(name);
        }
        if self.is_dated(value) {
            self.dated.insert(name);
        }
        if self.is_built(value) {
            self.built.insert(name);
        }
        let texts = match value {
            Expr::List(list) if each => list.items.iter().flat_map(|item| self.texts(item)).collect(),
            // What somebody says can be looked up in it.
            Expr::Map(map) if !each => map.keys.iter().flat_map(|key| self.texts(key)).collect(),
            _ => self.texts(value),
        };
        let known = self.texts.entry(name).or_default();
        for text in texts {
            if known.len() < MAX_TEXTS && !known.contains(&text) {
                known.push(text);
            }
        }
    }

    fn size(&self) -> usize {
        let texts: usize = self.texts.values().map(Vec::len).sum();
        self.said.len() + self.dated.len() + self.built.len() + texts
    }

    /// Whether the template defines a macro of this name.
    pub fn is_declared(&self, name: &str) -> bool {
        self.declared.contains(name)
    }

    /// Whether the value is, or is made of, what somebody said.
    pub fn is_said(&self, value: &Expr<'t>) -> bool {
        match value {
            Expr::Var(name) => self.said.contains(name.id),
            Expr::GetAttr(attribute) => holds_words(attribute.name) || self.said.contains(attribute.name),
            Expr::GetItem(item) => match self.texts(&item.subscript_expr).as_slice() {
                [] => !is_number(&item.subscript_expr) || self.is_said(&item.expr),
                names => names.iter().any(|name| holds_words(name)),
            },
            Expr::Filter(filter) => {
                let all = matches!(filter.name, "tojson" | "string" | "items" | "dictsort" | "values");
                let named = filter
                    .args
                    .iter()
                    .flat_map(|argument| self.texts(super::value(argument)))
                    .any(|name| holds_words(&name));
                all || named || filter.expr.as_ref().is_some_and(|inner| self.is_said(inner))
            }
            Expr::Call(call) => match &call.expr {
                Expr::GetAttr(method) if method.name == "get" || method.name == "pop" => call
                    .args
                    .iter()
                    .flat_map(|argument| self.texts(super::value(argument)))
                    .any(|name| holds_words(&name)),
                Expr::GetAttr(method) => {
                    self.is_said(&method.expr)
                        || call
                            .args
                            .iter()
                            .any(|argument| self.is_said(super::value(argument)))
                }
                // What a macro returns is as its arguments are.
                _ => call
                    .args
                    .iter()
                    .any(|argument| self.is_said(super::value(argument))),
            },
            Expr::Slice(slice) => self.is_said(&slice.expr),
            Expr::BinOp(operation) => {
                matches!(
                    operation.op,
                    BinOpKind::Add | BinOpKind::Concat | BinOpKind::Mul | BinOpKind::ScOr | BinOpKind::ScAnd
                ) && (self.is_said(&operation.left) || self.is_said(&operation.right))
            }
            Expr::IfExpr(choice) => {
                self.is_said(&choice.true_expr)
                    || choice
                        .false_expr
                        .as_ref()
                        .is_some_and(|other| self.is_said(other))
            }
            _ => false,
        }
    }

    /// Whether the value depends on what time it is.
    pub fn is_dated(&self, value: &Expr<'t>) -> bool {
        match value {
            Expr::Var(name) => self.dated.contains(name.id),
            Expr::GetAttr(attribute) => self.dated.contains(attribute.name),
            Expr::GetItem(item) => self.is_dated(&item.expr),
            Expr::Slice(slice) => self.is_dated(&slice.expr),
            Expr::Filter(filter) => filter.expr.as_ref().is_some_and(|inner| self.is_dated(inner)),
            Expr::Call(call) => match &call.expr {
                Expr::Var(name) => name.id == "strftime_now",
                Expr::GetAttr(method) => self.is_dated(&method.expr),
                _ => false,
            },
            Expr::BinOp(operation) => self.is_dated(&operation.left) || self.is_dated(&operation.right),
            Expr::IfExpr(choice) => {
                self.is_dated(&choice.true_expr)
                    || choice
                        .false_expr
                        .as_ref()
                        .is_some_and(|other| self.is_dated(other))
            }
            _ => false,
        }
    }

    /// Whether the value is a text that is put together of others in a way that [`Flow::texts`] does not see through.
    pub fn is_built(&self, value: &Expr<'t>) -> bool {
        if !self.texts(value).is_empty() {
            return false;
        }
        match value {
            Expr::Var(name) => self.built.contains(name.id),
            Expr::BinOp(operation) => {
                let text = |part: &Expr<'t>| !self.texts(part).is_empty() || self.is_built(part);
                matches!(operation.op, BinOpKind::Concat | BinOpKind::Rem)
                    || (matches!(operation.op, BinOpKind::Add | BinOpKind::Mul)
                        && (text(&operation.left) || text(&operation.right)))
            }
            Expr::Filter(filter) => {
                let makes = matches!(
                    filter.name,
                    "format" | "join" | "replace" | "reverse" | "urlencode"
                );
                makes || filter.expr.as_ref().is_some_and(|inner| self.is_built(inner))
            }
            Expr::Call(call) => match &call.expr {
                Expr::GetAttr(method) => {
                    matches!(method.name, "format" | "join" | "replace") || self.is_built(&method.expr)
                }
                _ => false,
            },
            Expr::Slice(slice) => slice.step.is_some() || self.is_built(&slice.expr),
            Expr::IfExpr(choice) => {
                self.is_built(&choice.true_expr)
                    || choice
                        .false_expr
                        .as_ref()
                        .is_some_and(|other| self.is_built(other))
            }
            _ => false,
        }
    }

    /// The texts that the value can be, where they follow from the template alone.
    pub fn texts(&self, value: &Expr<'t>) -> Vec<String> {
        match value {
            Expr::Const(constant) => constant
                .value
                .as_str()
                .filter(|text| text.len() <= MAX_TEXT_BYTES)
                .map(str::to_owned)
                .into_iter()
                .collect(),
            Expr::Var(name) => self.texts.get(name.id).cloned().unwrap_or_default(),
            Expr::BinOp(operation) if matches!(operation.op, BinOpKind::Concat | BinOpKind::Add) => {
                let (left, right) = (self.texts(&operation.left), self.texts(&operation.right));
                let both = left
                    .iter()
                    .flat_map(|left| right.iter().map(move |right| format!("{left}{right}")));
                both.filter(|text| text.len() <= MAX_TEXT_BYTES)
                    .take(MAX_TEXTS)
                    .collect()
            }
            Expr::Filter(filter) => {
                let inner = filter.expr.as_ref();
                match (filter.name, inner) {
                    ("lower", Some(inner)) => {
                        self.texts(inner).iter().map(|text| text.to_lowercase()).collect()
                    }
                    ("upper", Some(inner)) => {
                        self.texts(inner).iter().map(|text| text.to_uppercase()).collect()
                    }
                    ("trim" | "string", Some(inner)) => self.texts(inner),
                    ("reverse", Some(inner)) => self
                        .texts(inner)
                        .iter()
                        .map(|text| text.chars().rev().collect())
                        .collect(),
                    ("join", Some(Expr::List(list))) => {
                        let glue = filter.args.first().map(|glue| self.texts(super::value(glue)));
                        let glue = glue
                            .and_then(|texts| texts.into_iter().next())
                            .unwrap_or_default();
                        let parts: Option<Vec<String>> = list
                            .items
                            .iter()
                            .map(|item| self.texts(item).into_iter().next())
                            .collect();
                        parts
                            .map(|parts| parts.join(&glue))
                            .filter(|text| text.len() <= MAX_TEXT_BYTES)
                            .into_iter()
                            .collect()
                    }
                    _ => Vec::new(),
                }
            }
            Expr::IfExpr(choice) => {
                let mut texts = self.texts(&choice.true_expr);
                texts.extend(choice.false_expr.iter().flat_map(|other| self.texts(other)));
                texts.truncate(MAX_TEXTS);
                texts
            }
            _ => Vec::new(),
        }
    }
}

/// Whether looping over this gives what fields hold, whatever their names.
fn gives_values(iterated: &Expr<'_>) -> bool {
    match iterated {
        Expr::Call(call) => {
            matches!(&call.expr, Expr::GetAttr(method) if matches!(method.name, "items" | "values"))
        }
        Expr::Filter(filter) => matches!(filter.name, "items" | "values" | "dictsort"),
        _ => false,
    }
}

fn is_number(expression: &Expr<'_>) -> bool {
    match expression {
        Expr::Const(constant) => constant.value.as_str().is_none(),
        Expr::UnaryOp(inner) => is_number(&inner.expr),
        Expr::BinOp(inner) => is_number(&inner.left) || is_number(&inner.right),
        Expr::GetAttr(attribute) => matches!(
            attribute.name,
            "index" | "index0" | "revindex" | "revindex0" | "length"
        ),
        Expr::Filter(filter) => matches!(filter.name, "length" | "count" | "int"),
        _ => false,
    }
}

/// The variables that a target names: `x`, `ns.x`, `k, v`.
pub fn names<'t>(target: &Expr<'t>) -> Vec<&'t str> {
    match target {
        Expr::Var(name) => vec![name.id],
        Expr::GetAttr(attribute) => vec![attribute.name],
        Expr::List(list) => list.items.iter().flat_map(names).collect(),
        _ => Vec::new(),
    }
}
