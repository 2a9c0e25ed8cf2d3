//! The opcodes that import, call, and set state.

use super::allow::{Make, Spec};
use super::call;
use super::globals::Judgement;
use super::lexer::{KEPT_BYTES, Token};
use super::machine::{Broken, Machine};
use super::numpy::{self, Inline};
use super::opcodes as op;
use super::torch::Unusable;
use super::value::{Kind, Node, Value};
use crate::finding::Place;
use crate::rules;

/// The most arguments that are looked at. Nothing allowed takes more.
const MAX_ARGUMENTS: usize = 16;

/// The arguments of a call.
#[derive(Debug, Clone)]
pub struct Arguments {
    /// The first of them.
    pub items: Vec<Value>,
    /// Whether these are all, and readers of every kind take them.
    pub whole: bool,
}

impl Arguments {
    fn of(items: &[Value]) -> Self {
        Self {
            items: items.iter().copied().take(MAX_ARGUMENTS).collect(),
            whole: items.len() <= MAX_ARGUMENTS,
        }
    }
}

impl Machine {
    /// Imports and calls.
    ///
    /// # Errors
    ///
    /// When every reader gives up here.
    pub(super) fn effect(&mut self, token: &Token) -> Result<(), Broken> {
        let value = match token.code {
            op::GLOBAL => self.named(token)?,
            op::STACK_GLOBAL => {
                let name = self.pop()?;
                let module = self.pop()?;
                self.stack_global(token.at, module, name)?
            }
            op::INST => {
                // One reader imports before it looks for the mark.
                let class = self.named(token)?;
                let arguments = Arguments::of(&self.pop_mark()?);
                self.call(token, class, &arguments)
            }
            op::OBJ => {
                let items = self.pop_mark()?;
                let (class, arguments) = items.split_first().ok_or(Broken::Underflow)?;
                self.call(token, *class, &Arguments::of(arguments))
            }
            op::NEWOBJ_EX => {
                let keywords = self.pop()?;
                let arguments = self.pop()?;
                let class = self.pop()?;
                let mut arguments = self.arguments(arguments);
                arguments.whole &= self
                    .heap
                    .container(keywords)
                    .is_some_and(|keywords| keywords.count == 0);
                self.call(token, class, &arguments)
            }
            _ => {
                let arguments = self.pop()?;
                let callee = self.pop()?;
                let arguments = self.arguments(arguments);
                self.call(token, callee, &arguments)
            }
        };
        self.push(value);
        Ok(())
    }

    fn arguments(&self, value: Value) -> Arguments {
        match self.heap.tuple_items(value) {
            Some(items) => Arguments::of(items),
            // The Python reader takes any sequence, the C reader only tuples.
            None => Arguments {
                items: vec![value],
                whole: false,
            },
        }
    }

    fn named(&mut self, token: &Token) -> Result<Value, Broken> {
        let (module, name) = (&token.first, &token.second);
        let whole = module.length.max(name.length) <= KEPT_BYTES as u64;
        self.import(token.at, &module.kept, &name.kept, whole)
    }

    fn stack_global(&mut self, at: u64, module: Value, name: Value) -> Result<Value, Broken> {
        if let (Some(module), Some(name)) = (self.heap.str(module), self.heap.str(name)) {
            let (module, name) = (module.to_vec(), name.to_vec());
            return self.import(at, &module, &name, true);
        }
        let message = format!(
            "the import of {} from {} is of a name that is computed, forgotten or too long",
            self.shown(name),
            self.shown(module)
        );
        self.note(&rules::PKL_COMPUTED, Place::at(at), message);
        Ok(Value::Foreign)
    }

    fn import(&mut self, at: u64, module: &[u8], name: &[u8], whole: bool) -> Result<Value, Broken> {
        if self.skips_odd_names && !(is_dotted_name(module) && is_dotted_name(name)) {
            return Ok(Value::Foreign);
        }
        self.globals
            .import(at, module, name, whole)
            .map(Value::Global)
            .ok_or(Broken::TooComplex)
    }

    fn call(&mut self, token: &Token, callee: Value, arguments: &Arguments) -> Value {
        let value = self.judged_call(token, callee, arguments);
        self.described = self.described.saturating_add(u32::from(value == Value::Foreign));
        value
    }

    fn judged_call(&mut self, token: &Token, callee: Value, arguments: &Arguments) -> Value {
        let place = Place::at(token.at);
        let global = match callee {
            Value::Global(global) => global,
            Value::Foreign => return Value::Foreign,
            _ => {
                let message = format!(
                    "{} calls {} with {}",
                    op::name(token.code),
                    self.shown(callee),
                    self.shown_all(&arguments.items)
                );
                self.note(&rules::PKL_CALLEE, place, message);
                return Value::Foreign;
            }
        };
        let Some(judgement) = self.globals.at(global).map(|global| global.judgement) else {
            return Value::Foreign;
        };
        let Judgement::Allowed(spec) = judgement else {
            let does = format!("is called with {}", self.shown_all(&arguments.items));
            self.globals.report(global, token.at, &does, &mut self.findings);
            return Value::Foreign;
        };
        let steps = arguments.items.iter().fold(0, |sum: u64, argument| {
            sum.saturating_add(call::work(self, spec, *argument))
        });
        self.works(token, steps);
        if matches!(
            spec,
            Spec::Mapping | Spec::DefaultDict | Spec::Container(Make::Dict)
        ) {
            for argument in &arguments.items {
                self.members(token.at, *argument);
            }
        }
        let result = if spec == Spec::Record && token.code != op::NEWOBJ {
            Err("its constructor would run")
        } else if arguments.whole {
            call::evaluate(self, spec, &arguments.items)
        } else {
            Err("they are too many or not in a tuple")
        };
        result.unwrap_or_else(|reason| {
            let message = format!(
                "{} is called with {}: {reason}",
                self.shown(callee),
                self.shown_all(&arguments.items)
            );
            self.note(&rules::PKL_ARGUMENTS, place, message);
            Value::Foreign
        })
    }

    /// Sets the state of an object. Returns what follows in the stream for a reader that knows joblib.
    pub(super) fn build(&mut self, at: u64, object: Value, state: Value) -> Option<Inline> {
        let result = match (object, self.heap.node(object)) {
            (Value::Foreign, _) => return None,
            (Value::Global(global), _) if self.globals.spec(global).is_none() => {
                let does = format!("gets attributes: {}", self.shown(state));
                self.globals.report(global, at, &does, &mut self.findings);
                return None;
            }
            (_, Some(Node::Dtype(dtype))) => self.build_dtype(object, *dtype, state),
            (_, Some(Node::Array(_))) => self.build_array(object, state),
            (_, Some(Node::Wrapper(_))) => {
                let globals = &self.globals;
                let is_ndarray = |value| matches!(value, Value::Global(class) if globals.spec(class) == Some(Spec::NdArray));
                match numpy::wrapper_state(state, &self.heap, is_ndarray) {
                    Ok(inline) => return Some(inline),
                    Err(reason) => Err(reason),
                }
            }
            // The program's own source says what becomes of it, and is read by itself.
            (_, Some(Node::Items(items))) if items.kind == Kind::Namespace && self.globals.script => {
                self.adopt(object, state);
                Ok(())
            }
            (_, Some(Node::Items(items)))
                if matches!(items.kind, Kind::Mapping | Kind::Sequence | Kind::Namespace) =>
            {
                self.attributes(state)
            }
            (_, Some(Node::Object)) => self.data_attributes(state),
            _ => Err("nothing that weights need has a state there"),
        };
        if let Err(reason) = result {
            self.described = self.described.saturating_add(1);
            let message = format!(
                "the state of {} is set to {}: {reason}",
                self.shown(object),
                self.shown(state)
            );
            self.note(&rules::PKL_STATE, Place::at(at), message);
        }
        None
    }

    fn build_dtype(&mut self, object: Value, dtype: numpy::Dtype, state: Value) -> Result<(), &'static str> {
        let items = self.heap.tuple_items(state).ok_or("the state is no tuple")?;
        let changed = dtype.with_state(items, &self.heap)?;
        if let Some(node) = self.heap.node_mut(object) {
            *node = Node::Dtype(changed);
        }
        Ok(())
    }

    fn build_array(&mut self, object: Value, state: Value) -> Result<(), &'static str> {
        let items = self.heap.tuple_items(state).ok_or("the state is no tuple")?;
        let shape = numpy::array_state(items, &self.heap)?;
        if let Some(Node::Array(array)) = self.heap.node_mut(object) {
            array.shape = shape.map(Into::into);
        }
        Ok(())
    }

    /// Makes a state the attributes of an object, so that the tensors in it are found below its name.
    fn adopt(&mut self, object: Value, state: Value) {
        match self.heap.node_mut(state) {
            Some(Node::Items(items)) if items.kind == Kind::Dict => {
                for pair in std::mem::take(&mut items.kept).chunks_exact(2) {
                    self.heap.append(object, pair);
                }
            }
            _ => {
                self.heap.append(object, &[Value::Int(0), state]);
            }
        }
    }

    /// A dictionary becomes the attributes of one object without any code running. A pair sets them one by one, which
    /// can run code.
    fn attributes(&self, state: Value) -> Result<(), &'static str> {
        let plain = match self.heap.node(state) {
            Some(Node::Items(items)) => items.kind == Kind::Dict,
            _ => matches!(state, Value::None | Value::Plain),
        };
        plain.then_some(()).ok_or("the state is no dictionary")
    }

    /// The same, with nothing in it that could be called: an attribute `__setstate__` would be, when another state is set.
    fn data_attributes(&self, state: Value) -> Result<(), &'static str> {
        self.attributes(state)?;
        (!self.heap.is_mixed(state))
            .then_some(())
            .ok_or("the attributes are not all plain data")
    }

    /// What the reader fetches from outside the pickle.
    pub(super) fn persistent(&mut self, at: u64, id: Value) -> Value {
        let place = Place::at(at);
        let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        if self.numbered && (matches!(id, Value::Int(_)) || self.heap.str(id).is_some_and(digits)) {
            return Value::Plain;
        }
        let parts = self.heap.tuple_items(id).and_then(|items| match items {
            [kind, Value::Global(class), key, location, Value::Int(elements)]
            | [
                kind,
                Value::Global(class),
                key,
                location,
                Value::Int(elements),
                Value::None,
            ] if self.heap.str(*kind) == Some(b"storage") && self.heap.str(*location).is_some() => {
                let Some(Spec::StorageClass(element)) = self.globals.spec(*class) else {
                    return None;
                };
                Some((
                    self.heap.str(*key)?.to_vec(),
                    element,
                    u64::try_from(*elements).ok()?,
                ))
            }
            _ => None,
        });
        let Some((key, element, elements)) = parts else {
            self.described = self.described.saturating_add(1);
            let message = format!(
                "a reference to something outside that is no storage: {}",
                self.shown(id)
            );
            self.note(&rules::PKL_OUTSIDE, place, message);
            return Value::Foreign;
        };
        match self.tensors.storage(&key, element, elements) {
            Ok(storage) => Value::Storage(storage),
            Err(reason) => {
                let reason = match reason {
                    Unusable::Many => "there are too many storages, or it is too large",
                    Unusable::Contradiction => "the same key stands for another type or size elsewhere",
                    Unusable::Key => "its key is no short text",
                };
                let message = format!(
                    "a reference to a storage that cannot be: {}: {reason}",
                    self.shown(id)
                );
                self.note(&rules::PKL_OUTSIDE, place, message);
                Value::Foreign
            }
        }
    }
}

/// Whether this can be the name of something that exists.
pub(super) fn is_dotted_name(name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(|name| {
        name.split('.').all(|part| {
            !part.is_empty()
                && !part.starts_with(|c: char| c.is_ascii_digit())
                && part.chars().all(|c| c.is_alphanumeric() || c == '_')
        })
    })
}
