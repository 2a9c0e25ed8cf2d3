//! Every statement and every expression of a tree, once. Depth is bounded by `source::is_too_deep` and by the parser.

use minijinja::machinery::ast::{Call, CallArg, Expr, Stmt};

/// Calls `see` with every statement.
pub fn statements<'a, 't>(statement: &'a Stmt<'t>, see: &mut dyn FnMut(&'a Stmt<'t>)) {
    see(statement);
    for body in bodies(statement) {
        for inner in body {
            statements(inner, see);
        }
    }
}

fn bodies<'a, 't>(statement: &'a Stmt<'t>) -> Vec<&'a [Stmt<'t>]> {
    match statement {
        Stmt::Template(inner) => vec![&inner.children],
        Stmt::ForLoop(inner) => vec![&inner.body, &inner.else_body],
        Stmt::IfCond(inner) => vec![&inner.true_body, &inner.false_body],
        Stmt::WithBlock(inner) => vec![&inner.body],
        Stmt::SetBlock(inner) => vec![&inner.body],
        Stmt::AutoEscape(inner) => vec![&inner.body],
        Stmt::FilterBlock(inner) => vec![&inner.body],
        Stmt::Block(inner) => vec![&inner.body],
        Stmt::Macro(inner) => vec![&inner.body],
        Stmt::CallBlock(inner) => vec![&inner.macro_decl.body],
        _ => Vec::new(),
    }
}

/// Calls `see` with every expression in every statement.
pub fn expressions<'a, 't>(tree: &'a Stmt<'t>, see: &mut dyn FnMut(&'a Expr<'t>)) {
    statements(tree, &mut |statement| {
        for expression in roots(statement) {
            below(expression, see);
        }
    });
}

/// Calls `see` with every call, also where it is no expression of its own.
pub fn calls<'a, 't>(tree: &'a Stmt<'t>, see: &mut dyn FnMut(&'a Call<'t>)) {
    statements(tree, &mut |statement| match statement {
        Stmt::Do(run) => see(&run.call),
        Stmt::CallBlock(block) => see(&block.call),
        _ => {}
    });
    expressions(tree, &mut |expression| {
        if let Expr::Call(call) = expression {
            see(call);
        }
    });
}

/// The expressions of a statement itself.
fn roots<'a, 't>(statement: &'a Stmt<'t>) -> Vec<&'a Expr<'t>> {
    match statement {
        Stmt::EmitExpr(inner) => vec![&inner.expr],
        Stmt::ForLoop(inner) => [&inner.target, &inner.iter]
            .into_iter()
            .chain(&inner.filter_expr)
            .collect(),
        Stmt::IfCond(inner) => vec![&inner.expr],
        Stmt::WithBlock(inner) => inner
            .assignments
            .iter()
            .flat_map(|(target, value)| [target, value])
            .collect(),
        Stmt::Set(inner) => vec![&inner.target, &inner.expr],
        Stmt::SetBlock(inner) => std::iter::once(&inner.target).chain(&inner.filter).collect(),
        Stmt::AutoEscape(inner) => vec![&inner.enabled],
        Stmt::FilterBlock(inner) => vec![&inner.filter],
        Stmt::Macro(inner) => inner.args.iter().chain(&inner.defaults).collect(),
        Stmt::CallBlock(inner) => {
            let declared = inner.macro_decl.args.iter().chain(&inner.macro_decl.defaults);
            std::iter::once(&inner.call.expr)
                .chain(inner.call.args.iter().map(super::value))
                .chain(declared)
                .collect()
        }
        Stmt::Do(inner) => std::iter::once(&inner.call.expr)
            .chain(inner.call.args.iter().map(super::value))
            .collect(),
        Stmt::Include(inner) => vec![&inner.name],
        Stmt::Import(inner) => vec![&inner.expr],
        Stmt::FromImport(inner) => vec![&inner.expr],
        Stmt::Extends(inner) => vec![&inner.name],
        _ => Vec::new(),
    }
}

fn below<'a, 't>(expression: &'a Expr<'t>, see: &mut dyn FnMut(&'a Expr<'t>)) {
    see(expression);
    for child in children(expression) {
        below(child, see);
    }
}

/// The expressions that an expression is directly made of.
pub fn children<'a, 't>(expression: &'a Expr<'t>) -> Vec<&'a Expr<'t>> {
    fn all<'a, 't>(first: Option<&'a Expr<'t>>, arguments: &'a [CallArg<'t>]) -> Vec<&'a Expr<'t>> {
        first
            .into_iter()
            .chain(arguments.iter().map(super::value))
            .collect()
    }
    match expression {
        Expr::Var(_) | Expr::Const(_) => Vec::new(),
        Expr::Slice(inner) => [
            Some(&inner.expr),
            inner.start.as_ref(),
            inner.stop.as_ref(),
            inner.step.as_ref(),
        ]
        .into_iter()
        .flatten()
        .collect(),
        Expr::UnaryOp(inner) => vec![&inner.expr],
        Expr::BinOp(inner) => vec![&inner.left, &inner.right],
        Expr::Compare(inner) => std::iter::once(&inner.expr)
            .chain(inner.ops.iter().map(|operation| &operation.expr))
            .collect(),
        Expr::IfExpr(inner) => [&inner.test_expr, &inner.true_expr]
            .into_iter()
            .chain(&inner.false_expr)
            .collect(),
        Expr::Filter(inner) => all(inner.expr.as_ref(), &inner.args),
        Expr::Test(inner) => all(Some(&inner.expr), &inner.args),
        Expr::GetAttr(inner) => vec![&inner.expr],
        Expr::GetItem(inner) => vec![&inner.expr, &inner.subscript_expr],
        Expr::Call(inner) => all(Some(&inner.expr), &inner.args),
        Expr::List(inner) => inner.items.iter().collect(),
        Expr::Map(inner) => inner.keys.iter().chain(&inner.values).collect(),
    }
}
