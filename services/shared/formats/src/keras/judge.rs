//! The judgement on a description, from the events of its JSON.

use std::collections::BTreeSet;

use holdfast_contract::report::Severity;

use super::names::{self, Class, Module};
use crate::finding::{Findings, Place};
use crate::json::{Event, Text};
use crate::rules;
use crate::text;

/// The most names of members of objects that are open at the same time.
const MAX_NAMES: usize = 64 << 10;
/// Members whose text Keras opens as a file.
const FILES: [&str; 13] = [
    "vocabulary",
    "vocabulary_file",
    "idf_weights",
    "filepath",
    "file_path",
    "filename",
    "path",
    "origin",
    "cache_dir",
    "directory",
    "saved_model",
    "weights_path",
    "ckpt_to_load_from",
];
/// Classes of TensorFlow that describe arguments.
const SPECIFICATIONS: [&str; 4] = [
    "TensorSpec",
    "RaggedTensorSpec",
    "SparseTensorSpec",
    "NoneTensorSpec",
];
/// Lists of words, which may be any.
const WORDS: [&str; 2] = ["vocabulary", "oov_token"];

/// The value of a member that names something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Named {
    /// There is none.
    #[default]
    Absent,
    Text(String),
    /// No text, or one that is longer than any name.
    Other,
}

/// An object or a list that is open.
#[derive(Debug, Default)]
struct Open {
    at: u64,
    is_object: bool,
    /// The member of the object around it that it is the value of.
    member: String,
    /// The member whose value comes next.
    key: String,
    names: BTreeSet<u64>,
    class: Named,
    module: Named,
    registered: Named,
    /// The text that is there in place of a configuration.
    config: Named,
    has_config: bool,
    specification: Named,
    /// What the configuration calls a function and itself.
    function: Named,
    name: Named,
    inner_function: Named,
    inner_name: Named,
}

/// The judge.
#[derive(Debug, Default)]
pub struct Judge {
    /// What was found.
    pub findings: Findings,
    /// What of it would be found in any document: about objects that are written as Keras alone writes them, or that harm.
    pub certain: Findings,
    /// Whether it is an object that names a class, with a configuration.
    pub is_model: bool,
    /// What the model is called.
    pub model_name: Option<String>,
    stack: Vec<Open>,
    names: usize,
}

impl Judge {
    /// Takes what was read.
    pub fn event(&mut self, at: u64, event: &Event<'_>) {
        match event {
            Event::BeginObject => self.open(at, true),
            Event::BeginArray => self.open(at, false),
            Event::EndObject | Event::EndArray => self.close(),
            Event::Key(key) => self.key(at, key),
            Event::String(text) => self.text(at, text),
            Event::Number(_) | Event::Bool(_) => self.value(&Named::Other),
            Event::Null => self.value(&Named::Absent),
        }
    }

    fn open(&mut self, at: u64, is_object: bool) {
        self.value(&Named::Other);
        let around = self.stack.last();
        let member = around.map(|around| around.key.clone()).unwrap_or_default();
        self.stack.push(Open {
            at,
            is_object,
            // What is in a list belongs to the member that the list is the value of.
            key: if is_object { String::new() } else { member.clone() },
            member,
            ..Open::default()
        });
    }

    fn key(&mut self, at: u64, key: &Text) {
        let Some(open) = self.stack.last_mut() else {
            return;
        };
        self.names += 1;
        let is_new = open.names.insert(key.fingerprint().short());
        key.whole().unwrap_or_default().clone_into(&mut open.key);
        if !is_new {
            let message = format_args!("\"{}\" is there twice", text::shown_bytes(key.kept()));
            self.findings.add(&rules::KERAS_CONFIG, Place::at(at), message);
        }
        if self.names > MAX_NAMES {
            open.names.clear();
            let message = "the description has objects with too many members";
            self.findings.add(&rules::KERAS_CONFIG, Place::at(at), message);
        }
    }

    /// The value of the member that was named last.
    fn value(&mut self, value: &Named) {
        let Some(open) = self.stack.last_mut().filter(|open| open.is_object) else {
            return;
        };
        let place = match open.key.as_str() {
            "class_name" => &mut open.class,
            "module" => &mut open.module,
            "registered_name" => &mut open.registered,
            "config" => {
                open.has_config = true;
                &mut open.config
            }
            "spec_name" => &mut open.specification,
            "function" => &mut open.function,
            "name" => &mut open.name,
            _ => return,
        };
        place.clone_from(value);
    }

    fn text(&mut self, at: u64, value: &Text) {
        let whole = value.whole();
        let key = self.stack.last().map(|open| (open.key.clone(), open.is_object));
        let (key, is_member) = key.unwrap_or_default();
        let shown = text::shown_bytes(value.kept());
        let place = || Place::at(at).of(&key);
        let is_word = !is_member && WORDS.contains(&key.as_str());
        if !is_word && is_address(value.kept()) {
            let message = format_args!("the description names the address \"{shown}\"");
            self.findings.add(&rules::KERAS_ADDRESS, place(), message);
        } else if is_member && FILES.contains(&key.as_str()) && value.kept() != b"" {
            let message = format_args!("\"{key}\" is the name of a file, \"{shown}\"");
            self.findings.add(&rules::KERAS_FILE, place(), message);
        }
        let value = whole.map_or(Named::Other, |text| Named::Text(text.to_owned()));
        self.value(&value);
    }

    fn close(&mut self) {
        let Some(open) = self.stack.pop() else {
            return;
        };
        self.names = self.names.saturating_sub(open.names.len());
        if !open.is_object {
            return;
        }
        self.judge(&open);
        if self.stack.is_empty() {
            self.is_model = open.class != Named::Absent && open.has_config;
            if let (true, Named::Text(name)) = (self.is_model, &open.inner_name) {
                self.model_name = Some(text::shown(name));
            }
        } else if open.member == "config"
            && let Some(around) = self.stack.last_mut().filter(|around| around.is_object)
        {
            around.inner_function = open.function;
            around.inner_name = open.name;
        }
    }

    fn judge(&mut self, open: &Open) {
        let found = match &open.class {
            Named::Absent => module_alone(open),
            Named::Other => Some((
                &rules::KERAS_CONFIG,
                "the name of a class is no text, or longer than any".to_owned(),
            )),
            Named::Text(class) => judge(open, class),
        };
        if let Some((rule, message)) = found {
            let mut place = Place::at(open.at);
            if let Named::Text(name) = &open.inner_name {
                place = place.of(name);
            }
            let marked = matches!(open.class, Named::Text(_)) && open.has_config;
            let harms = rule.severity == Severity::Critical || matches!(open.module, Named::Text(_));
            if marked && harms {
                self.certain.add(rule, place.clone(), &message);
            }
            self.findings.add(rule, place, message);
        }
    }
}

type Finding = (&'static rules::Rule, String);

/// An object that names a module and no class: nothing reads that, except for what reads it otherwise.
fn module_alone(open: &Open) -> Option<Finding> {
    match &open.module {
        Named::Text(module) if names::module(module, "") == Module::Dangerous => Some((
            &rules::KERAS_IMPORT,
            format!("it names the module {}", text::shown(module)),
        )),
        _ => None,
    }
}

fn judge(open: &Open, class: &str) -> Option<Finding> {
    let (package, name) = match class.rsplit_once('>') {
        Some((package, name)) => (Some(package), name),
        None => (None, class),
    };
    let shown = text::shown(class);
    let standing = names::class(name);
    match standing {
        Class::Code => {
            return Some((&rules::KERAS_CODE, format!("{shown} is Python code in the model")));
        }
        Class::Method => {
            let message = format!("{shown} calls a method by its name");
            return Some((&rules::KERAS_GADGET, message));
        }
        Class::Elsewhere => {
            let message = format!("{shown} loads another model from a file and runs it");
            return Some((&rules::KERAS_FILE, message));
        }
        _ => {}
    }
    let wanted = match (&open.config, standing) {
        (Named::Text(function), Class::Named) => function.as_str(),
        (_, Class::Specification) => match &open.specification {
            Named::Text(name) => name.as_str(),
            _ => "",
        },
        (_, Class::Named) => return Some((&rules::KERAS_CONFIG, "a function without a name".to_owned())),
        _ => name,
    };
    match &open.module {
        Named::Absent => {}
        Named::Other => return Some((&rules::KERAS_CONFIG, "the name of a module is no text".to_owned())),
        Named::Text(module) => {
            let full = text::shown(&format!("{module}.{wanted}"));
            let described = standing == Class::Specification && module.starts_with("tensorflow.");
            let found = match names::module(module, wanted) {
                Module::Keras | Module::Builtins if names::is_gadget(module, wanted) => {
                    Some((&rules::KERAS_GADGET, format!("it calls {full}")))
                }
                Module::Keras => None,
                Module::Builtins if standing == Class::Named && names::is_plain(wanted) => None,
                Module::Builtins if standing == Class::Named => {
                    let message = format!("it needs the function {full}");
                    let known = crate::pickle::is_dangerous("builtins", wanted);
                    let rule = if known {
                        &rules::KERAS_IMPORT
                    } else {
                        &rules::KERAS_CUSTOM
                    };
                    Some((rule, message))
                }
                Module::Foreign | Module::Dangerous if described => None,
                Module::Builtins | Module::Dangerous => {
                    Some((&rules::KERAS_IMPORT, format!("it names {full}")))
                }
                Module::Foreign => Some((&rules::KERAS_CUSTOM, format!("it needs {full}"))),
            };
            if found.is_some() {
                return found;
            }
        }
    }
    if let Some(found) = registered(open, name, wanted) {
        return Some(found);
    }
    match standing {
        // Keras 2 registers its optimizers as if they were anybody's.
        Class::Known if package.is_none_or(|package| package == "Custom") => None,
        Class::Named if names::is_gadget("", wanted) => {
            Some((&rules::KERAS_GADGET, format!("it calls {}", text::shown(wanted))))
        }
        Class::Named if names::is_plain(wanted) => None,
        Class::Named => {
            let message = format!("it needs the function {}", text::shown(wanted));
            Some((&rules::KERAS_CUSTOM, message))
        }
        Class::Function => match &open.inner_function {
            Named::Text(function) if names::computes(function) => None,
            Named::Text(function) => {
                let message = format!("{shown} calls {} of TensorFlow", text::shown(function));
                Some((&rules::KERAS_GADGET, message))
            }
            _ => Some((
                &rules::KERAS_CONFIG,
                format!("{shown} does not say which function it calls"),
            )),
        },
        Class::Specification => match &open.specification {
            Named::Text(name) if SPECIFICATIONS.contains(&name.as_str()) => None,
            _ => Some((
                &rules::KERAS_CUSTOM,
                "a description of arguments by an unknown class".to_owned(),
            )),
        },
        _ => Some((&rules::KERAS_CUSTOM, format!("{shown} is no class of Keras"))),
    }
}

/// The name under which a class is registered comes before the name of the class.
fn registered(open: &Open, name: &str, wanted: &str) -> Option<Finding> {
    match &open.registered {
        Named::Absent => None,
        Named::Text(registered) => {
            let same = [name, wanted, "function"].contains(&registered.as_str())
                || registered
                    .strip_prefix("Custom>")
                    .is_some_and(|registered| registered == name);
            let message = || {
                format!(
                    "{} is registered as {}",
                    text::shown(name),
                    text::shown(registered)
                )
            };
            (!same).then(|| (&rules::KERAS_CUSTOM, message()))
        }
        Named::Other => Some((
            &rules::KERAS_CONFIG,
            "the name of a registered class is no text".to_owned(),
        )),
    }
}

/// Whether a text is the address of something in a network or on the disk.
fn is_address(text: &[u8]) -> bool {
    let scheme = text.iter().position(|byte| *byte == b':');
    scheme.is_some_and(|end| {
        let (scheme, rest) = text.split_at(end);
        (2..=10).contains(&scheme.len())
            && scheme.iter().all(u8::is_ascii_alphanumeric)
            && rest.starts_with(b"://")
    })
}
