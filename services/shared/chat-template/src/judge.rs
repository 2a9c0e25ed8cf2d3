//! What a template's syntax tree gives away, before anything is rendered.
//!
//! Names are judged after constants are folded, so that a name in pieces is the same name. Which variables hold what somebody said,
//! the date, or a name that was put together is found first, over all assignments and whatever their order; then every expression
//! is looked at once.

use std::collections::HashSet;
use std::mem;

use minijinja::machinery::ast::{BinOpKind, Call, CallArg, Expr, Filter, Stmt};

use crate::render::MAX_TEMPLATE_BYTES;
use crate::source::{self, is_too_deep, tree, without_generation_marks};
use crate::vocabulary::{FIELDS, FILTERS, FUNCTIONS, METHODS, REACHING, SWITCHES};

mod flow;
mod keys;
pub mod product;
mod walk;

use flow::Flow;
use keys::Keys;

/// Why a template with a product is not taken.
pub(crate) const MULTIPLIES: &str = "it multiplies what may be a list, which can take for ever";
/// Why a template is not taken that would make an immense number or text.
pub(crate) const IMMENSE: &str = "it computes what can become immense";
/// The most notes of one kind on one template: a flood of one kind does not hide another.
const MAX_NOTES: usize = 8;
/// The longest text that is kept of a name or word in a note, in characters.
const MAX_SHOWN: usize = 80;

/// Something that no ordinary chat template does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Concern {
    /// It is not Jinja as known here; why not. Nothing else is known of it: another reader may make something of it.
    Unreadable(String),
    /// It was judged and is not run: it may take for ever.
    Immense(&'static str),
    /// It names what leads from Python's objects to the interpreter.
    Reaches(String),
    /// It looks something up by a name that it puts together.
    Computed,
    /// It asks for another template.
    Loads(&'static str),
    /// It uses a function, filter or method that chat templates do not have.
    Unknown(String),
    /// It behaves otherwise when certain words are said.
    Trigger(String),
    /// It behaves otherwise at certain times.
    Dated,
}

/// A concern and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What it is.
    pub concern: Concern,
    /// Where, in bytes from the start of the template.
    pub offset: usize,
}

/// Judges a template without running it. An ordinary one gets no note.
pub fn judge(source: &str) -> Vec<Note> {
    let unreadable = |offset, why: String| {
        vec![Note {
            concern: Concern::Unreadable(why),
            offset,
        }]
    };
    if source.len() > MAX_TEMPLATE_BYTES {
        return unreadable(0, format!("it is longer than {MAX_TEMPLATE_BYTES} bytes"));
    }
    let source = without_generation_marks(source);
    if is_too_deep(&source) {
        return unreadable(0, "its expressions are too long".to_owned());
    }
    let tree = match tree(&source) {
        Ok(tree) => tree,
        Err(error) => {
            let offset = error.line().map_or(0, |line| start_of_line(&source, line));
            return unreadable(offset, shown(&error.to_string()));
        }
    };
    let (Some(flow), Some(keys)) = (Flow::of(&tree), Keys::of(&tree)) else {
        return unreadable(0, "it has too many variables".to_owned());
    };
    let mut judge = Judge {
        flow,
        keys,
        notes: Vec::new(),
    };
    let immense = product::immense(&tree).or_else(|| product::quoted(&tree));
    for (found, concern) in [
        (product::of_lists(&tree), Concern::Immense(MULTIPLIES)),
        (immense, Concern::Immense(IMMENSE)),
        (source::odd_escape(&source), Concern::Computed),
    ] {
        judge.notes.extend(found.map(|offset| Note { concern, offset }));
    }
    walk::statements(&tree, &mut |statement| judge.statement(statement));
    walk::expressions(&tree, &mut |expression| judge.expression(expression));
    judge.notes.sort_by_key(|note| note.offset);
    judge.notes.dedup();
    most_of_each_kind(judge.notes)
}

/// The first notes of each kind.
fn most_of_each_kind(notes: Vec<Note>) -> Vec<Note> {
    let mut kept: Vec<Note> = Vec::new();
    for note in notes {
        if of_kind(&kept, &note.concern) < MAX_NOTES {
            kept.push(note);
        }
    }
    kept
}

/// How many notes are of the same kind as `concern`.
fn of_kind(notes: &[Note], concern: &Concern) -> usize {
    let kind = mem::discriminant(concern);
    let same = |note: &&Note| mem::discriminant(&note.concern) == kind;
    notes.iter().filter(same).count()
}

struct Judge<'t> {
    flow: Flow<'t>,
    keys: Keys<'t>,
    notes: Vec<Note>,
}

impl<'t> Judge<'t> {
    fn note(&mut self, place: &Expr<'_>, concern: Concern) {
        self.note_at(place.span().start_offset, concern);
    }

    fn note_at(&mut self, offset: u32, concern: Concern) {
        // More than will be shown: these are the first of the walk, and the first in the text are shown.
        if of_kind(&self.notes, &concern) < 8 * MAX_NOTES {
            let offset = usize::try_from(offset).unwrap_or_default();
            self.notes.push(Note { concern, offset });
        }
    }

    /// A name of the template's own choosing, which it can read back as a text.
    fn identifier(&mut self, name: &str, offset: u32) {
        if let Some(found) = dunder_in(name) {
            self.note_at(offset, Concern::Reaches(shown(&found)));
        }
    }

    /// Whether what is called by this name is a function or macro, and nothing that was assigned to the name.
    fn is_function(&self, name: &str) -> bool {
        (FUNCTIONS.contains(&name) || self.flow.is_declared(name)) && !self.keys.is_assigned(name)
    }

    /// Whether the name stands for an object of Jinja's or the template's, and not for something of the conversation.
    fn is_jinjas(&self, name: &str) -> bool {
        self.is_function(name) || matches!(name, "lipsum" | "self" | "super")
    }

    /// Something is looked up by a name that may be put together.
    fn key(&mut self, place: &Expr<'t>, key: &Expr<'t>) {
        if self.flow.is_built(key) || self.keys.is_made(key) {
            self.note(place, Concern::Computed);
        }
    }

    fn statement(&mut self, statement: &Stmt<'t>) {
        let (what, place) = match statement {
            Stmt::Include(include) => ("include", &include.name),
            Stmt::Import(import) => ("import", &import.expr),
            Stmt::FromImport(import) => ("import", &import.expr),
            Stmt::Extends(extends) => ("extends", &extends.name),
            // A macro knows its name.
            Stmt::Macro(declared) => return self.identifier(declared.name, declared.span().start_offset),
            // These calls are no expressions of their own.
            Stmt::Do(run) => return self.call(&run.call.expr, &run.call),
            Stmt::CallBlock(block) => return self.call(&block.call.expr, &block.call),
            _ => return,
        };
        self.note(place, Concern::Loads(what));
    }

    fn expression(&mut self, expression: &Expr<'t>) {
        match expression {
            Expr::Const(constant) => {
                if let Some(text) = constant.value.as_str()
                    && let Some(name) = dunder_in(text)
                {
                    self.note(expression, Concern::Reaches(shown(&name)));
                }
            }
            Expr::Var(name) => self.identifier(name.id, name.span().start_offset),
            Expr::GetAttr(attribute) if attribute.name.starts_with('_') || is_reaching(attribute.name) => {
                self.note(expression, Concern::Reaches(shown(attribute.name)));
            }
            Expr::GetItem(item) => {
                self.subscript(expression, &item.subscript_expr);
                self.said(expression, &item.subscript_expr, &item.expr);
                // Whoever talks would choose what of Jinja's own objects is taken.
                if matches!(&item.expr, Expr::Var(name) if self.is_jinjas(name.id))
                    && self.flow.texts(&item.subscript_expr).is_empty()
                {
                    self.note(expression, Concern::Computed);
                }
            }
            Expr::Filter(filter) => self.filter(expression, filter),
            Expr::Call(call) => self.call(expression, call),
            Expr::Test(test) => {
                let harmless = matches!(
                    test.name,
                    "defined" | "undefined" | "none" | "string" | "mapping" | "iterable"
                );
                if !harmless && self.flow.is_dated(&test.expr) {
                    self.note(expression, Concern::Dated);
                }
                for argument in &test.args {
                    self.said(expression, &test.expr, value(argument));
                }
            }
            Expr::Compare(compare) => {
                let mut left = &compare.expr;
                for operation in &compare.ops {
                    self.comparison(expression, left, &operation.expr);
                    left = &operation.expr;
                }
            }
            Expr::BinOp(operation) => {
                let compares = matches!(
                    operation.op,
                    BinOpKind::Eq
                        | BinOpKind::Ne
                        | BinOpKind::In
                        | BinOpKind::Lt
                        | BinOpKind::Lte
                        | BinOpKind::Gt
                        | BinOpKind::Gte
                );
                if compares {
                    self.comparison(expression, &operation.left, &operation.right);
                }
            }
            _ => {}
        }
    }

    /// `x[subscript]`: the name must be one that stands there, or a position.
    fn subscript(&mut self, place: &Expr<'t>, subscript: &Expr<'t>) {
        let names = self.flow.texts(subscript);
        let known = names.iter().any(|name| leads_out(name).is_some());
        for name in names {
            self.name(place, &name);
        }
        // It is known already where it leads.
        if !known {
            self.key(place, subscript);
        }
        if self.flow.is_dated(subscript) {
            self.note(place, Concern::Dated);
        }
    }

    /// A name that something is looked up by, perhaps in several steps.
    fn name(&mut self, place: &Expr<'_>, name: &str) {
        if let Some(part) = leads_out(name) {
            self.note(place, Concern::Reaches(shown(part)));
        }
    }

    fn filter(&mut self, place: &Expr<'t>, filter: &Filter<'t>) {
        if filter.name == "attr" {
            self.note(place, Concern::Reaches("attr".to_owned()));
        } else if !FILTERS.contains(&filter.name) {
            self.note(place, Concern::Unknown(shown(filter.name)));
        }
        let by_name = matches!(
            filter.name,
            "map"
                | "select"
                | "reject"
                | "selectattr"
                | "rejectattr"
                | "groupby"
                | "sort"
                | "unique"
                | "sum"
                | "min"
                | "max"
                | "join"
        );
        if matches!(filter.name, "replace" | "split")
            && let (Some(inner), Some(argument)) = (&filter.expr, filter.args.first())
        {
            self.said(place, inner, value(argument));
        }
        if !by_name {
            return;
        }
        let mut of_content = filter.expr.as_ref().is_some_and(|expr| self.flow.is_said(expr));
        // The first arguments name an attribute, or a filter or test; what is compared with comes after them.
        let named = match filter.name {
            "select" | "reject" => 1,
            "selectattr" | "rejectattr" => 2,
            _ => usize::MAX,
        };
        for (position, argument) in filter.args.iter().enumerate() {
            // What comes between the parts is no name.
            if filter.name == "join" && position == 0 && !matches!(argument, CallArg::Kwarg("attribute", _)) {
                continue;
            }
            let by_attribute = matches!(argument, CallArg::Kwarg("attribute", _));
            let argument = value(argument);
            let names_it = match filter.name {
                "map" | "select" | "reject" | "selectattr" | "rejectattr" | "groupby" => position == 0,
                _ => false,
            };
            if (by_attribute || names_it) && self.flow.is_said(argument) {
                self.note(place, Concern::Computed);
            }
            for name in self.flow.texts(argument) {
                if filter.name != "selectattr" && name == "attr" {
                    self.note(place, Concern::Reaches("attr".to_owned()));
                }
                self.name(place, &name);
                of_content |= flow::holds_words(&name);
            }
            self.key(place, argument);
            if of_content && position >= named {
                self.words(place, argument);
            }
        }
    }

    fn call(&mut self, place: &Expr<'t>, call: &Call<'t>) {
        for argument in &call.args {
            if let CallArg::Kwarg(name, _) = argument {
                self.identifier(name, place.span().start_offset);
            }
        }
        match &call.expr {
            Expr::Var(name) => {
                if !self.is_function(name.id) {
                    self.note(place, Concern::Unknown(shown(name.id)));
                }
            }
            Expr::GetAttr(method) => {
                let of_loop = matches!(&method.expr, Expr::Var(name) if name.id == "loop");
                if !of_loop && !METHODS.contains(&method.name) {
                    self.note(place, Concern::Unknown(shown(method.name)));
                }
                let asks = matches!(
                    method.name,
                    "startswith" | "endswith" | "find" | "rfind" | "index" | "count"
                );
                if asks && self.flow.is_dated(&method.expr) {
                    self.note(place, Concern::Dated);
                }
                if method.name == "format" {
                    self.key(place, &method.expr);
                    // Fields of such a text go into what it is given.
                    if self.flow.is_said(&method.expr) {
                        self.note(place, Concern::Computed);
                    }
                    for text in self.flow.texts(&method.expr) {
                        if let Some(field) = field_path(&text) {
                            self.note(place, Concern::Reaches(shown(field)));
                        }
                    }
                }
                for argument in &call.args {
                    if method.name == "get" || method.name == "pop" {
                        self.subscript(place, value(argument));
                        self.said(place, value(argument), &method.expr);
                    } else if !matches!(method.name, "append" | "extend" | "insert" | "join" | "format") {
                        self.said(place, &method.expr, value(argument));
                    }
                }
            }
            _ => self.note(place, Concern::Unknown("a value".to_owned())),
        }
    }

    fn comparison(&mut self, place: &Expr<'t>, left: &Expr<'t>, right: &Expr<'t>) {
        if self.flow.is_dated(left) || self.flow.is_dated(right) {
            self.note(place, Concern::Dated);
        }
        self.said(place, left, right);
        self.said(place, right, left);
    }

    /// What was said is compared with `literal`.
    fn said(&mut self, place: &Expr<'t>, speech: &Expr<'t>, literal: &Expr<'t>) {
        if self.flow.is_said(speech) {
            self.words(place, literal);
        }
    }

    /// What was said is compared with these words: markup is how models talk, words are how people do.
    fn words(&mut self, place: &Expr<'t>, literal: &Expr<'t>) {
        let mut texts = self.flow.texts(literal);
        match literal {
            Expr::List(list) => texts.extend(list.items.iter().flat_map(|item| self.flow.texts(item))),
            Expr::Map(map) => texts.extend(map.keys.iter().flat_map(|key| self.flow.texts(key))),
            _ => {}
        }
        if let Some(text) = texts.iter().find(|text| is_speech(text)) {
            self.note(place, Concern::Trigger(shown(text)));
        } else if self.flow.is_built(literal) {
            self.note(place, Concern::Trigger("a text that it puts together".to_owned()));
        }
    }
}

fn value<'a, 't>(argument: &'a CallArg<'t>) -> &'a Expr<'t> {
    match argument {
        CallArg::Pos(value)
        | CallArg::Kwarg(_, value)
        | CallArg::PosSplat(value)
        | CallArg::KwargSplat(value) => value,
    }
}

/// Where a line begins, counted from one, in bytes from the start.
fn start_of_line(source: &str, line: usize) -> usize {
    let before = line.saturating_sub(1);
    source.split_inclusive('\n').take(before).map(str::len).sum()
}

/// The part of a dotted name that leads from objects to the interpreter: names of Python's own, and what classes keep to themselves.
fn leads_out(name: &str) -> Option<&str> {
    name.split('.')
        .find(|part| (part.starts_with('_') && part.contains("__")) || is_reaching(part))
}

fn is_reaching(name: &str) -> bool {
    REACHING.contains(&name)
}

/// The names of Python's inner methods that a text may hold in pieces for something else to use.
fn dunder_in(text: &str) -> Option<String> {
    const NAMES: [&str; 20] = [
        "base",
        "bases",
        "builtins",
        "call",
        "class",
        "closure",
        "code",
        "dict",
        "func",
        "getattribute",
        "getitem",
        "globals",
        "import",
        "init",
        "loader",
        "module",
        "mro",
        "reduce",
        "self",
        "subclasses",
    ];
    // Upper case first: some letters have two for one then, and others one that they share with another.
    let text = text.to_uppercase().to_lowercase();
    let mut rest = text.as_str();
    while let Some(start) = rest.find("__") {
        let (_, inner) = rest.split_at(start + 2);
        if let Some(name) = inner.split("__").next().filter(|name| NAMES.contains(name)) {
            return Some(name.to_owned());
        }
        rest = inner;
    }
    None
}

/// The first replacement field of a format text that goes into the value: `{0.attribute}`, `{x[key]}`.
fn field_path(text: &str) -> Option<&str> {
    text.split('{').skip(1).find_map(|rest| {
        let field = rest.split('}').next()?;
        let name = field.split([':', '!']).next()?;
        name.contains(['.', '[']).then_some(name)
    })
}

/// Whether a text is words that a person might say, and not markup, an identifier, a phrase that switches a model's mode, or the names
/// of types and fields.
fn is_speech(text: &str) -> bool {
    let text = text.trim();
    let letters = text.chars().filter(|character| character.is_alphabetic()).count();
    let markup = text.starts_with(|first: char| !first.is_alphanumeric())
        || text.contains("<|")
        || text.contains("</");
    let identifier = text.contains('_')
        && text
            .chars()
            .all(|character| character == '_' || character.is_alphanumeric());
    let lower = text.to_lowercase();
    let fields = lower.split('|').all(|field| FIELDS.contains(&field.trim()));
    letters >= 3 && !markup && !identifier && !fields && !SWITCHES.contains(&lower.as_str())
}

fn shown(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(MAX_SHOWN)
        .collect()
}

/// Names, told apart by what they stand for.
type Names<'t> = HashSet<&'t str>;

#[cfg(test)]
mod tests;
