//! Which values may be a text that the template makes of its own: by which it could look up a name that stands nowhere in it.
//!
//! Names in one piece are found where they stand. What is left are names that are put together, captured, or returned by a macro. So each
//! variable is followed: whether it may hold text of the template itself, and whether something was done to such text that can make
//! another name of it. Cutting text and changing its case cannot; what stands in the template is compared without regard to case.

use std::collections::HashMap;

use minijinja::machinery::ast::{BinOpKind, Call, CallArg, Expr, GetItem, Stmt};

use super::{Names, value, walk};

/// Assignments that are followed. A template with more is not judged.
const MAX_ASSIGNMENTS: usize = 8192;
/// Rounds until what flows from variable to variable has arrived. A template that needs more is not judged.
const MAX_ROUNDS: usize = 64;

/// Filters that pick parts or change the case.
const PICKING_FILTERS: &[&str] = &[
    "batch",
    "capitalize",
    "d",
    "default",
    "dictsort",
    "first",
    "groupby",
    "items",
    "keys",
    "last",
    "list",
    "lower",
    "max",
    "min",
    "reject",
    "rejectattr",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "title",
    "trim",
    "unique",
    "upper",
    "values",
];
/// Filters that make numbers and truth values.
const NUMBER_FILTERS: &[&str] = &[
    "abs",
    "bool",
    "count",
    "float",
    "int",
    "length",
    "round",
    "wordcount",
];
/// Methods that pick parts or change the case.
const PICKING_METHODS: &[&str] = &[
    "capitalize",
    "casefold",
    "copy",
    "get",
    "items",
    "keys",
    "lower",
    "lstrip",
    "partition",
    "pop",
    "removeprefix",
    "removesuffix",
    "rpartition",
    "rsplit",
    "rstrip",
    "setdefault",
    "split",
    "splitlines",
    "strip",
    "title",
    "upper",
    "values",
];
/// Methods that make numbers and truth values.
const NUMBER_METHODS: &[&str] = &[
    "count",
    "endswith",
    "find",
    "index",
    "isalnum",
    "isalpha",
    "isdigit",
    "islower",
    "isnumeric",
    "isspace",
    "isupper",
    "rfind",
    "startswith",
];

/// What is known of a template's variables as keys.
#[derive(Default)]
pub struct Keys<'t> {
    /// Macros, with the names of their arguments.
    macros: HashMap<&'t str, Vec<&'t str>>,
    /// Variables that may hold text of the template.
    own: Names<'t>,
    /// Variables that may hold what was made of such text.
    made: Names<'t>,
    /// Variables that are namespaces, whose own variables are followed by their names.
    spaces: Names<'t>,
    /// Variables that something is assigned to, other than by defining a macro.
    assigned: Names<'t>,
}

/// What goes into a variable.
struct Assignment<'a, 't> {
    name: &'t str,
    value: &'a Expr<'t>,
}

/// What a subscript looks up.
enum Looked<'a> {
    /// Something in another value than a namespace.
    Elsewhere,
    /// This variable of a namespace.
    Named(&'a str),
    /// Some variable of a namespace.
    Computed,
}

impl<'t> Keys<'t> {
    /// Follows the variables of a template; none if there is too much to follow.
    pub fn of(tree: &Stmt<'t>) -> Option<Self> {
        let mut keys = Self::default();
        let mut blocks = Vec::new();
        let mut loops = Vec::new();
        walk::statements(tree, &mut |statement| match statement {
            Stmt::Macro(declared) => {
                let arguments = declared.args.iter().flat_map(super::flow::names).collect();
                keys.macros.insert(declared.name, arguments);
            }
            Stmt::CallBlock(block) => {
                blocks.extend(block.macro_decl.args.iter().flat_map(super::flow::names));
            }
            Stmt::ForLoop(each) => loops.extend(super::flow::names(&each.target)),
            _ => {}
        });
        let mut assignments = Vec::new();
        walk::statements(tree, &mut |statement| keys.assign(statement, &mut assignments));
        walk::calls(tree, &mut |call| {
            keys.pass(call, &blocks, &loops, &mut assignments);
        });
        if assignments.len() > MAX_ASSIGNMENTS {
            return None;
        }
        for _ in 0..MAX_ROUNDS {
            let before = keys.own.len() + keys.made.len();
            for Assignment { name, value } in &assignments {
                if keys.is_own(value) {
                    keys.own.insert(name);
                }
                if keys.is_made(value) {
                    keys.made.insert(name);
                }
            }
            if keys.own.len() + keys.made.len() == before {
                return Some(keys);
            }
        }
        None
    }

    fn assign<'a>(&mut self, statement: &'a Stmt<'t>, assignments: &mut Vec<Assignment<'a, 't>>) {
        let mut to = |target: &Expr<'t>, value: &'a Expr<'t>| {
            for name in super::flow::names(target) {
                assignments.push(Assignment { name, value });
                if !matches!(target, Expr::GetAttr(_)) {
                    self.assigned.insert(name);
                }
            }
        };
        match statement {
            Stmt::Set(set) => {
                to(&set.target, &set.expr);
                if let (Expr::Var(name), Expr::Call(call)) = (&set.target, &set.expr)
                    && matches!(&call.expr, Expr::Var(function) if function.id == "namespace")
                {
                    self.spaces.insert(name.id);
                }
            }
            Stmt::WithBlock(with) => {
                for (target, value) in &with.assignments {
                    to(target, value);
                }
            }
            Stmt::ForLoop(each) => to(&each.target, &each.iter),
            Stmt::SetBlock(set) => {
                for name in super::flow::names(&set.target) {
                    self.own.insert(name);
                    self.made.insert(name);
                    self.assigned.insert(name);
                }
            }
            Stmt::Macro(declared) => {
                let without = declared.args.len().saturating_sub(declared.defaults.len());
                for (argument, value) in declared.args.iter().skip(without).zip(&declared.defaults) {
                    to(argument, value);
                }
                self.assigned
                    .extend(declared.args.iter().flat_map(super::flow::names));
            }
            Stmt::CallBlock(block) => {
                let arguments = block.macro_decl.args.iter().flat_map(super::flow::names);
                self.assigned.extend(arguments);
            }
            _ => {}
        }
    }

    /// What the arguments of a call go into.
    fn pass<'a>(
        &self,
        call: &'a Call<'t>,
        blocks: &[&'t str],
        loops: &[&'t str],
        assignments: &mut Vec<Assignment<'a, 't>>,
    ) {
        let Expr::Var(callee) = &call.expr else { return };
        let known = self.macros.get(callee.id).map(Vec::as_slice);
        for (position, argument) in call.args.iter().enumerate() {
            let value = value(argument);
            match (argument, known) {
                (CallArg::Pos(_), Some(arguments)) if position < arguments.len() => {
                    assignments.extend(arguments.get(position).map(|name| Assignment { name, value }));
                }
                // `namespace(x=…)`, and arguments of macros by name.
                (CallArg::Kwarg(name, _), _) => assignments.push(Assignment { name, value }),
                _ => {
                    let all = match (callee.id, known) {
                        (_, Some(arguments)) => arguments,
                        ("caller", _) => blocks,
                        ("loop", _) => loops,
                        _ => &[],
                    };
                    assignments.extend(all.iter().map(|name| Assignment { name, value }));
                }
            }
        }
    }

    /// Whether this name stands for something else than a macro or function, somewhere in the template.
    pub fn is_assigned(&self, name: &str) -> bool {
        self.assigned.contains(name)
    }

    /// Whether the value may be, or hold, text of the template.
    fn is_own(&self, of: &Expr<'t>) -> bool {
        match of {
            Expr::Const(constant) => constant.value.as_str().is_some(),
            Expr::Var(name) => self.own.contains(name.id) || self.is_own_name(name.id),
            Expr::GetAttr(part) => self.own.contains(part.name) || self.is_own(&part.expr),
            Expr::GetItem(item) => match self.of_space(item) {
                Looked::Elsewhere => self.is_own(&item.expr),
                Looked::Named(name) => self.own.contains(name),
                Looked::Computed => true,
            },
            Expr::Slice(slice) => self.is_own(&slice.expr),
            Expr::Filter(filter) => {
                filter.expr.as_ref().is_none_or(|inner| self.is_own(inner)) || self.any_own(&filter.args)
            }
            Expr::Call(call) => match &call.expr {
                Expr::Var(name) if matches!(name.id, "range" | "raise_exception") => false,
                Expr::Var(name) if name.id == "namespace" => {
                    unnamed(call).any(|argument| self.is_own(argument))
                }
                // Its keys can be read back as texts.
                Expr::Var(name) if name.id == "dict" => !call.args.is_empty(),
                Expr::Var(name) if name.id == "cycler" => self.any_own(&call.args),
                Expr::GetAttr(method) if NUMBER_METHODS.contains(&method.name) => false,
                Expr::GetAttr(method) => self.is_own(&method.expr) || self.any_own(&call.args),
                _ => true,
            },
            Expr::BinOp(operation) => match operation.op {
                BinOpKind::Concat
                | BinOpKind::Add
                | BinOpKind::Mul
                | BinOpKind::Rem
                | BinOpKind::ScOr
                | BinOpKind::ScAnd => self.is_own(&operation.left) || self.is_own(&operation.right),
                _ => false,
            },
            Expr::IfExpr(choice) => {
                self.is_own(&choice.true_expr)
                    || choice.false_expr.as_ref().is_some_and(|other| self.is_own(other))
            }
            Expr::List(list) => list.items.iter().any(|item| self.is_own(item)),
            Expr::Map(map) => map.keys.iter().chain(&map.values).any(|item| self.is_own(item)),
            Expr::UnaryOp(_) | Expr::Test(_) | Expr::Compare(_) => false,
        }
    }

    /// Whether the value may be, or hold, what was made of text of the template.
    pub fn is_made(&self, of: &Expr<'t>) -> bool {
        match of {
            Expr::Var(name) => self.made.contains(name.id) || self.is_own_name(name.id),
            Expr::GetAttr(part) => {
                self.made.contains(part.name)
                    || (matches!(part.name, "previtem" | "nextitem") && !self.made.is_empty())
                    || self.is_made(&part.expr)
            }
            Expr::GetItem(item) => match self.of_space(item) {
                Looked::Elsewhere => self.is_made(&item.expr),
                Looked::Named(name) => self.made.contains(name),
                Looked::Computed => true,
            },
            Expr::Slice(slice) => {
                self.is_made(&slice.expr) || (slice.step.is_some() && self.is_own(&slice.expr))
            }
            Expr::Filter(filter) => {
                let Some(inner) = &filter.expr else { return true };
                let picks = PICKING_FILTERS.contains(&filter.name)
                    // With the name of a filter it does what that does.
                    || (filter.name == "map" && !matches!(filter.args.first(), Some(CallArg::Pos(_))));
                if NUMBER_FILTERS.contains(&filter.name) {
                    return false;
                }
                self.is_made(inner)
                    || self.any_made(&filter.args)
                    || (!picks && (self.is_own(inner) || self.any_own(&filter.args)))
            }
            Expr::Call(call) => match &call.expr {
                Expr::Var(name) if matches!(name.id, "range" | "raise_exception") => false,
                Expr::Var(name) if name.id == "namespace" => {
                    unnamed(call).any(|argument| self.is_made(argument))
                }
                Expr::Var(name) if matches!(name.id, "dict" | "cycler") => self.any_made(&call.args),
                Expr::GetAttr(method) if NUMBER_METHODS.contains(&method.name) => false,
                Expr::GetAttr(method) => {
                    self.is_made(&method.expr)
                        || self.any_made(&call.args)
                        || (!PICKING_METHODS.contains(&method.name)
                            && (self.is_own(&method.expr) || self.any_own(&call.args)))
                }
                _ => true,
            },
            Expr::BinOp(operation) => {
                let both = [&operation.left, &operation.right];
                match operation.op {
                    BinOpKind::Concat | BinOpKind::Add | BinOpKind::Mul | BinOpKind::Rem => {
                        both.iter().any(|part| self.is_own(part) || self.is_made(part))
                    }
                    BinOpKind::ScOr | BinOpKind::ScAnd => both.iter().any(|part| self.is_made(part)),
                    _ => false,
                }
            }
            Expr::IfExpr(choice) => {
                self.is_made(&choice.true_expr)
                    || choice
                        .false_expr
                        .as_ref()
                        .is_some_and(|other| self.is_made(other))
            }
            Expr::List(list) => list.items.iter().any(|item| self.is_made(item)),
            Expr::Map(map) => map.keys.iter().chain(&map.values).any(|item| self.is_made(item)),
            Expr::Const(_) | Expr::UnaryOp(_) | Expr::Test(_) | Expr::Compare(_) => false,
        }
    }

    /// Macros, which know their own name and those of their arguments, what Jinja hands to them, and the texts of special tokens, which come
    /// with the template and may be any.
    fn is_own_name(&self, name: &str) -> bool {
        self.macros.contains_key(name)
            || matches!(name, "caller" | "varargs" | "kwargs" | "self")
            || name.ends_with("_token")
            || name.ends_with("_tokens")
    }

    /// Which variable of a namespace is looked up.
    fn of_space<'a>(&self, item: &'a GetItem<'t>) -> Looked<'a> {
        match (&item.expr, &item.subscript_expr) {
            (Expr::Var(name), key) if self.spaces.contains(name.id) => match key {
                Expr::Const(key) => key.value.as_str().map_or(Looked::Computed, Looked::Named),
                _ => Looked::Computed,
            },
            _ => Looked::Elsewhere,
        }
    }

    fn any_own(&self, arguments: &[CallArg<'t>]) -> bool {
        arguments.iter().any(|argument| self.is_own(value(argument)))
    }

    fn any_made(&self, arguments: &[CallArg<'t>]) -> bool {
        arguments.iter().any(|argument| self.is_made(value(argument)))
    }
}

/// The arguments of a call that have no name.
fn unnamed<'a, 't>(call: &'a Call<'t>) -> impl Iterator<Item = &'a Expr<'t>> {
    let unnamed = |argument: &&CallArg<'t>| !matches!(argument, CallArg::Kwarg(..));
    call.args.iter().filter(unnamed).map(value)
}
